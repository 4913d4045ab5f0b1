// SPDX-License-Identifier: MIT
#include "definition/expression_tree.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::string_view opening = "${{";
constexpr std::string_view escaped = "$${{";
constexpr std::string_view closing = "}}";

// The end of the expression that starts at `from`: quotes may hold `}}`.
std::size_t find_closing(std::string_view text, std::size_t from) {
  char quote = 0;
  for (auto at = from; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == '\\') {
        ++at;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (text.substr(at).starts_with(closing)) {
      return at;
    }
  }
  return std::string_view::npos;
}

error broken(const expression_error& failure) {
  return {errc::invalid_argument,
          "in an expression: " + failure.text +
              (failure.hint.empty() ? std::string{} : " (" + failure.hint + ")")};
}

result<bool> boolean_of(result<value> decided) {
  if (!decided) {
    return std::move(decided).error();
  }
  if (decided->boolean() == nullptr) {
    return error{errc::invalid_argument, "`when` must be a bool, not " +
                                             std::string{to_string(decided->type())} + " `" +
                                             to_text(*decided).substr(0, 80) + "`"};
  }
  return *decided->boolean();
}

void add_literal(template_parse& parsed, std::string_view text, std::size_t offset) {
  if (text.empty()) {
    return;
  }
  if (!parsed.pieces.empty() && !parsed.pieces.back().formula) {
    parsed.pieces.back().text += text;
  } else {
    parsed.pieces.push_back({std::string{text}, offset, std::nullopt});
  }
}

}  // namespace

bool has_expression(std::string_view text) {
  for (auto at = text.find(opening); at != std::string_view::npos;
       at = text.find(opening, at + 1)) {
    if (at == 0 || text[at - 1] != '$') {
      return true;
    }
  }
  return false;
}

template_parse parse_template(std::string_view text) {
  template_parse parsed;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto found = text.find(opening, at);
    if (found == std::string_view::npos) {
      add_literal(parsed, text.substr(at), at);
      break;
    }
    if (found > at && text[found - 1] == '$') {
      add_literal(parsed, text.substr(at, found - 1 - at), at);
      add_literal(parsed, opening, found - 1);
      at = found - 1 + escaped.size();
      continue;
    }
    add_literal(parsed, text.substr(at, found - at), at);
    const auto start = found + opening.size();
    const auto end = find_closing(text, start);
    if (end == std::string_view::npos) {
      parsed.failures.push_back({found, "`${{` is never closed", "add `}}`"});
      break;
    }
    const auto inner = text.substr(start, end - start);
    auto formula = parse_expression(inner);
    if (!formula.parsed) {
      formula.failure.offset += start;
      parsed.failures.push_back(std::move(formula.failure));
    }
    parsed.pieces.push_back({std::string{inner}, start, std::move(formula.parsed)});
    at = end + closing.size();
  }
  return parsed;
}

result<std::string> fill(std::string_view text, const expression_scope& scope) {
  if (text.find(opening) == std::string_view::npos) {
    return std::string{text};
  }
  const auto parsed = parse_template(text);
  if (!parsed.failures.empty()) {
    return broken(parsed.failures.front());
  }
  std::string filled;
  evaluation_budget budget;
  for (const auto& piece : parsed.pieces) {
    if (!piece.formula) {
      filled += piece.text;
      continue;
    }
    auto content = evaluate(*piece.formula, scope, budget);
    if (!content) {
      return std::move(content).error();
    }
    filled += to_text(*content);
  }
  return filled;
}

result<value> fill_value(std::string_view text, const expression_scope& scope) {
  const auto parsed = parse_template(text);
  if (!parsed.failures.empty()) {
    return broken(parsed.failures.front());
  }
  if (parsed.pieces.size() == 1 && parsed.pieces[0].formula) {
    return evaluate(*parsed.pieces[0].formula, scope);
  }
  auto filled = fill(text, scope);
  if (!filled) {
    return std::move(filled).error();
  }
  return make_value(*std::move(filled));
}

result<bool> decide(std::string_view when, const expression_scope& scope) {
  if (when.empty() || when == "true") {
    return true;
  }
  if (when == "false") {
    return false;
  }
  return boolean_of(fill_value(when, scope));
}

result<bool> decide(const expression& when, const expression_scope& scope,
                    evaluation_budget& budget) {
  return boolean_of(evaluate(when, scope, budget));
}

}  // namespace millrace::actors
