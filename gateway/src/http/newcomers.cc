// SPDX-License-Identifier: MIT
#include "http/newcomers.h"

namespace millrace::gateway::http {

void newcomers::enter(connection& one, const std::string& group) {
  auto& into = *groups_.try_emplace(group).first;
  unrank(into.second);
  into.second.push_back({&one, ++entered_});
  places_.emplace(&one, place{&into, std::prev(into.second.end())});
  rank(into.second);
}

void newcomers::leave(const connection& one) {
  const auto found = places_.find(&one);
  if (found == places_.end()) {
    return;
  }
  const auto [group, at] = found->second;
  places_.erase(found);
  unrank(group->second);
  group->second.erase(at);
  if (group->second.empty()) {
    groups_.erase(groups_.find(group->first));
  } else {
    rank(group->second);
  }
}

void newcomers::rank(const members& group) {
  order_.emplace(rank_of(group), &group);
}

void newcomers::unrank(const members& group) {
  if (!group.empty()) {
    order_.erase(rank_of(group));
  }
}

}  // namespace millrace::gateway::http
