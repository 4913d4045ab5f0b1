// SPDX-License-Identifier: MIT
// etcd endpoints: which one to ask next, and whether to believe its answer. Pure.
//
// A member of an etcd cluster that was restored from an old copy of its data, or of another cluster
// behind the same name, answers well-formed and wrong. Such a one shows: its raft term or its
// revision is below what an answer had that came before the request was sent, or its cluster is
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "coordination/etcd_wire.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// Threading: one thread at a time.
class etcd_endpoints {
public:
  /// Requires: count > 0.
  explicit etcd_endpoints(std::size_t count) : endpoints_(count) {}

  [[nodiscard]] std::size_t count() const noexcept { return endpoints_.size(); }

  /// The one that answered last, unless it rests; else the one that has rested longest.
  [[nodiscard]] std::size_t pick(steady_time now) const noexcept;

  /// It did not answer: for a while others are asked first.
  void failed(std::size_t at, steady_time now) noexcept;

  /// The newest state that any answer came from. To be taken before a request is sent.
  [[nodiscard]] const etcd_header& seen() const noexcept { return seen_; }

  /// What an answer must not be older than.
  enum class freshness : std::uint8_t {
    as_seen,  ///< What was seen before its request.
    any,      ///< Nothing: the leader has done the work, and a server that may be behind tells it.
  };
  /// False when an answer to a request that was sent after `seen` has gone back, or is of another
  /// cluster: it must not be used, and the endpoint is skipped for longer than one that is silent.
  [[nodiscard]] bool accept(std::size_t at, const etcd_header& header, const etcd_header& seen,
                            steady_time now, freshness wanted = freshness::as_seen) noexcept;

  /// Whether its version is known to be a good one. After a failure it is asked anew: the server
  /// may be another.
  [[nodiscard]] bool is_checked(std::size_t at) const noexcept { return endpoints_[at].checked; }
  void checked(std::size_t at) noexcept { endpoints_[at].checked = true; }

private:
  struct endpoint {
    steady_time rests_until{};
    bool checked = false;
  };

  static constexpr duration silent_rest = std::chrono::seconds{2};
  static constexpr duration wrong_rest = std::chrono::seconds{30};

  std::vector<endpoint> endpoints_;
  std::size_t preferred_ = 0;
  etcd_header seen_;
};

}  // namespace millrace::runtime
