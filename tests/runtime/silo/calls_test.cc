// SPDX-License-Identifier: MIT
// Calls: activation, admission, chains, deadlines, cancellation, overload.
#include <atomic>
#include <future>

#include "runtime/silo/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

TEST_CASE("an actor answers on first use and remembers") {
  counter_silo silo;
  CHECK(silo.call(ref<Counter>("a").add(5))->total() == 5);
  CHECK(silo.call(ref<Counter>("a").add(2))->total() == 7);
  CHECK(silo.total("b") == 0);
  CHECK(silo.here().stats().activations == 2);
}

TEST_CASE("an actor calls another and gets its answer") {
  counter_silo silo;
  CHECK(silo.call(ref<Counter>("a").relay("b", 3))->total() == 3);
  CHECK(silo.total("b") == 3);
}

TEST_CASE("answers to many calls at once come in order, failures among them") {
  counter_silo silo;
  counter_interface::fan_params params;
  auto to = params.build().initTo(3);
  to.set(0, "x");
  to.set(1, "");
  to.set(2, "y");
  params.build().setAmount(4);
  const auto answer = silo.call(ref<Counter>("a").fan(std::move(params)));
  REQUIRE(answer);
  CHECK(answer->failed() == 1);
  CHECK(answer->totals()[0] == 4);
  CHECK(answer->totals()[2] == 4);
}

TEST_CASE("a call chain that returns to a busy actor fails with its path") {
  counter_silo silo;
  const auto answer = silo.call(ref<Counter>("a").call_back("b"));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::call_cycle);
  CHECK(answer.error().text() ==
        "the call chain returns to a busy actor: counter/a -> counter/b -> counter/a");
  CHECK(silo.call(ref<Counter>("a").call_back("a")).error().code() == errc::call_cycle);
}

TEST_CASE("a call chain that returns to an actor that is being activated fails with its path") {
  counter_silo silo;
  const auto answer = silo.call(ref<Counter>("ring").get());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::call_cycle);
  CHECK(answer.error().text() ==
        "the call chain returns to a busy actor: counter/ring -> counter/b -> counter/ring");
}

TEST_CASE("a limit may be as long as time itself") {
  counter_silo silo;
  CHECK(silo.call(ref<Counter>("a").add(1).timeout(duration::max()))->total() == 1);
}

TEST_CASE("actors of two silos in one process answer each other's hosts") {
  counter_silo one;
  counter_silo other;
  std::promise<std::int64_t> total;
  one.here().call_then<counter_interface::add_results>(ref<Counter>("a").add(1), [&](auto) {
    // On a thread of `one`: the turn of `other` must not run here.
    other.here().call_then<counter_interface::add_results>(
        ref<Counter>("a").add(2), [&](auto answer) { total.set_value(answer->total()); });
  });
  CHECK(total.get_future().get() == 2);
  one.stop();
  CHECK(other.total("a") == 2);
}

TEST_CASE("a method's failure is the caller's answer") {
  counter_silo silo;
  const auto failed = silo.call(ref<Counter>("a").fail("not today"));
  CHECK(failed.error().code() == errc::failed_precondition);
  CHECK(failed.error().text() == "not today");
  CHECK(silo.call(ref<Counter>("a").throw_it()).error().code() == errc::internal);
  CHECK(silo.total("a") == 0);
}

TEST_CASE("a read-only method that changes state is refused and changes nothing") {
  counter_silo silo;
  const auto cheated = silo.call(ref<Counter>("a").cheat());
  CHECK(cheated.error().code() == errc::internal);
  CHECK(cheated.error().text() == "counter.cheat is $readOnly but changes state");
  CHECK(silo.total("a") == 0);
}

