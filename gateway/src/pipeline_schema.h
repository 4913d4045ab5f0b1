// SPDX-License-Identifier: MIT
// docs/reference/pipeline.schema.json, which CMake writes into the program.
#pragma once

#include <string_view>

namespace millrace::gateway {

/// The JSON Schema of definitions.
[[nodiscard]] std::string_view pipeline_schema();

}  // namespace millrace::gateway
