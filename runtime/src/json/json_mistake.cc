// SPDX-License-Identifier: MIT
#include <algorithm>
#include <nlohmann/json.hpp>

#include "millrace/runtime/json.h"

namespace millrace::runtime {

namespace {

using nlohmann::json;

// Reads a text for nothing but the place at which it stops being JSON.
class place_finder final : public nlohmann::json_sax<json> {
public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const json::exception& why) override {
    bytes_read = position;
    out_of_range = dynamic_cast<const json::out_of_range*>(&why) != nullptr;
    return false;
  }

  std::size_t bytes_read = 0;  // The last of them is the one that is wrong.
  bool out_of_range = false;
};

std::string reason(std::string_view text, const place_finder& found) {
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

}  // namespace

std::string json_mistake(std::string_view text) {
  place_finder found;
  if (json::sax_parse(text, &found)) {
    return {};
  }
  const auto at = found.bytes_read == 0 ? text.size() : std::min(found.bytes_read - 1, text.size());
  const auto before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  return std::to_string(line) + ":" + std::to_string(column) + ": " + reason(text, found);
}

}  // namespace millrace::runtime
