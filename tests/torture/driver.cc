// SPDX-License-Identifier: MIT
#include "torture/driver.h"

#include <chrono>
#include <utility>

namespace torture {

using namespace std::chrono_literals;
using namespace millrace::testing;

namespace {

constexpr unsigned slots = 4;
constexpr unsigned helpers = 2;
constexpr std::uint64_t open_max = 48;
constexpr std::size_t warnings_kept = 20;

// In real time; far more than anything needs on a busy machine.
constexpr auto patience = 60s;

std::string helper_name(std::uint64_t number) {
  return "h" + std::to_string(number);
}

errc any_fault(std::uint64_t dice) {
  constexpr std::array faults{errc::out_of_space, errc::storage_failed, errc::unavailable};
  return faults[dice % faults.size()];
}

}  // namespace

driver::driver(std::uint64_t seed, unsigned threads)
    : by_hand_(threads == 0),
      threads_(threads),
      random_(seed),
      seen_([this](const std::string& what) { complain(what); }) {}

actor_ref<Worker> driver::any_worker() {
  return ref<Worker>(worker_name(static_cast<unsigned>(below(workers))));
}

void driver::complain(const std::string& what) {
  const std::lock_guard lock{complaints_mutex_};
  complaints_.push_back(what);
}

bool driver::failed() {
  const std::lock_guard lock{complaints_mutex_};
  return !complaints_.empty();
}

// --- lives of the silo ---------------------------------------------------------------------------

void driver::start() {
  using work_is_done = mortal_storage::work_is_done;
  auto rows = std::make_unique<mortal_storage>(
      disk_, by_hand_ ? work_is_done::when_told : work_is_done::on_a_thread);
  rows_ = rows.get();
  auto faults = std::make_unique<faulty_storage>(std::move(rows));
  faults_ = faults.get();
  seen_.silo = below(2) == 0 ? "home" : "away";
  silo_options options;
  options.name = seen_.silo;
  options.offload_threads_max = 2;
  options.offload_queue_max = 4;
  options.threads = threads_;
  options.by_hand = by_hand_;
  options.mailbox_messages_max = 30;
  options.idle_timeout = 20s;
  options.stuck_after = below(2) == 0 ? duration{300ms} : duration{60s};
  options.memory_budget_bytes = below(3) == 0 ? 20'000 : 0;
  options.warn = [this](std::string_view line) {
    const std::lock_guard lock{mutex_};
    if (report_.warnings.size() == warnings_kept) {
      report_.warnings.erase(report_.warnings.begin());
    }
    report_.warnings.emplace_back(line);
    if (line.find("dead letter") != std::string_view::npos ||
        (!in_haste_ && line.find("still busy") != std::string_view::npos)) {
      complain(std::string{line});
    }
  };
  here_.emplace(std::move(faults), std::move(options), time_);
  here_->add<worker>([this] { return std::make_unique<worker>(seen_); });
  here_->add<helper>([this] { return std::make_unique<helper>(seen_); });
  here_->add<anchor>([this] { return std::make_unique<anchor>(seen_); });
  if (auto started = here_->start(); !started) {
    complain("the silo did not start: " + started.error().to_string());
  }
}

void driver::end(way_to_end way) {
  report_.activations += here_->stats().activations_total;
  switch (way) {
    case way_to_end::killed: {
      {
        const std::lock_guard lock{mutex_};
        killed_ = true;  // what is answered from now on was never heard
      }
      rows_->die(static_cast<unsigned>(below(4)));
      here_->stop(0s);
      ++report_.kills;
      break;
    }
    case way_to_end::stopped_in_haste:
      in_haste_ = true;
      here_->stop(below(2) == 0 ? 0ms : 1ms);
      ++report_.stops;
      break;
    case way_to_end::stopped:
      faults_->release_commits();
      if (by_hand_) {
        rows_->hurry();
      }
      here_->stop();
      ++report_.stops;
      break;
  }
  cancellable_.clear();
  here_.reset();
  const std::lock_guard lock{mutex_};
  killed_ = false;
  in_haste_ = false;
  if (open_ != 0) {
    complain(std::to_string(std::exchange(open_, 0)) + " calls were not answered by the end");
  }
}

// Multiplies and folds, so that the order counts. With threads there is no order.
void driver::trace(std::uint64_t what) {
  if (!by_hand_) {
    return;
  }
  report_.trace = (report_.trace ^ what) * 0x9e3779b97f4a7c15U;
  report_.trace ^= report_.trace >> 32U;
}

void driver::move(duration by) {
  time_.move(by);
  here_->time_changed();
}

// --- asking --------------------------------------------------------------------------------------

operation& driver::fresh(operation_kind kind, const std::string& actor) {
  const std::lock_guard lock{mutex_};
  auto& one = asked_.emplace_back();
  one.kind = kind;
  one.actor = actor;
  one.effect = std::exchange(next_effect_, next_effect_ + 2);
  ++report_.operations;
  return one;
}

template <class T>
void driver::ask(operation& one, call<T> what) {
  {
    const std::lock_guard lock{mutex_};
    one.asked_at = ++events_;
    ++one.open;
    ++open_;
  }
  here_->call_then<T>(std::move(what), [this, &one](result<T> answer) { answered(one, answer); });
}

template <class T>
void driver::answered(operation& one, const result<T>& answer) {
  const std::lock_guard lock{mutex_};
  --one.open;
  --open_;
  one.answered_at = ++events_;
  trace(one.effect);
  trace(answer ? 0 : static_cast<std::uint64_t>(answer.error().code()));
  if (killed_) {
    one.doubtful = true;
  } else if (answer) {
    one.done = true;
    if constexpr (!std::is_void_v<T>) {
      if (answer->times() != 1) {
        complain("apply " + std::to_string(one.effect) + " of " + one.actor + " was made " +
                 std::to_string(answer->times()) + " times");
      }
    }
  } else if (const auto code = answer.error().code();
             retry_of(code) == retry_class::unknown || code == errc::cancelled ||
             (one.pauses && code == errc::conflict)) {  // its own, when it has done one half
    one.doubtful = true;
  }
  answer_came_.notify_one();
}

void driver::ask_something(std::uint64_t dice) {
  const auto to = any_worker();
  const auto& key = to.key();
  switch (dice) {
    case 0: {
      auto& one = fresh(operation_kind::apply, key);
      ask(one, to.apply(one.effect));
      return;
    }
    case 1: {
      auto& one = fresh(operation_kind::apply, key);
      one.idempotency_key = "k" + std::to_string(one.effect);
      for (auto times = 1 + below(2); times > 0; --times) {
        ask(one, to.apply(one.effect).keyed(one.idempotency_key));
      }
      return;
    }
    case 2: {
      auto& one = fresh(operation_kind::relay, key);
      const auto number = number_of(key);  // itself: a call cycle
      one.other_actor = worker_name(number + static_cast<unsigned>(below(workers - number)));
      ask(one, to.relay(one.other_actor, one.effect, one.effect + 1));
      return;
    }
    case 3:
    case 4: {
      auto& one = fresh(operation_kind::post, key);
      one.other_actor = any_worker().key();
      ask(one, to.post(one.other_actor, one.effect, one.effect + 1, below(4) == 0));
      return;
    }
    case 5: {
      auto& one = fresh(operation_kind::remind, key);
      one.chain = static_cast<std::uint32_t>(below(3));
      ask(one, to.remind(one.effect, 1 + static_cast<std::uint32_t>(below(8'000)), one.chain,
                         below(2) == 0));
      return;
    }
    case 6: {
      auto& one = fresh(operation_kind::linger, key);
      ask(one, to.linger(one.effect, static_cast<std::uint32_t>(below(5'000))));
      return;
    }
    case 7: {
      auto& one = fresh(operation_kind::tick, key);
      one.chain = static_cast<std::uint32_t>(below(3));
      ask(one, to.tick(one.effect, 1 + static_cast<std::uint32_t>(below(4'000)), one.chain));
      return;
    }
    case 8: {
      auto& one = fresh(operation_kind::entrust, key);
      one.other_actor = any_worker().key();
      ask(one, to.entrust(one.other_actor, one.effect, one.effect + 1,
                          static_cast<std::uint32_t>(below(3'000))));
      return;
    }
    case 9: {
      auto& one = fresh(operation_kind::hand_on, key);
      one.other_actor = any_worker().key();
      ask(one,
          to.hand_on(one.other_actor, helper_name(below(helpers)), one.effect, one.effect + 1));
      return;
    }
    case 10:
    case 11:
    case 12:
      ask_tour();
      return;
    case 13: {
      auto& one = fresh(operation_kind::stumble, key);
      plan_stumbling(one);
      one.pauses = below(2) == 0;
      if (below(2) == 0) {
        one.idempotency_key = "s" + std::to_string(one.effect);
      }
      ask_keyed(one);
      return;
    }
    case 14: {
      auto& one = fresh(operation_kind::post_stumble, key);
      plan_stumbling(one);
      ++next_effect_;  // it makes three
      one.other_actor = any_worker().key();
      ask(one, to.post_stumble(one.other_actor, one.effect, one.effect + 1, one.way, one.times));
      return;
    }
    default: {
      auto& one = fresh(operation_kind::put, key);
      one.slot = "s" + std::to_string(below(slots));
      one.value = below(4) == 0 ? 0 : one.effect;
      ask(one, to.put(one.slot, one.value));
      return;
    }
  }
}

void driver::plan_stumbling(operation& one) {
  one.way = static_cast<std::uint8_t>(below(3));
  one.times = static_cast<std::uint32_t>(below(4));
}

void driver::ask_keyed(operation& one) {
  const auto to = ref<Worker>(one.actor);
  if (one.kind == operation_kind::apply) {
    ask(one, to.apply(one.effect).keyed(one.idempotency_key));
  } else {
    ask(one, to.stumble(one.effect, one.way, one.times, one.pauses).keyed(one.idempotency_key));
  }
}

// Half of the time it comes back to someone on its way.
stop driver::any_stop(std::vector<std::string> above, unsigned& stops_left) {
  stop one;
  const auto dice = below(16);
  if (above.empty()) {
    one.actor = any_worker().key();
  } else if (dice < 8) {
    one.actor = above[below(above.size())];
  } else if (dice < 13) {
    one.actor = any_worker().key();
  } else if (dice < 15) {
    one.actor = helper_name(below(helpers));
  } else {
    one.actor = below(2) == 0 ? "home/a" : "away/a";
  }
  one.number = std::exchange(next_effect_, next_effect_ + 2);
  one.reads = below(2) == 0;
  one.scoped = below(8) != 0;
  one.together = below(2) == 0;
  one.tolerant = below(3) == 0;
  one.offloads = below(3) == 0;
  one.fails = below(16) == 0;
  one.limit_ms = !above.empty() && below(8) == 0 ? 1 + static_cast<std::uint32_t>(below(3'000)) : 0;
  above.push_back(one.actor);
  for (auto next = below(4); next > 0 && stops_left > 0; --next) {
    --stops_left;
    one.next.push_back(any_stop(above, stops_left));
  }
  return one;
}

void driver::ask_tour() {
  auto stops_left = static_cast<unsigned>(below(8));
  auto route = any_stop({}, stops_left);
  auto& one = fresh(operation_kind::tour, route.actor);
  one.route = std::move(route);
  {
    const std::lock_guard lock{mutex_};
    one.asked_at = ++events_;
    ++one.open;
    ++open_;
  }
  auto handle = here_->start_call(std::move(call_of(one.route, {}).spec()), [this, &one](auto got) {
    answered(one, got ? result<void>{} : result<void>{std::move(got).error()});
  });
  constexpr std::size_t handles_max = 16;
  if (cancellable_.size() == handles_max) {
    cancellable_.erase(cancellable_.begin());
  }
  cancellable_.emplace_back(&one, std::move(handle));
}

void driver::cancel_something() {
  if (!cancellable_.empty()) {
    const auto at = static_cast<std::ptrdiff_t>(below(cancellable_.size()));
    auto handle = std::move(cancellable_[static_cast<std::size_t>(at)].second);
    cancellable_.erase(cancellable_.begin() + at);
    handle.cancel();
  }
}

// So many that an activation does not know them all when it begins.
void driver::ask_many() {
  constexpr unsigned many = 80;
  const auto to = any_worker();
  for (unsigned at = 0; at < many; ++at) {
    auto& one = fresh(operation_kind::apply, to.key());
    one.idempotency_key = "m" + std::to_string(one.effect);
    ask_keyed(one);
    wait_for_answers(8);
  }
}

// An operation with a key, however long ago; often on another activation.
void driver::ask_again() {
  const std::size_t latest = below(2) == 0 ? 20 : SIZE_MAX;
  std::vector<operation*> keyed;
  {
    const std::lock_guard lock{mutex_};
    for (auto at = asked_.rbegin(); at != asked_.rend() && keyed.size() < latest; ++at) {
      if (!at->idempotency_key.empty()) {
        keyed.push_back(&*at);
      }
    }
  }
  if (keyed.empty()) {
    return;
  }
  auto& one = *keyed[below(keyed.size())];
  if (below(2) == 0) {
    here_->tell(ref<Worker>(one.actor).leave());
    let_happen(below(32));
  }
  ask_keyed(one);
  if (below(4) == 0) {
    ask_keyed(one);
  }
}

void driver::fail_something() {
  ++report_.faults;
  const error why{any_fault(below(3)), "planned"};
  const auto count = static_cast<unsigned>(1 + below(3));
  const auto skip = static_cast<unsigned>(below(10));
  switch (below(5)) {
    case 0:
      faults_->fail_reads(why, count, skip);
      break;
    case 1:
      faults_->hold_commits();
      break;
    case 2:
      faults_->fail_commits({errc::out_of_space, "planned"}, 10 * count, skip);
      break;
    default:
      faults_->fail_commits(why, count, skip);
      break;
  }
}

void driver::step() {
  let_happen(below(16));
  const auto dice = below(1'000);
  trace(dice);
  if (dice < 3) {
    constexpr std::array ways{way_to_end::killed, way_to_end::killed, way_to_end::stopped_in_haste,
                              way_to_end::stopped};
    end(ways[below(ways.size())]);
    start();
  } else if (dice < 20) {
    fail_something();
  } else if (dice < 40) {
    faults_->release_commits();
  } else if (dice < 80) {
    move(std::chrono::milliseconds{below(3'000)});
  } else if (dice < 120) {
    here_->tell(any_worker().leave());
  } else if (dice < 170) {
    here_->tell(any_worker().rouse());
  } else if (dice < 200) {
    ask_again();
  } else if (dice < 210) {
    wait_for_answers(0);
  } else if (dice < 230) {
    cancel_something();
  } else {
    ask_something(dice % 17);
    wait_for_answers(open_max);
  }
}

std::uint64_t driver::open() {
  const std::lock_guard lock{mutex_};
  return open_;
}

// By hand: lets so much happen, in an order that the seed gives; false when there is nothing left.
bool driver::let_happen(std::uint64_t at_most) {
  auto more = by_hand_;
  for (std::uint64_t done = 0; more && done < at_most; ++done) {
    const auto choice = random_.next();
    enum class done_by : std::uint8_t { storage_first, silo, storage, nobody };
    const auto by = choice % 3 == 0 && rows_->do_one() ? done_by::storage_first
                    : here_->run_one(static_cast<std::size_t>(choice >> 32U)) ? done_by::silo
                    : rows_->do_one()                                         ? done_by::storage
                                                                              : done_by::nobody;
    trace(choice + static_cast<std::uint64_t>(by));
    more = by != done_by::nobody;
  }
  return more;
}

// By hand, when nothing is left to happen, nobody waits but for time to pass.
void driver::complain_if_stuck() {
  const std::lock_guard lock{mutex_};
  for (const auto& one : asked_) {
    if (one.open > 0 && one.kind != operation_kind::linger) {
      complain("operation " + std::to_string(one.effect) + " of " + one.actor + " (kind " +
               std::to_string(static_cast<int>(one.kind)) + ") waits for nothing");
    }
  }
}

void driver::wait_for_answers(std::uint64_t limit) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (open() > limit) {
    if (by_hand_) {
      if (let_happen(1)) {
        continue;
      }
    } else {
      std::unique_lock lock{mutex_};
      if (answer_came_.wait_for(lock, 5ms, [&] { return open_ <= limit; })) {
        return;
      }
    }
    faults_->release_commits();
    if (by_hand_) {
      if (let_happen(1)) {
        continue;
      }
      complain_if_stuck();
      if (failed()) {
        return;
      }
    }
    move(1s);  // for those who linger
    if (std::chrono::steady_clock::now() > until) {
      complain(std::to_string(open()) + " calls are not answered");
      return;
    }
  }
}

// --- the reckoning -------------------------------------------------------------------------------

// Everything stored is delivered by itself once nothing fails any more.
void driver::drain() {
  faults_->fail_commits({errc::internal, ""}, 0);
  faults_->fail_reads({errc::internal, ""}, 0);
  faults_->release_commits();
  wait_for_answers(0);
  const auto until = std::chrono::steady_clock::now() + patience;
  for (unsigned quiet = 0; quiet < 20;) {
    move(5s);
    if (!by_hand_) {
      std::this_thread::sleep_for(1ms);
    }
    while (let_happen(100)) {
    }
    const auto stats = here_->stats();
    quiet = stats.sends_pending == 0 && stats.reminders == 0 ? quiet + 1 : 0;
    if (std::chrono::steady_clock::now() > until) {
      complain(std::to_string(stats.sends_pending) + " sends and " +
               std::to_string(stats.reminders) + " reminders do not end");
      return;
    }
  }
}

result<worker_interface::dump_results> driver::dump_of(const std::string& name) {
  if (!by_hand_) {
    return here_->call(ref<Worker>(name).dump());
  }
  std::optional<result<worker_interface::dump_results>> dump;
  here_->call_then<worker_interface::dump_results>(
      ref<Worker>(name).dump(),
      [&](result<worker_interface::dump_results> answer) { dump.emplace(std::move(answer)); });
  while (!dump && let_happen(1)) {
  }
  return dump ? *std::move(dump) : error{errc::outcome_unknown, "it does not answer"};
}

void driver::reckon() {
  std::map<std::string, worker_content> found;
  for (unsigned number = 0; number < workers; ++number) {
    const auto name = worker_name(number);
    const auto dump = dump_of(name);
    if (!dump) {
      complain(name + " does not tell: " + dump.error().to_string());
      continue;
    }
    auto& content = found[name];
    content.total = dump->total();
    content.gaps = dump->gaps();
    trace(content.total);
    for (const auto each : dump->read().getEffects()) {
      content.effects[each.getName()] = each.getValue();
    }
    for (const auto each : dump->read().getSlots()) {
      content.slots[each.getName()] = each.getValue();
    }
  }
  check_history(asked_, found, seen_);
}

torture_report driver::run(std::uint64_t steps) {
  start();
  if (below(2) == 0) {
    ask_many();
  }
  for (std::uint64_t at = 0; at < steps && !failed(); ++at) {
    step();
  }
  if (!failed()) {
    drain();
    reckon();
  }
  for (const auto& one : asked_) {
    ++report_.by_knowledge[static_cast<std::size_t>(one.known())];
  }
  end(way_to_end::stopped);
  report_.returned = seen_.returned;
  report_.overlapped = seen_.overlapped;
  report_.offloaded = seen_.offloaded;
  report_.complaints = complaints_;
  return report_;
}

}  // namespace torture
