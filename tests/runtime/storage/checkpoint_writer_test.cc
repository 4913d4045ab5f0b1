// SPDX-License-Identifier: MIT
#include "storage/checkpoint_writer.h"

#include <doctest/doctest.h>

#include <future>

#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

constexpr auto p0 = partition_id{0};

/// Notes what is written, and refuses transactions of more than `rows_max` rows.
class recording_checkpoint final : public checkpoint {
public:
  struct transaction {
    std::size_t rows;
    bool has_progress;
  };

  explicit recording_checkpoint(std::size_t rows_max) : rows_max_(rows_max) {}

  [[nodiscard]] result<checkpoint_progress> progress() const override { return inner_->progress(); }
  [[nodiscard]] result<proven_rows> prove(partition_id partition) const override {
    return inner_->prove(partition);
  }
  [[nodiscard]] std::uint64_t row_count() const noexcept override { return inner_->row_count(); }
  result<void> adopt() override { return inner_->adopt(); }
  [[nodiscard]] row_digest digest_of(partition_id partition) const override {
    return inner_->digest_of(partition);
  }
  result<void> write(std::span<const checkpoint_change> changes,
                     const checkpoint_progress* progress) override {
    if (changes.size() > rows_max_) {
      return error{errc::out_of_space, "planned"};
    }
    written.push_back({changes.size(), progress != nullptr});
    return inner_->write(changes, progress);
  }
  [[nodiscard]] result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() override {
    return inner_->open_snapshot();
  }
  void tidy() override {}
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return std::uint64_t{0}; }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override { return 0; }

  std::vector<transaction> written;

private:
  const std::size_t rows_max_;
  std::unique_ptr<checkpoint> inner_ = make_memory_checkpoint();
};

// Writes one generation of `rows` rows and returns the number that was announced.
std::uint64_t write_generation(recording_checkpoint& into, std::size_t rows) {
  overlay recent{1};
  for (std::size_t index = 0; index < rows; ++index) {
    recent.apply(p0, put_row("k" + std::to_string(index), "v").encoded());
  }
  std::promise<std::uint64_t> announced;
  checkpoint_writer writer{into, recent, [] { return true; },
                           [&](const std::vector<partition_tail>& reached) {
                             announced.set_value(reached.front().tail.seq);
                           }};
  writer.start(recent.freeze({{{p0, {1, 77, 3}}}, std::nullopt}));
  const auto seq = announced.get_future().get();
  CHECK_FALSE(recent.has_frozen());
  writer.stop();
  CHECK(writer.counters().rows == rows);
  return seq;
}

// Goal: after a crash between two transactions of one generation, the journal is replayed from
// before all of it. Method: only the last transaction may move the tail.
TEST_CASE("a generation of several transactions moves the tail with the last one") {
  recording_checkpoint rows{SIZE_MAX};
  CHECK(write_generation(rows, 150'000) == 77);
  REQUIRE(rows.written.size() == 3);
  std::size_t total = 0;
  for (std::size_t index = 0; index < rows.written.size(); ++index) {
    CHECK(rows.written[index].has_progress == (index + 1 == rows.written.size()));
    total += rows.written[index].rows;
  }
  CHECK(total == 150'000);
  CHECK(rows.progress()->tails.front().tail.seq == 77);
}

TEST_CASE("a generation without rows still moves the tail") {
  recording_checkpoint rows{SIZE_MAX};
  CHECK(write_generation(rows, 0) == 77);
  REQUIRE(rows.written.size() == 1);
  CHECK(rows.written[0].has_progress);
}

TEST_CASE("a checkpoint that is short of space gets smaller transactions, and every row once") {
  recording_checkpoint rows{300};
  CHECK(write_generation(rows, 1000) == 77);
  std::size_t total = 0;
  for (const auto& each : rows.written) {
    total += each.rows;
  }
  CHECK(total == 1000);
  CHECK(rows.written.back().has_progress);
}

}  // namespace
}  // namespace millrace::runtime
