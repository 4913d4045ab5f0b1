// SPDX-License-Identifier: MIT
#include <filesystem>

#include "storage/backup_stream.h"
#include "storage/checkpoint.h"
#include "storage/data_directory.h"
#include "storage/files.h"
#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage/replay.h"

namespace millrace::runtime {
namespace {

namespace fs = std::filesystem;

// The directory that the rows go into until they are all there.
class restoration {
public:
  explicit restoration(std::string path) : path_(std::move(path)) {}

  result<void> begin(std::uint16_t partition_count) {
    std::error_code failed;
    fs::remove_all(path_, failed);
    if (failed) {
      return file_error(failed.value(), "cannot remove what is left of an earlier restore,", path_);
    }
    auto directory = data_directory::open(path_, partition_count);
    if (!directory) {
      return directory.error();
    }
    auto entries = open_lmdb_journal({.directory = directory->journal_path()});
    if (!entries) {
      return entries.error();
    }
    auto rows = open_lmdb_checkpoint({.directory = directory->checkpoint_path()});
    if (!rows) {
      return rows.error();
    }
    directory_.emplace(std::move(*directory));
    rows_ = std::move(*rows);
    return make_copies(**entries, *rows_, partition_count);
  }

  result<void> take(const std::vector<backup_row>& rows) {
    std::vector<checkpoint_change> changes;
    changes.reserve(rows.size());
    for (const auto& each : rows) {
      changes.push_back({each.partition, each.key, each.value});
    }
    return rows_->write(changes, nullptr);
  }

  result<void> finish(const std::string& as) {
    if (auto finished = directory_->finish(); !finished) {
      return finished;
    }
    rows_.reset();
    directory_.reset();
    if (::rename(path_.c_str(), as.c_str()) != 0) {
      return file_error(errno, "cannot name", as);
    }
    const auto parent = fs::path{as}.parent_path().string();
    return sync_directory(parent.empty() ? "." : parent);
  }

  void give_up() noexcept {
    rows_.reset();
    directory_.reset();
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

private:
  const std::string path_;
  std::optional<data_directory> directory_;
  std::unique_ptr<checkpoint> rows_;
};

}  // namespace

result<restored_rows> restore_storage(const std::string& directory, const byte_source& source) {
  std::error_code failed;
  if (fs::exists(directory, failed) && !fs::is_empty(directory, failed)) {
    return error{errc::conflict,
                 directory + " is there already; name another directory, or move it away"};
  }
  restoration made{directory + ".restoring"};
  auto read = read_backup(
      source, [&](std::uint16_t partition_count) { return made.begin(partition_count); },
      [&](const std::vector<backup_row>& rows) { return made.take(rows); });
  if (read) {
    if (auto finished = made.finish(directory); !finished) {
      read = finished.error();
    }
  }
  if (!read) {
    made.give_up();
  }
  return read;
}

}  // namespace millrace::runtime
