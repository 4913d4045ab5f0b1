// SPDX-License-Identifier: MIT
// Send lanes: which stored send goes to its receiver next, and when it is tried again.
//
// Sends to one receiver go in order, one at a time: the next leaves when the one before was
// answered. A receiver that cannot be reached keeps its lane waiting, longer and longer; one that
// answers with a failure of its own does so a few times, then the send is set aside. Lanes do not
// wait for each other.
//
// Pure: numbers, names and times come in, sends that are to go come out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/error.h"

namespace millrace::runtime::detail {

/// A send that goes now. Ownership: a view, until the lanes change.
struct due_send {
  const std::string* target;
  std::uint64_t number;
};

/// What follows from the answer to a send.
struct send_verdict {
  enum class step : std::uint8_t {
    ignore,  ///< Nothing is on its way in that lane.
    again,   ///< It stays; it is tried again at `retry_at`.
    ended,   ///< It was taken. It is no longer in its lane.
    dead,    ///< It is given up. It is no longer in its lane.
  };
  step what = step::ignore;
  steady_time retry_at{};
  std::size_t warn_of = 0;  ///< So many wait, and it is time to say so; 0: nothing to say.
};

/// Threading: as its activation.
class send_lanes {
public:
  /// A receiver that answers with its own failure gets this many tries.
  static constexpr std::uint32_t failures_max = 5;
  /// Sends that wait for a receiver so long are told of, once.
  static constexpr duration warn_of_failing_after = std::chrono::minutes{1};

  [[nodiscard]] bool empty() const noexcept { return lanes_.empty(); }
  /// Sends that have not ended. Cost: O(lanes).
  [[nodiscard]] std::size_t size() const noexcept;
  /// Whether a lane waits to be tried again.
  [[nodiscard]] bool any_fails() const noexcept { return failing_ > 0; }

  /// Adds the last of its lane; it may go when that commit is durable.
  void add(std::string target, std::uint64_t number, std::uint64_t after_commit);

  /// A send that goes now that the commits up to `durable` are, of those that `add` has told of;
  /// nothing when there is no more. It is on its way from then on.
  [[nodiscard]] std::optional<due_send> next_durable(std::uint64_t durable, steady_time now);

  /// The same for one lane: the first send of it, unless one is on its way, must wait or is not
  /// durable. Then `next_durable` gives it in time.
  [[nodiscard]] std::optional<due_send> next_of(const std::string& target, std::uint64_t durable,
                                                steady_time now);

  /// Calls `go` with each send that goes now, over all lanes; gives the earliest time at which one
  /// of those that fail is to be tried again. Cost: O(lanes).
  template <class Go>
  [[nodiscard]] steady_time retry(std::uint64_t durable, steady_time now, Go&& go) {
    auto next = steady_time::max();
    for (auto& [target, one] : lanes_) {
      if (const auto due = start(target, one, durable, now)) {
        go(*due);
      }
      if (!one.in_flight && one.failures > 0) {
        next = std::min(next, one.retry_at);
      }
    }
    return next;
  }

  /// The send that was on its way to `target` has been answered. `failure`: null, it was taken.
  /// `settled`: the receiver remembers that it failed, so to try again would not do it again.
  /// `retry_max`: how long one is tried that fails by no fault of its receiver's.
  [[nodiscard]] send_verdict answered(const std::string& target, const error* failure, bool settled,
                                      steady_time now, duration retry_max);

private:
  struct lane {
    struct item {
      std::uint64_t number;
      std::uint64_t after_commit;
    };
    std::deque<item> items;
    bool in_flight = false;
    bool warned = false;  // that they wait
    std::uint32_t failures = 0;
    std::uint32_t refusals = 0;  // of these, by the receiver's own fault
    steady_time failing_since{};
    steady_time retry_at{};
  };

  [[nodiscard]] std::optional<due_send> start(const std::string& target, lane& one,
                                              std::uint64_t durable, steady_time now);
  static void put_off(lane& one, const error& failure, steady_time now, duration retry_max,
                      send_verdict& verdict);

  std::map<std::string, lane> lanes_;                               // by receiver
  std::deque<std::pair<std::uint64_t, std::string>> after_commit_;  // lanes to look at then
  std::uint32_t failing_ = 0;
};

}  // namespace millrace::runtime::detail
