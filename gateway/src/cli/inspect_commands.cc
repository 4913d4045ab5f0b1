// SPDX-License-Identifier: MIT
// Commands that look at what a server has: list, get, logs.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/closing.h"
#include "cli/command.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/run_follow.h"
#include "cli/run_logs.h"
#include "cli/run_rows.h"
#include "cli/terminal_text.h"
#include "millrace/actors/artifact.h"
#include "millrace/actors/duration_text.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::uint32_t list_default = 1'000;
constexpr std::uint32_t audit_default = 100;
constexpr std::size_t tasks_shown = 100;       // with their run
constexpr std::uint32_t list_max = 1'000'000;  // a run has at most 100,000 tasks
constexpr std::uint32_t tail_max = 100'000;    // the server's

// Adds to a row what only people are shown.
using for_people = void (*)(remote& server, ordered_json& row);

// A time, or how long ago.
result<std::optional<runtime::wall_time>> time_of(const option_values& options, const char* name) {
  if (options.count(name) == 0) {
    return std::optional<runtime::wall_time>{};
  }
  const auto text = text_of(options, name);
  if (const auto time = runtime::from_rfc3339(text)) {
    return std::optional{runtime::wall_time{std::chrono::nanoseconds{*time}}};
  }
  if (const auto ago = actors::parse_duration(text); ago.length) {
    return std::optional{runtime::system_clock{}.wall() - *ago.length};
  }
  return error{errc::invalid_argument,
               fmt::format("--{} must be a time, such as 2026-01-31T08:00:00Z, or how long ago, "
                           "such as 10m, but is '{}'",
                           name, printable(text))};
}

// What can be listed.
struct listing {
  std::string target;
  const char* key;
  std::vector<std::string> columns;
  for_people add = nullptr;
  std::string more = {};                     // how to see more; empty: by --limit
  bool has_details = false;                  // each row is wanted with those
  std::vector<std::string> of_details = {};  // columns that come of them
  std::string oldest = {};                   // ids before it, and what follows, are left out
  std::string cursor = {};                   // what comes behind it; empty: all
};

void add_duration(remote& server, ordered_json& row) {
  complete_row(server, row);
}

// All that there is to say of a run, if that was asked for.
void add_whole_run(remote& server, ordered_json& row) {
  if (const auto whole = row.find("details"); whole != row.end()) {
    const auto told = std::move(*whole);
    row.erase("details");
    row["tasks"] = task_summary(told.value("tasks", ordered_json::object()));
    row["labels"] = told.value("labels", ordered_json::array());
    row["params"] = told.value("params", ordered_json::object());
    row["reason"] = told.value("reason", "");
  }
  complete_row(server, row);
}

// Its latest run by its state.
void add_whole_pipeline(remote& server, ordered_json& row) {
  if (const auto whole = row.find("details"); whole != row.end()) {
    auto told = std::move(*whole);
    row.erase("details");
    row["version"] = told.at("version");
    row["paused"] = told.at("paused") == true ? ordered_json("yes") : ordered_json();
    if (auto& run = told.at("latest_run"); run.is_object()) {
      complete_row(server, run);
      row["latest_run"] = run.at("state");
    }
  }
}

// Ids of runs begin with when they were made, and sort by it: that of none, before all of `time`.
std::string first_id_of(runtime::wall_time time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const auto known = static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 0));
  return fmt::format("{:08x}-{:04x}-0000-0000-000000000000", known >> 16U, known & 0xffffU);
}

result<void> set_times(const option_values& options, listing& of_runs) {
  const auto since = time_of(options, "since");
  const auto until = time_of(options, "until");
  if (!since || !until) {
    return since ? until.error() : since.error();
  }
  if (*since && *until && **until <= **since) {
    return error{errc::invalid_argument, "--until must be later than --since"};
  }
  of_runs.oldest = *since ? first_id_of(**since) : std::string{};
  of_runs.cursor = *until ? first_id_of(**until) : std::string{};
  return {};
}

constexpr const char* list_usage =
    "list what? `list pipelines`, `list runs [PIPELINE] [--state STATE]` or `list tasks RUN`";

listing runs_of(const remote& server, const std::string& pipeline, const std::string& state,
                const std::string& label) {
  const auto details = server.form() == output_form::wide;
  const auto filter = (state.empty() ? "" : "&state=" + escaped(state)) +
                      (label.empty() ? "" : "&label=" + escaped(label));
  if (pipeline.empty()) {
    return {"/api/v1/runs?project=" + escaped(server.project()) + filter,
            "runs",
            {"id", "pipeline", "state", "version", "created_at", "duration"},
            add_whole_run,
            {},
            details};
  }
  return {server.pipelines() + "/" + escaped(pipeline) + "/runs?" + filter,
          "runs",
          {"id", "state", "version", "created_at", "duration"},
          add_whole_run,
          {},
          details};
}

