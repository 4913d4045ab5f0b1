// SPDX-License-Identifier: MIT
// Writes the generated header of one schema file.
#pragma once

#include <string>
#include <vector>

#include "compiler/actor_schema.h"

namespace millrace::schemas::compiler {

/// The text of `<schema_file>.actor.h`.
[[nodiscard]] std::string actor_header(const std::string& schema_file,
                                       const std::vector<actor_interface>& interfaces);

}  // namespace millrace::schemas::compiler
