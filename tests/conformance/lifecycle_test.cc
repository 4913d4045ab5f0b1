// SPDX-License-Identifier: MIT
// An actor is always there; its activation comes and goes.
#include <future>
#include <limits>

#include "conformance/ledger.h"
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("the first call activates an actor, and what it set is read back") {
  probe_silo silo;
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.call(ref<Probe>("a").set(7)));
  CHECK(silo.here().stats().activations == 1);
  CHECK(silo.call(ref<Probe>("a").get())->value() == 7);
}

// Goal: however many call an actor first, it has one activation.
// Method: calls from many threads, over and over, and each is counted by the one activation.
TEST_CASE("an actor has one activation, however many call it first") {
  ledger_silo silo{make_memory_storage(), {.threads = 4}};
  constexpr int threads = 4;
  for (int round = 1; round <= 50; ++round) {
    const auto key = std::to_string(round);
    std::vector<std::future<bool>> callers;
    for (int at = 0; at < threads; ++at) {
      callers.push_back(std::async(std::launch::async, [&silo, key] {
        return silo.here().call(ref<Ledger>(key).add(1)).has_value();
      }));
    }
    for (auto& each : callers) {
      CHECK(each.get());
    }
    CHECK(silo.total(key) == threads);
    CHECK(silo.here().stats().activations_total == static_cast<std::uint64_t>(round));
  }
}

TEST_CASE("an activation that has ended does not take its successor with it") {
  probe_silo silo{{.stuck_after = 60s}};
  REQUIRE(silo.call(ref<Probe>("slow to end").set(4)));
  REQUIRE(silo.call(ref<Probe>("slow to end").leave()));
  auto waiting = silo.begin(ref<Probe>("slow to end").get().timeout(1h));
  silo.advance(11min);  // the first is given up, a second serves
  CHECK(waiting.answer()->value() == 4);
  CHECK(silo.here().stats().activations == 1);
  CHECK(silo.here().stats().activations_total == 2);
  CHECK(silo.call(ref<Probe>("slow to end").get())->value() == 4);
  CHECK(silo.here().stats().activations_total == 2);
}

TEST_CASE("keys that are extreme or negative numbers name different actors") {
  probe_silo silo;
  const auto keys = {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                     std::int64_t{1}, std::numeric_limits<std::int64_t>::max()};
  for (const auto key : keys) {
    REQUIRE(silo.call(ref<Probe>(std::to_string(key)).set(key)));
  }
  for (const auto key : keys) {
    CHECK(silo.call(ref<Probe>(std::to_string(key)).get())->value() == key);
  }
}

TEST_CASE("hooks run once for each activation, in order") {
  probe_silo silo;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(silo.call(ref<Probe>("hooked").get()));
    REQUIRE(silo.call(ref<Probe>("hooked").leave()));
    CHECK(silo.here().stats().activations == 0);
  }
  CHECK(silo.events.all() ==
        std::vector<std::string>{"activates", "leaves", "activates", "leaves"});
}

TEST_CASE("an activation that is asked to leave while it begins answers first") {
  probe_silo silo;
  CHECK(silo.call(ref<Probe>("hooked and leaves at once").set(3)));
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.call(ref<Probe>("hooked and leaves at once").get())->value() == 3);
}

TEST_CASE("a failing activation is reported through an actor in the middle") {
  probe_silo silo;
  const auto direct = silo.call(ref<Probe>("unwilling").get());
  CHECK(direct.error().code() == errc::failed_precondition);
  CHECK(direct.error().text() == "not today");
  const auto through = silo.call(ref<Probe>("a").call_back("b", "unwilling"));
  CHECK(through.error() == direct.error());
}

TEST_CASE("a throwing constructor is reported through an actor in the middle") {
  probe_silo silo;
  const auto through = silo.call(ref<Probe>("a").call_back("b", "unbuildable"));
  REQUIRE_FALSE(through);
  CHECK(through.error() == error{errc::internal, "making an actor of type probe failed: planned"});
}

