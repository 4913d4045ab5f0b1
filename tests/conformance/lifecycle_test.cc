// SPDX-License-Identifier: MIT
// An actor is always there; its activation comes and goes.
#include <limits>
#include <thread>

#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

TEST_CASE("the first call activates an actor, and what it set is read back") {
  probe_silo silo;
  CHECK(silo.here->stats().activations == 0);
  CHECK(silo.here->call(ref<Probe>("a").set(7)));
  CHECK(silo.here->stats().activations == 1);
  CHECK(silo.here->call(ref<Probe>("a").get())->value() == 7);
}

TEST_CASE("keys that are extreme or negative numbers name different actors") {
  probe_silo silo;
  const auto keys = {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                     std::int64_t{1}, std::numeric_limits<std::int64_t>::max()};
  for (const auto key : keys) {
    REQUIRE(silo.here->call(ref<Probe>(std::to_string(key)).set(key)));
  }
  for (const auto key : keys) {
    CHECK(silo.here->call(ref<Probe>(std::to_string(key)).get())->value() == key);
  }
}

TEST_CASE("hooks run once for each activation, in order") {
  probe_silo silo;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(silo.here->call(ref<Probe>("hooked").get()));
    REQUIRE(silo.here->call(ref<Probe>("hooked").leave()));
    silo.wait_until_empty();
  }
  CHECK(silo.events.all() ==
        std::vector<std::string>{"activates", "leaves", "activates", "leaves"});
}

TEST_CASE("an activation that is asked to leave while it begins answers first") {
  probe_silo silo;
  CHECK(silo.here->call(ref<Probe>("hooked and leaves at once").set(3)));
  silo.wait_until_empty();
  CHECK(silo.here->call(ref<Probe>("hooked and leaves at once").get())->value() == 3);
}

TEST_CASE("a failing activation is reported through an actor in the middle") {
  probe_silo silo;
  const auto direct = silo.here->call(ref<Probe>("unwilling").get());
  CHECK(direct.error().code() == errc::failed_precondition);
  CHECK(direct.error().text() == "not today");
  const auto through = silo.here->call(ref<Probe>("a").call_back("b", "unwilling"));
  CHECK(through.error() == direct.error());
}

TEST_CASE("an actor that nobody uses is collected after the idle timeout") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.here->call(ref<Probe>("hooked").get()));
  silo.move(59s);
  CHECK(silo.here->stats().activations == 1);
  silo.move(2s);
  silo.wait_until_empty();
  CHECK(silo.events.has("is idle"));
}

TEST_CASE("a busy actor is not collected, and leaves when asked only after its work") {
  probe_silo silo{{.idle_timeout = 1min}};
  auto held = silo.later(ref<Probe>("hooked").hold("work", 3'000'000));
  REQUIRE(silo.events.has("work begins"));
  silo.move(10min);
  auto leaving = silo.later(ref<Probe>("hooked").leave());
  CHECK(silo.here->stats().activations == 1);
  REQUIRE(silo.here->call(ref<Probe>("hooked").raise()));
  CHECK(held.get());
  CHECK(leaving.get());
  silo.wait_until_empty();
  CHECK(silo.events.all() ==
        std::vector<std::string>{"activates", "work begins", "work ends", "leaves"});
}

TEST_CASE("a type's own idle timeout goes before the silo's") {
  probe_silo silo{{.idle_timeout = 1h}};
  REQUIRE(silo.here->call(ref<Brief>("a").touch()));
  silo.move(1001ms);
  silo.wait_until_empty();
}

TEST_CASE("staying active puts collection off, and can be taken back") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.here->call(ref<Probe>("a").stay(600'000)));
  silo.move(9min);
  CHECK(silo.here->stats().activations == 1);
  REQUIRE(silo.here->call(ref<Probe>("a").stay(0)));
  silo.move(61s);
  silo.wait_until_empty();
}

TEST_CASE("a timer does not keep its actor active") {
  probe_silo silo{{.idle_timeout = 1min}};
  REQUIRE(silo.here->call(ref<Probe>("a").every_ms("tick", 10'000, 10'000)));
  silo.move(11s);
  REQUIRE(silo.events.has("tick"));
  silo.move(50s);
  silo.wait_until_empty();
}

TEST_CASE("stopping the silo runs the hook of every activation") {
  probe_silo silo;
  REQUIRE(silo.here->call(ref<Probe>("hooked 1").get()));
  REQUIRE(silo.here->call(ref<Probe>("hooked 2").get()));
  silo.here->stop();
  CHECK(silo.events.count("is stopped") == 2);
}

}  // namespace
}  // namespace millrace::conformance
