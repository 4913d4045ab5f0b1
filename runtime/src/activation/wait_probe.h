// SPDX-License-Identifier: MIT
// Wait probe: how calls of several silos that wait for each other in a cycle are found.
//
// A turn waits for its open calls, and a call that is kept out waits for the turns that keep it
// out. A turn that has kept a call out for a while searches: it sends a probe along each of its
// open calls. Where a probe's call runs, the probe goes on along the calls of that turn; where it
// is kept out, along those of the turns there. A probe that comes to a call which its own turn
// keeps out has found a cycle, and that call is refused.
//
// One of each cycle: a probe passes only turns that are younger than the one that searches, so it
// is the oldest turn of a cycle that finds it, and goes on.
//
// No other call: a probe goes round twice, and a call is refused when both rounds have passed the
// same turns and calls. No turn and no call begins to wait twice for the same, so whatever was seen
// in both rounds was there all the time between; at the instant when the second round began the
// whole cycle stood, however long probes took, and whatever expired meanwhile.
//
// Probes may be lost, doubled and late: a turn that still keeps a call out searches again. One that
// goes round in a cycle which its own turn only waits for ends when it is back at a turn that it
// remembers: the first that it has met, the second, the fourth, and so on.
//
// Source: edge chasing after Chandy, Misra and Haas, "Distributed Deadlock Detection", ACM TOCS 1
// (1983), for the AND model; the order after Sinha and Natarajan, "A Priority Based Distributed
// Deadlock Detection Algorithm", IEEE TSE 11 (1985); what a probe remembers after Brent, "An
// Improved Monte Carlo Factorization Algorithm", BIT 20 (1980). Pure: no I/O, clock or lock
// (docs/architecture/0064).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// How long a call waits before the turn that keeps it out searches, and how long that waits until
/// it searches again. Long beside a call, short beside a deadline (30 s by default).
inline constexpr duration wait_search_interval = std::chrono::seconds{1};

/// What one search sends at most, in both rounds: enough for a cycle of two thousand calls, or one
/// of ten through a turn with sixteen open ones. What is beyond ends by its deadlines.
inline constexpr std::uint16_t wait_probes_max = 4096;

/// Turns of one activation that search at a time, the oldest first.
inline constexpr std::size_t wait_searches_max = 64;

/// The longest path that a probe carries; of one that is longer only its end is told.
inline constexpr std::size_t wait_path_bytes_max = 4096;

/// Names a turn, or a call that may become one, in a cluster. Less is older.
struct wait_mark {
  std::int64_t since = 0;    ///< When its silo had it, in ns of that silo's time of day.
  std::uint64_t origin = 0;  ///< The incarnation of its silo.
  std::uint64_t number = 0;  ///< Among those of that, from 1; never used again.
  friend auto operator<=>(const wait_mark&, const wait_mark&) = default;
};

/// What becomes of a probe at a turn that keeps its call out.
enum class probe_fate : std::uint8_t {
  ends,     ///< An older turn, which finds its cycle itself; or one that the probe remembers.
  goes_on,  ///< Along the calls of that turn.
  cycle,    ///< Its call is to be refused.
};

/// Cost: of each member O(1), and a copy of the path.
struct wait_probe {
  wait_mark turn;                        ///< Whose search it is.
  std::uint64_t passed = 0;              ///< A digest of what this round has passed.
  std::uint64_t first_round = 0;         ///< In the second one: that of the first. Else 0.
  std::uint16_t left = wait_probes_max;  ///< How many it may still become.
  std::uint16_t met = 0;                 ///< Turns that it has met in this round.
  wait_mark remembered;  ///< One of them, to see when it goes round in another cycle.
  std::string path;      ///< Of the first call that it found kept out; empty: of none yet.

  /// What sets out along the open calls of a turn that searches.
  [[nodiscard]] static wait_probe of(const wait_mark& turn);

  /// The same, once it has come to that call.
  [[nodiscard]] wait_probe past(const wait_mark& call) const;

  /// What goes along each of so many open calls of a turn; nothing when it may become no more.
  [[nodiscard]] std::optional<wait_probe> along(std::size_t calls) const;

  struct meeting;
  /// What becomes of it at a turn that keeps its call out.
  [[nodiscard]] meeting meets(const wait_mark& holder) const;
};

struct wait_probe::meeting {
  probe_fate fate;
  wait_probe on;  ///< What goes on, if so.
};

}  // namespace millrace::runtime
