// SPDX-License-Identifier: MIT
// Silos that run by hand.
#include "millrace/runtime/call_batch.h"
#include "runtime/silo/manual_silo.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a silo that runs by hand does nothing by itself, and what is chosen when told") {
  manual_silo silo;
  for (const auto* key : {"a", "b", "c"}) {
    silo.add_to(key);
  }
  CHECK(silo.here->stats().calls_total == 0);
  while (silo.totals.empty()) {
    REQUIRE(silo.here->run_one(2));  // of three that are ready the last
  }
  CHECK(silo.totals.back() == 'c');
  silo.run_all();
  CHECK(silo.totals.size() == 3);
}

TEST_CASE("calls of a batch begin when it is flushed, and when it ends") {
  manual_silo silo;
  {
    call_batch together;
    silo.add_to("a");
    silo.add_to("b");
    CHECK_FALSE(silo.here->run_one());
    together.flush();
    silo.run_all();
    CHECK(silo.totals.size() == 2);
    {
      const call_batch inner;
      silo.add_to("c");
    }
    CHECK_FALSE(silo.here->run_one());
  }
  silo.run_all();
  CHECK(silo.totals == std::vector<std::int64_t>{'a', 'b', 'c'});
}

TEST_CASE("a batch does not hold back what its own thread waits for") {
  silo here{make_memory_storage()};
  here.add<counter>();
  REQUIRE(here.start());
  {
    const call_batch together;
    here.tell(ref<Counter>("a").add(1));
    const auto total = here.call(ref<Counter>("a").add(1));
    REQUIRE(total);
    CHECK(total->total() == 2);
    here.tell(ref<Counter>("b").add(1));
    here.stop();
  }
}

