// SPDX-License-Identifier: MIT
#include "artifact/path_pattern.h"

#include <algorithm>

namespace millrace::actors {

namespace {

constexpr std::string_view any_directories = "**";

bool is_hidden(std::string_view name) {
  return name.starts_with('.');
}

bool goes_on(char byte) {  // of a character of UTF-8
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

}  // namespace

// The last `*` alone is ever lengthened: what an earlier one could take, it can.
bool matches(std::string_view pattern, std::string_view name) {
  if (is_hidden(name) && !is_hidden(pattern)) {
    return false;
  }
  constexpr auto none = std::string_view::npos;
  std::size_t at = 0;
  std::size_t in_name = 0;
  auto star = none;
  std::size_t taken = 0;
  while (in_name < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = in_name;
    } else if (at < pattern.size() && pattern[at] == '?') {
      ++at;
      do {
        ++in_name;
      } while (in_name < name.size() && goes_on(name[in_name]));
    } else if (at < pattern.size() && pattern[at] == name[in_name]) {
      ++at;
      ++in_name;
    } else if (star != none) {
      at = star + 1;
      in_name = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == none;
}

path_pattern::path_pattern(const std::vector<std::string>& patterns) {
  patterns_.reserve(patterns.size());
  for (std::string_view rest : patterns) {
    auto& names = patterns_.emplace_back();
    while (!rest.empty()) {
      const auto name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      const auto again = name == any_directories && !names.empty() && names.back() == name;
      if (!name.empty() && name != "." && !again) {
        names.emplace_back(name);
      }
    }
  }
}

// Places are followed in their order and lead to themselves or one of the next two, each to two at
// most: what is there already is among the latest four.
void path_pattern::add(places& to, place at) const {
  constexpr std::ptrdiff_t near = 4;
  const auto& names = patterns_[at.pattern];
  const auto is_there = std::any_of(
      to.end() - std::min(std::ssize(to), near), to.end(),
      [at](const place& each) { return each.pattern == at.pattern && each.name == at.name; });
  if (is_there || at.name >= names.size()) {
    return;
  }
  to.push_back(at);
  if (names[at.name] == any_directories) {
    add(to, {at.pattern, at.name + 1});
  }
}

path_pattern::places path_pattern::begin() const {
  places made;
  for (std::size_t pattern = 0; pattern < patterns_.size(); ++pattern) {
    add(made, {pattern, 0});
  }
  return made;
}

path_pattern::step path_pattern::follow(const places& from, std::string_view name) const {
  step made;
  for (const auto at : from) {
    const auto& names = patterns_[at.pattern];
    const auto is_last = at.name + 1 == names.size();
    made.work += 1 + names[at.name].size() * name.size();
    if (names[at.name] == any_directories) {
      if (!is_hidden(name)) {
        made.is_taken = made.is_taken || is_last;
        add(made.below, at);
      }
    } else if (matches(names[at.name], name)) {
      made.is_taken = made.is_taken || is_last;
      add(made.below, {at.pattern, at.name + 1});
    }
  }
  return made;
}

}  // namespace millrace::actors
