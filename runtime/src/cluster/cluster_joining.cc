// SPDX-License-Identifier: MIT
// How a silo comes into its cluster, and how it goes.
#include "cluster/cluster_entry.h"
#include "cluster/cluster_node.h"
#include "cluster/cluster_setup.h"
#include "silo/silo_core.h"
#include "storage/data_directory.h"

namespace millrace::runtime::detail {

namespace {

// Store requests beside each other. With etcd each is a connection; locally they take turns.
constexpr std::size_t request_threads = 4;
// One for each of the partitions that there can be.
constexpr std::size_t requests_max = 65'536;
// Who is in, and who may be dead: a few at a time, each of which may wait for something else.
constexpr std::size_t look_threads = 2;
constexpr std::size_t looks_max = 1'000;
// For what a silo asks of the store as it goes: it has to go anyway.
constexpr duration leave_patience = std::chrono::seconds{2};
// Between looks at what has no event of its own.
constexpr duration look_again_after = std::chrono::milliseconds{100};
// By then others know that this silo leads nothing any more, and what they had sent is answered.
constexpr duration quiet_for = std::chrono::milliseconds{200};
constexpr duration quiet_within = std::chrono::seconds{2};

}  // namespace

cluster_node::cluster_node(silo_core& home, storage& rows, surroundings& around)
    : home_(home),
      rows_(rows),
      options_(*home.options().cluster),
      time_(home.activation_home::time()),
      around_(around),
      requests_(request_threads, requests_max),
      looks_(look_threads, looks_max) {}

cluster_node::~cluster_node() {
  end_thread();
  requests_.stop();
  looks_.stop();
}

result<void> cluster_node::join() {
  if (auto good = check_cluster_options(home_.options()); !good) {
    return good;
  }
  const auto deadline = time_after(time_.steady(), options_.join_within);
  const auto warn = home_.options().warn;
  auto store = around_.open_store(options_, time_, deadline,
                                  {.changed = [this] { hint(); },
                                   .warn =
                                       [warn](std::string_view line) {
                                         warn ? warn(line) : silo_core::warn_by_default(line);
                                       }});
  if (!store) {
    return store.error();
  }
  store_ = std::move(*store);
  auto joined = settle(deadline);
  joined = joined ? enter(deadline) : std::move(joined);
  joined = joined ? make_links(deadline) : std::move(joined);
  joined = joined ? connect(deadline) : std::move(joined);
  if (!joined) {
    leave();
  }
  return joined;
}

result<void> cluster_node::settle(steady_time deadline) {
  if (options_.roles.state && rows_.cluster_side() == nullptr) {
    return error{errc::failed_precondition,
                 "this storage cannot be part of a cluster: open a data directory with "
                 "storage_options::in_cluster, or leave the role `state` to others"};
  }
  return options_.roles.state ? settle_data(deadline) : await_settings(deadline);
}

// What is to be told apart is in cluster_entry.h.
entry_facts cluster_node::facts() const {
  const auto& side = *rows_.cluster_side();
  entry_facts known;
  known.silo = home_.options().name;
  known.where = options_.coordination;
  known.file = side.mark_file();
  known.allocation_id = rows_.allocation_id();
  known.partition_count = rows_.partition_count();
  known.has_data = side.found_data();
  known.founds_anew = options_.found_anew;
  known.mark = side.mark();
  return known;
}

result<void> cluster_node::settle_data(steady_time deadline) {
  auto known = facts();
  auto now = store_->settings(deadline);
  for (;;) {
    if (!now) {
      return now.error();
    }
    known.now = *now;
    const auto wanted = enter_cluster(known, mint_allocation_id());
    if (!wanted) {
      return wanted.error();
    }
    if (!*wanted) {
      break;
    }
    const auto settled = store_->settle(**wanted, deadline);
    now = settled ? result{std::optional{*settled}} : settled.error();
    if (settled && settled->cluster_id == (*wanted)->cluster_id) {
      home_.log("a cluster begins cluster=" + settled->cluster_id + " silo=" + known.silo +
                (known.has_data ? " with=what it has" : " with=nothing"));
    }
  }
  cluster_ = **now;
  auto mark = known.mark.value_or(cluster_mark{});
  if (mark.cluster_id != cluster_.cluster_id) {
    mark = {cluster_.cluster_id, known.silo};
  }
  return rows_.cluster_side()->set_mark(mark);
}

// Who has no data begins no cluster: whoever has some may be about to come.
result<void> cluster_node::await_settings(steady_time deadline) {
  for (;;) {
    const auto now = store_->settings(deadline);
    if (!now) {
      return now.error();
    }
    if (*now) {
      cluster_ = **now;
      return {};
    }
    if (time_.steady() >= deadline) {
      return error{errc::unavailable, "there is no cluster at " + options_.coordination +
                                          " yet; start a silo with the role `state` first"};
    }
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, look_again_after, [this] { return std::exchange(is_hinted_, false); });
  }
}

