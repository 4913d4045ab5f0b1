// SPDX-License-Identifier: MIT
// The device twin, with time that is moved by hand.
#include "examples/device_twin/device_twin.h"

#include <doctest/doctest.h>

#include "millrace/testing/test_silo.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;
using namespace millrace::runtime;
using demo::DeviceTwin;

struct twin_silo : test_silo {
  twin_silo() : test_silo([](silo& here) { here.add<demo::device_twin>(); }) {}
  bool online() { return call(twin.describe())->online(); }
  void report(std::string_view name, std::string_view value) {
    REQUIRE(call(twin.report(name, value)));
  }
  actor_ref<DeviceTwin> twin{"lamp"};
};

TEST_CASE("a twin keeps the last value of each name") {
  twin_silo silo;
  silo.report("power", "on");
  silo.report("colour", "red");
  silo.report("power", "off");
  const auto seen = silo.call(silo.twin.describe());
  REQUIRE(seen);
  const auto reported = seen->read().getReported();
  REQUIRE(reported.size() == 2);
  CHECK(reported[0].getName() == "colour");
  CHECK(reported[0].getValue() == "red");
  CHECK(reported[1].getName() == "power");
  CHECK(reported[1].getValue() == "off");
}

TEST_CASE("a device is offline when it has been silent for a minute") {
  twin_silo silo;
  CHECK_FALSE(silo.online());
  silo.report("power", "on");
  CHECK(silo.online());
  silo.advance(59s);
  silo.report("power", "on");
  silo.advance(59s);
  CHECK(silo.online());
  silo.advance(1s);
  CHECK_FALSE(silo.online());
  silo.report("power", "on");
  CHECK(silo.online());
}

TEST_CASE("whoever waits for a configuration is told when it is set") {
  twin_silo silo;
  auto first = silo.begin(silo.twin.await_config(0));
  auto second = silo.begin(silo.twin.await_config(0));
  CHECK_FALSE(first.answered());
  silo.report("power", "on");  // those who wait are in nobody's way
  CHECK(silo.call(silo.twin.configure("dim"))->version() == 1);
  for (auto* waiting : {&first, &second}) {
    const auto told = waiting->answer();
    REQUIRE(told);
    CHECK(told->desired() == "dim");
    CHECK(told->version() == 1);
  }
  CHECK(silo.call(silo.twin.await_config(0))->version() == 1);
}

TEST_CASE("a wait for a configuration ends with the present one") {
  twin_silo silo;
  REQUIRE(silo.call(silo.twin.configure("dim")));
  auto waiting = silo.begin(silo.twin.await_config(1));
  silo.advance(demo::poll_max - 1ns);
  CHECK_FALSE(waiting.answered());
  silo.advance(1ns);
  const auto told = waiting.answer();
  REQUIRE(told);
  CHECK(told->version() == 1);
}

}  // namespace
}  // namespace millrace::testing
