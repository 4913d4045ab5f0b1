// SPDX-License-Identifier: MIT
#include <atomic>
#include <map>

#include "storage/journal.h"

namespace millrace::runtime {
namespace {

class memory_journal final : public journal {
public:
  [[nodiscard]] std::uint64_t last() const noexcept override { return last_; }

  result<void> write(const journal_write& changes) override {
    for (const auto position : changes.erased) {
      const auto found = entries_.find(position);
      MILLRACE_ASSERT(found != entries_.end());
      bytes_ -= found->second.size();
      entries_.erase(found);
    }
    for (const auto entry : changes.entries) {
      entries_.emplace_hint(entries_.end(), ++last_, entry);
      bytes_ += entry.size();
    }
    for (const auto& each : changes.states) {
      states_[each.partition] = each.bytes;
    }
    return {};
  }

  result<void> scan(
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const override {
    for (const auto& [position, entry] : entries_) {
      if (auto visited = visit(position, entry); !visited) {
        return visited;
      }
    }
    return {};
  }

  result<void> read(std::uint64_t position,
                    const std::function<result<void>(std::string_view)>& visit) const override {
    const auto found = entries_.find(position);
    if (found == entries_.end()) {
      return error{errc::storage_failed, "the journal has no entry " + std::to_string(position)};
    }
    return visit(found->second);
  }

  result<void> scan_states(
      const std::function<result<void>(partition_id, std::string_view)>& visit) const override {
    for (const auto& [partition, bytes] : states_) {
      if (auto visited = visit(partition, bytes); !visited) {
        return visited;
      }
    }
    return {};
  }

  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return bytes_.load(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override { return bytes_; }
  [[nodiscard]] std::uint64_t bytes_available() const noexcept override { return UINT64_MAX; }

private:
  std::map<std::uint64_t, std::string> entries_;
  std::map<partition_id, std::string> states_;
  std::uint64_t last_ = 0;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

std::unique_ptr<journal> make_memory_journal() {
  return std::make_unique<memory_journal>();
}

}  // namespace millrace::runtime
