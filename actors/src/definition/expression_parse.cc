// SPDX-License-Identifier: MIT
// Recursive descent over the bytes of an expression; the grammar is in the header's comment.
#include <algorithm>
#include <array>
#include <charconv>

#include "definition/expression_tree.h"
#include "definition/expression_words.h"
#include "definition/scalar_text.h"
#include "definition/token_reader.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {
namespace {

using node_ptr = std::shared_ptr<expression_node>;

class parser : private token_reader {
public:
  explicit parser(std::string_view text) : token_reader(text) {}

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
                        "split, join, range, zip, matches, extract, json, success, failure, always"
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
      if (row->operands == named_operands && !take_operand_name(*node)) {
        return nullptr;
      }
      auto operand = parse_either();
      if (!operand) {
        return nullptr;
      }
      node->operands.push_back(std::move(operand));
    }
    if (row->operands == named_operands) {
      return node->operands.empty() ? fail(offset, "`zip` takes lists", std::string{zip_example})
                                    : node;
    }
    if (node->operands.size() != row->operands) {
      return fail(offset, "`" + std::string{word} + "` takes " + std::to_string(row->operands) +
                              (row->operands == 1 ? " value" : " values") + ", not " +
                              std::to_string(node->operands.size()));
    }
    if (row->function == function_name::from_json) {
      if (!take_fields(*node, json_parts)) {
        return nullptr;
      }
      skip_space();
    }
    const auto takes_pattern =
        row->function == function_name::matches || row->function == function_name::extract;
    return !takes_pattern || take_pattern(*node) ? node : nullptr;
  }

  // `host=`
  bool take_operand_name(expression_node& call) {
    const auto offset = at_;
    const std::string name{peek_word()};
    at_ += name.size();
    skip_space();
    if (!fits(name, name_rule::field) || text_.substr(at_).starts_with("==") || !take("=")) {
      fail(offset, "`zip` takes each of its lists by a name", std::string{zip_example});
      return false;
    }
    auto& names = call.operand_names;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      fail(offset, "`zip` is given `" + name + "` twice", "rename one of them");
      return false;
    }
    names.push_back(name);
    return true;
  }

  // The last operand, which is compiled.
  bool take_pattern(expression_node& call) {
    const auto& operand = *call.operands.back();
    const auto* text = operand.what == operation::literal ? operand.literal.text() : nullptr;
    if (text == nullptr) {
      fail(operand.offset, "a pattern is a text in quotes",
           "it is checked with the definition: write it here, as in '^v[0-9]+$'");
      return false;
    }
    text_pattern::mistake wrong;
    call.pattern = text_pattern::make(*text, wrong);
    if (!call.pattern) {
      const auto first = operand.offset + 1;  // after the quote
      const auto as_written = text_.substr(first).starts_with(*text);
      fail(as_written ? first + wrong.offset : operand.offset, std::move(wrong.text),
           "patterns are those of RE2: no look-around, no back-references");
      return false;
    }
    return true;
  }

  node_ptr parse_reference(std::string_view word, std::size_t offset) {
    auto node = make(operation::reference, offset);
    node->name_offset = offset;
    bool good = true;
    if (word == "item") {
      node->refers_to = reference_kind::item;
      good = take_fields(*node, "`item.NAME` or `item['NAME']`");
    } else if (word == "params") {
      node->refers_to = reference_kind::param;
      good = take_step(node->name, node->name_offset, "`params.NAME`");
      if (good && at_step()) {
        node->has_key = true;
        good = take_step(node->key, node->key_offset, "`params.NAME.KEY` or `params.NAME['KEY']`");
      }
    } else if (word == "matrix") {
      node->refers_to = reference_kind::matrix;
      good = take_step(node->name, node->name_offset, "`matrix.NAME`") &&
             take_fields(*node, "`matrix.AXIS.NAME` or `matrix.AXIS['NAME']`");
    } else if (word == "run") {
      node->refers_to = reference_kind::run;
      good = take_step(node->name, node->name_offset, "`run.id` or `run.pipeline`");
    } else if (word == "trigger") {
      good = parse_trigger_reference(*node);
    } else if (word == "tasks") {
      good = parse_task_reference(*node);
    } else {
      return fail_unknown_word(word, offset);
    }
    if (!good) {
      return nullptr;
    }
    if (at_step()) {
      return fail(at_, "nothing can follow here", "a value has no parts");
    }
    skip_space();
    return node;
  }

  [[nodiscard]] bool at_step() const {
    return at_ < text_.size() && (text_[at_] == '.' || text_[at_] == '[');
  }

  // Into a record, and what is in it.
  bool take_fields(expression_node& node, std::string_view wanted) {
    while (at_step()) {
      std::size_t offset = 0;
      if (!take_step(node.path.emplace_back(), offset, wanted)) {
        return false;
      }
      node.key_offset = node.path.size() == 1 ? offset : node.key_offset;
    }
    return true;
  }

  bool parse_trigger_reference(expression_node& node) {
    constexpr std::string_view wanted =
        "`trigger.run`, `trigger.params.NAME`, `trigger.body.NAME` or the like";
    node.refers_to = reference_kind::trigger;
    if (!take_step(node.name, node.name_offset, wanted)) {
      return false;
    }
    const auto has_one = node.name == "params" || node.name == "outputs" || node.name == "headers";
    const auto may_have = node.name == "body" || node.name == "version";
    while ((has_one && node.path.empty()) || (may_have && at_step())) {
      if (!take_step(node.path.emplace_back(), node.key_offset, wanted)) {
        return false;
      }
    }
    return true;
  }

  bool parse_task_reference(expression_node& node) {
    constexpr std::string_view wanted =
        "`tasks.NAME.outputs.KEY`, `tasks.NAME.artifacts.KEY`, `tasks.NAME.status` or "
        "`tasks.NAME.exit_code`";
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
    if (field == "exit_code") {
      node.refers_to = reference_kind::exit_code;
      return true;
    }
    if (field == "callback") {
      node.refers_to = reference_kind::callback;
      return true;
    }
    if (field == "artifacts") {
      node.refers_to = reference_kind::artifact;
      return take_step(node.key, node.key_offset, wanted);
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
        foreign{"secrets",
                "its value is nowhere but in the command: write `secrets`, use the variable"},
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
         {"params", "matrix", "item", "tasks", "run", "trigger", "true", "false"}) {
      near.consider(each);
    }
    return fail(offset, "unknown name `" + std::string{word} + "`",
                near.best().empty() ? "put text in quotes: '" + std::string{word} + "'"
                                    : "did you mean `" + std::string{near.best()} + "`?");
  }

  static constexpr std::string_view json_parts = "`json(...).NAME`, `json(...).0` or the like";
  static constexpr std::string_view zip_example =
      "write `zip(host=params.hosts, port=params.ports)`";

  std::size_t depth_ = 0;
};

}  // namespace

expression_parse parse_expression(std::string_view text) {
  if (text.size() > expression_bytes_max) {
    return {std::nullopt,
            {0, "the expression is longer than " + std::to_string(expression_bytes_max) + " bytes",
             "compute it in a task"}};
  }
  return parser{text}.parse();
}

}  // namespace millrace::actors
