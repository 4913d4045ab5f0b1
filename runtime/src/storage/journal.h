// SPDX-License-Identifier: MIT
// Journal: a list of opaque entries, durable before `write` returns, and a small state for each
// partition beside it.
//
// Positions count up from 1 and are not used again while the journal is open. Entries of all
// partitions lie side by side, and each partition's go when it no longer needs them, so there are
// gaps: that none is missing is seen by the chain that they form, but for a partition's newest
// ones. What entries and states mean is the business of `replica`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// What one write changes: all of it, or nothing.
struct journal_write {
  /// The state of one partition. Ownership: a view into what the caller keeps.
  struct state {
    partition_id partition{};
    std::string_view bytes;
  };
  std::span<const std::uint64_t> erased;      ///< Positions, ascending; each is there.
  std::span<const std::string_view> entries;  ///< Appended at `last() + 1` and on.
  std::span<const state> states;              ///< Replaced.
};

/// The journal of one silo. Implementations: `open_lmdb_journal`, `make_memory_journal`.
///
/// Threading: one thread at a time, apart from `bytes_used_at_most`, which any thread may call.
class journal {
public:
  journal() = default;
  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;
  virtual ~journal() = default;

  /// The newest position used since it was opened, or present then; 0 when there was none.
  [[nodiscard]] virtual std::uint64_t last() const noexcept = 0;

  /// Erases, appends and replaces in one transaction that is on disk when this returns.
  ///
  /// Errors: `out_of_space` (nothing changed; may be tried again), `storage_failed` (the journal is
  /// lost: the process must end without another call).
  virtual result<void> write(const journal_write& changes) = 0;

  /// Calls `visit` for every entry in order of position until it fails.
  /// Errors: those of `visit`; `storage_failed` for an unreadable journal.
  virtual result<void> scan(
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const = 0;

  /// Calls `visit` with the entry at `position`. Errors: as `scan`; `storage_failed` if there is
  /// none.
  virtual result<void> read(std::uint64_t position,
                            const std::function<result<void>(std::string_view)>& visit) const = 0;

  /// Calls `visit` for the state of each partition that has one, in order. Errors: as `scan`.
  virtual result<void> scan_states(
      const std::function<result<void>(partition_id, std::string_view)>& visit) const = 0;

  /// As `checkpoint::rest`.
  virtual void rest() noexcept {}

  /// Bytes of disk that hold something. Cost: reads the list of free pages.
  [[nodiscard]] virtual result<std::uint64_t> bytes_used() const = 0;

  /// An upper bound of `bytes_used` that costs nothing to ask for.
  [[nodiscard]] virtual std::uint64_t bytes_used_at_most() const noexcept = 0;

  /// Bytes behind those that the file system has promised already: they can be written on a full
  /// disk.
  [[nodiscard]] virtual std::uint64_t bytes_reserved() const noexcept { return 0; }

  /// Bytes by which the journal's file system can still grow; UINT64_MAX when nobody knows.
  [[nodiscard]] virtual std::uint64_t bytes_available() const noexcept = 0;
};

/// A journal that dies with the process.
[[nodiscard]] std::unique_ptr<journal> make_memory_journal();

struct lmdb_options;

/// The journal in the LMDB environment `options.directory`, made if absent.
/// Errors: `storage_failed`, `out_of_space`, `permission_denied`.
[[nodiscard]] result<std::unique_ptr<journal>> open_lmdb_journal(const lmdb_options& options);

}  // namespace millrace::runtime
