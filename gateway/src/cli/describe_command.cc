// SPDX-License-Identifier: MIT
// `millrace describe`: what a person wants to know of a pipeline, a run or a task, on one page: how
// it is, why, and what to type next.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <map>

#include "cli/closing.h"
#include "cli/command.h"
#include "cli/outline.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/run_logs.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"
#include "millrace/actors/selection.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr std::size_t runs_shown = 5;
constexpr std::size_t rows_shown = 100;
constexpr std::size_t failures_shown = 3;
constexpr std::uint32_t lines_shown = 10;

// --- pieces --------------------------------------------------------------------------------------

std::string text_in(const ordered_json& of, const char* key) {
  const auto found = of.find(key);
  return found == of.end() || found->is_null() ? std::string{}
         : found->is_string()                  ? found->get<std::string>()
                                               : found->dump();
}

// Nothing of what is empty.
void line(std::string_view title, const std::string& text) {
  if (!text.empty()) {
    std::cout << fmt::format("{:<14}{}\n", fmt::format("{}:", title), printable(text));
  }
}

void heading(const std::string& title) {
  std::cout << '\n' << printable(title) << ":\n";
}

// `NAME = VALUE`, of an object or a list of such.
void print_values(const std::string& title, const ordered_json& values) {
  if (values.empty()) {
    return;
  }
  heading(title);
  for (const auto& [key, content] : values.items()) {
    const auto& shown = values.is_array() ? content.at("value") : content;
    const auto name = values.is_array() ? text_in(content, "name") : key;
    std::cout << "  "
              << printable(name + " = " +
                           (shown.is_string() ? shown.get<std::string>() : shown.dump()))
              << '\n';
  }
}

void print_commands(const std::vector<std::string>& commands) {
  heading("Next");
  for (const auto& each : commands) {
    std::cout << "  millrace " << printable(each) << '\n';
  }
}

// The end of what an attempt wrote. What cannot be read is not shown: its command says why.
void print_end(remote& server, const std::string& run, const attempt_output& whose) {
  remote_logs logs{server};
  for (const auto& [title, stream] :
       {std::pair{"standard output", actors::output_stream::standard_output},
        {"standard error", actors::output_stream::standard_error}}) {
    std::string text;
    std::ignore = logs.read(run, whose, stream, lines_shown, [&text](std::string_view piece) {
      text += piece;
      return true;
    });
    if (text.ends_with('\n')) {
      text.pop_back();
    }
    if (text.empty()) {
      continue;
    }
    std::cout << "  " << title << ", the end:\n    ";
    for (const auto each : printable_lines(text)) {
      std::cout << each << (each == '\n' ? "    " : "");
    }
    std::cout << '\n';
  }
}

std::string in_words(const std::string& word, const std::string& reason) {
  return reason.empty() ? word : word + ": " + reason;
}

// As a shell takes it: instances have brackets.
std::string quoted(const std::string& word) {
  return word.find('[') == std::string::npos ? word : "'" + word + "'";
}

bool has_failed(const std::string& state) {
  return state == "failed" || state == "errored" || state == "timed_out" || state == "lost";
}

bool has_ended(const std::string& state) {
  return has_failed(state) || state == "succeeded" || state == "cached" || state == "cancelled" ||
         state == "skipped" || state == "upstream_failed";
}

bool waits_for_approval(const ordered_json& task) {
  return text_in(task, "state") == "running" &&
         text_in(task, "reason").starts_with("waits for approval");
}

// --- a pipeline ----------------------------------------------------------------------------------

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

