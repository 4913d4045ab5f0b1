// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <map>

#include "cli/describe.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

using runtime::result;

namespace {

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
  if (goes_on(of_run) || run.value("check", false) ||
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
    if (has_failed(text_in(task, "state")) && text_in(run, "state") != "succeeded") {
      const auto others = tasks_of(server, run, "/api/v1/runs/" + escaped(id));
      const auto from =
          others ? needed_by(server, run, others->rows, text_in(task, "name")) : std::string{};
      if (!from.empty()) {
        next.emplace_back("retry " + id + " --from " + from);
      }
    }
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

}  // namespace

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
  line("Pool", text_in(*whole, "pool"));
  line("Result of", text_in(*whole, "cached_from"));
  line("Not cached", text_in(*whole, "cache_miss"));
  print_values("Labels", task.value("labels", ordered_json::array()));
  line("Command",
       fmt::format("{}", fmt::join(whole->value("command", std::vector<std::string>{}), " ")));
  print_values("Outputs", task.value("outputs", ordered_json::array()));
  print_attempts(server, id, name, whole->value("attempts", ordered_json::array()));
  print_commands(by, commands_for(server, *run, task));
  return exit_code::ok;
}

}  // namespace millrace::gateway::cli
