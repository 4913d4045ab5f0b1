// SPDX-License-Identifier: MIT
// Which readers of compiled definitions run one as it says.
#pragma once

#include <cstdint>

#include "millrace/actors/definition.h"

namespace millrace::actors {

/// The oldest format whose readers run the definition as it says: a silo of an earlier version
/// would pass over what it does not know. 1 to `compiled_format`.
[[nodiscard]] std::uint32_t format_of(const pipeline_definition& definition);

}  // namespace millrace::actors
