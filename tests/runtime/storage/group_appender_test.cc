// SPDX-License-Identifier: MIT
#include "storage/group_appender.h"

#include <doctest/doctest.h>

#include "journal_shim.h"

namespace millrace::runtime {
namespace {

constexpr partition_id p1{1};

// A group for a journal that has room for `room` erasures and entries in one write.
struct small_group {
  std::size_t room = 1'000;
  testing::journal_shim entries{make_memory_journal(), [this](const journal_write& changes) {
                                  return changes.erased.size() + changes.entries.size() <= room
                                             ? result<void>{}
                                             : error{errc::out_of_space, "planned"};
                                }};
  group_appender group{entries};

  void append(std::string_view text) {
    CHECK(group.next_position() == entries.last() + 1 + group.entries());
    group.bytes() += text;
    group.end_entry();
  }
  std::string stored() const {
    std::string text;
    REQUIRE(entries.scan([&](std::uint64_t position, std::string_view entry) -> result<void> {
      text += std::to_string(position) + ":" + std::string{entry} + " ";
      return {};
    }));
    return text;
  }
};

TEST_CASE("what a flush could not write is written by the next, apart from entries") {
  small_group small;
  small.append("first");
  REQUIRE(small.group.flush());
  small.append("lost");
  small.group.erase(1);
  small.group.put_state(p1, {});
  small.room = 0;
  CHECK_FALSE(small.group.flush());
  CHECK(small.group.has_more());
  CHECK(small.group.entries() == 0);
  small.room = 1'000;
  small.append("second");
  REQUIRE(small.group.flush());
  CHECK_FALSE(small.group.has_more());
  CHECK(small.stored() == "2:second ");
  int states = 0;
  REQUIRE(small.entries.scan_states([&](partition_id, std::string_view) -> result<void> {
    ++states;
    return {};
  }));
  CHECK(states == 1);
}

// Goal: erasures that found no room do not keep later entries from being written.
TEST_CASE("after a full disk erasures go in smaller parts, and all of them in the end") {
  small_group small;
  for (int at = 0; at < 200; ++at) {
    small.append("x");
  }
  REQUIRE(small.group.flush());
  for (std::uint64_t position = 200; position > 0; --position) {
    small.group.erase(position);
  }
  small.room = 60;
  int refused = 0;
  while (refused < 10 && !small.group.flush()) {
    ++refused;
  }
  CHECK(refused == 2);  // 200, 100; then 50
  CHECK(small.group.erasures() == 150);
  small.append("y");
  for (int flushes = 0; small.group.erasures() > 0; ++flushes) {
    REQUIRE(flushes < 20);
    static_cast<void>(small.group.flush());
  }
  small.append("z");
  REQUIRE(small.group.flush());
  CHECK(small.stored().ends_with("z "));
  CHECK(small.stored().find(":x") == std::string::npos);
}

// Goal: an entry that comes in the place of another is never beside it, whatever room there was.
TEST_CASE("what an entry takes the place of goes with it, however many others wait") {
  small_group small;
  for (int at = 0; at < 200; ++at) {
    small.append("x");
  }
  REQUIRE(small.group.flush());
  for (std::uint64_t position = 1; position < 200; ++position) {
    small.group.erase(position);
  }
  small.room = 60;
  CHECK_FALSE(small.group.flush());
  small.group.erase_with_this(200);
  small.append("instead");
  for (int tries = 0; tries < 10 && !small.group.flush(); ++tries) {
    small.append("instead");
  }
  const auto stored = small.stored();
  CHECK(stored.find("201:instead") != std::string::npos);
  CHECK(stored.find("200:x") == std::string::npos);
  CHECK(small.group.erasures() > 0);
  small.room = 1'000;
  REQUIRE(small.group.flush_whole());
  CHECK(small.group.erasures() == 0);
}

}  // namespace
}  // namespace millrace::runtime
