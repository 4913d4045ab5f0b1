// SPDX-License-Identifier: MIT
// Recursive descent over the bytes of an expression; the grammar is in the header's comment.
#include <algorithm>
#include <array>
#include <charconv>

#include "definition/expression_tree.h"
#include "definition/message_text.h"
#include "definition/scalar_text.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {
namespace {

using node_ptr = std::shared_ptr<expression_node>;

struct function_row {
  std::string_view name;
  function_name function;
  std::size_t operands;
};

constexpr std::array functions{
    function_row{"contains", function_name::contains, 2},
    function_row{"starts_with", function_name::starts_with, 2},
    function_row{"ends_with", function_name::ends_with, 2},
    function_row{"length", function_name::length, 1},
    function_row{"int", function_name::to_int, 1},
    function_row{"float", function_name::to_float, 1},
    function_row{"string", function_name::to_string, 1},
    function_row{"success", function_name::success, 0},
    function_row{"failure", function_name::failure, 0},
    function_row{"always", function_name::always, 0},
};

struct symbol_row {
  std::string_view symbol;
  operation what;
};

// Longer symbols first.
constexpr std::array symbols{
    symbol_row{"==", operation::equal},      symbol_row{"!=", operation::unequal},
    symbol_row{"<=", operation::less_equal}, symbol_row{">=", operation::greater_equal},
    symbol_row{"&&", operation::both},       symbol_row{"||", operation::either},
    symbol_row{"<", operation::less},        symbol_row{">", operation::greater},
    symbol_row{"!", operation::negation},
};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '-';
}

class parser {
public:
  explicit parser(std::string_view text) : text_(text) {}

  expression_parse parse() {
    skip_space();
    if (at_ == text_.size()) {
      fail(0, "the expression is empty", "write a reference such as `params.day`");
      return {std::nullopt, failure_};
    }
    auto root = parse_either();
    if (root && at_ < text_.size()) {
      fail_here();
      root = nullptr;
    }
    if (!root) {
      return {std::nullopt, failure_};
    }
    return {expression{std::move(root)}, {}};
  }

private:
  node_ptr fail(std::size_t offset, std::string text, std::string hint = {}) {
    if (!failed_) {
      failure_ = {offset, std::move(text), std::move(hint)};
      failed_ = true;
    }
    return nullptr;
  }

