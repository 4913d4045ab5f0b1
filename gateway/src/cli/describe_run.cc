// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/closing.h"
#include "cli/describe.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

using runtime::result;

namespace {

constexpr std::size_t failures_shown = 3;

std::string origin_of(const ordered_json& run) {
  if (run.value("check", false)) {
    return "watch " + text_in(run, "watch") + ", which it looks for";
  }
  for (const auto& [key, what] : {std::pair{"schedule", "schedule "},
                                  {"webhook", "webhook "},
                                  {"watch", "watch "},
                                  {"triggered_by", "the end of run "},
                                  {"rerun_of", "a rerun of "}}) {
    if (const auto by = text_in(run, key); !by.empty()) {
      return what + by;
    }
  }
  const auto parent = text_in(run, "parent");
  return parent.empty() ? "a submission" : "task " + text_in(run, "parent_task") + " of " + parent;
}

std::string only_text(const ordered_json& run) {
  const auto names = run.value("only", std::vector<std::string>{});
  return names.empty() ? "" : fmt::format("only {}", fmt::join(names, ", "));
}

// Whether nothing of its pipeline begins. Who may not see that is not told to change it.
bool waits_for_pipeline(remote& server, const ordered_json& run) {
  if (!run.value("queued", false)) {
    return false;
  }
  const auto now =
      server.ask(http::method::get,
                 fmt::format("/api/v1/projects/{}/pipelines/{}/activity",
                             escaped(text_in(run, "project")), escaped(text_in(run, "pipeline"))));
  return now && now->value("paused", false);
}

std::vector<next_command> commands_for(remote& server, const ordered_json& run,
                                       const told_tasks& tasks) {
  const auto id = text_in(run, "id");
  const auto state = text_in(run, "state");
  std::vector<next_command> next;
  if (waits_for_pipeline(server, run)) {
    next.emplace_back("resume pipeline " + text_in(run, "pipeline"), text_in(run, "project"));
  }
  if (run.value("paused", false)) {
    next.emplace_back("resume run " + id);
  }
  for (const auto& task : tasks.rows) {
    if (waits_for_approval(task)) {
      next.emplace_back("approve " + id + " " + quoted(text_in(task, "id")));
    }
  }
  if (!tasks.failed.empty()) {
    next.emplace_back("describe task " + id + " " + quoted(text_in(tasks.failed.at(0), "id")));
  }
  if (goes_on(state)) {
    next.emplace_back("watch " + id);
    next.emplace_back("cancel " + id);
    return next;
  }
  if (tasks.have_attempts) {
    next.emplace_back("logs " + id);
  }
  if (run.value("check", false)) {  // its watch makes another one
    next.emplace_back("schedule trigger " + text_in(run, "pipeline") + " " + text_in(run, "watch"),
                      text_in(run, "project"));
    return next;
  }
  if (state != "succeeded" && (tasks.have_attempts || !tasks.failed.empty())) {
    next.emplace_back("retry " + id);
    const auto from = tasks.failed.empty()
                          ? std::string{}
                          : needed_by(server, run, tasks.rows, text_in(tasks.failed.at(0), "name"));
    if (!from.empty()) {
      next.emplace_back("retry " + id + " --from " + from);
    }
  }
  next.emplace_back("rerun " + id + " --watch");
  return next;
}

}  // namespace

next_command all_tasks(const ordered_json& run) {
  return {fmt::format("list tasks {} --limit {}", text_in(run, "id"),
                      std::max(run.at("tasks").value("total", std::size_t{0}), std::size_t{1}))};
}

