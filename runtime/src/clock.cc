// SPDX-License-Identifier: MIT
#include "millrace/runtime/clock.h"

#include <sys/random.h>
#include <time.h>

namespace millrace::runtime {
namespace {

duration read_clock(clockid_t id) {
  timespec at{};
  ::clock_gettime(id, &at);
  return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
}

// SplitMix64 spreads a seed over both words (Steele, Lea, Flood 2014).
std::uint64_t spread(std::uint64_t& seed) noexcept {
  seed += 0x9e3779b97f4a7c15ULL;
  auto mixed = seed;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31U);
}

}  // namespace

wall_time system_clock::wall() const {
  return wall_time{read_clock(CLOCK_REALTIME)};
}

steady_time system_clock::steady() const {
  return steady_time{read_clock(CLOCK_BOOTTIME)};
}

rng::rng() : state_{} {
  if (::getrandom(state_, sizeof state_, 0) != static_cast<ssize_t>(sizeof state_)) {
    auto seed = static_cast<std::uint64_t>(read_clock(CLOCK_REALTIME).count());
    state_[0] = spread(seed);
    state_[1] = spread(seed);
  }
}

rng::rng(std::uint64_t seed) : state_{} {
  state_[0] = spread(seed);
  state_[1] = spread(seed);
}

// xoroshiro128+ (Blackman, Vigna 2018).
std::uint64_t rng::next() noexcept {
  const auto rotl = [](std::uint64_t bits, unsigned by) {
    return (bits << by) | (bits >> (64U - by));
  };
  const auto first = state_[0];
  auto second = state_[1];
  const auto out = first + second;
  second ^= first;
  state_[0] = rotl(first, 24) ^ second ^ (second << 16U);
  state_[1] = rotl(second, 37);
  return out;
}

double rng::fraction() noexcept {
  return static_cast<double>(next() >> 11U) * 0x1.0p-53;
}

}  // namespace millrace::runtime
