// SPDX-License-Identifier: MIT
#include "millrace/actors/diagnostic.h"

#include <algorithm>

#include "millrace/actors/process_log.h"

namespace millrace::actors {
namespace {

// A terminal's width less the line number; longer source lines are cut around the caret.
constexpr std::size_t shown_columns = 90;

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

std::string_view line_of(std::string_view source, std::size_t number) {
  if (source.starts_with("\xEF\xBB\xBF")) {
    source.remove_prefix(3);  // a byte order mark has no column
  }
  for (std::size_t line = 1; line < number; ++line) {
    const auto end = source.find('\n');
    if (end == std::string_view::npos) {
      return {};
    }
    source.remove_prefix(end + 1);
  }
  source = source.substr(0, source.find('\n'));
  return source.ends_with('\r') ? source.substr(0, source.size() - 1) : source;
}

// `count` characters of `line` from character `from` (0-based), without control characters.
std::string cut(std::string_view line, std::size_t from, std::size_t count) {
  std::string text;
  std::size_t character = 0;
  for (const char c : line) {
    if (starts_character(c)) {
      ++character;
    }
    if (character > from + count) {
      break;
    }
    if (character > from) {
      const auto byte = static_cast<unsigned char>(c);
      text += byte < 0x20 || byte == 0x7F ? ' ' : c;
    }
  }
  return text;
}

}  // namespace

std::string to_string(const diagnostic& mistake) {
  std::string line = mistake.file;
  if (mistake.line > 0) {
    line += (line.empty() ? "" : ":") + std::to_string(mistake.line) + ":" +
            std::to_string(mistake.column);
  }
  line += line.empty() ? "error: " : ": error: ";
  line += mistake.text;
  if (!mistake.hint.empty()) {
    line += " (" + mistake.hint + ")";
  }
  return line;
}

std::string render(const diagnostic& mistake, std::string_view source) {
  std::string text = to_string(mistake) + "\n";
  if (mistake.line == 0 || mistake.column == 0) {
    return text;
  }
  const auto line = to_utf8(line_of(source, mistake.line));
  if (line.empty()) {
    return text;
  }
  const auto caret = mistake.column - 1;
  const auto from = caret < shown_columns ? 0 : caret - shown_columns / 2;
  const auto number = std::to_string(mistake.line);
  const std::string gutter(std::max<std::size_t>(number.size(), 4), ' ');
  text += gutter.substr(number.size()) + number + " | " + cut(line, from, shown_columns) + "\n";
  text += gutter + " | " + std::string(caret - from, ' ') + "^\n";
  return text;
}

std::string render(const std::vector<diagnostic>& mistakes, std::string_view source) {
  std::string text;
  for (const auto& each : mistakes) {
    text += render(each, source);
  }
  if (!mistakes.empty()) {
    text += std::to_string(mistakes.size()) + (mistakes.size() == 1 ? " error\n" : " errors\n");
  }
  return text;
}

}  // namespace millrace::actors