TEST_CASE("a reentrant wait lets other calls in and is woken by a signal") {
  counter_silo silo;
  auto waiting = silo.begin(ref<Counter>("a").await(20'000));
  CHECK(silo.call(ref<Counter>("a").add(1))->total() == 1);
  CHECK_FALSE(waiting.answered());
  REQUIRE(silo.call(ref<Counter>("a").raise()));
  CHECK(waiting.answer()->raised());
}

TEST_CASE("a wait ends when its time is up") {
  counter_silo silo;
  auto waiting = silo.begin(ref<Counter>("a").await(5'000));
  CHECK(silo.total("a") == 0);  // the wait was queued before this call, so it has begun
  silo.advance(4s);
  CHECK(silo.total("a") == 0);
  CHECK_FALSE(waiting.answered());
  silo.advance(2s);
  CHECK_FALSE(waiting.answer()->raised());
}

TEST_CASE("the caller gets deadline_exceeded when the time is up") {
  counter_silo silo;
  auto waiting = silo.begin(ref<Counter>("a").await(60'000).timeout(10s));
  CHECK(silo.total("a") == 0);
  silo.advance(11s);
  CHECK(waiting.answer().error().code() == errc::deadline_exceeded);
}

TEST_CASE("a full mailbox refuses with a hint and loses nothing") {
  counter_silo silo{make_memory_storage(), {.mailbox_messages_max = 8}};
  std::atomic<int> done{0};
  std::atomic<int> refused{0};
  std::atomic<int> answered{0};
  constexpr int calls = 20'000;
  for (int at = 0; at < calls; ++at) {
    silo.here().call_then<counter_interface::add_results>(
        ref<Counter>("a").add(1), [&](auto answer) {
          if (!answer) {
            CHECK(answer.error().code() == errc::overloaded);
            CHECK(answer.error().retry_after().count() > 0);
          }
          ++(answer ? done : refused);
          ++answered;
          answered.notify_one();
        });
  }
  for (int seen = answered; seen < calls; seen = answered) {
    answered.wait(seen);
  }
  CHECK(refused > 0);
  CHECK(silo.total("a") == done);
}

TEST_CASE("one-way calls and tells arrive without an answer") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").told_add(4)));
  silo.tell(ref<Counter>("a").told_add(2));
  CHECK(silo.total("a") == 6);
}

TEST_CASE("keys and types that cannot be are refused") {
  counter_silo silo;
  CHECK(silo.call(ref<Counter>("").get()).error().code() == errc::invalid_argument);
  CHECK(silo.call(ref<Counter>(std::string(256, 'x')).get()).error().code() ==
        errc::invalid_argument);
  CHECK(silo.call(ref<Counter>("\xff").get()).error().code() == errc::invalid_argument);
  runtime::silo empty{make_memory_storage()};
  REQUIRE(empty.start());
  CHECK(empty.call(ref<Counter>("a").get()).error().code() == errc::unimplemented);
}

TEST_CASE("before start and after stop calls are unavailable") {
  runtime::silo here{make_memory_storage()};
  here.add<counter>();
  CHECK(here.call(ref<Counter>("a").get()).error().code() == errc::unavailable);
  REQUIRE(here.start());
  CHECK(here.call(ref<Counter>("a").get()));
  here.stop();
  CHECK(here.call(ref<Counter>("a").get()).error().code() == errc::unavailable);
}

TEST_CASE("stopping ends long waits instead of waiting for them") {
  counter_silo silo;
  auto waiting = silo.begin(ref<Counter>("a").await(60'000).timeout(100s));
  CHECK(silo.total("a") == 0);
  silo.stop();
  CHECK(waiting.answer().error().code() == errc::unavailable);
}

TEST_CASE("a named timer fires, repeats and does not survive its activation") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").tick(100, 0)));
  silo.advance(99ms);
  CHECK(silo.total("a") == 0);
  silo.advance(2ms);
  CHECK(silo.total("a") == 1);
  REQUIRE(silo.call(ref<Counter>("a").tick(10, 10)));
  silo.advance(11ms);
  CHECK(silo.total("a") == 2);
  silo.advance(11ms);
  CHECK(silo.total("a") == 3);
}

TEST_CASE("a timer that was cancelled while it waited for its turn does not fire") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").tick(10, 0)));
  REQUIRE(silo.call(ref<Counter>("b").tick(10, 0)));
  auto cancelling = silo.begin(ref<Counter>("a").pause(100, true));
  auto pausing = silo.begin(ref<Counter>("b").pause(100, false));
  // Let in beside them, so once it has ended they have begun.
  REQUIRE(silo.call(ref<Counter>("a").await(0)));
  REQUIRE(silo.call(ref<Counter>("b").await(0)));
  silo.advance(20ms);  // the timers queue behind the pauses
  silo.advance(100ms);
  REQUIRE(cancelling.answer());
  REQUIRE(pausing.answer());
  CHECK(silo.total("b") == 1);
  CHECK(silo.total("a") == 0);
}

TEST_CASE("a timer that repeats does not keep its actor from being collected") {
  counter_silo silo{make_memory_storage(), {.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Counter>("a").tick(10, 10)));
  silo.advance(30s);
  CHECK(silo.total("a") == 3'000);  // used: now idle from here
  silo.advance(61s);
  CHECK(silo.here().stats().activations == 0);
}

TEST_CASE("an idle actor is collected and comes back with its state") {
  counter_silo silo{make_memory_storage(), {.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Counter>("a").add(9)));
  silo.advance(2min);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.here().stats().deactivations_total == 1);
  CHECK(silo.total("a") == 9);
}

TEST_CASE("an actor may put off being collected, and take that back") {
  counter_silo silo{make_memory_storage(), {.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Counter>("a").stay(600'000)));
  silo.advance(5min);
  CHECK(silo.here().stats().activations == 1);
  silo.advance(6min);
  CHECK(silo.here().stats().activations == 0);
  REQUIRE(silo.call(ref<Counter>("a").stay(600'000)));
  REQUIRE(silo.call(ref<Counter>("a").stay(0)));
  silo.advance(2min);
  CHECK(silo.here().stats().activations == 0);
}

TEST_CASE("an actor may ask to be collected") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").leave()));
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.total("a") == 0);
}

// Goal: many callers on many threads lose no call and see every total once.
TEST_CASE("calls from many threads are each applied once") {
  counter_silo silo;
  constexpr int threads = 8;
  constexpr int calls = 2'000;
  std::vector<std::future<std::int64_t>> sums;
  for (int at = 0; at < threads; ++at) {
    sums.push_back(std::async(std::launch::async, [&silo] {
      std::int64_t sum = 0;
      for (int each = 0; each < calls; ++each) {
        sum += silo.here().call(ref<Counter>("hot").add(1))->total();
      }
      return sum;
    }));
  }
  std::int64_t sum = 0;
  for (auto& each : sums) {
    sum += each.get();
  }
  const std::int64_t total = threads * calls;
  CHECK(sum == total * (total + 1) / 2);
}

}  // namespace
}  // namespace millrace::testing
