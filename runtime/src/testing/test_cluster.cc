// SPDX-License-Identifier: MIT
#include "millrace/testing/test_cluster.h"

#include <stdlib.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <thread>

#include "cluster/cluster_node.h"
#include "cluster/placement.h"
#include "offload/thread_pool.h"
#include "silo/silo_access.h"
#include "testing/memory_store.h"
#include "testing/open_answer.h"
#include "testing/wire.h"

namespace millrace::testing {

using runtime::duration;
using runtime::result;
using runtime::silo;
using runtime::steady_time;

namespace {

constexpr duration settle_limit = std::chrono::seconds{30};
// The longest that passes at once: copies look at the clock so often.
constexpr duration step_max = std::chrono::milliseconds{50};
// Of real time, for a thread that starts or stops a silo: it may be waiting for time to pass.
constexpr std::chrono::milliseconds patience{5};
constexpr duration session_over_within = std::chrono::minutes{2};
constexpr duration balance_after = std::chrono::milliseconds{100};
constexpr duration replace_after = std::chrono::seconds{5};

runtime::detail::silo_core& core_of(silo& one) {
  return runtime::detail::silo_access::core(one);
}

std::string new_directory() {
  auto pattern = (std::filesystem::temp_directory_path() / "millrace-cluster-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error{"no temporary directory can be made as " + pattern};
  }
  return pattern;
}

// What a silo of the cluster finds around it.
class test_surroundings final : public runtime::detail::surroundings {
public:
  test_surroundings(std::string silo, detail::wire& between, detail::memory_store& records)
      : silo_(std::move(silo)), wire_(between), records_(records) {}

  result<std::unique_ptr<runtime::coordination_store>> open_store(
      const runtime::cluster_options& cluster, const runtime::clock&, steady_time,
      runtime::coordination_options options) override {
    options.session_ttl = cluster.session_ttl;
    return records_.open(silo_, std::move(options));
  }
  std::unique_ptr<runtime::detail::silo_links> make_links(
      runtime::link_options options, runtime::detail::router& routes, const runtime::clock&,
      std::function<void(const std::string&)>, runtime::detail::peer_watch& watch) override {
    return wire_.join(options.self, routes, watch);
  }

private:
  const std::string silo_;
  detail::wire& wire_;
  detail::memory_store& records_;
};

}  // namespace

struct test_cluster::parts {
  struct member {
    std::unique_ptr<test_surroundings> around;
    faulty_storage* rows = nullptr;  // the silo's
    std::unique_ptr<silo> here;
  };

  parts(setup wanted, test_cluster_options given)
      : prepare(std::move(wanted)), options(std::move(given)) {}
  parts(const parts&) = delete;
  parts& operator=(const parts&) = delete;
  ~parts();

  [[nodiscard]] member make(const std::string& name);
  void launch(const std::string& name);
  void end(const std::string& name, bool is_proven);
  void note(const std::string& name, std::string_view line);

  void settle();
  void advance(duration by);
  bool until(const std::function<bool()>& is_so, duration limit);
  // Does what blocks on a thread, and lets time pass until it is done.
  void pass_while(const std::function<void()>& blocks);
  [[nodiscard]] std::string busy_with(std::uint64_t& rounds);
  [[nodiscard]] std::string busy_with(silo& one, std::uint64_t& rounds);
  void time_changed();
  [[nodiscard]] steady_time next_due(steady_time end);
  [[nodiscard]] member* find(std::string_view name);
  [[nodiscard]] member& get(std::string_view name);
  [[nodiscard]] bool is_whole();
  [[nodiscard]] std::string directory_of(std::string_view name) const {
    return directory + "/" + std::string{name};
  }