result<listing> listing_of(remote& server, const option_values& options,
                           const std::vector<std::string>& words) {
  const auto what = words.empty() ? std::string{"pipelines"} : words[0];
  const auto of = words.size() > 1 ? words[1] : std::string{};
  const auto pipeline = text_of(options, "pipeline", of);
  if (what == "runs" && (of.empty() || of == pipeline)) {
    auto runs = runs_of(server, pipeline, text_of(options, "state"), text_of(options, "label"));
    auto set = set_times(options, runs);
    return set ? result<listing>{std::move(runs)} : std::move(set).error();
  }
  const auto is_pipelines = what == "pipelines" && of.empty();
  const auto label = text_of(options, "label");
  if (!is_pipelines && (what != "tasks" || of.empty())) {
    return error{errc::invalid_argument, list_usage};
  }
  auto fitting = refuse(options, {"state", "pipeline", "since", "until"},
                        is_pipelines ? "list pipelines" : "list tasks");
  if (fitting && is_pipelines) {
    fitting = refuse(options, {"label"}, "list pipelines");
  }
  if (!fitting) {
    return std::move(fitting).error();
  }
  const auto run = is_pipelines ? result<std::string>{of} : server.run_of(of);
  if (!run) {
    return run.error();
  }
  return is_pipelines ? listing{server.pipelines(),
                                "pipelines",
                                {"id", "version", "paused", "latest_run", "registered_at"},
                                add_whole_pipeline,
                                {},
                                is_table(server.form()),
                                {"version", "paused", "latest_run"}}
                      : listing{"/api/v1/runs/" + escaped(*run) + "/tasks" +
                                    (label.empty() ? "" : "?label=" + escaped(label)),
                                "tasks", task_columns(), add_duration};
}

void add_list_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  add_rows_options(options);
  options.add_options()(
      "state", po::value<std::string>()->value_name("STATE"),
      "runs: only those that are running, queued,\nsucceeded, failed, cancelled or timed_out");
  options.add_options()("pipeline", po::value<std::string>()->value_name("NAME"),
                        "runs: only those of this pipeline");
  options.add_options()(
      "label,l", po::value<std::string>()->value_name("LABEL"),
      "runs, tasks: only those with it, NAME=VALUE or NAME,\nor with all of several: A=1,B");
  options.add_options()("since", po::value<std::string>()->value_name("TIME"),
                        "runs: only those submitted from then on: 2h ago, or 2026-01-31T08:00:00Z")(
      "until", po::value<std::string>()->value_name("TIME"), "runs: only those submitted before");
  options.add_options()("limit", po::value<std::string>()->value_name("N"),
                        "at most so many (default: 1000)");
}

exit_code print_listing(remote& server, const listing& what, std::size_t limit) {
  auto rows = ordered_json::array();
  auto is_past = false;  // the newest come first
  const auto visit = [&](const ordered_json& row) -> result<void> {
    if (!what.oldest.empty() && row.value("id", "") < what.oldest) {
      is_past = true;
      return error{errc::cancelled, "older than what is wanted"};
    }
    rows.push_back(row);
    if (what.add != nullptr && is_table(server.form())) {
      what.add(server, rows.back());
    }
    return {};
  };
  const auto read = [&](const std::string& target) {
    auto more = server.for_each_row(target, what.key, limit, visit, {}, what.cursor);
    return is_past ? result<bool>{false} : more;
  };
  const auto* separator = what.target.find('?') == std::string::npos ? "?" : "&";
  auto more = read(what.target + (what.has_details ? separator + std::string{"details=true"} : ""));
  auto columns = what.columns;
  if (what.has_details && !more && more.error().code() == errc::invalid_argument &&
      more.error().text().find("query parameter 'details'") != std::string::npos) {
    std::cerr << "millrace: the server is older than this program; its lists tell less\n";
    const auto& of_details = what.of_details;
    columns.erase(std::remove_if(columns.begin(), columns.end(),
                                 [&](const std::string& each) {
                                   return std::find(of_details.begin(), of_details.end(), each) !=
                                          of_details.end();
                                 }),
                  columns.end());
    rows.clear();
    more = read(what.target);
  }
  if (!more) {
    return report(more.error());
  }
  print_rows(server.style(), rows, columns);
  if (*more) {
    std::cerr << "millrace: there are more than " << limit << "; "
              << (what.more.empty() ? "--limit N shows more" : what.more) << '\n';
  }
  return exit_code::ok;
}

