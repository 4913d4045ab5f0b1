// SPDX-License-Identifier: MIT
// An event of a run as clients see it.
#pragma once

#include <string>

#include "api/json_shape.h"
#include "millrace/pipeline.capnp.h"

namespace millrace::gateway {

/// JSON with the keys that mean something: those of a task instance only when the event is of one,
/// and of them no attempt, exit code, label or reason that there is not.
[[nodiscard]] std::string event_json(schemas::RunEvent::Reader event);
[[nodiscard]] json_shape event_shape();

}  // namespace millrace::gateway
