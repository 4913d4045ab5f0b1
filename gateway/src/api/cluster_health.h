// SPDX-License-Identifier: MIT
// How a cluster is, in a word and a few counts: what an operator asks before the next silo is
// stopped.
//
// Pure. A partition is under-replicated when it has fewer copies than there could be, or than it
// has had: a silo that is away for its upgrade is not in, and is awaited all the same.
#pragma once

#include <cstdint>
#include <string_view>

#include "millrace/runtime/cluster.h"

namespace millrace::gateway {

/// From bad to good; the first that is so counts.
enum class health_state : std::uint8_t {
  down,              ///< A partition is not served.
  data_lost,         ///< One has gone on without what others had, and nobody has acknowledged it.
  unknown,           ///< The coordination store does not answer: this may be old.
  degraded,          ///< One has a single copy and should have more, or refuses writes.
  under_replicated,  ///< One has fewer copies than there could be, or than it has had.
  ok,
};
[[nodiscard]] std::string_view to_string(health_state state) noexcept;

/// Of partitions, but for the first two. A copy counts while its silo is in: one that joins, or is
/// gone, has none yet.
struct cluster_health {
  bool is_outdated = false;          ///< As the view is.
  std::size_t silos_for_copies = 0;  ///< Silos with state, those that join included.
  std::size_t down = 0;              ///< Nobody serves them.
  std::size_t data_lost = 0;         ///< With a loss that nobody has acknowledged.
  std::size_t refusing_writes = 0;   ///< With fewer copies than a write needs.
  std::size_t single_copy = 0;       ///< With less than two.
  std::size_t below_copies = 0;      ///< With fewer than the options want.
  std::size_t under_replicated = 0;  ///< Of these, those that there are silos for, or have been.
  bool is_single_wanted = false;     ///< One copy is what the options want.
};

[[nodiscard]] cluster_health health_of(const runtime::cluster_view& view);
[[nodiscard]] health_state state_of(const cluster_health& seen) noexcept;

/// Whether it has a loss that nobody has acknowledged.
[[nodiscard]] bool is_loss_open(const runtime::cluster_partition& one) noexcept;

}  // namespace millrace::gateway
