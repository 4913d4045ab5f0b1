// SPDX-License-Identifier: MIT
// Group appender: gathers what the partitions of a silo want to have on the disk, and puts it there
// with one flush. It says *durable here*; what that means is the partition's business.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "partition/copy_state.h"
#include "storage/journal.h"

namespace millrace::runtime {

/// Threading: one thread at a time. Ownership: the journal outlives it.
class group_appender {
public:
  explicit group_appender(journal& entries) : journal_(entries), next_(entries.last() + 1) {}

  /// Where the next entry will lie.
  [[nodiscard]] std::uint64_t next_position() const noexcept { return next_ + ends_.size(); }

  /// The entries of the group; the next one is encoded at the end, and then ended.
  [[nodiscard]] std::string& bytes() noexcept { return bytes_; }
  void end_entry() { ends_.push_back(bytes_.size()); }
  [[nodiscard]] std::size_t entries() const noexcept { return ends_.size(); }

  /// The entry that will lie at `position`; empty when it is not of this group.
  [[nodiscard]] std::string_view find(std::uint64_t position) const noexcept {
    if (position < next_ || position >= next_position()) {
      return {};
    }
    const auto begin = position == next_ ? 0 : ends_[position - next_ - 1];
    return std::string_view{bytes_}.substr(begin, ends_[position - next_] - begin);
  }

  /// The state of a partition's copy goes along; the last one counts.
  void put_state(partition_id partition, const copy_state& state);

  /// An entry goes. Requires: it is in the journal, and named once.
  void erase(std::uint64_t position) { erased_.push_back(position); }

  /// The same for one that must not stay when the group is there: what comes in its place is.
  void erase_with_this(std::uint64_t position) { cut_.push_back(position); }

  /// Neither the state that waits, nor these erasures of `erase_with_this`, are wanted any more.
  void take_back(partition_id partition, const std::vector<std::uint64_t>& positions);

  /// States or erasures wait for a flush.
  [[nodiscard]] bool has_more() const noexcept {
    return !states_.empty() || !erased_.empty() || !cut_.empty();
  }
  [[nodiscard]] std::size_t erasures() const noexcept { return erased_.size(); }

  /// Writes it all; after a failure for want of room half as many erasures as then, since they need
  /// room themselves, and the others later. Errors: as `journal::write`; the entries are forgotten
  /// then, states and erasures wait for the next flush.
  result<void> flush();
  /// The same with every erasure that waits, whatever room they need.
  result<void> flush_whole() {
    erased_at_once_ = std::numeric_limits<std::size_t>::max();
    return flush();
  }

private:
  journal& journal_;
  std::uint64_t next_;
  std::string bytes_;
  std::vector<std::size_t> ends_;
  std::vector<std::string_view> views_;
  std::vector<std::uint64_t> erased_;
  std::vector<std::uint64_t> cut_;
  std::vector<std::uint64_t> going_;
  std::size_t erased_at_once_ = std::numeric_limits<std::size_t>::max();
  std::map<partition_id, std::string> states_;
  std::vector<journal_write::state> state_views_;
};

}  // namespace millrace::runtime
