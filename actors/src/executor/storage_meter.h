// SPDX-License-Identifier: MIT
// Storage meter: what the runs of each project hold on this machine's disk.
//
//   projects/RUN -> PROJECT   a link that leads nowhere: whose run it is, also in the next life
//
// A run holds its logs, its workspace and its artifacts, as blocks of the disk. An artifact that
// several runs of a project have counts there once. A run is looked at when something says that it
// may have changed, on a thread of the meter's own, for a tenth of the time at most; so a sum is a
// little behind what it sums.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "executor/worker.h"
#include "millrace/actors/executor.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors {

/// How deep below a run's directories files are counted, and how many of one run: a task can make
/// both as large as it likes.
inline constexpr unsigned counted_depth_max = 64;
inline constexpr std::size_t counted_files_max = 1'000'000;

/// Threading: any thread; `stop` from one.
class storage_meter {
public:
  /// Makes `projects` in the data directory where missing, and begins to look at what earlier lives
  /// have left. Requires: `time` outlives the meter. Errors: `storage_failed`, `out_of_space`.
  [[nodiscard]] static runtime::result<std::unique_ptr<storage_meter>> open(
      std::filesystem::path data_directory, const runtime::clock& time);
  storage_meter(const storage_meter&) = delete;
  storage_meter& operator=(const storage_meter&) = delete;
  ~storage_meter() { stop(); }

  /// From here on what the run holds is the project's. No effect where it is known, or where either
  /// is no name. Cost: a system call, the first time.
  void own(std::string_view run, std::string_view project);

  /// The run may hold more or less than before. No effect unless it is somebody's.
  void look_at(std::string_view run);

  /// The run's files are gone.
  void forget(std::string_view run);

  /// What projects hold, those that hold nothing left out; nothing until all that earlier lives
  /// have left has been looked at.
  [[nodiscard]] std::optional<storage_by_project> by_project() const;

  /// Looks at nothing more. Idempotent.
  void stop() { looks_.stop(); }

private:
  struct blob {
    ino_t inode = 0;
    std::uint64_t bytes = 0;
  };
  struct holding {
    std::uint64_t own = 0;  // logs and workspace
    std::vector<blob> blobs{};
  };
  struct owned_run {
    std::string project;
    holding held{};
  };
  struct shared_blob {
    std::uint64_t bytes = 0;
    std::size_t runs = 0;
  };
  struct account {
    std::uint64_t bytes = 0;
    std::map<ino_t, shared_blob> blobs{};
  };

  storage_meter(std::filesystem::path data, runtime::unique_fd projects,
                const runtime::clock& time);
  void is_due(std::string_view run);
  void look();
  [[nodiscard]] holding measure(const std::string& run) const;
  void charge(const owned_run& run);
  void credit(const owned_run& run);

  const std::filesystem::path data_;
  const runtime::unique_fd projects_;
  const runtime::clock& time_;

  mutable std::mutex mutex_;  // over all below but the worker
  std::map<std::string, owned_run, std::less<>> runs_;
  std::map<std::string, account, std::less<>> accounts_;
  std::set<std::string, std::less<>> due_;
  bool will_look_ = false;
  bool has_looked_ = false;  // at what earlier lives have left
  runtime::duration pause_{};

  worker looks_;  // stopped first
};

}  // namespace millrace::actors
