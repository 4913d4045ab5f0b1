// SPDX-License-Identifier: MIT
#include "chaos/linearizability.h"

#include <algorithm>
#include <map>
#include <unordered_set>

namespace chaos {

namespace {

// Drops what has made no difference, and gives an end to what has been seen.
void settle(const model& of, std::vector<operation>& operations) {
  std::map<std::string, std::size_t> seen;  // the first end of one that has seen it
  const auto look = [&](const operation& one, std::size_t end) {
    for (const auto& thing : of.sees(one)) {
      const auto at = seen.emplace(thing, end).first;
      at->second = std::min(at->second, end);
    }
  };
  for (const auto& one : operations) {
    if (one.is_known()) {
      look(one, one.end);
    }
  }
  // What has been seen has seen other things itself.
  std::vector<bool> settled(operations.size());
  for (bool is_new = true; is_new;) {
    is_new = false;
    for (std::size_t at = 0; at < operations.size(); ++at) {
      const auto& one = operations[at];
      const auto found = one.is_known() || settled[at] ? seen.end() : seen.find(of.leaves(one));
      if (found != seen.end()) {
        settled[at] = is_new = true;
        look(one, found->second);
      }
    }
  }
  std::vector<operation> kept;
  for (auto& one : operations) {
    const auto thing = one.is_known() ? std::string{} : of.leaves(one);
    const auto found = thing.empty() ? seen.end() : seen.find(thing);
    if (!one.is_known() && (of.only_reads(one) || (!thing.empty() && found == seen.end()))) {
      continue;
    }
    if (found != seen.end() && found->second > one.begin) {  // else the search finds that mistake
      one.end = found->second;
    }
    kept.push_back(std::move(one));
  }
  operations = std::move(kept);
}

// Begins and ends of operations, in the order of time, as a list from which those that have
// happened are taken out.
class entries {
public:
  explicit entries(const std::vector<operation>& operations) {
    struct edge {
      std::size_t place;
      bool is_end;
      std::size_t operation;
    };
    std::vector<edge> edges;
    for (std::size_t at = 0; at < operations.size(); ++at) {
      edges.push_back({operations[at].begin, false, at});
      if (operations[at].is_known()) {
        edges.push_back({operations[at].end, true, at});
      }
    }
    // Ends that were settled share their place with another's: those come after all begins there.
    std::sort(edges.begin(), edges.end(), [](const edge& one, const edge& other) {
      return std::tuple{one.place, one.is_end} < std::tuple{other.place, other.is_end};
    });
    nodes_.resize(edges.size() + 1);
    begin_of_.resize(operations.size());
    end_of_.resize(operations.size());
    for (std::size_t at = 0; at < edges.size(); ++at) {
      auto& made = nodes_[at + 1];
      made = {at, at + 2 > edges.size() ? 0 : at + 2, edges[at].operation, edges[at].is_end};
      (edges[at].is_end ? end_of_ : begin_of_)[edges[at].operation] = at + 1;
    }
    nodes_[0] = {edges.size(), edges.empty() ? 0U : 1U, 0, false};
  }

  // Places of the list; 0 is behind the last.
  [[nodiscard]] std::size_t first() const { return nodes_[0].next; }
  [[nodiscard]] std::size_t next(std::size_t at) const { return nodes_[at].next; }
  [[nodiscard]] bool is_end(std::size_t at) const { return nodes_[at].is_end; }
  [[nodiscard]] std::size_t operation_at(std::size_t at) const { return nodes_[at].operation; }
  [[nodiscard]] std::size_t begin_of(std::size_t operation) const { return begin_of_[operation]; }

  void take_out(std::size_t operation) {
    unlink(begin_of_[operation]);
    unlink(end_of_[operation]);
  }
  void put_back(std::size_t operation) {
    link(end_of_[operation]);
    link(begin_of_[operation]);
  }

private:
  struct node {
    std::size_t previous;
    std::size_t next;
    std::size_t operation;
    bool is_end;
  };
  void unlink(std::size_t at) {
    if (at != 0) {
      nodes_[nodes_[at].previous].next = nodes_[at].next;
      nodes_[nodes_[at].next].previous = nodes_[at].previous;
    }
  }
  void link(std::size_t at) {
    if (at != 0) {
      nodes_[nodes_[at].previous].next = at;
      nodes_[nodes_[at].next].previous = at;
    }
  }

