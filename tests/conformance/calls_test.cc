// SPDX-License-Identifier: MIT
// What runs beside what, and what ends a call.
#include "conformance/ledger.h"
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("read-only methods overlap, writers exclude") {
  probe_silo silo;
  auto first = silo.begin(ref<Probe>("a").hold_reading("first", 3'000'000));
  auto second = silo.begin(ref<Probe>("a").hold_reading("second", 3'000'000));
  auto writer = silo.begin(ref<Probe>("a").hold("writer", 3'000'000));
  auto late = silo.begin(ref<Probe>("a").hold_reading("late", 3'000'000));
  REQUIRE(silo.events.has("second begins"));
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(first.answer());
  CHECK(second.answer());
  REQUIRE(silo.events.has("writer begins"));
  CHECK(silo.events.count("late begins") == 0);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(writer.answer());
  REQUIRE(silo.events.has("late begins"));
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(late.answer());
}

TEST_CASE("a queued call whose time is up never runs, and the actor goes on") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("a").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  auto expired = silo.begin(ref<Probe>("a").set(5).timeout(10s));
  silo.advance(11s);
  CHECK(expired.answer().error().code() == errc::deadline_exceeded);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(held.answer());
  CHECK(silo.call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("a reentrant method goes on after a message beside it has expired") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("a").hold_beside("beside", 3'000'000));
  auto writer = silo.begin(ref<Probe>("a").hold("writer", 3'000'000));
  REQUIRE(silo.events.has("writer begins"));
  auto expired = silo.begin(ref<Probe>("a").set(5).timeout(1s));
  silo.advance(2s);
  CHECK(expired.answer().error().code() == errc::deadline_exceeded);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(held.answer());
  CHECK(writer.answer());
  CHECK(silo.call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("a call chain that returns to a busy actor fails at once and names the path") {
  probe_silo silo;
  const auto answer = silo.call(ref<Probe>("a").call_back("b", "a"));
  CHECK(answer.error().code() == errc::call_cycle);
  CHECK(answer.error().text() ==
        "the call chain returns to a busy actor: probe/a -> probe/b -> probe/a");
}

TEST_CASE("a reentrant actor calls itself, another one fails at once") {
  ledger_silo silo;
  CHECK(silo.call(ref<Ledger>("a").nest(10))->depth() == 10);
  const auto refused = silo.call(ref<Ledger>("a").nest_exclusively(1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::call_cycle);
  CHECK(refused.error().text() == "the call chain returns to a busy actor: ledger/a -> ledger/a");
}

// Goal: two chains that meet each other head-on end at once, and their actors go on.
// Method: each holds its actor before it calls the other's; neither chain returns to itself.
TEST_CASE("of two call chains that cross one fails at once, and the other goes on") {
  probe_silo silo;
  auto one = silo.begin(ref<Probe>("a").hold_then_call("b"));
  auto other = silo.begin(ref<Probe>("b").hold_then_call("a"));
  silo.advance(1s);  // both go on to call
  const auto first = one.answer();
  const auto second = other.answer();
  REQUIRE(static_cast<bool>(first) != static_cast<bool>(second));  // the other gets through
  const auto& failed = first ? second : first;
  CHECK(failed.error().code() == errc::unavailable);
  const auto& text = failed.error().text();
  CHECK(text.starts_with("two call chains wait for each other; nothing was done, try again: "));
  CHECK(text.find("probe/a -> probe/b") != std::string::npos);
  CHECK(text.find("probe/b -> probe/a") != std::string::npos);
  CHECK(silo.call(ref<Probe>("a").set(1)));
  CHECK(silo.call(ref<Probe>("b").set(1)));
}

TEST_CASE("of three call chains that wait in a ring one fails at once") {
  probe_silo silo;
  auto one = silo.begin(ref<Probe>("a").hold_then_call("b"));
  auto two = silo.begin(ref<Probe>("b").hold_then_call("c"));
  auto three = silo.begin(ref<Probe>("c").hold_then_call("a"));
  silo.advance(1s);
  const auto failed = (one.answer() ? 0 : 1) + (two.answer() ? 0 : 1) + (three.answer() ? 0 : 1);
  CHECK(failed == 1);
  CHECK(silo.call(ref<Probe>("a").set(1)));
}

TEST_CASE("calls that wait for a busy chain without crossing it are not refused") {
  probe_silo silo;
  auto below = silo.begin(ref<Probe>("c").hold("c", 60'000));
  auto one = silo.begin(ref<Probe>("a").hold_then_call("c"));
  auto other = silo.begin(ref<Probe>("b").hold_then_call("a"));
  silo.advance(1s);  // b waits for a, which waits for c
  CHECK_FALSE(one.answered());
  CHECK_FALSE(other.answered());
  REQUIRE(silo.call(ref<Probe>("c").raise()));
  CHECK(below.answer());
  CHECK(one.answer());
  CHECK(other.answer());
}

TEST_CASE("a cancelled call ends its caller's wait, and the method is told") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("a").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  held.cancel();
  CHECK(held.answer().error().code() == errc::cancelled);
  CHECK(silo.events.has("work is cancelled"));
  held.cancel();  // no effect
  CHECK(silo.call(ref<Probe>("a").set(1)));
}

TEST_CASE("a call that is cancelled before it begins never runs") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("a").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  auto queued = silo.begin(ref<Probe>("a").set(5));
  queued.cancel();
  CHECK(queued.answer().error().code() == errc::cancelled);
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(held.answer());
  CHECK(silo.call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("cancellation travels down the call chain") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("top").hold_other("bottom", "work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  held.cancel();
  CHECK(held.answer().error().code() == errc::cancelled);
  CHECK(silo.events.has("work is cancelled"));
  CHECK(silo.events.has("top hears cancelled"));
  CHECK(silo.events.has("may not go on"));  // nobody waits for it
}

TEST_CASE("cancellation is heard from the outside in") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("top").hold_other("bottom", "work", 3'000'000));
  held.cancel();
  CHECK(silo.events.all() == std::vector<std::string>{"work begins", "top hears cancelled",
                                                      "may not go on", "work is cancelled"});
}

TEST_CASE("of methods that interleave, the one whose call is cancelled ends alone") {
  probe_silo silo;
  auto one = silo.begin(ref<Probe>("a").hold_beside("one", 3'000'000));
  auto two = silo.begin(ref<Probe>("a").hold_beside("two", 3'000'000));
  one.cancel();
  CHECK(one.answer().error().code() == errc::cancelled);
  CHECK(silo.events.has("one is cancelled"));
  CHECK_FALSE(two.answered());
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(two.answer());
  CHECK(silo.events.has("two ends"));
}

TEST_CASE("when a caller's activation ends, what it waits for is cancelled") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("top").hold_other("bottom", "work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  auto beside = silo.begin(ref<Probe>("top").hold_beside("beside", 1));
  silo.here().stop(10ms);
  CHECK(held.answer().error().code() == errc::unavailable);
  static_cast<void>(beside.answer());
}

TEST_CASE("a turn that holds its thread is reported with its actor and method") {
  probe_silo silo{{.threads = 2, .stuck_after = 1s}};
  auto blocked = silo.begin_holding(ref<Probe>("a").block("inside"));
  REQUIRE(silo.events.has("holds the thread"));
  silo.advance_holding(1s);
  silo.advance_holding(1s);
  CHECK(
      silo.events.has("warning: a turn does not give its thread back: offload what blocks or "
                      "computes for long actor=probe/a method=block"));
  CHECK(silo.here().call(ref<Probe>("b").get()));  // other threads go on
  silo.advance_holding(1s);
  CHECK(silo.here().stats().stuck_total == 1);
  silo.gate.set_value();
  CHECK(blocked.get());
}

TEST_CASE("a stuck activation is reported, then given up, and what waited goes to a fresh one") {
  probe_silo silo{{.stuck_after = 60s}};
  REQUIRE(silo.call(ref<Probe>("a").set(4)));
  auto stuck = silo.begin(ref<Probe>("a").hold("work", 3'600'000));
  REQUIRE(silo.events.has("work begins"));
  auto waiting = silo.begin(ref<Probe>("a").get().timeout(1h));
  auto beside = silo.call(ref<Probe>("a").hold_beside("beside", 0));
  silo.advance(61s);
  CHECK(
      silo.events.has("warning: a turn keeps others waiting: hold has not ended after 60 s "
                      "method=hold actor=probe/a"));
  silo.advance(9min);
  CHECK(waiting.answer()->value() == 4);
  const auto answer = stuck.answer();
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::deadline_exceeded);
}

TEST_CASE("an activation that is stuck while it begins is given up, and callers are told") {
  probe_silo silo{{.stuck_after = 60s}};
  auto waiting = silo.begin(ref<Probe>("slow to begin").get().timeout(1h));
  silo.advance(61s);
  CHECK(
      silo.events.has("warning: a turn keeps others waiting: on_activate has not ended after 60 s "
                      "method=on_activate actor=probe/slow to begin"));
  silo.advance(10min);
  CHECK(waiting.answer().error().code() == errc::deadline_exceeded);
}

TEST_CASE("an activation that is stuck while it ends is given up, and callers go to a fresh one") {
  probe_silo silo{{.stuck_after = 60s}};
  REQUIRE(silo.call(ref<Probe>("slow to end").set(4)));
  REQUIRE(silo.call(ref<Probe>("slow to end").leave()));
  auto waiting = silo.begin(ref<Probe>("slow to end").get().timeout(1h));
  silo.advance(61s);
  CHECK_FALSE(waiting.answered());
  silo.advance(10min);
  CHECK(waiting.answer()->value() == 4);
}

TEST_CASE("what a cancelled method waits for next ends too") {
  probe_silo silo;
  auto held = silo.begin(ref<Probe>("a").block("wait twice").timeout(1h));
  REQUIRE(silo.events.has("waits"));
  held.cancel();
  CHECK(silo.events.has("second over"));
}

TEST_CASE("cancelling one of two calls with one idempotency key leaves the other") {
  probe_silo silo;
  auto first = silo.begin(ref<Probe>("a").hold_beside("work", 3'000'000).keyed("k"));
  REQUIRE(silo.events.has("work begins"));
  auto second = silo.begin(ref<Probe>("a").hold_beside("work", 3'000'000).keyed("k"));
  first.cancel();
  REQUIRE(silo.call(ref<Probe>("a").raise()));
  CHECK(second.answer());
  CHECK(silo.events.count("work begins") == 1);
}

TEST_CASE("of two changes of one version that come at once, one is refused") {
  probe_silo silo;
  const auto version = silo.call(ref<Probe>("a").set(1))->version();
  auto block = silo.begin_holding(ref<Probe>("a").block("inside"));
  REQUIRE(silo.events.has("holds the thread"));
  auto one = silo.begin_holding(ref<Probe>("a").set_if(10, version));
  auto two = silo.begin_holding(ref<Probe>("a").set_if(20, version));
  silo.gate.set_value();
  CHECK(one.get());
  CHECK(two.get().error().code() == errc::conflict);
  CHECK(silo.call(ref<Probe>("a").get())->value() == 10);
  CHECK(block.get());
}

TEST_CASE("a full mailbox refuses with a hint, and takes calls again when there is room") {
  probe_silo silo{{.mailbox_messages_max = 2}};
  auto held = silo.begin(ref<Probe>("a").hold("work", 3'000'000));
  auto first = silo.begin(ref<Probe>("a").set(1));
  auto second = silo.begin(ref<Probe>("a").set(2));
  const auto refused = silo.call(ref<Probe>("a").set(3));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::overloaded);
  CHECK(refused.error().retry_after() > 0ms);
  CHECK(retry_of(refused.error().code()) == retry_class::safe);
  CHECK(silo.call(ref<Probe>("b").set(1)));  // others are not concerned
  REQUIRE(silo.call(ref<Probe>("someone").get()));
  silo.advance(1h);  // `work` ends by itself
  CHECK(first.answered());
  CHECK(silo.call(ref<Probe>("a").set(4)));
  CHECK(silo.here().stats().overloaded_total == 1);
  static_cast<void>(held.answered());
  static_cast<void>(second.answered());
}

