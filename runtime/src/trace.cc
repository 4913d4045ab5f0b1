// SPDX-License-Identifier: MIT
#include "millrace/runtime/trace.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/runtime/assert.h"

namespace millrace::runtime {

namespace {

// version "-" trace-id "-" parent-id "-" flags
constexpr std::size_t version_digits = 2;
constexpr std::size_t trace_at = 3;
constexpr std::size_t span_at = 36;
constexpr std::size_t flags_at = 53;
constexpr std::size_t length = 55;
constexpr std::size_t id_digits = 16;
constexpr std::uint64_t sampled_flag = 1;

// Nothing unless all of it are lower-case digits.
std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t number = 0;
  for (const auto each : digits) {
    const auto digit = std::string_view{"0123456789abcdef"}.find(each);
    if (digit == std::string_view::npos) {
      return std::nullopt;
    }
    number = number << 4U | digit;
  }
  return number;
}

void append_digits(std::string& to, std::uint64_t number) {
  std::array<char, id_digits> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number, 16).ptr;
  const auto count = static_cast<std::size_t>(end - digits.data());
  to.append(id_digits - count, '0').append(digits.data(), count);
}

}  // namespace

std::optional<trace_context> parse_traceparent(std::string_view text) {
  if (text.size() < length || text[trace_at - 1] != '-' || text[span_at - 1] != '-' ||
      text[flags_at - 1] != '-') {
    return std::nullopt;
  }
  const auto version = number_of(text.substr(0, version_digits));
  const auto high = number_of(text.substr(trace_at, id_digits));
  const auto low = number_of(text.substr(trace_at + id_digits, id_digits));
  const auto span = number_of(text.substr(span_at, id_digits));
  const auto flags = number_of(text.substr(flags_at, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff) {
    return std::nullopt;
  }
  if (text.size() > length && (*version == 0 || text[length] != '-')) {
    return std::nullopt;
  }
  const trace_context read{{*high, *low}, span_id{*span}, (*flags & sampled_flag) != 0};
  return read ? std::optional{read} : std::nullopt;
}

std::string to_traceparent(const trace_context& place) {
  MILLRACE_ASSERT(bool{place});
  std::string text;
  text.reserve(length);
  text += "00-";
  append_digits(text, place.trace.high);
  append_digits(text, place.trace.low);
  text += '-';
  append_digits(text, static_cast<std::uint64_t>(place.span));
  text += place.is_sampled ? "-01" : "-00";
  return text;
}

std::optional<trace_context> trace_of(const request_context& context) {
  const auto found = context.find(traceparent_name);
  return found == context.end() ? std::nullopt : parse_traceparent(found->second);
}

std::string to_string(const trace_id& id) {
  std::string text;
  append_digits(text, id.high);
  append_digits(text, id.low);
  return text;
}

std::string to_string(span_id id) {
  std::string text;
  append_digits(text, static_cast<std::uint64_t>(id));
  return text;
}

trace_id new_trace_id(rng& random) noexcept {
  return {random.next(), std::max<std::uint64_t>(random.next(), 1)};
}

span_id new_span_id(rng& random) noexcept {
  return span_id{std::max<std::uint64_t>(random.next(), 1)};
}

span_id span_id_of(const trace_id& trace, std::string_view what) noexcept {
  const auto hash = XXH3_64bits_withSeed(what.data(), what.size(), trace.high ^ trace.low);
  return span_id{std::max<std::uint64_t>(hash, 1)};
}

bool is_sampled(const trace_id& trace, double ratio) noexcept {
  constexpr auto random_bits = 56U;
  constexpr auto all = std::uint64_t{1} << random_bits;
  const auto wanted = static_cast<std::uint64_t>(ratio * static_cast<double>(all));
  return (trace.low & (all - 1)) < wanted;
}

}  // namespace millrace::runtime