TEST_CASE("by hand, reminders and timers fire when time is moved") {
  manual_silo silo;
  silo.here->tell(ref<Counter>("a").remind_in(1'000, 0));
  silo.here->tell(ref<Counter>("a").tick(500, 0));
  silo.run_all();
  silo.time.move(999ms);
  silo.here->time_changed();
  silo.run_all();
  silo.time.move(1ms);
  silo.here->time_changed();
  silo.add_to("a");
  silo.run_all();
  CHECK(silo.totals == std::vector<std::int64_t>{1'000 + 1 + 'a'});
}

TEST_CASE("stopping a silo that runs by hand ends what can end") {
  manual_silo silo;
  silo.add_to("a");
  silo.here->stop();
  CHECK(silo.totals == std::vector<std::int64_t>{'a'});
  CHECK(silo.here->stats().activations == 0);
  CHECK(silo.warnings.empty());
}

// Goal: a silo may be destroyed whatever its activations are doing.
// Method: a call waits in an activation whose commit fails because storage has stopped; it is given
// to a new activation while the silo's destructor runs.
TEST_CASE("a silo is destroyed while an activation fails with a call waiting") {
  manual_silo silo;
  silo.add_to("a");
  silo.run_all();
  silo.here->tell(ref<Counter>("a").add(1));
  silo.here->tell(ref<Counter>("a").relay("b", 1));
  silo.add_to("a");
  silo.here.reset();
  CHECK(silo.codes == std::vector{errc{}, errc::outcome_unknown});
  REQUIRE_FALSE(silo.warnings.empty());
  CHECK(silo.warnings.back() ==
        "activation ended error=unavailable: storage has stopped actor=counter/a");
  silo.start();
  CHECK(silo.total("a") == 'a');
}

// Goal: `unavailable` says that nothing was done.
TEST_CASE("a call whose commit is under way when the silo stops is not refused") {
  manual_silo silo;
  silo.start(manual_silo::storage_works::when_told);
  silo.add_to("a");
  while (silo.here->run_one() || (silo.rows->commits() == 0 && silo.disk->do_one())) {
  }
  REQUIRE(silo.rows->commits() == 1);
  REQUIRE(silo.totals.empty());
  silo.here->stop(0ms);
  silo.here.reset();
  CHECK(silo.codes == std::vector{errc::outcome_unknown});
  silo.start();
  CHECK(silo.total("a") == 'a');
}

// Goal: a silo that waits for its disk while it stops does nothing else.
// Method: a send that has failed is due again while its sender's commit is under way; `stop` would
// not return while anything is ready.
TEST_CASE("a silo that stops does not try sends again and again") {
  manual_silo silo;
  silo.rows->fail_commits({errc::out_of_space, "planned"}, 1, 1);  // the receiver's
  silo.here->tell(ref<Counter>("a").post_to("b", 10));
  silo.run_all();
  silo.rows->hold_commits();
  silo.add_to("a");
  silo.run_all();
  silo.time.move(1s);
  silo.here->stop(1ms);
  CHECK(silo.codes == std::vector{errc::outcome_unknown});
  silo.start();
  silo.run_all();
  CHECK(silo.total("a") == -10);
  CHECK(silo.total("b") == 10);
}

// Goal: of a commit that nobody knows the end of, those whose changes it had are told just that,
// and nobody else is. Method: three calls of one actor. The first one's commit is under way when
// the others come: one changes more, which waits for the next commit, and one only reads.
TEST_CASE("a commit whose outcome is not known is told as that to those whose changes it had") {
  for (const auto why : {errc::outcome_unknown, errc::out_of_space}) {
    CAPTURE(to_string(why));
    manual_silo silo;
    REQUIRE(silo.total("a") == 0);
    errc in_it{};
    errc behind_it{};
    errc reads{};
    const auto note = [](errc& to) {
      return [&to](const auto& answer) { to = answer ? errc{} : answer.error().code(); };
    };
    silo.rows->hold_commits();
    silo.here->call_then<counter_interface::add_results>(ref<Counter>("a").add(1), note(in_it));
    silo.run_all();
    silo.here->call_then<counter_interface::get_results>(ref<Counter>("a").get(), note(reads));
    silo.run_all();
    silo.here->call_then<counter_interface::add_results>(ref<Counter>("a").add(2), note(behind_it));
    silo.run_all();
    silo.rows->fail_held({why, "planned"});
    silo.run_all();
    CHECK(in_it == why);
    CHECK(retry_of(behind_it) == retry_class::safe);
    CHECK(retry_of(reads) == retry_class::safe);
    CHECK(silo.total("a") == 0);
  }
}

// Goal: the same for a method that has changed something, and waits when its commit fails.
TEST_CASE("a turn that waits is told that the outcome of its changes is not known") {
  manual_silo silo;
  silo.here->call_then<counter_interface::add_results>(ref<Counter>("a").add(1), [](auto) {});
  silo.run_all();
  errc code{};
  silo.rows->hold_commits();
  silo.here->call_then<void>(ref<Counter>("a").add_and_wait(1), [&code](const auto& answer) {
    code = answer ? errc{} : answer.error().code();
  });
  silo.run_all();
  silo.rows->fail_held({errc::outcome_unknown, "planned"});
  silo.run_all();
  CHECK(code == errc::outcome_unknown);
  CHECK(silo.total("a") == 1);
}

TEST_CASE("a send to a reentrant method takes effect once when it is repeated meanwhile") {
  manual_silo silo;
  silo.here->tell(ref<Counter>("a").post_slow("b", 10));
  silo.run_all();
  silo.rows->fail_commits({errc::out_of_space, "planned"});
  silo.add_to("a");
  silo.run_all();
  CHECK(silo.codes == std::vector{errc::out_of_space});
  CHECK(silo.total("a") == 0);  // loaded: it is sent again
  CHECK(silo.total("b") == 0);
  silo.here->tell(ref<Counter>("b").raise());
  silo.run_all();
  CHECK(silo.total("b") == 10);
  for (int tries = 0; tries < 10 && silo.here->stats().sends_pending > 0; ++tries) {
    silo.time.move(5s);
    silo.here->time_changed();
    silo.here->tell(ref<Counter>("b").raise());
    silo.run_all();
  }
  CHECK(silo.here->stats().sends_pending == 0);
  CHECK(silo.total("b") == 10);
}

}  // namespace
}  // namespace millrace::testing
