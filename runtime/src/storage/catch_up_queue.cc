// SPDX-License-Identifier: MIT
#include "storage/catch_up_queue.h"

#include <algorithm>
#include <utility>

#include "millrace/runtime/assert.h"

namespace millrace::runtime {

template <class IsOver>
void catch_up_queue::drop(steady_time now, IsOver is_over) {
  std::erase_if(waiting_, is_over);
  land(now, [&](const flight& each) { return is_over(each.what); });
}

// What was sent after it had to wait for it.
template <class IsOver>
void catch_up_queue::land(steady_time now, IsOver is_over) {
  auto kept = flying_.begin();
  for (auto each = flying_.begin(); each != flying_.end(); ++each) {
    if (is_over(*each)) {
      flying_bytes_ -= each->bytes;
      continue;
    }
    if (kept != each) {
      *kept = std::move(*each);
      kept->since = now;
    }
    ++kept;
  }
  flying_.erase(kept, flying_.end());
}

void catch_up_queue::add_entries(const place& to, std::uint64_t first_seq, std::uint64_t last_seq,
                                 steady_time now) {
  forget_lost(now);
  MILLRACE_ASSERT(!has_rows_for(to));
  for (const auto& each : flying_) {
    const auto& sent = each.what;
    if (sent.to == to && sent.first_seq <= first_seq && first_seq <= each.through) {
      first_seq = each.through + 1;  // in the order in which they were sent
    }
  }
  auto& wanted = waiting_for(to);
  const bool continues = wanted.last_seq != 0 && first_seq == wanted.last_seq + 1;
  wanted = {to, continues ? wanted.first_seq : first_seq, last_seq};
  if (wanted.first_seq > wanted.last_seq) {
    std::erase_if(waiting_, [&](const turn& each) { return each.to == to; });
  }
}

void catch_up_queue::add_rows(const place& to, const replica_effects::range_read& rows,
                              steady_time now) {
  forget_lost(now);
  const auto is_flying = [&](const flight& each) {
    const auto& sent = each.what.rows;
    return each.what.to == to && sent && sent->first == rows.first && sent->base == rows.base;
  };
  if (std::any_of(flying_.begin(), flying_.end(), is_flying)) {
    return;
  }
  land(now, [&](const flight& each) { return each.what.to == to; });
  waiting_for(to) = {to, 0, 0, rows};
}

bool catch_up_queue::holds(const place& to) const noexcept {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const turn& each) { return each.to == to; });
}

bool catch_up_queue::is_busy_with(const place& to) const noexcept {
  return holds(to) || std::any_of(flying_.begin(), flying_.end(),
                                  [&](const flight& each) { return each.what.to == to; });
}

bool catch_up_queue::has_rows_for(const place& to) const noexcept {
  const auto is_rows = [&](const turn& each) { return each.to == to && each.rows; };
  return std::any_of(waiting_.begin(), waiting_.end(), is_rows) ||
         std::any_of(flying_.begin(), flying_.end(),
                     [&](const flight& each) { return is_rows(each.what); });
}

catch_up_queue::turn& catch_up_queue::waiting_for(const place& to) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const turn& each) { return each.to == to; });
  return found != waiting_.end() ? *found : waiting_.emplace_back(turn{to});
}

std::optional<catch_up_queue::turn> catch_up_queue::next(steady_time now) {
  forget_lost(now);
  if (waiting_.empty() || flying_bytes_ >= catch_up_window_bytes) {
    return std::nullopt;
  }
  auto first = std::move(waiting_.front());
  waiting_.pop_front();
  return first;
}

void catch_up_queue::sent(const turn& what, std::uint64_t through, std::size_t bytes,
                          steady_time now) {
  flying_.push_back({what, through, bytes, now});
  flying_bytes_ += bytes;
}

void catch_up_queue::acknowledged(const place& from, std::uint64_t seq, steady_time now) {
  land(now, [&](const flight& each) { return each.what.to == from && each.through <= seq; });
}

void catch_up_queue::end_rows(const place& from, steady_time now) {
  drop(now, [&](const turn& each) { return each.to == from && each.rows; });
}

void catch_up_queue::forget(const place& whom, steady_time now) {
  drop(now, [&](const turn& each) { return each.to == whom; });
}

void catch_up_queue::forget(partition_id which, steady_time now) {
  drop(now, [&](const turn& each) { return each.to.partition == which; });
}

void catch_up_queue::forget_lost(steady_time now) {
  std::erase_if(flying_, [&](const flight& each) {
    const bool is_lost = each.since + patience_ <= now;
    flying_bytes_ -= is_lost ? each.bytes : 0;
    return is_lost;
  });
}

}  // namespace millrace::runtime
