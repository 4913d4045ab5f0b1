// SPDX-License-Identifier: MIT
// `millrace plan`: what a definition would run, and how it differs from what the server has.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/expansion.h"
#include "millrace/actors/params.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::size_t value_columns = 60;  // of a value that has changed

void add_plan_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, for lists that depend on it; may be repeated")(
      "offline", po::bool_switch(), "ask no server what is deployed");
}

// --- what it runs --------------------------------------------------------------------------------

// Before anything has run: nothing of tasks.
actors::map_scope scope_before(const actors::pipeline_definition& definition,
                               const actors::bound_params& params) {
  actors::map_scope scope;
  if (params) {
    scope.params.insert(params.values.begin(), params.values.end());
  }
  scope.run_values.emplace("pipeline", actors::make_value(definition.name));
  return scope;
}

ordered_json task_json(const actors::task_definition& task, const actors::map_scope& scope) {
  auto made = ordered_json{{"name", task.name}, {"needs", task.needs}};
  const auto fans_out = task.for_each || task.matrix;
  const auto instances = actors::expand(task, scope);
  made["instances"] = instances ? ordered_json(instances->size()) : ordered_json();
  auto& labels = made["labels"] = ordered_json::array();
  for (std::size_t at = 0; fans_out && instances && at < instances->size(); ++at) {
    labels.push_back((*instances)[at].label);
  }
  made["run_on"] = actors::to_string(task.run_on);
  made["when"] = task.when;
  return made;
}

std::string task_line(const ordered_json& task, const actors::task_definition& definition) {
  constexpr std::size_t labels_shown = 3;
  auto text = task.at("name").get<std::string>();
  if (definition.for_each || definition.matrix) {
    const auto& count = task.at("instances");
    text += count.is_null() ? " [as many as are found at run time]"
                            : fmt::format(" [{}]", count.dump());
    const auto& labels = task.at("labels");
    for (std::size_t at = 0; at < std::min(labels.size(), labels_shown); ++at) {
      text += (at == 0 ? "  " : "; ") + labels[at].get<std::string>();
    }
    text += labels.size() > labels_shown ? "; ..." : "";
  }
  if (!definition.needs.empty()) {
    text += "  needs " + fmt::format("{}", fmt::join(definition.needs, ", "));
  }
  if (definition.run_on != actors::trigger_rule::success) {
    text += fmt::format("  run_on {}", actors::to_string(definition.run_on));
  }
  return text + (definition.when.empty() ? "" : "  when " + definition.when) +
         (definition.approval.empty() ? "" : "  waits for a person") +
         (definition.callback ? "  waits for a callback" : "") +
         (definition.pipeline.empty() ? "" : "  runs pipeline " + definition.pipeline);
}

// --- how it differs ------------------------------------------------------------------------------

struct change {
  char sign;  // + - ~
  std::string path;
  ordered_json from;
  ordered_json to;
};

// Lists of named things are compared by name: one more in front changes no other.
ordered_json by_name(const ordered_json& list) {
  auto made = ordered_json::object();
  for (const auto& each : list) {
    if (!each.is_object() || !each.contains("name")) {
      return list;
    }
    made[each.at("name").get<std::string>()] = each;
  }
  return made;
}

ordered_json names_in(const ordered_json& map) {
  auto names = ordered_json::array();
  for (const auto& [name, content] : map.items()) {
    names.push_back(name);
  }
  return names;
}

void compare(const std::string& path, const ordered_json& from, const ordered_json& to,
             std::vector<change>& into) {
  const auto before = into.size();
  const auto one = from.is_array() ? by_name(from) : from;
  const auto other = to.is_array() ? by_name(to) : to;
  if (!one.is_object() || !other.is_object()) {
    if (one != other) {
      into.push_back({'~', path, from, to});
    }
    return;
  }
  const auto below = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  for (const auto& [key, content] : one.items()) {
    if (const auto there = other.find(key); there != other.end()) {
      compare(below(key), content, *there, into);
    } else {
      into.push_back({'-', below(key), content, {}});
    }
  }
  for (const auto& [key, content] : other.items()) {
    if (!one.contains(key)) {
      into.push_back({'+', below(key), {}, content});
    }
  }
  if (from.is_array() && to.is_array() && from != to && into.size() == before) {
    into.push_back({'~', path, names_in(one), names_in(other)});  // in another order
  }
}

std::string shown(const ordered_json& content) {
  return shortened(printable(content.dump(-1, ' ', false, ordered_json::error_handler_t::replace)),
                   value_columns);
}

