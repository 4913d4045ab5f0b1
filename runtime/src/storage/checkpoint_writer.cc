// SPDX-License-Identifier: MIT
#include "storage/checkpoint_writer.h"

#include <pthread.h>

#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// One transaction dirties at most about a page a row, and LMDB starts to spill at 131,072 dirty
// pages; larger transactions coalesce more rows a page.
constexpr std::size_t transaction_rows_max = 65536;
constexpr std::size_t transaction_bytes_max = 64U << 20U;

// On a full disk a transaction of this many rows is tried before giving up for now.
constexpr std::size_t transaction_rows_min = 16;
constexpr std::size_t transaction_rows_shrink = 16;

constexpr auto retry_interval = std::chrono::milliseconds{250};
constexpr duration tidy_interval = std::chrono::seconds{60};

}  // namespace

checkpoint_writer::checkpoint_writer(
    checkpoint& rows, overlay& recent, std::function<bool()> may_write,
    std::function<void(const std::vector<partition_tail>&)> on_written)
    : checkpoint_(rows),
      overlay_(recent),
      may_write_(std::move(may_write)),
      on_written_(std::move(on_written)) {
  thread_ = std::jthread{[this] { run(); }};
}

void checkpoint_writer::start(std::shared_ptr<const overlay_generation> generation) {
  const std::lock_guard lock{mutex_};
  MILLRACE_ASSERT(state_ == state::idle);
  generation_ = std::move(generation);
  state_ = state::writing;
  changed_.notify_all();
}

checkpoint_writer::state checkpoint_writer::current() const {
  const std::lock_guard lock{mutex_};
  return state_;
}

checkpoint_writer::state checkpoint_writer::wait_while_writing() const {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return state_ != state::writing; });
  return state_;
}

void checkpoint_writer::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void checkpoint_writer::set(state next) {
  const std::lock_guard lock{mutex_};
  state_ = next;
  changed_.notify_all();
}

void checkpoint_writer::run() {
  ::pthread_setname_np(::pthread_self(), "checkpoint");
  for (;;) {
    std::shared_ptr<const overlay_generation> generation;
    {
      std::unique_lock lock{mutex_};
      const auto has_work = [this] { return stopping_ || generation_ != nullptr; };
      if (!changed_.wait_for(lock, quiet_before_rest, has_work)) {
        lock.unlock();
        checkpoint_.rest();
        lock.lock();
        changed_.wait(lock, has_work);
      }
      if (generation_ == nullptr) {
        return;
      }
      generation = std::move(generation_);
      generation_ = nullptr;
    }
    if (!may_write_()) {
      set(state::stalled);
      return;  // the journal has the generation
    }
    write(*generation);
    if (const auto now = clock_.steady(); now - tidied_at_ >= tidy_interval) {
      checkpoint_.tidy();
      tidied_at_ = now;
    }
  }
}

// Rows written by a transaction without progress are written again after a crash, from the journal:
// operations are absolute, so that is harmless, and until then the overlay hides them.
void checkpoint_writer::write(const overlay_generation& generation) {
  const auto changes = generation.changes();
  std::size_t rows_max = transaction_rows_max;
  std::size_t begin = 0;
  for (bool has_progress = false; !has_progress;) {
    auto next = write_part(generation, changes, begin, rows_max);
    if (next) {
      begin = *next;
      has_progress = begin == changes.size();
      continue;
    }
    if (next.error().code() != errc::out_of_space) {
      storage_lost(next.error().text());
    }
    if (rows_max > transaction_rows_min) {
      rows_max /= transaction_rows_shrink;
      continue;
    }
    set(state::stalled);
    if (!wait_for_room()) {
      return;
    }
    set(state::writing);
  }
  overlay_.drop_frozen();
  on_written_(generation.progress.tails);
  set(state::idle);
}

bool checkpoint_writer::wait_for_room() {
  std::unique_lock lock{mutex_};
  return !changed_.wait_for(lock, retry_interval, [this] { return stopping_; });
}

result<std::size_t> checkpoint_writer::write_part(const overlay_generation& generation,
                                                  std::span<const checkpoint_change> changes,
                                                  std::size_t begin, std::size_t rows_max) {
  std::size_t end = begin;
  std::size_t bytes = 0;
  while (end < changes.size() && end - begin < rows_max && bytes < transaction_bytes_max) {
    bytes += changes[end].value.size();
    ++end;
  }
  const auto part = changes.subspan(begin, end - begin);
  const auto* progress = end == changes.size() ? &generation.progress : nullptr;
  if (auto written = checkpoint_.write(part, progress); !written) {
    return written.error();
  }
  counters_.transactions.fetch_add(1, std::memory_order_relaxed);
  counters_.rows.fetch_add(part.size(), std::memory_order_relaxed);
  return end;
}

}  // namespace millrace::runtime
