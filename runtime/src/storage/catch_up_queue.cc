// SPDX-License-Identifier: MIT
#include "storage/catch_up_queue.h"

#include <algorithm>

namespace millrace::runtime {

void catch_up_queue::add_entries(const place& to, std::uint64_t first_seq, std::uint64_t last_seq,
                                 steady_time now) {
  forget_lost(now);
  std::erase_if(flying_, [&](const flight& each) { return each.what.to == to && each.what.rows; });
  for (const auto& each : flying_) {
    const auto& [there, first, last, rows] = each.what;
    if (there == to && first <= first_seq && first_seq <= last) {
      first_seq = last + 1;  // in the order in which they were sent
    }
  }
  auto& wanted = waiting_for(to);
  const bool continues = !wanted.rows && wanted.last_seq != 0 && first_seq == wanted.last_seq + 1;
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
  std::erase_if(flying_, [&](const flight& each) { return each.what.to == to; });
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

catch_up_queue::turn& catch_up_queue::waiting_for(const place& to) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const turn& each) { return each.to == to; });
  return found != waiting_.end() ? *found : waiting_.emplace_back(turn{to});
}

std::optional<catch_up_queue::turn> catch_up_queue::next(steady_time now) {
  forget_lost(now);
  std::size_t flying = 0;
  for (const auto& each : flying_) {
    flying += each.bytes;
  }
  if (waiting_.empty() || flying >= catch_up_window_bytes) {
    return std::nullopt;
  }
  auto first = std::move(waiting_.front());
  waiting_.pop_front();
  return first;
}

void catch_up_queue::sent(const turn& what, std::uint64_t last_seq, std::size_t bytes,
                          steady_time now) {
  auto& flown = flying_.emplace_back(flight{what, bytes, now});
  flown.what.last_seq = last_seq;
}

void catch_up_queue::acknowledged(const place& from, std::uint64_t seq) {
  std::erase_if(flying_, [&](const flight& each) {
    return each.what.to == from && !each.what.rows && each.what.last_seq <= seq;
  });
}

void catch_up_queue::forget_lost(steady_time now) {
  std::erase_if(flying_, [&](const flight& each) { return each.since + patience_ <= now; });
}

}  // namespace millrace::runtime
