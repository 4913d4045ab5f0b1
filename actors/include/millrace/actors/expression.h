// SPDX-License-Identifier: MIT
// Expressions: `${{ params.count > 3 && tasks.build.status == 'succeeded' }}`.
//
// A small typed language without a shell, loops or side effects. In order of binding, tightest
// first: literals (`'text'`, `"text"`, `12`, `0.5`, `true`, `false`, `null`), references and
// functions in parentheses; `!`; `< <= > >=`; `== !=`; `&&`; `||`. References: `params.NAME`,
// `params.NAME.KEY` of a map (null when it has no such key), `matrix.NAME`, `item`, and of either
// where it is a record `item.NAME.NAME`, whose absence is an error,
// `tasks.NAME.outputs.KEY`, `tasks.NAME.artifacts.KEY`, `tasks.NAME.status`,
// `tasks.NAME.exit_code`, in `env` and `inputs` of tasks before it `tasks.NAME.callback` of a task
// with `callback`, `run.id`, `run.pipeline`,
// `run.scheduled_at`, in `params` of a trigger alone `trigger.run`, `trigger.pipeline`,
// `trigger.state`, `trigger.version`, `trigger.params.NAME`, `trigger.outputs.NAME`, in the texts
// of a webhook alone `trigger.headers.NAME`, `trigger.body` and `trigger.body.NAME.0.NAME`, into
// maps and lists, in those of a watch alone `trigger.version`, and `trigger.version.NAME.NAME` of a
// record; a name with a dot is written `tasks['a.b']`. Functions: `contains(text, list or
// map, part)`, `starts_with`, `ends_with`, `length`, `int`, `float`, `string`, `split(text,
// separator)`, `join(list, separator)`, `range(first, end)` (without the end), `zip(name=list,
// ...)` (records of the elements of one index), `matches(text, 'RE')`, `extract(text, 'RE')` (the
// first group, or the whole match; null where there is none), and in `when` alone `success()`
// (every needed task succeeded), `failure()` (one failed) and `always()`.
//
// Nothing is converted silently: `1 == '1'` and `1 < '2'` are errors, and `&&`, `||`, `!` take
// booleans only. Null may be compared with anything. Integers and floats compare by value. `&&` and
// `||` stop at the first operand that decides. Outputs are strings: compare numbers as
// `int(tasks.a.outputs.n) > 3`.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/value.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The longest expression in bytes, and the deepest nesting of parentheses; they bound recursion.
inline constexpr std::size_t expression_bytes_max = 4'096;
inline constexpr std::size_t expression_depth_max = 64;

/// Where an expression finds the values of its references. Every member may answer "nothing", which
/// is an error of the expression.
///
/// Threading: called only within `evaluate`, on its thread.
class expression_scope {
public:
  expression_scope() = default;
  expression_scope(const expression_scope&) = default;
  expression_scope& operator=(const expression_scope&) = default;
  expression_scope(expression_scope&&) = default;
  expression_scope& operator=(expression_scope&&) = default;
  virtual ~expression_scope() = default;

  [[nodiscard]] virtual std::optional<value> param(std::string_view name) const;
  [[nodiscard]] virtual std::optional<value> matrix(std::string_view axis) const;
  [[nodiscard]] virtual std::optional<value> item() const;
  /// The output of a finished task: text, or a list of them in instance order when the task has
  /// `matrix` or `for_each`; null of one that did not succeed. Nothing: it should be there.
  [[nodiscard]] virtual std::optional<value> output(std::string_view task,
                                                    std::string_view key) const;
  /// Why `output` has no value, where it is there and cannot be read; empty: it is not there.
  [[nodiscard]] virtual std::string refusal_of_output(std::string_view task,
                                                      std::string_view key) const;
  /// `succeeded`, `failed`, `errored`, `timed_out`, `cancelled`, `skipped`, `upstream_failed`,
  /// `lost`.
  [[nodiscard]] virtual std::optional<value> status(std::string_view task) const;
  /// What the command of its last attempt exited with, or a list as above; null without one.
  [[nodiscard]] virtual std::optional<value> exit_code(std::string_view task) const;
  /// The digest of an artifact of a task, or a list as above; null where it has not left it.
  [[nodiscard]] virtual std::optional<value> artifact(std::string_view task,
                                                      std::string_view key) const;
  /// The path, on a gateway, of a task with `callback`.
  [[nodiscard]] virtual std::optional<value> callback(std::string_view task) const;
  /// `id`, `pipeline` or `scheduled_at`.
  [[nodiscard]] virtual std::optional<value> run(std::string_view name) const;
  /// `run`, `pipeline`, `state`, `version`; `params`, `outputs` and `headers` with one step below;
  /// `body` and `version` with any number.
  [[nodiscard]] virtual std::optional<value> trigger(std::string_view name,
                                                     const std::vector<std::string>& path) const;
  /// Whether every needed task succeeded, and whether one of them failed.
  [[nodiscard]] virtual std::optional<bool> needs_succeeded() const;
  [[nodiscard]] virtual std::optional<bool> needs_failed() const;
};

