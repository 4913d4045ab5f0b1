// SPDX-License-Identifier: MIT
#include "storage/group_appender.h"

#include <algorithm>

namespace millrace::runtime {
namespace {

// A lone large entry does not keep its memory.
constexpr std::size_t kept_bytes_max = std::size_t{8} << 20U;

constexpr auto all = std::numeric_limits<std::size_t>::max();
// An erasure copies the pages on its way; so many touch little more than one does.
constexpr std::size_t erased_at_once_min = 16;

}  // namespace

void group_appender::put_state(partition_id partition, const copy_state& state) {
  auto& bytes = states_[partition];
  bytes.clear();
  append_copy_state(partition, state, bytes);
}

void group_appender::take_back(partition_id partition,
                               const std::vector<std::uint64_t>& positions) {
  states_.erase(partition);
  std::erase_if(cut_, [&](std::uint64_t each) {
    return std::find(positions.begin(), positions.end(), each) != positions.end();
  });
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
  const auto going = std::min(erased_.size(), erased_at_once_);
  going_.assign(erased_.begin(), erased_.begin() + static_cast<std::ptrdiff_t>(going));
  going_.insert(going_.end(), cut_.begin(), cut_.end());
  std::sort(going_.begin(), going_.end());
  auto written = journal_.write({going_, views_, state_views_});
  if (written) {
    erased_.erase(erased_.begin(), erased_.begin() + static_cast<std::ptrdiff_t>(going));
    erased_at_once_ = going < erased_at_once_ ? all : 2 * erased_at_once_;
    cut_.clear();
    states_.clear();
    next_ = journal_.last() + 1;
  } else {
    erased_at_once_ = std::max(going / 2, erased_at_once_min);
  }
  ends_.clear();
  bytes_.clear();
  if (bytes_.capacity() > kept_bytes_max) {
    bytes_ = {};
  }
  return written;
}

}  // namespace millrace::runtime
