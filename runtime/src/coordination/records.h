// SPDX-License-Identifier: MIT
// Records: what the coordination store holds, and its bytes.
//
// Three kinds: the cluster's settings, a row for each silo that is in, a record for each partition.
// The bytes are those of schemas/millrace/coordination.capnp, followed by their digest. What the
// store itself knows (versions, incarnations) stands beside the bytes, not in them.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coordination/process_identity.h"
#include "millrace/runtime/cluster.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "partition/copy_state.h"
#include "partition/partition_record.h"
#include "versions.h"

namespace millrace::runtime {

/// The longest record: thousands of copies, and a bound on what a damaged length may claim.
inline constexpr std::size_t coordination_record_bytes_max = 64U << 10U;

/// Fixed when the cluster is created.
struct cluster_settings {
  std::string cluster_id;             ///< 32 hexadecimal digits.
  std::uint16_t partition_count = 0;  ///< 1 to 65535.
  /// The allocation id of the data directory that the cluster begins with: only that silo begins
  /// partitions. Empty: it begins with nothing, and whoever is preferred does.
  std::string founder = {};
  /// The version of all records, these among them.
  std::uint32_t protocol = coordination_protocol;
  friend bool operator==(const cluster_settings&, const cluster_settings&) = default;
};

/// A silo process that is in the cluster.
struct silo_row {
  std::string name;  ///< Unique in the cluster; 1 to 200 bytes.
  /// Which life of that silo: given by the store when it joins, higher than all before, never
  /// given again. Not in the bytes.
  std::uint64_t incarnation = 0;
  std::string address;  ///< host:port of its links.
  silo_roles roles;
  std::string zone;                           ///< Empty: none is named.
  std::map<std::string, std::string> labels;  ///< Of `silo_options`: without a value each.
  silo_state state = silo_state::joining;
  bool is_decommissioned = false;  ///< It drains to go for good.
  process_identity process;
  std::vector<std::string> types;  ///< Of the actors that it hosts, sorted.
  friend bool operator==(const silo_row&, const silo_row&) = default;
};

/// The longest name of a silo; it is part of a key.
inline constexpr std::size_t silo_name_bytes_max = 200;

/// The record of one partition. Its version is the store's revision at which it came to be, 0 when
/// there is none yet; it is not in the bytes.
struct stored_partition : partition_record {
  partition_id partition{};
  friend bool operator==(const stored_partition&, const stored_partition&) = default;
};

// `protocol`: that of the cluster's settings. `row_digest`: of what the record stands in and does
// not say itself, see coordination.capnp; 0: of nothing.
[[nodiscard]] std::string encode(const cluster_settings& settings);
[[nodiscard]] std::string encode(const silo_row& row,
                                 std::uint32_t protocol = coordination_protocol,
                                 std::uint64_t row_digest = 0);
[[nodiscard]] std::string encode(const stored_partition& record,
                                 std::uint32_t protocol = coordination_protocol,
                                 std::uint64_t row_digest = 0);

// `newest`: the newest version that is known; another one only in tests.
// Errors: `failed_precondition` for a record of a newer protocol, with a text for an operator;
// `storage_failed` for what is no record, is damaged, or stands under another's key or, when both
// say one, beside another `row_digest`.
[[nodiscard]] result<cluster_settings> decode_settings(
    std::string_view bytes, std::uint32_t newest = coordination_protocol);
[[nodiscard]] result<silo_row> decode_silo(std::string_view name, std::string_view bytes,
                                           std::uint32_t newest = coordination_protocol,
                                           std::uint64_t row_digest = 0);
[[nodiscard]] result<stored_partition> decode_partition(
    partition_id partition, std::string_view bytes, std::uint32_t newest = coordination_protocol,
    std::uint64_t row_digest = 0);

/// Errors: `invalid_argument` for a name that is empty, too long or has a character below '!'.
[[nodiscard]] result<void> check_silo_name(std::string_view name);

}  // namespace millrace::runtime