/// A scope over plain maps.
class map_scope final : public expression_scope {
public:
  using names = std::map<std::string, value, std::less<>>;
  names params;
  names matrix_values;
  std::optional<value> item_value;
  std::map<std::string, names, std::less<>> outputs;  ///< By task, then by key.
  std::map<std::string, std::string, std::less<>> statuses;
  names exit_codes;
  names run_values;
  names trigger_values;  ///< `run`, `params.day`.
  std::optional<bool> all_succeeded;
  std::optional<bool> one_failed;

  [[nodiscard]] std::optional<value> param(std::string_view name) const override;
  [[nodiscard]] std::optional<value> matrix(std::string_view axis) const override;
  [[nodiscard]] std::optional<value> item() const override;
  [[nodiscard]] std::optional<value> output(std::string_view task,
                                            std::string_view key) const override;
  [[nodiscard]] std::optional<value> status(std::string_view task) const override;
  [[nodiscard]] std::optional<value> exit_code(std::string_view task) const override;
  [[nodiscard]] std::optional<value> run(std::string_view name) const override;
  [[nodiscard]] std::optional<value> trigger(std::string_view name,
                                             const std::vector<std::string>& path) const override;
  [[nodiscard]] std::optional<bool> needs_succeeded() const override;
  [[nodiscard]] std::optional<bool> needs_failed() const override;
};

/// What is wrong in an expression, and at which byte of its text.
struct expression_error {
  std::size_t offset = 0;
  std::string text;
  std::string hint;
};

struct expression_node;

/// A parsed expression. Immutable; copies share the tree.
class expression {
public:
  explicit expression(std::shared_ptr<const expression_node> root) : root_(std::move(root)) {}

  [[nodiscard]] const expression_node& root() const { return *root_; }

  /// Whether it reads `matrix.*` or `item`, so that it has one value per instance of a task.
  [[nodiscard]] bool uses_instance() const;

private:
  std::shared_ptr<const expression_node> root_;
};

/// An expression, or why the text is none.
struct expression_parse {
  std::optional<expression> parsed;
  expression_error failure;  ///< Set when `parsed` is empty.
};

/// Parses the text between `${{` and `}}`.
[[nodiscard]] expression_parse parse_expression(std::string_view text);

/// The most work of one evaluation, in steps of some 7 ns: half a second.
inline constexpr std::uint64_t evaluation_steps_max = std::uint64_t{1} << 26U;

/// What evaluations may cost together. An operation is some steps, and so is every byte of a text
/// and every element of a list that it makes; a pattern counts as text_pattern.h says. It is
/// counted, not timed, so that an expression has the same value wherever it is computed.
class evaluation_budget {
public:
  explicit evaluation_budget(std::uint64_t steps = evaluation_steps_max) : left_(steps) {}
  /// False, from then on, when that is more than is left.
  [[nodiscard]] bool spend(std::uint64_t steps) noexcept {
    left_ = steps <= left_ ? left_ - steps : 0;
    is_spent_ = is_spent_ || left_ == 0;
    return !is_spent_;
  }
  [[nodiscard]] bool is_spent() const noexcept { return is_spent_; }

private:
  std::uint64_t left_;
  bool is_spent_ = false;
};

/// Computes an expression. Pure: the same scope gives the same value.
///
/// Errors: `invalid_argument` for operands of the wrong type, `failed_precondition` for a
/// reference that has no value in this scope; `too_large` for more work than `budget` has.
[[nodiscard]] runtime::result<value> evaluate(const expression& formula,
                                              const expression_scope& scope,
                                              evaluation_budget& budget);
/// The same by itself.
[[nodiscard]] runtime::result<value> evaluate(const expression& formula,
                                              const expression_scope& scope);

/// A piece of a text with expressions: literal text, or one expression.
struct template_piece {
  std::string text;                   ///< The literal, or the text between `${{` and `}}`.
  std::size_t offset = 0;             ///< Of the literal, or of the expression's text, in bytes.
  std::optional<expression> formula;  ///< Set for an expression.
};

/// A text cut at its expressions, or every mistake in it.
struct template_parse {
  std::vector<template_piece> pieces;
  std::vector<expression_error> failures;
};

/// Cuts `text` at every `${{ ... }}`. `$${{` stands for a literal `${{`.
[[nodiscard]] template_parse parse_template(std::string_view text);

/// Whether `text` holds an expression (or a broken one).
[[nodiscard]] bool has_expression(std::string_view text);

/// Fills in the expressions of a text. Errors: as `evaluate`; `invalid_argument` if it is broken.
[[nodiscard]] runtime::result<std::string> fill(std::string_view text,
                                                const expression_scope& scope);

/// The value of a text that is one single `${{ ... }}`, type kept; any other text is filled in.
[[nodiscard]] runtime::result<value> fill_value(std::string_view text,
                                                const expression_scope& scope);

/// The decision of a `when`. Empty text is true. Errors: as `fill_value`, or it is not a bool.
[[nodiscard]] runtime::result<bool> decide(std::string_view when, const expression_scope& scope);
/// The same of the one expression in it, one of several that are decided together. Errors: as
/// above.
[[nodiscard]] runtime::result<bool> decide(const expression& when, const expression_scope& scope,
                                           evaluation_budget& budget);

}  // namespace millrace::actors
