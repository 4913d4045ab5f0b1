// SPDX-License-Identifier: MIT
// The device twin, with time that is moved by hand.
#include "examples/device_twin/device_twin.h"

#include <doctest/doctest.h>

#include <future>
#include <optional>
#include <thread>

#include "millrace/testing/hand_clock.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;
using namespace millrace::runtime;
using demo::DeviceTwin;
using twin_interface = demo::device_twin_interface;

struct twin_silo {
  twin_silo() {
    here.add<demo::device_twin>();
    REQUIRE(here.start());
  }
  void move(runtime::duration by) {
    time.move(by);
    here.time_changed();
  }
  bool online() { return here.call(twin.describe())->online(); }
  void report(std::string_view name, std::string_view value) {
    REQUIRE(here.call(twin.report(name, value)));
  }
  // Asks for a newer configuration and returns when it is waited for.
  std::future<result<twin_interface::await_config_results>> poll(std::uint64_t known) {
    using answer = result<twin_interface::await_config_results>;
    auto told = std::make_shared<std::promise<answer>>();
    here.call_then<twin_interface::await_config_results>(
        twin.await_config(known), [told](answer one) { told->set_value(std::move(one)); });
    static_cast<void>(online());  // answered after the poll has begun
    return told->get_future();
  }

  hand_clock time;
  silo here{make_memory_storage(), {}, time};
  actor_ref<DeviceTwin> twin{"lamp"};
};

TEST_CASE("a twin keeps the last value of each name") {
  twin_silo silo;
  silo.report("power", "on");
  silo.report("colour", "red");
  silo.report("power", "off");
  const auto seen = silo.here.call(silo.twin.describe());
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
  silo.move(59s);
  silo.report("power", "on");
  silo.move(59s);
  CHECK(silo.online());
  silo.move(1s);
  while (silo.here.stats().reminders_fired_total == 0) {
    std::this_thread::yield();
  }
  CHECK_FALSE(silo.online());
  silo.report("power", "on");
  CHECK(silo.online());
}

TEST_CASE("whoever waits for a configuration is told when it is set") {
  twin_silo silo;
  auto first = silo.poll(0);
  auto second = silo.poll(0);
  CHECK(first.wait_for(0s) == std::future_status::timeout);
  silo.report("power", "on");  // those who wait are in nobody's way
  CHECK(silo.here.call(silo.twin.configure("dim"))->version() == 1);
  for (auto* waiting : {&first, &second}) {
    const auto told = waiting->get();
    REQUIRE(told);
    CHECK(told->desired() == "dim");
    CHECK(told->version() == 1);
  }
  CHECK(silo.here.call(silo.twin.await_config(0))->version() == 1);
}

TEST_CASE("a wait for a configuration ends with the present one") {
  twin_silo silo;
  REQUIRE(silo.here.call(silo.twin.configure("dim")));
  auto waiting = silo.poll(1);
  silo.move(demo::poll_max - 1ns);
  static_cast<void>(silo.online());
  CHECK(waiting.wait_for(0s) == std::future_status::timeout);
  silo.move(1ns);
  const auto told = waiting.get();
  REQUIRE(told);
  CHECK(told->version() == 1);
}

}  // namespace
}  // namespace millrace::testing
