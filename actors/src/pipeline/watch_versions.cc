// SPDX-License-Identifier: MIT
#include "pipeline/watch_versions.h"

#include <algorithm>
#include <unordered_set>

#include "definition/fill_values.h"
#include "definition/value_json.h"
#include "secrets/signature.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t digest_digits = 32;

std::string digest_of(const std::string& version) {
  return hmac_sha256(version, {}).substr(0, digest_digits);
}

std::string_view without_blanks(std::string_view line) {
  constexpr std::string_view blanks = " \t\r\v\f";
  const auto first = line.find_first_not_of(blanks);
  return first == std::string_view::npos
             ? std::string_view{}
             : line.substr(first, line.find_last_not_of(blanks) + 1 - first);
}

// Nothing where the text is no JSON object.
std::optional<value> record_of(std::string_view text) {
  if (!text.starts_with('{')) {
    return std::nullopt;
  }
  const auto json = parse_json(text);
  return json && rounded_integer_in(text).empty() ? std::optional{from_json_value(*json)}
                                                  : std::nullopt;
}

}  // namespace

result<std::vector<std::string>> versions_in(std::string_view printed) {
  std::vector<std::string> found;
  std::size_t number = 0;
  while (!printed.empty()) {
    number += 1;
    const auto end = std::min(printed.find('\n'), printed.size());
    const auto line = without_blanks(printed.substr(0, end));
    printed.remove_prefix(std::min(end + 1, printed.size()));
    if (line.size() > version_bytes_max) {
      return error{errc::invalid_argument, "line " + std::to_string(number) + " has more than " +
                                               std::to_string(version_bytes_max) +
                                               " bytes; print what tells versions "
                                               "apart, such as a hash"};
    }
    if (!line.empty()) {
      const auto record = record_of(line);
      found.push_back(record ? to_json(*record) : std::string{line});
    }
  }
  std::unordered_set<std::string_view> later;
  std::vector<std::string> once;
  once.reserve(found.size());
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    if (later.insert(*each).second) {
      once.push_back(*each);
    }
  }
  if (once.size() > check_versions_max) {
    return error{errc::invalid_argument,
                 std::to_string(once.size()) + " versions; a check may print " +
                     std::to_string(check_versions_max) + ": those that came after $" +
                     std::string{last_version_variable} + " would do"};
  }
  std::reverse(once.begin(), once.end());
  return once;
}

std::vector<std::string> take_new(const std::vector<std::string>& found, check_order order,
                                  first_versions first, std::string& seen) {
  std::unordered_set<std::string> before;
  for (std::size_t at = 0; at + digest_digits <= seen.size(); at += digest_digits) {
    before.insert(seen.substr(at, digest_digits));
  }
  std::vector<std::string> fresh;
  std::vector<std::string> digests;
  digests.reserve(found.size());
  for (const auto& each : found) {
    digests.push_back(digest_of(each));
    if (!before.contains(digests.back())) {
      fresh.push_back(each);
    }
  }
  if (fresh.empty()) {
    return fresh;
  }
  const std::unordered_set<std::string> now{digests.begin(), digests.end()};
  std::string kept;
  for (std::size_t at = 0; at + digest_digits <= seen.size(); at += digest_digits) {
    if (auto digest = seen.substr(at, digest_digits); !now.contains(digest)) {
      kept += digest;
    }
  }
  for (const auto& each : digests) {
    kept += each;
  }
  constexpr auto most = check_versions_max * digest_digits;
  seen = kept.substr(kept.size() - std::min(kept.size(), most));
  if (order == check_order::first && first == first_versions::newest) {
    return fresh.back() == found.back() ? std::vector<std::string>{fresh.back()}
                                        : std::vector<std::string>{};
  }
  return fresh;
}

version_scope::version_scope(const std::string& version)
    : version_(record_of(version).value_or(make_value(version))) {}

std::optional<value> version_scope::trigger(std::string_view name,
                                            const std::vector<std::string>& path) const {
  const auto* found = name == "version" ? part_of(version_, path) : nullptr;
  return found != nullptr ? std::optional{*found} : std::nullopt;
}

}  // namespace millrace::actors
