// SPDX-License-Identifier: MIT
// Stored state: versions, failures of storage, room.
#include "conformance/clerk.h"
#include "conformance/ledger.h"
#include "folders.h"

namespace millrace::conformance {
namespace {

using testing::temporary_folder;

std::unique_ptr<storage> rows_in(const temporary_folder& data, std::size_t map_bytes) {
  auto rows = open_storage({.directory = data.path, .map_bytes = map_bytes});
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().text()));
  return *std::move(rows);
}

// --- versions ------------------------------------------------------------------------------------

TEST_CASE(
    "a change that was based on an older version is refused, and so is a second first write") {
  ledger_silo silo;
  const auto first = silo.call(ref<Ledger>("a").set_if(1, 0));
  REQUIRE(first);
  CHECK(silo.call(ref<Ledger>("a").set_if(2, 0)).error().code() == errc::conflict);
  REQUIRE(silo.call(ref<Ledger>("a").set_if(2, first->version())));
  CHECK(silo.call(ref<Ledger>("a").set_if(3, first->version())).error().code() == errc::conflict);
  CHECK(silo.total("a") == 2);

  const auto written = silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0));
  REQUIRE(written);
  CHECK(silo.call(ref<Ledger>("a").keep_if("x", 2, 0, 0)).error().code() == errc::conflict);
  CHECK(silo.amount("a", "x") == 1);
}

TEST_CASE("a record is erased only at the version that was read, and may be written first again") {
  ledger_silo silo;
  const auto first = silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0))->version();
  const auto second = silo.call(ref<Ledger>("a").keep_if("x", 2, first, 0))->version();
  CHECK(silo.call(ref<Ledger>("a").drop_if("x", first)).error().code() == errc::conflict);
  CHECK(silo.amount("a", "x") == 2);
  REQUIRE(silo.call(ref<Ledger>("a").drop_if("x", second)));
  CHECK(silo.call(ref<Ledger>("a").drop_if("x", second)).error().code() == errc::conflict);
  CHECK(silo.call(ref<Ledger>("a").keep_if("x", 3, second, 0)).error().code() == errc::conflict);
  const auto again = silo.call(ref<Ledger>("a").keep_if("x", 3, 0, 0));
  REQUIRE(again);
  CHECK(again->version() > second);  // versions are never used again
}

TEST_CASE("a version grows with every write, also of an equal value, and with no read") {
  ledger_silo silo;
  const auto one = silo.call(ref<Ledger>("a").set_if(5, 0))->version();
  CHECK(silo.call(ref<Ledger>("a").get())->version() == one);
  const auto two = silo.call(ref<Ledger>("a").set_if(5, one))->version();
  CHECK(two > one);
  CHECK(silo.call(ref<Ledger>("a").get())->version() == two);
  silo.restart();
  CHECK(silo.call(ref<Ledger>("a").get())->version() == two);
}

TEST_CASE("records that one turn writes share its version, and others keep theirs") {
  ledger_silo silo;
  const auto alone = silo.call(ref<Ledger>("a").keep_if("alone", 1, 0, 0))->version();
  ledger_interface::keep_all_params many;
  auto names = many.build().initNames(100);
  for (unsigned at = 0; at < names.size(); ++at) {
    names.set(at, std::to_string(at).c_str());
  }
  many.build().setAmount(7);
  REQUIRE(silo.call(ref<Ledger>("a").keep_all(std::move(many))));
  silo.restart();
  const auto together = silo.call(ref<Ledger>("a").entry("0"))->version();
  CHECK(together > alone);
  for (int at = 0; at < 100; ++at) {
    const auto one = silo.call(ref<Ledger>("a").entry(std::to_string(at)));
    CHECK(one->amount() == 7);
    CHECK(one->version() == together);
  }
  CHECK(silo.call(ref<Ledger>("a").entry("alone"))->version() == alone);
}

// --- readers -------------------------------------------------------------------------------------

