// SPDX-License-Identifier: MIT
// What runs beside what, and what ends a call.
#include <thread>

#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("read-only methods overlap, writers exclude") {
  probe_silo silo;
  auto first = silo.later(ref<Probe>("a").hold_reading("first", 3'000'000));
  auto second = silo.later(ref<Probe>("a").hold_reading("second", 3'000'000));
  auto writer = silo.later(ref<Probe>("a").hold("writer", 3'000'000));
  auto late = silo.later(ref<Probe>("a").hold_reading("late", 3'000'000));
  REQUIRE(silo.events.has("second begins"));
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(first.get());
  CHECK(second.get());
  REQUIRE(silo.events.has("writer begins"));
  CHECK(silo.events.count("late begins") == 0);
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(writer.get());
  REQUIRE(silo.events.has("late begins"));
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(late.get());
}

TEST_CASE("a queued call whose time is up never runs, and the actor goes on") {
  probe_silo silo;
  auto held = silo.later(ref<Probe>("a").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  auto expired = silo.later(ref<Probe>("a").set(5).timeout(10s));
  silo.move(11s);
  CHECK(expired.get().error().code() == errc::deadline_exceeded);
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(held.get());
  CHECK(silo.here->call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("a reentrant method goes on after a message beside it has expired") {
  probe_silo silo;
  auto held = silo.later(ref<Probe>("a").hold_beside("beside", 3'000'000));
  auto writer = silo.later(ref<Probe>("a").hold("writer", 3'000'000));
  REQUIRE(silo.events.has("writer begins"));
  auto expired = silo.later(ref<Probe>("a").set(5).timeout(1s));
  silo.move(2s);
  CHECK(expired.get().error().code() == errc::deadline_exceeded);
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(held.get());
  CHECK(writer.get());
  CHECK(silo.here->call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("a call chain that returns to a busy actor fails at once and names the path") {
  probe_silo silo;
  const auto answer = silo.here->call(ref<Probe>("a").call_back("b", "a"));
  CHECK(answer.error().code() == errc::call_cycle);
  CHECK(answer.error().text() ==
        "the call chain returns to a busy actor: probe/a -> probe/b -> probe/a");
}

TEST_CASE("a cancelled call ends its caller's wait, and the method is told") {
  probe_silo silo;
  std::promise<errc> heard;
  auto held = silo.here->start_call(
      std::move(ref<Probe>("a").hold("work", 3'000'000).spec()),
      [&](auto answer) { heard.set_value(answer ? errc{} : answer.error().code()); });
  REQUIRE(silo.events.has("work begins"));
  held.cancel();
  CHECK(heard.get_future().get() == errc::cancelled);
  CHECK(silo.events.has("work is cancelled"));
  held.cancel();  // no effect
  CHECK(silo.here->call(ref<Probe>("a").set(1)));
}

TEST_CASE("a call that is cancelled before it begins never runs") {
  probe_silo silo;
  auto held = silo.later(ref<Probe>("a").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  std::promise<errc> heard;
  auto queued = silo.here->start_call(std::move(ref<Probe>("a").set(5).spec()), [&](auto answer) {
    heard.set_value(answer ? errc{} : answer.error().code());
  });
  queued.cancel();
  CHECK(heard.get_future().get() == errc::cancelled);
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(held.get());
  CHECK(silo.here->call(ref<Probe>("a").get())->value() == 0);
}

TEST_CASE("cancellation travels down the call chain") {
  probe_silo silo;
  std::promise<errc> heard;
  auto held = silo.here->start_call(
      std::move(ref<Probe>("top").hold_other("bottom", "work", 3'000'000).spec()),
      [&](auto answer) { heard.set_value(answer ? errc{} : answer.error().code()); });
  REQUIRE(silo.events.has("work begins"));
  held.cancel();
  CHECK(heard.get_future().get() == errc::cancelled);
  CHECK(silo.events.has("work is cancelled"));
  CHECK(silo.events.has("top hears cancelled"));
  CHECK(silo.events.has("may not go on"));  // nobody waits for it
}

TEST_CASE("when a caller's activation ends, what it waits for is cancelled") {
  probe_silo silo;
  auto held = silo.later(ref<Probe>("top").hold_other("bottom", "work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  auto beside = silo.later(ref<Probe>("top").hold_beside("beside", 1));
  silo.here->stop(10ms);
  CHECK(held.get().error().code() == errc::unavailable);
  static_cast<void>(beside.get());
}

TEST_CASE("a turn that holds its thread is reported with its actor and method") {
  probe_silo silo{{.threads = 2, .stuck_after = 1s}};
  auto blocked = silo.later(ref<Probe>("a").block("inside"));
  REQUIRE(silo.events.has("holds the thread"));
  silo.move(1s);
  silo.move(1s);
  CHECK(
      silo.events.has("warning: a turn does not give its thread back: offload what blocks or "
                      "computes for long actor=probe/a method=block"));
  CHECK(silo.here->call(ref<Probe>("b").get()));  // other threads go on
  silo.move(1s);
  CHECK(silo.here->stats().stuck_total == 1);
  silo.gate.set_value();
  CHECK(blocked.get());
}

TEST_CASE("a stuck activation is reported, then given up, and what waited goes to a fresh one") {
  probe_silo silo{{.stuck_after = 60s}};
  REQUIRE(silo.here->call(ref<Probe>("a").set(4)));
  auto stuck = silo.later(ref<Probe>("a").hold("work", 3'600'000));
  REQUIRE(silo.events.has("work begins"));
  auto waiting = silo.later(ref<Probe>("a").get().timeout(1h));
  auto beside = silo.here->call(ref<Probe>("a").hold_beside("beside", 0));
  silo.move(61s);
  CHECK(
      silo.events.has("warning: a turn keeps others waiting: hold has not ended after 61 s "
                      "method=hold actor=probe/a"));
  silo.move(9min);
  CHECK(waiting.get()->value() == 4);
  const auto answer = stuck.get();
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::deadline_exceeded);
}

TEST_CASE("an activation that is stuck while it begins is given up, and callers are told") {
  probe_silo silo{{.stuck_after = 60s}};
  auto waiting = silo.later(ref<Probe>("slow to begin").get().timeout(1h));
  while (silo.here->stats().calls_total == 0) {
    std::this_thread::yield();
  }
  silo.move(61s);
  silo.move(10min);
  CHECK(waiting.get().error().code() == errc::deadline_exceeded);
}

TEST_CASE("what a cancelled method waits for next ends too") {
  probe_silo silo;
  auto held = silo.here->start_call(
      std::move(ref<Probe>("a").block("wait twice").timeout(1h).spec()), [](auto) {});
  while (silo.here->stats().calls_total == 0) {
    std::this_thread::yield();
  }
  held.cancel();
  CHECK(silo.events.has("second over"));
}

TEST_CASE("cancelling one of two calls with one idempotency key leaves the other") {
  probe_silo silo;
  auto first = silo.here->start_call(
      std::move(ref<Probe>("a").hold_beside("work", 3'000'000).keyed("k").spec()), [](auto) {});
  REQUIRE(silo.events.has("work begins"));
  auto second = silo.later(ref<Probe>("a").hold_beside("work", 3'000'000).keyed("k"));
  CHECK(silo.here->call(ref<Probe>("a").get()));  // the second has arrived
  first.cancel();
  REQUIRE(silo.here->call(ref<Probe>("a").raise()));
  CHECK(second.get());
  CHECK(silo.events.count("work begins") == 1);
}

TEST_CASE("of two changes of one version that come at once, one is refused") {
  probe_silo silo{{.threads = 1}};
  const auto version = silo.here->call(ref<Probe>("a").set(1))->version();
  auto block = silo.later(ref<Probe>("a").block("inside"));
  REQUIRE(silo.events.has("holds the thread"));
  auto one = silo.later(ref<Probe>("a").set_if(10, version));
  auto two = silo.later(ref<Probe>("a").set_if(20, version));
  silo.gate.set_value();
  CHECK(one.get());
  CHECK(two.get().error().code() == errc::conflict);
  CHECK(silo.here->call(ref<Probe>("a").get())->value() == 10);
  CHECK(block.get());
}

TEST_CASE("blocking work is offloaded, and its actor stays responsive") {
  probe_silo silo;
  auto blocked = silo.later(ref<Probe>("a").block("offload"));
  REQUIRE(silo.events.has("works elsewhere"));
  auto beside = silo.later(ref<Probe>("a").hold_beside("beside", 0));
  CHECK(silo.events.has("beside begins"));
  silo.gate.set_value();
  const auto done = blocked.get();
  REQUIRE(done);
  CHECK(done->text() == "done");
  static_cast<void>(beside.get());
}

TEST_CASE("what offloaded work throws ends the method, or is a result") {
  probe_silo silo;
  CHECK(silo.here->call(ref<Probe>("a").block("throw")).error().code() == errc::conflict);
  CHECK(silo.here->call(ref<Probe>("a").block("result"))->text() == "offloaded");
  CHECK(silo.here->call(ref<Probe>("a").block("throw int")).error().code() == errc::internal);
}

TEST_CASE("offloaded work begins only when what its turn changed is durable") {
  probe_silo silo;
  silo.rows->hold_commits();
  auto blocked = silo.later(ref<Probe>("a").block("edit, offload"));
  auto beside = silo.later(ref<Probe>("a").hold_beside("beside", 0));
  REQUIRE(silo.events.has("beside ends"));  // the turn before it has ended
  CHECK(silo.events.count("effect") == 0);
  silo.rows->release_commits();
  CHECK(blocked.get());
  CHECK(silo.events.count("effect") == 1);
  static_cast<void>(beside.get());
}

TEST_CASE("offloaded work does not begin when its turn's commit fails or its time is up") {
  probe_silo silo;
  silo.rows->fail_commits({errc::out_of_space, "planned"});
  CHECK(silo.here->call(ref<Probe>("a").block("edit, offload")).error().code() ==
        errc::out_of_space);
  silo.rows->hold_commits();
  auto blocked = silo.later(ref<Probe>("a").block("edit, offload").timeout(1s));
  auto before = silo.later(ref<Probe>("a").hold_beside("before", 0));
  REQUIRE(silo.events.has("before ends"));
  silo.move(2s);
  auto after = silo.later(ref<Probe>("a").hold_beside("after", 0));
  REQUIRE(silo.events.has("after ends"));
  silo.rows->release_commits();
  CHECK(blocked.get().error().code() == errc::deadline_exceeded);
  static_cast<void>(before.get());
  static_cast<void>(after.get());
  CHECK(silo.here->call(ref<Probe>("a").get()));
  CHECK(silo.events.count("effect") == 0);
}

TEST_CASE("offloaded work may outlive its caller") {
  probe_silo silo;
  auto blocked = silo.later(ref<Probe>("a").block("offload").timeout(1s));
  REQUIRE(silo.events.has("works elsewhere"));
  silo.move(2s);
  CHECK(blocked.get().error().code() == errc::deadline_exceeded);
  CHECK(silo.here->call(ref<Probe>("a").set(1)));
  silo.gate.set_value();
}

TEST_CASE("offloading past the bounds of the pool is refused") {
  probe_silo silo{{.offload_threads_max = 1, .offload_queue_max = 1}};
  auto running = silo.later(ref<Probe>("a").block("offload"));
  REQUIRE(silo.events.has("works elsewhere"));
  auto waiting = silo.later(ref<Probe>("b").block("offload"));
  REQUIRE(silo.here->call(ref<Probe>("b").hold_beside("beside", 0)));  // it is in line now
  const auto refused = silo.here->call(ref<Probe>("c").block("offload"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::overloaded);
  silo.gate.set_value();
  CHECK(running.get());
  CHECK(waiting.get());
}

// Goal: an actor that called in a circle gives its place in the mailbox back.
TEST_CASE("calls that fail as a circle leave the mailbox as empty as it was") {
  probe_silo silo{{.threads = 1, .mailbox_messages_max = 4}};
  for (int at = 0; at < 10; ++at) {
    const auto answer = silo.here->call(ref<Probe>("a").call_back("b", "a"));
    CHECK(answer.error().code() == errc::call_cycle);
  }
}

}  // namespace
}  // namespace millrace::conformance
