// SPDX-License-Identifier: MIT
// Rows in memory whose partitions are led by leases that a test moves by hand.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "millrace/runtime/storage.h"
#include "storage/replication.h"

namespace millrace::testing {

/// Refuses commits of another epoch than that of the lease, as a storage in a cluster does.
///
/// Threading: any thread.
class leased_storage final : public runtime::storage, private runtime::replication {
public:
  struct commit_seen {
    std::uint64_t epoch;
    bool is_empty;
  };

  leased_storage() : rows_(runtime::make_memory_storage(partitions)) {}

  [[nodiscard]] runtime::partition_lease& lease_of(runtime::partition_id partition) {
    return leases_.at(static_cast<std::size_t>(partition));
  }
  [[nodiscard]] runtime::storage& rows() noexcept { return *rows_; }
  /// Those that came, in order; refused ones too.
  [[nodiscard]] std::vector<commit_seen> commits() const {
    const std::lock_guard lock{mutex_};
    return commits_;
  }
  /// From now on commits of other epochs are done too.
  void refuse_none() { refuses_ = false; }

  void commit(std::unique_ptr<runtime::commit_request> request) override {
    {
      const std::lock_guard lock{mutex_};
      commits_.push_back({request->epoch, request->ops.empty()});
    }
    if (refuses_ && request->epoch != lease_of(request->partition).epoch()) {
      request.release()->done(runtime::error{runtime::errc::not_primary, "of another epoch"});
    } else {
      rows_->commit(std::move(request));
    }
  }
  void read(std::unique_ptr<runtime::read_request> request) override {
    rows_->read(std::move(request));
  }
  runtime::result<void> scan(runtime::partition_id partition, std::string_view prefix,
                             std::string_view from, std::size_t limit,
                             const std::function<bool(const runtime::row&)>& visit) override {
    return rows_->scan(partition, prefix, from, limit, visit);
  }
  [[nodiscard]] bool saturated() const noexcept override { return rows_->saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return rows_->allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override { return partitions; }
  [[nodiscard]] runtime::storage_stats stats() const override { return rows_->stats(); }
  [[nodiscard]] runtime::replication* cluster_side() noexcept override { return this; }
  void stop() override { rows_->stop(); }

private:
  static constexpr std::uint16_t partitions = 1;

  [[nodiscard]] const std::optional<runtime::cluster_mark>& mark() const noexcept override {
    return mark_;
  }
  [[nodiscard]] runtime::result<void> set_mark(const runtime::cluster_mark&) override { return {}; }
  [[nodiscard]] std::string mark_file() const override { return {}; }
  [[nodiscard]] bool found_data() const noexcept override { return false; }
  void join(runtime::replication_host&, const runtime::replication_settings&) override {}
  void host(runtime::partition_id, bool) override {}
  void receive(const std::string&, std::string) override {}
  void session_ended(const std::string&) override {}
  void learn(runtime::partition_id, runtime::partition_record) override {}
  void found(runtime::partition_id) override {}
  void silo_died(const std::string&, std::uint64_t, bool) override {}
  void hand_over(runtime::partition_id, const std::string&) override {}
  void abdicate(runtime::partition_id) override {}
  void move_off(runtime::partition_id, const std::string&) override {}
  void break_glass(runtime::partition_id) override {}
  void leave() override {}
  [[nodiscard]] const runtime::partition_lease& lease(
      runtime::partition_id partition) const noexcept override {
    return leases_.at(static_cast<std::size_t>(partition));
  }
  [[nodiscard]] std::vector<runtime::copy_status> copies() override { return {}; }

  std::unique_ptr<runtime::storage> rows_;
  std::array<runtime::partition_lease, partitions> leases_;
  std::optional<runtime::cluster_mark> mark_;
  std::atomic<bool> refuses_{true};
  mutable std::mutex mutex_;
  std::vector<commit_seen> commits_;
};

}  // namespace millrace::testing