TEST_CASE("an actor that nobody uses is collected after the idle timeout") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Probe>("hooked").get()));
  silo.advance(59s);
  CHECK(silo.here().stats().activations == 1);
  silo.advance(2s);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.events.has("is idle"));
}

TEST_CASE("a busy actor is not collected, and leaves when asked only after its work") {
  probe_silo silo{{.idle_timeout = 1min}};
  auto held = silo.begin(ref<Probe>("hooked").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  silo.advance(10min);
  auto leaving = silo.begin(ref<Probe>("hooked").leave());
  CHECK(silo.here().stats().activations == 1);
  REQUIRE(silo.call(ref<Probe>("hooked").raise()));
  CHECK(held.answer());
  CHECK(leaving.answer());
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.events.all() ==
        std::vector<std::string>{"activates", "work begins", "work ends", "leaves"});
}

TEST_CASE("a type's own idle timeout goes before the silo's") {
  probe_silo silo{{.idle_timeout = 1h}};
  REQUIRE(silo.call(ref<Brief>("a").touch()));
  silo.advance(1001ms);
  CHECK(silo.here().stats().activations == 0);
}

TEST_CASE("an activation's own idle timeout goes before its type's, and can be taken back") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Probe>("a").linger(2'000)));
  silo.advance(1999ms);
  CHECK(silo.here().stats().activations == 1);
  REQUIRE(silo.call(ref<Probe>("a").get()));
  silo.advance(1999ms);
  CHECK(silo.here().stats().activations == 1);
  silo.advance(1ms);
  CHECK(silo.here().stats().activations == 0);

  REQUIRE(silo.call(ref<Probe>("a").linger(2'000)));
  REQUIRE(silo.call(ref<Probe>("a").linger(-1)));
  silo.advance(59s);
  CHECK(silo.here().stats().activations == 1);
  silo.advance(2s);
  CHECK(silo.here().stats().activations == 0);
  REQUIRE(silo.call(ref<Probe>("a").get()));
  silo.advance(3s);
  CHECK(silo.here().stats().activations == 1);  // it was of the activation that is gone
}

// Goal: zero means idle, not only unused: not while a method waits, and then at once.
TEST_CASE("an activation with an idle timeout of zero leaves with the end of its work") {
  probe_silo silo{{.idle_timeout = 1min}};
  auto held = silo.begin(ref<Probe>("hooked").hold_beside("work", 30'000));
  REQUIRE(silo.call(ref<Probe>("hooked").linger(0)));
  silo.advance(20s);
  CHECK(silo.here().stats().activations == 1);
  REQUIRE(silo.call(ref<Probe>("hooked").raise()));
  CHECK(held.answer());
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.events.all() ==
        std::vector<std::string>{"activates", "work begins", "work ends", "is idle"});
}

TEST_CASE("staying active puts collection off, and can be taken back") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Probe>("a").stay(600'000)));
  silo.advance(9min);
  CHECK(silo.here().stats().activations == 1);
  REQUIRE(silo.call(ref<Probe>("a").stay(0)));
  silo.advance(61s);
  CHECK(silo.here().stats().activations == 0);
}

TEST_CASE("a timer does not keep its actor active") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.call(ref<Probe>("a").every_ms("tick", 10'000, 10'000)));
  silo.advance(11s);
  REQUIRE(silo.events.has("tick"));
  silo.advance(50s);
  CHECK(silo.here().stats().activations == 0);
}

TEST_CASE("stopping the silo runs the hook of every activation") {
  probe_silo silo;
  REQUIRE(silo.call(ref<Probe>("hooked 1").get()));
  REQUIRE(silo.call(ref<Probe>("hooked 2").get()));
  silo.stop();
  CHECK(silo.events.count("is stopped") == 2);
}

}  // namespace
}  // namespace millrace::conformance
