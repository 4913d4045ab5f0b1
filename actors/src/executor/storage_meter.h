// SPDX-License-Identifier: MIT
// Storage meter: what the runs of each project hold on this machine's disk.
//
//   projects/RUN -> PROJECT:BYTES   a link that leads nowhere: whose run it is, and about what it
//                                   held when it was last looked at, for the next life
//
// A run holds its logs, its workspace and its artifacts, as blocks of the disk. An artifact that
// several runs of a project have counts there once. A run is looked at when something says that it
// may have changed, on a thread of the meter's own, which rests nine times as long after each look;
// so a sum is a little behind what it sums. What earlier lives have left counts by its links until
// it has been looked at, by and by.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
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

/// Of so many artifact files of a run the meter knows which they are, at about 100 bytes each;
/// further ones count for each run that has them.
inline constexpr std::size_t shared_files_max = 10'000;

/// Threading: any thread; `stop` from one.
class storage_meter {
public:
  /// Makes `projects` in the data directory where missing, takes away what is no such link there,
  /// and begins to look at what earlier lives have left. Requires: `time` outlives the meter.
  /// Errors: `storage_failed`, `out_of_space`.
  [[nodiscard]] static runtime::result<std::unique_ptr<storage_meter>> open(
      std::filesystem::path data_directory, const runtime::clock& time);
  storage_meter(const storage_meter&) = delete;
  storage_meter& operator=(const storage_meter&) = delete;
  ~storage_meter() { stop(); }

  /// From here on what the run holds is the project's, and it is in use until as many `leave`. No
  /// effect where either is no name. Cost: three system calls, the first time.
  void own(std::string_view run, std::string_view project);

  /// The run may hold more or less than before. No effect unless it is somebody's.
  void look_at(std::string_view run);

  /// Who has owned it writes no more, and it is looked at. A run that nobody uses is forgotten when
  /// it is found to hold nothing.
  void leave(std::string_view run);

  /// How many runs it knows.
  [[nodiscard]] std::size_t known() const;

  /// The run's files are gone.
  void forget(std::string_view run);

  /// What projects hold, those that hold nothing left out.
  [[nodiscard]] storage_by_project by_project() const;

  /// Looks at nothing more. Idempotent.
  void stop() { looks_.stop(); }

private:
  struct blob {
    ino_t inode = 0;
    std::uint64_t bytes = 0;
  };
  struct holding {
    std::uint64_t own = 0;  // what no other run has
    std::vector<blob> blobs{};
  };
  struct owned_run {
    std::string project;
    holding held{};
    std::string link{};  // its text; empty: there was no room for it
    unsigned users = 0;
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
  void plan();
  void look();
  [[nodiscard]] std::vector<std::string> next();
  void link(const std::string& run, owned_run& of);
  [[nodiscard]] holding measure(const std::string& run) const;
  void charge(const owned_run& run);
  void credit(const owned_run& run);
  [[nodiscard]] bool is_nothing(const std::string& run, const owned_run& of) const;

  const std::filesystem::path data_;
  const runtime::unique_fd projects_;
  const runtime::clock& time_;

  mutable std::mutex mutex_;  // over all below but the worker
  std::map<std::string, owned_run, std::less<>> runs_;
  std::map<std::string, account, std::less<>> accounts_;
  std::set<std::string, std::less<>> due_;
  std::set<std::string, std::less<>> left_;  // by earlier lives, and not looked at yet
  std::string latest_due_;                   // they are looked at in turn
  bool will_look_ = false;
  runtime::steady_time rests_until_{};

  worker looks_;  // stopped first
};

}  // namespace millrace::actors
