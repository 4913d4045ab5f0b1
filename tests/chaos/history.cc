// SPDX-License-Identifier: MIT
#include "chaos/history.h"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

namespace chaos {

namespace {

constexpr std::array<const char*, 4> names{"invoke", "ok", "fail", "info"};

}  // namespace

std::string line_of(const event& one) {
  nlohmann::ordered_json line;
  line["t"] = one.t;
  line["process"] = one.process;
  line["type"] = names.at(static_cast<std::size_t>(one.type));
  line["f"] = one.f;
  line["key"] = one.key;
  line["value"] = one.value;
  return line.dump();
}

std::optional<event> event_of(const std::string& line) {
  const auto read = json::parse(line, nullptr, false);
  if (!read.is_object()) {
    return std::nullopt;
  }
  const auto has = [&](const char* name, auto is) {
    const auto at = read.find(name);
    return at != read.end() && ((*at).*is)();
  };
  if (!has("t", &json::is_number_integer) || !has("process", &json::is_number_unsigned) ||
      !has("type", &json::is_string) || !has("f", &json::is_string) ||
      !has("key", &json::is_string)) {
    return std::nullopt;
  }
  const auto type = std::find(names.begin(), names.end(), read["type"].get<std::string>());
  if (type == names.end()) {
    return std::nullopt;
  }
  return event{read["t"], read["process"], static_cast<event_type>(type - names.begin()),
               read["f"], read["key"],     read.value("value", json{})};
}

history read_history(std::istream& from) {
  history events;
  std::string line;
  for (std::size_t number = 1; std::getline(from, line); ++number) {
    auto one = event_of(line);
    if (!one) {
      throw std::runtime_error{"line " + std::to_string(number) + " is no event: " + line};
    }
    events.push_back(*std::move(one));
  }
  return events;
}

std::vector<operation> operations_of(const history& events, std::string& mistake) {
  std::vector<operation> found;
  std::vector<bool> happened;
  std::map<std::uint64_t, std::size_t> open;  // by process
  for (std::size_t at = 0; at < events.size(); ++at) {
    const auto& one = events[at];
    const auto running = open.find(one.process);
    if (one.type == event_type::invoke) {
      if (running != open.end()) {
        mistake = "a process begins a second operation: " + line_of(one);
        return {};
      }
      open[one.process] = found.size();
      found.push_back({one.f, one.key, one.value, {}, at, operation::never});
      happened.push_back(true);
      continue;
    }
    if (running == open.end() || found[running->second].f != one.f ||
        found[running->second].key != one.key) {
      mistake = "an end without its begin: " + line_of(one);
      return {};
    }
    auto& ended = found[running->second];
    if (one.type == event_type::ok) {
      ended.end = at;
      ended.answered = one.value;
    }
    happened[running->second] = one.type != event_type::fail;
    open.erase(running);
  }
  std::vector<operation> kept;
  for (std::size_t at = 0; at < found.size(); ++at) {
    if (happened[at]) {
      kept.push_back(std::move(found[at]));
    }
  }
  return kept;
}

}  // namespace chaos
