// SPDX-License-Identifier: MIT
#include "http/newcomers.h"

namespace millrace::gateway::http {

void newcomers::enter(connection& one, const std::string& group) {
  const auto into = groups_.try_emplace(group).first;
  into->second.push_back(&one);
  places_.emplace(&one, place{into, std::prev(into->second.end())});
  resize(into, into->second.size() - 1);
}

void newcomers::leave(const connection& one) {
  const auto found = places_.find(&one);
  if (found == places_.end()) {
    return;
  }
  const auto [group, at] = found->second;
  places_.erase(found);
  group->second.erase(at);
  resize(group, group->second.size() + 1);
  if (group->second.empty()) {
    groups_.erase(group);
  }
}

connection* newcomers::next() const {
  return by_size_.empty() ? nullptr : groups_.at(by_size_.rbegin()->second).front();
}

void newcomers::pass(connection& one) {
  const auto [group, at] = places_.at(&one);
  group->second.splice(group->second.end(), group->second, at);
}

void newcomers::resize(groups::iterator group, std::size_t before) {
  by_size_.erase({before, group->first});
  if (!group->second.empty()) {
    by_size_.emplace(group->second.size(), group->first);
  }
}

}  // namespace millrace::gateway::http
