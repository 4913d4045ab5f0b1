// SPDX-License-Identifier: MIT
// `for_each`, `matrix` and `ranks`: the instances of a task.
#include <algorithm>
#include <array>
#include <charconv>

#include "definition/shape.h"
#include "millrace/actors/expansion.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/params.h"

namespace millrace::actors {

namespace {

// In the order of `empty_fan_out`.
constexpr std::array on_empty_words{std::string_view{"succeed"}, std::string_view{"skip"},
                                    std::string_view{"fail"}};

// Whether a list may hold records, or scalars alone.
enum class records : bool { refused, allowed };

std::optional<value> read_noted_scalar(shape_context& to, const cursor& where, std::size_t task,
                                       std::string_view wanted) {
  auto content = to.in.read_scalar(where, wanted);
  if (const auto* text = content ? content->text() : nullptr) {
    note_text(to, where, *text, task, text_place::fan_out);
  }
  return content;
}

// An item of `for_each` that is a map of scalars.
value read_record(shape_context& to, const cursor& where, std::size_t task) {
  value::map fields;
  std::map<std::string, std::string> twins;
  for (const auto& [key, content] : to.in.entries(where)) {
    check_key_name(to, where, *key, name_rule::field);
    const auto here = under(where, *key, *content);
    check_variable(to, here, item_field_variable(key->text), twins);
    if (auto field = read_noted_scalar(to, here, task, "a value")) {
      fields[key->text] = *std::move(field);
    }
  }
  return make_value(std::move(fields));
}

fan_values read_fan_values(shape_context& to, const cursor& where, std::size_t task,
                           records may_have) {
  if (where.node->kind == yaml_kind::scalar) {
    if (!has_expression(where.node->text)) {
      to.in.report_type(
          where, "a list or an expression",
          "write `[a, b]`, `${{ params.names }}` or `${{ tasks.list.outputs.files }}`");
    }
    note_text(to, where, where.node->text, task, text_place::fan_list);
    return where.node->text;
  }
  std::vector<value> values;
  if (where.node->kind != yaml_kind::sequence) {
    to.in.report_type(where, "a list or an expression", "write `[a, b]`");
    return values;
  }
  if (where.node->items.size() > task_instances_max) {
    to.in.report(where, "a fan-out has at most " + std::to_string(task_instances_max) + " values");
    return values;
  }
  for (const auto& each : to.in.elements(where)) {
    if (each.node->kind == yaml_kind::map && may_have == records::allowed) {
      values.push_back(read_record(to, each, task));
    } else if (auto content = read_noted_scalar(to, each, task, "a value")) {
      values.push_back(*std::move(content));
    }
  }
  return values;
}

matrix_cells read_cells(shape_context& to, const cursor& where, const map_entries& entries,
                        const matrix_definition& matrix) {
  matrix_cells cells;
  for (const auto& [key, content] : entries) {
    const auto here = under(where, *key, *content);
    const auto known =
        std::any_of(matrix.axes.begin(), matrix.axes.end(),
                    [&name = key->text](const auto& axis) { return axis.name == name; });
    if (!known) {
      to.in.report(key->place, here.pointer(), "the matrix has no axis `" + key->text + "`",
                   "add it to the matrix, or to the first combination of one without axes");
    }
    if (auto cell = to.in.read_scalar(here, "a value")) {
      cells[key->text] = *std::move(cell);
    }
  }
  return cells;
}

// `include` or `exclude`.
std::vector<matrix_cells> read_rows(shape_context& to, const cursor& where,
                                    const matrix_definition& matrix) {
  std::vector<matrix_cells> rows;
  if (where.node->kind != yaml_kind::sequence) {
    to.in.report_type(where, "a list of maps", "write `- {os: a, python: \"3.12\"}`");
    return rows;
  }
  for (const auto& each : to.in.elements(where)) {
    const auto entries = to.in.read_map(each, "a map of cells", "write `{os: a}`");
    auto cells = read_cells(to, each, entries.value_or(map_entries{}), matrix);
    if (entries && where.key->text == "include" && cells.size() < matrix.axes.size()) {
      to.in.report(each, "a combination in `include` must name every axis");
    }
    rows.push_back(std::move(cells));
  }
  return rows;
}

// Of a matrix of combinations alone: the first one names the axes.
void read_axes_of_include(shape_context& to, const cursor& include, matrix_definition& made) {
  const auto rows =
      include.node->kind == yaml_kind::sequence ? to.in.elements(include) : std::vector<cursor>{};
  if (rows.empty() || rows[0].node->kind != yaml_kind::map) {
    return;
  }
  std::map<std::string, std::string> twins;
  for (const auto& [key, content] : to.in.entries(rows[0])) {
    check_key_name(to, rows[0], *key, name_rule::field);
    check_variable(to, under(rows[0], *key, *content), matrix_variable(key->text), twins);
    made.axes.push_back({key->text, std::vector<value>{}});
  }
  if (made.axes.size() > matrix_axes_max) {
    to.in.report(rows[0], "a matrix has at most " + std::to_string(matrix_axes_max) + " axes");
    made.axes.clear();
  }
}

matrix_definition read_matrix(shape_context& to, const cursor& where, std::size_t task) {
  matrix_definition made;
  const auto entries = to.in.read_map(where, "a map of axes", "write `matrix: {os: [a, b]}`");
  if (!entries) {
    return made;
  }
  const auto is_axis = [](const auto& entry) {
    return std::find(matrix_reserved.begin(), matrix_reserved.end(), entry.first->text) ==
           matrix_reserved.end();
  };
  if (static_cast<std::size_t>(std::count_if(entries->begin(), entries->end(), is_axis)) >
      matrix_axes_max) {
    to.in.report(where, "a matrix has at most " + std::to_string(matrix_axes_max) + " axes");
    return made;
  }
  std::map<std::string, std::string> twins;
  for (const auto& entry : *entries) {
    if (!is_axis(entry)) {
      continue;
    }
    const auto& [key, content] = entry;
    check_key_name(to, where, *key, name_rule::field);
    const auto here = under(where, *key, *content);
    check_variable(to, here, matrix_variable(key->text), twins);
    made.axes.push_back({key->text, read_fan_values(to, here, task, records::refused)});
  }
  const auto include = reader::find(where, *entries, "include");
  if (made.axes.empty() && include) {
    read_axes_of_include(to, *include, made);
  }
  if (made.axes.empty()) {
    to.in.report(where, "`matrix` has no axis",
                 "write `matrix: {os: [a, b]}`, or `matrix: {include: [{os: a}, {os: b}]}`");
    return made;
  }
  if (include) {
    made.include = read_rows(to, *include, made);
  }
  if (const auto rows = reader::find(where, *entries, "exclude")) {
    made.exclude = read_rows(to, *rows, made);
  }
  return made;
}

// `true`, a number of instances, or a percentage of them.
void read_allowance(shape_context& to, const cursor& where, task_definition& made) {
  constexpr std::string_view example = "write `true`, a number, or a percentage like `10%`";
  auto& into = made.allow_failures;
  const auto& text = where.node->text;
  const auto is_plain = where.node->kind == yaml_kind::scalar && where.node->plain;
  if (is_plain && (text == "true" || text == "false")) {
    into = {text == "true" ? 100U : 0U, text == "true"};
  } else if (where.node->kind == yaml_kind::scalar && text.ends_with('%')) {
    const auto digits = std::string_view{text}.substr(0, text.size() - 1);
    const auto [after, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), into.count);
    into.is_percentage = true;
    if (failure != std::errc{} || after != digits.data() + digits.size() || into.count > 100 ||
        digits.size() > 3) {
      to.in.report(where, "`" + text + "` is no percentage", "write it like `10%`");
      into = {};
    }
  } else if (const auto count = to.in.read_int(where, 0, task_instances_max, example)) {
    into.count = static_cast<std::uint32_t>(*count);
  }
}

// A gang begins and fails as a whole, so what is about single instances has no meaning.
void read_ranks(shape_context& to, const cursor& where, const field_map& fields,
                task_definition& made) {
  const auto count =
      to.in.read_int(where, gang_ranks_min, gang_ranks_max, "write it like `ranks: 4`");
  made.ranks = static_cast<std::uint32_t>(count.value_or(0));
  for (const auto* key : {"for_each", "matrix"}) {
    if (fields.at(key)) {
      to.in.report(where, "a task has `ranks` or `" + std::string{key} + "`, not both",
                   "remove one of them");
    }
  }
  for (const auto* key : {"max_parallel", "fail_fast", "on_empty", "allow_failures", "cache"}) {
    if (const auto found = fields.at(key)) {
      to.in.report(*found, "`" + std::string{key} + "` has no meaning beside `ranks`",
                   "remove it: a gang starts as a whole, and has failed when one rank has");
    }
  }
  if (const auto rule = fields.at("preemptible"); rule && rule->node->text != "never") {
    to.in.report(*rule, "a task with `ranks` does not make way for others",
                 "remove it, or write `preemptible: never`");
  }
  if (made.retry_command) {
    to.in.report(*fields.at("retry"), "a task with `ranks` has no other command for later attempts",
                 "decide in the command, by `$MILLRACE_ATTEMPT`");
  }
  if (const auto most = to.out.definition.max_parallel; most && made.ranks > *most) {
    to.in.report(where,
                 "the " + std::to_string(made.ranks) +
                     " ranks start together, and `max_parallel` of the pipeline is " +
                     std::to_string(*most),
                 "raise `max_parallel`, or remove it");
  }
}

}  // namespace