  // Something stands where an operator or the end was expected.
  node_ptr fail_here() {
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

  [[nodiscard]] std::string rest() const {
    const auto left = text_.substr(at_);
    return std::string{left.substr(0, whole_bytes(left, 20))};
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  bool take(std::string_view symbol) {
    if (!text_.substr(at_).starts_with(symbol)) {
      return false;
    }
    at_ += symbol.size();
    skip_space();
    return true;
  }

  [[nodiscard]] std::string_view peek_word() const {
    auto end = at_;
    while (end < text_.size() && is_word(text_[end])) {
      ++end;
    }
    return text_.substr(at_, end - at_);
  }

  static node_ptr make(operation what, std::size_t offset) {
    auto node = std::make_shared<expression_node>();
    node->what = what;
    node->offset = offset;
    return node;
  }

  template <std::size_t N>
  node_ptr parse_chain(const std::array<operation, N>& operators, node_ptr (parser::*next)()) {
    auto left = (this->*next)();
    while (left) {
      const auto* found = static_cast<const symbol_row*>(nullptr);
      for (const auto& each : symbols) {
        if (text_.substr(at_).starts_with(each.symbol)) {
          found = &each;
          break;
        }
      }
      if (found == nullptr ||
          std::find(operators.begin(), operators.end(), found->what) == operators.end()) {
        return left;
      }
      auto node = make(found->what, left->offset);
      node->name_offset = at_;  // of the operator
      take(found->symbol);
      auto right = (this->*next)();
      if (!right) {
        return nullptr;
      }
      node->operands = {std::move(left), std::move(right)};
      left = std::move(node);
    }
    return left;
  }

  node_ptr parse_either() {
    if (++depth_ > expression_depth_max) {
      return fail(at_, "the expression nests too deeply",
                  "at most " + std::to_string(expression_depth_max) + " levels");
    }
    auto node = parse_chain(std::array{operation::either}, &parser::parse_both);
    --depth_;
    return node;
  }
  node_ptr parse_both() {
    return parse_chain(std::array{operation::both}, &parser::parse_equality);
  }
  node_ptr parse_equality() {
    return parse_chain(std::array{operation::equal, operation::unequal}, &parser::parse_order);
  }
  node_ptr parse_order() {
    return parse_chain(std::array{operation::less, operation::less_equal, operation::greater,
                                  operation::greater_equal},
                       &parser::parse_unary);
  }

  node_ptr parse_unary() {
    const auto offset = at_;
    if (!text_.substr(at_).starts_with("!=") && take("!")) {
      if (++depth_ > expression_depth_max) {
        return fail(offset, "the expression nests too deeply");
      }
      auto operand = parse_unary();
      --depth_;
      if (!operand) {
        return nullptr;
      }
      auto node = make(operation::negation, offset);
      node->name_offset = offset;
      node->operands = {std::move(operand)};
      return node;
    }
    return parse_primary();
  }

  node_ptr parse_primary() {
    if (at_ == text_.size()) {
      return fail(at_, "the expression ends where a value was expected");
    }
    const char c = text_[at_];
    if (c == '(') {
      const auto opened = at_;
      take("(");
      auto inner = parse_either();
      if (inner && !take(")")) {
        return at_ < text_.size() ? fail_here() : fail(opened, "`(` is never closed", "add `)`");
      }
      return inner;
    }
    if (c == '\'' || c == '"') {
      const auto offset = at_;
      std::string text;
      if (!take_text(text)) {
        return nullptr;
      }
      auto node = make(operation::literal, offset);
      node->literal = make_value(std::move(text));
      return node;
    }
    if (is_digit(c) || (c == '-' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) {
      return parse_number();
    }
    if (is_letter(c)) {
      return parse_word();
    }
    return fail(at_, "expected a value before `" + rest() + "`",
                "values are references, numbers, `true`, `false`, `null` and 'text in quotes'");
  }

  // A text in quotes; a backslash keeps the quote or backslash after it.
  bool take_text(std::string& text) {
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

  node_ptr parse_number() {
    const auto offset = at_;
    auto end = at_ + 1;
    while (end < text_.size() &&
           (is_word(text_[end]) || text_[end] == '.' ||
            (text_[end] == '+' && (text_[end - 1] == 'e' || text_[end - 1] == 'E')))) {
      ++end;
    }
    const auto word = text_.substr(offset, end - offset);
    auto node = make(operation::literal, offset);
    std::int64_t whole = 0;
    if (is_integer_text(word) &&
        std::from_chars(word.data(), word.data() + word.size(), whole).ec == std::errc{}) {
      node->literal = make_value(whole);
    } else if (const auto real = float_of(word)) {
      node->literal = make_value(*real);
    } else {
      return fail(offset, "`" + std::string{word} + "` is not a number",
                  is_ambiguous(word) ? "write it without leading zeros, or put text in quotes"
                                     : "put text in quotes");
    }
    at_ = end;
    skip_space();
    return node;
  }

  node_ptr parse_word() {
    const auto offset = at_;
    const auto word = peek_word();
    at_ += word.size();
    const bool called = text_.substr(at_).starts_with("(");
    skip_space();
    if (called || text_.substr(at_).starts_with("(")) {
      return parse_call(word, offset);
    }
    if (word == "true" || word == "false" || word == "null") {
      auto node = make(operation::literal, offset);
      if (word != "null") {
        node->literal = make_value(word == "true");
      }
      return node;
    }
    return parse_reference(word, offset);
  }

  node_ptr parse_call(std::string_view word, std::size_t offset) {
    const function_row* row = nullptr;
    suggestion near{word};
    for (const auto& each : functions) {
      near.consider(each.name);
      if (each.name == word) {
        row = &each;
      }
    }
    if (row == nullptr) {
      return fail(offset, "unknown function `" + std::string{word} + "`",
                  near.best().empty()
                      ? "functions: contains, starts_with, ends_with, length, int, float, string, "
                        "success, failure, always"
                      : "did you mean `" + std::string{near.best()} + "`?");
    }
    auto node = make(operation::call, offset);
    node->function = row->function;
    node->name_offset = offset;
    take("(");
    while (!take(")")) {
      if (!node->operands.empty() && !take(",")) {
        return at_ < text_.size()
                   ? fail_here()
                   : fail(offset, "`" + std::string{word} + "(` is never closed", "add `)`");
      }
      auto operand = parse_either();
      if (!operand) {
        return nullptr;
      }
      node->operands.push_back(std::move(operand));
    }
    if (node->operands.size() != row->operands) {
      return fail(offset, "`" + std::string{word} + "` takes " + std::to_string(row->operands) +
                              (row->operands == 1 ? " value" : " values") + ", not " +
                              std::to_string(node->operands.size()));
    }
    return node;
  }

  // One step of a reference: `.name` or `['name']`.
  bool take_step(std::string& name, std::size_t& offset, std::string_view wanted) {
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

  node_ptr parse_reference(std::string_view word, std::size_t offset) {
    auto node = make(operation::reference, offset);
    node->name_offset = offset;
    bool good = true;
    if (word == "item") {
      node->refers_to = reference_kind::item;
    } else if (word == "params") {
      node->refers_to = reference_kind::param;
      good = take_step(node->name, node->name_offset, "`params.NAME`");
      if (good && at_ < text_.size() && (text_[at_] == '.' || text_[at_] == '[')) {
        node->has_key = true;
        good = take_step(node->key, node->key_offset, "`params.NAME.KEY` or `params.NAME['KEY']`");
      }
    } else if (word == "matrix") {
      node->refers_to = reference_kind::matrix;
      good = take_step(node->name, node->name_offset, "`matrix.NAME`");
    } else if (word == "run") {
      node->refers_to = reference_kind::run;
      good = take_step(node->name, node->name_offset, "`run.id` or `run.pipeline`");
    } else if (word == "tasks") {
      good = parse_task_reference(*node);
    } else {
      return fail_unknown_word(word, offset);
    }
    if (!good) {
      return nullptr;
    }
    if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == '[')) {
      return fail(at_, "nothing can follow here", "a value has no parts");
    }
    skip_space();
    return node;
  }

  bool parse_task_reference(expression_node& node) {
    constexpr std::string_view wanted = "`tasks.NAME.outputs.KEY` or `tasks.NAME.status`";
    std::string field;
    std::size_t field_offset = 0;
    if (!take_step(node.name, node.name_offset, wanted) ||
        !take_step(field, field_offset, wanted)) {
      return false;
    }
    if (field == "status") {
      node.refers_to = reference_kind::status;
      return true;
    }
    if (field == "outputs") {
      node.refers_to = reference_kind::output;
      return take_step(node.key, node.key_offset, wanted);
    }
    fail(field_offset, "a task has no `" + field + "`",
         field == "output" ? "did you mean `outputs`?" : "write " + std::string{wanted});
    return false;
  }

  node_ptr fail_unknown_word(std::string_view word, std::size_t offset) {
    struct foreign {
      std::string_view word;
      std::string_view hint;
    };
    static constexpr std::array others{
        foreign{"param", "write `params.NAME`"},
        foreign{"inputs", "write `params.NAME`"},
        foreign{"parameters", "write `params.NAME`"},
        foreign{"steps", "write `tasks.NAME.outputs.KEY`"},
        foreign{"needs", "write `tasks.NAME.outputs.KEY`"},
        foreign{"task", "write `tasks.NAME.outputs.KEY`"},
        foreign{"outputs", "write `tasks.NAME.outputs.KEY`"},
        foreign{"env", "the environment is not readable here: use `params.NAME`"},
        foreign{"secrets", "secrets are not supported yet by this version"},
        foreign{"True", "write `true`"},
        foreign{"False", "write `false`"},
        foreign{"not", "write `!`"},
    };
    for (const auto& each : others) {
      if (each.word == word) {
        return fail(offset, "unknown name `" + std::string{word} + "`", std::string{each.hint});
      }
    }
    suggestion near{word};
    for (const std::string_view each :
         {"params", "matrix", "item", "tasks", "run", "true", "false"}) {
      near.consider(each);
    }
    return fail(offset, "unknown name `" + std::string{word} + "`",
                near.best().empty() ? "put text in quotes: '" + std::string{word} + "'"
                                    : "did you mean `" + std::string{near.best()} + "`?");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  bool failed_ = false;
  expression_error failure_;
};

}  // namespace

std::string_view symbol_of(operation what) noexcept {
  for (const auto& each : symbols) {
    if (each.what == what) {
      return each.symbol;
    }
  }
  return "";
}

std::string_view name_of(function_name function) noexcept {
  for (const auto& each : functions) {
    if (each.function == function) {
      return each.name;
    }
  }
  return "";
}

std::size_t operand_count_of(function_name function) noexcept {
  for (const auto& each : functions) {
    if (each.function == function) {
      return each.operands;
    }
  }
  return 0;
}

const std::vector<std::string_view>& task_statuses() {
  static const std::vector<std::string_view> statuses{"succeeded",       "failed",    "errored",
                                                      "timed_out",       "cancelled", "skipped",
                                                      "upstream_failed", "lost"};
  return statuses;
}

expression_parse parse_expression(std::string_view text) {
  if (text.size() > expression_bytes_max) {
    return {std::nullopt,
            {0, "the expression is longer than " + std::to_string(expression_bytes_max) + " bytes",
             "compute it in a task"}};
  }
  return parser{text}.parse();
}

bool expression::uses_instance() const {
  bool uses = false;
  walk(root(), [&](const expression_node& node) {
    uses = uses ||
           (node.what == operation::reference &&
            (node.refers_to == reference_kind::matrix || node.refers_to == reference_kind::item));
  });
  return uses;
}

}  // namespace millrace::actors
