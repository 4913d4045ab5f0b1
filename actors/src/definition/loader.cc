// SPDX-License-Identifier: MIT
// The first pass: keys, shapes and values.
#include "definition/loader.h"

#include <algorithm>
#include <array>
#include <set>

#include "millrace/actors/expression.h"
#include "millrace/actors/params.h"

namespace millrace::actors {

namespace {

constexpr std::int64_t parallel_max = 100'000;
constexpr std::string_view reserved_prefix = "MILLRACE_";

constexpr std::array param_type_words{std::string_view{"string"}, std::string_view{"int"},
                                      std::string_view{"float"}, std::string_view{"bool"}};
constexpr std::array trigger_words{std::string_view{"success"}, std::string_view{"failure"},
                                   std::string_view{"always"}, std::string_view{"any"}};
constexpr std::array workspace_words{std::string_view{"run"}, std::string_view{"task"}};

struct defaults_block {
  retry_policy retry;
  std::optional<runtime::duration> timeout;
  std::map<std::string, std::string> env;
};

// Whether a value may stand where a parameter of `type` is wanted; integers fit floats.
std::optional<value> fitted(const value& content, param_type type) {
  switch (type) {
    case param_type::text:
      return content.text() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::integer:
      return content.integer() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::floating:
      if (const auto* whole = content.integer()) {
        return make_value(static_cast<double>(*whole));
      }
      return content.floating() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::boolean:
      return content.boolean() != nullptr ? std::optional{content} : std::nullopt;
  }
  return std::nullopt;
}

param_type type_of(const value& content) {
  switch (content.type()) {
    case value_type::integer:
      return param_type::integer;
    case value_type::floating:
      return param_type::floating;
    case value_type::boolean:
      return param_type::boolean;
    default:
      return param_type::text;
  }
}

class shape_reader {
public:
  shape_reader(reader& in, loaded_shape& out) : in_(in), out_(out) {}

  void read(const cursor& root) {
    auto& made = out_.definition;
    const auto entries = in_.read_map(root, "a map", "start with `name: my-pipeline` and `tasks:`");
    if (!entries) {
      return;
    }
    in_.check_keys(root, *entries, pipeline_keys(), true);
    const auto at = [&](std::string_view key) { return reader::find(root, *entries, key); };
    if (const auto version = at("version")) {
      static_cast<void>(in_.read_int(*version, 1, 1, "write `version: 1`"));
    }
    if (const auto name = at("name")) {
      made.name = read_name(*name, name_rule::thing);
    } else {
      in_.report(root, "the pipeline has no `name`", "add `name: my-pipeline`");
    }
    read_text(at("description"), made.description);
    if (const auto labels = at("labels")) {
      read_labels(*labels);
    }
    if (const auto params = at("params")) {
      read_params(*params);
    }
    if (const auto env = at("env")) {
      made.env = read_env(*env, no_task);
    }
    read_duration(at("timeout"), made.timeout, false);
    read_duration(at("grace_period"), made.grace_period, true);
    if (const auto workspace = at("workspace")) {
      if (const auto word = in_.read_word(*workspace, workspace_words)) {
        made.workspace = static_cast<workspace_mode>(*word);
      }
    }
    read_parallel(at("max_parallel"), made.max_parallel);
    if (const auto defaults = at("defaults")) {
      read_defaults(*defaults);
    }
    if (const auto tasks = at("tasks")) {
      read_tasks(*tasks);
    } else {
      in_.report(root, "the pipeline has no `tasks`", "add a list of tasks under `tasks:`");
    }
  }

private:
  void read_text(const std::optional<cursor>& where, std::string& into) {
    if (where) {
      into = in_.read_text(*where, "put the text in quotes").value_or("");
    }
  }

  void read_duration(const std::optional<cursor>& where, std::optional<runtime::duration>& into,
                     bool zero_allowed) {
    if (where) {
      into = in_.read_duration(*where, zero_allowed);
    }
  }

