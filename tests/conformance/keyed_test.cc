// SPDX-License-Identifier: MIT
// Keyed calls of an actor that has had many: whatever has become of its activation, and how little
// of them it holds.
#include <filesystem>

#include "conformance/ledger.h"
#include "folders.h"

namespace millrace::conformance {
namespace {

// A few pages of rows, see keyed_answers.h.
constexpr int many = 1'500;

std::string key_of(int number) {
  return "order/" + std::to_string(number);
}

std::size_t rows_of_actors(ledger_silo& silo) {
  std::size_t count = 0;
  for (std::uint16_t index = 0; index < silo.rows().partition_count(); ++index) {
    REQUIRE(silo.rows().scan(partition_id{index}, {}, {}, SIZE_MAX, [&](const row& one) {
      count += one.key[0] == 4 ? 0 : 1;  // the versions of erased actors, see row_layout.h
      return true;
    }));
  }
  return count;
}

// Each adds one.
void add_keyed(ledger_silo& silo, int from, int count) {
  for (int at = from; at < from + count; ++at) {
    silo.here().call_then<ledger_interface::add_results>(ref<Ledger>("a").add(1).keyed(key_of(at)),
                                                         [](const auto& answer) { CHECK(answer); });
    if (at % 500 == 499) {
      silo.settle();
    }
  }
  silo.settle();
}

void check_answers(ledger_silo& silo, int from, int count) {
  for (int at = from; at < from + count; ++at) {
    const auto again = silo.call(ref<Ledger>("a").add(1).keyed(key_of(at)));
    REQUIRE(again);
    REQUIRE(again->total() == at + 1);
    REQUIRE(silo.call(ref<Ledger>("a").add(2).keyed(key_of(at))).error().code() == errc::conflict);
  }
}

TEST_CASE("each of many keyed calls has taken effect once, on whatever activation it is repeated") {
  ledger_silo silo;
  add_keyed(silo, 0, many);
  CHECK(silo.total("a") == many);
  check_answers(silo, many - 100, 100);
  silo.restart();
  check_answers(silo, 0, 100);  // while not all rows have been seen
  silo.advance(5s);             // and when they have
  check_answers(silo, many / 2, 100);
  silo.advance(20min);
  CHECK(silo.here().stats().activations == 0);
  check_answers(silo, 200, 50);
  silo.crash();
  silo.start();
  check_answers(silo, 300, 50);
  CHECK(silo.total("a") == many);
}

TEST_CASE("who takes a partition over knows the answers that were given before") {
  ledger_silo silo{make_memory_storage(1)};
  add_keyed(silo, 0, many);
  silo.discard(partition_id{0});
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed(key_of(1))).error().code() == errc::not_primary);
  REQUIRE(silo.take_over(partition_id{0}));
  check_answers(silo, 0, 50);
  CHECK(silo.total("a") == many);
}

TEST_CASE("an answer is forgotten after a day, and its key is good for another call") {
  ledger_silo silo;
  add_keyed(silo, 0, many);
  silo.advance(23h);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed(key_of(7)))->total() == 8);
  silo.advance(1h);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed(key_of(7)))->total() == many + 1);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed(key_of(7)))->total() == many + 1);
}

// Goal: lives of a moment in which something else is asked are enough for the rows to go.
TEST_CASE("rows of answers that are over go, however short the actor's lives are") {
  ledger_silo silo;
  add_keyed(silo, 0, many);
  CHECK(rows_of_actors(silo) > many);
  silo.advance(25h);
  auto left = rows_of_actors(silo);
  CHECK(left > many);
  for (int life = 0; life < 4; ++life) {
    REQUIRE(silo.call(ref<Ledger>("a").get()));
    silo.restart();
    const auto now = rows_of_actors(silo);
    CHECK((now < left || now < 5));
    left = now;
  }
  CHECK(left < 5);
}

TEST_CASE("rows go while the activation lives, without a call") {
  ledger_silo silo{make_memory_storage(), {.idle_timeout = 100h}};
  add_keyed(silo, 0, many);
  silo.advance(24h);
  silo.advance(1min);
  CHECK(silo.here().stats().activations == 1);
  CHECK(rows_of_actors(silo) < 5);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed(key_of(7)))->total() == many + 1);
}

TEST_CASE("an erased actor leaves no row when its last keyed call is a day ago") {
  for (const int count : {1, 10, many}) {
    CAPTURE(count);
    ledger_silo silo{make_memory_storage(), {.idle_timeout = 100h}};
    add_keyed(silo, 0, count);
    REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0).keyed("clear")));
    check_answers(silo, 0, 1);
    CHECK(rows_of_actors(silo) > static_cast<std::size_t>(count));
    silo.advance(25h);
    static_cast<void>(silo.call(ref<Ledger>("a").get()));
    silo.advance(1min);
    CHECK(rows_of_actors(silo) == 0);
  }
}

TEST_CASE("an actor that is erased after keyed calls and gets one more goes on") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7).keyed("one")));
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  CHECK(silo.call(ref<Ledger>("a").add(5).keyed("two"))->total() == 5);
  CHECK(silo.call(ref<Ledger>("a").add(7).keyed("one"))->total() == 7);
  silo.restart();
  CHECK(silo.total("a") == 5);
  CHECK(silo.call(ref<Ledger>("a").add(5).keyed("two"))->total() == 5);
}

TEST_CASE("what an actor holds of its keyed calls is a filter, and its budget counts that") {
  ledger_silo silo{make_memory_storage(), {.memory_budget_bytes = std::size_t{1} << 30U}};
  add_keyed(silo, 0, 10);
  const auto before = silo.here().stats().memory_bytes;
  add_keyed(silo, 10, 20'000);
  const auto grown = silo.here().stats().memory_bytes - before;
  CHECK(grown > 20'000);
  CHECK(grown < 200'000);
  silo.restart();
  check_answers(silo, 19'990, 10);
  CHECK(silo.here().stats().memory_bytes < before + 20'000);
  silo.advance(5s);
  CHECK(silo.here().stats().memory_bytes < before + 200'000);
}

// `keyed_before` was written by the program that kept all answers in memory: 100 keyed calls of
// `add`, a payment, then five keyed calls that changed nothing. Only the answers of these have the
// highest version of the actor.
TEST_CASE("the answers of an earlier program count, and so do their versions") {
  const testing::temporary_folder data;
  std::filesystem::copy(std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/conformance/keyed_before",
                        data.path, std::filesystem::copy_options::recursive);
  auto rows = open_storage({.directory = data.path, .map_bytes = std::size_t{64} << 20U});
  REQUIRE(rows);
  ledger_silo silo{*std::move(rows)};
  CHECK(silo.call(ref<Ledger>("a").get())->version() == 106);
  check_answers(silo, 0, 100);
  CHECK(silo.call(ref<Ledger>("a").entry("x").keyed("look/4")));
  CHECK(silo.call(ref<Ledger>("a").entry("y").keyed("look/4")).error().code() == errc::conflict);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed("new"))->total() == 100);
  CHECK(silo.call(ref<Ledger>("a").get())->version() == 107);
  silo.restart();
  check_answers(silo, 0, 100);
  CHECK(silo.call(ref<Ledger>("a").add(1).keyed("new"))->total() == 100);
  REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));
  CHECK(silo.total("b") == 2);
}

}  // namespace
}  // namespace millrace::conformance
