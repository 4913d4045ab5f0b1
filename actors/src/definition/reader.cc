// SPDX-License-Identifier: MIT
#include "definition/reader.h"

#include <algorithm>
#include <tuple>

#include "definition/message_text.h"
#include "millrace/actors/definition.h"

namespace millrace::actors {
namespace {

// Four times what is shown: doubles are removed only at the end.
constexpr std::size_t kept_diagnostics_max = 4 * diagnostics_max;

// What one load compares to make suggestions: up to about 2 us each, so half a second at most.
constexpr std::size_t comparisons_max = 200'000;

}  // namespace

std::string cursor::pointer() const {
  std::vector<const path_step*> steps;
  for (const auto* step = &at; step->parent != nullptr; step = step->parent) {
    steps.push_back(step);
  }
  std::string text;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    text += (*step)->is_index ? "/" + std::to_string((*step)->index) : pointer_step((*step)->key);
  }
  return text;
}

std::string cursor::label() const {
  if (at.parent == nullptr) {
    return "the definition";
  }
  std::string indexes;
  const auto* step = &at;
  while (step->is_index && step->parent != nullptr) {
    indexes.insert(0, "[" + std::to_string(step->index) + "]");
    step = step->parent;
  }
  return "`" + std::string{step->key} + indexes + "`";
}

std::optional<diagnostic> find_bad_text(std::string_view text, std::string_view file_name) {
  const auto bad = find_bad_byte(text);
  if (bad == std::string_view::npos) {
    return std::nullopt;
  }
  const bool control = static_cast<unsigned char>(text[bad]) < 0x20;
  const auto head = text.substr(0, bad);
  const auto line = static_cast<std::size_t>(std::count(head.begin(), head.end(), '\n')) + 1;
  return diagnostic{std::string{file_name},
                    line,
                    count_characters(head.substr(head.rfind('\n') + 1)) + 1,
                    "",
                    control ? "a control character stands here" : "the text is not UTF-8 here",
                    control ? "remove it" : "save the file as UTF-8"};
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

reader::reader(std::string_view source, std::string_view file, const yaml_tree& tree)
    : source_(source),
      file_(file),
      tree_(tree),
      comparisons_left_(comparisons_max),
      line_starts_{0} {
  for (auto at = source.find('\n'); at != std::string_view::npos; at = source.find('\n', at + 1)) {
    line_starts_.push_back(at + 1);
  }
}

bool reader::full() const {
  return diagnostics_.size() >= kept_diagnostics_max;
}

bool reader::may_suggest(std::size_t candidates) {
  if (full() || comparisons_left_ < candidates) {
    return false;
  }
  comparisons_left_ -= candidates;
  return true;
}

void reader::report(yaml_place place, std::string pointer, std::string_view text,
                    std::string_view hint) {
  if (full()) {
    return;
  }
  // Columns are bytes until here; people and editors count characters.
  std::size_t column = place.column;
  if (place.line <= line_starts_.size()) {
    column = 1 + count_characters(source_.substr(line_starts_[place.line - 1], place.column - 1));
  }
  // What was written may be in the message, and must not become part of a terminal or a log.
  diagnostics_.push_back(
      {file_, place.line, column, std::move(pointer), visible(text), visible(hint)});
}

void reader::report(const cursor& where, std::string_view text, std::string_view hint) {
  report(where.place(), where.pointer(), text, hint);
}

void reader::report_type(const cursor& where, std::string_view wanted, std::string_view hint) {
  report(where,
         where.label() + " must be " + std::string{wanted} + ", found " + describe(*where.node),
         hint);
}

std::vector<diagnostic> reader::take_diagnostics() {
  const auto order = [](const diagnostic& each) {
    return std::tie(each.line, each.column, each.text);
  };
  std::stable_sort(diagnostics_.begin(), diagnostics_.end(),
                   [&](const auto& a, const auto& b) { return order(a) < order(b); });
  diagnostics_.erase(
      std::unique(diagnostics_.begin(), diagnostics_.end(),
                  [&](const auto& a, const auto& b) { return order(a) == order(b); }),
      diagnostics_.end());
  if (diagnostics_.size() > diagnostics_max) {
    auto last = diagnostics_[diagnostics_max - 1];
    diagnostics_.resize(diagnostics_max - 1);
    last.text = "there are more mistakes from here on";
    last.hint = "correct the ones above first";
    diagnostics_.push_back(std::move(last));
  }
  return std::move(diagnostics_);
}

yaml_place reader::place_in(const yaml_node& scalar, std::string_view text,
                            std::size_t offset) const {
  constexpr std::string_view opening = "${{";
  auto raw = scalar.place.line <= line_starts_.size()
                 ? line_starts_[scalar.place.line - 1] + scalar.place.column - 1
                 : source_.size();
  std::size_t start = std::string_view::npos;
  for (auto at = text.find(opening); at != std::string_view::npos && at <= offset;
       at = text.find(opening, at + 1)) {
    raw = source_.find(opening, start == std::string_view::npos ? raw : raw + 1);
    start = at;
    if (raw == std::string_view::npos) {
      return scalar.place;
    }
  }
  if (start == std::string_view::npos || raw >= source_.size()) {
    return scalar.place;
  }
  const auto distance = offset - start;
  if (source_.substr(raw, distance) == text.substr(start, distance)) {
    raw += distance;
  }
  const auto line =
      std::upper_bound(line_starts_.begin(), line_starts_.end(), raw) - line_starts_.begin();
  return {static_cast<std::size_t>(line),
          raw - line_starts_[static_cast<std::size_t>(line) - 1] + 1};
}

}  // namespace millrace::actors