// An earlier life of this silo may be in until its session ends; whoever has its data directory
// knows that it has ended.
result<void> cluster_node::enter(steady_time deadline) {
  std::vector<std::string> types;
  for (const auto& [name, type] : home_.types()) {
    types.push_back(name);
  }
  own_ = row_of(home_.options(), std::move(types));
  const auto give_up = std::min(deadline, time_.steady() + 2 * options_.session_ttl);
  const auto replaces = last_incarnation();
  auto joined = store_->join(own_, replaces, deadline);
  while (!joined && joined.error().code() == errc::conflict && time_.steady() < give_up) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, look_again_after, [this] { return std::exchange(is_hinted_, false); });
    lock.unlock();
    joined = store_->join(own_, replaces, deadline);
  }
  if (!joined) {
    return std::move(joined).error();
  }
  own_.incarnation = *joined;
  if (!options_.roles.state) {
    return {};
  }
  auto grown = check_incarnation(facts(), own_.incarnation);
  return grown ? rows_.cluster_side()->set_mark({cluster_.cluster_id, own_.name, own_.incarnation})
               : std::move(grown);
}

std::optional<std::uint64_t> cluster_node::last_incarnation() const {
  const auto& mark = options_.roles.state ? rows_.cluster_side()->mark() : std::nullopt;
  return mark && mark->incarnation != 0 ? std::optional{mark->incarnation} : std::nullopt;
}

result<void> cluster_node::make_links(steady_time deadline) {
  const auto& silo = home_.options();
  links_ = around_.make_links(
      links_of(silo, cluster_.cluster_id, own_.incarnation), home_.routes(), time_,
      [this](const std::string& line) { warn_of_links(line); }, *this);
  home_.routes().join(silo.name, own_.incarnation, *links_);
  if (options_.roles.state) {
    side_ = rows_.cluster_side();
    side_->join(*this, {silo.name, own_.incarnation, options_.copies, options_.replace_after});
    home_.share_partitions();
  }
  const auto port = links_->start();
  if (!port) {
    return port.error();
  }
  if (is_only_gateway(options_.roles)) {
    return {};
  }
  own_.address = advertised_address(options_, *port);
  return store_->update(own_, deadline);
}

void cluster_node::warn_of_links(const std::string& line) {
  {
    const std::lock_guard lock{mutex_};
    last_of_links_ = line;
  }
  home_.warn(line);
}

void cluster_node::open_link(const silo_row& row) {
  if (row.name == own_.name || row.address.empty() || is_only_gateway(row.roles)) {
    return;
  }
  const auto where = split_address(row.address);
  auto opened = where ? links_->open(row.name, where->first, where->second) : where.error();
  if (!opened && opened.error().code() != errc::unavailable) {  // then this silo has stopped
    home_.warn("no link can be made silo=" + row.name + " address=" + row.address +
               " why=" + opened.error().to_string());
  }
}

// Who is in and has no link with this silo; empty: nobody.
std::string cluster_node::unconnected(const coordination_view& view) {
  std::string missing;
  for (const auto& row : view.silos) {
    if (row.name == own_.name || row.address.empty() || row.state == silo_state::joining) {
      continue;
    }
    const std::unique_lock lock{mutex_};
    const auto found = up_.find(row.name);
    if (found == up_.end() || found->second != row.incarnation) {
      missing += (missing.empty() ? "'" : ", '") + row.name + "' at " + row.address;
    }
  }
  return missing;
}

// Two-way: one of the two connects, and both have to say hello.
result<void> cluster_node::connect(steady_time deadline) {
  std::map<std::string, std::string> opened;  // where
  for (;;) {
    const auto view = store_->read(0, deadline);
    if (!view) {
      return view.error();
    }
    for (const auto& row : view->silos) {
      if (std::exchange(opened[row.name], row.address) != row.address) {
        open_link(row);
      }
    }
    const auto missing = unconnected(*view);
    if (missing.empty()) {
      return {};
    }
    std::unique_lock lock{mutex_};
    if (time_.steady() >= deadline) {
      return error{errc::unavailable, "silo '" + own_.name + "' at " + own_.address +
                                          " has no link with silo " + missing +
                                          ", which is in the cluster" +
                                          (last_of_links_.empty() ? "" : ": ") + last_of_links_};
    }
    changed_.wait_for(lock, look_again_after, [this] { return has_new_link_ || is_hinted_; });
    has_new_link_ = is_hinted_ = false;
  }
}

