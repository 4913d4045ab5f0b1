// SPDX-License-Identifier: MIT
// Meters: numbers that one thread counts up and others read, without a lock or a locked
// instruction.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "millrace/runtime/histogram.h"

namespace millrace::runtime::detail {

/// A number that only grows.
class meter_count {
public:
  /// Threading: one thread.
  void add(std::uint64_t count = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  /// Threading: any thread, if no thread uses `add`.
  void add_shared(std::uint64_t count = 1) noexcept {
    value_.fetch_add(count, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t read() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// Threading: one writer.
class meter_histogram {
public:
  /// So many of this length each.
  void add(duration each, std::uint64_t count = 1) noexcept {
    const auto length = static_cast<std::uint64_t>(std::max(each, duration{}).count());
    counts_[each.count() <= histogram_bounds_ns[0] ? 0 : bucket_of(length)].add(count);
    sum_.add(length * count);
  }
  void add_to(histogram& all) const noexcept {
    for (std::size_t at = 0; at < counts_.size(); ++at) {
      all.counts[at] += counts_[at].read();
    }
    all.sum += duration{static_cast<std::int64_t>(sum_.read())};
  }

private:
  // The first bucket that numbers of so many bits may belong to.
  static constexpr auto first_of_bits = [] {
    std::array<std::uint8_t, 65> first{};
    for (std::size_t bits = 1; bits < first.size(); ++bits) {
      const auto least = std::uint64_t{1} << (bits - 1);
      while (first[bits] < histogram_bounds_ns.size() &&
             static_cast<std::uint64_t>(histogram_bounds_ns[first[bits]]) < least) {
        ++first[bits];
      }
    }
    return first;
  }();
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t length) noexcept {
    std::size_t at = first_of_bits[static_cast<std::size_t>(std::bit_width(length))];
    while (at < histogram_bounds_ns.size() &&
           static_cast<std::uint64_t>(histogram_bounds_ns[at]) < length) {
      ++at;
    }
    return at;
  }

  std::array<meter_count, histogram_bounds_ns.size() + 1> counts_;
  meter_count sum_;  // ns
};

}  // namespace millrace::runtime::detail
