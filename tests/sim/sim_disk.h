// SPDX-License-Identifier: MIT
// SimDisk: what survives the process of a silo. Writes come in batches that are there as a whole or
// not at all; whole disks are lost, go back to an old image, fill up, or rot.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "partition/copy_state.h"

namespace millrace::sim {

using runtime::copy_id;
using runtime::copy_state;
using runtime::log_tail;

inline constexpr std::size_t keys = 6;
inline constexpr std::size_t keys_per_range = 2;

/// The state tables: some registers, and the last entry in them; none while they are being fetched.
struct row_image {
  std::array<std::uint64_t, keys> values{};
  log_tail tail;
};

/// One group. The state tables are an environment of their own: they are written first, in several
/// transactions, and the journal with the state of the copy in one more.
struct disk_batch {
  struct erasure {
    std::uint64_t position;
  };
  struct entry {
    std::uint64_t position;
    std::string bytes;
  };
  std::vector<std::variant<erasure, entry>> journal;
  bool clears_rows = false;  // the rows of a snapshot follow
  bool has_rows = false;
  row_image rows;
  bool has_state = false;
  copy_state state;
  [[nodiscard]] bool empty() const { return journal.empty() && !has_rows && !has_state; }
};

struct sim_disk {
  copy_state state;
  std::map<std::uint64_t, std::string> entries;    // by position
  std::map<std::uint64_t, std::uint64_t> numbers;  // of the entries, by position
  std::map<std::uint64_t, std::uint64_t> digests;  // of the entries, by number
  row_image rows;
  std::optional<std::size_t> rotten_key;  // its row is damaged; noticed by whoever reads it
  bool has_rotten_entry = false;          // or had

  /// The whole group, or its first steps when the process ends meanwhile.
  void write(const disk_batch& batch, std::size_t steps = steps_max);
  static constexpr std::size_t steps_max = 4;
  [[nodiscard]] std::string describe() const {
    auto text = ": its rows have " + std::to_string(rows.tail.seq);
    return digests.empty() ? text
                           : text + ", its journal " + std::to_string(digests.begin()->first) +
                                 " to " + std::to_string(digests.rbegin()->first);
  }
  /// The last entry that is there, or its effect.
  [[nodiscard]] std::uint64_t last() const {
    return std::max(digests.empty() ? 0 : digests.rbegin()->first, rows.tail.seq);
  }
  /// Whether the entry is there, or its effect.
  [[nodiscard]] bool holds(const log_tail& entry) const {
    const auto found = digests.find(entry.seq);
    return found == digests.end() ? rows.tail.seq >= entry.seq : found->second == entry.digest;
  }
  /// Whether the entry, and with it all before, is what it has or had.
  [[nodiscard]] bool proves(const log_tail& entry) const {
    const auto found = digests.find(entry.seq);
    return found == digests.end() ? rows.tail == entry : found->second == entry.digest;
  }

private:
  void put(const row_image& image);
  void write_journal(const disk_batch& batch);
};

}  // namespace millrace::sim