  std::vector<node> nodes_;
  std::vector<std::size_t> begin_of_;
  std::vector<std::size_t> end_of_;  // 0: none
};

// The operations that have happened and the state that they led to, as one text.
std::string name_of(const std::vector<std::uint64_t>& happened, const std::string& state) {
  std::string name{reinterpret_cast<const char*>(happened.data()), happened.size() * 8};
  name += state;
  return name;
}

std::string text_of(const operation& one) {
  return one.f + " " + one.key + " " + one.asked.dump() +
         (one.is_known() ? " -> " + one.answered.dump() : " -> ?") + " (lines " +
         std::to_string(one.begin + 1) + " to " +
         (one.is_known() ? std::to_string(one.end + 1) : std::string{"-"}) + ")";
}

class searcher {
public:
  searcher(const model& of, const std::vector<operation>& operations, const search_limits& limits)
      : model_(of),
        operations_(operations),
        limits_(limits),
        list_(operations),
        happened_((operations.size() + 63) / 64),
        state_(of.initial()),
        left_(static_cast<std::size_t>(
            std::count_if(operations.begin(), operations.end(),
                          [](const auto& one) { return one.is_known(); }))) {}

  finding run() {
    auto at = list_.first();
    while (left_ > 0) {
      if (found_.steps > limits_.steps_max || bytes_ > limits_.bytes_max) {
        found_.is = verdict::undecided;
        found_.why = "the search has reached its bound";
        return found_;
      }
      if (at != 0 && !list_.is_end(at)) {
        at = take(list_.operation_at(at)) ? list_.first() : list_.next(at);
        continue;
      }
      // One has to have happened that cannot: go back.
      if (path_.empty()) {
        found_.is = verdict::violated;
        found_.why = tale_;
        return found_;
      }
      if (at != 0) {
        remember(list_.operation_at(at));
      }
      at = list_.next(undo());
    }
    return found_;
  }

private:
  struct taken {
    std::size_t operation;
    std::string state_before;
  };

  bool take(std::size_t operation) {
    ++found_.steps;
    auto next = model_.step(state_, operations_[operation]);
    if (!next) {
      return false;
    }
    happened_[operation / 64] |= std::uint64_t{1} << (operation % 64);
    auto name = name_of(happened_, *next);
    const auto size = name.size() + 64;
    if (!seen_.insert(std::move(name)).second) {
      happened_[operation / 64] &= ~(std::uint64_t{1} << (operation % 64));
      return false;
    }
    bytes_ += size;
    list_.take_out(operation);
    path_.push_back({operation, std::move(state_)});
    state_ = *std::move(next);
    left_ -= operations_[operation].is_known() ? 1 : 0;
    return true;
  }

  // Takes the last one back; its place in the list.
  std::size_t undo() {
    const auto operation = path_.back().operation;
    state_ = std::move(path_.back().state_before);
    path_.pop_back();
    happened_[operation / 64] &= ~(std::uint64_t{1} << (operation % 64));
    list_.put_back(operation);
    left_ += operations_[operation].is_known() ? 1 : 0;
    return list_.begin_of(operation);
  }

  // The longest way that it went is what a person looks at.
  void remember(std::size_t stuck) {
    if (path_.size() < longest_) {
      return;
    }
    longest_ = path_.size();
    constexpr std::size_t shown = 6;
    tale_ = "after " + std::to_string(path_.size()) + " operations, the last of them:\n";
    for (auto at = path_.size() - std::min(path_.size(), shown); at < path_.size(); ++at) {
      tale_ += "  " + text_of(operations_[path_[at].operation]) + "\n";
    }
    tale_ += "this cannot be: " + text_of(operations_[stuck]);
    tale_ += "\nstate: " + state_.substr(0, 400);
  }

  const model& model_;
  const std::vector<operation>& operations_;
  const search_limits limits_;
  entries list_;
  std::vector<std::uint64_t> happened_;
  std::string state_;
  std::size_t left_;  // of those that have to happen
  std::vector<taken> path_;
  std::unordered_set<std::string> seen_;
  std::size_t bytes_ = 0;
  std::size_t longest_ = 0;
  std::string tale_ = "nothing could be first";
  finding found_;
};

}  // namespace

finding search(const model& of, std::vector<operation> operations, const search_limits& limits) {
  settle(of, operations);
  return searcher{of, operations, limits}.run();
}

}  // namespace chaos
