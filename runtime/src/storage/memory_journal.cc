// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <deque>

#include "storage/journal.h"

namespace millrace::runtime {
namespace {

class memory_journal final : public journal {
public:
  [[nodiscard]] std::uint64_t first() const noexcept override {
    return last_ + 1 - entries_.size();
  }
  [[nodiscard]] std::uint64_t last() const noexcept override { return last_; }

  result<void> append(std::span<const std::string_view> entries,
                      const journal_trim& trim) override {
    const auto end = std::min<std::uint64_t>(trim.before, last_);
    for (std::size_t count = 0; first() < end && count < trim.entries_max; ++count) {
      bytes_ -= entries_.front().size();
      entries_.pop_front();
    }
    for (const auto entry : entries) {
      entries_.emplace_back(entry);
      bytes_ += entry.size();
      ++last_;
    }
    return {};
  }

  result<void> scan(
      std::uint64_t from,
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const override {
    for (auto position = std::max(from, first()); position <= last_; ++position) {
      if (auto visited = visit(position, entries_[position - first()]); !visited) {
        return visited;
      }
    }
    return {};
  }

  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return bytes_.load(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override { return bytes_; }
  [[nodiscard]] std::uint64_t bytes_available() const noexcept override { return UINT64_MAX; }

private:
  std::deque<std::string> entries_;
  std::uint64_t last_ = 0;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

std::unique_ptr<journal> make_memory_journal() {
  return std::make_unique<memory_journal>();
}

}  // namespace millrace::runtime
