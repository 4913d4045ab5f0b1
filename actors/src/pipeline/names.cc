// SPDX-License-Identifier: MIT
#include "pipeline/names.h"

#include <charconv>

namespace millrace::actors {

std::string padded(std::uint64_t number, unsigned digits) {
  auto text = std::to_string(number);
  return text.size() < digits ? std::string(digits - text.size(), '0') + text : text;
}

std::string instance_row(std::string_view task, std::uint32_t index, bool fan_out) {
  std::string row{task};
  return fan_out ? row + "[" + padded(index, 6) + "]" : row;
}

// Task names are lower case, so the capitals cannot be part of one.
std::string attempt_token(std::string_view run, std::string_view instance_name,
                          std::uint32_t attempt) {
  std::string token{run};
  token += '.';
  const auto bracket = instance_name.find('[');
  token += instance_name.substr(0, bracket);
  if (bracket != std::string_view::npos) {
    token += ".I";
    token += instance_name.substr(bracket + 1, instance_name.size() - bracket - 2);
  }
  return token + ".A" + std::to_string(attempt);
}

std::string attempt_token(std::string_view task_key, std::uint32_t attempt) {
  const auto slash = task_key.find('/');
  return slash == std::string_view::npos
             ? std::string{}
             : attempt_token(task_key.substr(0, slash), task_key.substr(slash + 1), attempt);
}

std::optional<parsed_token> parse_token(std::string_view token) {
  const auto dot = token.find('.');
  const auto last = token.rfind(".A");
  if (dot == 0 || dot == std::string_view::npos || last == std::string_view::npos ||
      last <= dot + 1) {
    return std::nullopt;
  }
  parsed_token made{};
  const auto digits = token.substr(last + 2);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), made.attempt);
  if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size()) {
    return std::nullopt;
  }
  made.task_key = std::string{token.substr(0, dot)} + "/";
  const auto name = token.substr(dot + 1, last - dot - 1);
  const auto index = name.rfind(".I");
  made.task_key += name.substr(0, index);
  if (index != std::string_view::npos) {
    made.task_key += "[" + std::string{name.substr(index + 2)} + "]";
  }
  return made;
}

std::string run_of(std::string_view task_key) {
  return std::string{task_key.substr(0, task_key.find('/'))};
}

}  // namespace millrace::actors
