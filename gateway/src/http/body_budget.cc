// SPDX-License-Identifier: MIT
#include "http/body_budget.h"

namespace millrace::gateway::http {
namespace {

constexpr std::size_t senders_share = 4;

}  // namespace

bool body_budget::fits(const std::string& who, std::size_t bytes) {
  const std::lock_guard lock{mutex_};
  return has_room(who, 0, bytes);
}

bool body_budget::take(const std::string& who, std::size_t own, std::size_t more) {
  const std::lock_guard lock{mutex_};
  if (!has_room(who, own, more)) {
    return false;
  }
  taken_ += more;
  of_[who] += more;
  return true;
}

void body_budget::give_back(const std::string& who, std::size_t bytes) {
  const std::lock_guard lock{mutex_};
  taken_ -= bytes;
  const auto found = of_.find(who);
  found->second -= bytes;
  if (found->second == 0) {
    of_.erase(found);
  }
}

std::size_t body_budget::taken() {
  const std::lock_guard lock{mutex_};
  return taken_;
}

bool body_budget::has_room(const std::string& who, std::size_t own, std::size_t more) const {
  const auto found = of_.find(who);
  const auto has = found != of_.end() ? found->second : 0;
  return taken_ + more <= most_ && (has == own || has + more <= most_ / senders_share);
}

}  // namespace millrace::gateway::http
