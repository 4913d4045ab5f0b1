// SPDX-License-Identifier: MIT
// Local rows: the keys and values of the local store, as plain reads and writes of a transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordination/records.h"
#include "millrace/runtime/result.h"
#include "storage/lmdb_env.h"

namespace millrace::runtime {

/// A silo's row, and where its session is.
struct local_silo {
  silo_row row;
  std::size_t slot = 0;
};

/// What one transaction of the local store sees and does. It knows records up to the version
/// `newest`, and writes them in that of the settings. Errors: as LMDB's and `decode_...`'s.
/// Ownership: refers to both for as long as it lives.
class local_rows {
public:
  local_rows(const lmdb_env& env, MDB_txn* txn, MDB_dbi table, std::uint32_t newest) noexcept
      : env_(env), txn_(txn), table_(table), newest_(newest) {}

  /// The number of this transaction.
  [[nodiscard]] std::uint64_t revision() const noexcept { return mdb_txn_id(txn_); }

  [[nodiscard]] result<std::optional<cluster_settings>> settings() const;
  [[nodiscard]] result<std::optional<local_silo>> silo(std::string_view name) const;
  [[nodiscard]] result<std::vector<local_silo>> silos() const;
  [[nodiscard]] result<std::optional<stored_partition>> partition(partition_id partition) const;
  [[nodiscard]] result<std::vector<stored_partition>> partitions(std::uint64_t above) const;

  [[nodiscard]] result<void> put(const cluster_settings& settings) const;
  [[nodiscard]] result<void> put(const local_silo& silo) const;
  [[nodiscard]] result<void> put(const stored_partition& record) const;  ///< With its version.
  [[nodiscard]] result<void> erase_silo(std::string_view name) const;

private:
  [[nodiscard]] result<std::optional<std::string_view>> get(std::string_view key) const;
  [[nodiscard]] result<void> put(std::string_view key, std::string_view value) const;
  [[nodiscard]] result<std::uint32_t> protocol() const;
  template <class Each>
  [[nodiscard]] result<void> scan(char kind, Each each) const;

  const lmdb_env& env_;
  MDB_txn* txn_;
  MDB_dbi table_;
  std::uint32_t newest_;
};

}  // namespace millrace::runtime
