// SPDX-License-Identifier: MIT
#include "http/memory_budget.h"

namespace millrace::gateway::http {
namespace {

constexpr std::size_t clients_share = 4;

}  // namespace

bool memory_budget::fits(const std::string& who, std::size_t bytes) {
  const std::lock_guard lock{mutex_};
  return has_room(who, 0, bytes);
}

bool memory_budget::take(const std::string& who, std::size_t own, std::size_t more) {
  const std::lock_guard lock{mutex_};
  if (!has_room(who, own, more)) {
    return false;
  }
  taken_ += more;
  of_[who] += more;
  return true;
}

bool memory_budget::take_of_all(const std::string& who, std::size_t more) {
  const std::lock_guard lock{mutex_};
  if (taken_ + more > most_ / 2) {
    return false;
  }
  taken_ += more;
  of_[who] += more;
  return true;
}

void memory_budget::give_back(const std::string& who, std::size_t bytes) {
  const std::lock_guard lock{mutex_};
  taken_ -= bytes;
  const auto found = of_.find(who);
  found->second -= bytes;
  if (found->second == 0) {
    of_.erase(found);
  }
}

bool memory_budget::is_short(const std::string& who) {
  const std::lock_guard lock{mutex_};
  return taken_ > most_ / 2 || taken_by(who) > most_ / clients_share / 2;
}

std::size_t memory_budget::taken() {
  const std::lock_guard lock{mutex_};
  return taken_;
}

bool memory_budget::has_room(const std::string& who, std::size_t own, std::size_t more) const {
  const auto has = taken_by(who);
  return taken_ + more <= most_ && (has == own || has + more <= most_ / clients_share);
}

std::size_t memory_budget::taken_by(const std::string& who) const {
  const auto found = of_.find(who);
  return found != of_.end() ? found->second : 0;
}

}  // namespace millrace::gateway::http
