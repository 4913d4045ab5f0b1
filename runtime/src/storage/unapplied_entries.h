// SPDX-License-Identifier: MIT
// Unapplied entries: what came from elsewhere and is not known to be committed, so that it need not
// be read from the journal again. It holds a run of numbers without gaps, or nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace millrace::runtime {

/// Pure. Threading: one thread at a time. Cost: O(1) an entry.
class unapplied_entries {
public:
  /// Whether the next one may be `seq + 1`.
  [[nodiscard]] bool ends_at(std::uint64_t seq) const noexcept {
    return entries_.empty() || last_ == seq;
  }
  /// Requires: ends_at(seq - 1).
  void push(std::uint64_t seq, std::string entry) {
    entries_.push_back(std::move(entry));
    last_ = seq;
  }
  /// The entry, and those before it go; nothing if it is not here.
  [[nodiscard]] std::optional<std::string> take(std::uint64_t seq) {
    while (!entries_.empty() && first() < seq) {
      entries_.pop_front();
    }
    if (entries_.empty() || first() != seq) {
      return std::nullopt;
    }
    auto entry = std::move(entries_.front());
    entries_.pop_front();
    return entry;
  }
  void cut_above(std::uint64_t seq) {
    while (!entries_.empty() && last_ > seq) {
      entries_.pop_back();
      --last_;
    }
  }
  void clear() noexcept { entries_.clear(); }

private:
  [[nodiscard]] std::uint64_t first() const noexcept { return last_ - entries_.size() + 1; }

  std::deque<std::string> entries_;
  std::uint64_t last_ = 0;  // of them
};

}  // namespace millrace::runtime
