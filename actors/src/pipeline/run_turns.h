// SPDX-License-Identifier: MIT
// Run turns: which runs of a pipeline go on, and which wait for their turn.
//
// A pure core. Runs are in groups, and of a group at most a limit goes on at a time. Those that
// wait begin in the order of their submission. It is the memory of one activation: the pipeline's
// records say the same.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::actors {

/// Threading: none of its own. Cost: O(log n) an event, plus what it answers.
class run_turns {
public:
  /// A run that goes on, or waits. Known again: it is put where it says now.
  void add(const std::string& run, std::string_view group, std::int64_t created_at, bool waits) {
    remove(run);
    const auto& made = runs_.emplace(run, place{std::string{group}, created_at, waits}).first;
    auto& in = groups_[made->second.group];
    (waits ? in.waiting : in.begun).insert({created_at, run});
    waiting_ += waits ? 1 : 0;
  }

  /// It has ended, or is gone. No effect for an unknown one.
  void remove(const std::string& run) {
    const auto found = runs_.find(run);
    if (found == runs_.end()) {
      return;
    }
    const auto& [group, created_at, waits] = found->second;
    const auto in = groups_.find(group);
    (waits ? in->second.waiting : in->second.begun).erase({created_at, run});
    waiting_ -= waits ? 1 : 0;
    if (in->second.waiting.empty() && in->second.begun.empty()) {
      groups_.erase(in);
    }
    runs_.erase(found);
  }

  /// Whether one more of the group has to wait: so many go on, or another one waits already.
  [[nodiscard]] bool has_to_wait(std::string_view group, std::uint32_t limit) const {
    const auto in = groups_.find(group);
    return in != groups_.end() && (in->second.begun.size() >= limit || !in->second.waiting.empty());
  }

  /// Those of a group that go on or wait.
  [[nodiscard]] std::size_t count(std::string_view group) const {
    const auto in = groups_.find(group);
    return in == groups_.end() ? 0 : in->second.begun.size() + in->second.waiting.size();
  }

  /// Lets at most `most` of those that wait begin, the longest waiting of each group first, and
  /// answers them. Without a limit all may.
  [[nodiscard]] std::vector<std::string> take(std::optional<std::uint32_t> limit,
                                              std::size_t most) {
    std::vector<std::string> begun;
    for (auto& [group, in] : groups_) {
      while (begun.size() < most && !in.waiting.empty() && (!limit || in.begun.size() < *limit)) {
        const auto first = in.begun.insert(in.waiting.extract(in.waiting.begin())).position;
        runs_.at(first->second).waits = false;
        --waiting_;
        begun.push_back(first->second);
      }
    }
    return begun;
  }

  /// The runs of a group that one more pushes out where only `limit` may be left: the oldest.
  [[nodiscard]] std::vector<std::string> pushed_out(std::string_view group,
                                                    std::uint32_t limit) const {
    std::vector<std::string> oldest;
    if (const auto in = groups_.find(group); in != groups_.end()) {
      std::vector<turn> all(in->second.begun.begin(), in->second.begun.end());
      all.insert(all.end(), in->second.waiting.begin(), in->second.waiting.end());
      std::sort(all.begin(), all.end());
      for (std::size_t at = 0; at + limit < all.size() + 1; ++at) {
        oldest.push_back(std::move(all[at].second));
      }
    }
    return oldest;
  }

  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

private:
  using turn = std::pair<std::int64_t, std::string>;  // by its submission
  struct group_of_runs {
    std::set<turn> begun{};
    std::set<turn> waiting{};
  };
  struct place {
    std::string group;
    std::int64_t created_at = 0;
    bool waits = false;
  };
  std::map<std::string, group_of_runs, std::less<>> groups_;
  std::map<std::string, place> runs_;
  std::size_t waiting_ = 0;
};

}  // namespace millrace::actors
