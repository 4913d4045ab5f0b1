// SPDX-License-Identifier: MIT
#include "activation/wait_probe.h"

#include <bit>
#include <utility>

namespace millrace::runtime {

namespace {

// The end of splitmix64 (Steele, Lea, Flood 2014): each bit depends on all.
std::uint64_t mixed(std::uint64_t bits) noexcept {
  bits = (bits ^ bits >> 30U) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ bits >> 27U) * 0x94d049bb133111ebULL;
  return bits ^ bits >> 31U;
}

// Of what is behind it and of the order in which that came. The lowest bit is set: 0 is none.
std::uint64_t digest_of(std::uint64_t before, const wait_mark& next) noexcept {
  return mixed(mixed(before + next.origin) + next.number) | 1U;
}

}  // namespace

wait_probe wait_probe::of(const wait_mark& turn) {
  wait_probe made;
  made.turn = turn;
  return made;
}

wait_probe wait_probe::past(const wait_mark& call) const {
  auto next = *this;
  next.passed = digest_of(passed, call);
  return next;
}

std::optional<wait_probe> wait_probe::along(std::size_t calls) const {
  if (calls == 0 || left < calls) {
    return std::nullopt;
  }
  auto each = *this;
  each.left = static_cast<std::uint16_t>((left - calls) / calls);
  return each;
}

wait_probe::meeting wait_probe::meets(const wait_mark& holder) const {
  if (holder < turn || holder == remembered) {
    return {probe_fate::ends, {}};
  }
  if (holder != turn) {
    auto next = past(holder);
    ++next.met;
    if (std::has_single_bit(next.met)) {
      next.remembered = holder;
    }
    return {probe_fate::goes_on, std::move(next)};
  }
  if (first_round == 0) {
    auto again = of(turn);
    again.first_round = passed;
    again.left = left;
    again.path = path;
    return {probe_fate::goes_on, std::move(again)};
  }
  return {first_round == passed ? probe_fate::cycle : probe_fate::ends, {}};
}

}  // namespace millrace::runtime
