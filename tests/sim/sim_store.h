// SPDX-License-Identifier: MIT
// SimStore: the coordination store. Requests and answers get lost, a change may happen seconds
// after it was given up, a watch tells late or not at all, and some silos cannot reach it for a
// while.
#pragma once

#include <array>
#include <functional>
#include <map>

#include "partition/partition_record.h"
#include "sim_net.h"

namespace millrace::sim {

using runtime::partition_record;

struct store_weather {
  std::uint64_t lost_permille = 0;  ///< Of requests, and again of answers.
  std::uint64_t late_permille = 0;  ///< Takes up to `late` to happen.
  duration late{};
  duration watch_late = milliseconds{20};
};

class sim_store {
public:
  using reader = std::function<void(const partition_record&)>;

  sim_store(schedule& plan, dice& random) : plan_(plan), random_(random) {}
  store_weather weather;
  /// How much later than others a change happens.
  std::function<duration(const partition_record& wanted)> held_up;
  /// Called before the record becomes another one.
  std::function<void(const partition_record& before, const partition_record& after)> changing;
  /// Told of each change, late.
  std::function<void(std::size_t silo, const partition_record&)> watched;

  [[nodiscard]] const partition_record& record() const { return record_; }
  void create(const partition_record& record) { record_ = record; }
  void cut(std::size_t silo, steady_time until) { cut_[silo] = until; }
  void heal() {
    cut_ = {};
    weather = {};
  }

  void read(std::size_t silo, reader answer) {
    request(silo, {}, [this, silo, answer = std::move(answer)] { respond(silo, answer); });
  }

  /// Puts `wanted` in place of the record with its version.
  void change(std::size_t silo, partition_record wanted, reader answer) {
    const auto extra = held_up(wanted);
    const auto number = ++changes_;
    const auto asked = wanted;
    const bool is_sent = request(
        silo, extra,
        [this, silo, number, wanted = std::move(wanted), answer = std::move(answer)]() mutable {
          under_way_.erase(number);
          if (wanted.version == record_.version) {
            ++wanted.version;
            changing(record_, wanted);
            record_ = wanted;
            tell_watchers();
          }
          respond(silo, answer);
        });
    if (is_sent) {
      under_way_.emplace(number, asked);
    }
  }

  /// The changes that have been asked for and have not happened yet; those of an older version
  /// never will.
  [[nodiscard]] const std::map<std::uint64_t, partition_record>& under_way() const {
    return under_way_;
  }

private:
  bool request(std::size_t silo, duration extra, std::function<void()> action) {
    if (plan_.now() < cut_[silo] || random_.permille(weather.lost_permille)) {
      return false;
    }
    const bool is_late = random_.permille(weather.late_permille);
    plan_.after(
        extra + random_.between(microseconds{200}, is_late ? weather.late : milliseconds{4}),
        std::move(action));
    return true;
  }
  void respond(std::size_t silo, const reader& answer) {
    if (plan_.now() < cut_[silo] || random_.permille(weather.lost_permille)) {
      return;
    }
    plan_.after(random_.between(microseconds{200}, milliseconds{4}),
                [answer, read = record_] { answer(read); });
  }
  void tell_watchers() {
    for (std::size_t silo = 0; silo < silos_max; ++silo) {
      if (!random_.permille(weather.lost_permille)) {
        plan_.after(random_.between(milliseconds{1}, weather.watch_late),
                    [this, silo, read = record_] {
                      if (plan_.now() >= cut_[silo]) {
                        watched(silo, read);
                      }
                    });
      }
    }
  }

  schedule& plan_;
  dice& random_;
  partition_record record_;
  std::uint64_t changes_ = 0;
  std::map<std::uint64_t, partition_record> under_way_;  // by number
  std::array<steady_time, silos_max> cut_{};
};

}  // namespace millrace::sim
