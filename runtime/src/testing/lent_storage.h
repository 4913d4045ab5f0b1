// SPDX-License-Identifier: MIT
// Lent storage: rows that outlive the silo that has them, and what is on its way to and from them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "millrace/runtime/call_batch.h"
#include "millrace/runtime/storage.h"

namespace millrace::testing::detail {

using runtime::errc;
using runtime::error;
using runtime::result;

/// Its end is not theirs, and what is on its way is counted.
///
/// Threading: any thread.
class lent_storage final : public runtime::storage {
public:
  explicit lent_storage(runtime::storage& inner) : inner_(inner) {}
  lent_storage(const lent_storage&) = delete;
  lent_storage& operator=(const lent_storage&) = delete;
  ~lent_storage() override { lent_storage::stop(); }

  void commit(std::unique_ptr<runtime::commit_request> request) override {
    if (!take()) {
      request.release()->done(stopped());
      return;
    }
    auto counted = std::make_unique<counted_request<runtime::commit_request, void>>(*this);
    counted->partition = request->partition;
    counted->epoch = request->epoch;
    counted->ops = std::move(request->ops);
    counted->inner = std::move(request);
    inner_.commit(std::move(counted));
  }
  void read(std::unique_ptr<runtime::read_request> request) override {
    using rows = std::vector<runtime::row>;
    if (!take()) {
      request.release()->done(stopped());
      return;
    }
    auto counted = std::make_unique<counted_request<runtime::read_request, rows>>(*this);
    counted->partition = request->partition;
    counted->prefix = request->prefix;
    counted->ranges = request->ranges;
    counted->inner = std::move(request);
    inner_.read(std::move(counted));
  }
  result<void> scan(runtime::partition_id partition, std::string_view prefix, std::string_view from,
                    std::size_t limit,
                    const std::function<bool(const runtime::row&)>& visit) override {
    return inner_.scan(partition, prefix, from, limit, visit);
  }
  [[nodiscard]] bool saturated() const noexcept override { return inner_.saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return inner_.allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return inner_.partition_count();
  }
  [[nodiscard]] runtime::storage_stats stats() const override { return inner_.stats(); }
  [[nodiscard]] runtime::replication* cluster_side() noexcept override {
    return inner_.cluster_side();
  }
  void stop() override {
    std::unique_lock lock{mutex_};
    stopped_ = true;
    changed_.wait(lock, [this] { return under_way_ == 0; });
  }

  /// False when something is still on its way after a moment.
  [[nodiscard]] bool idle() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::milliseconds{100},
                             [this] { return under_way_ == 0; });
  }

private:
  static error stopped() { return {errc::unavailable, "storage has stopped"}; }

  template <class Request, class Value>
  struct counted_request final : Request {
    explicit counted_request(lent_storage& of) : home(of) {}
    counted_request(const counted_request&) = delete;
    counted_request& operator=(const counted_request&) = delete;
    ~counted_request() override = default;
    void done(result<Value> outcome) override {
      inner.release()->done(std::move(outcome));
      if (auto* const together = runtime::call_batch::current()) {
        together->flush();  // the silo may be gone before the batch ends
      }
      home.give_back();
      delete this;
    }
    lent_storage& home;
    std::unique_ptr<Request> inner;
  };

  [[nodiscard]] bool take() {
    const std::lock_guard lock{mutex_};
    under_way_ += stopped_ ? 0 : 1;
    return !stopped_;
  }
  void give_back() {
    const std::lock_guard lock{mutex_};
    --under_way_;
    changed_.notify_all();
  }

  runtime::storage& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t under_way_ = 0;
  bool stopped_ = false;
};

}  // namespace millrace::testing::detail
