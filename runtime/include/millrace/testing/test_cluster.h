// SPDX-License-Identifier: MIT
// Test cluster: what becomes of actors when silos die and networks break, in milliseconds.
//
//     TEST_CASE("an account answers elsewhere when its silo is killed, and has what it had") {
//       test_cluster cluster{[](runtime::silo& here) { here.add<account>(); }};
//       const auto savings = ref<Account>("savings");
//       REQUIRE(cluster.call(savings.deposit(5)));
//       const auto before = cluster.leader_of(savings);
//       cluster.kill(before);
//       CHECK(cluster.call(savings.get())->balance() == 5);     // as much time passes as it takes
//       CHECK(cluster.leader_of(savings) != before);
//       cluster.start(before);
//       cluster.network().isolate(cluster.leader_of(savings));
//       auto lost = cluster.begin(savings.deposit(1), cluster.leader_of(savings));
//       cluster.advance(10s);
//       CHECK(lost.answer().error().code() == errc::outcome_unknown);
//     }
//
// They are real silos in this process: turns, storage on real disks in a temporary directory,
// copies, leases, takeovers, calls between silos and drains are those of any cluster. The test's
// are the clock, the network, and the coordination store, which is in memory and answers at once.
//
// Every member settles the silos before it returns, as those of a `test_silo` do: nothing can
// happen any more but by time, by a call from outside or by the test. Commits that wait for other
// silos, messages that are delayed or cut off, and timeouts wait for time.
//
// What is the same in each run: what has been acknowledged, what a settled cluster answers, and
// about when (to the tenth of a second) something is decided. What is not: the order of what
// happens at one instant, since silos have threads; which commits share a write of the journal;
// how long a start or a stop takes by the clock; and who leads what after a failover that several
// silos tried. What does not settle within thirty seconds of real time throws a
// `std::runtime_error`, as for a `test_silo`.
//
// A process that is stopped and continued (SIGSTOP) cannot be had here: the threads are the
// test's own. To the others it is the same as `network().isolate()` and `heal()`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/silo.h"
#include "millrace/testing/faulty_storage.h"
#include "millrace/testing/hand_clock.h"
#include "millrace/testing/open_call.h"
#include "millrace/testing/test_network.h"

namespace millrace::testing {

/// How a test cluster is made.
struct test_cluster_options {
  std::vector<std::string> silos = {"a", "b", "c"};  ///< That start with it, in this order.
  std::size_t copies = 3;                            ///< Of each partition.
  std::uint16_t partitions = 16;                     ///< Few: each costs time in every step.
  /// Of each silo; its name, its warnings and its cluster's store are the test's.
  runtime::silo_options silo = {};
  /// Changes those of one of them: roles, labels. Called for each start.
  std::function<void(runtime::silo_options&)> adjust = [](runtime::silo_options&) {};
};

/// How a silo ends.
enum class ending : std::uint8_t {
  proven,  ///< As a killed process: its kernel says so at once.
  silent,  ///< As a machine without power: nobody hears of it any more.
};

/// See above.
///
/// Threading: one thread, the test's.
class test_cluster : private detail::call_home {
public:
  /// Makes types, filters and the like known to a silo that has not started (see `silo::name`).
  /// Called for each start.
  using setup = std::function<void(runtime::silo&)>;

  /// Starts the silos, and waits until each partition has its copies and is led by the silo that
  /// it prefers. Cost: about a hundred milliseconds a silo.
  explicit test_cluster(setup prepare, test_cluster_options options = {});
  test_cluster(const test_cluster&) = delete;
  test_cluster& operator=(const test_cluster&) = delete;
  ~test_cluster() override;

  /// Calls an actor from a silo (empty: the first that is up), and lets as much time pass as the
  /// answer takes; its deadline brings one at the latest.
  template <class T>
  runtime::result<T> call(runtime::call<T> one, std::string_view from = {}) {
    auto begun = begin(std::move(one), from);
    pass_until_answered(begun);
    return begun.answer();
  }