// Goal: what was read is what it was, whatever others do while the reader is suspended.
// Method: a record that is committed, or of which changes wait for the disk, is changed, erased and
// made again by others, through many commits, which use the memory again.
TEST_CASE("a record that was got stays what it was while its reader waits") {
  for (const auto* how : {"committed", "changed"}) {
    CAPTURE(how);
    clerk_silo silo;
    REQUIRE(silo.call(ref<Clerk>("a").follow("put x;put x")));
    if (how == std::string{"changed"}) {
      silo.rows().hold_commits();
      static_cast<void>(silo.begin(ref<Clerk>("a").follow("put x")));
      static_cast<void>(silo.begin(ref<Clerk>("a").follow("put x")));
    }
    auto reading = silo.begin(ref<Clerk>("a").follow_beside("read x"));
    for (int at = 0; at < 100; ++at) {
      static_cast<void>(silo.begin(ref<Clerk>("a").follow_beside("put x")));
      if (at % 10 == 5) {
        static_cast<void>(silo.begin(ref<Clerk>("a").follow_beside("put x;drop x;put x")));
        static_cast<void>(silo.begin(ref<Clerk>("a").follow_beside("drop x;throw 0;fail 9")));
      }
      static_cast<void>(silo.begin(ref<Clerk>("b").follow("put y")));
      silo.rows().release_commits();
    }
    static_cast<void>(silo.begin(ref<Clerk>("a").follow_beside("drop x")));
    REQUIRE(silo.call(ref<Clerk>("a").raise()));
    CHECK(reading.answer()->total() == (how == std::string{"changed"} ? 4 : 2));
  }
}

TEST_CASE("a map may be a set") {
  clerk_silo silo;
  REQUIRE(silo.call(ref<Clerk>("a").follow("insert x;put y;insert y;insert z;drop z")));
  silo.restart();
  CHECK(silo.entries("a") == "x=0 y=1");
}

// --- failures ------------------------------------------------------------------------------------

TEST_CASE("state that cannot be read fails its callers, and is read again for the next") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(3)));
  silo.restart();
  silo.rows().fail_reads({errc::storage_failed, "planned"});
  const auto failed = silo.call(ref<Ledger>("a").add(1));
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == error{errc::storage_failed, "planned"});
  CHECK(silo.call(ref<Ledger>("a").add(1))->total() == 4);
}

TEST_CASE("a write that fails changes nothing, sends nothing, and its caller may try again") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(3)));
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  const auto failed = silo.call(ref<Ledger>("a").pay("b", 1));
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == error{errc::out_of_space, "planned"});
  CHECK(silo.total("a") == 3);
  CHECK(silo.total("b") == 0);
  REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));
  CHECK(silo.total("a") == 2);
  CHECK(silo.total("b") == 1);
  silo.restart();
  CHECK(silo.total("a") == 2);
  CHECK(silo.total("b") == 1);
}

// Goal: what was read from a change that then failed is never seen either.
// Method: the first change waits for the disk; a reader comes after it; then the disk refuses.
TEST_CASE("nobody is told of a change that fails, also not who has only read it") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(3)));
  silo.rows().hold_commits();
  auto changing = silo.begin(ref<Ledger>("a").add(1));
  auto reading = silo.begin(ref<Ledger>("a").get());
  CHECK_FALSE(changing.answered());
  CHECK_FALSE(reading.answered());
  silo.crash();
  CHECK(changing.answer().error().code() == errc::outcome_unknown);
  CHECK(reading.answer().error().code() == errc::outcome_unknown);
  silo.start();
  CHECK(silo.total("a") == 3);
}

// --- durability ----------------------------------------------------------------------------------

TEST_CASE("state is there when the silo starts again, on the files that it left") {
  const temporary_folder data;
  constexpr std::size_t map_bytes = 64U << 20U;
  {
    ledger_silo silo{rows_in(data, map_bytes)};
    REQUIRE(silo.call(ref<Ledger>("a").add(5)));
    REQUIRE(silo.call(ref<Ledger>("a").keep_if("x", 6, 0, 0)));
    silo.stop();
  }
  ledger_silo silo{rows_in(data, map_bytes)};
  CHECK(silo.total("a") == 5);
  CHECK(silo.amount("a", "x") == 6);
}

