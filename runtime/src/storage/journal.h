// SPDX-License-Identifier: MIT
// Journal: an append-only list of opaque entries, durable before `append` returns.
//
// Positions count from 1 and have no gaps. Old entries are trimmed from the front, inside the
// append that follows, so that one flush does both. What entries mean is `partition_log`'s
// business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// What may be deleted along with an append.
struct journal_trim {
  std::uint64_t before = 0;     ///< Entries below this position are no longer needed.
  std::size_t entries_max = 0;  ///< At most this many of them are deleted now.
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

  /// The oldest position present; `last() + 1` when the journal is empty.
  [[nodiscard]] virtual std::uint64_t first() const noexcept = 0;

  /// The newest position ever appended; 0 when there was none.
  [[nodiscard]] virtual std::uint64_t last() const noexcept = 0;

  /// Writes `entries` at `last() + 1` and on, and deletes from the front as `trim` allows, in one
  /// transaction that is on disk when this returns. The newest entry is never trimmed.
  ///
  /// Errors: `out_of_space` (nothing changed; may be tried again), `storage_failed` (the journal is
  /// lost: the process must end without another call).
  virtual result<void> append(std::span<const std::string_view> entries,
                              const journal_trim& trim) = 0;

  /// Calls `visit` for every entry from `from` on, in order, until it fails.
  /// Errors: those of `visit`; `storage_failed` for a gap or an unreadable journal.
  virtual result<void> scan(
      std::uint64_t from,
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const = 0;

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
