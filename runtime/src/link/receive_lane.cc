// SPDX-License-Identifier: MIT
#include "link/receive_lane.h"

#include <utility>

namespace millrace::runtime {

result<bool> receive_lane::take(const frame& one, link_message& into) {
  if (one.number != received_ + 1) {
    return error{errc::invalid_argument, "frame " + std::to_string(one.number) + " where " +
                                             std::to_string(received_ + 1) + " was due"};
  }
  const auto cost = one.cost();
  if (arrived_ + cost > credit()) {
    return error{errc::invalid_argument, "more bytes than there was credit for"};
  }
  if (partial_.size() + one.body.size() > message_bytes_max_) {
    return error{errc::invalid_argument,
                 "a message of more than " + std::to_string(message_bytes_max_) + " bytes"};
  }
  received_ = one.number;
  arrived_ += cost;
  partial_cost_ += cost;
  if (one.type == frame_type::piece) {
    partial_.append(one.body);
    return false;
  }
  into.lane = one.lane;
  into.kind = one.kind;
  into.receipt = {.lane = one.lane, .cost = std::exchange(partial_cost_, 0)};
  into.in_place = one.body;
  if (!partial_.empty()) {
    partial_.append(one.body);
    into.assembled = std::exchange(partial_, {});
  }
  return true;
}

}  // namespace millrace::runtime
