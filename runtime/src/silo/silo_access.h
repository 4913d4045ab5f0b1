// SPDX-License-Identifier: MIT
// Silo access: what is behind a `silo`, for the parts of the runtime and its tests that drive it.
#pragma once

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

struct silo_access {
  [[nodiscard]] static silo_core& core(silo& of) noexcept { return *of.parts_; }
};

}  // namespace millrace::runtime::detail
