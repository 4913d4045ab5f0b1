// SPDX-License-Identifier: MIT
// Turns that block their threads, all of them.
#include "conformance/probe.h"

namespace millrace::conformance {
namespace {

// Goal: turns that block harm their own actors only.
// Method: both threads are held until the test lets go; what a third is asked must be answered
// before that.
TEST_CASE("when turns hold every thread others are served by spare ones, which then go") {
  probe_silo silo{{.threads = 2}};
  auto first = silo.begin_holding(ref<Probe>("a").block("inside"));
  auto second = silo.begin_holding(ref<Probe>("b").block("inside"));
  REQUIRE(silo.events.has("holds the thread", 2));
  auto third = silo.begin_holding(ref<Probe>("c").get());
  REQUIRE(third.wait_for(20s) == std::future_status::ready);
  CHECK(third.get());
  const auto all = silo.warnings();
  REQUIRE(all.size() == 1);
  CHECK(
      all[0].starts_with("turns hold every thread, so a spare one runs: offload what blocks "
                         "spares=1 spares_max=8 actor=probe/"));
  CHECK(all[0].find(" actor=probe/a method=block") != std::string::npos);
  CHECK(all[0].find(" actor=probe/b method=block") != std::string::npos);
  const auto figures = silo.here().metrics();
  CHECK(figures.spare_threads == 1);
  CHECK(figures.threads == 2);
  REQUIRE(figures.blocked.size() == 1);
  CHECK(figures.blocked[0].type == "probe");
  CHECK(figures.blocked[0].method == "block");
  CHECK(figures.blocked[0].total == 2);

  auto fourth = silo.begin_holding(ref<Probe>("d").block("inside"));  // on the spare one
  REQUIRE(silo.events.has("holds the thread", 3));
  auto fifth = silo.begin_holding(ref<Probe>("e").get());
  REQUIRE(fifth.wait_for(20s) == std::future_status::ready);

  silo.gate.set_value();
  CHECK(first.get());
  CHECK(second.get());
  CHECK(fourth.get());
  REQUIRE(silo.events.has("warning: threads are free again: a spare one has ended spares=0"));
  CHECK(silo.here().metrics().spare_threads == 0);
  CHECK(silo.here().call(ref<Probe>("a").get()));
}

TEST_CASE("a silo may be told to have no spare threads, or few") {
  probe_silo silo{{.threads = 1, .spare_threads_max = 1}};
  auto first = silo.begin_holding(ref<Probe>("a").block("inside"));
  REQUIRE(silo.events.has("holds the thread"));
  auto second = silo.begin_holding(ref<Probe>("b").block("inside"));
  REQUIRE(silo.events.has("holds the thread", 2));
  auto third = silo.begin_holding(ref<Probe>("c").get());
  CHECK(silo.here().metrics().spare_threads == 1);
  silo.gate.set_value();
  CHECK(third.get());
  CHECK(silo.warnings().size() >= 1);
}

}  // namespace
}  // namespace millrace::conformance
