// SPDX-License-Identifier: MIT
// Silos of one cluster in this process: real links, real disks, a local coordination store.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "candidates.h"
#include "cluster/placement.h"
#include "folders.h"
#include "runtime/silo/counter.h"
#include "silo/silo_access.h"

namespace millrace::testing {

using namespace std::chrono_literals;

inline constexpr std::uint16_t cluster_partitions = 16;

/// Keys, at least one in each partition.
inline std::vector<std::string> keys_of_all_partitions() {
  std::map<partition_id, std::string> keys;
  for (int number = 0; keys.size() < cluster_partitions; ++number) {
    const auto key = "k" + std::to_string(number);
    keys.emplace(partition_of("counter", key, "", cluster_partitions), key);
  }
  std::vector<std::string> all;
  for (const auto& [partition, key] : keys) {
    all.push_back(key);
  }
  return all;
}

class silos {
public:
  using adjust = std::function<void(silo_options&)>;

  /// A silo that has not started.
  std::unique_ptr<silo> make(
      const std::string& name, const adjust& change = [](auto&) {}) {
    silo_options options;
    options.name = name;
    options.threads = 1;
    options.warn = [this, name](std::string_view line) { note(name + " warns: ", line); };
    options.log = [this, name](std::string_view line) { note(name + ": ", line); };
    auto& cluster = options.cluster.emplace();
    cluster.coordination = "local:" + (folder.path / "cluster").string();
    cluster.session_ttl = 1s;
    cluster.balance_after = 200ms;
    change(options);
    std::unique_ptr<storage> rows;
    if (options.cluster->roles.state) {
      storage_options disk;
      disk.directory = (folder.path / ("data-" + name)).string();
      disk.partition_count = cluster_partitions;
      disk.in_cluster = true;
      auto opened = open_storage(disk);
      REQUIRE(opened);
      rows = std::move(*opened);
    }
    auto made = std::make_unique<silo>(std::move(rows), std::move(options));
    made->add<counter>();
    return made;
  }
  std::unique_ptr<silo> start(
      const std::string& name, const adjust& change = [](auto&) {}) {
    auto made = make(name, change);
    if (auto started = made->start(); !started) {
      FAIL("silo " << name << ": " << started.error().to_string() << told());
    }
    return made;
  }

  /// Ends it as a process does that is killed.
  static void kill(std::unique_ptr<silo>& one) {
    runtime::detail::silo_access::core(*one).abandon();
    one.reset();
  }

  /// Calls `is_so`, which does some work, until it is; fails after a minute.
  template <class Predicate>
  void until(const char* what, Predicate is_so) {
    const system_clock time;
    const auto give_up = time.steady() + 60s;
    while (!is_so()) {
      if (time.steady() > give_up) {
        FAIL("it does not come to pass that " << std::string{what} << told());
      }
    }
  }

  /// Waits for a line that begins so.
  void wait_for(const std::string& line) {
    std::unique_lock lock{mutex_};
    const bool there = changed_.wait_for(lock, 60s, [&] { return has_line(line); });
    lock.unlock();
    if (!there) {
      FAIL("nobody says '" << line << "'" << told());
    }
  }
  /// Whether there is such a line.
  [[nodiscard]] bool said(const std::string& line) {
    const std::lock_guard lock{mutex_};
    return has_line(line);
  }

  /// How many lines have that text.
  [[nodiscard]] std::ptrdiff_t count(std::string_view text) {
    const std::lock_guard lock{mutex_};
    return std::count_if(lines_.begin(), lines_.end(), [&](const std::string& each) {
      return each.find(text) != std::string::npos;
    });
  }

  [[nodiscard]] std::string told() {
    const std::lock_guard lock{mutex_};
    std::string all;
    for (const auto& each : lines_) {
      all += "\n  " + each;
    }
    return all;
  }

  temporary_folder folder;

private:
  [[nodiscard]] bool has_line(const std::string& begin) const {
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const std::string& each) { return each.starts_with(begin); });
  }
  void note(const std::string& who, std::string_view line) {
    const std::lock_guard lock{mutex_};
    lines_.push_back(who + std::string{line});
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// Adds one to a counter of each partition.
inline void add(silo& to) {
  for (const auto& key : keys_of_all_partitions()) {
    const auto added = to.call(ref<Counter>(key).add(1));
    REQUIRE_MESSAGE(added, (added ? "" : added.error().to_string()));
  }
}

/// The sum of these counters.
inline std::int64_t total(silo& of) {
  std::int64_t sum = 0;
  for (const auto& key : keys_of_all_partitions()) {
    const auto got = of.call(ref<Counter>(key).get());
    REQUIRE_MESSAGE(got, (got ? "" : got.error().to_string()));
    sum += got->total();
  }
  return sum;
}

/// How many partitions a silo leads, as `seen_by` knows.
inline std::size_t led_by(const std::string& name, const silo& seen_by) {
  for (const auto& each : seen_by.cluster_view().silos) {
    if (each.name == name) {
      return each.partitions_primary;
    }
  }
  return 0;
}

/// Whether each partition has so many copies in sync, and is led by the silo that it prefers.
inline bool is_balanced(const silo& seen_by, std::size_t copies) {
  const auto seen = seen_by.cluster_view();
  std::vector<std::string> names;
  for (const auto& each : seen.silos) {
    if (each.roles.state) {
      names.push_back(each.name);
    }
  }
  return std::all_of(seen.partitions.begin(), seen.partitions.end(), [&](const auto& each) {
    return each.is_active && each.in_sync.size() == copies &&
           each.primary == ranked_for(each.partition, plain(names)).front();
  });
}

/// Waits until every partition has that many copies, is led by who is preferred, and answers
/// `from`.
inline void settle(silos& all, silo& from, std::size_t copies) {
  all.until("every partition has its copies, and is where it should be",
            [&] { return total(from) >= 0 && is_balanced(from, copies); });
}

}  // namespace millrace::testing
