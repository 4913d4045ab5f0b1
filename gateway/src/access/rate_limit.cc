// SPDX-License-Identifier: MIT
#include "access/rate_limit.h"

#include <algorithm>

namespace millrace::gateway {

namespace {

// Between two looks at all names.
constexpr runtime::duration forget_every = std::chrono::seconds{1};

}  // namespace

runtime::steady_time& rate_limit::due_of(std::string_view name, runtime::steady_time now) {
  if (const auto found = due_.find(name); found != due_.end()) {
    return found->second;
  }
  if (due_.size() >= names_max && now - forgotten_at_ >= forget_every) {
    forgotten_at_ = now;
    std::erase_if(due_, [now](const auto& each) { return each.second <= now; });
  }
  const auto is_known = due_.size() < names_max;
  return due_.try_emplace(is_known ? std::string{name} : std::string{}, now).first->second;
}

std::optional<runtime::duration> rate_limit::take(std::string_view name, runtime::steady_time now) {
  auto& due = due_of(name, now);
  const auto ahead = std::max(due, now) - now;
  if (ahead > ahead_max_) {
    return ahead - ahead_max_;
  }
  due = now + ahead + interval_;
  return std::nullopt;
}

void rate_limit::give_back(std::string_view name) {
  if (const auto found = due_.find(name); found != due_.end()) {
    found->second -= interval_;
  }
}

}  // namespace millrace::gateway
