// SPDX-License-Identifier: MIT
// Every key of the format, once.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace millrace::actors {

/// What to say about a word that other systems use; an empty hint means: planned, not here yet.
struct foreign_key {
  std::string_view word;
  std::string_view hint;
};

/// The keys of one kind of map.
struct key_table {
  std::string_view owner;  ///< As in "unknown key `x` in a task".
  std::span<const std::string_view> keys;
  std::span<const foreign_key> foreign;
  bool extensions = false;  ///< Keys that start with `x-` are allowed, and ignored.
};

[[nodiscard]] const key_table& pipeline_keys();
[[nodiscard]] const key_table& defaults_keys();
[[nodiscard]] const key_table& param_keys();
[[nodiscard]] const key_table& task_keys();
[[nodiscard]] const key_table& hook_body_keys();
[[nodiscard]] const key_table& need_keys();
[[nodiscard]] const key_table& artifact_keys();
[[nodiscard]] const key_table& cache_keys();
[[nodiscard]] const key_table& limits_keys();
[[nodiscard]] const key_table& retry_keys();
[[nodiscard]] const key_table& output_keys();
[[nodiscard]] const key_table& retention_keys();
[[nodiscard]] const key_table& schedule_keys();
[[nodiscard]] const key_table& concurrency_keys();
[[nodiscard]] const key_table& trigger_keys();
[[nodiscard]] const key_table& signature_keys();
[[nodiscard]] const key_table& callback_keys();
[[nodiscard]] const key_table& revert_keys();
[[nodiscard]] const key_table& secret_keys();
[[nodiscard]] const key_table& synchronization_keys();
[[nodiscard]] const key_table& semaphore_keys();

/// The keys of a matrix that are no axes.
inline constexpr std::array<std::string_view, 2> matrix_reserved{"include", "exclude"};

}  // namespace millrace::actors
