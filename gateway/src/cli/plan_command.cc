// SPDX-License-Identifier: MIT
// `millrace plan`: what a definition would run, and how it differs from what the server has.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/outline.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/selection.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::size_t value_columns = 60;  // of a value that has changed

void add_plan_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, for lists that depend on it; may be repeated")(
      "offline", po::bool_switch(), "ask no server what is deployed");
  add_only_option(options);
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
  std::vector<std::string> skipped;
  for (const auto at : actors::graph_of(definition).order) {
    if (!tasks[at].value("asked_for", true)) {
      skipped.push_back(definition.tasks[at].name);
      continue;
    }
    std::cout << "  " << printable(outline_line(tasks[at], definition.tasks[at])) << '\n';
  }
  if (!skipped.empty()) {
    std::cout << "skipped, since --only does not ask for them: "
              << fmt::format("{}", fmt::join(skipped, ", ")) << '\n';
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
  const auto only = only_of(options);
  if (!form || !given || !only) {
    return report(!form ? form.error() : !given ? given.error() : only.error());
  }
  const auto text = read_file(positional[0]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = load_definition(*text, positional[0]);
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
  const auto selected = actors::select_tasks(definition, *only);
  if (!selected) {
    return report(selected.error());
  }
  auto tasks = outline_of(definition, bound);
  for (std::size_t at = 0; at < selected->size(); ++at) {
    tasks[at]["asked_for"] = bool{(*selected)[at]};
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
          "FILE [-p NAME=VALUE]... [--only TASK] [--offline]",
          "show what a definition runs, and what it would change",
          "  millrace plan pipeline.yaml\n"
          "  millrace plan pipeline.yaml --offline -p 'names=[\"a\",\"b\"]'\n"
          "  millrace plan pipeline.yaml --only test      what runs of it for that\n"
          "  millrace plan pipeline.yaml -o json | jq .changed\n",
          1,
          1,
          add_plan_options,
          run_plan};
}

}  // namespace millrace::gateway::cli