  void read_parallel(const std::optional<cursor>& where, std::optional<std::uint32_t>& into) {
    if (where) {
      if (const auto number = in_.read_int(*where, 1, parallel_max, "write it like `4`")) {
        into = static_cast<std::uint32_t>(*number);
      }
    }
  }

  std::string read_name(const cursor& where, name_rule rule) {
    auto name = in_.read_text(where, "write it like `nightly-report`");
    if (name && !fits(*name, rule)) {
      in_.report(where, "the name `" + *name + "` is not allowed", std::string{words_of(rule)});
    }
    return std::move(name).value_or("");
  }

  // A key that is a name.
  void check_key_name(const cursor& map, const yaml_node& key, name_rule rule) {
    if (!fits(key.text, rule)) {
      const cursor here{&key, nullptr, {&map.at, key.text, 0, false}};
      in_.report(here, "the name `" + key.text + "` is not allowed", std::string{words_of(rule)});
    }
  }

  void read_labels(const cursor& where) {
    const auto entries = in_.read_map(where, "a map", "write `labels: {team: data}`");
    for (const auto& [key, content] : entries.value_or(map_entries{})) {
      const cursor here{content, key, {&where.at, key->text, 0, false}};
      if (auto text = in_.read_scalar(here, "text")) {
        out_.definition.labels[key->text] = to_text(*text);
      }
    }
  }

  std::map<std::string, std::string> read_env(const cursor& where, std::size_t task) {
    std::map<std::string, std::string> env;
    const auto entries = in_.read_map(where, "a map", "write `env: {NAME: value}`");
    for (const auto& [key, content] : entries.value_or(map_entries{})) {
      check_key_name(where, *key, name_rule::variable);
      const cursor here{content, key, {&where.at, key->text, 0, false}};
      if (key->text.starts_with(reserved_prefix)) {
        in_.report(key->place, here.pointer(), "variables that start with `MILLRACE_` are reserved",
                   "choose another name");
      }
      if (auto text = in_.read_scalar(here, "text")) {
        env[key->text] = to_text(*text);
        use(here, env[key->text], task);
      }
    }
    return env;
  }

  // Notes a text for the second pass.
  void use(const cursor& where, const std::string& text, std::size_t task, bool in_when = false,
           bool with_instance = true) {
    if (in_when || has_expression(text)) {
      out_.expressions.push_back({where.node, text, where.pointer(), task, in_when, with_instance});
    }
  }

  void read_params(const cursor& where) {
    const auto entries =
        in_.read_map(where, "a map", "write `params: {day: {type: string, default: today}}`");
    std::map<std::string, std::string> variables;
    for (const auto& [key, content] : entries.value_or(map_entries{})) {
      check_key_name(where, *key, name_rule::field);
      const cursor here{content, key, {&where.at, key->text, 0, false}};
      const auto [twin, fresh] = variables.try_emplace(param_variable(key->text), key->text);
      if (!fresh) {
        in_.report(
            key->place, here.pointer(),
            "`" + key->text + "` and `" + twin->second + "` would both be `$" + twin->first + "`",
            "rename one of them");
      }
      out_.definition.params.push_back(read_param(here, key->text));
    }
  }

  param_definition read_param(const cursor& where, const std::string& name) {
    param_definition made;
    made.name = name;
    if (where.node->kind == yaml_kind::scalar) {  // `day: today`: the default alone
      if ((made.fallback = in_.read_scalar(where, "a value"))) {
        made.type = type_of(*made.fallback);
      }
      return made;
    }
    const auto entries =
        in_.read_map(where, "a map or a default", "write `" + name + ": {type: string}`");
    if (!entries) {
      return made;
    }
    in_.check_keys(where, *entries, param_keys());
    const auto at = [&](std::string_view key) { return reader::find(where, *entries, key); };
    std::optional<param_type> type;
    if (const auto word = at("type")) {
      if (const auto found = in_.read_word(*word, param_type_words)) {
        type = static_cast<param_type>(*found);
      }
    }
    read_text(at("description"), made.description);
    if (const auto required = at("required")) {
      made.required = in_.read_bool(*required).value_or(false);
    }
    const auto fallback = at("default");
    if (fallback) {
      if (const auto content = in_.read_scalar(*fallback, "a value")) {
        type = type ? type : type_of(*content);
        made.fallback = fit(*fallback, *content, *type);
      }
      if (made.required) {
        in_.report(*fallback, "a required parameter has no use for a default",
                   "remove `required` or `default`");
      }
    }
    made.type = type.value_or(param_type::text);
    if (const auto choices = at("enum")) {
      read_choices(*choices, made);
    }
    if (fallback && made.fallback && !made.choices.empty() &&
        std::find(made.choices.begin(), made.choices.end(), *made.fallback) == made.choices.end()) {
      in_.report(*fallback, "the default is not in `enum`", "add it there");
    }
    return made;
  }

