// SPDX-License-Identifier: MIT
#include "http/entity_tags.h"

#include <algorithm>
#include <optional>

namespace millrace::gateway::http {
namespace {

constexpr std::string_view blank = " \t";

void skip(std::string_view& text, std::string_view what) {
  text.remove_prefix(std::min(text.find_first_not_of(what), text.size()));
}

// Takes one tag from the front.
std::optional<entity_tag> take_tag(std::string_view& text) {
  entity_tag tag;
  if (const auto digits = std::min(text.find_first_not_of("0123456789"), text.size()); digits > 0) {
    tag.text = text.substr(0, digits);
    text.remove_prefix(digits);
    return tag;
  }
  if (text.starts_with("W/")) {
    tag.weak = true;
    text.remove_prefix(2);
  }
  const auto end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
  if (end == std::string_view::npos) {
    return std::nullopt;
  }
  tag.text = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  return tag;
}

// Empty list elements are allowed (RFC 9110, 5.6.1).
bool take_list(std::string_view text, std::vector<entity_tag>& into) {
  for (skip(text, " \t,"); !text.empty(); skip(text, " \t,")) {
    auto tag = take_tag(text);
    skip(text, blank);
    if (!tag || (!text.empty() && text.front() != ',')) {
      return false;
    }
    into.push_back(*std::move(tag));
  }
  return true;
}

}  // namespace

bool entity_tags::match(std::string_view text) const {
  return any || std::any_of(listed.begin(), listed.end(),
                            [text](const auto& each) { return each.text == text; });
}

runtime::result<entity_tags> entity_tags_in(const header_list& headers, std::string_view name) {
  entity_tags found;
  auto good = true;
  for (std::size_t at = 0; at < headers.size(); ++at) {
    const auto field = headers.at(at);
    if (same_name(field.name, name)) {
      found.given = true;
      field.value == "*" ? found.any = true : good = good && take_list(field.value, found.listed);
    }
  }
  if (!good || (found.given && found.any != found.listed.empty())) {
    return runtime::error{runtime::errc::invalid_argument,
                          std::string{name} + " must be * or ETags such as \"3\""};
  }
  return found;
}

}  // namespace millrace::gateway::http
