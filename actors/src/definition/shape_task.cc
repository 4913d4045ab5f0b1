// SPDX-License-Identifier: MIT
// One task: what to run, after what, under which condition.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "definition/shape.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/process.h"

namespace millrace::actors {

namespace {

// In the order of `trigger_rule`.
constexpr std::array trigger_words{std::string_view{"success"}, std::string_view{"failure"},
                                   std::string_view{"always"}, std::string_view{"any"},
                                   std::string_view{"no_failure"}};

// Whether processes may outlive their command.
constexpr std::array detach_words{std::string_view{"forbidden"}, std::string_view{"allowed"}};

void refuse_expressions(shape_context& to, const cursor& where, const std::string& text) {
  const auto found = text.find("${{");
  if (found != std::string::npos) {
    to.in.report(to.in.place_in(*where.node, text, found), where.pointer(),
                 "an expression in shell text is refused: a value could become a command",
                 "use variables: `$MILLRACE_PARAM_NAME`, `$MILLRACE_ITEM`, or your own in `env`");
  }
}

}  // namespace

void read_run(shape_context& to, const cursor& where, task_definition& made) {
  made.run = to.in.read_text(where, "write shell text").value_or("");
  refuse_expressions(to, where, made.run);
  if (made.run.find_first_not_of(" \t\r\n") == std::string::npos &&
      where.node->kind == yaml_kind::scalar) {
    to.in.report(where, where.label() + " is empty", "write shell text");
  }
}

namespace {

// The script of a shell has no such bound: it goes by a file.
void check_argument(shape_context& to, const cursor& where, const std::string& text) {
  if (!has_expression(text) && text.size() >= argument_bytes_max) {
    to.in.report(where,
                 "the argument has " + std::to_string(text.size()) +
                     " bytes; a program can be given at most " +
                     std::to_string(argument_bytes_max - 1) + " in one",
                 "write the text to a file first, and pass its name");
  }
}

// What Linux gives a program's arguments and variables, each with its NUL and a pointer: a quarter
// of its stack, which is 8 MiB unless somebody has said otherwise (execve(2)).
constexpr std::size_t arguments_bytes_max = std::size_t{2} << 20U;

// Of one, as far as it is known before it runs.
std::size_t passed_bytes(const std::string& text, std::size_t more) {
  const auto is_known = !has_expression(text) && text.size() < argument_bytes_max;
  return is_known ? text.size() + more + 1 + sizeof(char*) : 0;
}

void check_arguments(shape_context& to, const cursor& where, const task_definition& made) {
  const auto& inherited = to.out.definition.env;
  if (!to.env_bytes) {  // once: there may be many of these, and many tasks
    to.env_bytes = 0;
    for (const auto& [name, text] : inherited) {
      *to.env_bytes += passed_bytes(text, name.size() + 1);
    }
  }
  auto bytes = *to.env_bytes;
  for (const auto& each : made.command) {
    bytes += passed_bytes(each, 0);
  }
  for (const auto& [name, text] : made.env) {
    bytes += passed_bytes(text, name.size() + 1);
    if (const auto hidden = inherited.find(name); hidden != inherited.end()) {
      bytes -= passed_bytes(hidden->second, name.size() + 1);
    }
  }
  if (bytes > arguments_bytes_max) {
    to.in.report(where,
                 "the arguments and variables have " + std::to_string(bytes) +
                     " bytes in all; a program can be given at most " +
                     std::to_string(arguments_bytes_max),
                 "write what is large under `inputs`, which the command gets as a file");
  }
}

// Whether the last of `command` is the script of `sh -c`.
bool is_shell_script(const std::vector<std::string>& command) {
  constexpr std::array shells{std::string_view{"sh"}, std::string_view{"bash"},
                              std::string_view{"dash"}, std::string_view{"zsh"}};
  if (command.size() != 3 || !command[1].starts_with('-') || !command[1].ends_with('c')) {
    return false;
  }
  const std::string_view program = command[0];
  const auto name = program.substr(program.rfind('/') + 1);
  return std::find(shells.begin(), shells.end(), name) != shells.end();
}

void read_command(shape_context& to, const cursor& where, task_definition& made, std::size_t task) {
  if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
    to.in.report_type(where, "a list of program and arguments",
                      "write `command: [program, argument]`, or `run` for shell text");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    if (auto text = to.in.read_written(each)) {
      made.command.push_back(*std::move(text));
      if (is_shell_script(made.command)) {
        refuse_expressions(to, each, made.command.back());
      } else {
        note_text(to, each, made.command.back(), task);
        check_argument(to, each, made.command.back());
      }
    }
  }
}

// Refuses what only commands have, but for `allowed`.
template <std::size_t Count, std::size_t Allowed = 0>
void refuse_of_commands(shape_context& to, const field_map& fields, const char* beside,
                        const std::array<const char*, Count>& more,
                        const std::array<std::string_view, Allowed>& allowed = {}) {
  const auto refuse = [&](const char* key) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) {
      return;
    }
    if (const auto found = fields.at(key)) {
      to.in.report(*found, "`" + std::string{key} + "` has no meaning beside `" + beside + "`",
                   "remove it, or do it in a task that needs this one");
    }
  };
  for (const auto* key :
       {"run",     "command",         "env",           "env_file",  "grace_period",
        "detach",  "retry",           "outputs",       "priority",  "preemptible",
        "secrets", "shell",           "workdir",       "inputs",    "resources",
        "limits",  "synchronization", "start_timeout", "heartbeat", "success_exit_codes",
        "stdout",  "artifacts",       "cache",         "ranks",     "pool"}) {
    refuse(key);
  }
  std::for_each(more.begin(), more.end(), refuse);
}

