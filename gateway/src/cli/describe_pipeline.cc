// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <iostream>

#include "cli/describe.h"
#include "cli/outline.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

using runtime::result;

namespace {

constexpr std::size_t runs_shown = 5;

std::string param_text(const ordered_json& param) {
  auto text = text_in(param, "type").empty() ? "string" : text_in(param, "type");
  for (const auto& [key, what] : {std::pair{"default", ", default "}, {"enum", ", one of "}}) {
    text += param.contains(key) ? what + param.at(key).dump() : "";
  }
  text += param.value("required", false) ? ", required" : "";
  return in_words(text, text_in(param, "description"));
}

result<void> print_definition(const ordered_json& json) {
  const auto definition = actors::from_json(json.dump());
  if (!definition) {
    return definition.error();
  }
  if (const auto params = json.value("params", ordered_json::object()); !params.empty()) {
    heading("Parameters");
    for (const auto& [name, param] : params.items()) {
      std::cout << "  " << printable(name + ": " + param_text(param)) << '\n';
    }
  }
  heading("Tasks");
  const auto tasks = outline_of(*definition, actors::bind_params(*definition, {}));
  for (const auto at : actors::graph_of(*definition).order) {
    const auto& task = definition->tasks[at];
    std::cout << "  " << printable(in_words(outline_line(tasks[at], task), task.description))
              << '\n';
  }
  return {};
}

std::string labels_text(const ordered_json& labels) {
  std::string text;
  for (const auto& [name, content] : labels.items()) {
    text += (text.empty() ? "" : ", ") + name + "=" + content.get<std::string>();
  }
  return text;
}

std::string concurrency_text(const ordered_json& bound) {
  if (bound.empty()) {
    return {};
  }
  const auto limit = bound.value("limit", 1U);
  const auto group = text_in(bound, "group");
  const auto action = bound.value("on_limit", "queue");
  return fmt::format("{} {} at a time{}; {}", limit, limit == 1 ? "run" : "runs",
                     group.empty() ? "" : " of each group " + group,
                     action == "reject"          ? "one more is refused"
                     : action == "cancel_oldest" ? "one more cancels the oldest"
                                                 : "one more waits for its turn");
}

std::string retention_text(const ordered_json& kept) {
  const auto runs = text_in(kept, "runs");
  const auto age = text_in(kept, "age");
  return (runs.empty() ? "" : "the last " + runs + " ended runs") +
         (runs.empty() || age.empty() ? "" : ", ") + (age.empty() ? "" : "no longer than " + age);
}

// What it goes by besides its tasks, where it says so.
void print_rules(const ordered_json& definition) {
  const auto part = [&](const char* key) { return definition.value(key, ordered_json::object()); };
  line("Labels", labels_text(part("labels")));
  line("Priority", text_in(definition, "priority"));
  line("Pool", text_in(definition, "pool"));
  line("Concurrency", concurrency_text(part("concurrency")));
  const auto revert = text_in(part("revert"), "after");
  line("Reverts", revert.empty() ? "" : "after " + revert + " failed runs in a row");
  line("Keeps", retention_text(part("retention")));
}

void print_triggers(const ordered_json& triggers) {
  if (!triggers.empty()) {
    heading("Triggers");
  }
  for (const auto& each : triggers) {
    auto text =
        fmt::format("pipeline {}, on {}", text_in(each, "pipeline"), each.value("on", "success"));
    for (const auto* key : {"webhook", "watch"}) {
      text = each.contains(key) ? fmt::format("{} {}", key, text_in(each, key)) : text;
    }
    if (each.contains("signature")) {
      text += ", signed with secret " + text_in(each.at("signature"), "secret");
    }
    for (const auto* key : {"when", "once_for"}) {
      text += each.contains(key) ? fmt::format(", {} {}", key, text_in(each, key)) : "";
    }
    std::cout << "  " << printable(text) << '\n';
  }
}

void print_schedules(const ordered_json& schedules) {
  if (!schedules.empty()) {
    heading("Schedules");
  }
  for (const auto& each : schedules) {
    const auto& definition = each.at("definition");
    auto times = text_in(definition, "cron");
    if (times.empty()) {
      times = "every " + text_in(definition, "every");
    } else {
      times += " " + definition.value("timezone", "UTC");
    }
    std::cout << "  "
              << printable(text_in(each, "id") + "  " +
                           (each.value("watch", false) ? "watch " : "") + times + "  " +
                           (each.value("paused", false)
                                ? "paused"
                                : "next " + local_time(text_in(each, "next_at"))))
              << '\n';
  }
}

// What the watches have found; of one that has failed also what its command said.
void print_watches(remote& server, const ordered_json& watches) {
  if (!watches.empty()) {
    heading("Watches");
  }
  for (const auto& each : watches) {
    const auto last = text_in(each, "last_version");
    const auto reason = text_in(each, "reason");
    const auto checked = local_time(text_in(each, "checked_at"));
    std::cout << "  "
              << printable(fmt::format(
                     "{}  {}  {} new so far, last version {}", text_in(each, "id"),
                     checked.empty() ? "not checked yet" : "checked " + checked,
                     each.value("found", std::uint64_t{0}), last.empty() ? "none" : last))
              << '\n';
    if (const auto refusal = text_in(each, "refusal"); !refusal.empty()) {
      std::cout << "  " << printable("started nothing for " + refusal) << '\n';
    }
    if (!reason.empty()) {
      std::cout << "  " << printable("failed in run " + text_in(each, "last_check") + ": " + reason)
                << '\n';
      print_end(server, text_in(each, "last_check"), {std::string{actors::check_task_name}, 0});
    }
  }
}

// Of what changes from run to run.
void print_activity(const ordered_json& now) {
  line("State", now.value("paused", false) ? "paused" + (text_in(now, "paused_by").empty()
                                                             ? std::string{}
                                                             : " by " + text_in(now, "paused_by"))
                                           : "takes runs");
  const auto queued = now.value("queued_runs", 0U);
  line("Runs", fmt::format("{} go on, {} wait for their turn",
                           now.value("active_runs", 0U) - queued, queued));
  if (const auto failed = now.value("failed_in_row", 0U); failed > 0) {
    const auto good = now.value("good_version", 0U);
    line("Failures",
         fmt::format("{} in a row; {}", failed,
                     good == 0 ? "no version has succeeded yet"
                               : fmt::format("version {} was the last that has succeeded", good)));
  }
}

}  // namespace

