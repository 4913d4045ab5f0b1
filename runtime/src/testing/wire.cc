// SPDX-License-Identifier: MIT
#include "testing/wire.h"

#include <algorithm>

#include "link/link_session.h"

namespace millrace::testing::detail {

using runtime::duration;
using runtime::frame_kind;
using runtime::link_role;
using runtime::steady_time;
using runtime::detail::peer_send;

namespace {

constexpr duration retry_interval = std::chrono::milliseconds{250};

const runtime::link_limits& limits() {
  static const runtime::link_limits those_of_links;
  return those_of_links;
}

traffic traffic_of(frame_kind kind) {
  switch (kind) {
    case frame_kind::answer:
      return traffic::answers;
    case frame_kind::replica:
      return traffic::copies;
    case frame_kind::call:
    case frame_kind::cancel:
      break;
  }
  return traffic::calls;
}

}  // namespace

// What a silo has of it.
class wire::links_of_one final : public runtime::detail::silo_links {
public:
  links_of_one(wire& between, ends one) : between_(between), end_(std::move(one)) {}
  links_of_one(const links_of_one&) = delete;
  links_of_one& operator=(const links_of_one&) = delete;
  ~links_of_one() override { between_.stop(end_); }

  runtime::result<std::uint16_t> start() override { return std::uint16_t{1}; }  // nobody dials it
  runtime::result<void> open(const std::string& silo, const std::string&, std::uint16_t) override {
    between_.open(*end_, silo);
    return {};
  }
  void stop() override { between_.stop(end_); }
  void close(const std::string& silo) override { between_.close(*end_, silo, true); }
  void give_up(std::string_view silo) override { between_.close(*end_, silo, false); }
  peer_send send(std::string_view silo, frame_kind kind, std::string_view body) override {
    return between_.send(*end_, silo, kind, body);
  }
  peer_send send(std::string_view silo, runtime::link_lane, frame_kind kind,
                 std::string_view body) override {
    return between_.send(*end_, silo, kind, body);
  }
  std::uint64_t calls_received() const noexcept override { return end_->calls_received; }

private:
  wire& between_;
  const ends end_;
};

// Routers know gateways by another name than silos.
std::string wire::end::routed_name() const {
  return (self.name.role == link_role::gateway ? "@" : "") + self.name.name;
}

void wire::end::lose(const std::string& peer) const {
  watch->link_down(peer);
  routes->reaches(peer, false);
}

wire::wire(const runtime::clock& time) : time_(time) {
  static_cast<void>(thread_.submit([this] { run(); }));
}

wire::~wire() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.stop();
}

std::unique_ptr<runtime::detail::silo_links> wire::join(const runtime::link_identity& self,
                                                        runtime::detail::router& routes,
                                                        runtime::detail::peer_watch& watch) {
  auto one = std::make_shared<end>();
  one->self = self;
  one->routes = &routes;
  one->watch = &watch;
  const std::lock_guard lock{mutex_};
  ends_[self.name.name] = one;
  return std::make_unique<links_of_one>(*this, std::move(one));
}

wire::ends wire::find(std::string_view name) const {
  name.remove_prefix(name.starts_with('@') ? 1 : 0);
  const auto found = ends_.find(name);
  return found != ends_.end() && !found->second->is_gone ? found->second : nullptr;
}

std::vector<std::string> wire::names() {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> all;
  for (const auto& [name, one] : ends_) {
    all.push_back(name);
  }
  return all;
}

wire::path& wire::along(std::string_view from, std::string_view to) {
  return paths_[{std::string{from}, std::string{to}}];
}

wire::link& wire::between(const std::string& one, const std::string& other) {
  auto [found, fresh] = links_.try_emplace(std::minmax(one, other));
  if (fresh) {
    found->second.names = {found->first.first, found->first.second};
  }
  return found->second;
}

// --- what silos do -------------------------------------------------------------------------------

peer_send wire::send(end& from, std::string_view to, frame_kind kind, std::string_view body) {
  to.remove_prefix(to.starts_with('@') ? 1 : 0);
  const std::lock_guard lock{mutex_};
  auto& one = between(from.self.name.name, std::string{to});
  const std::size_t side = one.names[0] == from.self.name.name ? 0 : 1;
  if (from.is_gone || !one.has_session[side]) {
    return peer_send::unavailable;
  }
  auto& taken = along(from.self.name.name, to);
  if (loses(taken, kind)) {
    end_sessions(one);
    return peer_send::queued;
  }
  auto& queue = one.queues[side];
  auto due = time_.steady() + delay_of(taken, kind);
  for (const auto& each : queue) {  // not before those of its lane
    if ((each.kind == frame_kind::replica) == (kind == frame_kind::replica)) {
      due = std::max(due, each.due);
    }
  }
  const auto place =
      std::upper_bound(queue.begin(), queue.end(), due,
                       [](steady_time than, const message& each) { return than < each.due; });
  queue.insert(place, {due, kind, std::string{body}});
  changed_.notify_all();
  return peer_send::queued;
}