  std::optional<value> fit(const cursor& where, const value& content, param_type type) {
    auto found = fitted(content, type);
    if (!found) {
      in_.report(where,
                 where.label() + " must be of type `" + std::string{to_string(type)} + "`, found " +
                     describe(*where.node),
                 type == param_type::text ? "put it in quotes" : "");
    }
    return found;
  }

  void read_choices(const cursor& where, param_definition& into) {
    if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
      in_.report_type(where, "a list of values", "write `enum: [small, large]`");
      return;
    }
    for (const auto& each : in_.elements(where)) {
      if (const auto content = in_.read_scalar(each, "a value")) {
        if (auto choice = fit(each, *content, into.type)) {
          into.choices.push_back(std::move(*choice));
        }
      }
    }
  }

  void read_defaults(const cursor& where) {
    const auto entries = in_.read_map(where, "a map", "write `defaults: {timeout: 5m}`");
    if (!entries) {
      return;
    }
    in_.check_keys(where, *entries, defaults_keys());
    if (const auto retry = reader::find(where, *entries, "retry")) {
      read_retry(*retry, defaults_.retry);
    }
    read_duration(reader::find(where, *entries, "timeout"), defaults_.timeout, false);
    if (const auto env = reader::find(where, *entries, "env")) {
      for (auto& [name, text] : read_env(*env, no_task)) {
        out_.definition.env.emplace(name, text);
      }
    }
  }

  void read_retry(const cursor& where, retry_policy& into) {
    constexpr std::string_view example = "write `retry: 3`, `retry: never` or a map";
    if (where.node->kind == yaml_kind::scalar) {
      if (where.node->text == "never") {
        into = {};
        into.on_lost = lost_attempt::give_up;
      } else if (const auto count = in_.read_int(where, 1, retry_attempts_max, example)) {
        into.max_attempts = static_cast<std::uint32_t>(*count);
      }
      return;
    }
    const auto entries = in_.read_map(where, "a number or a map", std::string{example});
    if (!entries) {
      return;
    }
    in_.check_keys(where, *entries, retry_keys());
    const auto at = [&](std::string_view key) { return reader::find(where, *entries, key); };
    if (const auto attempts = at("max_attempts")) {
      if (const auto count = in_.read_int(*attempts, 1, retry_attempts_max, example)) {
        into.max_attempts = static_cast<std::uint32_t>(*count);
      }
    }
    if (const auto delay = at("delay")) {
      into.delay = in_.read_duration(*delay, true).value_or(into.delay);
    }
    if (const auto longest = at("max_delay")) {
      into.max_delay = in_.read_duration(*longest, true).value_or(into.max_delay);
    }
    if (const auto factor = at("backoff")) {
      into.backoff = in_.read_number(*factor, 1, 100, "write it like `2`").value_or(into.backoff);
    }
    if (const auto part = at("jitter")) {
      into.jitter = in_.read_number(*part, 0, 1, "write it like `0.1`").value_or(into.jitter);
    }
    into.max_delay = std::max(into.max_delay, at("max_delay") ? into.max_delay : into.delay);
  }

