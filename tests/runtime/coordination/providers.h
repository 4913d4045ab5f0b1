// SPDX-License-Identifier: MIT
// What the conformance suite runs over: a place for a store, which any process may open.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "coordination/coordination_store.h"
#include "coordination/etcd_store.h"
#include "coordination/local_store.h"
#include "etcd_server.h"

namespace millrace::testing {

inline const runtime::system_clock& the_clock() {
  static const runtime::system_clock clock;
  return clock;
}

/// A deadline that nothing meets.
inline runtime::steady_time soon() {
  return the_clock().steady() + std::chrono::seconds{30};
}

inline std::unique_ptr<runtime::coordination_store> opened(
    runtime::result<std::unique_ptr<runtime::coordination_store>> store) {
  if (!store) {
    FAIL(store.error().to_string());
  }
  return std::move(*store);
}

struct local_provider {
  std::unique_ptr<runtime::coordination_store> open(runtime::coordination_options options = {}) {
    return opened(runtime::open_local_store(folder.path, the_clock(), std::move(options)));
  }
  temporary_folder folder;
};

struct etcd_provider {
  etcd_provider() { static_cast<void>(shared_etcd()); }  // not in a child
  std::unique_ptr<runtime::coordination_store> open(runtime::coordination_options options = {}) {
    runtime::etcd_options etcd;
    etcd.endpoints = {shared_etcd().url()};
    etcd.prefix = prefix;
    return opened(runtime::open_etcd_store(etcd, the_clock(), soon(), std::move(options)));
  }
  std::string prefix = "/test-" + std::to_string(runtime::mint_nonce()) + "/";
};

/// Waits for what a hint announces.
class hint_counter {
public:
  std::function<void()> hook() {
    return [this] {
      const std::lock_guard lock{mutex_};
      ++count_;
      changed_.notify_all();
    };
  }
  /// Asks anew after each hint; false when `is_so` does not become so.
  template <class Predicate>
  bool wait_until(Predicate is_so) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    for (;;) {
      std::unique_lock lock{mutex_};
      const auto seen = count_;
      lock.unlock();
      if (is_so()) {
        return true;
      }
      lock.lock();
      if (!changed_.wait_until(lock, give_up, [&] { return count_ != seen; })) {
        return false;
      }
    }
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned count_ = 0;
};

}  // namespace millrace::testing