void print_schedules(const ordered_json& schedules) {
  if (!schedules.empty()) {
    heading("Schedules");
  }
  for (const auto& each : schedules) {
    const auto& definition = each.at("definition");
    const auto cron = text_in(definition, "cron");
    std::cout << "  "
              << printable(text_in(each, "id") + "  " +
                           (cron.empty() ? "every " + text_in(definition, "every") : cron) + "  " +
                           (each.value("paused", false)
                                ? "paused"
                                : "next " + local_time(text_in(each, "next_at"))))
              << '\n';
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

// `option`: what the commands need besides.
exit_code describe_pipeline(remote& server, const std::string& name, const std::string& option) {
  const auto target = server.pipelines() + "/" + escaped(name);
  const auto whole = server.ask(http::method::get, target);
  const auto now = whole ? server.ask(http::method::get, target + "/activity") : whole;
  const auto schedules = now ? server.ask(http::method::get, target + "/schedules") : now;
  if (!schedules) {
    return report(schedules.error());
  }
  auto runs = ordered_json::array();
  const auto read = server.for_each_row(target + "/runs?", "runs", "before", runs_shown,
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
  if (const auto printed = print_definition(definition); !printed) {
    return report(printed.error());
  }
  print_schedules(schedules->at("schedules"));
  if (!runs.empty()) {
    heading("Latest runs");
    print_rows(server.style(), runs, {"id", "state", "version", "created_at", "duration"});
  }
  std::vector<std::string> next{"submit " + name + " --watch" + option};
  if (now->value("paused", false)) {
    next.push_back("resume pipeline " + name + option);
  }
  if (!runs.empty()) {
    next.push_back("describe run " + text_in(runs.at(0), "id"));
  }
  print_commands(next);
  return exit_code::ok;
}

// --- a run ---------------------------------------------------------------------------------------

std::string origin_of(const ordered_json& run) {
  for (const auto& [key, what] : {std::pair{"schedule", "schedule "},
                                  {"webhook", "webhook "},
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

// The tasks of a run that are told of.
struct told_tasks {
  ordered_json rows = ordered_json::array();    // the first of them
  ordered_json failed = ordered_json::array();  // the first that have failed, wherever
};

result<told_tasks> tasks_of(remote& server, const ordered_json& run, const std::string& target) {
  const auto failures = run.at("tasks").value("failed", 0U);
  told_tasks told;
  const auto read = server.for_each_row(
      target + "/tasks", "tasks", "after",
      failures > 0 ? std::numeric_limits<std::size_t>::max() : rows_shown,
      [&](const ordered_json& row) -> result<void> {
        if (told.rows.size() < rows_shown) {
          told.rows.push_back(row);
          complete_row(server, told.rows.back());
        }
        if (told.failed.size() < failures_shown && has_failed(text_in(row, "state"))) {
          told.failed.push_back(row);
        }
        return {};
      });
  return read ? result<told_tasks>{std::move(told)} : read.error();
}

std::vector<std::string> commands_for(const ordered_json& run, const told_tasks& tasks) {
  const auto id = text_in(run, "id");
  const auto state = text_in(run, "state");
  std::vector<std::string> next;
  if (run.value("paused", false)) {
    next.push_back("resume run " + id);
  }
  for (const auto& task : tasks.rows) {
    if (waits_for_approval(task)) {
      next.push_back("approve " + id + " " + quoted(text_in(task, "id")));
    }
  }
  if (!tasks.failed.empty()) {
    next.push_back("describe task " + id + " " + quoted(text_in(tasks.failed.at(0), "id")));
  }
  if (state == "running") {
    next.insert(next.end(), {"watch " + id, "cancel " + id});
    return next;
  }
  next.push_back("logs " + id);
  if (state != "succeeded") {
    next.push_back("retry " + id);
  }
  next.push_back("rerun " + id + " --watch");
  return next;
}

exit_code describe_run(remote& server, const std::string& id) {
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
  line("Trace", text_in(*run, "trace_id"));
  line("Tasks", task_summary(run->at("tasks")));
  print_values("Parameters", run->value("params", ordered_json::object()));
  print_values("Labels", run->value("labels", ordered_json::array()));
  print_values("Outputs", run->value("outputs", ordered_json::array()));
  std::cout << '\n';
  print_rows(server.style(), tasks->rows, task_columns());
  if (run->at("tasks").value("total", std::size_t{0}) > rows_shown) {
    std::cout << "the first " << rows_shown << "; `millrace list tasks " << id << "` shows all\n";
  }
  for (const auto& task : tasks->failed) {
    const auto name = text_in(task, "id");
    heading(name + " " + in_words(text_in(task, "state"), text_in(task, "reason")));
    print_end(server, id, {name, task.value("attempt", 0U)});
  }
  print_commands(commands_for(*run, *tasks));
  return exit_code::ok;
}

// --- a task --------------------------------------------------------------------------------------

void print_attempts(remote& server, const std::string& run, const std::string& name,
                    ordered_json attempts) {
  if (attempts.empty()) {
    return;
  }
  for (auto& each : attempts) {
    const auto started = text_in(each, "started_at");
    each["waited"] = time_between(text_in(each, "queued_at"), started, server.wall());
    each["duration"] = time_between(started, text_in(each, "finished_at"), server.wall());
  }
  heading("Attempts");
  print_rows(server.style(), attempts,
             {"id", "end", "exit_code", "signal", "executor", "waited", "duration", "text"});
  print_end(server, run, {name, 0});
}

std::vector<std::string> commands_for(const ordered_json& run, const ordered_json& task) {
  const auto id = text_in(run, "id");
  const auto name = quoted(text_in(task, "id"));
  const auto state = text_in(task, "state");
  std::vector<std::string> next;
  if (waits_for_approval(task)) {
    next.push_back("approve " + id + " " + name);
  } else if (const auto child = text_in(task, "child_run"); !child.empty()) {
    next.push_back("describe run " + child);
  } else if (task.value("attempt", 0U) > 0) {
    next.push_back("logs " + id + " " + name + (has_ended(state) ? "" : " -f"));
  }
  const auto is_over = text_in(run, "state") != "running";
  if (is_over && has_failed(state)) {
    next.push_back("retry " + id);
  } else if (is_over && text_in(task, "reason") != actors::not_selected) {
    next.push_back("retry " + id + " --from " + text_in(task, "name"));
  }
  next.push_back("describe run " + id);
  return next;
}

// All of a fan-out.
exit_code describe_instances(remote& server, const std::string& run, const std::string& name,
                             const ordered_json& instances) {
  std::map<std::string, std::size_t> counts;
  const auto* worst = &instances.at(0);
  for (const auto& each : instances) {
    ++counts[text_in(each, "state")];
    worst =
        !has_failed(text_in(*worst, "state")) && has_failed(text_in(each, "state")) ? &each : worst;
  }
  std::string summary;
  for (const auto& [state, count] : counts) {
    summary += fmt::format("{}{} {}", summary.empty() ? "" : ", ", count, state);
  }
  line("Task", name + " of run " + run);
  line("Instances", fmt::format("{}: {}", instances.size(), summary));
  std::cout << '\n';
  print_rows(server.style(), instances, task_columns());
  print_commands({"describe task " + run + " " + quoted(text_in(*worst, "id")),
                  "logs " + run + " " + name, "describe run " + run});
  return exit_code::ok;
}

exit_code describe_task(remote& server, const std::string& id, const std::string& name) {
  const auto target = "/api/v1/runs/" + escaped(id);
  const auto run = server.ask(http::method::get, target);
  if (!run) {
    return report(run.error());
  }
  // The list says of a task what it has come to, the task what its attempts were.
  auto instances = ordered_json::array();
  const auto read = server.for_each_row(
      target + "/tasks", "tasks", "after", std::numeric_limits<std::size_t>::max(),
      [&](const ordered_json& row) -> result<void> {
        if (text_in(row, "id") == name || text_in(row, "name") == name) {
          instances.push_back(row);
          complete_row(server, instances.back());
        }
        return {};
      });
  if (!read) {
    return report(read.error());
  }
  if (instances.empty()) {
    return report(exit_code::not_found, "run '" + id + "' has no task '" + name +
                                            "'; `millrace list tasks " + id + "` shows all");
  }
  if (text_in(instances.at(0), "id") != name) {
    return describe_instances(server, id, name, instances);
  }
  const auto whole = server.ask(http::method::get, target + "/tasks/" + escaped(name));
  if (!whole) {
    return report(whole.error());
  }
  const auto& task = instances.at(0);
  line("Task", name + " of run " + id);
  line("Label", text_in(task, "label"));
  line("State", in_words(text_in(task, "state"), text_in(task, "reason")));
  line("Started", local_time(text_in(task, "started_at")));
  line("Ended", local_time(text_in(task, "finished_at")));
  line("Took", text_in(task, "duration"));
  line("Is the run", text_in(task, "child_run"));
  line("Result of", text_in(*whole, "cached_from"));
  line("Not cached", text_in(*whole, "cache_miss"));
  line("Command",
       fmt::format("{}", fmt::join(whole->value("command", std::vector<std::string>{}), " ")));
  print_values("Outputs", task.value("outputs", ordered_json::array()));
  print_attempts(server, id, name, whole->value("attempts", ordered_json::array()));
  print_commands(commands_for(*run, task));
  return exit_code::ok;
}

// --- all of them ---------------------------------------------------------------------------------

void add_describe_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
}

exit_code run_describe(const option_values& options, const std::vector<std::string>& words) {
  const auto& what = words[0];
  const auto fits = what == "task" ? words.size() == 3
                                   : (what == "pipeline" || what == "run") && words.size() == 2;
  const auto has_empty =
      std::any_of(words.begin(), words.end(), [](const std::string& word) { return word.empty(); });
  if (!fits || has_empty) {
    return report(exit_code::usage,
                  "describe what? `describe pipeline NAME`, `describe run RUN` or `describe task "
                  "RUN TASK`");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (what == "pipeline") {
    const auto project = text_of(options, "project");
    return describe_pipeline(*server, words[1], project.empty() ? "" : " --project " + project);
  }
  const auto run = server->run_of(words[1]);
  if (!run) {
    return report(run.error());
  }
  return what == "run" ? describe_run(*server, *run) : describe_task(*server, *run, words[2]);
}

}  // namespace

command describe_command() {
  return {"describe",
          "pipeline NAME | run RUN | task RUN TASK",
          "tell of one how it is, why, and what to do next",
          "  millrace describe run @latest\n"
          "  millrace describe task @latest 'count[3]'      one of a fan-out; `count`: all of it\n"
          "  millrace describe pipeline nightly\n",
          2,
          3,
          add_describe_options,
          run_describe};
}

}  // namespace millrace::gateway::cli
