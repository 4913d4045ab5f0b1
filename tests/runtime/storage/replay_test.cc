// SPDX-License-Identifier: MIT
// What the copies of partitions are when a silo starts.
#include "storage/replay.h"

#include <doctest/doctest.h>

#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

constexpr auto p0 = partition_id{0};
constexpr auto p1 = partition_id{1};

// Entries of two partitions, positions 1 to 4: p0, p1, p0, p0.
struct written_journal {
  written_journal() {
    const auto rows = make_memory_checkpoint();
    REQUIRE(make_copies(*entries, *rows, 2));
    append(p0, "a");
    append(p1, "b");
    append(p0, "c");
    append(p0, "d");
  }

  void append(partition_id partition, std::string_view key) {
    auto& log = logs[static_cast<std::size_t>(partition)];
    encoded.emplace_back();
    log.append(1, encoded.size(), put_row(key, "v").encoded(), encoded.back());
    const std::string_view view = encoded.back();
    REQUIRE(entries->write({{}, {&view, 1}, {}}));
  }

  void erase(std::uint64_t position) { REQUIRE(entries->write({{&position, 1}, {}, {}})); }

  void put_checkpointed(partition_id partition, std::uint64_t seq) {
    copy_state state{mint_copy_id(), 0, 0, logs[static_cast<std::size_t>(partition)].at(seq)};
    std::string bytes;
    append_copy_state(partition, state, bytes);
    const journal_write::state put{partition, bytes};
    REQUIRE(entries->write({{}, {}, {&put, 1}}));
  }

  // The checkpoint's tails, by number.
  [[nodiscard]] checkpoint_progress progress(std::uint64_t of_p0, std::uint64_t of_p1) const {
    return {{{p0, logs[0].at(of_p0)}, {p1, logs[1].at(of_p1)}}, std::nullopt};
  }

  [[nodiscard]] result<std::vector<replica>> recover(std::uint64_t of_p0,
                                                     std::uint64_t of_p1) const {
    return recover_copies(*entries, progress(of_p0, of_p1), 2, steady_time{});
  }

  std::unique_ptr<journal> entries = make_memory_journal();
  std::vector<partition_log> logs{partition_log{p0}, partition_log{p1}};
  std::vector<std::string> encoded;
};

// The numbers of the entries that were applied, by partition.
std::string applied(const journal& entries, replica_table& copies) {
  std::string text;
  REQUIRE(apply_committed(entries, copies, [&](const journal_entry& entry) {
    text += std::to_string(static_cast<unsigned>(entry.partition)) + "/" +
            std::to_string(entry.seq) + " ";
  }));
  return text;
}

TEST_CASE("copies have the tails of the journal, and their own identities") {
  const written_journal written;
  auto copies = written.recover(1, 0);
  REQUIRE(copies);
  CHECK((*copies)[0].log().tail() == written.logs[0].tail());
  CHECK((*copies)[1].log().tail() == written.logs[1].tail());
  CHECK((*copies)[0].log().position_of(2) == 3);
  CHECK((*copies)[0].state().id != (*copies)[1].state().id);
  CHECK((*copies)[0].state().id == (*written.recover(1, 0))[0].state().id);
}

TEST_CASE("what is not known to be committed is not applied, until it is") {
  const written_journal written;
  auto copies = written.recover(1, 0);
  REQUIRE(copies);
  take_over_alone((*copies)[1], steady_time{});
  replica_table table{*std::move(copies)};
  CHECK(applied(*written.entries, table) == "1/1 ");
  take_over_alone(table.at(p0), steady_time{});
  CHECK(table.at(p0).committed() == 3);
  CHECK(applied(*written.entries, table) == "1/1 0/2 0/3 ");
}

TEST_CASE("a journal that was trimmed goes on where the checkpoint is") {
  written_journal written;
  written.put_checkpointed(p0, 3);
  written.put_checkpointed(p1, 1);
  for (const std::uint64_t position : {1U, 2U, 3U, 4U}) {
    written.erase(position);
  }
  const auto copies = written.recover(3, 1);
  REQUIRE(copies);
  CHECK((*copies)[0].log().tail() == written.logs[0].tail());
  CHECK((*copies)[1].log().base() == written.logs[1].tail());
}

TEST_CASE("a lost, foreign or doubled entry is refused") {
  written_journal lost;
  lost.erase(3);
  CHECK_FALSE(lost.recover(0, 0));
  written_journal headless;
  headless.erase(1);
  CHECK_FALSE(headless.recover(0, 0));
  CHECK_FALSE(headless.recover(1, 0));  // nobody said that it may go
  headless.put_checkpointed(p0, 1);
  CHECK(headless.recover(1, 0));
  written_journal doubled;
  const std::string_view again = doubled.encoded[3];
  REQUIRE(doubled.entries->write({{}, {&again, 1}, {}}));
  CHECK_FALSE(doubled.recover(0, 0));
  const written_journal whole;
  CHECK_FALSE(recover_copies(*whole.entries, {}, 1, steady_time{}));
  CHECK_FALSE(recover_copies(*whole.entries, {}, 3, steady_time{}));
}

TEST_CASE("a journal and a checkpoint that contradict each other are refused") {
  written_journal written;
  auto foreign = written.progress(2, 1);
  foreign.tails[0].tail.digest ^= 1;
  CHECK_FALSE(recover_copies(*written.entries, foreign, 2, steady_time{}));
  // The journal knows of a checkpoint that was further on.
  written.put_checkpointed(p0, 2);
  CHECK_FALSE(written.recover(1, 0));
  CHECK(written.recover(2, 0));
  CHECK(written.recover(3, 0));
  // The checkpoint has what the journal does not.
  written.erase(4);
  CHECK(written.recover(2, 0));
  CHECK_FALSE(written.recover(3, 0));
}

}  // namespace
}  // namespace millrace::runtime
