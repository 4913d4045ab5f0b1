// SPDX-License-Identifier: MIT
// What lies between the silos of a test cluster, and how a test spoils it.
#pragma once

#include <cstdint>
#include <string_view>

#include "millrace/runtime/clock.h"

namespace millrace::testing {

namespace detail {
class wire;
class memory_store;
}  // namespace detail

/// What silos say to each other.
enum class traffic : std::uint8_t {
  calls,    ///< Calls, one-way messages, cancellations.
  answers,  ///< Of calls.
  copies,   ///< Entries, acknowledgements and leases of partitions.
  any,      ///< All of these.
};

/// The network of a `test_cluster`. Names are those of silos, or `store`.
///
/// It does to silos what links over real networks do. Messages arrive in order, once, or not at
/// all. Where nothing comes through for two seconds the connection ends, and both are told; what
/// was not delivered waits for the next connection for ten seconds more, and then the session ends:
/// calls without an answer are `outcome_unknown`, unless they may be repeated.
///
/// Threading: any thread. Nothing here settles.
class test_network {
public:
  /// For `test_cluster`.
  test_network(detail::wire& between, detail::memory_store& records) noexcept
      : between_(between), records_(records) {}

  /// The coordination store, as one end of a cut.
  static constexpr std::string_view store = "@store";

  /// Nothing arrives any more, in either direction.
  void cut(std::string_view one, std::string_view other);
  /// Nothing arrives any more that `from` sends to `to`. With the store cut both ways.
  void cut_one_way(std::string_view from, std::string_view to);
  /// Cuts it off from all other silos and from the store.
  void isolate(std::string_view silo);

  /// Messages of that kind that are sent from now on take so long. They come in order, and as they
  /// lie in lanes of their own, calls and answers do not hold up copies.
  void delay(std::string_view from, std::string_view to, runtime::duration by,
             traffic what = traffic::any);

  /// The next `count` messages of that kind do not arrive. A session ends over a message that is
  /// lost, and with it all that is on its way; a new one begins at once.
  void lose(std::string_view from, std::string_view to, traffic what, unsigned count = 1);

  /// How often silos have asked the store in vain so far.
  [[nodiscard]] std::uint64_t asked_in_vain() const;

  /// Ends all cuts, delays and losses. Connections come back within 250 ms.
  void heal();

private:
  detail::wire& between_;
  detail::memory_store& records_;
};

}  // namespace millrace::testing
