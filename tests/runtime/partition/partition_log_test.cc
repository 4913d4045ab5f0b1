// SPDX-License-Identifier: MIT
#include "partition/partition_log.h"

#include <doctest/doctest.h>

#include <optional>

#include "millrace/runtime/result.h"

namespace millrace::runtime {
namespace {

constexpr auto p1 = partition_id{1};

std::string next_entry(partition_log& log, std::uint64_t epoch, std::string_view ops = "ops") {
  std::string out;
  log.append(epoch, 100 + log.tail().seq + 1, ops, out);
  return out;
}

journal_entry decoded(const std::string& bytes) {
  auto entry = decode_entry(bytes);
  REQUIRE(entry);
  return *entry;
}

// One entry for each epoch given, in order.
partition_log log_of(std::initializer_list<std::uint64_t> epochs) {
  partition_log log{p1};
  for (const auto epoch : epochs) {
    next_entry(log, epoch);
  }
  return log;
}

std::optional<std::uint64_t> common(const partition_log& mine, const partition_log& theirs) {
  return mine.common_with(theirs.lineage(), theirs.tail());
}

TEST_CASE("an entry decodes to what was encoded") {
  partition_log log{p1};
  const auto first = next_entry(log, 1, "one");
  const auto second = next_entry(log, 3, "two");
  const auto entry = decoded(second);
  CHECK(entry.partition == p1);
  CHECK(entry.epoch == 3);
  CHECK(entry.seq == 2);
  CHECK(entry.prev_epoch == 1);
  CHECK(entry.prev_digest == decoded(first).digest);
  CHECK(entry.ops == "two");
  CHECK(entry.tail() == log.tail());
  CHECK(log.at(1) == decoded(first).tail());
  CHECK(log.position_of(2) == 102);
}

TEST_CASE("no byte of an entry can change or be lost unnoticed") {
  partition_log log{p1};
  const auto bytes = next_entry(log, 1, "operations");
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    auto altered = bytes;
    altered[index] = static_cast<char>(altered[index] ^ 4);
    CHECK_FALSE(decode_entry(altered));
    CHECK_FALSE(decode_entry(bytes.substr(0, index)));
  }
}

TEST_CASE("an entry from elsewhere fits only where its chain goes on") {
  partition_log primary{p1};
  std::vector<std::string> bytes;
  for (const auto epoch : {1U, 1U, 2U, 2U}) {
    bytes.push_back(next_entry(primary, epoch));
  }
  partition_log backup{p1};
  const auto fit = [&](std::size_t seq) { return backup.fit(decoded(bytes[seq - 1])); };
  CHECK(fit(2) == entry_fit::missing);
  for (std::size_t seq = 1; seq <= 4; ++seq) {
    REQUIRE(fit(seq) == entry_fit::next);
    backup.take(decoded(bytes[seq - 1]), seq);
  }
  CHECK(backup.tail() == primary.tail());
  CHECK(fit(2) == entry_fit::known);
  backup.cut_above(2);
  CHECK(backup.tail() == primary.at(2));
  const auto other = next_entry(backup, 1, "of another primary");
  CHECK(fit(3) == entry_fit::conflict);
  CHECK(fit(4) == entry_fit::missing);
  CHECK(primary.fit(decoded(other)) == entry_fit::conflict);
  backup.forget_through(3);
  CHECK(fit(1) == entry_fit::unknown);
  auto older = decoded(bytes[3]);
  older.epoch = 0;
  older.prev_epoch = backup.tail().epoch;
  older.prev_digest = backup.tail().digest;
  CHECK(backup.fit(older) == entry_fit::missing);
}

TEST_CASE("what was cut or forgotten leaves no trace") {
  auto log = log_of({1, 1, 2, 3, 3});
  const auto second = log.at(2);
  const auto tail = log.tail();
  log.forget_through(2);
  CHECK(log.base() == second);
  CHECK(log.tail() == tail);
  CHECK(log.at(2) == second);
  CHECK(log.position_of(3) == 103);
  log.cut_above(3);
  CHECK(log.tail().epoch == 2);
  CHECK(log.lineage().size() == 2);
  log.cut_above(2);
  CHECK(log.empty());
  CHECK(log.tail() == second);
  CHECK(log.lineage().size() == 1);
  next_entry(log, 4);
  CHECK(log.at(3).epoch == 4);
  log.forget_through(3);
  CHECK(log.base() == log.tail());
}

TEST_CASE("a log knows what its entries take from any of them on") {
  partition_log log{p1};
  std::uint64_t bytes = 0;
  for (const auto* ops : {"a", "bb", "ccc", "dddd"}) {
    const auto entry = next_entry(log, 1, ops);
    bytes += log.tail().seq > 2 ? entry.size() : 0;
  }
  CHECK(log.bytes_above(2) == bytes);
  CHECK(log.bytes_above(4) == 0);
  log.forget_through(2);
  CHECK(log.bytes_above(2) == bytes);
  log.cut_above(3);
  CHECK(log.bytes_above(2) == journal_entry_overhead_bytes + 3);
  CHECK(log.bytes_above(3) == 0);
}

TEST_CASE("two copies find the last entry that they share") {
  CHECK(common(log_of({}), log_of({})) == 0);
  CHECK(common(log_of({1, 1, 1}), log_of({1, 1})) == 2);
  CHECK(common(log_of({1, 1, 2, 2}), log_of({1, 1, 1, 1})) == 2);
  CHECK(common(log_of({1, 1, 1, 1}), log_of({1, 1, 2, 2})) == 2);
  CHECK(common(log_of({1, 2, 4, 4}), log_of({1, 2, 3, 3, 3})) == 2);
  CHECK(common(log_of({1, 3, 3}), log_of({2, 2})) == 0);
  CHECK(common(log_of({1, 2, 2, 5}), log_of({1, 2, 2, 2, 4})) == 3);
}

TEST_CASE("what was forgotten cannot be compared") {
  auto trimmed = log_of({1, 1, 2, 2});
  trimmed.forget_through(3);
  CHECK(common(trimmed, log_of({1, 1, 2})) == 3);
  CHECK(common(trimmed, log_of({1, 1})) == std::nullopt);
  CHECK(common(trimmed, log_of({1, 1, 1})) == std::nullopt);
  const partition_log restarted{p1, trimmed.base()};
  CHECK(common(restarted, trimmed) == 3);
  CHECK(common(trimmed, restarted) == 3);
}

}  // namespace
}  // namespace millrace::runtime
