// SPDX-License-Identifier: MIT
#include "millrace/actors/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "definition/value_json.h"
#include "millrace/actors/name_rule.h"

namespace millrace::actors {
namespace {

std::string floating_text(double number) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  std::string text{buffer.data(), end};
  if (text.find_first_of(".en") == std::string::npos) {
    text += ".0";  // keeps it a float when it is read again; "en" covers exponents, inf and nan
  }
  return text;
}

// Before the text is read: the library keeps something for each open list and object.
bool nests_deeper(std::string_view text, std::size_t limit) {
  std::size_t depth = 0;
  bool in_text = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_text) {
      at += c == '\\' ? 1 : 0;
      in_text = c != '"';
    } else if (c == '[' || c == '{') {
      if (++depth > limit) {
        return true;
      }
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    } else {
      in_text = c == '"';
    }
  }
  return false;
}

// Stops at an integer that would have to be rounded.
class big_integers {
public:
  [[nodiscard]] const std::string& found() const { return found_; }

  // What nlohmann's parser calls.
  bool number_unsigned(std::uint64_t number) {
    return number <= std::uint64_t{INT64_MAX} || stop(std::to_string(number));
  }
  bool number_float(double /*number*/, const std::string& text) {
    return text.find_first_of(".eE") != std::string::npos || stop(text);
  }
  static bool number_integer(std::int64_t /*number*/) { return true; }
  static bool null() { return true; }
  static bool boolean(bool /*content*/) { return true; }
  static bool string(std::string& /*text*/) { return true; }
  static bool binary(nlohmann::ordered_json::binary_t& /*content*/) { return true; }
  static bool start_object(std::size_t /*size*/) { return true; }
  static bool key(std::string& /*name*/) { return true; }
  static bool end_object() { return true; }
  static bool start_array(std::size_t /*size*/) { return true; }
  static bool end_array() { return true; }
  static bool parse_error(std::size_t /*at*/, const std::string& /*last*/,
                          const nlohmann::detail::exception& /*why*/) {
    return false;
  }

private:
  bool stop(const std::string& text) {
    constexpr std::size_t shown = 40;
    found_ = text.substr(0, shown);
    return false;
  }

  std::string found_;
};

}  // namespace

std::string_view to_string(value_type type) noexcept {
  switch (type) {
    case value_type::null:
      return "null";
    case value_type::boolean:
      return "bool";
    case value_type::integer:
      return "int";
    case value_type::floating:
      return "float";
    case value_type::text:
      return "string";
    case value_type::list:
      return "list";
    case value_type::map:
      return "map";
  }
  return "null";
}

nlohmann::ordered_json to_json_value(const value& content) {
  switch (content.type()) {
    case value_type::null:
      return nullptr;
    case value_type::boolean:
      return *content.boolean();
    case value_type::integer:
      return *content.integer();
    case value_type::floating:
      return *content.floating();
    case value_type::text:
      return *content.text();
    case value_type::list: {
      auto list = nlohmann::ordered_json::array();
      for (const auto& each : *content.items()) {
        list.push_back(to_json_value(each));
      }
      return list;
    }
    case value_type::map: {
      auto map = nlohmann::ordered_json::object();
      for (const auto& [key, each] : *content.entries()) {
        map[key] = to_json_value(each);
      }
      return map;
    }
  }
  return nullptr;
}

nlohmann::ordered_json to_json_list(const std::vector<value>& values) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& each : values) {
    list.push_back(to_json_value(each));
  }
  return list;
}

nlohmann::ordered_json to_json_list(const std::vector<std::map<std::string, value>>& rows) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& row : rows) {
    auto cells = nlohmann::ordered_json::object();
    for (const auto& [axis, cell] : row) {
      cells[axis] = to_json_value(cell);
    }
    list.push_back(std::move(cells));
  }
  return list;
}

std::string rounded_integer_in(std::string_view json) {
  big_integers looks;
  static_cast<void>(nlohmann::ordered_json::sax_parse(json, &looks));
  return looks.found();
}

runtime::result<nlohmann::ordered_json> parse_json(std::string_view text) {
  using json = nlohmann::ordered_json;
  const auto refused = [](std::string why) {
    return runtime::error{runtime::errc::invalid_argument, std::move(why)};
  };
  if (nests_deeper(text, json_depth_max)) {
    return refused("it nests more than " + std::to_string(json_depth_max) + " deep");
  }
  // The library takes the last of two equal keys, others the first; who wrote them meant both.
  std::vector<std::unordered_set<std::string>> open;
  std::optional<std::string> twice;
  const json::parser_callback_t look = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      open.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open.pop_back();
    } else if (event == json::parse_event_t::key) {
      auto key = parsed.get<std::string>();
      if (!open.back().insert(key).second && !twice) {
        twice = std::move(key);
      }
    }
    return true;
  };
  auto made = json::parse(text, look, false);
  if (made.is_discarded()) {
    return refused("it is no JSON");
  }
  if (twice) {
    return refused("the key `" + shown_name(*twice) + "` is given twice");
  }
  return made;
}

value from_json_value(const nlohmann::ordered_json& json) {
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return make_value(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return make_value(json.get<std::int64_t>());
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      return number > std::uint64_t{INT64_MAX} ? make_value(json.get<double>())
                                               : make_value(static_cast<std::int64_t>(number));
    }
    case nlohmann::ordered_json::value_t::number_float:
      return make_value(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return make_value(json.get<std::string>());
    case nlohmann::ordered_json::value_t::array: {
      value::list list;
      for (const auto& each : json) {
        list.push_back(from_json_value(each));
      }
      return make_value(std::move(list));
    }
    case nlohmann::ordered_json::value_t::object: {
      value::map map;
      for (const auto& [key, each] : json.items()) {
        map.emplace(key, from_json_value(each));
      }
      return make_value(std::move(map));
    }
    default:
      return {};
  }
}

runtime::result<value::list> fan_list_of(value content) {
  const auto refused = [](std::string why) {
    return runtime::error{runtime::errc::invalid_argument, std::move(why)};
  };
  if (auto* list = std::get_if<value::list>(&content.content)) {
    return std::move(*list);
  }
  if (content.text() == nullptr) {
    return refused("is of type `" + std::string{to_string(content.type())} + "`, not a list");
  }
  const auto& text = *content.text();
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    const auto json = parse_json(text);
    if (!json || !json->is_array()) {
      return refused("starts with `[` and is no JSON array" +
                     (json ? "" : ": " + json.error().text()));
    }
    return std::get<value::list>(from_json_value(*json).content);
  }
  value::list lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const auto end = std::min(text.find('\n', from), text.size());
    if (end > from) {
      lines.push_back(make_value(text.substr(from, end - from)));
    }
    from = end + 1;
  }
  return lines;
}

std::string to_json_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string to_text(const value& content) {
  switch (content.type()) {
    case value_type::null:
      return {};
    case value_type::boolean:
      return *content.boolean() ? "true" : "false";
    case value_type::integer:
      return std::to_string(*content.integer());
    case value_type::floating:
      return floating_text(*content.floating());
    case value_type::text:
      return *content.text();
    case value_type::list:
    case value_type::map:
      return to_json(content);
  }
  return {};
}

// Not inline: where g++ 12 sees that one of two values is empty, it warns of the other.
value make_value() {
  return {};
}

std::string to_json(const value& content) {
  return to_json_text(to_json_value(content));
}

}  // namespace millrace::actors