  void read_tasks(const cursor& where) {
    if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
      in_.report_type(where, "a list with at least one task",
                      "write `- name: build` and `  run: make` below `tasks:`");
      return;
    }
    if (where.node->items.size() > definition_tasks_max) {
      in_.report(where, "a pipeline has at most " + std::to_string(definition_tasks_max) + " tasks",
                 "use `for_each` for tasks that differ by a value");
      return;
    }
    for (const auto& each : in_.elements(where)) {
      read_task(each);
    }
  }

  void read_task(const cursor& where) {
    const auto index = out_.definition.tasks.size();
    auto& made = out_.definition.tasks.emplace_back();
    out_.task_places.push_back(where.node);
    made.retry = defaults_.retry;
    made.timeout = defaults_.timeout;
    const auto entries = in_.read_map(where, "a map", "write `- name: build`");
    if (!entries) {
      return;
    }
    in_.check_keys(where, *entries, task_keys());
    const auto at = [&](std::string_view key) { return reader::find(where, *entries, key); };
    if (const auto name = at("name")) {
      made.name = read_name(*name, name_rule::thing);
      out_.task_places.back() = name->node;
    } else {
      in_.report(where, "the task has no `name`", "add `name: build`");
    }
    read_text(at("description"), made.description);
    read_what_to_run(where, at("run"), at("command"), made, index);
    if (const auto needs = at("needs")) {
      read_needs(*needs, made, index);
    }
    if (const auto rule = at("run_on")) {
      if (const auto word = in_.read_word(*rule, trigger_words)) {
        made.run_on = static_cast<trigger_rule>(*word);
      }
    }
    if (const auto when = at("when")) {
      read_when(*when, made, index);
    }
    if (const auto env = at("env")) {
      made.env = read_env(*env, index);
    }
    read_duration(at("timeout"), made.timeout, false);
    read_duration(at("grace_period"), made.grace_period, true);
    if (const auto retry = at("retry")) {
      read_retry(*retry, made.retry);
    }
    read_fan_out(at, made, index);
    if (const auto outputs = at("outputs")) {
      read_outputs(*outputs, made);
    }
    if (const auto priority = at("priority")) {
      made.priority = static_cast<std::uint8_t>(
          in_.read_int(*priority, 0, 100, "write it like `50`").value_or(made.priority));
    }
  }

  void read_what_to_run(const cursor& where, const std::optional<cursor>& run,
                        const std::optional<cursor>& command, task_definition& made,
                        std::size_t index) {
    if (run && command) {
      in_.report(*command, "a task has `run` or `command`, not both", "remove one of them");
    } else if (!run && !command) {
      in_.report(where, "the task has neither `run` nor `command`",
                 "add `run: echo hello`, or `command: [program, argument]`");
    }
    if (run) {
      made.run = in_.read_text(*run, "write shell text").value_or("");
      refuse_expressions(*run, made.run);
      if (made.run.find_first_not_of(" \t\r\n") == std::string::npos &&
          run->node->kind == yaml_kind::scalar) {
        in_.report(*run, "`run` is empty", "write shell text");
      }
    }
    if (command) {
      if (command->node->kind != yaml_kind::sequence || command->node->items.empty()) {
        in_.report_type(*command, "a list of program and arguments",
                        "write `command: [program, argument]`, or `run` for shell text");
        return;
      }
      for (const auto& each : in_.elements(*command)) {
        if (const auto text = in_.read_scalar(each, "text")) {
          made.command.push_back(to_text(*text));
          if (is_shell_script(made.command)) {
            refuse_expressions(each, made.command.back());
          } else {
            use(each, made.command.back(), index);
          }
        }
      }
    }
  }

  // Whether the last of `command` is the script of `sh -c`.
  static bool is_shell_script(const std::vector<std::string>& command) {
    constexpr std::array shells{std::string_view{"sh"}, std::string_view{"bash"},
                                std::string_view{"dash"}, std::string_view{"zsh"}};
    if (command.size() != 3 || !command[1].starts_with('-') || !command[1].ends_with('c')) {
      return false;
    }
    const std::string_view program = command[0];
    const auto name = program.substr(program.rfind('/') + 1);
    return std::find(shells.begin(), shells.end(), name) != shells.end();
  }