  /// Calls an actor; no time passes.
  template <class T>
  [[nodiscard]] open_call<T> begin(runtime::call<T> one, std::string_view from = {}) {
    return {*this, begin_spec(std::move(one.spec()), from)};
  }

  /// As `silo::tell`.
  template <class T>
  void tell(runtime::call<T> one, std::string_view from = {}) {
    at(from).tell(std::move(one));
    settle();
  }

  /// Returns when the silos have settled, see above.
  void settle();

  /// Lets time pass, from one instant at which something is due to the next, and settles at each.
  /// Cost: about a millisecond for each 50 that pass.
  void advance(runtime::duration by);

  /// Lets time pass until `is_so`; false when that takes longer than `limit`.
  bool until(const std::function<bool()>& is_so, runtime::duration limit = std::chrono::minutes{1});

  /// Ends a silo as `kill -9` does, or its machine.
  void kill(std::string_view silo, ending how = ending::proven);
  /// Stops it: it hands over, and time passes meanwhile.
  void stop(std::string_view silo);
  /// Starts a silo, one that was killed or stopped on its disk; time passes until it has joined.
  /// Throws when it does not start.
  void start(std::string_view silo);
  /// `stop` if it is up, and `start`.
  void restart(std::string_view silo);
  /// Empties its disk. Requires: it is not up.
  void wipe(std::string_view silo);

  /// Lets time pass until each partition has as many copies as there should and can be (or more:
  /// nobody takes those away), and is led by the silo that it prefers. False when that does not
  /// come to pass within `limit`.
  bool until_whole(runtime::duration limit = std::chrono::minutes{2});

  /// The silo that serves an actor of a type with stored state now, the one of the highest epoch;
  /// empty: none.
  template <class Interface>
  [[nodiscard]] std::string leader_of(const runtime::actor_ref<Interface>& who) {
    return leader_of(runtime::actor_ref<Interface>::interface::info(), who.key());
  }
  /// The silos that have all of it that was committed, as the first that is up sees it.
  template <class Interface>
  [[nodiscard]] std::vector<std::string> copies_of(const runtime::actor_ref<Interface>& who) {
    return copies_of(runtime::actor_ref<Interface>::interface::info(), who.key());
  }

  /// Whether a silo runs here, whatever the others think of it.
  [[nodiscard]] bool is_up(std::string_view silo) const;
  /// A silo itself (empty: the first that is up), whose members do not settle. Requires: it is up.
  [[nodiscard]] runtime::silo& at(std::string_view silo = {});
  /// Its storage, to make commits and reads fail or wait. Another one after each start.
  [[nodiscard]] faulty_storage& rows(std::string_view silo);
  /// What lies between them, to spoil it.
  [[nodiscard]] test_network& network() noexcept;
  /// Of all of them. After setting the time of day, `settle`.
  [[nodiscard]] hand_clock& clock() noexcept;
  /// What silos have warned of and logged, in order, each line with its silo: `b: leads ...`.
  [[nodiscard]] std::vector<std::string> lines() const;

private:
  struct parts;
  [[nodiscard]] std::shared_ptr<detail::open_answer> begin_spec(runtime::call_spec spec,
                                                                std::string_view from);
  template <class T>
  void pass_until_answered(open_call<T>& one) {
    until([&one] { return one.answered(); }, answer_within);
  }
  static constexpr runtime::duration answer_within = std::chrono::hours{1};
  [[nodiscard]] std::string leader_of(const runtime::interface_info& type, std::string_view key);
  [[nodiscard]] std::vector<std::string> copies_of(const runtime::interface_info& type,
                                                   std::string_view key);
  [[nodiscard]] bool has_answer(detail::open_answer& of) override;
  [[nodiscard]] runtime::result<runtime::any_message> take_answer(detail::open_answer& of) override;
  void cancel(detail::open_answer& of) override;

  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::testing
