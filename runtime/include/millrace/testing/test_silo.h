// SPDX-License-Identifier: MIT
// Test silo: tests of actors in a few lines, without a port, a file or a sleep.
//
//     TEST_CASE("a device is offline when it has been silent for a minute") {
//       test_silo silo{[](runtime::silo& here) { here.add<device_twin>(); }};
//       const auto lamp = ref<DeviceTwin>("lamp");
//       REQUIRE(silo.call(lamp.report("power", "on")));
//       auto waiting = silo.begin(lamp.await_config(0));       // a long poll
//       silo.advance(59s);
//       CHECK(silo.call(lamp.describe())->online());
//       CHECK_FALSE(waiting.answered());
//       silo.restart();
//       silo.advance(1s);                                      // a reminder fires
//       CHECK_FALSE(silo.call(lamp.describe())->online());
//     }
//
// It is a real silo: state is committed, read back and recovered. Only its clock is moved by the
// test, one thread runs its turns, and its rows are in memory unless the test gives others.
//
// Every member settles the silo before it returns. *Settled* means that nothing can happen any more
// but by time, by a call from outside or by the test: no turn runs or could run, every message has
// been handled, every row that was asked for has been read, every commit has been answered (but
// those that `rows()` was told to hold), every offloaded function has ended. So what a call has set
// off (sends, tells, the end of an activation) has happened as well, and a test asserts at once.
// What settles in which order is not said where two actors have nothing to do with each other.
// Threads of the test's own are not seen, nor what they will do.
//
// What does not settle within thirty seconds of real time (an actor that calls itself without end,
// an offloaded function that waits for the test) ends the test: the member throws a
// `std::runtime_error` that says what is still busy. For tests of such things `here()` is the silo
// itself, whose members do not settle.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/runtime/silo.h"
#include "millrace/testing/faulty_storage.h"
#include "millrace/testing/hand_clock.h"
#include "millrace/testing/open_call.h"

namespace millrace::testing {

namespace detail {
class lent_storage;
}

/// See above.
///
/// Threading: one thread, the test's.
class test_silo : private detail::call_home {
public:
  /// Makes types, filters and the like known to a silo that has not started. Called for each start.
  using setup = std::function<void(runtime::silo&)>;

  /// Starts a silo. With `options.threads` of 0 one thread runs turns; with `options.by_hand` the
  /// test's own does, and the blocking calls of `here()` are out of bounds.
  /// Ownership: `rows` is kept over restarts and stopped at the end.
  explicit test_silo(setup prepare, runtime::silo_options options = {},
                     std::unique_ptr<runtime::storage> rows = runtime::make_memory_storage());
  test_silo(const test_silo&) = delete;
  test_silo& operator=(const test_silo&) = delete;
  ~test_silo() override;

  /// Calls an actor and gives the answer. Throws when only time can bring it: `begin` such calls.
  template <class T>
  runtime::result<T> call(runtime::call<T> one) {
    return begin(std::move(one)).answer();
  }

  /// Calls an actor; it has begun when this returns, unless others keep it waiting.
  template <class T>
  [[nodiscard]] open_call<T> begin(runtime::call<T> one) {
    return {*this, begin_spec(std::move(one.spec()))};
  }

  /// As `silo::tell`.
  template <class T>
  void tell(runtime::call<T> one) {
    here().tell(std::move(one));
    settle();
  }

  /// Returns when the silo has settled, see above. For what the test did behind its back.
  void settle();

  /// Lets time pass, from one instant at which something is due to the next, and settles at each:
  /// timers, reminders, deadlines and idle timeouts have their effects in the order of their times.
  /// Without a silo (see `stop`) only the clock moves.
  /// Cost: a few microseconds an instant; a silo with a reminder has one every ten seconds.
  void advance(runtime::duration by);

  /// Stops the silo as a program that ends does, see `silo::stop`.
  void stop();
  /// Ends the silo as `kill -9` does: no hook runs, held commits are lost, open calls are answered
  /// with `outcome_unknown`. What was committed is there.
  void crash();
  /// Starts it again on the same rows. Requires: stopped or crashed.
  void start();
  /// `stop` and `start`.
  void restart();

  /// Takes a partition from the silo, as when another becomes its primary, and settles: its
  /// activations end without their hooks, who calls them gets `not_primary`.
  void discard(runtime::partition_id partition);
  /// Gives it back, and settles: its reminders and sends go on. Errors: those of a scan.
  runtime::result<void> take_over(runtime::partition_id partition);

  /// The silo itself. Requires: neither stopped nor crashed.
  [[nodiscard]] runtime::silo& here();
  /// The storage it has, to make commits and reads fail or wait. Another after each start.
  [[nodiscard]] faulty_storage& rows();
  /// Its clock. After setting the time of day, `settle`.
  [[nodiscard]] hand_clock& clock() noexcept { return clock_; }
  /// What the silo has warned of, in order.
  [[nodiscard]] std::vector<std::string> warnings() const;

private:
  [[nodiscard]] std::shared_ptr<detail::open_answer> begin_spec(runtime::call_spec spec);
  [[nodiscard]] bool has_answer(detail::open_answer& of) override;
  [[nodiscard]] runtime::result<runtime::any_message> take_answer(detail::open_answer& of) override;
  void cancel(detail::open_answer& of) override;
  [[nodiscard]] std::string busy_with();
  void warn(std::string_view line);

  setup prepare_;
  runtime::silo_options options_;
  std::function<void(std::string_view)> also_warn_;
  std::unique_ptr<runtime::storage> stored_;
  hand_clock clock_;
  mutable std::mutex mutex_;
  std::vector<std::string> warnings_;
  bool crashed_ = false;
  detail::lent_storage* lent_ = nullptr;  // the silo's, as `rows_`
  faulty_storage* rows_ = nullptr;
  std::optional<runtime::silo> here_;
};

}  // namespace millrace::testing
