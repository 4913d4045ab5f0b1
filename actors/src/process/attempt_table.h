// SPDX-License-Identifier: MIT
// Attempt table: which attempts exist, in a file that outlives the process.
//
// The living table is memory that only we and the guard process share: what a task does to the file
// does not reach it. Each change of a slot is written to the file, where the page cache keeps it
// when the process is killed. No fsync: after a reboot or in another pid namespace no group of the
// table can run, and the header says which ones those are. The child of a start writes its own
// group into its slot and the slot into the file before it executes the program. A new life never
// writes into the file of an old one: it makes a new file and renames it over.
//
// A task can reach the file, so header and slots have checksums, and what is there is read, never
// mapped. A file that is not as it was written is set aside: the slots that are good are taken, but
// its lineage ends, because nobody can say any more that what is not in it was never started.
//
// The layout is private to one build on one machine, hence no schema; another version's file counts
// as a damaged one.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/process.h"
#include "process/attempt_store.h"
#include "process/proc_stat.h"

namespace millrace::actors::process_detail {

enum class slot_state : std::uint32_t {
  free = 0,
  running = 1,  ///< `group` is 0 until the child exists.
  ended = 2,    ///< The outcome fields hold.
  lost = 3,     ///< Found by an earlier recovery, how it ended is not known.
};

/// One attempt. Written by its starter, then its child, then the supervisor's thread, in turn; the
/// atomic fields are read by the guard.
struct attempt_slot {
  std::atomic<slot_state> state;
  std::atomic<std::int32_t> group;  ///< The group to kill; 0: none.
  std::int32_t session;
  std::int32_t exit_code;  ///< -1: none.
  std::int32_t signal;     ///< 0: none.
  process_outcome outcome;
  std::uint64_t born_not_before;
  std::uint64_t born_not_after;
  process_mark mark;  ///< That all its processes bear; 0: those that leave the group are let go.
  attempt_marks files;
  char token[attempt_token_bytes_max];  ///< Padded with NULs.

  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] group_identity identity() const;
};
static_assert(std::atomic<std::int32_t>::is_always_lock_free);

/// The table and its file.
///
/// Threading: finding and freeing slots is for the owner's lock; the slots themselves see above.
class attempt_table {
public:
  /// Locks `directory`, fences what the table there still runs, puts a fresh table in its place
  /// that carries over the unacknowledged attempts. `lineage` becomes that of a table that does not
  /// follow one of the same boot, or a damaged one. Requires: it was never used before, and is not
  /// 0. Errors: those of `process_supervisor::open`. `warn` may be empty.
  [[nodiscard]] static runtime::result<attempt_table> open(
      const std::filesystem::path& directory, std::uint32_t slot_count, std::uint64_t lineage,
      const std::function<void(std::string_view)>& warn);

  attempt_table(attempt_table&& other) noexcept;
  attempt_table& operator=(attempt_table&&) = delete;
  attempt_table(const attempt_table&) = delete;
  attempt_table& operator=(const attempt_table&) = delete;
  ~attempt_table();

  [[nodiscard]] std::uint32_t size() const { return slot_count_; }
  [[nodiscard]] attempt_slot& at(std::uint32_t index) { return slots_[index]; }
  /// Writes a slot to the file; until then the next life knows the one before. Answers an errno, 0
  /// when it is written. Async-signal-safe. Cost: one system call, no wait for a disk.
  [[nodiscard]] int save(std::uint32_t index) const noexcept;
  /// Each with its slot: the first is in slot 0. Their files are not looked at.
  [[nodiscard]] std::vector<recovered_attempt>& recovered() { return recovered_; }
  [[nodiscard]] const std::vector<recovered_attempt>& recovered() const { return recovered_; }
  [[nodiscard]] std::uint64_t lineage() const { return lineage_; }

private:
  attempt_table() = default;
  [[nodiscard]] runtime::result<void> create(const std::filesystem::path& file,
                                             std::uint32_t slot_count, bool is_damaged);
  [[nodiscard]] runtime::result<std::string> recover(
      int fd, const std::function<void(std::string_view)>& warn);

  unique_fd lock_;
  unique_fd file_;
  attempt_slot* slots_ = nullptr;  ///< Shared with the guard.
  std::uint32_t slot_count_ = 0;
  std::uint64_t lineage_ = 0;
  std::vector<recovered_attempt> recovered_;
  std::vector<attempt_marks> recovered_files_;
};

}  // namespace millrace::actors::process_detail