  void refuse_expressions(const cursor& where, const std::string& text) {
    const auto found = text.find("${{");
    if (found != std::string::npos) {
      in_.report(in_.place_in(*where.node, text, found), where.pointer(),
                 "an expression in shell text is refused: a value could become a command",
                 "use variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`");
    }
  }

  void read_needs(const cursor& where, task_definition& made, std::size_t index) {
    const auto add = [&](const cursor& each) {
      const auto name = in_.read_text(each, "write the name of a task");
      if (!name) {
        return;
      }
      if (std::find(made.needs.begin(), made.needs.end(), *name) != made.needs.end()) {
        in_.report(each, "`" + *name + "` is needed twice", "remove one of them");
        return;
      }
      made.needs.push_back(*name);
      out_.needs.push_back({each.node, each.pointer(), index});
    };
    if (where.node->kind == yaml_kind::sequence) {
      for (const auto& each : in_.elements(where)) {
        add(each);
      }
    } else if (where.node->kind == yaml_kind::scalar) {
      add(where);
    } else {
      in_.report_type(where, "a list of task names", "write `needs: [build]`");
    }
  }

  void read_when(const cursor& where, task_definition& made, std::size_t index) {
    const auto text = in_.read_text(where, "write `when: ${{ params.publish }}`");
    if (!text) {
      return;
    }
    made.when = *text;
    const auto cut = parse_template(*text);
    const auto single = cut.pieces.size() == 1 && cut.pieces[0].formula;
    if (cut.failures.empty() && !single && *text != "true" && *text != "false") {
      in_.report(where, "`when` must be one expression", "write `when: ${{ " + *text + " }}`");
      return;
    }
    use(where, *text, index, true);
  }

  template <class At>
  void read_fan_out(const At& at, task_definition& made, std::size_t index) {
    const auto for_each = at("for_each");
    const auto matrix = at("matrix");
    if (for_each && matrix) {
      in_.report(*matrix, "a task has `for_each` or `matrix`, not both", "remove one of them");
    }
    if (for_each) {
      made.for_each = read_fan_values(*for_each, index);
    }
    if (matrix) {
      made.matrix = read_matrix(*matrix, index);
    }
    read_parallel(at("max_parallel"), made.max_parallel);
    if (const auto fast = at("fail_fast")) {
      made.fail_fast = in_.read_bool(*fast).value_or(true);
    }
    for (const auto* key : {"max_parallel", "fail_fast"}) {
      const auto found = at(key);
      if (found && !for_each && !matrix) {
        in_.report(*found, "`" + std::string{key} + "` has a meaning only with a fan-out",
                   "add `for_each` or `matrix`, or remove it");
      }
    }
  }

  fan_values read_fan_values(const cursor& where, std::size_t index) {
    if (where.node->kind == yaml_kind::scalar) {
      if (!has_expression(where.node->text)) {
        in_.report_type(where, "a list or an expression",
                        "write `[a, b]` or `${{ tasks.list.outputs.files }}`");
      }
      use(where, where.node->text, index, false, false);
      return where.node->text;
    }
    std::vector<value> values;
    if (where.node->kind != yaml_kind::sequence) {
      in_.report_type(where, "a list or an expression", "write `[a, b]`");
      return values;
    }
    if (where.node->items.size() > task_instances_max) {
      in_.report(where, "a fan-out has at most " + std::to_string(task_instances_max) + " values");
      return values;
    }
    for (const auto& each : in_.elements(where)) {
      if (auto content = in_.read_scalar(each, "a value")) {
        if (const auto* text = content->text()) {
          use(each, *text, index, false, false);
        }
        values.push_back(std::move(*content));
      }
    }
    return values;
  }

