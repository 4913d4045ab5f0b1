// SPDX-License-Identifier: MIT
// SimNet: a network that delays, loses, doubles and reorders, and is cut one way or both.
#pragma once

#include <array>
#include <vector>

#include "schedule.h"

namespace millrace::sim {

inline constexpr std::size_t silos_max = 5;

/// How bad it is, for one run.
struct net_weather {
  std::uint64_t lost_permille = 0;
  std::uint64_t doubled_permille = 0;
  std::uint64_t slow_permille = 0;  ///< Takes up to `slow`.
  duration slow{};
  duration usual = milliseconds{1};
};

class sim_net {
public:
  sim_net(schedule& plan, dice& random) : plan_(plan), random_(random) {}
  net_weather weather;

  void cut(std::size_t from, std::size_t to, steady_time until) { cut_[from][to] = until; }
  void mend_cuts() { cut_ = {}; }
  /// Between these two so much more is lost, both ways.
  void spoil(std::size_t one, std::size_t other, std::uint64_t permille, steady_time until) {
    poor_[one][other] = poor_[other][one] = {permille, until};
  }
  void heal() {
    cut_ = {};
    poor_ = {};
    weather = {};
  }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

  /// Calls `arrive` when it does: never, once or twice.
  template <class Arrive>
  void send(std::size_t from, std::size_t to, const Arrive& arrive) {
    const auto& poor = poor_[from][to];
    if (plan_.now() < cut_[from][to] || random_.permille(weather.lost_permille) ||
        (plan_.now() < poor.until && random_.permille(poor.lost_permille))) {
      ++lost_;
      return;
    }
    const int times = random_.permille(weather.doubled_permille) ? 2 : 1;
    for (int time = 0; time < times; ++time) {
      const bool is_slow = random_.permille(weather.slow_permille);
      plan_.after(random_.between(microseconds{50}, is_slow ? weather.slow : weather.usual),
                  arrive);
    }
  }

private:
  struct poor_link {
    std::uint64_t lost_permille = 0;
    steady_time until{};
  };
  schedule& plan_;
  dice& random_;
  std::array<std::array<poor_link, silos_max>, silos_max> poor_{};
  std::array<std::array<steady_time, silos_max>, silos_max> cut_{};
  std::uint64_t lost_ = 0;
};

}  // namespace millrace::sim
