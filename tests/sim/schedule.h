// SPDX-License-Identifier: MIT
// The one thread of a simulated cluster: what happens when, in simulated time, and a trace of it.
// The order of events, and with it everything, follows from the seed alone.
#pragma once

#include <xxhash.h>

#include <cstdio>
#include <functional>
#include <initializer_list>
#include <queue>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"

namespace millrace::sim {

using runtime::duration;
using runtime::steady_time;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Random choices of one seed.
class dice {
public:
  explicit dice(std::uint64_t seed) : bits_(seed) {}
  std::uint64_t below(std::uint64_t count) { return bits_.next() % count; }
  bool once_in(std::uint64_t times) { return below(times) == 0; }
  bool permille(std::uint64_t parts) { return below(1000) < parts; }
  duration between(duration least, duration most) {
    return least + duration{static_cast<std::int64_t>(
                       below(static_cast<std::uint64_t>((most - least).count()) + 1))};
  }
  std::uint64_t between_of(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }
  std::uint64_t next() { return bits_.next(); }

private:
  runtime::rng bits_;
};

/// What has happened, as a digest of everything, and as lines when somebody wants to read it.
class trace {
public:
  explicit trace(bool to_text) : to_text_(to_text) {}

  void note(steady_time now, const char* what, std::initializer_list<std::uint64_t> numbers) {
    auto mixed = digest_ ^ static_cast<std::uint64_t>(now.time_since_epoch().count());
    for (const auto each : numbers) {
      mixed = (mixed ^ each) * 0x9e3779b97f4a7c15ULL;
      mixed ^= mixed >> 29U;
    }
    digest_ = XXH3_64bits_withSeed(what, std::char_traits<char>::length(what), mixed);
    if (to_text_) {
      write(now, what, numbers);
    }
  }
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] const std::string& text() const { return text_; }

private:
  void write(steady_time now, const char* what, std::initializer_list<std::uint64_t> numbers) {
    char line[64];
    std::snprintf(line, sizeof line, "%12.6f ",
                  std::chrono::duration<double>(now.time_since_epoch()).count());
    text_ += line;
    text_ += what;
    for (const auto each : numbers) {
      text_ += " " + std::to_string(each);
    }
    text_ += "\n";
  }
  bool to_text_;
  std::uint64_t digest_ = 0;
  std::string text_;
};

/// Events by time, and in the order in which they were planned.
class schedule {
public:
  [[nodiscard]] steady_time now() const { return now_; }
  void after(duration delay, std::function<void()> action) {
    events_.push({now_ + delay, ++planned_, std::move(action)});
  }
  /// Runs what is due until then. Returns how many events that were.
  std::uint64_t run_until(steady_time end, const std::function<bool()>& is_done) {
    std::uint64_t count = 0;
    while (!events_.empty() && events_.top().at <= end && !is_done()) {
      auto action = std::move(const_cast<event&>(events_.top()).action);
      now_ = events_.top().at;
      events_.pop();
      action();
      ++count;
    }
    now_ = events_.empty() || events_.top().at > end ? end : now_;
    return count;
  }

private:
  struct event {
    steady_time at;
    std::uint64_t order;
    std::function<void()> action;
    friend bool operator<(const event& one, const event& other) {
      return one.at != other.at ? one.at > other.at : one.order > other.order;
    }
  };
  steady_time now_{};
  std::uint64_t planned_ = 0;
  std::priority_queue<event> events_;
};

}  // namespace millrace::sim
