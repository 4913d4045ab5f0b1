// SPDX-License-Identifier: MIT
// The figures of a silo as the API shows them.
#pragma once

#include <nlohmann/json.hpp>

#include "api/json_shape.h"
#include "millrace/runtime/metrics.h"

namespace millrace::gateway {

/// Times in milliseconds; the counts of a histogram by the bounds in `bounds_ms`, the last one of
/// what is longer.
[[nodiscard]] nlohmann::ordered_json json_of(const runtime::silo_metrics& figures);
[[nodiscard]] json_shape silo_metrics_shape();

}  // namespace millrace::gateway
