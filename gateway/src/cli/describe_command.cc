// SPDX-License-Identifier: MIT
// `millrace describe`: what a person wants to know of a pipeline, a run or a task, on one page: how
// it is, why, and what to type next.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <iostream>
#include <map>

#include "cli/closing.h"
#include "cli/command.h"
#include "cli/outline.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/run_logs.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::result;

namespace {

constexpr std::size_t runs_shown = 5;
constexpr std::size_t rows_shown = 100;
constexpr std::size_t rows_per_page = 1'000;
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

// One word, as a shell takes it: instances have brackets.
std::string quoted(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
    return word;
  }
  std::string made = "'";
  for (const auto each : word) {
    made += each == '\'' ? std::string{"'\\''"} : std::string(1, each);
  }
  return made + "'";
}

// Who asks: the server, and the options that name it.
struct asker {
  remote& server;
  const option_values& options;
};

// What to type next. `project`: that of the pipeline which it names; the id of a run needs none.
struct next_command {
  // NOLINTNEXTLINE(google-explicit-constructor): most are words alone
  next_command(std::string typed, std::string its_project = {})
      : words(std::move(typed)), project(std::move(its_project)) {}
  std::string words;
  std::string project;
};

// As it is to be typed: to the server that this command was typed to.
std::string typed(const asker& by, const next_command& next) {
  auto text = "millrace " + next.words;
  const auto add = [&text](const std::string& option, const std::string& value) {
    text += fmt::format(" --{} {}", option, quoted(value));
  };
  if (!next.project.empty() &&
      (by.options.count("project") > 0 || next.project != by.server.project())) {
    add("project", next.project);
  }
  for (const auto* each :
       {"server", "context", "token-file", "ca", "client-certificate", "client-key"}) {
    if (by.options.count(each) > 0) {
      add(each, text_of(by.options, each));
    }
  }
  return printable(text);
}

