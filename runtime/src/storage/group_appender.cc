// SPDX-License-Identifier: MIT
#include "storage/group_appender.h"

#include <algorithm>

namespace millrace::runtime {
namespace {

// A lone large entry does not keep its memory.
constexpr std::size_t kept_bytes_max = std::size_t{8} << 20U;

}  // namespace

void group_appender::put_state(partition_id partition, const copy_state& state) {
  auto& bytes = states_[partition];
  bytes.clear();
  append_copy_state(partition, state, bytes);
}

result<void> group_appender::flush() {
  views_.clear();
  std::size_t begin = 0;
  for (const auto end : ends_) {
    views_.emplace_back(bytes_.data() + begin, end - begin);
    begin = end;
  }
  state_views_.clear();
  for (const auto& [partition, bytes] : states_) {
    state_views_.push_back({partition, bytes});
  }
  std::sort(erased_.begin(), erased_.end());
  auto written = journal_.write({erased_, views_, state_views_});
  if (written) {
    erased_.clear();
    states_.clear();
    next_ = journal_.last() + 1;
  }
  ends_.clear();
  bytes_.clear();
  if (bytes_.capacity() > kept_bytes_max) {
    bytes_ = {};
  }
  return written;
}

}  // namespace millrace::runtime
