// SPDX-License-Identifier: MIT
// LMDB environments and transactions that clean up after themselves, and the one place where LMDB's
// return codes become our errors.
//
// The sync mode is always LMDB's default (data, then the meta page, both on disk before a commit
// returns); MDB_NOSYNC and MDB_WRITEMAP are never used. Transactions belong to their objects, not
// to threads (MDB_NOTLS).
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"
#include "storage/lmdb_pages.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {

/// How an environment is opened.
struct lmdb_options {
  std::string directory;
  std::size_t map_bytes = std::size_t{64} << 30U;  ///< Address space; the file grows as needed.
  bool must_exist = false;  ///< It is part of a data directory that was made before.
  const char* remedy = damage_remedy.data();  ///< What to do when it is damaged; a literal.
};

/// The pages of an environment that is there, null for one that is still to be made.
/// Errors: `storage_failed`, also when one that must exist has no file.
[[nodiscard]] result<std::unique_ptr<lmdb_pages>> open_lmdb_pages(const lmdb_options& options);

/// Turns a return code other than success into an error that says what failed where.
///
/// `out_of_space`: ENOSPC, EDQUOT, MDB_MAP_FULL. `permission_denied`: EACCES, EPERM, EROFS.
/// `storage_failed`: everything else.
[[nodiscard]] error lmdb_error(int rc, std::string_view doing, const std::string& directory);

inline MDB_val to_val(std::string_view bytes) noexcept {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // NOLINT: LMDB does not write to it
}

inline std::string_view to_view(const MDB_val& val) noexcept {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

struct lmdb_txn_abort {
  void operator()(MDB_txn* txn) const noexcept { mdb_txn_abort(txn); }
};
using lmdb_txn = std::unique_ptr<MDB_txn, lmdb_txn_abort>;

struct lmdb_cursor_close {
  void operator()(MDB_cursor* cursor) const noexcept { mdb_cursor_close(cursor); }
};
using lmdb_cursor = std::unique_ptr<MDB_cursor, lmdb_cursor_close>;

/// One open environment. Threading: as LMDB's; `env()` is shared by all of a process's threads.
class lmdb_env {
public:
  /// Opens or makes the environment, clears reader slots of dead processes, and puts new directory
  /// entries on disk. Errors: as `lmdb_error`.
  [[nodiscard]] static result<std::unique_ptr<lmdb_env>> open(const lmdb_options& options,
                                                              unsigned flags, unsigned dbs_max);
  lmdb_env(const lmdb_env&) = delete;
  lmdb_env& operator=(const lmdb_env&) = delete;
  ~lmdb_env();

  [[nodiscard]] MDB_env* env() const noexcept { return env_; }
  [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
  [[nodiscard]] const mapped_file& file() const noexcept { return file_; }

  [[nodiscard]] result<lmdb_txn> begin_write();
  [[nodiscard]] result<lmdb_txn> begin_read() const;

  /// Commits a write transaction of about `bytes`; the size tells a disk that is full from one that
  /// is broken, since LMDB reports a write cut short by a full disk as EIO. After some megabytes
  /// lets go of the file's pages that were mapped: they stay in the system's cache and are mapped
  /// again when they are read, but a file that grows does not count as this process's memory.
  result<void> commit(lmdb_txn txn, std::size_t bytes);

  /// Lets go of all pages of the file that are mapped, as after some megabytes. Threading: any.
  void let_go_of_pages() const noexcept;

  /// Opens a named database, the main one for nullptr. Requires: called before threads share `env`.
  result<MDB_dbi> open_db(const char* name, unsigned flags);

  /// What a reader of its rows finds wrong: with the file and the remedy, if it is damage.
  [[nodiscard]] error damage(const error& found) const {
    return found.code() == errc::storage_failed
               ? error{errc::storage_failed, path_ + ": " + found.text() + "; " + file_.remedy}
               : found;
  }
  [[nodiscard]] error failure(int rc, std::string_view doing) const {
    return lmdb_error(rc, doing, directory_);
  }

  /// Gives back to the disk what a failed transaction has written behind the last page in use, so
  /// that the other environment can have it. Requires: no write transaction is open.
  void give_back_unused() noexcept;

  /// Bytes behind the last page in use that are this file's although the disk may be full: so that
  /// deletes can be written, which need room before they give some back.
  [[nodiscard]] std::uint64_t bytes_reserved() const noexcept;

  [[nodiscard]] result<std::uint64_t> bytes_used() const;
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept;
  void check_readers() noexcept;

private:
  void find_map();

  lmdb_env(const lmdb_options& options, MDB_env* env)
      : directory_(options.directory),
        path_(directory_ + "/data.mdb"),
        file_{path_.c_str(), options.remedy},
        env_(env) {}

  void reserve() noexcept;

  const std::string directory_;
  const std::string path_;
  const mapped_file file_;
  MDB_env* env_;
  std::atomic<std::uint64_t> reserved_end_{0};
  std::size_t page_bytes_ = 4096;
  void* map_ = nullptr;  // null: its place was not found
  std::size_t map_bytes_ = 0;
  std::size_t written_ = 0;  // since pages were let go; the writer's
};

/// A section of an environment's file.
class lmdb_section : mapped_section {
public:
  explicit lmdb_section(const lmdb_env& env) noexcept : mapped_section(env.file()) {}
};

}  // namespace millrace::runtime