result<told_tasks> tasks_of(remote& server, const ordered_json& run, const std::string& target) {
  const auto failures = std::min(run.at("tasks").value("failed", std::size_t{0}), failures_shown);
  told_tasks told;
  const auto read = look_through(
      server, target, {}, failures > 0 ? rows_per_page : rows_shown, [&](const ordered_json& row) {
        told.have_attempts = told.have_attempts || has_attempt(row);
        if (told.rows.size() < rows_shown) {
          told.rows.push_back(row);
          complete_row(server, told.rows.back());
        }
        if (told.failed.size() < failures && has_failed(text_in(row, "state"))) {
          told.failed.push_back(row);
        }
        return told.rows.size() < rows_shown || told.failed.size() < failures;
      });
  return read ? result<told_tasks>{std::move(told)} : read.error();
}

std::string needed_by(remote& server, const ordered_json& run, const ordered_json& rows,
                      const std::string& name) {
  const auto version = server.ask(
      http::method::get,
      fmt::format("/api/v1/projects/{}/pipelines/{}?version={}", escaped(text_in(run, "project")),
                  escaped(text_in(run, "pipeline")), text_in(run, "version")));
  const auto definition = version ? actors::from_json(version->at("definition").dump())
                                  : runtime::result<actors::pipeline_definition>{version.error()};
  if (!definition) {
    return {};
  }
  const auto& tasks = definition->tasks;
  const auto task =
      std::find_if(tasks.begin(), tasks.end(), [&](const auto& each) { return each.name == name; });
  const auto has_run = [&](const std::string& need) {
    return std::any_of(rows.begin(), rows.end(), [&](const ordered_json& row) {
      return text_in(row, "name") == need && text_in(row, "state") == "succeeded" &&
             has_attempt(row);
    });
  };
  const auto needs = task == tasks.end() ? std::vector<std::string>{} : task->needs;
  const auto found = std::find_if(needs.begin(), needs.end(), has_run);
  return found == needs.end() ? std::string{} : *found;
}

exit_code describe_run(const asker& by, const std::string& id) {
  auto& server = by.server;
  const auto target = "/api/v1/runs/" + escaped(id);
  const auto run = server.ask(http::method::get, target);
  if (!run) {
    return report(run.error());
  }
  const auto tasks = tasks_of(server, *run, target);
  if (!tasks) {
    return report(tasks.error());
  }
  const auto finished = text_in(*run, "finished_at");
  const auto state = run->value("queued", false)   ? std::string{"queued"}
                     : run->value("paused", false) ? std::string{"paused"}
                                                   : text_in(*run, "state");
  line("Run", id);
  line("Pipeline", text_in(*run, "pipeline") + " of project " + text_in(*run, "project") +
                       ", version " + text_in(*run, "version"));
  line("State", in_words(state, text_in(*run, "reason")));
  line("Started by", origin_of(*run));
  line("Submitted", local_time(text_in(*run, "created_at")));
  line("Ended", local_time(finished));
  line("Took", time_between(text_in(*run, "created_at"), finished, server.wall()));
  line("Nominal time", local_time(text_in(*run, "scheduled_at")));
  line("Priority", text_in(*run, "priority"));
  line("Asked for", only_text(*run));
  line("Kept results", run->value("no_cache", false) ? "not used (`no_cache`)" : "");
  line("Trace", text_in(*run, "trace_id"));
  line("Tasks", task_summary(run->at("tasks")));
  print_values("Parameters", run->value("params", ordered_json::object()));
  print_values("Labels", run->value("labels", ordered_json::array()));
  print_values("Outputs", run->value("outputs", ordered_json::array()));
  std::cout << '\n';
  print_rows(server.style(), tasks->rows, task_columns());
  if (run->at("tasks").value("total", std::size_t{0}) > rows_shown) {
    std::cout << "the first " << rows_shown << "; `" << typed(by, all_tasks(*run))
              << "` shows all\n";
  }
  for (const auto& task : tasks->failed) {
    const auto name = text_in(task, "id");
    heading(name + " " + in_words(text_in(task, "state"), text_in(task, "reason")));
    print_end(server, id, {name, task.value("attempt", 0U)});
  }
  print_commands(by, commands_for(server, *run, *tasks));
  return exit_code::ok;
}

}  // namespace millrace::gateway::cli
