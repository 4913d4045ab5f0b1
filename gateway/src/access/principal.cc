// SPDX-License-Identifier: MIT
#include "access/principal.h"

#include <algorithm>

namespace millrace::gateway {

std::string_view to_string(role which) noexcept {
  switch (which) {
    case role::READ:
      return "read";
    case role::RUN:
      return "run";
    case role::ADMIN:
      return "admin";
    case role::NONE:
      break;
  }
  return "none";
}

role principal::role_in(std::string_view project) const noexcept {
  auto most = role::NONE;
  for (const auto& each : grants) {
    if (each.project == project || each.project == all_projects) {
      most = std::max(most, each.role);
    }
  }
  return most;
}

role principal::role_somewhere() const noexcept {
  auto most = role::NONE;
  for (const auto& each : grants) {
    if (each.project != metrics_alone) {
      most = std::max(most, each.role);
    }
  }
  return most;
}

}  // namespace millrace::gateway
