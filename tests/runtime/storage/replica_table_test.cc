// SPDX-License-Identifier: MIT
#include "storage/replica_table.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

constexpr auto p0 = partition_id{0};
constexpr auto p1 = partition_id{1};

// Two partitions whose copies are alone, and the journal they share.
struct shared_journal {
  shared_journal() : table(copies()) {}

  static std::vector<replica> copies() {
    std::vector<replica> made;
    for (std::uint16_t index = 0; index < 2; ++index) {
      const copy_id id{0, index + 1U};
      auto& copy = made.emplace_back(copy_state{id, 0, 0, {}}, partition_log{partition_id{index}},
                                     replica_settings{}, steady_time{});
      take_over_alone(copy, steady_time{});
    }
    return made;
  }

  void append(partition_id partition) {
    std::string bytes;
    replica_effects none;
    table.at(partition).append("ops", ++last, bytes, none);
    table.added(partition, last);
  }

  void commit(partition_id partition) {
    replica_effects none;
    table.at(partition).durable(none);
    table.applied(partition, table.at(partition).committed());
  }

  // A checkpoint of everything that was applied.
  void checkpoint() {
    for (const auto& each : table.take_applied()) {
      table.checkpointed(each);
    }
  }

  std::vector<std::uint64_t> forgotten(std::size_t limit = SIZE_MAX) {
    std::vector<std::uint64_t> positions;
    table.forget(limit, [&](std::uint64_t position) { positions.push_back(position); });
    return positions;
  }

  replica_table table;
  std::uint64_t last = 0;
};

using positions = std::vector<std::uint64_t>;

TEST_CASE("entries go once their partition's checkpoint has them, oldest first") {
  shared_journal journal;
  for (int round = 0; round < 3; ++round) {
    journal.append(p0);
    journal.append(p1);
  }
  CHECK_FALSE(journal.table.may_forget());
  journal.commit(p0);
  journal.commit(p1);
  CHECK(journal.table.lag() == 6);
  CHECK(journal.forgotten().empty());
  journal.checkpoint();
  CHECK(journal.table.lag() == 0);
  CHECK(journal.table.may_forget());
  CHECK(journal.forgotten(2) == positions{1, 2});
  CHECK(journal.forgotten() == positions{3, 4, 5, 6});
  CHECK_FALSE(journal.table.may_forget());
  CHECK(journal.table.at(p0).log().empty());
  CHECK(journal.table.take_applied().empty());
}

TEST_CASE("a partition that stalls keeps its own entries and nobody else's") {
  shared_journal journal;
  journal.append(p0);
  journal.append(p1);
  journal.append(p0);
  journal.append(p1);
  journal.commit(p1);
  journal.checkpoint();
  CHECK(journal.forgotten() == positions{2, 4});
  CHECK_FALSE(journal.table.may_forget());
  journal.append(p1);
  journal.commit(p1);
  journal.checkpoint();
  CHECK(journal.forgotten() == positions{5});
  CHECK(journal.table.at(p0).log().position_of(1) == 1);
  journal.commit(p0);
  journal.checkpoint();
  CHECK(journal.forgotten(1) == positions{1});
  CHECK(journal.forgotten() == positions{3});
}

TEST_CASE("entries that were not written leave no trace") {
  shared_journal journal;
  journal.append(p0);
  journal.commit(p0);
  journal.append(p1);
  journal.append(p0);
  journal.table.at(p1).withdraw_above(0);
  journal.table.at(p0).withdraw_above(1);
  journal.table.removed_from(2);
  journal.last = 1;
  journal.append(p1);
  journal.commit(p1);
  journal.checkpoint();
  CHECK(journal.forgotten() == positions{1, 2});
}

TEST_CASE("an entry that was cut and made again goes once, from its new place") {
  shared_journal journal;
  journal.append(p0);
  journal.append(p1);
  journal.table.at(p0).withdraw_above(0);
  journal.table.erased(1);
  journal.append(p0);
  journal.commit(p0);
  journal.commit(p1);
  journal.checkpoint();
  CHECK(journal.forgotten() == positions{2, 3});
}

TEST_CASE("a table of copies that were there goes on with their entries") {
  shared_journal journal;
  journal.append(p1);
  journal.append(p0);
  journal.append(p1);
  journal.commit(p0);
  journal.commit(p1);
  auto copies = shared_journal::copies();
  for (std::uint16_t index = 0; index < 2; ++index) {
    const auto& old = journal.table.at(partition_id{index});
    auto state = old.state();
    if (partition_id{index} == p1) {
      state.checkpointed = old.log().at(1);
    }
    copies[index] = replica{state, old.log(), replica_settings{}, steady_time{}};
  }
  replica_table again{std::move(copies)};
  positions forgotten;
  again.forget(SIZE_MAX, [&](std::uint64_t position) { forgotten.push_back(position); });
  CHECK(forgotten == positions{1});
  CHECK(again.at(p1).log().base().seq == 1);
}

}  // namespace
}  // namespace millrace::runtime
