// SPDX-License-Identifier: MIT
#include "millrace/actors/run_id.h"

#include <algorithm>
#include <cstdio>

namespace millrace::actors {

namespace {

std::uint64_t milliseconds_of(runtime::wall_time time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

// Of `first`, the 12 bits that follow the time count.
std::string text_of_id(std::uint64_t ms, std::uint64_t first, runtime::rng& random) {
  const auto a = random.next();
  const auto b = random.next();
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%012llx", static_cast<unsigned>(ms >> 16U),
                static_cast<unsigned>(ms & 0xffffU), static_cast<unsigned>(first & 0xfffU),
                static_cast<unsigned>(0x8000U | (a & 0x3fffU)),
                static_cast<unsigned long long>(b & 0xffff'ffff'ffffU));
  return text;
}

}  // namespace

std::string make_run_id(runtime::wall_time now, runtime::rng& random) {
  return text_of_id(milliseconds_of(now), random.next(), random);
}

std::string ascending_run_ids::next(runtime::wall_time now) {
  const auto ms = milliseconds_of(now);
  if (ms <= latest_ms_ && count_ < 0xfffU) {
    count_ += 1;
  } else {
    latest_ms_ = std::max(ms, latest_ms_ + 1);
    count_ = random_.next() & 0x7ffU;
  }
  return text_of_id(latest_ms_, count_, random_);
}

bool is_run_id(std::string_view text) noexcept {
  if (text.size() != 36) {
    return false;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto dash = at == 8 || at == 13 || at == 18 || at == 23;
    const auto hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) {
      return false;
    }
  }
  return true;
}

}  // namespace millrace::actors