  matrix_definition read_matrix(const cursor& where, std::size_t index) {
    matrix_definition made;
    const auto entries = in_.read_map(where, "a map of axes", "write `matrix: {os: [a, b]}`");
    std::map<std::string, std::string> variables;
    for (const auto& [key, content] : entries.value_or(map_entries{})) {
      if (key->text == "include" || key->text == "exclude") {
        continue;
      }
      check_key_name(where, *key, name_rule::field);
      const cursor here{content, key, {&where.at, key->text, 0, false}};
      const auto [twin, fresh] = variables.try_emplace(matrix_variable(key->text), key->text);
      if (!fresh) {
        in_.report(
            key->place, here.pointer(),
            "`" + key->text + "` and `" + twin->second + "` would both be `$" + twin->first + "`",
            "rename one of them");
      }
      made.axes.push_back({key->text, read_fan_values(here, index)});
    }
    if (entries && made.axes.empty()) {
      in_.report(where, "`matrix` has no axis", "write `matrix: {os: [a, b]}`");
    }
    for (const auto& reserved : matrix_reserved) {
      if (const auto list = entries ? reader::find(where, *entries, reserved) : std::nullopt) {
        auto& into = reserved == "include" ? made.include : made.exclude;
        read_cells(*list, made, reserved == "include", into);
      }
    }
    return made;
  }

  void read_cells(const cursor& where, const matrix_definition& matrix, bool every_axis,
                  std::vector<matrix_cells>& into) {
    if (where.node->kind != yaml_kind::sequence) {
      in_.report_type(where, "a list of maps", "write `- {os: a, python: \"3.12\"}`");
      return;
    }
    for (const auto& each : in_.elements(where)) {
      const auto entries = in_.read_map(each, "a map of cells", "write `{os: a}`");
      matrix_cells cells;
      for (const auto& [key, content] : entries.value_or(map_entries{})) {
        const cursor here{content, key, {&each.at, key->text, 0, false}};
        const auto known =
            std::any_of(matrix.axes.begin(), matrix.axes.end(),
                        [&name = here.at.key](const auto& axis) { return axis.name == name; });
        if (!known) {
          in_.report(key->place, here.pointer(), "the matrix has no axis `" + key->text + "`",
                     "add it to the matrix");
        }
        if (auto cell = in_.read_scalar(here, "a value")) {
          cells[key->text] = std::move(*cell);
        }
      }
      if (entries && every_axis && cells.size() < matrix.axes.size()) {
        in_.report(each, "a combination in `include` must name every axis");
      }
      into.push_back(std::move(cells));
    }
  }

  void read_outputs(const cursor& where, task_definition& made) {
    const auto add = [&](const cursor& place, std::string name, std::string description) {
      const auto twice = std::any_of(made.outputs.begin(), made.outputs.end(),
                                     [&](const auto& each) { return each.name == name; });
      if (twice) {
        in_.report(place, "the output `" + name + "` is given twice", "remove one of them");
      }
      made.outputs.push_back({std::move(name), std::move(description)});
    };
    if (where.node->kind == yaml_kind::sequence) {
      for (const auto& each : in_.elements(where)) {
        add(each, read_name(each, name_rule::field), "");
      }
      return;
    }
    const auto entries = in_.read_map(where, "a list of names", "write `outputs: [count, result]`");
    for (const auto& [key, content] : entries.value_or(map_entries{})) {
      check_key_name(where, *key, name_rule::field);
      const cursor here{content, key, {&where.at, key->text, 0, false}};
      std::string description;
      if (content->kind == yaml_kind::map) {
        const auto fields = in_.entries(here);
        in_.check_keys(here, fields, output_keys());
        read_text(reader::find(here, fields, "description"), description);
      } else if (content->kind != yaml_kind::null) {
        read_text(here, description);
      }
      add(here, key->text, std::move(description));
    }
  }

  reader& in_;
  loaded_shape& out_;
  defaults_block defaults_;
};

}  // namespace

void read_shape(reader& in, const cursor& root, loaded_shape& out) {
  shape_reader{in, out}.read(root);
}

}  // namespace millrace::actors
