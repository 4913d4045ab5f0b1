// SPDX-License-Identifier: MIT
#include "json/json_tree.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "millrace/runtime/json.h"

namespace millrace::runtime {

namespace {

using nlohmann::json;

// Builds the tree, and stops at the first mistake. (The library's own builder keeps the last of
// several equal keys, and goes as deep as the text does.)
class tree_builder {
public:
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;
  using string_t = json::string_t;
  using binary_t = json::binary_t;

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(number_integer_t value) { return put(value); }
  bool number_unsigned(number_unsigned_t value) { return put(value); }
  bool number_float(number_float_t value, const string_t&) { return put(value); }
  bool string(string_t& value) { return put(std::move(value)); }
  bool binary(binary_t&) { return false; }  // no text has one
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    auto& members = open_.back()->get_ref<json::object_t&>();
    const auto [at, is_new] = members.emplace(std::move(name), nullptr);
    member_ = &at->second;
    if (!is_new) {
      mistake = pointer_to(at->first) + ": this key stands there twice";
    }
    return is_new;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& why) {
    bytes_read = position;
    out_of_range = dynamic_cast<const json::out_of_range*>(&why) != nullptr;
    return false;
  }

  json whole;
  std::string mistake;         // Of a text that is JSON so far; empty: none.
  std::size_t bytes_read = 0;  // Of one that is none; the last of them is wrong.
  bool out_of_range = false;

private:
  template <class Value>
  json* add(Value&& value) {
    if (open_.empty()) {
      whole = std::forward<Value>(value);
      return &whole;
    }
    if (open_.back()->is_array()) {
      return &open_.back()->get_ref<json::array_t&>().emplace_back(std::forward<Value>(value));
    }
    *member_ = std::forward<Value>(value);
    return member_;
  }
  template <class Value>
  bool put(Value&& value) {
    add(std::forward<Value>(value));
    return true;
  }
  bool open(json&& empty) {
    if (open_.size() > json_depth_max) {
      // Where it begins to be deep tells more than where it is too deep.
      mistake = (open_.front()->is_object() ? first_part() : "the body") + ": nested deeper than " +
                std::to_string(json_depth_max);
      return false;
    }
    open_.push_back(add(std::move(empty)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  // The part of the pointer that leads from a container to the one that is open in it.
  static std::string part(const json& container, const json* inside) {
    if (container.is_array()) {
      return "/" + std::to_string(container.size() - 1);
    }
    const auto& members = container.get_ref<const json::object_t&>();
    const auto found = std::find_if(members.begin(), members.end(),
                                    [inside](const auto& each) { return &each.second == inside; });
    return "/" + pointer_part(found->first);
  }
  [[nodiscard]] std::string first_part() const { return part(*open_[0], open_[1]); }
  [[nodiscard]] std::string pointer_to(std::string_view name) const {
    std::string pointer;
    for (std::size_t at = 0; at + 1 < open_.size(); ++at) {
      pointer += part(*open_[at], open_[at + 1]);
    }
    return pointer + "/" + pointer_part(name);
  }

  std::vector<json*> open_;  // Containers, the outermost first.
  json* member_ = nullptr;   // Whose key was read last.
};

std::string reason(std::string_view text, const tree_builder& found) {
  if (found.out_of_range) {
    return "this number is out of range";
  }
  if (found.bytes_read == 0 || found.bytes_read > text.size()) {
    return "the text ends here before it is whole";
  }
  const auto wrong = static_cast<unsigned char>(text[found.bytes_read - 1]);
  if (wrong < 0x20) {
    return "a control character stands here; write it as an escape such as \\n";
  }
  if (wrong >= 0x80 || wrong == 0x7f) {
    return "a character stands here that may only be in a string of UTF-8";
  }
  return std::string{"'"} + static_cast<char>(wrong) +
         "' does not belong here; keys and strings stand in double quotes, commas between values "
         "only";
}

std::string place_and_reason(std::string_view text, const tree_builder& found) {
  const auto at = found.bytes_read == 0 ? text.size() : std::min(found.bytes_read - 1, text.size());
  const auto before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  return std::to_string(line) + ":" + std::to_string(column) + ": " + reason(text, found);
}

}  // namespace

std::string pointer_part(std::string_view key) {
  std::string out;
  for (const char each : key) {
    if (each == '~' || each == '/') {
      out += each == '~' ? "~0" : "~1";
    } else {
      out += each;
    }
  }
  return out;
}

result<json> read_json(std::string_view text) {
  tree_builder builder;
  if (json::sax_parse(text, &builder)) {
    return std::move(builder.whole);
  }
  return error{errc::invalid_argument, builder.mistake.empty()
                                           ? "not JSON: " + place_and_reason(text, builder)
                                           : builder.mistake};
}

result<void> check_json(std::string_view text) {
  if (auto tree = read_json(text); !tree) {
    return std::move(tree).error();
  }
  return {};
}

}  // namespace millrace::runtime
