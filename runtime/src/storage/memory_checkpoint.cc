// SPDX-License-Identifier: MIT
#include <xxhash.h>

#include <atomic>
#include <map>
#include <shared_mutex>
#include <string>
#include <utility>

#include "storage/checkpoint.h"

namespace millrace::runtime {
namespace {

// The rows, shared with the snapshots: one in use keeps writers out.
struct memory_rows {
  std::shared_mutex mutex;
  std::map<std::pair<partition_id, std::string>, std::string> rows;
};

class memory_snapshot final : public checkpoint_snapshot {
public:
  explicit memory_snapshot(memory_rows& rows) : rows_(rows), lock_(rows.mutex, std::defer_lock) {}

  result<void> renew() override {
    lock_.lock();
    return {};
  }
  void release() override { lock_.unlock(); }

  result<void> scan(partition_id partition, std::span<const key_range> ranges,
                    const row_visit& visit) override {
    for (const auto& range : ranges) {
      auto each =
          rows_.rows.lower_bound({partition, std::string{range.base}.append(range.first())});
      for (; each != rows_.rows.end(); ++each) {
        if (each->first.first != partition || !range.reaches(each->first.second) ||
            !visit(range, each->first.second, each->second)) {
          break;
        }
      }
    }
    return {};
  }

  result<void> scan_keys(partition_id partition,
                         const std::function<bool(std::string_view)>& visit) override {
    const std::array<key_range, 1> all{};
    return scan(partition, all, [&](const key_range&, std::string_view key, std::string_view) {
      return visit(key);
    });
  }

private:
  memory_rows& rows_;
  std::shared_lock<std::shared_mutex> lock_;
};

class memory_checkpoint final : public checkpoint {
public:
  [[nodiscard]] result<checkpoint_progress> progress() const override {
    checkpoint_progress progress;
    for (const auto& [partition, tail] : tails_) {
      progress.tails.push_back({partition, tail});
    }
    return progress;
  }

  // Memory does not rot.
  [[nodiscard]] result<proven_rows> prove(partition_id) const override { return proven_rows{}; }
  [[nodiscard]] std::uint64_t row_count() const noexcept override { return 0; }
  result<void> adopt() override { return {}; }
  [[nodiscard]] row_digest digest_of(partition_id partition) const override {
    row_digest digest;
    auto each = rows_.rows.lower_bound({partition, {}});
    for (; each != rows_.rows.end() && each->first.first == partition; ++each) {
      const auto key = XXH3_64bits(each->first.second.data(), each->first.second.size());
      digest.add(XXH3_64bits_withSeed(each->second.data(), each->second.size(), key));
    }
    return digest;
  }

  result<void> write(std::span<const checkpoint_change> changes,
                     const checkpoint_progress* progress) override {
    const std::lock_guard lock{rows_.mutex};
    for (const auto& change : changes) {
      std::pair key{change.partition, std::string{change.key}};
      if (change.erased) {
        if (const auto found = rows_.rows.find(key); found != rows_.rows.end()) {
          bytes_ -= found->first.second.size() + found->second.size();
          rows_.rows.erase(found);
        }
      } else {
        const auto key_bytes = key.second.size();
        const auto [at, made] = rows_.rows.try_emplace(std::move(key));
        bytes_ += (made ? key_bytes : 0) + change.value.size() - at->second.size();
        at->second = change.value;
      }
    }
    if (progress != nullptr) {
      for (const auto& [partition, tail] : progress->tails) {
        tails_[partition] = tail;
      }
    }
    return {};
  }

  [[nodiscard]] result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() override {
    return std::unique_ptr<checkpoint_snapshot>{std::make_unique<memory_snapshot>(rows_)};
  }
  void tidy() override {}
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return bytes_.load(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override { return bytes_; }

private:
  memory_rows rows_;
  std::map<partition_id, log_tail> tails_;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

std::unique_ptr<checkpoint> make_memory_checkpoint() {
  return std::make_unique<memory_checkpoint>();
}

}  // namespace millrace::runtime