TEST_CASE("blocking work is offloaded, and its actor stays responsive") {
  probe_silo silo;
  auto blocked = silo.begin_holding(ref<Probe>("a").block("offload"));
  REQUIRE(silo.events.has("works elsewhere"));
  auto beside = silo.begin_holding(ref<Probe>("a").hold_beside("beside", 0));
  CHECK(silo.events.has("beside begins"));
  silo.gate.set_value();
  const auto done = blocked.get();
  REQUIRE(done);
  CHECK(done->text() == "done");
  static_cast<void>(beside.get());
}

TEST_CASE("what offloaded work throws ends the method, or is a result") {
  probe_silo silo;
  CHECK(silo.call(ref<Probe>("a").block("throw")).error().code() == errc::conflict);
  CHECK(silo.call(ref<Probe>("a").block("result"))->text() == "offloaded");
  CHECK(silo.call(ref<Probe>("a").block("throw int")).error().code() == errc::internal);
  CHECK(silo.call(ref<Probe>("a").block("offload arguments"))->text() ==
        std::string(100, 'a') + std::string(100, 'b'));
}

TEST_CASE("offloaded work begins only when what its turn changed is durable") {
  probe_silo silo;
  silo.rows().hold_commits();
  auto blocked = silo.begin(ref<Probe>("a").block("edit, offload"));
  auto beside = silo.begin(ref<Probe>("a").hold_beside("beside", 0));
  REQUIRE(silo.events.has("beside ends"));  // the turn before it has ended
  CHECK(silo.events.count("effect") == 0);
  silo.rows().release_commits();
  CHECK(blocked.answer());
  CHECK(silo.events.count("effect") == 1);
  static_cast<void>(beside.answer());
}