void read_fan_out(shape_context& to, const field_map& fields, task_definition& made,
                  std::size_t task) {
  const auto for_each = fields.at("for_each");
  const auto matrix = fields.at("matrix");
  if (for_each && matrix) {
    to.in.report(*matrix, "a task has `for_each` or `matrix`, not both", "remove one of them");
  }
  if (for_each) {
    made.for_each = read_fan_values(to, *for_each, task, records::allowed);
  }
  if (matrix) {
    made.matrix = read_matrix(to, *matrix, task);
  }
  if (const auto ranks = fields.at("ranks")) {
    read_ranks(to, *ranks, fields, made);
    return;
  }
  read_parallel(to, fields.at("max_parallel"), made.max_parallel);
  if (const auto fast = fields.at("fail_fast")) {
    made.fail_fast = to.in.read_bool(*fast).value_or(true);
  }
  if (const auto empty = fields.at("on_empty")) {
    if (const auto word = to.in.read_word(*empty, on_empty_words)) {
      made.on_empty = static_cast<empty_fan_out>(*word);
    }
  }
  if (const auto allowed = fields.at("allow_failures")) {
    read_allowance(to, *allowed, made);
    if (!for_each && !matrix && allowed->node->text != "true" && allowed->node->text != "false") {
      to.in.report(*allowed, "without a fan-out `allow_failures` is `true` or `false`",
                   "write `allow_failures: true`");
    }
  }
  for (const auto* key : {"max_parallel", "fail_fast", "on_empty"}) {
    const auto found = fields.at(key);
    if (found && !for_each && !matrix) {
      to.in.report(*found, "`" + std::string{key} + "` has a meaning only with a fan-out",
                   "add `for_each` or `matrix`, or remove it");
    }
  }
}

}  // namespace millrace::actors
