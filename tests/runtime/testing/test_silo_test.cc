// SPDX-License-Identifier: MIT
// The test silo itself: what settles, how time passes, how a silo ends.
#include "millrace/testing/test_silo.h"

#include "runtime/silo/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

TEST_CASE("when a call returns, what it has set off has happened") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").post_to("b", 10)));
  CHECK(silo.here().stats().sends_pending == 0);
  CHECK(silo.total("b") == 10);
  REQUIRE(silo.call(ref<Counter>("a").leave()));
  CHECK(silo.here().stats().activations == 1);
  silo.tell(ref<Counter>("b").told_add(1));
  CHECK(silo.total("b") == 11);
}

// Goal: what is said to have settled has.
// Method: rounds of sends between two actors, with three threads to run them; nothing is pending
// after any of them.
TEST_CASE("nothing is left to do after settling, however many threads run turns") {
  counter_silo silo{make_memory_storage(), {.threads = 3}};
  for (int at = 1; at <= 2'000; ++at) {
    silo.here().tell(ref<Counter>("x").post_to("y", 1));
    silo.here().tell(ref<Counter>("y").post_to("z", 1));
    silo.here().tell(ref<Counter>("z").post_to("x", 1));
    silo.settle();
    const auto stats = silo.here().stats();
    REQUIRE(stats.sends_pending == 0);
    REQUIRE(stats.calls_total == static_cast<std::uint64_t>(at) * 6 + 3);  // 3: on_activate
  }
}

TEST_CASE("a silo that runs by hand settles on the test's own thread") {
  counter_silo silo{make_memory_storage(), {.by_hand = true}};
  REQUIRE(silo.call(ref<Counter>("a").post_to("b", 10)));
  CHECK(silo.total("b") == 10);
  REQUIRE(silo.call(ref<Counter>("a").tick(10'000, 10'000)));
  silo.advance(1min);
  CHECK(silo.total("a") == -4);
  silo.restart();
  CHECK(silo.total("a") == -4);
}

TEST_CASE("time passes from one instant to the next") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").tick(10'000, 10'000)));
  silo.advance(1min);
  CHECK(silo.total("a") == 6);
  silo.advance(9s + 999ms);
  CHECK(silo.total("a") == 6);
  silo.advance(1ms);
  CHECK(silo.total("a") == 7);
}

TEST_CASE("without a silo time passes at once") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").remind_in(60'000, 60'000)));
  silo.advance(10min);
  CHECK(silo.total("a") == 10'000);
  silo.stop();
  silo.advance(10min);
  silo.start();
  CHECK(silo.total("a") == 11'000);  // once for all it has missed
}

TEST_CASE("a call that waits for time says so instead of blocking") {
  counter_silo silo;
  CHECK_THROWS_WITH(
      static_cast<void>(silo.call(ref<Counter>("a").await(1'000))),
      "a call has no answer, though everything has settled; it waits for time, for a signal, for "
      "another call or for a commit that is held: counter/a");
  auto waiting = silo.begin(ref<Counter>("a").await(5'000));
  CHECK_FALSE(waiting.answered());
  silo.advance(5s);
  CHECK(waiting.answered());
  CHECK_FALSE(waiting.answer()->raised());
}

TEST_CASE("a held commit holds its answer up, and the silo has settled") {
  counter_silo silo;
  silo.rows().hold_commits();
  auto adding = silo.begin(ref<Counter>("a").add(1));
  CHECK_FALSE(adding.answered());
  silo.rows().release_commits();
  CHECK(adding.answer()->total() == 1);
}

TEST_CASE("a silo starts again on what was committed, and on nothing else") {
  counter_silo silo;
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  silo.restart();
  CHECK(silo.total("a") == 1);
  silo.rows().hold_commits();
  auto lost = silo.begin(ref<Counter>("a").add(1));
  silo.crash();
  CHECK(lost.answer().error().code() == errc::outcome_unknown);
  silo.start();
  CHECK(silo.total("a") == 1);
  CHECK(silo.warnings().empty());
}

TEST_CASE("a silo that does not start says why") {
  auto rows = std::make_unique<faulty_storage>(make_memory_storage());
  rows->fail_scans({errc::storage_failed, "planned"});
  CHECK_THROWS_WITH(counter_silo{std::move(rows)},
                    "the silo does not start: storage_failed: planned");
}

TEST_CASE("warnings are kept, and go on to whom they were for") {
  std::string heard;
  silo_options options;
  options.warn = [&](std::string_view line) { heard = line; };
  counter_silo silo{make_memory_storage(), std::move(options)};
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  CHECK_FALSE(silo.call(ref<Counter>("a").add(1)));
  REQUIRE(silo.warnings().size() == 1);
  CHECK(silo.warnings()[0] == heard);
}

}  // namespace
}  // namespace millrace::testing
