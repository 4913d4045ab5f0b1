// SPDX-License-Identifier: MIT
#include "partition/snapshot_intake.h"

namespace millrace::runtime {

void snapshot_intake::begin() {
  open_ = true;
  base_ = {};
  next_.clear();
}

bool snapshot_intake::take(const range_message& range) {
  if (!open_ || range.first != next_ || (!next_.empty() && range.base != base_)) {
    return false;
  }
  base_ = range.base;
  next_ = range.next;
  open_ = !next_.empty();
  return true;
}

}  // namespace millrace::runtime
