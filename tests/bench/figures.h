// SPDX-License-Identifier: MIT
// What the benchmarks of the runtime share: the clock, medians, silos, counters that are called.
#pragma once

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "runtime/silo/counter.h"

namespace millrace::bench {

using namespace millrace::runtime;
using namespace millrace::testing;

inline std::string directory = "/tmp/millrace-bench";

// Of all threads of this process, in the kernel too.
inline double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& of) {
    return static_cast<double>(of.tv_sec) + static_cast<double>(of.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Prints both medians and their ratio; `target` as in the design's table.
inline void compare(const char* name, const char* unit, const std::function<double()>& ours,
                    const std::function<double()>& yardstick, const char* target) {
  std::vector<double> a;
  std::vector<double> b;
  for (int round = 0; round < rounds; ++round) {
    a.push_back(ours());
    b.push_back(yardstick());
  }
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target %s\n", name, median(a),
              median(b), unit, median(a) / median(b), target);
  std::fflush(stdout);
}

inline std::unique_ptr<silo> memory_silo() {
  auto here = std::make_unique<silo>(make_memory_storage(),
                                     silo_options{.mailbox_messages_max = 100'000'000});
  here->add<counter>();
  require(here->start().has_value(), "start");
  return here;
}

inline std::unique_ptr<silo> disk_silo(const std::string& name, silo_options options = {}) {
  auto rows = open_storage({.directory = directory + "/" + name});
  require(rows.has_value(), "open_storage");
  options.mailbox_messages_max = 100'000'000;
  auto here = std::make_unique<silo>(*std::move(rows), std::move(options));
  here->add<counter>();
  require(here->start().has_value(), "start");
  return here;
}

// What a call that costs so many seconds of processor time allows at most.
inline void print_processor_time(double seconds) {
  const auto processors = std::thread::hardware_concurrency();
  std::printf(
      "             a call takes %.1f us of processor time: %u processors do %.0f at most\n",
      seconds * 1e6, processors, processors / seconds);
}

// What each thread of this process spends between `begin` and `end`, by the kernel's counters.
// Threads of one name are of one kind; the first thread is the caller.
class thread_costs {
public:
  void begin() { before_ = look(); }
  void end() {
    for (auto& [id, now] : look()) {
      auto& one = spent_[id];
      one.kind = std::move(now.kind);
      one.seconds += now.seconds - before_[id].seconds;
      one.switches += now.switches - before_[id].switches;
    }
  }

  [[nodiscard]] double caller_seconds() const { return spent_.at(::getpid()).seconds; }

  // A row for each kind, and what the processors, and the busiest thread, allow at most.
  void print(double calls) const {
    struct kind {
      int threads = 0;
      spending all;
      double most = 0;  // of one thread, in seconds
    };
    std::map<std::string, kind> kinds;
    double sum = 0;
    const spending* busiest = nullptr;
    for (const auto& [id, one] : spent_) {
      auto& of = kinds[one.kind];
      ++of.threads;
      of.all.seconds += one.seconds;
      of.all.switches += one.switches;
      of.most = std::max(of.most, one.seconds);
      sum += one.seconds;
      busiest = busiest != nullptr && busiest->seconds >= one.seconds ? busiest : &one;
    }
    std::printf("             %-12s %8s %12s %14s %18s\n", "thread", "of them", "ns a call",
                "the busiest's", "switches a call");
    for (const auto& [name, of] : kinds) {
      std::printf("             %-12s %8d %12.0f %14.0f %18.4f\n", name.c_str(), of.threads,
                  of.all.seconds / calls * 1e9, of.most / calls * 1e9, of.all.switches / calls);
    }
    const auto processors = std::thread::hardware_concurrency();
    std::printf(
        "             %.0f ns a call in all: %u processors do %.0f at most, the busiest thread "
        "(%s) %.0f\n",
        sum / calls * 1e9, processors, processors * calls / sum, busiest->kind.c_str(),
        calls / busiest->seconds);
  }

private:
  struct spending {
    std::string kind;
    double seconds = 0;   // on a processor
    double switches = 0;  // of its own will
  };
  using by_thread = std::map<int, spending>;

  static by_thread look() {
    by_thread found;
    for (const auto& each : std::filesystem::directory_iterator{"/proc/self/task"}) {
      const auto id = std::stoi(each.path().filename().string());
      auto& one = found[id];
      std::ifstream{each.path() / "comm"} >> one.kind;
      double nanoseconds = 0;
      std::ifstream{each.path() / "schedstat"} >> nanoseconds;
      one.seconds = nanoseconds * 1e-9;
      std::ifstream status{each.path() / "status"};
      for (std::string word; status >> word;) {
        if (word == "voluntary_ctxt_switches:") {
          status >> one.switches;
        }
      }
      // As CAF 0.17 calls its workers.
      one.kind = id == ::getpid() ? "caller" : one.kind == "caf.multiplexer" ? "worker" : one.kind;
    }
    return found;
  }

  by_thread before_;
  by_thread spent_;
};

// Makes `total` calls, number `at` of them `call_of(at)`, at most `window` open; per second.
template <class T, class CallOf>
double call_many(silo& here, int total, int window, CallOf&& call_of) {
  std::atomic<int> open{0};
  const auto start = now();
  for (int at = 0; at < total; ++at) {
    ++open;
    here.call_then<T>(call_of(at), [&open](auto answer) {
      require(answer.has_value(), "a call");
      --open;
      open.notify_one();
    });
    for (int seen = open; seen >= window; seen = open) {
      open.wait(seen);
    }
  }
  for (int seen = open; seen > 0; seen = open) {
    open.wait(seen);
  }
  return total / (now() - start);
}

// Calls `add` of `actors` counters, `total` times.
inline double durable_calls(silo& here, std::uint64_t first, int total, int actors, int window) {
  return call_many<counter_interface::add_results>(here, total, window, [=](int at) {
    return ref<Counter>("d" + std::to_string(first + static_cast<std::uint64_t>(at % actors)))
        .add(1);
  });
}

inline double heap_bytes() {
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

}  // namespace millrace::bench