std::string line_of(const change& one) {
  const auto path = std::string{one.sign} + " " + printable(one.path);
  switch (one.sign) {
    case '+':
      return path + (one.to.is_object() ? "" : ": " + shown(one.to));
    case '-':
      return path + (one.from.is_object() ? "" : ": " + shown(one.from));
    default:
      return path + ": " + shown(one.from) + " -> " + shown(one.to);
  }
}

struct deployed {
  std::uint32_t version = 0;  // 0: none
  ordered_json definition = ordered_json::object();
};

runtime::result<deployed> deployed_at(const option_values& options, const std::string& name) {
  auto server = remote::open(options);
  if (!server) {
    return std::move(server).error();
  }
  const auto answer = server->ask(http::method::get, server->pipelines() + "/" + escaped(name));
  if (answer) {
    return deployed{answer->at("version").get<std::uint32_t>(), answer->at("definition")};
  }
  return answer.error().code() == runtime::errc::not_found ? runtime::result<deployed>{deployed{}}
                                                           : answer.error();
}

// --- both ----------------------------------------------------------------------------------------

ordered_json plan_json(const std::string& name, const ordered_json& tasks,
                       const std::optional<deployed>& there, const std::vector<change>& changes) {
  auto made = ordered_json{{"id", name}, {"tasks", tasks}};
  if (there) {
    made["deployed_version"] = there->version == 0 ? ordered_json() : ordered_json(there->version);
    made["changed"] = !changes.empty();
    auto& list = made["changes"] = ordered_json::array();
    for (const auto& each : changes) {
      const auto* op = each.sign == '+' ? "add" : each.sign == '-' ? "remove" : "replace";
      list.push_back({{"op", op}, {"path", each.path}, {"from", each.from}, {"to", each.to}});
    }
  }
  return made;
}

void print_plan(const actors::pipeline_definition& definition, const ordered_json& tasks,
                const std::optional<deployed>& there, const std::vector<change>& changes) {
  std::cout << "pipeline " << definition.name << '\n';
  for (const auto at : actors::graph_of(definition).order) {
    std::cout << "  " << printable(task_line(tasks[at], definition.tasks[at])) << '\n';
  }
  if (!there) {
    return;
  }
  if (there->version == 0) {
    std::cout << "it is not deployed: `millrace apply` makes version 1\n";
  } else if (changes.empty()) {
    std::cout << "it is as deployed, version " << there->version << '\n';
  } else {
    std::cout << "version " << there->version << " is deployed; `millrace apply` makes version "
              << there->version + 1 << ":\n";
    for (const auto& each : changes) {
      std::cout << "  " << line_of(each) << '\n';
    }
  }
}

exit_code run_plan(const option_values& options, const std::vector<std::string>& positional) {
  const auto form = form_of(options);
  const auto given = params_of(options);
  if (!form || !given) {
    return report(form ? given.error() : form.error());
  }
  const auto text = read_file(positional[0]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = actors::load_definition(*text, positional[0]);
  if (!loaded) {
    std::cerr << actors::render(loaded.diagnostics, *text);
    return exit_code::usage;
  }
  const auto& definition = *loaded.definition;
  const auto filled = with_files(definition, *given);
  if (!filled) {
    return report(filled.error());
  }
  const auto bound = actors::bind_params(definition, *filled);
  if (!bound && !given->empty()) {
    std::cerr << actors::render(bound.diagnostics, {});
    return exit_code::usage;
  }
  auto tasks = ordered_json::array();
  const auto scope = scope_before(definition, bound);
  for (const auto& task : definition.tasks) {
    tasks.push_back(task_json(task, scope));
  }
  std::optional<deployed> there;
  std::vector<change> changes;
  if (!options["offline"].as<bool>()) {
    auto asked = deployed_at(options, definition.name);
    if (!asked) {
      return report(asked.error());
    }
    there = *std::move(asked);
    if (there->version > 0) {
      compare({}, there->definition, ordered_json::parse(actors::to_json(definition)), changes);
    }
  }
  if (is_table(*form)) {
    print_plan(definition, tasks, there, changes);
  } else {
    auto whole = plan_json(definition.name, tasks, there, changes);
    if (there && there->version == 0) {
      whole["changed"] = true;
    }
    print_one(*form, whole);
  }
  return exit_code::ok;
}

}  // namespace

command plan_command() {
  return {"plan",
          "FILE [-p NAME=VALUE]... [--offline]",
          "show what a definition runs, and what it would change",
          "  millrace plan pipeline.yaml\n"
          "  millrace plan pipeline.yaml --offline -p 'names=[\"a\",\"b\"]'\n"
          "  millrace plan pipeline.yaml -o json | jq .changed\n",
          1,
          1,
          add_plan_options,
          run_plan};
}

}  // namespace millrace::gateway::cli
