// SPDX-License-Identifier: MIT
// What a silo counts, exactly.
#include "runtime/silo/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto code_of(errc code) {
  return static_cast<std::size_t>(code);
}

}  // namespace

TEST_CASE("calls are counted by method and outcome") {
  counted_silo silo;
  for (int at = 0; at < 3; ++at) {
    REQUIRE(silo.call(ref<Counter>("a").add(1)));
  }
  CHECK_FALSE(silo.call(ref<Counter>("a").fail("no")));
  CHECK_FALSE(silo.call(ref<Counter>("a").cheat()));
  silo.tell(ref<Counter>("a").told_add(1));
  CHECK(silo.ended("add", 0) == 3);
  CHECK(silo.ended("fail", 0) == 0);
  CHECK(silo.ended("fail", code_of(errc::failed_precondition)) == 1);
  CHECK(silo.ended("cheat", code_of(errc::internal)) == 1);
  CHECK(silo.ended("told_add", 0) == 1);
  CHECK(silo.counters().begun_total == 7);  // on_activate too
  CHECK(silo.here().stats().calls_total == 7);
  CHECK(silo.counters().queued == 0);
  CHECK(silo.counters().type == "counter");
}

TEST_CASE("calls that no activation takes are counted by why") {
  counted_silo silo{{.mailbox_messages_max = 2, .by_hand = true}};
  for (int at = 0; at < 5; ++at) {
    silo.here().call_then<counter_interface::add_results>(ref<Counter>("a").add(1), [](auto) {});
  }
  CHECK(silo.ended("add", code_of(errc::overloaded)) == 3);
  CHECK(silo.counters().queued == 2);
  CHECK(silo.counters().queued_max == 2);
  CHECK(silo.counters().activations == 1);
  CHECK(silo.here().metrics().totals.overloaded_total == 3);
}

TEST_CASE("a turn takes the time that its thread was held, a call as long as its caller waits") {
  counted_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").get()));
  auto seen = silo.counters();
  CHECK(seen.turns.count() == 2);  // with on_activate
  CHECK(seen.turns.sum == 3ms);
  CHECK(seen.latency.count() == 1);
  CHECK(seen.latency.sum == 3ms);

  auto pausing = silo.begin(ref<Counter>("a").pause(20'000, false));
  silo.advance(20s);
  REQUIRE(pausing.answer());
  seen = silo.counters();
  CHECK(seen.turns.count() == 4);
  CHECK(seen.turns.sum == 3ms);  // waiting holds no thread
  CHECK(seen.latency.count() == 2);
  CHECK(seen.latency.sum == 20s + 3ms);
}

TEST_CASE("activations are counted by why they end") {
  counted_silo silo;
  REQUIRE(silo.call(ref<Counter>("left").add(1)));
  REQUIRE(silo.call(ref<Counter>("left").leave()));
  REQUIRE(silo.call(ref<Counter>("idle").get()));
  silo.advance(16min);
  CHECK(silo.counters().activations == 0);
  silo.rows().fail_commits({errc::unavailable, "no"});
  CHECK_FALSE(silo.call(ref<Counter>("failed").add(1)));
  REQUIRE(silo.call(ref<Counter>("stopped").get()));
  CHECK(silo.counters().activations == 1);
  silo.here().stop();
  const auto seen = silo.counters();
  CHECK(seen.activations_total == 4);
  CHECK(seen.deactivations.requested == 1);
  CHECK(seen.deactivations.idle == 1);
  CHECK(seen.deactivations.failed == 1);
  CHECK(seen.deactivations.stopping == 1);
  CHECK(seen.deactivations.memory == 0);
  CHECK(silo.here().stats().deactivations_total == 4);
}

TEST_CASE("sends, dead letters, reminders and commits are counted") {
  counted_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").post_to("b", 1)));
  REQUIRE(silo.call(ref<Counter>("a").post_fail("b", "no")));
  REQUIRE(silo.call(ref<Counter>("a").remind_in(1'000, 0)));
  silo.advance(1min);
  const auto seen = silo.counters();
  CHECK(seen.sends_total == 2);
  CHECK(silo.ended("add", 0) == 1);  // the delivery
  CHECK(seen.reminders_fired_total == 1);
  CHECK(seen.dead_letters_total == 1);
  silo.here().stop();
  const auto storage = silo.here().metrics().storage;
  CHECK(storage.commits > 0);
  CHECK(storage.commit_time.count() == storage.commits);
  CHECK(storage.flush_time.count() == storage.group_commits);
  CHECK(storage.written_bytes > 0);
}

TEST_CASE("what stands still is counted too: timers, threads, time since the start") {
  counted_silo silo;
  const auto before = silo.here().metrics();
  CHECK(before.threads_busy == 0);
  REQUIRE(silo.call(ref<Counter>("a").tick(1'000, 0)));
  silo.clock().move(500ms);
  const auto after = silo.here().metrics();
  CHECK(after.uptime - before.uptime == 500ms);
  CHECK(after.timers_armed == before.timers_armed + 1);
  CHECK(after.offload.queued == 0);
}

}  // namespace millrace::testing