exit_code run_list(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto limit = number_of(options, "limit", list_default, list_max);
  if (!server || !limit) {
    return report(server ? limit.error() : server.error());
  }
  const auto what = listing_of(*server, options, positional);
  return what ? print_listing(*server, *what, *limit) : report(what.error());
}

void add_audit_options(po::options_description& options) {
  add_server_option(options);
  add_rows_options(options);
  options.add_options()("limit", po::value<std::string>()->value_name("N"),
                        "the newest of them (default: 100)");
}

exit_code run_audit(const option_values& options, const std::vector<std::string>&) {
  auto server = remote::open(options);
  const auto limit = number_of(options, "limit", audit_default, list_max);
  if (!server || !limit) {
    return report(server ? limit.error() : server.error());
  }
  return print_listing(
      *server,
      {"/api/v1/audit", "entries", {"at", "who", "address", "method", "target", "status", "made"}},
      *limit);
}

exit_code get_and_print(remote& server, const std::string& target) {
  const auto answer = server.ask(http::method::get, target);
  if (!answer) {
    return report(answer.error());
  }
  auto shown = *answer;
  if (is_table(server.form()) && shown.contains("tasks") && shown["tasks"].is_object()) {
    shown["tasks"] = task_summary(shown["tasks"]);
  }
  print_one(server.form(), shown);
  return exit_code::ok;
}

// A run with its tasks, for people; as JSON and the like it is the API's.
exit_code get_run(remote& server, const std::string& target) {
  const auto code = get_and_print(server, target);
  if (code != exit_code::ok || !is_table(server.form())) {
    return code;
  }
  std::cout << '\n';
  return print_listing(
      server,
      {target + "/tasks", "tasks", task_columns(), add_duration, "`millrace list tasks` shows all"},
      tasks_shown);
}

void add_get_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("text", po::value<std::string>()->value_name("OUTPUT"),
                        "the text of an output of the task alone, as it was written");
}

// All of it, or nothing: what was cut short on its way must not be taken for the output.
exit_code print_output(remote& server, const std::string& task, const std::string& output) {
  std::string text;
  const auto answer =
      server.client().download(task + "/outputs/" + escaped(output), [&](std::string_view piece) {
        text += piece;
        return http::flow::more;
      });
  if (!answer || answer->status >= 400) {
    return report(answer ? server.problem_of(*answer) : answer.error());
  }
  actors::digest_of_stream sum;
  sum.add(text);
  if (const auto tag = answer->headers.find("ETag");
      !tag || *tag != '"' + std::move(sum).hex() + '"') {
    return report({errc::storage_failed, "the output did not come as it was kept; try again"});
  }
  std::cout << text;
  return exit_code::ok;
}

exit_code run_get(const option_values& options, const std::vector<std::string>& words) {
  const auto is_noun = [&](const std::string& word) {
    return word == "run" || word == "runs" || word == "task" || word == "tasks" ||
           word == "pipelines" || (word == "pipeline" && words.size() == 1);
  };
  if ((is_noun(words[0]) && !(words[0] == "run" && words.size() == 2)) || words.back().empty()) {
    return report(exit_code::usage,
                  "get what? `get RUN`, `get RUN TASK` or `get pipeline NAME`; `list` lists, "
                  "`describe run RUN` tells more");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (words.size() == 2 && words[0] == "pipeline") {
    const auto target = server->pipelines() + "/" + escaped(words[1]);
    const auto code = get_and_print(*server, target);
    return code == exit_code::ok && is_table(server->form())
               ? get_and_print(*server, target + "/activity")
               : code;
  }
  const auto is_named = words.size() == 2 && words[0] == "run";
  const auto run = server->run_of(is_named ? words[1] : words[0]);
  if (!run) {
    return report(run.error());
  }
  const auto target = "/api/v1/runs/" + escaped(*run);
  if (options.count("text") > 0) {
    return words.size() == 2 && !is_named
               ? print_output(*server, target + "/tasks/" + escaped(words[1]),
                              options["text"].as<std::string>())
               : report(exit_code::usage,
                        "--text is an output of a task: `get RUN TASK --text "
                        "NAME`");
  }
  return words.size() == 2 && !is_named
             ? get_and_print(*server, target + "/tasks/" + escaped(words[1]))
             : get_run(*server, target);
}

void add_logs_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  options.add_options()("follow,f",
                        "go on until the run has ended, a line when it is written; of one task\n"
                        "until that has ended, and only its standard output, or with --stderr its\n"
                        "standard error");
  options.add_options()("stderr", "only the standard error, to standard output");
  options.add_options()("tail", po::value<std::string>()->value_name("LINES"),
                        "only the last lines of each stream, at most 100000");
  options.add_options()("attempt", po::value<std::string>()->value_name("N"),
                        "only this attempt (default: of one task the latest, else all)");
  options.add_options()("timestamps", "begin each line with when it was written");
  options.add_options()("since", po::value<std::string>()->value_name("TIME"),
                        "only what was written from then on: 10m ago, or 2026-01-31T08:00:00Z");
  add_grep_option(options);
  options.add_options()("data", po::value<std::string>()->value_name("DIR"),
                        "what lies in this data directory of `run` or a silo, without a server");
}

