// SPDX-License-Identifier: MIT
// Attempt command: what an attempt's specification means as a process of this machine.
#pragma once

#include <filesystem>

#include "millrace/actors/process.h"
#include "millrace/actors/secret_value.h"
#include "millrace/pipeline.capnp.h"

namespace millrace::actors {

/// The process of an attempt: its command in `workspace`, with the environment that it was given,
/// what cron gives of this silo's account where that says nothing, and the attempt's own variables.
[[nodiscard]] process_spec command_of(schemas::AttemptSpec::Reader attempt,
                                      const std::filesystem::path& workspace);

/// Looks up the secrets of an attempt and puts their values into the environment of its process, in
/// place of what was there, and into what is masked. Errors: those of `value_of`.
[[nodiscard]] runtime::result<void> add_secrets(schemas::AttemptSpec::Reader attempt,
                                                const secret_places& places, process_spec& into);

}  // namespace millrace::actors
