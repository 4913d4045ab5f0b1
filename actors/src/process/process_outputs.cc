// SPDX-License-Identifier: MIT
#include "millrace/actors/process_outputs.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "millrace/actors/process_log.h"

namespace millrace::actors {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

bool is_key(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= output_key_bytes_max && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), inner);
}

// Hands out lines and knows the number of the last one.
class line_reader {
public:
  explicit line_reader(std::string_view text) : rest_(text) {}

  std::optional<std::string_view> next() {
    if (rest_.empty()) {
      return std::nullopt;
    }
    const auto end = rest_.find('\n');
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++number_;
    return line;
  }

  [[nodiscard]] std::size_t number() const { return number_; }

private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

// Enough of a line to find it by.
constexpr std::size_t shown_bytes_max = 40;

std::string shown(std::string_view text) {
  auto cut = to_utf8(text.substr(0, shown_bytes_max));
  std::replace(cut.begin(), cut.end(), '\0', ' ');
  return '"' + cut + (text.size() > shown_bytes_max ? "...\"" : "\"");
}

error refuse(std::size_t line, const std::string& text) {
  return {errc::invalid_argument, "line " + std::to_string(line) + ": " + text};
}

result<void> check_size(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return error{errc::too_large, "more than " + std::to_string(bytes_max) + " bytes; " +
                                      std::string{larger_output_hint}};
  }
  return {};
}

// Such as a message holds.
bool is_text(std::string_view text) {
  return text.find('\0') == std::string_view::npos && to_utf8(text) == text;
}

// The lines up to `marker`, joined by newlines.
result<std::string> read_block(line_reader& lines, std::string_view marker) {
  const auto opened_at = lines.number();
  std::string value;
  bool first = true;
  while (const auto line = lines.next()) {
    if (*line == marker) {
      return value;
    }
    if (!first) {
      value += '\n';
    }
    value += *line;
    first = false;
  }
  return refuse(opened_at, "no later line is exactly the end marker " + shown(marker) +
                               "; write it on a line of its own");
}

}  // namespace

result<void> check_output_value(std::string_view text, std::size_t bytes_max) {
  if (auto fits = check_size(text, bytes_max); !fits) {
    return fits;
  }
  if (!is_text(text)) {
    return error{errc::invalid_argument,
                 "it is not UTF-8 text; encode it, for example with base64"};
  }
  return {};
}

std::vector<std::size_t> large_among(
    const std::vector<std::pair<std::string, std::string>>& outputs) {
  std::vector<std::size_t> by_size(outputs.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(), [&](auto one, auto other) {
    return outputs[one].second.size() > outputs[other].second.size();
  });
  std::size_t bytes = 0;
  for (const auto& [name, text] : outputs) {
    bytes += name.size() + text.size();
  }
  std::size_t large = 0;
  for (; bytes > output_bytes_max && large < by_size.size(); ++large) {
    bytes -= outputs[by_size[large]].second.size();
  }
  by_size.resize(large);
  return by_size;
}

result<std::vector<std::pair<std::string, std::string>>> parse_outputs(std::string_view text,
                                                                       std::size_t bytes_max) {
  if (auto fits = check_size(text, bytes_max); !fits) {
    return std::move(fits).error();
  }
  std::vector<std::pair<std::string, std::string>> outputs;
  line_reader lines{text};
  while (const auto line = lines.next()) {
    const auto number = lines.number();
    if (line->empty()) {
      continue;
    }
    const auto equals = line->find('=');
    const auto block = line->find("<<");
    if (equals == std::string_view::npos && block == std::string_view::npos) {
      return refuse(number, shown(*line) +
                                " is neither key=value nor key<<END; a value of several lines "
                                "stands between key<<END and a line END");
    }
    const auto key = line->substr(0, std::min(equals, block));
    if (!is_key(key)) {
      return refuse(
          number, shown(key) + " is no key: a letter or _, then letters, digits, _ or -, at most " +
                      std::to_string(output_key_bytes_max) + " in all");
    }
    std::string value;
    if (block < equals) {
      const auto marker = line->substr(block + 2);
      if (marker.empty()) {
        return refuse(number, "no end marker after <<; write key<<END, the lines, and a line END");
      }
      auto lines_of_value = read_block(lines, marker);
      if (!lines_of_value) {
        return std::move(lines_of_value).error();
      }
      value = std::move(lines_of_value).value();
    } else {
      value = line->substr(equals + 1);
    }
    if (!is_text(value)) {
      return refuse(number, "the value of " + shown(key) +
                                " is not UTF-8 text; encode it, for example with base64");
    }
    const auto earlier = std::find_if(outputs.begin(), outputs.end(),
                                      [&](const auto& each) { return each.first == key; });
    if (earlier != outputs.end()) {
      earlier->second = std::move(value);
    } else if (outputs.size() == output_keys_max) {
      return error{errc::too_large, "line " + std::to_string(number) + ": more than " +
                                        std::to_string(output_keys_max) +
                                        " keys; write fewer, or one value of several lines"};
    } else {
      outputs.emplace_back(key, std::move(value));
    }
  }
  return outputs;
}

}  // namespace millrace::actors