TEST_CASE("offloaded work does not begin when its turn's commit fails or its time is up") {
  probe_silo silo;
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  CHECK(silo.call(ref<Probe>("a").block("edit, offload")).error().code() == errc::out_of_space);
  silo.rows().hold_commits();
  auto blocked = silo.begin(ref<Probe>("a").block("edit, offload").timeout(1s));
  auto before = silo.begin(ref<Probe>("a").hold_beside("before", 0));
  REQUIRE(silo.events.has("before ends"));
  silo.advance(2s);
  auto after = silo.begin(ref<Probe>("a").hold_beside("after", 0));
  REQUIRE(silo.events.has("after ends"));
  silo.rows().release_commits();
  CHECK(blocked.answer().error().code() == errc::deadline_exceeded);
  static_cast<void>(before.answer());
  static_cast<void>(after.answer());
  CHECK(silo.call(ref<Probe>("a").get()));
  CHECK(silo.events.count("effect") == 0);
}

TEST_CASE("offloaded work may outlive its caller") {
  probe_silo silo;
  auto blocked = silo.begin_holding(ref<Probe>("a").block("offload").timeout(1s));
  REQUIRE(silo.events.has("works elsewhere"));
  silo.advance_holding(2s);
  CHECK(blocked.get().error().code() == errc::deadline_exceeded);
  CHECK(silo.here().call(ref<Probe>("a").set(1)));
  silo.gate.set_value();
}

TEST_CASE("offloading past the bounds of the pool is refused") {
  probe_silo silo{{.offload_threads_max = 1, .offload_queue_max = 1}};
  auto running = silo.begin_holding(ref<Probe>("a").block("offload"));
  REQUIRE(silo.events.has("works elsewhere"));
  auto waiting = silo.begin_holding(ref<Probe>("b").block("offload"));
  REQUIRE(silo.here().call(ref<Probe>("b").hold_beside("beside", 0)));  // it is in line now
  const auto refused = silo.here().call(ref<Probe>("c").block("offload"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::overloaded);
  silo.gate.set_value();
  CHECK(running.get());
  CHECK(waiting.get());
}

// Goal: an actor that called in a circle gives its place in the mailbox back.
TEST_CASE("calls that fail as a circle leave the mailbox as empty as it was") {
  probe_silo silo{{.mailbox_messages_max = 4}};
  for (int at = 0; at < 10; ++at) {
    const auto answer = silo.call(ref<Probe>("a").call_back("b", "a"));
    CHECK(answer.error().code() == errc::call_cycle);
  }
}

}  // namespace
}  // namespace millrace::conformance
