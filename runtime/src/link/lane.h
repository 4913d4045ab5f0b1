// SPDX-License-Identifier: MIT
// Lanes: the classes of traffic on a link, and what each may hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::runtime {

/// In the order in which they are sent. Messages keep their order within a lane, not across lanes.
enum class link_lane : std::uint8_t {
  system,  ///< What keeps the cluster together: membership, epochs, leases, prepares.
  call,    ///< Calls and their answers.
  bulk,    ///< Snapshots, logs that a copy catches up with, whatever is large: a piece at a time,
           ///< behind all that waits.
};
inline constexpr std::size_t link_lane_count = 3;

[[nodiscard]] constexpr std::size_t index_of(link_lane lane) noexcept {
  return static_cast<std::size_t>(lane);
}

/// One number for each lane.
using lane_bytes = std::array<std::size_t, link_lane_count>;

/// What became of a message that was to be sent.
enum class link_send : std::uint8_t {
  queued,       ///< It goes out, and again after a reconnect, until it has arrived or is lost.
  overloaded,   ///< The lane holds as much as it may; nothing was done.
  unavailable,  ///< There is no session with the peer; nothing was done.
  too_large,    ///< Over the limit of a message; nothing was done.
};

}  // namespace millrace::runtime
