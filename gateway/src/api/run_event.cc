// SPDX-License-Identifier: MIT
#include "api/run_event.h"

#include <nlohmann/json.hpp>

#include "millrace/runtime/json.h"

namespace millrace::gateway {

std::string event_json(schemas::RunEvent::Reader event) {
  auto whole = nlohmann::ordered_json::parse(runtime::to_json_text(event));
  const auto of_task = event.getName().size() > 0;
  const auto keep = [&](const char* key, bool wanted) {
    if (!wanted) {
      whole.erase(key);
    }
  };
  keep("task", of_task);
  keep("state", of_task);
  keep("attempt", of_task && event.getAttempt() > 0);
  keep("exit_code", of_task && event.getExitCode() >= 0);
  keep("label", of_task && event.getLabel().size() > 0);
  keep("reason", event.getReason().size() > 0);
  return whole.dump();
}

json_shape event_shape() {
  return shape::named("ShownRunEvent", shape::with_optional(shape::of<schemas::RunEvent>(),
                                                            {"task", "state", "attempt",
                                                             "exit_code", "label", "reason"}));
}

}  // namespace millrace::gateway