// A run of a pipeline in place of a command.
void read_child(shape_context& to, const cursor& where, const field_map& fields,
                task_definition& made, std::size_t task) {
  made.pipeline = read_name(to, where, name_rule::thing);
  if (const auto params = fields.at("params")) {
    read_values(to, *params, "write `params: {day: monday}`", name_rule::field, made.params, task);
  }
  refuse_of_commands(to, fields, "pipeline", std::array{"approval", "actor", "method"});
  made.retry = {};  // what `defaults` says is for commands
  made.timeout.reset();
}

// A foreign system's word in place of a command. There is one, which those before it are told of.
void read_callback(shape_context& to, const cursor& where, const field_map& fields,
                   task_definition& made, std::size_t task) {
  made.callback.emplace();
  const auto inner = read_fields(to, where, "a map", "write `callback: {}`", callback_keys());
  const auto prompt = inner ? inner->at("prompt") : std::nullopt;
  if (prompt) {
    read_text(to, *prompt, *made.callback);
    note_text(to, *prompt, *made.callback, task);
  }
  refuse_of_commands(to, fields, "callback",
                     std::array{"approval", "pipeline", "params", "allow_failures", "for_each",
                                "matrix", "actor", "method"});
  made.retry = {};  // what `defaults` says is for commands
  made.timeout.reset();
}

// A person's word in place of a command.
void read_approval(shape_context& to, const cursor& where, const field_map& fields,
                   task_definition& made, std::size_t task) {
  made.approval = to.in.read_text(where, "write `approval: Release it?`").value_or("");
  if (made.approval.find_first_not_of(" \t\r\n") == std::string::npos &&
      where.node->kind == yaml_kind::scalar) {
    to.in.report(where, "`approval` is empty", "write what the person is asked");
  }
  note_text(to, where, made.approval, task);
  refuse_of_commands(to, fields, "approval",
                     std::array{"allow_failures", "params", "actor", "method"});
  made.retry = {};  // what `defaults` says is for commands
  made.timeout.reset();
}

// As the runtime calls types and methods.
bool is_word(std::string_view text) {
  const auto is_part = [](char each) {
    return (each >= 'a' && each <= 'z') || (each >= '0' && each <= '9') || each == '_';
  };
  return !text.empty() && text[0] >= 'a' && text[0] <= 'z' &&
         std::all_of(text.begin(), text.end(), is_part);
}

