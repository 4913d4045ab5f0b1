// SPDX-License-Identifier: MIT
// Growth benchmark: what runs that have ended cost, in memory, on disk and in time.
//
//   bench_growth [--directory DIR] [--runs N] [--base N] [--keep N]
//
// Clients submit runs of one task `true` and wait for each. After `base` runs, and then ten times
// on the way to `runs`, everything comes to rest and is measured; at the end the silo is opened
// again. What grows is told beside the limit that it must keep.
#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "pipeline_node.h"

namespace {

using namespace millrace;
using namespace millrace::bench;
namespace fs = std::filesystem;

constexpr unsigned clients = 8;

// What may stay in memory of all runs between the first measurement and the last.
constexpr double growth_mb_max = 20;

struct disk_use {
  double mb = 0;
  std::uint64_t files = 0;
};

disk_use disk_of(const std::string& directory) {
  disk_use all;
  for (const auto& each : fs::recursive_directory_iterator{directory}) {
    struct stat status {};
    if (::lstat(each.path().c_str(), &status) == 0) {
      all.mb += static_cast<double>(status.st_blocks) * 512 / 1e6;
      ++all.files;
    }
  }
  return all;
}

struct measured {
  std::uint64_t runs = 0;
  double resident_mb = 0;
  double disk_mb = 0;
  double submits_per_s = 0;
};

// Clients run until there are `runs`.
double run_until(node& here, std::uint64_t from, std::uint64_t runs) {
  std::atomic<std::uint64_t> next{from};
  const auto start = now();
  std::vector<std::thread> all;
  for (unsigned at = 0; at < clients; ++at) {
    all.emplace_back([&] {
      while (next.fetch_add(1) < runs) {
        here.wait(here.submit());
      }
    });
  }
  for (auto& each : all) {
    each.join();
  }
  return static_cast<double>(runs - from) / (now() - start);
}

// Until what has ended has left, at most a minute: what is still there then shows in the figures.
void come_to_rest(node& here) {
  for (int tries = 0; tries < 600 && here.silo->stats().activations > 8; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  std::this_thread::sleep_for(std::chrono::seconds{12});  // longer than memory is kept back
}

measured measure(node& here, const std::string& directory, std::uint64_t runs, double rate) {
  come_to_rest(here);
  const auto disk = disk_of(directory);
  const auto heap = ::mallinfo2();
  const measured seen{runs, memory_mb("VmRSS"), disk.mb, rate};
  const auto each = static_cast<double>(runs);
  std::printf(
      "%-10s %8llu runs: resident %6.1f MB (own %6.1f, mapped files %6.1f; heap in use %6.1f, "
      "free %6.1f), %llu activations, disk %7.1f MB %5.2f KB a run, %llu files, "
      "%6.0f runs/s\n",
      "growth", static_cast<unsigned long long>(runs), seen.resident_mb, memory_mb("RssAnon"),
      memory_mb("RssFile"), static_cast<double>(heap.uordblks) / 1e6,
      static_cast<double>(heap.fordblks) / 1e6,
      static_cast<unsigned long long>(here.silo->stats().activations), disk.mb,
      disk.mb * 1e3 / each, static_cast<unsigned long long>(disk.files), rate);
  std::fflush(stdout);
  return seen;
}

}  // namespace

int main(int count, char** arguments) {
  std::string directory = "/tmp/millrace-bench-growth";
  std::uint64_t runs = 200'000;
  std::uint64_t base = 5'000;
  std::uint64_t keep = 0;
  for (int at = 1; at + 1 < count; at += 2) {
    if (std::strcmp(arguments[at], "--directory") == 0) {
      directory = arguments[at + 1];
    } else if (std::strcmp(arguments[at], "--runs") == 0) {
      runs = std::strtoull(arguments[at + 1], nullptr, 10);
    } else if (std::strcmp(arguments[at], "--base") == 0) {
      base = std::strtoull(arguments[at + 1], nullptr, 10);
    } else if (std::strcmp(arguments[at], "--keep") == 0) {
      keep = std::strtoull(arguments[at + 1], nullptr, 10);
    }
  }
  require(base > 0 && runs > base, "--runs must be more than --base");
  fs::remove_all(directory);
  fs::create_directories(directory);
  std::vector<measured> all;
  {
    node here{directory};
    here.apply("name: one\ntasks: [{name: t, command: [/bin/true]}]\n" +
               (keep > 0 ? "retention: {runs: " + std::to_string(keep) + "}\n" : std::string{}));
    all.push_back(measure(here, directory, base, run_until(here, 0, base)));
    for (unsigned step = 1; step <= 10; ++step) {
      const auto until = base + (runs - base) * step / 10;
      all.push_back(measure(here, directory, until, run_until(here, all.back().runs, until)));
    }
  }
  const auto start = now();
  {
    node again{directory};
    again.pipeline = "default/one";
    again.wait(again.submit());
    std::printf("%-10s opened again with its first run in %.2f s, then resident %.1f MB\n",
                "growth", now() - start, memory_mb("VmRSS"));
  }
  const auto& first = all.front();
  const auto& last = all.back();
  std::printf("%-10s resident %+.1f MB from %llu to %llu runs  target <= %.0f\n", "growth",
              last.resident_mb - first.resident_mb, static_cast<unsigned long long>(first.runs),
              static_cast<unsigned long long>(last.runs), growth_mb_max);
  std::printf("%-10s runs/s at the end %.2f of the beginning  target >= 0.9\n", "growth",
              last.submits_per_s / all[1].submits_per_s);
  fs::remove_all(directory);
}
