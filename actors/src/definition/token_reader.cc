// SPDX-License-Identifier: MIT
#include "definition/token_reader.h"

#include "definition/message_text.h"

namespace millrace::actors {

std::nullptr_t token_reader::fail(std::size_t offset, std::string text, std::string hint) {
  if (!failed_) {
    failure_ = {offset, std::move(text), std::move(hint)};
    failed_ = true;
  }
  return nullptr;
}

std::nullptr_t token_reader::fail_here() {
  const char c = text_[at_];
  if (c == '=') {
    return fail(at_, "`=` is not an operator", "write `==`");
  }
  if (c == '&' || c == '|') {
    return fail(at_, std::string{"`"} + c + "` is not an operator",
                std::string{"write `"} + c + c + "`");
  }
  if (is_letter(c)) {
    const auto word = peek_word();
    if (word == "and" || word == "or") {
      return fail(at_, "`" + std::string{word} + "` is not an operator",
                  word == "and" ? "write `&&`" : "write `||`");
    }
  }
  return fail(at_, "expected an operator or the end before `" + rest() + "`");
}

std::string token_reader::rest() const {
  const auto left = text_.substr(at_);
  return std::string{left.substr(0, whole_bytes(left, 20))};
}

void token_reader::skip_space() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
    ++at_;
  }
}

bool token_reader::take(std::string_view symbol) {
  if (!text_.substr(at_).starts_with(symbol)) {
    return false;
  }
  at_ += symbol.size();
  skip_space();
  return true;
}

std::string_view token_reader::peek_word() const {
  auto end = at_;
  while (end < text_.size() && is_word(text_[end])) {
    ++end;
  }
  return text_.substr(at_, end - at_);
}

bool token_reader::take_text(std::string& text) {
  const auto opened = at_;
  const char quote = text_[at_++];
  while (at_ < text_.size() && text_[at_] != quote) {
    if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
        (text_[at_ + 1] == quote || text_[at_ + 1] == '\\')) {
      ++at_;
    }
    text += text_[at_++];
  }
  if (at_ == text_.size()) {
    fail(opened, "the text is never closed", std::string{"add `"} + quote + "`");
    return false;
  }
  ++at_;
  skip_space();
  return true;
}

bool token_reader::take_step(std::string& name, std::size_t& offset, std::string_view wanted) {
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    offset = at_;
    const auto word = peek_word();
    if (!word.empty()) {
      at_ += word.size();
      name = word;
      return true;
    }
  } else if (at_ < text_.size() && text_[at_] == '[') {
    const auto opened = at_;
    take("[");
    offset = at_;
    if (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) {
      if (!take_text(name)) {
        return false;
      }
      if (at_ < text_.size() && text_[at_] == ']') {
        ++at_;
        return true;
      }
      fail(opened, "`[` is never closed", "add `]`");
      return false;
    }
  }
  fail(at_, "the reference is not complete", "write " + std::string{wanted});
  return false;
}

}  // namespace millrace::actors
