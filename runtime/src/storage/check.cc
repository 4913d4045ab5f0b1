// SPDX-License-Identifier: MIT
#include <filesystem>

#include "millrace/runtime/backup.h"
#include "storage/checkpoint.h"
#include "storage/data_directory.h"
#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage/replay.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// Faults of the rows; the progress that they were written with, if it can be read.
std::optional<checkpoint_progress> check_rows(const checkpoint& rows, storage_check& found) {
  std::uint64_t counted = 0;
  for (std::uint16_t index = 0; index < found.partition_count; ++index) {
    const auto proven = rows.prove(partition_id{index});
    if (!proven) {
      found.faults.push_back(proven.error().text());
      continue;
    }
    counted += proven->count;
    found.row_bytes += proven->bytes;
    found.damaged_rows += proven->damaged;
    if (proven->damaged > 0) {
      found.faults.push_back(std::to_string(proven->damaged) + " rows of partition " +
                             std::to_string(index) +
                             " do not match their checksums; the actors that they belong to answer "
                             "storage_failed; " +
                             std::string{damage_remedy});
    }
  }
  found.rows = counted;
  if (found.faults.empty() && counted != rows.row_count()) {
    found.faults.push_back("the checkpoint has rows that belong to no partition; " +
                           std::string{damage_remedy});
  }
  auto progress = rows.progress();
  if (!progress) {
    found.faults.push_back(progress.error().text());
    return std::nullopt;
  }
  return *std::move(progress);
}

}  // namespace

result<storage_check> check_storage(const std::string& directory) {
  std::error_code failed;
  if (!std::filesystem::exists(directory + "/FORMAT", failed)) {
    return error{errc::not_found, directory + " is no data directory: it has no FORMAT"};
  }
  auto opened = data_directory::open(directory, partition_count_default);
  if (!opened) {
    return opened.error();
  }
  storage_check found;
  found.format_version = opened->format().version;
  found.partition_count = opened->format().partition_count;
  found.allocation_id = opened->format().allocation_id;
  if (const auto& mark = opened->mark()) {
    found.cluster_id = mark->cluster_id;
    found.silo = mark->silo;
  }
  auto rows = open_lmdb_checkpoint({.directory = opened->checkpoint_path(), .must_exist = true});
  std::optional<checkpoint_progress> progress;
  if (!rows) {
    found.faults.push_back(rows.error().text());
  } else if (opened->needs_conversion()) {
    found.faults.push_back(directory + " is of format version " +
                           std::to_string(found.format_version) +
                           ", which cannot tell whether all is there; start this version on it "
                           "once, which converts it");
  } else {
    progress = check_rows(**rows, found);
  }
  auto entries = open_lmdb_journal({.directory = opened->journal_path(), .must_exist = true});
  if (!entries) {
    found.faults.push_back(entries.error().text());
    return found;
  }
  auto counted = (*entries)->scan([&](std::uint64_t, std::string_view) -> result<void> {
    ++found.journal_entries;
    return {};
  });
  if (counted && progress) {
    auto copies = recover_copies(**entries, *progress, found.partition_count, steady_time{});
    counted = copies ? result<void>{} : result<void>{copies.error()};
  }
  if (!counted) {
    found.faults.push_back(opened->journal_path() + "/data.mdb: " + counted.error().text());
  }
  return found;
}

}  // namespace millrace::runtime
