// SPDX-License-Identifier: MIT
#include "http/handshake_limit.h"

#include <algorithm>

#include "millrace/runtime/assert.h"

namespace millrace::gateway::http {

handshake_limit::handshake_limit(std::size_t pending_max, unsigned at_once_max,
                                 unsigned a_second_max)
    : pending_max_(pending_max),
      begun_(runtime::duration{std::chrono::seconds{1}} / std::max(a_second_max, 1U),
             std::max(at_once_max, 1U)) {}

bool handshake_limit::enter(const std::string& group, runtime::steady_time now) {
  const std::lock_guard lock{mutex_};
  const auto found = pending_.find(group);
  if ((found != pending_.end() && found->second >= pending_max_) || begun_.take(group, now)) {
    return false;
  }
  ++pending_[group];
  return true;
}

void handshake_limit::leave(const std::string& group) {
  const std::lock_guard lock{mutex_};
  const auto found = pending_.find(group);
  MILLRACE_ASSERT(found != pending_.end());
  if (--found->second == 0) {
    pending_.erase(found);
  }
}

void handshake_limit::know(const std::string& group) {
  const std::lock_guard lock{mutex_};
  begun_.give_back(group);
}

}  // namespace millrace::gateway::http
