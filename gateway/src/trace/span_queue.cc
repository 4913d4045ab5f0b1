// SPDX-License-Identifier: MIT
#include "trace/span_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace millrace::gateway {

using runtime::duration;
using runtime::steady_time;

void span_queue::add(runtime::span one, steady_time now) {
  if (size() >= limits_.spans_max) {
    ++dropped_;
    return;
  }
  if (waiting_.empty()) {
    collect_until_ = now + limits_.collect_for;
  }
  waiting_.push_back(std::move(one));
}

steady_time span_queue::due() const {
  if (size() == 0) {
    return steady_time::max();
  }
  if (closed_) {
    return {};
  }
  const bool is_full = !batch_.empty() || waiting_.size() >= limits_.batch_max;
  return is_full ? quiet_until_ : std::max(quiet_until_, collect_until_);
}

const std::vector<runtime::span>& span_queue::batch(steady_time now) {
  static const std::vector<runtime::span> none;
  if (now < due()) {
    return none;
  }
  if (batch_.empty()) {
    const auto count = std::min(waiting_.size(), limits_.batch_max);
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
    batch_.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    collect_until_ = now + limits_.collect_for;
    first_sent_ = now;
  }
  return batch_;
}

void span_queue::settle(batch_outcome what, steady_time now, duration wait, std::size_t rejected) {
  if (what == batch_outcome::taken) {
    const auto lost = std::min(rejected, batch_.size());
    sent_ += batch_.size() - lost;
    dropped_ += lost;
    batch_.clear();
    retry_ = {};
    return;
  }
  if (what == batch_outcome::later) {
    retry_ = retry_ == duration{} ? limits_.retry_first : std::min(2 * retry_, limits_.retry_max);
    quiet_until_ = now + std::max(retry_, wait);
  }
  if (what == batch_outcome::refused || closed_ ||
      quiet_until_ > first_sent_ + limits_.give_up_after) {
    dropped_ += batch_.size();
    batch_.clear();
  }
}

std::optional<std::uint64_t> span_queue::report(steady_time now) {
  if (dropped_ == reported_ ||
      (reported_at_ && !closed_ && now < *reported_at_ + limits_.report_every)) {
    return std::nullopt;
  }
  reported_at_ = now;
  return dropped_ - std::exchange(reported_, dropped_);
}

}  // namespace millrace::gateway