founding cluster_node::begins() const {
  return cluster_.founder.empty()                    ? founding::preferred
         : cluster_.founder == rows_.allocation_id() ? founding::all
                                                     : founding::none;
}

result<void> cluster_node::serve() {
  const auto deadline = time_after(time_.steady(), options_.join_within);
  own_.state = silo_state::active;
  auto active = store_->update(own_, deadline);
  const auto view = active ? store_->read(0, deadline) : std::move(active).error();
  if (!view) {
    leave();
    return view.error();
  }
  cluster_effects effects;
  std::shared_ptr<const cluster_map> map;
  {
    const std::lock_guard lock{mutex_};
    book_.emplace(cluster_book_settings{own_.name, own_.incarnation, cluster_.partition_count,
                                        options_.copies, options_.roles.state,
                                        options_.balance_after, options_.replace_after, begins()});
    book_->read(*view, time_.steady(), effects);
    map = book_->map();
  }
  carry_out(effects, map);
  thread_ = std::thread{[this] { run(); }};
  return {};
}

// --- the end -------------------------------------------------------------------------------------

void cluster_node::drain(duration grace) {
  const auto begun = time_.steady();
  const auto deadline = time_after(begun, grace);
  {
    const std::lock_guard lock{mutex_};
    if (!thread_.joinable() || is_out_) {
      return;
    }
  }
  std::unique_lock nobody_operates{operating_};
  auto draining = own_;
  draining.state = silo_state::draining;
  draining.is_decommissioned = asked_ == presence::decommissioned;
  static_cast<void>(store_->update(draining, std::min(deadline, time_.steady() + leave_patience)));
  std::unique_lock lock{mutex_};
  book_->take_part(presence::leaving, begun + (deadline - begun) / 2);
  nobody_operates.unlock();
  tick_due_ = {};
  is_hinted_ = true;
  changed_.notify_all();
  const auto is_done = [this] { return is_out_ || book_->has_drained(); };
  // Who had not heard that this silo goes may hand something over to it meanwhile.
  do {
    while (!is_done() && time_.steady() < deadline) {
      changed_.wait_for(lock, look_again_after);
    }
    if (book_->has_company()) {
      lock.unlock();
      wait_until_quiet(std::min(deadline, time_.steady() + quiet_within));
      lock.lock();
    }
  } while (!is_done() && time_.steady() < deadline);
}

// A call that is on its way when a link ends is lost, and nobody knows whether it has begun.
void cluster_node::wait_until_quiet(steady_time deadline) {
  auto seen = links_->calls_received();
  auto since = time_.steady();
  for (auto now = since; now < since + quiet_for && now < deadline; now = time_.steady()) {
    std::unique_lock lock{mutex_};
    const auto seen_changes = time_changes_;
    changed_.wait_for(lock, look_again_after,
                      [&] { return is_out_ || time_changes_ != seen_changes; });
    if (const auto now_seen = links_->calls_received(); now_seen != seen) {
      seen = now_seen;
      since = time_.steady();
    }
  }
}

void cluster_node::end_thread() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

// Behind the mutex whoever asks sees that it is gone; it ends outside, since its threads give
// hints.
void cluster_node::close_store() {
  std::unique_ptr<coordination_store> closed;
  const std::lock_guard lock{mutex_};
  closed.swap(store_);
}

void cluster_node::leave() {
  const std::lock_guard nobody_operates{operating_};
  if (std::exchange(has_left_, true) || !store_) {
    return;
  }
  end_thread();
  requests_.stop();
  looks_.stop();
  if (!is_out_ && own_.incarnation != 0) {
    if (auto left = store_->leave(time_.steady() + leave_patience); !left) {
      home_.warn("the silo is in the cluster until its session ends why=" +
                 left.error().to_string());
    }
  }
  if (links_) {
    links_->stop();
  }
  close_store();
}

void cluster_node::abandon() {
  const std::lock_guard nobody_operates{operating_};
  if (std::exchange(has_left_, true) || !store_) {
    return;
  }
  if (links_) {
    links_->stop();
  }
  end_thread();
  requests_.stop();
  looks_.stop();
  close_store();
}

cluster_view cluster_node::view() const {
  const std::lock_guard lock{mutex_};
  auto seen = book_ ? book_->view() : cluster_view{};
  seen.is_outdated = is_store_lost_;
  seen.cluster_id = cluster_.cluster_id;
  seen.copies = options_.copies;
  return seen;
}

}  // namespace millrace::runtime::detail