// Goal: a data directory that is full refuses what needs room and nothing else.
// Method: entries of 100 KB until one is refused; what erases them makes room. Storage gives it
// back in its own time, so what comes then is tried as its error says, until it is taken.
TEST_CASE("a full map refuses writes with a hint, goes on reading, and heals when there is room") {
  const temporary_folder data;
  ledger_silo silo{rows_in(data, 16U << 20U)};
  REQUIRE(silo.call(ref<Ledger>("small").add(1)));
  std::vector<std::uint64_t> versions;
  const auto write = [&](std::size_t number) {
    return silo.call(ref<Ledger>("big").keep_if(std::to_string(number), 1, 0, 100'000));
  };
  auto written = write(0);
  for (; written && versions.size() < 1'000; written = write(versions.size())) {
    versions.push_back(written->version());
  }
  REQUIRE_FALSE(written);
  CHECK(written.error().code() == errc::out_of_space);
  CHECK(retry_of(written.error().code()) == retry_class::safe);
  CHECK(written.error().retry_after() > 0ms);
  CHECK(silo.total("small") == 1);
  CHECK(silo.amount("big", "0") == 1);
  CHECK(silo.amount("big", std::to_string(versions.size())) == 0);
  const system_clock real;
  const auto limit = real.steady() + 30s;
  const auto taken_in_time = [&](const auto& attempt) {
    auto outcome = attempt();
    while (!outcome && outcome.error().code() == errc::out_of_space && real.steady() < limit) {
      outcome = attempt();
    }
    return outcome.has_value();
  };
  for (std::size_t at = 0; at < versions.size(); ++at) {
    REQUIRE(taken_in_time(
        [&] { return silo.call(ref<Ledger>("big").drop_if(std::to_string(at), versions[at])); }));
  }
  CHECK(taken_in_time([&] { return write(0); }));
}

// --- how much one commit holds -------------------------------------------------------------------

constexpr std::uint32_t large = 8U << 20U;

// Adds entries of which few fit into one commit.
std::vector<testing::open_call<ledger_interface::keep_if_results>> begin_large(ledger_silo& silo,
                                                                               int count) {
  std::vector<testing::open_call<ledger_interface::keep_if_results>> calls;
  for (int at = 0; at < count; ++at) {
    calls.push_back(
        silo.begin(ref<Ledger>("a").keep_if("large " + std::to_string(at), at + 1, 0, large)));
  }
  return calls;
}

TEST_CASE("changes that wait for an earlier commit and are too large for one share several") {
  ledger_silo silo;
  silo.rows().hold_commits();
  auto first = silo.begin(ref<Ledger>("a").add(1));
  auto others = begin_large(silo, 10);
  CHECK(silo.rows().commits() == 1);
  silo.rows().release_commits();
  CHECK(first.answer());
  for (auto& each : others) {
    CHECK(each.answer());
  }
  CHECK(silo.rows().commits() == 6);  // two at a time
  silo.restart();
  CHECK(silo.total("a") == 1);
  CHECK(silo.amount("a", "large 9") == 10);
}

// Goal: a slow disk does not fill the memory. Each call is 8 MiB; the first commits are on their
// way.
TEST_CASE("changes that wait for the disk are bounded: past the bound calls are refused") {
  ledger_silo silo;
  silo.rows().hold_commits();
  auto first = silo.begin(ref<Ledger>("a").add(1));
  std::vector<testing::open_call<ledger_interface::keep_if_results>> calls;
  std::optional<error> refusal;
  while (!refusal && calls.size() < 64) {
    const auto at = static_cast<int>(calls.size());
    auto one =
        silo.begin(ref<Ledger>("a").keep_if("large " + std::to_string(at), at + 1, 0, large));
    if (one.answered()) {
      refusal = one.answer().error();
    } else {
      calls.push_back(std::move(one));
    }
  }
  REQUIRE(refusal);
  CHECK(refusal->code() == errc::overloaded);
  CHECK(calls.size() <= 24);
  CHECK(calls.size() >= 8);
  silo.rows().release_commits();
  CHECK(first.answer());
  for (auto& each : calls) {
    CHECK(each.answer());
  }
  CHECK(silo.begin(ref<Ledger>("a").keep_if("later", 1, 0, large)).answer());
}

TEST_CASE("when a commit fails nothing of those behind it is kept") {
  ledger_silo silo;
  silo.rows().hold_commits();
  auto first = silo.begin(ref<Ledger>("a").add(1));
  auto others = begin_large(silo, 7);
  silo.rows().fail_commits({errc::out_of_space, "planned"}, 1, 1);
  silo.rows().release_commits();
  CHECK(first.answer());
  for (std::size_t at = 0; at < others.size(); ++at) {
    const auto outcome = others[at].answer();
    CHECK(outcome.has_value() == (at < 2));
    CHECK((outcome || outcome.error().code() == errc::out_of_space));
  }
  CHECK(silo.amount("a", "large 1") == 2);
  CHECK(silo.amount("a", "large 2") == 0);
  CHECK(silo.call(ref<Ledger>("a").keep_if("large 2", 1, 0, large)));
}

TEST_CASE("changes of calls that arrive together and are too large for one commit share several") {
  ledger_silo silo{make_memory_storage(), {.by_hand = true}};
  int done = 0;
  for (int at = 0; at < 10; ++at) {
    silo.here().call_then<ledger_interface::keep_if_results>(
        ref<Ledger>("a").keep_if("large " + std::to_string(at), at + 1, 0, large),
        [&done](const auto& answer) { done += answer ? 1 : 0; });
  }
  silo.settle();
  CHECK(done == 10);
}

}  // namespace
}  // namespace millrace::conformance
