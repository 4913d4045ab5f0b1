// SPDX-License-Identifier: MIT
// Secret value: what a secret of a task is, on the machine where its command starts.
//
// Everywhere else a secret is a name: in definitions, runs, tasks, attempts and on links. Its value
// is looked up when the command is about to start, is put into its environment, and is known then
// to the command and to what masks its output. Nothing of ours writes it to a disk or a log.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/actors/secret_keyring.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// A shorter one, or a shorter line of one, could not be masked without masking half the output.
inline constexpr std::size_t secret_bytes_min = 4;

/// With its name it fits one environment string of Linux, and a mask of its lines stays small.
inline constexpr std::size_t secret_bytes_max = 65'536;

/// What the names of variables begin with that `from: env` may read.
inline constexpr std::string_view secret_variable_prefix = "MILLRACE_SECRET_";

/// Whether it names something below a directory: 1 to 255 bytes, parts with single slashes between,
/// none of them `.` or `..`.
[[nodiscard]] bool is_secret_path(std::string_view key);

/// Where an executor finds the values of secrets.
struct secret_places {
  /// Of `from: file`; empty: there is none. Links in it are followed as long as they stay inside.
  std::filesystem::path directory = {};
  /// Of `from: project`; null: there are none.
  std::shared_ptr<const secret_keyring> keys = {};
};

/// The value of a secret. Of a file it is what stands in it, without one line end at the end.
/// Errors: `failed_precondition`, saying which secret, what is missing and the remedy, never the
/// value. Cost: reads a file, or deciphers.
[[nodiscard]] runtime::result<std::string> value_of(schemas::AttemptSecret::Reader secret,
                                                    const secret_places& places);

/// Whether it can be a secret's value, and something of it be masked. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<void> check_secret_value(std::string_view value);

}  // namespace millrace::actors
