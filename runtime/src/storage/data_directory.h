// SPDX-License-Identifier: MIT
// Data directory: who owns it, what made it, and where its parts lie.
//
//   LOCK         locked (open file description lock) while a process uses the directory; its pid
//   FORMAT       text: magic, format version, partition count, allocation id; written last
//   FORMAT.tmp   only while a new directory is being made, or one of an earlier format converted
//   CLUSTER      which cluster it belongs to (cluster_mark.h); absent: to none
//   journal/     LMDB environment
//   checkpoint/  LMDB environment
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"
#include "storage/cluster_mark.h"

namespace millrace::runtime {

/// What FORMAT says.
struct data_format {
  std::uint16_t partition_count = 0;
  std::string allocation_id;  ///< 32 hexadecimal digits.
  unsigned version = 3;       ///< As found; `to_text` writes the newest.
};

/// The disk format that this build writes. Version 1 had no row digests, version 2 no copies of
/// partitions in the journal; both are read, and become version 3 when they are opened.
inline constexpr unsigned data_format_version = 3;
inline constexpr unsigned data_format_without_digests = 1;
inline constexpr unsigned data_format_version_min = 1;

/// 128 fresh random bits in hexadecimal digits.
[[nodiscard]] std::string mint_allocation_id();

[[nodiscard]] std::string to_text(const data_format& format);

/// Errors: `failed_precondition` when it is not ours or of another version.
[[nodiscard]] result<data_format> parse_data_format(const std::string& text);

/// A locked data directory. Ownership: the lock is held until destruction.
class data_directory {
public:
  /// Makes the directory if it is absent, locks it and reads FORMAT. A new one gets
  /// `partition_count` and a fresh allocation id, which become durable with `finish`.
  ///
  /// Time: at once, but up to 5 s while the owner named in LOCK is dead and its lock still held.
  /// Errors: as `open_storage`.
  [[nodiscard]] static result<data_directory> open(const std::string& path,
                                                   std::uint16_t partition_count);

  data_directory(data_directory&&) noexcept = default;
  data_directory& operator=(data_directory&&) = delete;
  data_directory(const data_directory&) = delete;
  data_directory& operator=(const data_directory&) = delete;
  ~data_directory() = default;

  /// The environments exist and are of this build's format: from now on the directory is, too.
  result<void> finish();

  /// It has no FORMAT yet.
  [[nodiscard]] bool is_new() const noexcept { return is_new_; }
  /// It was made by an earlier format version.
  [[nodiscard]] bool needs_conversion() const noexcept {
    return format_.version != data_format_version;
  }

  [[nodiscard]] const data_format& format() const noexcept { return format_; }
  /// The cluster that it belongs to.
  [[nodiscard]] const std::optional<cluster_mark>& mark() const noexcept { return mark_; }
  /// Makes it belong to that one; on the disk when this returns. Errors: as `file_error`.
  result<void> set_mark(const cluster_mark& mark);
  [[nodiscard]] std::string journal_path() const { return path_ + "/journal"; }
  [[nodiscard]] std::string checkpoint_path() const { return path_ + "/checkpoint"; }

private:
  data_directory(std::string path, unique_fd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  result<void> take_lock();
  result<void> read_format(std::uint16_t partition_count);
  result<void> begin_new(std::uint16_t partition_count);

  std::string path_;
  unique_fd lock_;
  bool is_new_ = false;
  data_format format_;
  std::optional<cluster_mark> mark_;
};

}  // namespace millrace::runtime
