// SPDX-License-Identifier: MIT
#include "definition/scalar_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace millrace::actors {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_integer_text(std::string_view text) {
  if (text.starts_with('-')) {
    text.remove_prefix(1);
  }
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit) &&
         (text.size() == 1 || text[0] != '0');
}

std::optional<double> float_of(std::string_view text, std::errc expected) {
  const auto digits = text.starts_with('-') ? text.substr(1) : text;
  const bool octal = digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
  if (digits.empty() || !is_digit(digits[0]) || octal) {
    return std::nullopt;
  }
  double number = 0;
  const auto* limit = text.data() + text.size();
  const auto [after, failure] = std::from_chars(text.data(), limit, number);
  if (failure != expected || after != limit || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

bool is_beyond_numbers(std::string_view text) {
  std::int64_t number = 0;
  return (is_integer_text(text) &&
          std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) ||
         float_of(text, std::errc::result_out_of_range);
}

bool is_ambiguous(std::string_view text) {
  constexpr std::array words{
      std::string_view{"yes"},  std::string_view{"no"},   std::string_view{"on"},
      std::string_view{"off"},  std::string_view{"y"},    std::string_view{"n"},
      std::string_view{"Yes"},  std::string_view{"No"},   std::string_view{"On"},
      std::string_view{"Off"},  std::string_view{"YES"},  std::string_view{"NO"},
      std::string_view{"ON"},   std::string_view{"OFF"},  std::string_view{"Y"},
      std::string_view{"N"},    std::string_view{"True"}, std::string_view{"False"},
      std::string_view{"TRUE"}, std::string_view{"FALSE"}};
  if (std::find(words.begin(), words.end(), text) != words.end()) {
    return true;
  }
  const auto digits = text.starts_with('-') || text.starts_with('+') ? text.substr(1) : text;
  constexpr std::array specials{std::string_view{".inf"}, std::string_view{".Inf"},
                                std::string_view{".INF"}, std::string_view{".nan"},
                                std::string_view{".NaN"}, std::string_view{".NAN"}};
  if (std::find(specials.begin(), specials.end(), digits) != specials.end()) {
    return true;
  }
  if (digits.empty() || !is_digit(digits[0])) {
    return false;
  }
  const bool numeric =
      std::all_of(digits.begin(), digits.end(), [](char c) { return is_digit(c) || c == '_'; });
  if (numeric) {
    return !is_integer_text(text);
  }
  const bool prefixed = digits.size() > 2 && digits[0] == '0' &&
                        (digits[1] == 'x' || digits[1] == 'o' || digits[1] == 'b');
  if (prefixed) {
    return std::all_of(digits.begin() + 2, digits.end(), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
  }
  const auto zeros = std::min(digits.find_first_not_of('0'), digits.size());
  const auto kept = zeros > 0 && zeros < digits.size() && is_digit(digits[zeros]) ? zeros
                    : zeros > 0                                                   ? zeros - 1
                                                                                  : 0;
  if (!float_of(digits.substr(kept))) {
    return false;
  }
  const auto dot = digits.find('.');
  const bool zero_lost = dot != std::string_view::npos && digits.size() > dot + 2 &&
                         digits.ends_with('0') && digits.find_first_of("eE") == digits.npos;
  return zero_lost || text.starts_with('+') || kept > 0;
}

}  // namespace millrace::actors
