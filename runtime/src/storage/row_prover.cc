// SPDX-License-Identifier: MIT
#include "storage/row_prover.h"

#include <pthread.h>

#include <cstdio>
#include <utility>

#include "storage/storage_lost.h"

namespace millrace::runtime {

row_prover::row_prover(const checkpoint& rows, std::uint16_t partition_count)
    : checkpoint_(rows), states_(partition_count, state::unknown), left_(partition_count) {
  thread_ = std::jthread{[this] { run(); }};
}

void row_prover::warn_by(std::function<void(const std::string&)> to) {
  const std::lock_guard lock{warn_mutex_};
  warn_ = std::move(to);
  for (const auto& line : untold_) {
    warn_(line);
  }
  untold_.clear();
}

void row_prover::warn(std::string line) {
  const std::lock_guard lock{warn_mutex_};
  if (warn_) {
    warn_(line);
  } else {
    untold_.push_back(std::move(line));
  }
}

// From the last partition down: a silo that starts asks for them from the first one up.
void row_prover::run() {
  ::pthread_setname_np(::pthread_self(), "row_prover");
  for (auto partition = states_.size(); partition-- > 0 && !stopping_;) {
    prove(partition);
  }
}

void row_prover::prove(std::size_t partition) {
  std::unique_lock lock{mutex_};
  if (states_[partition] == state::in_hand) {
    changed_.wait(lock, [&] { return states_[partition] == state::proven; });
  }
  if (states_[partition] == state::proven) {
    return;
  }
  states_[partition] = state::in_hand;
  lock.unlock();
  const auto found = checkpoint_.prove(static_cast<partition_id>(partition));
  if (!found) {
    storage_lost(found.error().text());
  }
  if (found->damaged > 0) {
    warn(
        "rows do not match their checksums, and the actors that they belong to answer "
        "storage_failed: " +
        std::string{damage_remedy} + " damaged=" + std::to_string(found->damaged) +
        " rows=" + std::to_string(found->count) + " partition=" + std::to_string(partition));
  }
  lock.lock();
  take(partition, *found);
}

void row_prover::take(std::size_t partition, const proven_rows& found) {
  if (found.damaged > 0) {
    damaged_rows_ += found.damaged;
  }
  states_[partition] = state::proven;
  row_count_ += found.count;
  if (--left_ == 0) {
    if (row_count_ != checkpoint_.row_count()) {
      storage_lost("the checkpoint has rows that belong to no partition; " +
                   std::string{damage_remedy});
    }
    all_proven_.store(true, std::memory_order_release);
  }
  changed_.notify_all();
}

bool row_prover::wait_for_all() {
  if (all_proven_.load(std::memory_order_acquire)) {
    return true;
  }
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return left_ == 0 || stopping_; });
  return left_ == 0;
}

void row_prover::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  const std::lock_guard lock{stop_mutex_};
  if (thread_.joinable()) {
    thread_.join();
  }
  const std::lock_guard warnings{warn_mutex_};
  for (const auto& line : std::exchange(untold_, {})) {
    std::fprintf(stderr, "millrace: %s\n", line.c_str());
  }
}

}  // namespace millrace::runtime
