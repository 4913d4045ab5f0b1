// SPDX-License-Identifier: MIT
// Durable jobs: reminders that do something, fail, are taken back, are given to others.
#include "conformance/ledger.h"

namespace millrace::conformance {
namespace {

// In which place the hook of that name ran; 0: it has not.
std::int64_t place(ledger_silo& silo, std::string_view name, const std::string& key = "a") {
  return silo.amount(key, name);
}

TEST_CASE("jobs run in the order of their times, not in the order in which they were set") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind("third", 3'000)));
  REQUIRE(silo.call(ref<Ledger>("a").remind("first", 1'000)));
  REQUIRE(silo.call(ref<Ledger>("a").remind("second", 2'000)));
  silo.stop();
  silo.advance(1h);  // also when all of them are late
  silo.start();
  CHECK(place(silo, "first") == 1);
  CHECK(place(silo, "second") == 2);
  CHECK(place(silo, "third") == 3);
}

TEST_CASE("a job whose time has passed runs at once") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind("late", -3'600'000)));
  CHECK(place(silo, "late") == 1);
}

TEST_CASE("a job that fails is tried again until it does not, over a restart too") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind("fails twice", 1'000)));
  silo.advance(1s);
  CHECK(place(silo, "fails twice") == 0);
  CHECK(silo.warnings().size() == 1);
  silo.advance(1min);
  CHECK(place(silo, "fails twice") == 1);
  silo.advance(1h);
  CHECK(silo.total("a") == 1);

  REQUIRE(silo.call(ref<Ledger>("b").remind("fails twice", 1'000)));
  silo.advance(1s);
  silo.crash();  // its activation has forgotten that it has failed
  silo.start();
  silo.advance(1min);
  CHECK(place(silo, "fails twice", "b") == 1);
}

TEST_CASE("a job that was cancelled does not run") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind("job", 1'000)));
  REQUIRE(silo.call(ref<Ledger>("a").take_back("job")));
  silo.restart();
  silo.advance(1h);
  CHECK(place(silo, "job") == 0);
}

TEST_CASE("an actor gives a job to another, which keeps it over a crash") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind_other("b", "job", 1'000)));
  silo.crash();
  silo.start();
  silo.advance(1s);
  CHECK(place(silo, "job", "b") == 1);
  CHECK(place(silo, "job", "a") == 0);
}

TEST_CASE("a removal that was not committed before a crash has not happened") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").remind("job", 1'000)));
  silo.rows().hold_commits();
  auto removing = silo.begin(ref<Ledger>("a").take_back("job"));
  silo.crash();
  CHECK(removing.answer().error().code() == errc::outcome_unknown);
  silo.start();
  silo.advance(1s);
  CHECK(place(silo, "job") == 1);
}

}  // namespace
}  // namespace millrace::conformance
