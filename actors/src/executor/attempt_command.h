// SPDX-License-Identifier: MIT
// Attempt command: what an attempt's specification means as a process of this machine.
#pragma once

#include <filesystem>

#include "millrace/actors/process.h"
#include "millrace/actors/secret_value.h"
#include "millrace/pipeline.capnp.h"

namespace millrace::actors {

/// The secrets of one task: they stand in the environment of its command, of which Linux takes
/// 2 MiB, and a mask of short ones has 200 bytes of memory a byte.
inline constexpr std::size_t task_secrets_bytes_max = std::size_t{512} << 10U;

/// The process of an attempt: its command in `workspace`, with the environment that it was given,
/// what cron gives of this silo's account where that says nothing, and the attempt's own variables.
[[nodiscard]] process_spec command_of(schemas::AttemptSpec::Reader attempt,
                                      const std::filesystem::path& workspace);

/// Looks up the secrets of an attempt and puts their values into the environment of its process, in
/// place of what was there, and into what is masked. Errors: those of `value_of`;
/// `failed_precondition` for more than `task_secrets_bytes_max`.
[[nodiscard]] runtime::result<void> add_secrets(schemas::AttemptSpec::Reader attempt,
                                                const secret_places& places, process_spec& into);

}  // namespace millrace::actors
