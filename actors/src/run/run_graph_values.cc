// SPDX-License-Identifier: MIT
// Names of instances, and what their commands get.
#include <algorithm>
#include <charconv>

#include "definition/expression_tree.h"
#include "definition/fill_values.h"
#include "definition/message_text.h"
#include "millrace/actors/artifact.h"
#include "millrace/actors/callback.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/process.h"
#include "millrace/actors/submission.h"
#include "run/run_graph.h"
#include "run/run_scope.h"

namespace millrace::actors {

using runtime::errc;
using runtime::result;

std::optional<std::uint32_t> run_graph::find(std::string_view task) const {
  const auto found = by_name_.find(task);
  return found != by_name_.end() ? std::optional{found->second} : std::nullopt;
}

bool run_graph::fans_out(std::uint32_t at) const {
  return actors::fans_out(definition_.tasks[at]);
}

const task_instance& run_graph::instance(instance_id id) const {
  static const task_instance none;
  const auto& node = nodes_[id.task];
  return id.index < node.instances.size() ? node.instances[id.index] : none;
}

std::string run_graph::name_of(instance_id id) const {
  const auto& name = definition_.tasks[id.task].name;
  // A fan-out that was settled as a whole has no instances and goes by its own name.
  return fans_out(id.task) && !nodes_[id.task].instances.empty()
             ? name + "[" + std::to_string(id.index) + "]"
             : name;
}

std::optional<instance_id> run_graph::next_instance(std::optional<instance_id> id) const {
  if (!id) {
    return nodes_.empty() ? std::nullopt : std::optional{instance_id{0, 0}};
  }
  if (id->index + std::size_t{1} < nodes_[id->task].instances.size()) {
    return instance_id{id->task, id->index + 1};
  }
  return id->task + std::size_t{1} < nodes_.size() ? std::optional{instance_id{id->task + 1, 0}}
                                                   : std::nullopt;
}

std::optional<instance_id> run_graph::instance_named(std::string_view name) const {
  const auto bracket = std::min(name.find('['), name.size());
  const auto at = find(name.substr(0, bracket));
  std::uint32_t index = 0;
  std::from_chars(name.data() + std::min(bracket + 1, name.size()), name.data() + name.size(),
                  index);
  if (!at || (index > 0 && index >= nodes_[*at].instances.size())) {
    return std::nullopt;
  }
  const instance_id id{*at, index};
  return name_of(id) == name ? std::optional{id} : std::nullopt;
}

result<std::map<std::string, std::string>> run_graph::environment(instance_id id) const {
  const auto& one = instance(id);
  const scope names{*this, id.task, &one};
  std::map<std::string, std::string> made = environment_of(params_);
  made.merge(environment_of(one));
  for (const auto* declared : {&definition_.env, &definition_.tasks[id.task].env}) {
    for (const auto& [name, text] : *declared) {
      auto filled = fill(text, names);
      if (!filled) {
        return runtime::error{filled.error().code(), "env " + name + ": " + filled.error().text()};
      }
      made[name] = *std::move(filled);
    }
  }
  return made;
}

std::map<std::string, std::string> run_graph::hook_environment(std::uint32_t at) const {
  constexpr std::size_t reason_bytes_max = 1'024;
  constexpr std::size_t failed_tasks_max = 1'000;  // in one variable, with names of 63 bytes
  std::map<std::string, std::string> made;
  if (!is_hook(at)) {
    return made;
  }
  const auto& hook = *definition_.tasks[at].hook;
  made["MILLRACE_HOOK"] = to_string(hook.on);
  if (const auto owner = owner_of(at)) {
    const auto& node = nodes_[*owner];
    const auto reason = node.reasons.find(node.outcome);
    made["MILLRACE_HOOK_TASK"] = hook.of;
    made["MILLRACE_HOOK_STATE"] = to_string(node.outcome);
    made["MILLRACE_HOOK_REASON"] =
        reason != node.reasons.end() ? one_line(reason->second, reason_bytes_max) : "";
    return made;
  }
  made["MILLRACE_HOOK_STATE"] = to_string(outcome());
  made["MILLRACE_HOOK_REASON"] = one_line(outcome_text(), reason_bytes_max);
  auto failed = failed_tasks();
  failed.resize(std::min(failed.size(), failed_tasks_max));
  auto& names = made["MILLRACE_HOOK_FAILED_TASKS"];
  for (const auto& name : failed) {
    names += (names.empty() ? "" : " ") + name;
  }
  return made;
}

result<std::string> run_graph::prompt(instance_id id) const {
  const auto& one = instance(id);
  const auto& task = definition_.tasks[id.task];
  return fill(task.callback ? *task.callback : task.approval, scope{*this, id.task, &one});
}

std::string run_graph::callback_token(std::uint32_t at) const {
  const auto& task = definition_.tasks[at];
  return task.callback && !callback_key_.empty()
             ? make_callback_token({run_id_, task.name}, callback_key_)
             : std::string{};
}

namespace {

void add_callbacks_in(const std::string& text, std::vector<std::string>& into) {
  if (text.find("callback") == std::string::npos) {
    return;
  }
  for (const auto& piece : parse_template(text).pieces) {
    if (piece.formula) {
      walk(piece.formula->root(), [&](const expression_node& node) {
        if (node.what == operation::reference && node.refers_to == reference_kind::callback) {
          into.push_back(node.name);
        }
      });
    }
  }
}

void add_callbacks_in(const value& content, std::vector<std::string>& into) {
  if (const auto* text = content.text()) {
    add_callbacks_in(*text, into);
  } else if (const auto* items = content.items()) {
    for (const auto& each : *items) {
      add_callbacks_in(each, into);
    }
  } else if (const auto* entries = content.entries()) {
    for (const auto& each : *entries) {
      add_callbacks_in(each.second, into);
    }
  }
}

}  // namespace

std::vector<std::string> run_graph::callbacks_given_to(std::uint32_t at) const {
  std::vector<std::string> names;
  for (const auto& each : definition_.tasks[at].env) {
    add_callbacks_in(each.second, names);
  }
  for (const auto& each : definition_.tasks[at].inputs) {
    add_callbacks_in(each.second, names);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

result<std::vector<std::string>> run_graph::arguments(instance_id id) const {
  const auto& task = definition_.tasks[id.task];
  return arguments_of(id, task.run, task.command, task.shell);
}

result<std::vector<std::string>> run_graph::retry_arguments(instance_id id) const {
  const auto& other = definition_.tasks[id.task].retry_command;
  return other ? arguments_of(id, other->run, other->command, other->shell)
               : std::vector<std::string>{};
}

result<std::vector<std::string>> run_graph::arguments_of(
    instance_id id, const std::string& run, const std::vector<std::string>& command,
    const std::vector<std::string>& shell) const {
  if (!run.empty()) {
    return shell_command(run, shell);
  }
  const auto& one = instance(id);
  const scope names{*this, id.task, &one};
  std::vector<std::string> made;
  for (const auto& text : command) {
    auto filled = fill(text, names);
    if (!filled) {
      return std::move(filled).error();
    }
    made.push_back(*std::move(filled));
  }
  return made;
}

result<instance_limits> run_graph::limits(instance_id id) const {
  const auto& one = instance(id);
  const auto& task = definition_.tasks[id.task];
  constexpr std::size_t duration_bytes_max = 100;  // no duration is as long
  const auto of = [&](const std::optional<time_limit>& limit, const char* key,
                      runtime::duration least) -> result<std::optional<runtime::duration>> {
    const auto* text = limit ? std::get_if<std::string>(&*limit) : nullptr;
    if (text == nullptr) {
      return limit ? std::optional{std::get<runtime::duration>(*limit)} : std::nullopt;
    }
    const auto filled = fill_value(*text, scope{*this, id.task, &one});
    const auto refuse = [key](runtime::errc code, const std::string& why) {
      return runtime::error{code, std::string{key} + ": " + why};
    };
    if (!filled || filled->is_null()) {
      return filled ? refuse(errc::invalid_argument, "`" + *text + "` has no value")
                    : refuse(filled.error().code(), filled.error().text());
    }
    const auto parsed = parse_duration(one_line(to_text(*filled), duration_bytes_max));
    if (!parsed.length) {
      return refuse(errc::invalid_argument,
                    parsed.text + (parsed.hint.empty() ? "" : " (" + parsed.hint + ")"));
    }
    if (*parsed.length < least) {
      return refuse(errc::invalid_argument, "it must be at least " + format_duration(least) +
                                                ", and is " + format_duration(*parsed.length));
    }
    return parsed.length;
  };
  constexpr runtime::duration shortest = std::chrono::milliseconds{1};
  const auto timeout = of(task.timeout, "timeout", shortest);
  const auto start_timeout = of(task.start_timeout, "start_timeout", shortest);
  const auto heartbeat = of(task.heartbeat, "heartbeat", heartbeat_min);
  for (const auto* each : {&timeout, &start_timeout, &heartbeat}) {
    if (!*each) {
      return each->error();
    }
  }
  return instance_limits{*timeout, *start_timeout, *heartbeat};
}

result<std::string> run_graph::workdir(instance_id id) const {
  const auto& one = instance(id);
  const auto& text = definition_.tasks[id.task].workdir;
  auto filled = fill(text, scope{*this, id.task, &one});
  if (!filled) {
    return runtime::error{filled.error().code(), "workdir: " + filled.error().text()};
  }
  if (const auto why = text.empty() ? std::string{} : refusal_of_workdir(*filled); !why.empty()) {
    return runtime::error{runtime::errc::invalid_argument, "workdir " + why};
  }
  return filled;
}

result<std::string> run_graph::cache_key_text(instance_id id) const {
  const auto& one = instance(id);
  auto filled = fill(definition_.tasks[id.task].cache->key, scope{*this, id.task, &one});
  if (!filled) {
    return runtime::error{filled.error().code(), "cache: " + filled.error().text()};
  }
  const auto& key = definition_.tasks[id.task].cache->key;
  if (!key.empty() && filled->find_first_not_of(" \t\r\n") == std::string::npos) {
    return runtime::error{errc::invalid_argument, "cache: the key from `" + key + "` is empty"};
  }
  return filled;
}

result<std::vector<semaphore_definition>> run_graph::locks(instance_id id) const {
  const auto& one = instance(id);
  const auto& task = definition_.tasks[id.task];
  std::map<std::string, std::uint32_t> limits;  // of one name the least counts
  const auto add = [&](const std::string& text, std::uint32_t limit) -> result<void> {
    auto filled = fill(text, scope{*this, id.task, &one});
    if (!filled) {
      return runtime::error{filled.error().code(), "synchronization: " + filled.error().text()};
    }
    if (const auto why = refusal_of_lock(*filled); !why.empty()) {
      return runtime::error{runtime::errc::invalid_argument,
                            "synchronization: the name from `" + text + "` " + why};
    }
    const auto at = limits.try_emplace(*std::move(filled), limit).first;
    at->second = std::min(at->second, limit);
    return {};
  };
  for (const auto& each : task.mutexes) {
    if (auto added = add(each, 0); !added) {
      return std::move(added).error();
    }
  }
  for (const auto& each : task.semaphores) {
    if (auto added = add(each.name, each.limit); !added) {
      return std::move(added).error();
    }
  }
  std::vector<semaphore_definition> made;
  made.reserve(limits.size());
  for (const auto& [name, limit] : limits) {
    made.push_back({name, limit});
  }
  return made;
}

result<std::string> run_graph::child_params(instance_id id) const {
  const auto& one = instance(id);
  const auto made =
      fill_values(definition_.tasks[id.task].params, scope{*this, id.task, &one}, "params");
  if (!made) {
    return made.error();
  }
  auto text = to_json(*made);
  if (text.size() > submission_params_bytes_max) {
    return runtime::error{runtime::errc::too_large,
                          "params: they have " + std::to_string(text.size()) +
                              " bytes as JSON, and those of a run may have " +
                              std::to_string(submission_params_bytes_max)};
  }
  return text;
}

result<std::string> run_graph::actor_key(instance_id id) const {
  const auto& one = instance(id);
  auto filled = fill(definition_.tasks[id.task].actor->key, scope{*this, id.task, &one});
  if (!filled) {
    return runtime::error{filled.error().code(), "actor: " + filled.error().text()};
  }
  return filled;
}

// Whether an expression in it is about a task that was not asked for.
bool run_graph::reads_unselected(const std::string& text) const {
  auto reads = false;
  for (const auto& piece :
       selected_.empty() ? template_parse{}.pieces : parse_template(text).pieces) {
    if (piece.formula) {
      walk(piece.formula->root(), [&](const expression_node& node) {
        const auto at =
            node.what == operation::reference && (node.refers_to == reference_kind::output ||
                                                  node.refers_to == reference_kind::status ||
                                                  node.refers_to == reference_kind::exit_code)
                ? find(node.name)
                : std::nullopt;
        reads = reads || (at && !is_selected(*at));
      });
    }
  }
  return reads;
}

result<output_list> run_graph::outputs() const {
  output_list made;
  std::size_t bytes = 0;
  for (const auto& [name, text] : definition_.outputs) {
    if (reads_unselected(text)) {
      continue;
    }
    auto filled = fill(text, scope{*this, 0, nullptr});
    if (!filled) {
      return runtime::error{filled.error().code(),
                            "outputs " + name + ": " + filled.error().text()};
    }
    bytes += filled->size();
    if (bytes > run_outputs_bytes_max) {
      return runtime::error{runtime::errc::too_large,
                            "outputs " + name + ": with it they have more than " +
                                std::to_string(run_outputs_bytes_max) +
                                " bytes, which is what a run may tell; write them to a file"};
    }
    made.emplace_back(name, *std::move(filled));
  }
  return made;
}

void run_graph::keep_artifacts(instance_id id, artifact_list left) {
  if (left.empty()) {
    artifacts_.erase(id);
  } else {
    artifacts_[id] = std::move(left);
  }
}

result<std::vector<artifact_definition>> run_graph::artifacts(instance_id id) const {
  const auto& one = instance(id);
  auto made = definition_.tasks[id.task].artifacts;
  for (auto& each : made) {
    for (auto& path : each.paths) {
      auto filled = fill(path, scope{*this, id.task, &one});
      const auto why = filled ? refusal_of_path_pattern(*filled) : filled.error().text();
      if (!why.empty()) {
        std::string text = "the artifact \"";
        text.append(each.name).append("\": the path from `").append(path).append("` ").append(why);
        return runtime::error{filled ? errc::invalid_argument : filled.error().code(),
                              std::move(text)};
      }
      path = *std::move(filled);
    }
  }
  return made;
}

// Of a fan-out each instance's go to a folder by its number, unless only one is needed.
result<std::vector<taken_artifact>> run_graph::taken_artifacts(instance_id id) const {
  std::vector<taken_artifact> made;
  for (const auto& [need, name] : definition_.tasks[id.task].artifact_needs) {
    const auto at = *find(need);
    const auto is_same = needs_element(id.task, at);
    for (auto left = artifacts_.lower_bound({at, is_same ? id.index : 0});
         left != artifacts_.end() && left->first.task == at &&
         (!is_same || left->first.index == id.index);
         ++left) {
      const auto from = left->first;
      const auto& slots = nodes_[at].slots;
      if (from.index >= slots.size() || slots[from.index].state != task_state::SUCCEEDED) {
        continue;
      }
      const auto folder =
          fans_out(at) && !is_same ? need + "/" + std::to_string(from.index) : std::string{};
      for (const auto& each : left->second) {
        if (name.empty() || each.name == name) {
          made.push_back({each, name_of(from), folder});
        }
      }
    }
  }
  if (made.size() > taken_artifacts_max) {
    return runtime::error{errc::too_large, "needs: it takes " + std::to_string(made.size()) +
                                               " artifacts, and may take " +
                                               std::to_string(taken_artifacts_max)};
  }
  return made;
}

}  // namespace millrace::actors