bool wire::loses(path& taken, frame_kind kind) {
  for (const auto what : {traffic_of(kind), traffic::any}) {
    if (auto& left = taken.losses[what]; left > 0) {
      --left;
      return true;
    }
  }
  return false;
}

duration wire::delay_of(path& taken, frame_kind kind) {
  return std::max(taken.delays[traffic_of(kind)], taken.delays[traffic::any]);
}

void wire::open(end& from, const std::string& to) {
  const std::lock_guard lock{mutex_};
  from.opened.insert(to);
  between(from.self.name.name, to).retry_at = time_.steady();
  changed_.notify_all();
}

void wire::close(end& from, std::string_view to, bool is_for_good) {
  to.remove_prefix(to.starts_with('@') ? 1 : 0);
  const std::lock_guard lock{mutex_};
  if (is_for_good) {
    from.opened.erase(std::string{to});
  }
  end_sessions(between(from.self.name.name, std::string{to}));
}

// Nothing is called back afterwards.
void wire::stop(const ends& one) {
  std::unique_lock lock{mutex_};
  if (!std::exchange(one->is_gone, true)) {
    for (auto& [names, each] : links_) {
      if (names.first == one->self.name.name || names.second == one->self.name.name) {
        end_sessions(each);
      }
    }
  }
  changed_.wait(lock, [&] { return called_ != one.get(); });
}

void wire::killed(const std::string& silo) {
  const std::lock_guard lock{mutex_};
  const auto one = find(silo);
  if (one == nullptr) {
    return;
  }
  one->is_gone = true;
  for (auto& [names, each] : links_) {
    if (names.first == silo || names.second == silo) {
      each.has_session[names.first == silo ? 0 : 1] = false;
      each.queues = {};
      drop(each);
    }
  }
}

void wire::post(std::function<void()> what) {
  const std::lock_guard lock{mutex_};
  tell(nullptr, std::move(what));
}

// --- what tests do -------------------------------------------------------------------------------

void wire::cut(std::string_view from, std::string_view to) {
  const std::lock_guard lock{mutex_};
  if (auto& taken = along(from, to); !taken.cut_since) {
    taken.cut_since = time_.steady();
  }
}

void wire::delay(std::string_view from, std::string_view to, duration by, traffic what) {
  const std::lock_guard lock{mutex_};
  along(from, to).delays[what] = by;
}

void wire::lose(std::string_view from, std::string_view to, traffic what, unsigned count) {
  const std::lock_guard lock{mutex_};
  along(from, to).losses[what] = count;
}

void wire::heal() {
  const std::lock_guard lock{mutex_};
  paths_.clear();
  changed_.notify_all();
}

bool wire::is_cut(std::string_view from, std::string_view to) {
  const std::lock_guard lock{mutex_};
  return along(from, to).cut_since.has_value();
}

void wire::time_changed() {
  const std::lock_guard lock{mutex_};
  changed_.notify_all();
}

// --- links ---------------------------------------------------------------------------------------

void wire::tell(const ends& whom, std::function<void()> what) {
  told_.push_back({whom, std::move(what)});
  changed_.notify_all();
}

// Who dials, once he has been told to.
std::optional<std::size_t> wire::connector(const link& one) {
  for (std::size_t side = 0; side < 2; ++side) {
    const auto self = find(one.names[side]);
    const auto peer = find(one.names[1 - side]);
    const bool is_gateway = self != nullptr && self->self.name.role == link_role::gateway;
    const bool peer_is_gateway = peer != nullptr && peer->self.name.role == link_role::gateway;
    if (self != nullptr && self->opened.contains(one.names[1 - side]) &&
        (is_gateway || (side == 0 && !peer_is_gateway))) {
      return side;
    }
  }
  return std::nullopt;
}

std::optional<steady_time> wire::cut_since(const link& one) {
  auto since = along(one.names[0], one.names[1]).cut_since;
  const auto back = along(one.names[1], one.names[0]).cut_since;
  return since && back ? std::min(since, back) : since ? since : back;
}

void wire::connect(link& one) {
  const auto dials = *connector(one);
  const std::array<ends, 2> both{find(one.names[0]), find(one.names[1])};
  if (both[1 - dials] == nullptr || cut_since(one)) {
    one.retry_at = time_.steady() + retry_interval;
    tell(both[dials], [whom = both[dials], peer = one.names[1 - dials]] { whom->lose(peer); });
    return;
  }
  const std::array<std::uint64_t, 2> lives{both[0]->self.incarnation, both[1]->self.incarnation};
  if (one.lives != lives || !one.has_session[0] || !one.has_session[1]) {
    end_session(one, 0);
    end_session(one, 1);
    one.queues = {};
    one.lives = lives;
    one.has_session = {true, true};
  }
  one.is_up = true;
  for (std::size_t side = 0; side < 2; ++side) {
    const auto& peer = both[1 - side];
    tell(both[side], [whom = both[side], name = peer->routed_name(), life = lives[1 - side]] {
      whom->watch->link_up(name, life);
      whom->routes->reaches(name, true);
      whom->routes->retry_parked();
    });
  }
}

