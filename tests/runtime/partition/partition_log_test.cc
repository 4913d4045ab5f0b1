// SPDX-License-Identifier: MIT
#include "partition/partition_log.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

constexpr auto p0 = partition_id{0};
constexpr auto p1 = partition_id{1};

std::string next_entry(partition_log& log, partition_id partition, std::uint64_t position,
                       std::string_view ops) {
  std::string out;
  log.append(partition, 1, position, ops, out);
  return out;
}

journal_entry decoded(const std::string& bytes) {
  auto entry = decode_entry(bytes);
  REQUIRE(entry);
  return *entry;
}

TEST_CASE("an entry decodes to what was encoded") {
  partition_log log{2};
  const auto first = next_entry(log, p1, 1, "one");
  const auto second = next_entry(log, p1, 2, "two");
  const auto entry = decoded(second);
  CHECK(entry.partition == p1);
  CHECK(entry.epoch == 1);
  CHECK(entry.seq == 2);
  CHECK(entry.prev_epoch == 1);
  CHECK(entry.prev_digest == decoded(first).digest);
  CHECK(entry.ops == "two");
  CHECK(entry.tail() == log.tail_of(p1));
  CHECK(log.tail_of(p0) == log_tail{});
}

TEST_CASE("no byte of an entry can change or be lost unnoticed") {
  partition_log log{1};
  const auto bytes = next_entry(log, p0, 1, "operations");
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    auto altered = bytes;
    altered[index] = static_cast<char>(altered[index] ^ 4);
    CHECK_FALSE(decode_entry(altered));
    CHECK_FALSE(decode_entry(bytes.substr(0, index)));
  }
}

TEST_CASE("entries that could not be written leave no trace in their chains") {
  partition_log log{2};
  next_entry(log, p0, 1, "kept");
  log.keep();
  const auto before = log.tail_of(p0);
  next_entry(log, p0, 2, "lost");
  next_entry(log, p1, 3, "lost");
  next_entry(log, p0, 4, "lost");
  log.undo();
  CHECK(log.tail_of(p0) == before);
  CHECK(log.tail_of(p1) == log_tail{});
  CHECK(log.positions_of(p0) == std::deque<std::uint64_t>{1});
  CHECK(log.positions_of(p1).empty());
  const auto tails = log.take_changed_tails();
  REQUIRE(tails.size() == 1);
  CHECK(tails[0].tail == before);
  CHECK(log.take_changed_tails().empty());
}

TEST_CASE("trimming forgets the positions below") {
  partition_log log{2};
  next_entry(log, p0, 1, "a");
  next_entry(log, p1, 2, "b");
  next_entry(log, p0, 3, "c");
  log.keep();
  log.trim(3);
  CHECK(log.positions_of(p0) == std::deque<std::uint64_t>{3});
  CHECK(log.positions_of(p1).empty());
}

// Four entries, positions 1 to 4: p0, p1, p0, p0.
struct written_log {
  partition_log log{2};
  std::vector<std::string> bytes;
  log_tail p0_at_3;
  written_log() {
    bytes.push_back(next_entry(log, p0, 1, "a"));
    bytes.push_back(next_entry(log, p1, 2, "b"));
    bytes.push_back(next_entry(log, p0, 3, "c"));
    p0_at_3 = log.tail_of(p0);
    bytes.push_back(next_entry(log, p0, 4, "d"));
    log.keep();
  }
  result<void> recover(partition_log& into, std::size_t position, std::uint64_t applied) const {
    return into.recover(decoded(bytes[position - 1]), position, applied);
  }
};

TEST_CASE("recovery from the whole journal restores the tails") {
  const written_log written;
  partition_log log{2};
  for (std::size_t position = 1; position <= 4; ++position) {
    REQUIRE(written.recover(log, position, 0));
  }
  REQUIRE(log.finish_recovery());
  CHECK(log.tail_of(p0) == written.log.tail_of(p0));
  CHECK(log.tail_of(p1) == written.log.tail_of(p1));
  CHECK(log.positions_of(p0) == written.log.positions_of(p0));
}

TEST_CASE("recovery goes on from the checkpoint's tails when the journal is trimmed") {
  const written_log written;
  partition_log log{2};
  REQUIRE(log.restore_tail({p0, written.p0_at_3}));
  REQUIRE(log.restore_tail({p1, written.log.tail_of(p1)}));
  REQUIRE(written.recover(log, 3, 3));
  REQUIRE(written.recover(log, 4, 3));
  REQUIRE(log.finish_recovery());
  CHECK(log.tail_of(p0) == written.log.tail_of(p0));
}

TEST_CASE("recovery refuses a lost, doubled or foreign entry") {
  const written_log written;
  partition_log lost{2};
  REQUIRE(written.recover(lost, 1, 0));
  CHECK_FALSE(written.recover(lost, 4, 0));
  partition_log doubled{2};
  REQUIRE(written.recover(doubled, 1, 0));
  CHECK_FALSE(written.recover(doubled, 1, 0));
  partition_log headless{2};
  CHECK_FALSE(written.recover(headless, 3, 0));
  partition_log smaller{1};
  CHECK_FALSE(written.recover(smaller, 2, 0));
  CHECK_FALSE(smaller.restore_tail({p1, {}}));
}

TEST_CASE("recovery refuses a journal that contradicts the checkpoint") {
  const written_log written;
  partition_log other{2};
  auto tail = written.p0_at_3;
  tail.digest ^= 1;
  REQUIRE(other.restore_tail({p0, tail}));
  CHECK_FALSE(written.recover(other, 3, 3));
  partition_log behind{2};
  REQUIRE(behind.restore_tail({p0, written.p0_at_3}));
  REQUIRE(written.recover(behind, 1, 3));
  CHECK_FALSE(behind.finish_recovery());
}

}  // namespace
}  // namespace millrace::runtime
