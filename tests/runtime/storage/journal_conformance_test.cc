// SPDX-License-Identifier: MIT
// Goal: every journal keeps the same promises. Method: each case runs on memory and on LMDB.
#include <doctest/doctest.h>

#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

std::unique_ptr<journal> open_journal(const std::string& directory,
                                      std::size_t map_bytes = 64U << 20U) {
  auto opened = open_lmdb_journal({directory, map_bytes});
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  return std::move(*opened);
}

void for_each_journal(const std::function<void(journal&)>& check) {
  check(*make_memory_journal());
  const scratch_directory scratch;
  check(*open_journal(scratch.data()));
}

void append(journal& to, const std::vector<std::string>& entries, const journal_trim& trim = {}) {
  const std::vector<std::string_view> views{entries.begin(), entries.end()};
  REQUIRE(to.append(views, trim));
}

std::string text_of(const journal& from, std::uint64_t position = 0) {
  std::string text;
  auto scanned = from.scan(position, [&](std::uint64_t at, std::string_view entry) -> result<void> {
    text += std::to_string(at) + ":" + std::string{entry} + " ";
    return {};
  });
  return scanned ? text : scanned.error().to_string();
}

TEST_CASE("a new journal is empty and its first entry is number one") {
  for_each_journal([](journal& entries) {
    CHECK(entries.first() == 1);
    CHECK(entries.last() == 0);
    CHECK(text_of(entries) == "");
    append(entries, {"a", "", "c"});
    CHECK(entries.first() == 1);
    CHECK(entries.last() == 3);
    CHECK(text_of(entries) == "1:a 2: 3:c ");
    CHECK(text_of(entries, 3) == "3:c ");
    CHECK(text_of(entries, 4) == "");
  });
}

TEST_CASE("trimming deletes from the front, at most as many as it is told") {
  for_each_journal([](journal& entries) {
    append(entries, {"a", "b", "c", "d", "e"});
    append(entries, {"f"}, {4, 2});
    CHECK(text_of(entries) == "3:c 4:d 5:e 6:f ");
    append(entries, {}, {4, 100});
    CHECK(text_of(entries) == "4:d 5:e 6:f ");
    append(entries, {}, {4, 100});
    CHECK(entries.first() == 4);
  });
}

TEST_CASE("the newest entry is never trimmed") {
  for_each_journal([](journal& entries) {
    append(entries, {}, {10, 10});
    append(entries, {"a", "b", "c"}, {10, 10});
    append(entries, {}, {10, 10});
    CHECK(text_of(entries) == "3:c ");
    append(entries, {"d", "e"}, {10, 10});
    CHECK(text_of(entries) == "3:c 4:d 5:e ");
  });
}

TEST_CASE("a scan ends with the error of its visitor") {
  for_each_journal([](journal& entries) {
    append(entries, {"a", "b"});
    const auto scanned = entries.scan(0, [](std::uint64_t, std::string_view) -> result<void> {
      return error{errc::conflict, "enough"};
    });
    REQUIRE_FALSE(scanned);
    CHECK(scanned.error().code() == errc::conflict);
  });
}

TEST_CASE("used space grows with entries and falls with trimming") {
  for_each_journal([](journal& entries) {
    for (int round = 0; round < 50; ++round) {
      append(entries, {std::string(20'000, 'x')});
    }
    const auto full = entries.bytes_used();
    REQUIRE(full);
    CHECK(*full >= 1'000'000);
    CHECK(*full <= entries.bytes_used_at_most());
    append(entries, {}, {50, 100});
    const auto trimmed = entries.bytes_used();
    REQUIRE(trimmed);
    CHECK(*trimmed < 200'000);
  });
}

TEST_CASE("an LMDB journal that is opened again goes on where it was") {
  const scratch_directory scratch;
  {
    auto entries = open_journal(scratch.data());
    append(*entries, {"a", "b", "c"});
    append(*entries, {"d"}, {3, 10});
  }
  auto entries = open_journal(scratch.data());
  CHECK(entries->first() == 3);
  CHECK(entries->last() == 4);
  append(*entries, {"e"});
  CHECK(text_of(*entries) == "3:c 4:d 5:e ");
}

TEST_CASE("an LMDB journal that is full changes nothing, and works again after trimming") {
  const scratch_directory scratch;
  auto entries = open_journal(scratch.data(), 1U << 20U);
  std::uint64_t written = 0;
  const std::string entry(10'000, 'x');
  const std::array<std::string_view, 1> one{entry};
  for (;; ++written) {
    REQUIRE(written < 1000);
    if (auto appended = entries->append(one, {}); !appended) {
      CHECK(appended.error().code() == errc::out_of_space);
      break;
    }
  }
  CHECK(entries->last() == written);
  REQUIRE(entries->append({}, {written, 20}));
  REQUIRE(entries->append({}, {written, 20}));
  REQUIRE(entries->append(one, {}));
  CHECK(entries->first() == 41);
  CHECK(entries->last() == written + 1);
}

TEST_CASE("an LMDB journal finds a gap") {
  const scratch_directory scratch;
  {
    auto entries = open_journal(scratch.data());
    append(*entries, {"a", "b", "c"});
  }
  {
    auto env = lmdb_env::open({scratch.data(), 64U << 20U}, 0, 0);
    REQUIRE(env);
    auto dbi = (*env)->open_db(nullptr, 0);
    REQUIRE(dbi);
    auto txn = (*env)->begin_write();
    REQUIRE(txn);
    MDB_val key = to_val(std::string_view{"\0\0\0\0\0\0\0\2", 8});
    REQUIRE(mdb_del(txn->get(), *dbi, &key, nullptr) == MDB_SUCCESS);
    REQUIRE((*env)->commit(std::move(*txn), 0));
  }
  CHECK(text_of(*open_journal(scratch.data())).find("lacks entry 2") != std::string::npos);
}

}  // namespace
}  // namespace millrace::runtime