// A call of an actor in place of a command. Whether there are such actors is known where it runs.
void read_actor(shape_context& to, const cursor& where, const field_map& fields,
                task_definition& made, std::size_t task) {
  auto& call = made.actor.emplace();
  const auto text = to.in.read_text(where, "write `actor: TYPE/KEY`").value_or("");
  const auto slash = text.find('/');
  call.type = text.substr(0, slash);
  call.key = slash == std::string::npos ? "" : text.substr(slash + 1);
  if (where.node->kind == yaml_kind::scalar && (!is_word(call.type) || call.key.empty())) {
    to.in.report(where, "`actor` must be a type, a `/` and a key, found `" + text + "`",
                 "write it like `counter/visits`; only the key may hold expressions");
  } else {
    note_text(to, where, text, task);
  }
  if (const auto method = fields.at("method")) {
    call.method = to.in.read_text(*method, "write `method: add`").value_or("");
    if (method->node->kind == yaml_kind::scalar && !is_word(call.method)) {
      to.in.report(*method, "`" + call.method + "` is no name of a method",
                   "write it in snake_case, as `millrace actor types` shows it");
    }
  } else {
    to.in.report(where, "the task has an `actor` and no `method`", "add `method: add`");
  }
  if (const auto params = fields.at("params")) {
    read_values(to, *params, "write `params: {amount: 5}`", name_rule::field, made.params, task);
  }
  refuse_of_commands(to, fields, "actor", std::array{"approval", "callback", "pipeline"},
                     std::array{std::string_view{"retry"}, std::string_view{"outputs"}});
  made.retry.on_exit.clear();  // what `defaults` says of exit codes is for commands
  made.retry.not_on_exit.clear();
}

// `retry` of such a task, once it has been read.
void refuse_exit_codes(shape_context& to, const cursor& where, task_definition& made) {
  if (!made.retry.on_exit.empty() || !made.retry.not_on_exit.empty() || made.retry_command) {
    to.in.report(where, "a call of an actor has no exit code, and no command to try again with",
                 "remove `on_exit`, `not_on_exit`, `run` and `command`");
  }
}

}  // namespace

void read_process(shape_context& to, const field_map& fields, task_definition& made,
                  std::size_t task, const std::vector<std::string>& default_shell) {
  const auto run = fields.at("run");
  const auto command = fields.at("command");
  if (run && command) {
    to.in.report(*command, "a task has `run` or `command`, not both", "remove one of them");
  }
  if (run) {
    read_run(to, *run, made);
    made.shell = default_shell;
  }
  if (const auto shell = fields.at("shell")) {
    if (run) {
      read_shell(to, *shell, made.shell);
    } else {
      to.in.report(*shell, "`shell` is for `run`: a command has no shell", "remove it");
    }
  }
  if (command) {
    read_command(to, *command, made, task);
  }
}

