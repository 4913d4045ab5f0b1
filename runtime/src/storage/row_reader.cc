// SPDX-License-Identifier: MIT
#include "storage/row_reader.h"

#include <pthread.h>

#include <span>
#include <utility>

namespace millrace::runtime {
namespace {

// Bounds how long one view is held, and how long the first of a batch waits for the last.
constexpr std::size_t batch_requests_max = 32;

}  // namespace

// A generation that is frozen and written while we look must not be missed in both places, so the
// overlay is looked at first. And a newer generation must not show up in the checkpoint alone, or
// half of a commit might be seen: so the active generation must still be the same afterwards.
result<void> row_view::open() {
  for (;;) {
    recent_ = overlay_.view();
    if (auto renewed = snapshot_.renew(); !renewed) {
      return renewed;
    }
    open_ = true;
    if (overlay_.is_active(recent_.active.get())) {
      return {};
    }
    close();
  }
}

void row_view::close() {
  if (open_) {
    snapshot_.release();
    recent_ = {};
    open_ = false;
  }
}

result<void> row_view::open_for_long() {
  recent_ = overlay_.view();
  recent_.active = recent_.active->copy();
  if (auto renewed = snapshot_.renew(); !renewed) {
    return renewed;
  }
  open_ = true;
  return {};
}

result<void> row_view::each_row(
    partition_id partition, const key_range& range,
    const std::function<result<void>(std::string_view, std::string_view)>& visit) {
  const std::span one{&range, 1};
  const auto recent = recent_rows(partition, one);
  auto next = recent.begin();
  result<void> outcome;
  const auto take_recent = [&] {
    if (next->second.has_value()) {
      outcome = visit(next->first, *next->second);
    }
    ++next;
    return outcome.has_value();
  };
  auto scanned = snapshot_.scan(
      partition, one, [&](const key_range&, std::string_view key, std::string_view value) {
        while (next != recent.end() && next->first < key) {
          if (!take_recent()) {
            return false;
          }
        }
        if (next != recent.end() && next->first == key) {
          return take_recent();
        }
        outcome = visit(key, value);
        return outcome.has_value();
      });
  if (!scanned) {
    return scanned;
  }
  while (outcome && next != recent.end()) {
    take_recent();
  }
  return outcome;
}

overlay_generation::range_rows row_view::recent_rows(partition_id partition,
                                                     std::span<const key_range> ranges) const {
  overlay_generation::range_rows recent;
  recent_.active->collect(partition, ranges, recent);
  if (recent_.frozen != nullptr) {
    recent_.frozen->collect(partition, ranges, recent);
  }
  return recent;
}

result<std::vector<row>> row_view::read(partition_id partition, const key_range& range) {
  std::vector<row> rows;
  auto done = read_into(rows, partition, {&range, 1});
  return done ? result<std::vector<row>>{std::move(rows)} : done.error();
}

// Both sides come in the order of the ranges and their keys.
result<void> row_view::read_into(std::vector<row>& rows, partition_id partition,
                                 std::span<const key_range> ranges) {
  auto recent = recent_rows(partition, ranges);
  auto next = recent.begin();
  auto range = ranges.begin();
  auto left = range->limit;
  const auto take_recent = [&] {
    if (left > 0 && next->second.has_value()) {
      rows.push_back({next->first, std::move(*next->second)});
      --left;
    }
    ++next;
  };
  const auto end_range = [&] {
    while (next != recent.end() && range->reaches(next->first)) {
      take_recent();
    }
    if (++range != ranges.end()) {
      left = range->limit;
    }
  };
  auto scanned = snapshot_.scan(
      partition, ranges, [&](const key_range& of, std::string_view key, std::string_view value) {
        while (&*range != &of) {
          end_range();
        }
        while (next != recent.end() && next->first < key) {
          take_recent();
        }
        if (next != recent.end() && next->first == key) {
          take_recent();
        } else if (left > 0) {
          rows.push_back({std::string{key}, std::string{of.cut(value)}});
          --left;
        }
        return left > 0;
      });
  if (!scanned) {
    return scanned;
  }
  while (range != ranges.end()) {
    end_range();
  }
  return {};
}

row_reader::row_reader(const overlay& recent, std::unique_ptr<checkpoint_snapshot> snapshot,
                       std::uint16_t partition_count, row_prover& proof)
    : overlay_(recent),
      snapshot_(std::move(snapshot)),
      partition_count_(partition_count),
      proof_(proof) {
  thread_ = std::jthread{[this] { run(); }};
}

void row_reader::read(std::unique_ptr<read_request> request) {
  {
    const std::lock_guard lock{mutex_};
    if (!stopping_) {
      queued_.push_back(std::move(request));
      if (asleep_) {
        asleep_ = false;
        queued_signal_.notify_one();
      }
      return;
    }
  }
  request.release()->done(error{errc::unavailable, "storage has stopped"});
}

void row_reader::rest_later() {
  const std::lock_guard lock{mutex_};
  if (std::exchange(has_rested_, false)) {
    queued_signal_.notify_one();
  }
}

void row_reader::stop() {
  const std::lock_guard stop_lock{stop_mutex_};
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    asleep_ = false;
    queued_signal_.notify_one();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void row_reader::run() {
  ::pthread_setname_np(::pthread_self(), "row_reader");
  requests taken;
  for (;;) {
    taken.clear();
    {
      std::unique_lock lock{mutex_};
      while (queued_.empty() && !stopping_) {
        asleep_ = true;
        if (has_rested_) {
          queued_signal_.wait(lock, [this] { return !asleep_ || !has_rested_; });
        } else if (!queued_signal_.wait_for(lock, quiet_before_rest, [this] { return !asleep_; })) {
          has_rested_ = true;
          lock.unlock();
          snapshot_->rest();
          lock.lock();
        }
      }
      if (queued_.empty()) {
        return;
      }
      taken.swap(queued_);
      has_rested_ = false;
    }
    for (std::size_t begin = 0; begin < taken.size(); begin += batch_requests_max) {
      answer(std::span{taken}.subspan(begin, std::min(batch_requests_max, taken.size() - begin)));
    }
  }
}

void row_reader::answer(std::span<std::unique_ptr<read_request>> batch) {
  answers_.clear();
  for (const auto& request : batch) {
    if (static_cast<unsigned>(request->partition) < partition_count_) {
      proof_.need(request->partition);
    }
  }
  {
    row_view view{overlay_, *snapshot_};
    const auto opened = view.open();
    for (const auto& request : batch) {
      answers_.push_back(rows_of(view, opened, *request));
    }
  }
  for (std::size_t index = 0; index < batch.size(); ++index) {
    batch[index].release()->done(std::move(answers_[index]));
  }
}

result<std::vector<row>> row_reader::rows_of(row_view& view, const result<void>& opened,
                                             const read_request& request) {
  if (!opened) {
    return opened.error();
  }
  if (static_cast<unsigned>(request.partition) >= partition_count_) {
    return error{errc::invalid_argument, "a read names a partition that does not exist"};
  }
  ranges_.clear();
  for (const auto& each : request.ranges) {
    ranges_.push_back({.prefix = each.prefix,
                       .from = each.from,
                       .limit = each.limit,
                       .until = each.until,
                       .value_bytes_max = each.value_bytes_max,
                       .base = request.prefix});
  }
  std::vector<row> rows;
  for (auto begin = ranges_.begin(); begin != ranges_.end();) {
    auto end = begin + 1;
    while (end != ranges_.end() && end->follows(*(end - 1))) {
      ++end;
    }
    if (auto read = view.read_into(rows, request.partition, {begin, end}); !read) {
      return read.error();
    }
    begin = end;
  }
  rows_read_.fetch_add(rows.size(), std::memory_order_relaxed);
  return rows;
}

}  // namespace millrace::runtime
