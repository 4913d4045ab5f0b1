// SPDX-License-Identifier: MIT
// Masked pipes: what stands between a command that has secrets and the files of its attempt.
//
// Its streams are pipes, and `$MILLRACE_OUTPUT` is a named one; the supervisor's thread reads them
// and writes what a mask lets through. So no secret that a command writes there reaches a disk,
// also when the silo is killed in between. Other attempts write straight to their files.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process/attempt_store.h"
#include "process/secret_mask.h"

namespace millrace::actors::process_detail {

/// Threading: `open` and `close_writing_ends` from the thread that starts the attempt, then that of
/// the supervisor.
class masked_pipes {
public:
  static constexpr std::size_t count = 3;
  /// The name of the pipe in the attempt's directory that stands for its output.
  static constexpr const char* output_name = "output.pipe";

  /// Requires: `files` stay open and in place as long as this. Errors: `overloaded` (no
  /// descriptors), `storage_failed`, `out_of_space`.
  [[nodiscard]] static runtime::result<std::unique_ptr<masked_pipes>> open(
      const attempt_files& files, const std::vector<std::string>& secrets);

  /// What the command gets as its streams.
  [[nodiscard]] int writing_end(output_stream which) const {
    return writing_[static_cast<std::size_t>(which)].get();
  }
  void close_writing_ends();

  /// To be polled for reading, by position.
  [[nodiscard]] const unique_fd& reading_end(std::size_t at) const { return pipes_[at].from; }

  enum class flow : std::uint8_t { goes_on, ended, disk_full };
  /// Passes on what is there, up to what a pipe holds. `ended`: nobody writes to it any more.
  [[nodiscard]] flow pass_on(std::size_t at);

  /// Passes on everything. Call it once, when no process of the attempt is left.
  /// Errors: `out_of_space` when not all of it could be written; `failed_precondition` when the
  /// pipe of the output is not there any more; the text says what is in its place.
  [[nodiscard]] runtime::result<void> finish();

private:
  struct pipe {
    unique_fd from;
    int to = -1;  // the attempt's
    secret_mask mask;
    std::uint64_t left = 0;  // that may still be written
  };
  masked_pipes(int directory, std::vector<pipe> pipes, std::array<unique_fd, 2> writing)
      : directory_(directory), pipes_(std::move(pipes)), writing_(std::move(writing)) {}
  [[nodiscard]] static std::optional<std::string> take(pipe& one);
  [[nodiscard]] static bool write(pipe& to, std::string_view text);

  int directory_;
  std::vector<pipe> pipes_;  // by `output_stream`, then the output
  std::array<unique_fd, 2> writing_;
};

}  // namespace millrace::actors::process_detail
