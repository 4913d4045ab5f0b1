// SPDX-License-Identifier: MIT
// Turns that block their threads, all of them.
#include "conformance/probe.h"
#include "millrace/runtime/call_batch.h"

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

// Goal: an actor with more calls than one go of it is not kept by a thread that others hold.
// Method: one thread; both are ready at once, the actor with many calls first, then one that
// blocks.
TEST_CASE("an actor that has more to do is taken by a spare thread while another one blocks") {
  constexpr int more_than_a_batch = 300;
  probe_silo silo{{.threads = 1}};
  REQUIRE(silo.call(ref<Probe>("busy").get()));
  REQUIRE(silo.call(ref<Probe>("blocks").get()));
  std::future<result<probe_interface::block_results>> blocked;
  {
    call_batch together;
    for (int at = 0; at < more_than_a_batch; ++at) {
      silo.here().tell(ref<Probe>("busy").set(at));
    }
    blocked = silo.begin_holding(ref<Probe>("blocks").block("inside"));
  }
  REQUIRE(silo.events.has("holds the thread"));
  auto after = silo.begin_holding(ref<Probe>("busy").get());
  REQUIRE(after.wait_for(20s) == std::future_status::ready);
  CHECK(after.get()->value() == more_than_a_batch - 1);
  silo.gate.set_value();
  CHECK(blocked.get());
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
