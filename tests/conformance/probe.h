// SPDX-License-Identifier: MIT
// The actors of the conformance suite, and the diary in which they write what happens to them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "conformance/probe.capnp.actor.h"
#include "millrace/runtime/silo.h"
#include "millrace/testing/test_silo.h"

namespace millrace::conformance {

using namespace millrace::runtime;
using namespace std::chrono_literals;

/// What happened, in order; of one test.
///
/// Threading: any thread.
class diary {
public:
  void write(std::string entry) {
    const std::lock_guard lock{mutex_};
    entries_.push_back(std::move(entry));
    written_.notify_all();
  }
  /// Blocks until the entry is there `times` times; false after a minute without.
  [[nodiscard]] bool has(const std::string& entry, std::ptrdiff_t times = 1) {
    std::unique_lock lock{mutex_};
    return written_.wait_for(
        lock, 60s, [&] { return std::count(entries_.begin(), entries_.end(), entry) >= times; });
  }
  [[nodiscard]] std::vector<std::string> all() {
    const std::lock_guard lock{mutex_};
    return entries_;
  }
  [[nodiscard]] std::ptrdiff_t count(const std::string& entry) {
    const auto now = all();
    return std::count(now.begin(), now.end(), entry);
  }

private:
  std::mutex mutex_;
  std::condition_variable written_;
  std::vector<std::string> entries_;
};

/// What the actors of one test share with it.
struct stage {
  std::atomic<bool> unwilling{false};
  std::atomic<int> timer_count{0};
  std::atomic<int> reminder_count{0};
  diary events;
  std::promise<void> gate;  ///< Held threads wait for it.
  std::shared_future<void> opened{gate.get_future()};
};

class probe final : public probe_base<ProbeState> {
public:
  explicit probe(stage& on) : stage_(on) {
    if (key() == "unbuildable") {
      throw std::runtime_error{"planned"};
    }
  }

  async<> on_activate() override {
    if (key() == "unwilling") {
      co_await fail(errc::failed_precondition, "not today");
    }
    if (key().starts_with("hooked")) {
      write("activates");
    }
    if (key() == "hooked and leaves at once") {
      deactivate_when_idle();
    }
    if (key() == "fat" || key().starts_with("bad start")) {
      write("starts at version " + std::to_string(version()));
    }
    if (key() == "bad start") {
      edit().setValue(77);
      send(ref<Probe>("receiver").raise());
      co_await offload([] {});
      write("fails now");
      co_await fail(errc::failed_precondition, "not today");
    }
    if (key() == "never starts" && stage_.unwilling) {
      write("refuses");
      co_await fail(errc::failed_precondition, "not today");
    }
    if (key() == "slow to begin") {
      co_await wait({}, 1h);
    }
  }
  async<> on_deactivate(deactivation why) override {
    if (key() == "fat") {
      edit().initPad(20u << 20);
    }
    if (key() == "slow to end") {
      co_await wait({}, 1h);
    }
    if (key().starts_with("hooked")) {
      write(why == deactivation::idle        ? "is idle"
            : why == deactivation::requested ? "leaves"
                                             : "is stopped");
    }
  }
  async<> on_timer(std::string name) override {
    if (++stage_.timer_count < 50) {
      write(name);
    }
    if (name.starts_with("once, then again")) {
      set_timer("again", 1ms);
    }
    if (name.starts_with("stops itself")) {
      cancel_timer(name);
    }
    if (name.starts_with("slow")) {
      co_await wait("go", 1h);
      write(name + " ends");
    }
  }

