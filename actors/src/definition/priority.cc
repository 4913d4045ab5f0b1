// SPDX-License-Identifier: MIT
#include "millrace/actors/priority.h"

#include <charconv>

namespace millrace::actors {

std::optional<std::uint32_t> parse_priority(std::string_view text) {
  for (const auto& each : priority_classes) {
    if (text == each.name) {
      return each.priority;
    }
  }
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size() || number > priority_max) {
    return std::nullopt;
  }
  return number;
}

}  // namespace millrace::actors
