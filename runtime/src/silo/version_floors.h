// SPDX-License-Identifier: MIT
// Version floors: where the versions of an actor begin that has nothing stored.
//
// Who has had a delivery remembers its number, which grows with the sender's version. An actor that
// is erased leaves no row that could tell its version, and one of the same id may come after it,
// whose sends must not be taken for old ones. So each partition has one row with the highest
// version of those that were erased in it, written with the commit that erases; others begin above.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "millrace/runtime/storage.h"

namespace millrace::runtime::detail {

/// Threading: any thread.
class version_floors {
public:
  explicit version_floors(storage& rows) : rows_(rows), floors_(rows.partition_count()) {}

  /// Reads that of one partition. Errors: those of a scan.
  [[nodiscard]] result<void> load(partition_id partition);

  [[nodiscard]] std::uint64_t of(partition_id partition) const;

  /// Commits what leaves no row of an actor that was at `version`.
  void commit_erased(std::unique_ptr<commit_request> request, std::uint64_t version);

private:
  storage& rows_;
  mutable std::mutex mutex_;  // also makes commits go in the order of what they write
  std::vector<std::uint64_t> floors_;
};

}  // namespace millrace::runtime::detail