void wire::drop(link& one) {
  if (!std::exchange(one.is_up, false)) {
    return;
  }
  one.down_since = one.retry_at = time_.steady();
  for (std::size_t side = 0; side < 2; ++side) {
    const auto self = find(one.names[side]);
    const auto peer = ends_.find(one.names[1 - side]);
    if (self != nullptr && peer != ends_.end()) {
      tell(self, [self, name = peer->second->routed_name()] { self->lose(name); });
    }
  }
  changed_.notify_all();
}

void wire::end_session(link& one, std::size_t side) {
  const auto self = find(one.names[side]);
  const auto peer = ends_.find(one.names[1 - side]);
  if (std::exchange(one.has_session[side], false) && self != nullptr && peer != ends_.end()) {
    tell(self, [self, name = peer->second->routed_name()] {
      self->watch->session_ended(name);
      self->routes->lost(name);
    });
  }
}

void wire::end_sessions(link& one) {
  end_session(one, 0);
  end_session(one, 1);
  one.queues = {};
  drop(one);
}

// --- the thread ----------------------------------------------------------------------------------

void wire::run() {
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    is_working_ = true;
    while (!stopping_ && step(lock)) {
      ++rounds_;
    }
    is_working_ = false;
    if (!stopping_) {
      changed_.wait(lock);
    }
  }
}

bool wire::step(std::unique_lock<std::mutex>& lock) {
  if (!told_.empty()) {
    const auto next = std::move(told_.front());
    told_.pop_front();
    if (next.whom == nullptr || !next.whom->is_gone) {
      call(next.whom, next.what, lock);
    }
    return true;
  }
  return std::any_of(links_.begin(), links_.end(),
                     [&](auto& each) { return step(each.second, lock); });
}

bool wire::step(link& one, std::unique_lock<std::mutex>& lock) {
  const auto now = time_.steady();
  if (due(one) > now) {
    return false;
  }
  if (!one.is_up) {
    if ((one.has_session[0] || one.has_session[1]) &&
        now >= one.down_since + limits().resume_within) {
      end_session(one, 0);
      end_session(one, 1);
      one.queues = {};
    } else {
      connect(one);
    }
    return true;
  }
  if (const auto since = cut_since(one); since && now >= *since + limits().silence_max) {
    drop(one);
    return true;
  }
  for (std::size_t from = 0; from < 2; ++from) {
    const auto& queue = one.queues[from];
    if (!queue.empty() && queue.front().due <= now &&
        !along(one.names[from], one.names[1 - from]).cut_since) {
      carry(one, from, lock);
      return true;
    }
  }
  return false;
}

void wire::carry(link& one, std::size_t from, std::unique_lock<std::mutex>& lock) {
  const auto whom = find(one.names[1 - from]);
  const auto sender = ends_.find(one.names[from]);
  const auto what = std::move(one.queues[from].front());
  one.queues[from].pop_front();
  if (whom == nullptr || sender == ends_.end()) {
    return;
  }
  const auto name = sender->second->routed_name();
  const auto life = one.lives[from];
  call(
      whom,
      [&] {
        if (what.kind == frame_kind::replica) {
          whom->watch->replica_frame(name, what.body);
        } else {
          ++whom->calls_received;
          static_cast<void>(
              whom->routes->received(name, life, static_cast<std::uint16_t>(what.kind), what.body));
        }
      },
      lock);
}

void wire::call(const ends& whom, const std::function<void()>& what,
                std::unique_lock<std::mutex>& lock) {
  called_ = whom.get();
  lock.unlock();
  what();
  lock.lock();
  called_ = nullptr;
  changed_.notify_all();
}

// Requires: `told_` is empty, or it is asked for links only.
steady_time wire::due(link& one) {
  auto next = steady_time::max();
  if (!one.is_up) {
    if (one.has_session[0] || one.has_session[1]) {
      next = one.down_since + limits().resume_within;
    }
    return connector(one) ? std::min(next, one.retry_at) : next;
  }
  if (const auto since = cut_since(one)) {
    next = *since + limits().silence_max;
  }
  for (std::size_t from = 0; from < 2; ++from) {
    const auto& queue = one.queues[from];
    if (!queue.empty() && !along(one.names[from], one.names[1 - from]).cut_since) {
      next = std::min(next, queue.front().due);
    }
  }
  return next;
}

std::optional<steady_time> wire::next_due() {
  const std::lock_guard lock{mutex_};
  auto next = steady_time::max();
  for (auto& [names, each] : links_) {
    next = std::min(next, due(each));
  }
  return next == steady_time::max() ? std::nullopt : std::optional{next};
}

std::optional<std::uint64_t> wire::rounds_if_idle() {
  const std::lock_guard lock{mutex_};
  const auto now = time_.steady();
  const bool has_work = is_working_ || !told_.empty() ||
                        std::any_of(links_.begin(), links_.end(),
                                    [&](auto& each) { return due(each.second) <= now; });
  return has_work ? std::nullopt : std::optional{rounds_};
}

}  // namespace millrace::testing::detail
