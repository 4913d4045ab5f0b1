// SPDX-License-Identifier: MIT
// Call ids: how silos name a call to each other.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace millrace::runtime {

/// Names a call among all that ever left a silo for another; all zero: a call that has not. Within
/// a silo a call is its envelope, and needs no name.
struct call_id {
  std::uint64_t origin = 0;  ///< The incarnation of the silo that made it.
  std::uint64_t number = 0;  ///< Among those of that incarnation, from 1; never used again.
  [[nodiscard]] explicit operator bool() const noexcept { return number != 0; }
  friend auto operator<=>(const call_id&, const call_id&) = default;
};

}  // namespace millrace::runtime

template <>
struct std::hash<millrace::runtime::call_id> {
  std::size_t operator()(const millrace::runtime::call_id& id) const noexcept {
    return id.number * 0x9e3779b97f4a7c15ULL ^ id.origin;
  }
};
