// SPDX-License-Identifier: MIT
// What becomes of a silo that cannot start, or cannot stop as it should.
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "conformance/ledger.h"
#include "folders.h"

namespace millrace::conformance {
namespace {

using testing::temporary_folder;

error error_of(const std::string& directory) {
  const auto rows = open_storage({.directory = directory, .map_bytes = 16U << 20U});
  REQUIRE_FALSE(rows);
  CHECK(rows.error().text().find(directory) != std::string::npos);
  return rows.error();
}

TEST_CASE("storage that cannot be opened says why, and names its directory") {
  const temporary_folder data;
  const auto path = data.path.string();
  std::ofstream{path + "/a file"} << "x";
  CHECK(error_of(path + "/a file").code() != errc::internal);
  CHECK(error_of(path + "/no/such/parent").code() == errc::storage_failed);

  std::filesystem::create_directory(path + "/of somebody else");
  std::ofstream{path + "/of somebody else/mail"} << "x";
  CHECK(error_of(path + "/of somebody else").code() == errc::failed_precondition);

  {
    const auto first = open_storage({.directory = path + "/data", .map_bytes = 16U << 20U});
    REQUIRE(first);
    CHECK(error_of(path + "/data").code() == errc::conflict);  // another has it open
  }
  std::ofstream{path + "/data/FORMAT"} << "nonsense";
  CHECK(error_of(path + "/data").code() != errc::internal);
}

TEST_CASE("a silo whose rows cannot be read at its start says so, serves nothing and ends") {
  auto rows = std::make_unique<testing::faulty_storage>(make_memory_storage());
  rows->fail_scans({errc::storage_failed, "planned"});
  silo here{std::move(rows)};
  here.add<ledger>();
  const auto started = here.start();
  REQUIRE_FALSE(started);
  CHECK(started.error() == error{errc::storage_failed, "planned"});
  CHECK(here.call(ref<Ledger>("a").get()).error().code() == errc::unavailable);
  here.stop();
}

TEST_CASE("an actor that cannot be made fails its callers with the type and the cause") {
  const auto refuses = [](std::function<std::unique_ptr<ledger>()> make, const std::string& text) {
    testing::test_silo silo{[make](millrace::runtime::silo& here) { here.add<ledger>(make); }};
    for (int round = 0; round < 2; ++round) {
      const auto answer = silo.call(ref<Ledger>("a").get());
      REQUIRE_FALSE(answer);
      CHECK(answer.error() == error{errc::internal, text});
    }
    CHECK(silo.here().stats().activations == 0);
  };
  const std::string start = "making an actor of type ledger failed: ";
  refuses([]() -> std::unique_ptr<ledger> { throw std::runtime_error{"no key"}; },
          start + "no key");
  refuses(
      []() -> std::unique_ptr<ledger> {
        throw error{errc::conflict, "no key"};
      },
      start + "conflict: no key");
  refuses([]() -> std::unique_ptr<ledger> { throw 42; }, start + "exception of unknown type");
  refuses([] { return nullptr; }, start + "it gave none");
}

TEST_CASE("what fails while types are made known reaches the host, and nothing is left running") {
  CHECK_THROWS_WITH(testing::test_silo([](silo&) { throw std::runtime_error{"no settings"}; }),
                    "no settings");
}

TEST_CASE("a commit that fails while the silo stops is warned of, and the silo stops") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));  // b remembers it until it is tidied
  silo.rows().hold_commits();
  auto adding = silo.begin(ref<Ledger>("a").add(1));
  silo.here().stop(1ms);
  CHECK(adding.answer().error().code() == errc::outcome_unknown);
  CHECK(silo.warnings().front().starts_with("the silo stops with "));
  silo.crash();
  silo.start();
  CHECK(silo.total("a") == -1);
}

}  // namespace
}  // namespace millrace::conformance
