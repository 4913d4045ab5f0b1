// SPDX-License-Identifier: MIT
// What an executor of this machine offers to tasks beside slots.
#pragma once

#include <filesystem>

#include "millrace/actors/resources.h"

namespace millrace::actors {

/// `cpu` and `memory` of the machine, or of the cgroup that bounds this process, and `given` over
/// them: an amount of 0 takes one away. `root`: where `proc` and `sys` are.
[[nodiscard]] resource_amounts offered_resources(const resource_amounts& given,
                                                 const std::filesystem::path& root = "/");

}  // namespace millrace::actors