exit_code describe_pipeline(const asker& by, const std::string& name) {
  auto& server = by.server;
  const auto target = server.pipelines() + "/" + escaped(name);
  const auto whole = server.ask(http::method::get, target);
  const auto now = whole ? server.ask(http::method::get, target + "/activity") : whole;
  const auto schedules = now ? server.ask(http::method::get, target + "/schedules") : now;
  if (!schedules) {
    return report(schedules.error());
  }
  auto runs = ordered_json::array();
  const auto read = server.for_each_row(target + "/runs?", "runs", runs_shown,
                                        [&](const ordered_json& row) -> result<void> {
                                          runs.push_back(row);
                                          complete_row(server, runs.back());
                                          return {};
                                        });
  if (!read) {
    return report(read.error());
  }
  const auto& definition = whole->at("definition");
  const auto origin = text_in(*whole, "origin");
  line("Pipeline", name + " of project " + text_in(*whole, "project"));
  line("About", text_in(definition, "description"));
  line("Version", text_in(*whole, "version") + ", of " + local_time(text_in(*whole, "applied_at")) +
                      (origin.empty() ? "" : ", " + origin));
  print_activity(*now);
  print_rules(definition);
  if (const auto printed = print_definition(definition); !printed) {
    return report(printed.error());
  }
  print_triggers(definition.value("triggers", ordered_json::array()));
  print_schedules(schedules->at("schedules"));
  print_watches(server, now->value("watches", ordered_json::array()));
  if (!runs.empty()) {
    heading("Latest runs");
    print_rows(server.style(), runs, {"id", "state", "version", "created_at", "duration"});
  }
  std::vector<next_command> next{{"submit " + name + " --watch", server.project()}};
  if (now->value("paused", false)) {
    next.emplace_back("resume pipeline " + name, server.project());
  }
  if (!runs.empty()) {
    next.emplace_back("describe run " + text_in(runs.at(0), "id"));
  }
  print_commands(by, next);
  return exit_code::ok;
}

}  // namespace millrace::gateway::cli