namespace {

void read_what_to_run(shape_context& to, const field_map& fields, task_definition& made,
                      std::size_t task, const std::vector<std::string>& default_shell) {
  if (const auto callback = fields.at("callback")) {
    read_callback(to, *callback, fields, made, task);
    return;
  }
  if (const auto pipeline = fields.at("pipeline")) {
    read_child(to, *pipeline, fields, made, task);
    return;
  }
  if (const auto approval = fields.at("approval")) {
    read_approval(to, *approval, fields, made, task);
    return;
  }
  if (const auto actor = fields.at("actor")) {
    read_actor(to, *actor, fields, made, task);
    return;
  }
  if (const auto method = fields.at("method")) {
    to.in.report(*method, "`method` goes with `actor`", "add `actor: TYPE/KEY`");
    return;
  }
  if (const auto params = fields.at("params")) {
    to.in.report(*params, "`params` goes with `pipeline` and `actor`",
                 "parameters reach a command as `$MILLRACE_PARAM_...`; declare them at the top");
  }
  if (!fields.at("run") && !fields.at("command")) {
    to.in.report(fields.where(),
                 "the task has no `run`, `command`, `pipeline`, `actor`, `approval` or "
                 "`callback`",
                 "add `run: echo hello`, or `command: [program, argument]`");
  }
  read_process(to, fields, made, task, default_shell);
}

// In the order of what an edge waits for: every instance, or that of the same index.
constexpr std::array instances_words{std::string_view{"all"}, std::string_view{"same"}};

void read_needs(shape_context& to, const cursor& where, task_definition& made, std::size_t task) {
  std::unordered_set<std::string_view> known;
  const auto add = [&](const cursor& each, bool is_of_element) {
    const auto name = to.in.read_text(each, "write the name of a task");
    if (!name) {
      return;
    }
    if (!known.insert(each.node->text).second) {
      to.in.report(each, "`" + *name + "` is needed twice", "remove one of them");
      return;
    }
    made.needs.push_back(*name);
    if (is_of_element) {
      made.element_needs.push_back(*name);
    }
    to.out.needs.push_back({each.node, each.pointer(), task, is_of_element});
  };
  const auto add_one = [&](const cursor& each) {
    if (each.node->kind != yaml_kind::map) {
      return add(each, false);
    }
    const auto fields = read_fields(to, each, "a map", "", need_keys());
    const auto instances = fields ? fields->at("instances") : std::nullopt;
    const auto word = instances ? to.in.read_word(*instances, instances_words) : std::nullopt;
    if (const auto name = fields ? fields->at("task") : std::nullopt) {
      add(*name, word == 1);
      if (const auto taken = fields->at("artifacts");
          taken && name->node->kind == yaml_kind::scalar) {
        read_artifact_need(to, *taken, made, name->node->text);
        to.out.artifact_needs.push_back({taken->node, taken->pointer(), task, name->node->text});
      }
    } else if (fields) {
      to.in.report(each, "the need names no `task`", "write `{task: build, instances: same}`");
    }
  };
  if (where.node->kind == yaml_kind::sequence) {
    for (const auto& each : to.in.elements(where)) {
      add_one(each);
    }
  } else if (where.node->kind == yaml_kind::scalar) {
    add(where, false);
  } else {
    to.in.report_type(where, "a list of task names", "write `needs: [build]`");
  }
}

void read_outputs(shape_context& to, const cursor& where, task_definition& made) {
  const bool list = where.node->kind == yaml_kind::sequence;
  const auto entries =
      list ? std::nullopt
           : to.in.read_map(where, "a list of names", "write `outputs: [count, result]`");
  if ((list ? where.node->items.size() : entries ? entries->size() : 0) > task_outputs_max) {
    to.in.report(where, "a task has at most " + std::to_string(task_outputs_max) + " outputs",
                 "write the values to a file, and its name to `$MILLRACE_OUTPUT`");
    return;
  }
  const auto add = [&](const cursor& place, output_definition output) {
    const auto twice = std::any_of(made.outputs.begin(), made.outputs.end(),
                                   [&](const auto& each) { return each.name == output.name; });
    if (twice) {
      to.in.report(place, "the output `" + output.name + "` is given twice", "remove one of them");
    }
    made.outputs.push_back(std::move(output));
  };
  if (list) {
    for (const auto& each : to.in.elements(where)) {
      add(each, {read_name(to, each, name_rule::field), {}, {}});
    }
    return;
  }
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, name_rule::field);
    const auto here = under(where, *key, *content);
    output_definition output{key->text, {}, {}};
    if (content->kind == yaml_kind::map) {
      if (const auto fields = read_fields(to, here, "a map", "", output_keys())) {
        read_text(to, fields->at("description"), output.description);
        if (const auto fallback = fields->at("default")) {
          read_text(to, fallback, output.fallback.emplace());
          if (has_expression(*output.fallback)) {
            to.in.report(*fallback, "expressions are not available here", "write a text");
          }
        }
      }
    } else if (content->kind != yaml_kind::null) {
      read_text(to, here, output.description);
    }
    add(here, std::move(output));
  }
}

// It is one of the outputs, declared here or there.
void read_stdout(shape_context& to, const cursor& where, task_definition& made) {
  made.stdout_output = read_name(to, where, name_rule::field);
  const auto named = [&](const auto& each) { return each.name == made.stdout_output; };
  const auto found = std::find_if(made.outputs.begin(), made.outputs.end(), named);
  if (found == made.outputs.end()) {
    made.outputs.push_back({made.stdout_output, {}, {}});
  } else if (found->fallback) {
    to.in.report(where, "the output `" + found->name + "` has a `default`, which would never count",
                 "remove the `default`: a command that writes nothing gives an empty text");
  }
  if (made.outputs.size() > task_outputs_max) {
    to.in.report(where, "a task has at most " + std::to_string(task_outputs_max) + " outputs");
  }
}

}  // namespace

