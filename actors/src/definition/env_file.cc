// SPDX-License-Identifier: MIT
#include "millrace/actors/env_file.h"

#include <algorithm>
#include <optional>

#include "millrace/actors/name_rule.h"

namespace millrace::actors {

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = std::min(text.find_first_not_of(blanks), text.size());
  text.remove_prefix(first);
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

class env_parser {
public:
  explicit env_parser(std::string_view text) : text_(text) {}

  env_file done() && {
    while (at_ < text_.size()) {
      read_line();
    }
    return std::move(made_);
  }

private:
  void complain(std::size_t line, std::string text) {
    made_.mistakes.push_back({line, std::move(text)});
  }

  std::string_view take_line() {
    const auto end = std::min(text_.find('\n', at_), text_.size());
    const auto line = text_.substr(at_, end - at_);
    at_ = end + 1;
    ++line_;
    return line;
  }

  void read_line() {
    const auto begin = at_;
    auto line = trimmed(take_line());
    if (line.empty() || line.front() == '#') {
      return;
    }
    constexpr std::string_view exported = "export ";
    if (line.starts_with(exported)) {
      line = trimmed(line.substr(exported.size()));
    }
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) {
      return complain(line_, "expected `NAME=VALUE`");
    }
    const auto name = trimmed(line.substr(0, equals));
    if (!fits(name, name_rule::variable)) {
      return complain(line_, "`" + std::string{name.substr(0, 100)} + "` is no name of a variable");
    }
    const auto value = trimmed(line.substr(equals + 1));
    if (value.starts_with('\'') || value.starts_with('"')) {
      const auto from = static_cast<std::size_t>(value.data() - text_.data());
      at_ = std::max(begin, from);
      return read_quoted(std::string{name});
    }
    const auto comment = value.find(" #");
    const auto tabbed = value.find("\t#");
    const auto end = value.starts_with('#') ? 0 : std::min(comment, tabbed);
    made_.variables.emplace_back(name, trimmed(value.substr(0, end)));
  }

  // `at_` stands on the quote.
  void read_quoted(std::string name) {
    const auto first = line_;
    const auto quote = text_[at_++];
    std::string value;
    for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
      line_ += text_[at_] == '\n' ? 1 : 0;
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
        value += unescaped(text_[++at_]);
      } else {
        value += text_[at_];
      }
    }
    if (at_ == text_.size()) {
      return complain(first, std::string{"the value that begins with "} + quote + " has no end");
    }
    ++at_;
    const auto end = std::min(text_.find('\n', at_), text_.size());
    const auto rest = trimmed(text_.substr(at_, end - at_));
    at_ = end + 1;
    if (!rest.empty() && rest.front() != '#') {
      return complain(line_, "there is more behind the closing quote");
    }
    made_.variables.emplace_back(std::move(name), std::move(value));
  }

  static char unescaped(char letter) {
    switch (letter) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      default:
        return letter;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
  env_file made_;
};

}  // namespace

env_file parse_env_file(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) {
    text.remove_prefix(byte_order_mark.size());
  }
  return env_parser{text}.done();
}

}  // namespace millrace::actors
