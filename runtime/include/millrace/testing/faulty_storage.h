// SPDX-License-Identifier: MIT
// Storage that fails when a test says so.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "millrace/runtime/storage.h"

namespace millrace::testing {

/// Hands everything on to the storage it stands in front of, but for what it was told to fail or
/// to hold. A failed commit is not written.
///
/// Threading: any thread. What fails is answered within the call.
class faulty_storage final : public runtime::storage {
public:
  /// Ownership: it owns `inner`.
  explicit faulty_storage(std::unique_ptr<runtime::storage> inner) : inner_(std::move(inner)) {}

  /// The next `count` commits, after `skip` that are let through, fail with `why`.
  void fail_commits(runtime::error why, unsigned count = 1, unsigned skip = 0);
  /// The same for reads.
  void fail_reads(runtime::error why, unsigned count = 1, unsigned skip = 0);
  /// The same for scans, with which a silo starts.
  void fail_scans(runtime::error why, unsigned count = 1, unsigned skip = 0);

  /// From now on commits wait; they are neither written nor answered before `release_commits`.
  void hold_commits();
  /// Hands on what waits, in order, and holds no more.
  void release_commits();
  /// Held commits are answered with `why`, in order and without being written; no more are held.
  void fail_held(const runtime::error& why);
  /// Held commits are forgotten, neither written nor answered: the process ends before they are.
  void lose_held();

  /// Whether it says that it is behind with commits, as a slow disk makes it, see
  /// `storage::saturated`.
  void fall_behind(bool behind) noexcept { behind_ = behind; }

  /// How many commits have come so far, failed and held ones too.
  [[nodiscard]] std::uint64_t commits() const;

  void commit(std::unique_ptr<runtime::commit_request> request) override;
  void read(std::unique_ptr<runtime::read_request> request) override;
  /// Neither failed nor held.
  runtime::result<void> scan(runtime::partition_id partition, std::string_view prefix,
                             std::string_view from, std::size_t limit,
                             const std::function<bool(const runtime::row&)>& visit) override;
  [[nodiscard]] bool saturated() const noexcept override { return behind_ || inner_->saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return inner_->allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return inner_->partition_count();
  }
  [[nodiscard]] std::optional<runtime::error> refusal() const override { return inner_->refusal(); }
  /// Of the inner storage; never fails by plan.
  runtime::result<void> backup(
      const std::function<runtime::result<void>(std::string_view)>& write) override {
    return inner_->backup(write);
  }
  [[nodiscard]] runtime::storage_stats stats() const override { return inner_->stats(); }
  /// Of the inner storage.
  [[nodiscard]] runtime::replication* cluster_side() noexcept override {
    return inner_->cluster_side();
  }
  /// Held commits are answered with `unavailable`.
  void stop() override;

private:
  struct plan {
    std::optional<runtime::error> why;
    unsigned skip = 0;
    unsigned count = 0;
    [[nodiscard]] std::optional<runtime::error> next();
  };

  std::unique_ptr<runtime::storage> inner_;
  std::atomic<bool> behind_{false};
  mutable std::mutex mutex_;
  plan commits_to_fail_;
  plan reads_to_fail_;
  plan scans_to_fail_;
  std::uint64_t commits_ = 0;
  bool holding_ = false;
  std::vector<std::unique_ptr<runtime::commit_request>> held_;
};

}  // namespace millrace::testing
