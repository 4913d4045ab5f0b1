// SPDX-License-Identifier: MIT
#include "coordination/etcd_endpoints.h"

#include <algorithm>

namespace millrace::runtime {

std::size_t etcd_endpoints::pick(steady_time now) const noexcept {
  if (endpoints_[preferred_].rests_until <= now) {
    return preferred_;
  }
  const auto best = std::min_element(
      endpoints_.begin(), endpoints_.end(),
      [](const endpoint& a, const endpoint& b) { return a.rests_until < b.rests_until; });
  return static_cast<std::size_t>(best - endpoints_.begin());
}

void etcd_endpoints::failed(std::size_t at, steady_time now) noexcept {
  endpoints_[at].rests_until = std::max(endpoints_[at].rests_until, now + silent_rest);
  endpoints_[at].checked = false;
  preferred_ = (at + 1) % endpoints_.size();
}

bool etcd_endpoints::accept(std::size_t at, const etcd_header& header, const etcd_header& seen,
                            steady_time now, freshness wanted) noexcept {
  const bool is_other = seen.revision > 0 && header.cluster_id != seen.cluster_id;
  const bool is_older = wanted == freshness::as_seen &&
                        (header.revision < seen.revision || header.raft_term < seen.raft_term);
  if (is_other || is_older) {
    endpoints_[at].rests_until = now + wrong_rest;
    endpoints_[at].checked = false;
    preferred_ = (at + 1) % endpoints_.size();
    return false;
  }
  endpoints_[at].rests_until = {};
  preferred_ = at;
  seen_.cluster_id = header.cluster_id;
  seen_.revision = std::max(seen_.revision, header.revision);
  seen_.raft_term = std::max(seen_.raft_term, header.raft_term);
  return true;
}

}  // namespace millrace::runtime
