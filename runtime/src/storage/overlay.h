// SPDX-License-Identifier: MIT
// Overlay: committed rows that the checkpoint does not hold yet.
//
// There are at most two generations. The active one takes commits; freezing makes it the frozen
// one, which the checkpoint thread writes out and then drops, while a new one takes commits. A
// reader looks at the active generation first, then the frozen one, then the checkpoint.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/ids.h"
#include "storage/checkpoint.h"
#include "storage/row_codec.h"

namespace millrace::runtime {

/// The rows of one generation, the newest value of each.
///
/// Everything lies in one arena, which grows and is freed as a whole: a row costs no allocation of
/// its own, and the thread that drops a generation frees a few large blocks.
///
/// Threading: `apply` from one thread; `changes` once nothing is applied any more; the rest from
/// any thread. Cost: O(log n) a row in the number of the partition's rows.
class overlay_generation {
public:
  /// Empty: the row was erased.
  using range_rows = std::map<std::string, std::optional<std::string>, std::less<>>;

  explicit overlay_generation(std::uint16_t partition_count);

  /// Applies the operations of one commit, in order; readers see all of them or none.
  /// Requires: `ops` is well formed.
  void apply(partition_id partition, std::string_view ops);

  /// Forgets the rows of a partition. Their memory comes back with the generation's.
  void clear(partition_id partition);

  /// Adds the rows of each range to `rows`, and lets those already there win. Leaves a range once
  /// it has added `limit` of its rows that are not erased: a reader that wants no more needs none
  /// behind them. Requires: as `checkpoint_snapshot::scan`.
  void collect(partition_id partition, std::span<const key_range> ranges, range_rows& rows) const;

  /// All rows, sorted by partition and key. Ownership: views into this generation.
  [[nodiscard]] std::vector<checkpoint_change> changes() const;

  /// The same rows in a generation that nothing is applied to. Requires: nothing is applied
  /// meanwhile.
  [[nodiscard]] std::shared_ptr<overlay_generation> copy() const;

  /// Memory in use, about. Never shrinks.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool empty() const noexcept { return bytes() == 0; }

  checkpoint_progress
      progress;  ///< Set when frozen: what the checkpoint knows once it has the rows.

private:
  // A key, in a tree whose nodes are compared without a look at the arena as long as their keys'
  // first bytes differ, which those of two actors do.
  struct row_key {
    explicit row_key(std::string_view key) noexcept;
    std::uint64_t head;  // the first eight bytes, big-endian
    std::string_view whole;
    friend bool operator<(const row_key& a, const row_key& b) noexcept {
      return a.head != b.head ? a.head < b.head : a.whole < b.whole;
    }
  };
  // A key that is looked for.
  struct key_parts {
    key_parts(std::string_view first, std::string_view behind) noexcept;
    std::uint64_t head;
    std::string_view base;
    std::string_view rest;
    friend bool operator<(const row_key& a, const key_parts& b) noexcept {
      if (a.head != b.head) {
        return a.head < b.head;
      }
      const auto order = a.whole.substr(0, b.base.size()).compare(b.base);
      return order < 0 || (order == 0 && a.whole.substr(b.base.size()) < b.rest);
    }
  };
  struct stored_row {
    char* value = nullptr;  // in the arena
    std::uint32_t size = 0;
    std::uint32_t capacity = 0;
    bool erased = false;
  };
  struct shard_rows {
    explicit shard_rows(std::pmr::memory_resource* arena) : rows(arena) {}
    mutable std::mutex mutex;
    std::pmr::map<row_key, stored_row, std::less<>> rows;
  };
  [[nodiscard]] char* keep(std::string_view bytes);
  [[nodiscard]] std::size_t write(stored_row& to, const row_op& op);

  std::pmr::monotonic_buffer_resource arena_;
  std::deque<shard_rows> shards_;  // one a partition
  std::atomic<std::size_t> bytes_{0};
};

/// The two generations as they are at one moment.
struct overlay_view {
  std::shared_ptr<overlay_generation> active;
  std::shared_ptr<const overlay_generation> frozen;  ///< Null when the checkpoint has it all.
};

/// The overlay of one silo.
///
/// Threading: `apply` and `freeze` from the journal thread, `drop_frozen` from the checkpoint
/// thread, the rest from any.
class overlay {
public:
  explicit overlay(std::uint16_t partition_count);

  [[nodiscard]] overlay_view view() const;

  /// Whether `seen` is still the active generation, that is: no freeze since `seen` was taken.
  [[nodiscard]] bool is_active(const overlay_generation* seen) const;

  void apply(partition_id partition, std::string_view ops) { active_->apply(partition, ops); }

  /// Forgets the rows of a partition. Requires: nothing is frozen; nobody reads them meanwhile.
  void clear(partition_id partition) { active_->clear(partition); }

  /// Requires: nothing is frozen. Returns the generation to write out.
  std::shared_ptr<const overlay_generation> freeze(checkpoint_progress progress);

  /// The frozen generation is in the checkpoint.
  void drop_frozen();

  [[nodiscard]] bool has_frozen() const;

  /// Memory in use, about: of both generations, of the active one.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t active_bytes() const;

private:
  const std::uint16_t partition_count_;
  mutable std::mutex mutex_;  // guards the pointers, not what they point to
  std::shared_ptr<overlay_generation> active_;
  std::shared_ptr<const overlay_generation> frozen_;
};

}  // namespace millrace::runtime