// A variable of the task is a secret or not, wherever it comes from.
void read_task_secrets(shape_context& to, const field_map& fields, task_definition& made) {
  const auto& pipeline = to.out.definition;
  if (const auto env = fields.at("env")) {
    refuse_both(to, *env, "the pipeline's `secrets`",
                [&](const std::string& name) { return pipeline.secrets.contains(name); });
  }
  if (const auto secrets = fields.at("secrets")) {
    made.secrets = read_secrets(to, *secrets);
    refuse_both(to, *secrets, "the task's `env`",
                [&](const std::string& name) { return made.env.contains(name); });
    refuse_both(to, *secrets, "the pipeline's `env`",
                [&](const std::string& name) { return pipeline.env.contains(name); });
  }
  if (const auto detach = fields.at("detach");
      detach && made.detach && (!made.secrets.empty() || !pipeline.secrets.empty())) {
    to.in.report(*detach, "a task with secrets cannot have `detach: allowed`",
                 "what outlives its command would write what nobody masks any more");
  }
}

namespace {

void read_heartbeat(shape_context& to, const std::optional<cursor>& where, task_definition& made,
                    std::size_t task) {
  read_time_limit(to, where, made.heartbeat, task);
  const auto* length = made.heartbeat ? std::get_if<runtime::duration>(&*made.heartbeat) : nullptr;
  if (length != nullptr && *length < heartbeat_min) {
    to.in.report(*where, "`heartbeat` must be at least 1s",
                 "a machine that is busy would end what runs well");
  }
}

// When the task starts.
void read_conditions(shape_context& to, const field_map& fields, task_definition& made,
                     std::size_t task) {
  if (const auto needs = fields.at("needs")) {
    read_needs(to, *needs, made, task);
  }
  if (const auto rule = fields.at("run_on")) {
    if (const auto word = to.in.read_word(*rule, trigger_words)) {
      made.run_on = static_cast<trigger_rule>(*word);
    }
  }
  if (const auto when = fields.at("when")) {
    read_when(to, *when, made.when, task, text_place::when, "params.publish");
  }
}

}  // namespace

void read_task(shape_context& to, const cursor& where, const task_defaults& defaults) {
  const auto index = to.out.definition.tasks.size();
  auto& made = to.out.definition.tasks.emplace_back();
  to.out.task_places.push_back({where.node, where.pointer()});
  made.retry = defaults.retry;
  made.timeout = defaults.timeout;
  const auto fields = read_fields(to, where, "a map", "write `- name: build`", task_keys());
  if (!fields) {
    return;
  }
  if (const auto name = fields->at("name")) {
    made.name = read_name(to, *name, name_rule::thing);
    to.out.task_places.back().node = name->node;
  } else {
    to.in.report(where, "the task has no `name`", "add `name: build`");
  }
  read_text(to, fields->at("description"), made.description);
  if (const auto labels = fields->at("labels")) {
    read_labels(to, *labels, "a task", made.labels);
  }
  read_what_to_run(to, *fields, made, index, defaults.shell);
  read_surroundings(to, *fields, made, index);
  read_conditions(to, *fields, made, index);
  made.env = read_env_of(to, *fields, index);
  check_arguments(to, where, made);
  read_time_limit(to, fields->at("timeout"), made.timeout, index);
  read_time_limit(to, fields->at("start_timeout"), made.start_timeout, index);
  read_heartbeat(to, fields->at("heartbeat"), made, index);
  read_duration(to, fields->at("grace_period"), made.grace_period, zero_duration::allowed);
  if (const auto detach = fields->at("detach")) {
    made.detach = to.in.read_word(*detach, detach_words).value_or(0) == 1;
  }
  read_task_secrets(to, *fields, made);
  if (const auto retry = fields->at("retry")) {
    read_retry(to, *retry, made, index, defaults.shell);
    if (made.actor) {
      refuse_exit_codes(to, *retry, made);
    }
  }
  if (const auto codes = fields->at("success_exit_codes")) {
    read_success(to, *codes, made);
  }
  read_fan_out(to, *fields, made, index);
  if (const auto outputs = fields->at("outputs")) {
    read_outputs(to, *outputs, made);
  }
  if (const auto name = fields->at("stdout")) {
    read_stdout(to, *name, made);
  }
  if (const auto artifacts = fields->at("artifacts")) {
    read_artifacts(to, *artifacts, made, index);
  }
  if (const auto cache = fields->at("cache")) {
    read_cache(to, *cache, made, index);
  }
  read_claims(to, *fields, made, index);
  read_hooks(to, *fields, std::string{made.name}, made.priority, std::string{made.pool}, defaults);
}

}  // namespace millrace::actors
