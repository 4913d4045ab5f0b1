// SPDX-License-Identifier: MIT
#include "millrace/actors/run_id.h"

#include <cstdio>

namespace millrace::actors {

std::string make_run_id(runtime::wall_time now, runtime::rng& random) {
  const auto ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  const auto a = random.next();
  const auto b = random.next();
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%012llx", static_cast<unsigned>(ms >> 16U),
                static_cast<unsigned>(ms & 0xffffU), static_cast<unsigned>(a & 0xfffU),
                static_cast<unsigned>(0x8000U | (a >> 12U & 0x3fffU)),
                static_cast<unsigned long long>(b & 0xffff'ffff'ffffU));
  return text;
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
