// SPDX-License-Identifier: MIT
// Spare threads: what a silo runs on while turns hold all of its own.
//
// To block in a turn is a bug, which the log then names; the other actors go on meanwhile. The plan
// is in spare_plan.h; here is what carries it out: a thread that looks, ten times a second while
// anything runs and once a second else, and the threads that it adds.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "millrace/runtime/metrics.h"
#include "silo/spare_plan.h"

namespace millrace::runtime::detail {

class silo_core;

/// Threading: any thread.
class spare_threads {
public:
  spare_threads(silo_core& home, unsigned spares_max);
  spare_threads(const spare_threads&) = delete;
  spare_threads& operator=(const spare_threads&) = delete;
  ~spare_threads();

  void start();
  /// Waits for turns that spare threads run.
  void stop();

  /// A thread begins to run turns. Cost: a load, but after a second in which nothing ran.
  void stirred() noexcept {
    if (dozes_.load(std::memory_order_relaxed)) {
      wake();
    }
  }
  void add_to(silo_metrics& all) const;

private:
  class spare;
  void watch();
  void wake() noexcept;
  [[nodiscard]] thread_look look();
  void add();
  void dismiss();
  void bury_ended();

  silo_core& home_;
  const unsigned spares_max_;
  std::atomic<bool> dozes_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stirred_ = false;
  bool stopping_ = false;
  std::vector<std::unique_ptr<spare>> spares_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> blocked_;  // by type and method
  std::thread watcher_;
};

}  // namespace millrace::runtime::detail