void print_commands(const asker& by, const std::vector<next_command>& commands) {
  heading("Next");
  for (const auto& each : commands) {
    std::cout << "  " << typed(by, each) << '\n';
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

bool has_failed(const std::string& state) {
  return state == "failed" || state == "errored" || state == "timed_out" || state == "lost";
}

bool has_ended(const std::string& state) {
  return has_failed(state) || state == "succeeded" || state == "cached" || state == "cancelled" ||
         state == "skipped" || state == "upstream_failed";
}

// Whose output is its own.
bool has_attempt(const ordered_json& task) {
  return task.value("attempt", 0U) > 0 && text_in(task, "cached_from").empty();
}

// By its name: `build.finally`, or `finally` of the pipeline.
bool is_hook(const std::string& task) {
  const auto word = task.substr(task.rfind('.') + 1);  // all of it where there is no dot
  return word == "on_success" || word == "on_failure" || word == "on_cancel" || word == "finally";
}

// Visits the rows of a run's list of tasks, those behind `after`, until `visit` has seen enough.
result<void> look_through(remote& server, const std::string& target, std::string after,
                          std::size_t per_page,
                          const std::function<bool(const ordered_json&)>& goes_on) {
  do {
    const auto page =
        server.ask(http::method::get, fmt::format("{}/tasks?limit={}{}", target, per_page,
                                                  after.empty() ? "" : "&after=" + escaped(after)));
    if (!page) {
      return page.error();
    }
    for (const auto& row : page->at("tasks")) {
      if (!goes_on(row)) {
        return {};
      }
    }
    after = page->value("next", "");
  } while (!after.empty());
  return {};
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
    auto times = text_in(definition, "cron");
    if (times.empty()) {
      times = "every " + text_in(definition, "every");
    } else {
      times += " " + definition.value("timezone", "UTC");
    }
    std::cout << "  "
              << printable(text_in(each, "id") + "  " + times + "  " +
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

next_command all_tasks(const ordered_json& run) {
  return {fmt::format("list tasks {} --limit {}", text_in(run, "id"),
                      std::max(run.at("tasks").value("total", std::size_t{0}), std::size_t{1}))};
}

// The tasks of a run that are told of.
struct told_tasks {
  ordered_json rows = ordered_json::array();    // the first of them
  ordered_json failed = ordered_json::array();  // the first that have failed, wherever
  bool have_attempts = false;                   // one of those that were looked at
};

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
  if (state == "running") {
    next.emplace_back("watch " + id);
    next.emplace_back("cancel " + id);
    return next;
  }
  if (tasks.have_attempts) {
    next.emplace_back("logs " + id);
  }
  if (state != "succeeded" && (tasks.have_attempts || !tasks.failed.empty())) {
    next.emplace_back("retry " + id);
  }
  next.emplace_back("rerun " + id + " --watch");
  return next;
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
    if (const auto cpu = each["cpu_ms"]; cpu.is_number()) {
      each["cpu"] = fmt::format("{:.1f}s", cpu.get<double>() / 1'000);
    }
    if (const auto most = each["max_memory"]; most.is_number()) {
      each["memory"] = bytes_text(most.get<double>());
    }
  }
  heading("Attempts");
  print_rows(server.style(), attempts,
             {"id", "end", "exit_code", "signal", "executor", "waited", "duration", "cpu", "memory",
              "text"});
  print_end(server, run, {name, 0});
}

// The retry of a run that starts the task again; empty: there is none.
std::string retry_for(remote& server, const ordered_json& run, const ordered_json& task) {
  const auto id = text_in(run, "id");
  const auto state = text_in(task, "state");
  const auto of_run = text_in(run, "state");
  if (of_run == "running" ||
      !(has_failed(state) || state == "upstream_failed" || state == "cancelled")) {
    return {};
  }
  if (of_run == "succeeded") {  // whatever became of this one
    return has_attempt(task) && !is_hook(text_in(task, "name"))
               ? "retry " + id + " --from " + text_in(task, "name")
               : std::string{};
  }
  if (state == "cancelled" && !has_attempt(task)) {  // perhaps before anything of it has begun
    const auto others = tasks_of(server, run, "/api/v1/runs/" + escaped(id));
    if (!others || (!others->have_attempts && others->failed.empty())) {
      return {};
    }
  }
  return "retry " + id;
}

std::vector<next_command> commands_for(remote& server, const ordered_json& run,
                                       const ordered_json& task) {
  const auto id = text_in(run, "id");
  const auto name = quoted(text_in(task, "id"));
  std::vector<next_command> next;
  if (waits_for_approval(task)) {
    next.emplace_back("approve " + id + " " + name);
  } else if (const auto child = text_in(task, "child_run"); !child.empty()) {
    next.emplace_back("describe run " + child);
  } else if (const auto other = text_in(task, "cached_from"); !other.empty()) {
    next.emplace_back("logs " + other + " " + name);
  } else if (has_attempt(task)) {
    next.emplace_back("logs " + id + " " + name + (has_ended(text_in(task, "state")) ? "" : " -f"));
  }
  if (auto again = retry_for(server, run, task); !again.empty()) {
    next.emplace_back(std::move(again));
  }
  next.emplace_back("describe run " + id);
  return next;
}

// All of a fan-out.
struct told_instances {
  std::map<std::string, std::size_t> counts;  // by state
  std::size_t total = 0;
  ordered_json failed = ordered_json::array();  // the first of them
  ordered_json others = ordered_json::array();  // the same
  bool have_attempts = false;
};

// Nothing where the run has no such task. They stand together, behind the name of the task.
result<told_instances> instances_of(remote& server, const std::string& target,
                                    const std::string& name) {
  told_instances told;
  const auto read =
      look_through(server, target, name, rows_per_page, [&](const ordered_json& listed) {
        if (text_in(listed, "name") != name) {
          return false;
        }
        auto row = listed;
        complete_row(server, row);
        const auto state = text_in(row, "state");
        ++told.counts[state];
        ++told.total;
        told.have_attempts = told.have_attempts || has_attempt(row);
        if (auto& rows = has_failed(state) ? told.failed : told.others; rows.size() < rows_shown) {
          rows.push_back(std::move(row));
        }
        return true;
      });
  if (!read && read.error().code() != runtime::errc::invalid_argument) {
    return read.error();
  }
  return told;
}

exit_code no_task(const asker& by, const ordered_json& run, const std::string& name) {
  return report(exit_code::not_found, "run '" + text_in(run, "id") + "' has no task '" + name +
                                          "'; `" + typed(by, all_tasks(run)) + "` shows all");
}

exit_code describe_instances(const asker& by, const ordered_json& run, const std::string& name) {
  const auto id = text_in(run, "id");
  auto told = instances_of(by.server, "/api/v1/runs/" + escaped(id), name);
  if (!told) {
    return report(told.error());
  }
  if (told->total == 0) {
    return no_task(by, run, name);
  }
  std::string summary;
  for (const auto& [state, count] : told->counts) {
    summary += fmt::format("{}{} {}", summary.empty() ? "" : ", ", count, state);
  }
  auto& shown = told->failed;
  for (std::size_t at = 0; at < told->others.size() && shown.size() < rows_shown; ++at) {
    shown.push_back(told->others.at(at));
  }
  line("Task", name + " of run " + id);
  line("Instances", fmt::format("{}: {}", told->total, summary));
  std::cout << '\n';
  print_rows(by.server.style(), shown, task_columns());
  if (told->total > shown.size()) {
    std::cout << shown.size() << " of them, the failed ones first; `" << typed(by, all_tasks(run))
              << "` shows all\n";
  }
  std::vector<next_command> next{"describe task " + id + " " + quoted(text_in(shown.at(0), "id"))};
  if (told->have_attempts) {
    next.emplace_back("logs " + id + " " + name);
  }
  next.emplace_back("describe run " + id);
  print_commands(by, next);
  return exit_code::ok;
}

// Behind which row that of a task stands, where its name tells: `count[2]` before `count[3]`.
std::string row_before(const std::string& name) {
  const auto bracket = name.find('[');
  std::uint32_t index = 0;
  if (bracket == std::string::npos ||
      std::from_chars(name.data() + bracket + 1, name.data() + name.size(), index).ec !=
          std::errc{}) {
    return {};
  }
  return name.substr(0, bracket) + (index > 0 ? fmt::format("[{}]", index - 1) : "");
}

exit_code describe_task(const asker& by, const std::string& id, const std::string& name) {
  auto& server = by.server;
  const auto target = "/api/v1/runs/" + escaped(id);
  const auto run = server.ask(http::method::get, target);
  if (!run) {
    return report(run.error());
  }
  const auto whole = server.ask(http::method::get, target + "/tasks/" + escaped(name));
  if (!whole) {
    return whole.error().code() == runtime::errc::not_found ? describe_instances(by, *run, name)
                                                            : report(whole.error());
  }
  // The list says of a task what it has come to, the task what its attempts were.
  const auto before = row_before(name);
  ordered_json task;
  const auto read = look_through(server, target, before, before.empty() ? rows_per_page : 1,
                                 [&](const ordered_json& row) {
                                   if (text_in(row, "id") == name) {
                                     task = row;
                                   }
                                   return task.is_null() && before.empty();
                                 });
  if (!read) {
    return report(read.error());
  }
  if (task.is_null()) {
    return no_task(by, *run, name);
  }
  complete_row(server, task);
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
  print_commands(by, commands_for(server, *run, task));
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
  const asker by{*server, options};
  if (what == "pipeline") {
    return describe_pipeline(by, words[1]);
  }
  const auto run = server->run_of(words[1]);
  if (!run) {
    return report(run.error());
  }
  return what == "run" ? describe_run(by, *run) : describe_task(by, *run, words[2]);
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
