// SPDX-License-Identifier: MIT
#include "link/send_lane.h"

#include <algorithm>
#include <utility>

#include "byte_order.h"
#include "link/frame.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t block_bytes = frame_bytes_max;

}  // namespace

std::size_t send_lane::cost_of(std::size_t body_bytes) noexcept {
  const auto pieces =
      std::max<std::size_t>(1, (body_bytes + piece_bytes_max - 1) / piece_bytes_max);
  return body_bytes + pieces * frame_head_bytes;
}

bool send_lane::push(std::uint16_t kind, std::string_view body) {
  const auto cost = cost_of(body.size());
  if (cost > bytes_max_ - held_) {
    return false;
  }
  held_ += cost;
  while (body.size() > piece_bytes_max) {
    append_frame(block_for(frame_bytes_max), {.type = frame_type::piece,
                                              .lane = lane_,
                                              .kind = kind,
                                              .number = ++last_,
                                              .body = body.substr(0, piece_bytes_max)});
    body.remove_prefix(piece_bytes_max);
  }
  append_frame(
      block_for(frame_head_bytes + body.size()),
      {.type = frame_type::message, .lane = lane_, .kind = kind, .number = ++last_, .body = body});
  return true;
}

bool send_lane::can_send() const noexcept {
  if (sent_ == last_) {
    return false;
  }
  const auto at_end = next_.at == blocks_[next_.block].size();
  return cost_at(at_end ? place{next_.block + 1, 0} : next_) <= credit_ - sent_bytes_;
}

void send_lane::take(std::size_t budget, std::string& out) {
  std::size_t taken = 0;
  while (can_send()) {
    if (next_.at == blocks_[next_.block].size()) {
      next_ = {next_.block + 1, 0};
    }
    // Frames that lie behind each other are copied at once.
    const auto& block = blocks_[next_.block];
    const auto from = next_.at;
    while (next_.at < block.size()) {
      const auto cost = cost_at(next_);
      if (cost > credit_ - sent_bytes_ || (taken > 0 && cost > budget - std::min(budget, taken))) {
        break;
      }
      taken += cost;
      sent_bytes_ += cost;
      next_.at += cost;
      ++sent_;
    }
    if (next_.at == from) {
      return;
    }
    out.append(block, from, next_.at - from);
  }
}

bool send_lane::progress(std::uint64_t number, std::uint64_t credit) {
  if (number < acked_ || number > sent_ || credit < credit_) {
    return false;
  }
  forget_through(number);
  credit_ = credit;
  return true;
}

bool send_lane::resume(std::uint64_t received, std::uint64_t credit) {
  if (received < acked_ || received > sent_) {
    return false;
  }
  forget_through(received);
  sent_ = acked_;
  sent_bytes_ = acked_bytes_;
  next_ = front_;
  credit_ = std::max(credit, sent_bytes_);
  return true;
}

std::uint64_t send_lane::restart(std::uint64_t credit) {
  std::uint64_t lost = 0;
  place each = front_;
  for (std::uint64_t number = acked_; number < last_; ++number) {
    if (each.at == blocks_[each.block].size()) {
      each = {each.block + 1, 0};
    }
    frame read;
    const auto cost = *read_frame(std::string_view{blocks_[each.block]}.substr(each.at), read);
    lost += read.type == frame_type::message ? 1 : 0;
    each.at += cost;
  }
  *this = send_lane{lane_, bytes_max_};
  credit_ = credit;
  return lost;
}

std::size_t send_lane::cost_at(const place& where) const noexcept {
  return frame_head_bytes + load_little<std::uint32_t>(blocks_[where.block].data() + where.at);
}

std::string& send_lane::block_for(std::size_t bytes) {
  if (blocks_.empty() || blocks_.back().size() + bytes > block_bytes) {
    // The first one grows as it must, so that a lane that is hardly used stays small.
    if (!blocks_.empty()) {
      spare_.reserve(block_bytes);
    }
    blocks_.push_back(std::exchange(spare_, {}));
  }
  return blocks_.back();
}

// The front block has been acknowledged whole, and so was sent whole.
void send_lane::drop_front() noexcept {
  front_.at = 0;
  if (next_.block > 0) {
    --next_.block;
  } else {
    next_.at = 0;
  }
  blocks_.front().clear();
  if (blocks_.size() > 1) {
    spare_ = std::move(blocks_.front());
    blocks_.pop_front();
  }
}

void send_lane::forget_through(std::uint64_t number) {
  while (acked_ < number) {
    const auto cost = cost_at(front_);
    acked_bytes_ += cost;
    held_ -= cost;
    front_.at += cost;
    ++acked_;
    if (front_.at == blocks_.front().size()) {
      drop_front();
    }
  }
}

}  // namespace millrace::runtime
