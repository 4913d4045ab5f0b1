// SPDX-License-Identifier: MIT
// The definitions of examples/, which CMake writes into the program.
#pragma once

#include <span>
#include <string_view>

namespace millrace::gateway {

struct shipped_example {
  std::string_view file;  ///< `03-fan-out.yaml`, or what stands beside one: `35-batch.jsonl`.
  std::string_view text;
};

/// By their names.
[[nodiscard]] std::span<const shipped_example> shipped_examples();

}  // namespace millrace::gateway