  const setup prepare;
  const test_cluster_options options;
  const std::string directory = new_directory();
  hand_clock time;
  const runtime::system_clock real;
  mutable std::mutex mutex;
  std::vector<std::string> lines;
  std::set<std::string> silent;  // processes that are gone say nothing
  detail::wire between{time};
  detail::memory_store records{time, between};
  test_network network{between, records};
  std::map<std::string, member, std::less<>> members;
  runtime::detail::thread_pool helper{1, 1};
};

// --- silos ---------------------------------------------------------------------------------------

test_cluster::parts::~parts() {
  while (!members.empty()) {
    const auto name = members.begin()->first;
    end(name, false);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

void test_cluster::parts::note(const std::string& name, std::string_view line) {
  const std::lock_guard lock{mutex};
  if (!silent.contains(name)) {
    lines.push_back(name + ": " + std::string{line});
  }
}

test_cluster::parts::member test_cluster::parts::make(const std::string& name) {
  auto wanted = options.silo;
  wanted.name = name;
  wanted.threads = wanted.threads == 0 ? 1 : wanted.threads;
  const auto also_warn = wanted.warn;
  wanted.warn = [this, name, also_warn](std::string_view line) {
    note(name, line);
    if (also_warn) {
      also_warn(line);
    }
  };
  wanted.log = [this, name](std::string_view line) { note(name, line); };
  if (!wanted.cluster) {
    wanted.cluster.emplace();
    wanted.cluster->balance_after = balance_after;
    wanted.cluster->replace_after = replace_after;
  }
  wanted.cluster->coordination = "local:memory";
  wanted.cluster->copies = options.copies;
  options.adjust(wanted);
  member made;
  made.around = std::make_unique<test_surroundings>(name, between, records);
  std::unique_ptr<runtime::storage> rows;
  if (wanted.cluster->roles.state) {
    runtime::storage_options disk{.directory = directory_of(name)};
    disk.partition_count = options.partitions;
    disk.in_cluster = true;
    disk.time = &time;
    auto opened = runtime::open_storage(disk);
    if (!opened) {
      throw std::runtime_error{"the disk of silo " + name + ": " + opened.error().to_string()};
    }
    rows = *std::move(opened);
  } else {
    rows = runtime::make_memory_storage();
  }
  auto faulty = std::make_unique<faulty_storage>(std::move(rows));
  made.rows = faulty.get();
  made.here = std::make_unique<silo>(std::move(faulty), std::move(wanted), time);
  core_of(*made.here).live_in(*made.around);
  prepare(*made.here);
  return made;
}

// Of an earlier life that others have not given up yet the end is waited for.
void test_cluster::parts::launch(const std::string& name) {
  if (find(name) != nullptr) {
    throw std::runtime_error{"silo " + name + " is up already"};
  }
  static_cast<void>(until([&] { return !records.has(name); }, session_over_within));
  {
    const std::lock_guard lock{mutex};
    silent.erase(name);
  }
  auto made = make(name);
  result<void> started;
  pass_while([&] { started = made.here->start(); });
  if (!started) {
    throw std::runtime_error{"silo " + name + " does not start: " + started.error().to_string()};
  }
  members[name] = std::move(made);
  settle();
}

void test_cluster::parts::end(const std::string& name, bool is_proven) {
  {
    const std::lock_guard lock{mutex};
    silent.insert(name);
  }
  auto gone = std::move(get(name));
  members.erase(members.find(name));
  between.killed(name);
  gone.rows->lose_held();
  core_of(*gone.here).abandon();
  gone.here.reset();
  records.ended(name, is_proven);
}

test_cluster::parts::member* test_cluster::parts::find(std::string_view name) {
  const auto found = name.empty() ? members.begin() : members.find(name);
  return found != members.end() ? &found->second : nullptr;
}

test_cluster::parts::member& test_cluster::parts::get(std::string_view name) {
  auto* const found = find(name);
  if (found == nullptr) {
    throw std::runtime_error{"silo " + std::string{name} + " is not up"};
  }
  return *found;
}

bool test_cluster::parts::is_whole() {
  std::vector<runtime::candidate> silos;
  for (const auto& [name, one] : members) {
    if (const auto& own = *core_of(*one.here).options().cluster; own.roles.state) {
      silos.push_back({name, own.zone});
    }
  }
  const auto copies = std::min(options.copies, silos.size());
  return !silos.empty() && std::all_of(silos.begin(), silos.end(), [&](const auto& looks) {
    const auto seen = get(looks.silo).here->cluster_view();
    return std::all_of(seen.partitions.begin(), seen.partitions.end(), [&](const auto& each) {
      auto preferred = runtime::ranked_for(each.partition, silos);
      std::erase_if(preferred, [&](const auto& one) {
        return std::find(each.in_sync.begin(), each.in_sync.end(), one) == each.in_sync.end();
      });
      return each.is_active && each.in_sync.size() >= copies && !preferred.empty() &&
             each.primary == preferred.front() &&
             core_of(*get(each.primary).here).epoch_of(each.partition) == each.epoch;
    });
  });
}

// --- time ----------------------------------------------------------------------------------------

void test_cluster::parts::time_changed() {
  records.time_changed();
  between.time_changed();
  for (auto& [name, one] : members) {
    one.here->time_changed();
    core_of(*one.here).node()->time_changed();
  }
}

// As of a `test_silo`, and what it does for its cluster.
std::string test_cluster::parts::busy_with(silo& one, std::uint64_t& rounds) {
  auto& core = core_of(one);
  const auto turns = core.watch().turns_if_idle();
  if (!turns) {
    return "a turn";
  }
  if (core.offload_threads().busy()) {
    return "an offloaded function";
  }
  if (const auto due = core.timers().next_due(); due && *due <= time.steady()) {
    return "a timer";
  }
  if (auto awake = core.name_of_awake(); !awake.empty()) {
    return awake;
  }
  const auto for_cluster = core.node()->rounds_if_idle();
  if (!for_cluster) {
    return "storage, or its part in the cluster";
  }
  rounds += *turns + *for_cluster;
  return core.watch().turns_if_idle() == turns ? "" : "a turn";
}

std::string test_cluster::parts::busy_with(std::uint64_t& rounds) {
  for (auto& [name, one] : members) {
    if (auto busy = busy_with(*one.here, rounds); !busy.empty()) {
      return busy.insert(0, name + ": ");
    }
  }
  const auto carried = between.rounds_if_idle();
  rounds += carried.value_or(0);
  return carried ? "" : "the network";
}

// Two looks at all in a row that find nothing, and nothing done between.
void test_cluster::parts::settle() {
  const auto limit = real.steady() + settle_limit;
  time_changed();
  std::optional<std::uint64_t> before;
  for (;;) {
    std::uint64_t rounds = 0;
    const auto busy = busy_with(rounds);
    if (busy.empty() && before == rounds) {
      return;
    }
    before = busy.empty() ? std::optional{rounds} : std::nullopt;
    if (real.steady() > limit) {
      throw std::runtime_error{"the cluster does not settle, still busy: " + busy};
    }
    if (!busy.empty()) {
      std::this_thread::yield();
    }
  }
}

steady_time test_cluster::parts::next_due(steady_time end) {
  const auto now = time.steady();
  auto next = std::min(end, steady_time{(now.time_since_epoch() / step_max + 1) * step_max});
  const auto take = [&](const std::optional<steady_time>& due) {
    if (due && *due > now) {
      next = std::min(next, *due);
    }
  };
  take(between.next_due());
  take(records.next_due());
  for (auto& [name, one] : members) {
    take(core_of(*one.here).timers().next_due());
  }
  return next;
}

void test_cluster::parts::advance(duration by) {
  settle();
  const auto end = time.steady() + by;
  while (time.steady() < end) {
    time.move(next_due(end) - time.steady());
    settle();
  }
}

bool test_cluster::parts::until(const std::function<bool()>& is_so, duration limit) {
  settle();
  const auto end = time.steady() + limit;
  while (!is_so()) {
    if (time.steady() >= end) {
      return false;
    }
    time.move(next_due(end) - time.steady());
    settle();
  }
  return true;
}

void test_cluster::parts::pass_while(const std::function<void()>& blocks) {
  std::mutex done_mutex;
  std::condition_variable done_changed;
  bool is_done = false;
  static_cast<void>(helper.submit([&] {
    blocks();
    const std::lock_guard lock{done_mutex};
    is_done = true;
    done_changed.notify_all();
  }));
  for (;;) {
    {
      std::unique_lock lock{done_mutex};
      if (done_changed.wait_for(lock, patience, [&] { return is_done; })) {
        return;
      }
    }
    advance(step_max);
  }
}

// --- the public part -----------------------------------------------------------------------------

test_cluster::test_cluster(setup prepare, test_cluster_options options)
    : parts_(std::make_unique<parts>(std::move(prepare), std::move(options))) {
  for (const auto& each : parts_->options.silos) {
    parts_->launch(each);
  }
  if (!until_whole()) {
    throw std::runtime_error{"the cluster does not become whole"};
  }
}

test_cluster::~test_cluster() = default;

void test_cluster::settle() {
  parts_->settle();
}
void test_cluster::advance(duration by) {
  parts_->advance(by);
}
bool test_cluster::until(const std::function<bool()>& is_so, duration limit) {
  return parts_->until(is_so, limit);
}
bool test_cluster::until_whole(duration limit) {
  return until([this] { return parts_->is_whole(); }, limit);
}

void test_cluster::kill(std::string_view silo, ending how) {
  parts_->settle();
  parts_->end(std::string{silo}, how == ending::proven);
  parts_->settle();
}

void test_cluster::stop(std::string_view silo) {
  auto& one = parts_->get(silo);
  parts_->pass_while([&] { one.here->stop(); });
  parts_->members.erase(parts_->members.find(silo));
  parts_->settle();
}

void test_cluster::start(std::string_view silo) {
  parts_->launch(std::string{silo});
}

void test_cluster::restart(std::string_view silo) {
  if (is_up(silo)) {
    stop(silo);
  }
  start(silo);
}

void test_cluster::wipe(std::string_view silo) {
  if (is_up(silo)) {
    throw std::runtime_error{"silo " + std::string{silo} + " is up; its disk is in use"};
  }
  std::filesystem::remove_all(parts_->directory_of(silo));
}

bool test_cluster::is_up(std::string_view silo) const {
  return !silo.empty() && parts_->find(silo) != nullptr;
}
runtime::silo& test_cluster::at(std::string_view silo) {
  return *parts_->get(silo).here;
}
faulty_storage& test_cluster::rows(std::string_view silo) {
  return *parts_->get(silo).rows;
}
test_network& test_cluster::network() noexcept {
  return parts_->network;
}
hand_clock& test_cluster::clock() noexcept {
  return parts_->time;
}
std::vector<std::string> test_cluster::lines() const {
  const std::lock_guard lock{parts_->mutex};
  return parts_->lines;
}

std::string test_cluster::leader_of(const runtime::interface_info& type, std::string_view key) {
  const auto partition =
      runtime::partition_of(type.group, key, type.affinity, parts_->options.partitions);
  std::string leader;
  std::uint64_t epoch = 0;
  for (auto& [name, one] : parts_->members) {
    auto& core = core_of(*one.here);
    const bool has_partitions = core.options().cluster->roles.state;
    if (const auto served = has_partitions ? core.epoch_of(partition) : 0; served > epoch) {
      epoch = served;
      leader = name;
    }
  }
  return leader;
}

std::vector<std::string> test_cluster::copies_of(const runtime::interface_info& type,
                                                 std::string_view key) {
  const auto partition =
      runtime::partition_of(type.group, key, type.affinity, parts_->options.partitions);
  const auto seen = at().cluster_view();
  return seen.partitions.at(static_cast<std::size_t>(partition)).in_sync;
}

// --- calls ---------------------------------------------------------------------------------------

std::shared_ptr<detail::open_answer> test_cluster::begin_spec(runtime::call_spec spec,
                                                              std::string_view from) {
  auto of = detail::open_answer::begin(at(from), std::move(spec));
  settle();
  return of;
}

bool test_cluster::has_answer(detail::open_answer& of) {
  settle();
  return of.is_there();
}

result<runtime::any_message> test_cluster::take_answer(detail::open_answer& of) {
  settle();
  return of.take();
}

void test_cluster::cancel(detail::open_answer& of) {
  of.handle->cancel();
  settle();
}

}  // namespace millrace::testing