exit_code run_logs(const option_values& options, const std::vector<std::string>& positional) {
  const auto tail = number_of(options, "tail", 0, tail_max);
  const auto attempt = number_of(options, "attempt", 0);
  const auto grep = grep_of(options);
  const auto since = time_of(options, "since");
  if (!tail || !attempt || !grep || !since) {
    return report(!tail      ? tail.error()
                  : !attempt ? attempt.error()
                  : !grep    ? grep.error()
                             : since.error());
  }
  const log_request wanted{positional[0],
                           positional.size() > 1 ? positional[1] : std::string{},
                           options.count("stderr") > 0,
                           *attempt,
                           *tail,
                           options.count("timestamps") > 0,
                           *since,
                           *grep};
  const auto follows = options.count("follow") > 0;
  if (options.count("data") > 0) {
    const auto fitting =
        refuse(options, {"follow", "server", "project", "context", "token-file"}, "logs --data");
    if (!fitting) {
      return report(fitting.error());
    }
    directory_logs here{options["data"].as<std::string>()};
    return print_logs(here, wanted);
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (!follows) {
    remote_logs there{*server};
    return print_logs(there, wanted);
  }
  if (const auto fitting = refuse(options, {"timestamps", "since"}, "logs -f"); !fitting) {
    return report(fitting.error());
  }
  const auto run = server->run_of(wanted.run);
  if (!run) {
    return report(run.error());
  }
  const auto is_one = wanted.task.empty() ? result<bool>{false}
                                          : remote_logs{*server}.is_instance(*run, wanted.task);
  if (!is_one) {
    return report(is_one.error());
  }
  return *is_one ? follow_log(*server, {*run, wanted.task, wanted.only_errors, wanted.attempt,
                                        wanted.tail, wanted.grep})
                 : follow_run_logs(*server, *run, wanted);
}

}  // namespace

std::vector<command> inspect_commands() {
  return {
      {"list", "[pipelines | runs [PIPELINE] | tasks RUN]", "list pipelines, runs or tasks",
       "  millrace list\n"
       "  millrace list runs --state failed --limit 20\n"
       "  millrace list runs --since 24h --until 2026-01-31T08:00:00Z\n"
       "  millrace list runs nightly -o json\n",
       0, 2, add_list_options, run_list},
      {"get", "[run] RUN | RUN TASK [--text OUTPUT] | pipeline NAME",
       "show a run, one of its tasks, or a pipeline",
       "  millrace get @latest\n"
       "  millrace get 0197a1b2               the run whose id begins so\n"
       "  millrace get @latest probe --text found > found.json     an output, as it was written\n"
       "  millrace get pipeline nightly -o json\n",
       1, 2, add_get_options, run_get},
      {"audit", "[--limit N]", "show who did what, of a server that asks for tokens",
       "  millrace audit --limit 20\n"
       "  millrace audit -o jsonl\n",
       0, 0, add_audit_options, run_audit},
      {"logs", "RUN [TASK] [-f | --data DIR] [--grep PATTERN]",
       "print what the tasks of a run wrote, attempt by attempt as they ended",
       "  millrace logs @latest                    all of it, each line with its task; of each\n"
       "                                           attempt its standard output, then its errors\n"
       "  millrace logs @latest --grep '(?i)error'\n"
       "  millrace logs RUN count                  the same of every instance of a fan-out\n"
       "  millrace logs RUN 'count[3]' --stderr --tail 20\n"
       "  millrace logs @latest -f                 and what comes, until the run has ended\n"
       "  millrace logs RUN build -f\n"
       "  millrace logs @latest build --data .millrace      after `millrace run`\n",
       1, 2, add_logs_options, run_logs},
  };
}

}  // namespace millrace::gateway::cli
