// SPDX-License-Identifier: MIT
// Artifacts: files that a task leaves for others, and how they are named by what is in them.
//
// An artifact is its list: a line `DIGEST SIZE x PATH` for each of its files, in order of the
// paths, with `-` in place of `x` where the owner may not run it. The digest of the list names the
// whole, so two artifacts with one digest are the same, wherever and by whatever they were made.
// Digests are SHA-256 in lower-case hex.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The most artifacts of a task, and the most patterns of one.
inline constexpr std::size_t task_artifacts_max = 64;

/// The most files of an artifact: its list has some 2 MiB then.
inline constexpr std::size_t artifact_files_max = 10'000;

/// The longest path of a file, and the longest pattern.
inline constexpr std::size_t artifact_path_bytes_max = 1'024;

/// The longest list.
inline constexpr std::size_t artifact_list_bytes_max =
    artifact_files_max * (artifact_path_bytes_max + 100);

/// The most files that an attempt takes of all that it needs: they stand in memory meanwhile, with
/// some hundred bytes each.
inline constexpr std::size_t taken_files_max = 200'000;

/// What all files of an artifact may have together, unless it says otherwise.
inline constexpr std::uint64_t artifact_size_default = std::uint64_t{1} << 30U;

/// One file of an artifact.
struct artifact_file {
  std::string path;  ///< Below the workspace: names divided by `/`, none of them `.` or `..`.
  std::uint64_t size = 0;
  bool executable = false;
  std::string digest;

  friend bool operator==(const artifact_file&, const artifact_file&) = default;
};

/// The list as text. Requires: the files are in order of their paths.
[[nodiscard]] std::string to_text(const std::vector<artifact_file>& files);

/// Reads a list. Errors: `invalid_argument` for what `to_text` does not write.
[[nodiscard]] runtime::result<std::vector<artifact_file>> parse_artifact_list(
    std::string_view text);

/// Why a file cannot be of an artifact by its path, as `has a control character in it`; empty: it
/// can.
[[nodiscard]] std::string refusal_of_artifact_path(std::string_view path);

/// The same of a pattern, see path_pattern.h.
[[nodiscard]] std::string refusal_of_path_pattern(std::string_view pattern);

/// Whether it is 64 digits of lower-case hex.
[[nodiscard]] bool is_digest(std::string_view text) noexcept;

/// The digest of what comes piece by piece. Threading: one thread at a time.
class digest_of_stream {
public:
  digest_of_stream();
  digest_of_stream(digest_of_stream&&) noexcept;
  digest_of_stream& operator=(digest_of_stream&&) noexcept;
  digest_of_stream(const digest_of_stream&) = delete;
  digest_of_stream& operator=(const digest_of_stream&) = delete;
  ~digest_of_stream();

  void add(std::string_view bytes);
  /// Of all that was added. Call it once.
  [[nodiscard]] std::string hex() &&;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace::actors
