// SPDX-License-Identifier: MIT
// Storage in memory that can die with commits under way, as a process does, and be opened again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "millrace/runtime/storage.h"

namespace torture {

/// What is on the disk.
///
/// Threading: one `mortal_storage` at a time.
struct disk {
  static constexpr std::uint16_t partitions = 4;
  std::map<std::pair<millrace::runtime::partition_id, std::string>, std::string> rows;
};

/// Carries commits and reads out, in order: on a thread of its own, or within `do_one`.
///
/// Threading: any thread.
class mortal_storage final : public millrace::runtime::storage {
public:
  enum class work_is_done : std::uint8_t { on_a_thread, when_told };
  mortal_storage(disk& rows, work_is_done how);
  ~mortal_storage() override { stop(); }

  /// From now on nothing is written any more, except the first `last_commits` of what is queued;
  /// those are not acknowledged.
  void die(unsigned last_commits);

  /// Carries out what came first; false when there is nothing.
  bool do_one();
  /// From now on everything is carried out at once.
  void hurry();

  void commit(std::unique_ptr<millrace::runtime::commit_request> request) override;
  void read(std::unique_ptr<millrace::runtime::read_request> request) override;
  millrace::runtime::result<void> scan(
      millrace::runtime::partition_id partition, std::string_view prefix, std::string_view from,
      std::size_t limit, const std::function<bool(const millrace::runtime::row&)>& visit) override;
  [[nodiscard]] bool saturated() const noexcept override { return false; }
  [[nodiscard]] std::string allocation_id() const override { return std::string(16, 'd'); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override { return disk::partitions; }
  [[nodiscard]] millrace::runtime::storage_stats stats() const override { return {}; }
  void stop() override;

private:
  using job = std::variant<std::unique_ptr<millrace::runtime::commit_request>,
                           std::unique_ptr<millrace::runtime::read_request>>;
  void add(job one);
  void work();
  void do_first(std::unique_lock<std::mutex>& lock);
  void write(const millrace::runtime::commit_request& one);
  void collect(millrace::runtime::partition_id partition, const millrace::runtime::row_range& range,
               std::vector<millrace::runtime::row>& found) const;

  disk& disk_;
  mutable std::mutex mutex_;  // of everything below and of the disk
  std::condition_variable more_;
  std::deque<job> queue_;
  bool hurried_ = false;
  bool dead_ = false;
  bool stopped_ = false;
  std::thread worker_;
};

}  // namespace torture
