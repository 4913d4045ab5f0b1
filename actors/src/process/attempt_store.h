// SPDX-License-Identifier: MIT
// Attempt store: the directories of attempts, from their making to their removal.
//
//   <attempts>/<token>/output   what `$MILLRACE_OUTPUT` names
//   <attempts>/<token>/stdout   moved to <logs>/<folder>/<token>.stdout at the end, unless empty
//   <attempts>/<token>/stderr   as stdout
//   <attempts>/<token>/stdout.times, stderr.times   when these were written, of an attempt that
//                               took longer than a look at it; moved with them
//   <attempts>/<token>/tmp/     what `$TMPDIR` names
//   <attempts>/<token>/heartbeat  what `$MILLRACE_HEARTBEAT` names, of an attempt that has one
//
// Making and removing files for each attempt would cost more than starting its process (ext4 passes
// over inodes deleted lately), so what comes back untouched is renamed for the next attempt. What
// does not is removed by a thread of its own: a task may leave a million files.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "millrace/actors/process.h"
#include "process/task_file.h"

namespace millrace::actors::process_detail {

/// What tells the files of an attempt from others, kept in its slot.
struct attempt_marks {
  std::uint64_t output = 0;  ///< Inodes; 0: not known.
  std::array<std::uint64_t, 2> streams{};
};

/// The open files of one attempt. Each is above 2.
struct attempt_files {
  unique_fd directory;
  unique_fd output;
  std::array<unique_fd, 2> streams;  ///< By `output_stream`.
  std::array<unique_fd, 2> times;    ///< Of these, once there are some.

  [[nodiscard]] int stream(output_stream which) const {
    return streams[static_cast<std::size_t>(which)].get();
  }
};

/// Threading: any.
class attempt_store {
public:
  /// Makes the directories where missing. `warn` may be empty.
  [[nodiscard]] static runtime::result<std::unique_ptr<attempt_store>> open(
      const std::filesystem::path& attempts, const std::filesystem::path& logs,
      std::function<void(std::string_view)> warn);

  attempt_store(const attempt_store&) = delete;
  attempt_store& operator=(const attempt_store&) = delete;
  ~attempt_store();

  /// The attempts that have a directory and are none of `known`.
  [[nodiscard]] std::set<std::string, std::less<>> unknown(
      const std::vector<std::string>& known) const;

  /// Removes, in the background, what belongs to none of `known`; the output of others, whose table
  /// is gone, is kept first.
  void tidy(const std::vector<std::string>& known);

  /// Fresh files. Errors: `storage_failed`, `out_of_space`.
  [[nodiscard]] runtime::result<attempt_files> take(const std::string& token);

  /// Of an attempt of an earlier life: what is still there of what was made. Never fails.
  [[nodiscard]] attempt_files reopen(const std::string& token, const attempt_marks& marks) const;

  /// Writes what the command is to read: a script to run, or its inputs.
  static constexpr const char* script_name = "script";
  static constexpr const char* inputs_name = "inputs";
  static constexpr const char* heartbeat_name = "heartbeat";
  [[nodiscard]] static runtime::result<void> write_file(const attempt_files& files,
                                                        const char* name, std::string_view text);

  /// When the heartbeat was last touched, by the clock that files have: that of its inode, which a
  /// command can move but not choose. Nothing is opened. Nothing: no file has its name any more.
  [[nodiscard]] static std::optional<runtime::wall_time> last_beat(const attempt_files& files);

  /// The file of times of a stream, to write a `time_line` each into. None where the task has put
  /// something else in its place.
  [[nodiscard]] static unique_fd make_times(const attempt_files& files, output_stream which);

  /// What stands in the output file, at most a byte more than `bytes_max`: see
  /// `process_exit::output`.
  [[nodiscard]] static runtime::result<std::string> read_output(const attempt_files& files,
                                                                std::size_t bytes_max);

  /// Moves the streams that are not empty to the logs.
  void keep_logs(const attempt_files& files, const std::string& token);

  /// Takes back the directory of an attempt that has ended. `reuse`: no process has it any more.
  enum class reuse : std::uint8_t { no, yes };
  void give_back(attempt_files files, const std::string& token, reuse allowed);

  /// As `give_back`, of an attempt whose files are not open any more; it may have been done before.
  void discard(const std::string& token, reuse allowed);

  /// See `process_supervisor::remove`.
  [[nodiscard]] runtime::result<void> remove(const std::filesystem::path& tree);

  /// A kept output. Errors: those of `process_supervisor::open_log`.
  [[nodiscard]] runtime::result<log_file> open_log(std::string_view token,
                                                   output_stream stream) const;

  [[nodiscard]] static attempt_marks marks(const attempt_files& files);
  [[nodiscard]] std::filesystem::path path_of(std::string_view token) const;

private:
  struct spare {
    std::string name;
    attempt_files files;
  };
  attempt_store(std::filesystem::path attempts, unique_fd directory, unique_fd logs,
                std::function<void(std::string_view)> warn);
  [[nodiscard]] std::string fresh_name(std::string_view stem);
  [[nodiscard]] runtime::result<spare> make_spare();
  [[nodiscard]] runtime::result<void> keep_log(const attempt_files& files, output_stream which,
                                               const std::string& token);
  static void keep_times(const attempt_files& files, output_stream which, int folder,
                         const std::string& token);
  void warn(const std::string& line) const;
  void throw_away(const std::string& name);
  void remove_thrown_away();

  const std::filesystem::path path_;
  const unique_fd attempts_;
  const unique_fd logs_;
  const std::function<void(std::string_view)> warn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<spare> spares_;
  std::uint64_t names_ = 0;
  std::deque<std::string> thrown_away_;
  bool stopping_ = false;
  std::thread remover_;
};

}  // namespace millrace::actors::process_detail
