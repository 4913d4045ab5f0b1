// SPDX-License-Identifier: MIT
// Goal: every journal keeps the same promises. Method: each case runs on memory and on LMDB.
#include <doctest/doctest.h>

#include <array>

#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

using positions = std::vector<std::uint64_t>;

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

void write(journal& to, const positions& erased, const std::vector<std::string>& entries = {}) {
  const std::vector<std::string_view> views{entries.begin(), entries.end()};
  REQUIRE(to.write({erased, views, {}}));
}

void append(journal& to, const std::vector<std::string>& entries) {
  write(to, {}, entries);
}

void put_state(journal& to, unsigned partition, std::string_view bytes) {
  const journal_write::state state{static_cast<partition_id>(partition), bytes};
  REQUIRE(to.write({{}, {}, {&state, 1}}));
}

std::string text_of(const journal& from) {
  std::string text;
  auto scanned = from.scan([&](std::uint64_t at, std::string_view entry) -> result<void> {
    text += std::to_string(at) + ":" + std::string{entry} + " ";
    return {};
  });
  return scanned ? text : scanned.error().to_string();
}

std::string states_of(const journal& from) {
  std::string text;
  auto scanned = from.scan_states([&](partition_id at, std::string_view bytes) -> result<void> {
    text += std::to_string(static_cast<unsigned>(at)) + ":" + std::string{bytes} + " ";
    return {};
  });
  return scanned ? text : scanned.error().to_string();
}

std::string entry_at(const journal& from, std::uint64_t position) {
  std::string text;
  auto read = from.read(position, [&](std::string_view entry) -> result<void> {
    text = entry;
    return {};
  });
  return read ? text : std::string{"none"};
}

TEST_CASE("a new journal is empty and its first entry is number one") {
  for_each_journal([](journal& entries) {
    CHECK(entries.last() == 0);
    CHECK(text_of(entries) == "");
    append(entries, {"a", "", "c"});
    CHECK(entries.last() == 3);
    CHECK(text_of(entries) == "1:a 2: 3:c ");
    CHECK(entry_at(entries, 3) == "c");
    CHECK(entry_at(entries, 4) == "none");
  });
}

TEST_CASE("entries are erased one by one, and the others keep their places") {
  for_each_journal([](journal& entries) {
    append(entries, {"a", "b", "c", "d", "e"});
    write(entries, {1, 2, 4}, {"f"});
    CHECK(text_of(entries) == "3:c 5:e 6:f ");
    CHECK(entry_at(entries, 2) == "none");
    CHECK(entry_at(entries, 5) == "e");
    write(entries, {6});
    CHECK(text_of(entries) == "3:c 5:e ");
    append(entries, {"g"});
    CHECK(text_of(entries) == "3:c 5:e 7:g ");
    write(entries, {3, 5, 7});
    CHECK(text_of(entries) == "");
    append(entries, {"h"});
    CHECK(text_of(entries) == "8:h ");
  });
}

TEST_CASE("many entries are erased in any pattern") {
  for_each_journal([](journal& entries) {
    std::vector<std::string> all;
    positions erased;
    std::string left;
    for (std::uint64_t position = 1; position <= 3000; ++position) {
      all.push_back(std::string(50, 'x') + std::to_string(position));
      if (position % 7 < 4 || position > 2800) {
        erased.push_back(position);
      } else {
        left += std::to_string(position) + ":" + all.back() + " ";
      }
    }
    put_state(entries, 1, "state");
    append(entries, all);
    write(entries, erased);
    CHECK(text_of(entries) == left);
    CHECK(states_of(entries) == "1:state ");
  });
}

TEST_CASE("the states of partitions lie beside the entries") {
  for_each_journal([](journal& entries) {
    CHECK(states_of(entries) == "");
    put_state(entries, 300, "c");
    append(entries, {"entry"});
    put_state(entries, 0, "a");
    put_state(entries, 1, "b");
    put_state(entries, 300, "longer");
    CHECK(states_of(entries) == "0:a 1:b 300:longer ");
    CHECK(text_of(entries) == "1:entry ");
    write(entries, {1});
    CHECK(entries.last() == 1);
    CHECK(states_of(entries) == "0:a 1:b 300:longer ");
  });
}

TEST_CASE("a scan ends with the error of its visitor") {
  for_each_journal([](journal& entries) {
    append(entries, {"a", "b"});
    const auto scanned = entries.scan([](std::uint64_t, std::string_view) -> result<void> {
      return error{errc::conflict, "enough"};
    });
    REQUIRE_FALSE(scanned);
    CHECK(scanned.error().code() == errc::conflict);
  });
}

TEST_CASE("used space grows with entries and falls as they go") {
  for_each_journal([](journal& entries) {
    positions all;
    for (std::uint64_t round = 1; round <= 50; ++round) {
      append(entries, {std::string(20'000, 'x')});
      all.push_back(round);
    }
    const auto full = entries.bytes_used();
    REQUIRE(full);
    CHECK(*full >= 1'000'000);
    CHECK(*full <= entries.bytes_used_at_most());
    write(entries, all);
    const auto trimmed = entries.bytes_used();
    REQUIRE(trimmed);
    CHECK(*trimmed < 200'000);
  });
}

TEST_CASE("an LMDB journal that is opened again goes on behind what is there") {
  const scratch_directory scratch;
  {
    auto entries = open_journal(scratch.data());
    put_state(*entries, 7, "state");
    append(*entries, {"a", "b", "c"});
    write(*entries, {1, 2}, {"d"});
  }
  auto entries = open_journal(scratch.data());
  CHECK(entries->last() == 4);
  append(*entries, {"e"});
  CHECK(text_of(*entries) == "3:c 4:d 5:e ");
  CHECK(states_of(*entries) == "7:state ");
}

TEST_CASE("an LMDB journal that is full changes nothing, and works again when entries go") {
  const scratch_directory scratch;
  auto entries = open_journal(scratch.data(), 1U << 20U);
  std::uint64_t written = 0;
  const std::string entry(10'000, 'x');
  const std::array<std::string_view, 1> one{entry};
  for (;; ++written) {
    REQUIRE(written < 1000);
    const std::array<std::uint64_t, 1> first{1};
    if (auto appended = entries->write({{}, one, {}}); !appended) {
      CHECK(appended.error().code() == errc::out_of_space);
      CHECK(entry_at(*entries, 1) == entry);
      CHECK_FALSE(entries->write({first, std::vector<std::string_view>(60, entry), {}}));
      CHECK(entry_at(*entries, 1) == entry);
      break;
    }
  }
  CHECK(entries->last() == written);
  positions oldest;
  for (std::uint64_t position = 1; position <= 40; ++position) {
    oldest.push_back(position);
  }
  write(*entries, {oldest.begin(), oldest.begin() + 20});
  write(*entries, {oldest.begin() + 20, oldest.end()});
  REQUIRE(entries->write({{}, one, {}}));
  CHECK(entries->last() == written + 1);
}

}  // namespace
}  // namespace millrace::runtime
