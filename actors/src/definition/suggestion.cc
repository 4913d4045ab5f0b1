// SPDX-License-Identifier: MIT
#include "millrace/actors/suggestion.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace millrace::actors {
namespace {

// Longer words are not compared: they would cost more than a suggestion is worth.
constexpr std::size_t word_bytes_max = 64;

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const auto longer = std::max(a.size(), b.size());
  const auto shorter = std::min(a.size(), b.size());
  if (longer > word_bytes_max || longer - shorter > limit) {
    return limit + 1;
  }
  using row = std::array<std::size_t, word_bytes_max + 1>;
  row before_last{};
  row last{};
  row current{};
  for (std::size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
    before_last = last;
    last = current;
  }
  return std::min(last[b.size()], limit + 1);
}

suggestion::suggestion(std::string_view wrong)
    : wrong_(wrong), limit_(std::max<std::size_t>(1, wrong.size() / 3)) {}

void suggestion::consider(std::string_view candidate) {
  if (limit_ == 0 && !best_.empty()) {
    return;
  }
  const auto distance = edit_distance(wrong_, candidate, limit_);
  if (distance <= limit_ && (best_.empty() || distance < limit_)) {
    best_ = candidate;
    limit_ = distance;
  }
}

}  // namespace millrace::actors