  async<> on_reminder(std::string name) override {
    if (name == "twice at once" && stage_.reminder_count == 0) {
      set_reminder(name, reminder_due(name));
    }
    if (++stage_.reminder_count > 50) {
      return {};
    }
    const auto due = reminder_due(name).time_since_epoch() / 1s;
    write(name + " at " + std::to_string(due - 1'577'836'800) + " s");
    if (name.starts_with("moves itself")) {
      set_reminder(name, now() + 1h);
    }
    return {};
  }

  async<set_results> set(set_params params) override {
    edit().setValue(params.value());
    co_return set_results{version() + 1};
  }
  async<get_results> get() override { co_return get_results{state().getValue(), version()}; }

  async<> hold(hold_params params) override {
    return held(std::string{params.name()}, params.limit_ms());
  }
  async<> hold_reading(hold_reading_params params) override {
    return held(std::string{params.name()}, params.limit_ms());
  }
  async<> hold_beside(hold_beside_params params) override {
    return held(std::string{params.name()}, params.limit_ms());
  }
  async<> raise() override {
    notify("go");
    return {};
  }
  async<> hold_other(hold_other_params params) override {
    const auto answer = co_await as_result(
        ref<Probe>(std::string{params.key()}).hold(params.name(), params.limit_ms()));
    write(key() + " hears " + (answer ? "success" : std::string{to_string(answer.error().code())}));
    if (!answer) {
      const auto after = co_await as_result(ref<Probe>("someone").get());
      write(after ? "goes on" : "may not go on");
      co_await fail(answer.error());
    }
  }
  async<> call_back(call_back_params params) override {
    const std::string key{params.key()};
    const std::string then{params.then()};
    if (key.empty()) {
      co_await ref<Probe>(then).get();
    } else {
      co_await ref<Probe>(key).call_back("", then);
    }
  }
  async<> hold_then_call(hold_then_call_params params) override {
    const std::string next{params.next()};
    co_await wait("go", 1s);
    co_await ref<Probe>(next).get();
  }
  async<> leave() override {
    if (key() == "sender") {
      edit().setValue(1);
      send(ref<Probe>("receiver").hold_beside("sent", 3'000'000));
      co_return;
    }
    deactivate_when_idle();
  }
  async<> stay(stay_params params) override {
    stay_active(std::chrono::milliseconds{params.for_ms()});
    return {};
  }
  async<> linger(linger_params params) override {
    const std::chrono::milliseconds limit{params.for_ms()};
    set_idle_timeout(limit >= 0ms ? std::optional<duration>{limit} : std::nullopt);
    return {};
  }
  async<block_results> block(block_params params) override {
    const std::string how{params.how()};
    if (how == "edit, offload") {
      edit().setValue(99);
      co_await offload([on = &stage_] { on->events.write("effect"); });
    } else if (how == "offload arguments") {
      const auto join = [](std::string first, const std::string& second) { return first + second; };
      std::string longer(100, 'a');
      auto text = co_await offload(join, std::move(longer), std::string(100, 'b'));
      co_return block_results{text};
    } else if (how == "throw int") {
      co_await offload([] { throw 42; });
    } else if (how == "wait twice") {
      write("waits");
      static_cast<void>(co_await as_result(wait_for_go(3'000'000)));
      write("first over");
      static_cast<void>(co_await as_result(wait_for_go(3'000'000)));
      write("second over");
    } else if (how == "offload after") {
      write("waits");
      static_cast<void>(co_await as_result(wait_for_go(3'000'000)));
      static_cast<void>(co_await as_result(offload([on = &stage_] { on->opened.wait(); })));
      write("offload over");
    } else if (how == "plain forever") {
      set_reminder("forever", now() + 1s, duration::max());
    } else if (how == "plain tiny") {
      set_reminder("tiny", now() + 1s, duration{1});
    } else if (how == "timer negative") {
      set_timer("negative", 1ms, duration{-1});
    } else if (how == "inside") {
      write("holds the thread");
      stage_.opened.wait();
    } else if (how == "offload") {
      auto text = co_await offload([on = &stage_] {
        on->events.write("works elsewhere");
        on->opened.wait();
        return std::string{"done"};
      });
      co_return block_results{text};
    } else {
      const auto broken = [] { throw error{errc::conflict, "offloaded"}; };
      if (how == "throw") {
        co_await offload(broken);
      }
      const auto outcome = co_await as_result(offload(broken));
      co_return block_results{outcome ? "none" : outcome.error().text()};
    }
    co_return block_results{"here"};
  }
  async<> every_ms(every_ms_params params) override {
    set_timer(std::string{params.name()}, std::chrono::milliseconds{params.after_ms()},
              std::chrono::milliseconds{params.every_ms()});
    return {};
  }
  async<> stop(stop_params params) override {
    cancel_timer(params.name());
    return {};
  }

  async<> remind(remind_params params) override {
    reminder_schedule when;
    when.first =
        params.in_ms() >= 0 ? now() + std::chrono::milliseconds{params.in_ms()} : wall_time{};
    when.every = std::chrono::milliseconds{params.every_ms()};
    when.cron = params.cron();
    when.time_zone = params.zone().empty() ? "UTC" : std::string{params.zone()};
    when.catch_up = params.catch_up() == "all"    ? catch_up::all
                    : params.catch_up() == "skip" ? catch_up::skip
                                                  : catch_up::once;
    set_reminder(std::string{params.name()}, when);
    return {};
  }
  async<list_reminders_results> list_reminders() override {
    const auto all = reminders();
    list_reminders_results results;
    auto names = results.build().initNames(static_cast<unsigned>(all.size()));
    auto due = results.build().initDue(static_cast<unsigned>(all.size()));
    for (unsigned at = 0; at < all.size(); ++at) {
      names.set(at, all[at].name.c_str());
      due.set(at, all[at].due.time_since_epoch() / 1ms);
    }
    co_return results;
  }
  async<> forget(forget_params params) override {
    cancel_reminder(params.name());
    return {};
  }
  async<tell_context_results> tell_context(tell_context_params params) override {
    const std::string name{params.name()};
    const auto here = [&] {
      const auto found = context().find(name);
      return found != context().end() ? found->second : std::string{"-"};
    };
    auto values = here();
    if (const std::string next{params.next()}; !next.empty()) {
      auto answer = co_await ref<Probe>(next).tell_context(name, "").with("own", "changed");
      values += " " + std::string{answer.values()} + " " + here();
    }
    co_return tell_context_results{values};
  }
  async<set_if_results> set_if(set_if_params params) override {
    require_version(params.version());
    edit().setValue(params.value());
    co_return set_if_results{version() + 1};
  }

private:
  void write(std::string what) { stage_.events.write(std::move(what)); }

  async<> held(std::string name, std::int64_t limit_ms) {
    write(name + " begins");
    const auto waited = co_await as_result(wait_for_go(limit_ms));
    write(name + (waited ? " ends" : cancelled() ? " is cancelled" : " fails"));
    if (!waited) {
      co_await fail(waited.error());
    }
  }
  async<> wait_for_go(std::int64_t limit_ms) {
    co_await wait("go", std::chrono::milliseconds{limit_ms});
  }

  stage& stage_;
};

class brief final : public brief_base<> {
public:
  async<> touch() override { return {}; }
};

/// A test silo of these actors.
class probe_silo : public stage, public testing::test_silo {
public:
  explicit probe_silo(silo_options options = {},
                      std::unique_ptr<storage> rows_of = make_memory_storage(),
                      const setup& prepare = {})
      : test_silo(
            [this, prepare](silo& here) {
              here.add<probe>([this] { return std::make_unique<probe>(*this); });
              here.add<brief>();
              if (prepare) {
                prepare(here);
              }
            },
            writing_down(std::move(options)), std::move(rows_of)) {}

  /// Begins a call that holds a thread, so that nothing settles before the test lets it go.
  template <class T>
  std::future<result<T>> begin_holding(runtime::call<T> one) {
    auto promise = std::make_shared<std::promise<result<T>>>();
    auto future = promise->get_future();
    here().call_then<T>(std::move(one),
                        [promise](result<T> answer) { promise->set_value(std::move(answer)); });
    return future;
  }
  /// Lets time pass in a silo that does not settle.
  void advance_holding(duration by) {
    clock().move(by);
    here().time_changed();
  }

private:
  silo_options writing_down(silo_options options) {
    options.warn = [this](std::string_view line) { events.write("warning: " + std::string{line}); };
    return options;
  }
};

}  // namespace millrace::conformance
