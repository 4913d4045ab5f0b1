// SPDX-License-Identifier: MIT
// Commands that give a server something to run: apply, submit, rerun, rollback, watch.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>
#include <set>

#include "cli/closing.h"
#include "cli/command.h"
#include "cli/definition_files.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/submit_lines.h"
#include "cli/task_code.h"
#include "cli/terminal_text.h"
#include "cli/watch.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/priority.h"
#include "millrace/actors/selection.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// --- apply ---------------------------------------------------------------------------------------

void add_apply_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("file,f", po::value<std::vector<std::string>>()->value_name("FILE"),
                        "the same as FILE alone; may be repeated");
  options.add_options()("if-version", po::value<std::string>()->value_name("N"),
                        "only if this is the latest version");
}

exit_code run_apply(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto if_version = number_of(options, "if-version", 0);
  if (!server || !if_version) {
    return report(server ? if_version.error() : server.error());
  }
  auto names = positional;
  if (options.count("file") > 0) {
    const auto& more = options["file"].as<std::vector<std::string>>();
    names.insert(names.end(), more.begin(), more.end());
  }
  const auto files = definitions_in(names);
  if (!files) {
    return report(files.error());
  }
  if (files->empty()) {
    return report(exit_code::usage, "name a definition: `millrace apply pipeline.yaml`");
  }
  // All are read before the first is sent, so that a mistake in the last leaves nothing half done.
  std::vector<std::pair<std::string, std::string>> texts;
  auto good = true;
  for (const auto& name : *files) {
    const auto text = read_file(name);
    if (!text) {
      return report(exit_code::usage, text.error().text());
    }
    auto reads_files = false;
    const auto loaded = load_definition(*text, name, &reads_files);
    if (!loaded) {
      std::cerr << actors::render(loaded.diagnostics, *text);
      good = false;
      continue;
    }
    // The files that it names are here.
    texts.emplace_back(loaded.definition->name,
                       reads_files ? actors::to_json(*loaded.definition) : *text);
  }
  if (!good) {
    return exit_code::usage;
  }
  http::header_list headers;
  if (*if_version > 0) {
    headers.add("If-Match", "\"" + std::to_string(*if_version) + "\"");
  }
  auto told = ordered_json::array();
  auto code = exit_code::ok;
  for (const auto& [name, text] : texts) {
    const auto answer =
        server->ask(http::method::put, server->pipelines() + "/" + escaped(name), text, headers);
    if (!answer) {
      code = report(answer.error());
      break;
    }
    if (is_table(server->form())) {
      std::cout << "pipeline " << name << " version " << answer->at("version")
                << (answer->at("changed").get<bool>() ? "" : " (unchanged)") << '\n';
    } else {
      told.push_back(*answer);
    }
  }
  if (!told.empty()) {
    print_told(server->form(), told, names.size() > 1 || *files != names);
  }
  return code;
}

// --- submit, watch -------------------------------------------------------------------------------

void add_waiting_options(po::options_description& options) {
  options.add_options()("wait",
                        "wait for the end; the exit code tells how the run ended, and so does\n"
                        "-o json, which then prints the run as it is at its end");
  options.add_options()("watch", "the same, and show what happens");
  add_timeout_option(options);
  options.add_options()("priority", po::value<std::string>()->value_name("PRIORITY"),
                        "in place of the pipeline's: a number, or idle, low, normal, high or "
                        "critical");
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "submitting again with the same key gives the same run");
}

// What a person wants to see of a run that begins.
struct waiting_wishes {
  bool waits = false;
  bool watches = false;
  bool logs = false;
  std::optional<runtime::duration> timeout;
};

result<waiting_wishes> wishes_of(const option_values& options) {
  const auto timeout = timeout_of(options);
  if (!timeout) {
    return timeout.error();
  }
  waiting_wishes made{.timeout = *timeout};
  made.logs = options.count("logs") > 0;
  made.watches = options.count("watch") > 0 || made.logs;
  made.waits = options.count("wait") > 0 || made.watches;
  if (made.logs && options.count("output") > 0) {
    return error{errc::invalid_argument,
                 "-o does not go with --logs, which prints what tasks wrote"};
  }
  for (const auto* each : {"timeout", "exit-code-from"}) {
    if (options.count(each) > 0 && !made.waits) {
      return error{errc::invalid_argument,
                   fmt::format("--{} goes with --wait, --watch or --logs", each)};
    }
  }
  return made;
}

http::header_list submission_headers(const option_values& options) {
  http::header_list headers{{"Content-Type", "application/json"}};
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  return headers;
}

// How it ends for the shell, where that is for a task to say.
exit_code code_of(remote& server, const std::string& run, const std::string& code_from,
                  exit_code of_run) {
  if (code_from.empty()) {
    return of_run;
  }
  const auto task = server.ask(http::method::get,
                               "/api/v1/runs/" + escaped(run) + "/tasks/" + escaped(code_from));
  if (!task && task.error().code() != errc::not_found) {
    return report(task.error());
  }
  const auto shown = task ? *task : ordered_json::object();
  const auto attempts = shown.find("attempts");
  const auto is_any = attempts != shown.end() && attempts->is_array() && !attempts->empty();
  return code_of_task(of_run, code_from, is_any ? attempts->back() : shown);
}

// Prints the run that `begun` answers, and follows it as far as is wished. `code_from`: the task
// whose exit code counts; empty: none.
exit_code tell_begun(remote& server, const ordered_json& begun, const waiting_wishes& wishes,
                     const std::string& code_from = {}) {
  const auto run = begun.at("id").get<std::string>();
  const auto form = server.form();
  const auto tells_end = wishes.waits && !is_table(form) && form != output_form::name;
  if (!wishes.logs && !tells_end) {
    print_one(is_table(form) ? output_form::name : form, begun);
    std::cout.flush();
  }
  if (!wishes.waits) {
    return exit_code::ok;
  }
  const auto mode = wishes.watches ? *progress_mode_of("auto") : progress_mode::quiet;
  const auto code = code_of(server, run, code_from, watch(server, run, mode, wishes.timeout));
  if (tells_end) {  // how it has ended; or where it is, when nobody waits any longer
    const auto ended = server.ask(http::method::get, "/api/v1/runs/" + escaped(run));
    if (!ended) {
      return report(ended.error());
    }
    print_one(form, *ended);
  }
  return code;
}

void add_submit_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, a list or map as JSON or =@FILE; may be repeated");
  options.add_options()("version", po::value<std::string>()->value_name("N"),
                        "of the pipeline (default: the latest)");
  add_only_option(options);
  add_no_cache_option(options);
  options.add_options()("label,l", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a label of the run beside those of its pipeline; may be repeated");
  options.add_options()("logs", "as --watch, and print the output of the last tasks at the end");
  add_waiting_options(options);
  add_code_from_option(options);
  options.add_options()("batch", po::value<std::string>()->value_name("FILE"),
                        "a run for each line of FILE ('-': standard input), JSON such as "
                        "{\"params\": {\"day\": \"monday\"}}");
}

exit_code run_batch(remote& server, const option_values& options, const std::string& pipeline) {
  for (const auto* other : {"param", "version", "wait", "watch", "logs", "timeout", "priority",
                            "only", "no-cache", "label", "exit-code-from"}) {
    if (options.count(other) > 0) {
      return report(exit_code::usage, std::string{"--"} + other + " does not go with --batch");
    }
  }
  const auto key = text_of(options, "idempotency-key", "");
  const auto& name = options["batch"].as<std::string>();
  if (name == "-") {
    return submit_lines(server, pipeline, std::cin, key);
  }
  std::ifstream file{name};
  if (!file) {
    return report(exit_code::usage, "cannot read '" + name + "': " + std::strerror(errno));
  }
  return submit_lines(server, pipeline, file, key);
}

// What is asked for, as the options have it.
struct wanted_run {
  std::uint32_t version = 0;  // 0: the latest
  std::map<std::string, std::string> params;
  std::string priority;
  std::vector<std::string> only;
  bool no_cache = false;
  std::map<std::string, std::string> labels;
};

result<wanted_run> wanted_run_of(const option_values& options) {
  auto params = params_of(options);
  const auto version = number_of(options, "version", 0);
  auto only = only_of(options);
  auto labels = pairs_of(options, "label", "-l");
  if (!params || !version || !only || !labels) {
    return !params    ? params.error()
           : !version ? version.error()
           : !only    ? only.error()
                      : labels.error();
  }
  auto priority = text_of(options, "priority");
  if (!priority.empty() && !actors::parse_priority(priority)) {
    return error{errc::invalid_argument,
                 "--priority '" + priority + "': " + std::string{actors::priority_hint}};
  }
  return wanted_run{*version,
                    *std::move(params),
                    std::move(priority),
                    *std::move(only),
                    options.count("no-cache") > 0,
                    *std::move(labels)};
}

// What to send, the tasks whose output is the run's answer, and the one whose exit code is.
struct submission {
  std::string body;
  std::set<std::string, std::less<>> last_tasks;
  std::string code_from;
};

// Parameters go as JSON of the types that the server's version wants.
result<submission> submission_of(remote& server, const option_values& options,
                                 const std::string& pipeline, const wanted_run& wanted) {
  const auto answer =
      server.ask(http::method::get, server.pipelines() + "/" + escaped(pipeline) +
                                        "?version=" + std::to_string(wanted.version));
  if (!answer) {
    return answer.error();
  }
  const auto definition = actors::from_json(answer->at("definition").dump());
  if (!definition) {
    return definition.error();
  }
  const auto filled = with_files(*definition, wanted.params);
  if (!filled) {
    return filled.error();
  }
  const auto bound = actors::bind_params(*definition, *filled);
  if (!bound) {
    std::string text;
    for (const auto& each : bound.diagnostics) {
      text += (text.empty() ? "" : "\n  ") + each.text +
              (each.hint.empty() ? "" : " (" + each.hint + ")");
    }
    return error{errc::invalid_argument, text};
  }
  const auto selected = actors::select_tasks(*definition, wanted.only);
  if (!selected) {
    return selected.error();
  }
  auto code_task = code_from(options, *definition);
  if (!code_task) {
    return std::move(code_task).error();
  }
  auto params = ordered_json::object();
  for (const auto& [name, text] : wanted.params) {
    params[name] = ordered_json::parse(actors::to_json(bound.values.at(name)));
  }
  auto body = ordered_json{{"params", params}};
  if (wanted.version > 0) {  // which an earlier server need not know, as the next
    body["version"] = wanted.version;
  }
  if (!wanted.priority.empty()) {
    body["priority"] = wanted.priority;
  }
  if (!wanted.only.empty()) {
    body["only"] = wanted.only;
  }
  if (wanted.no_cache) {
    body["no_cache"] = true;
  }
  if (!wanted.labels.empty()) {
    body["labels"] = wanted.labels;
  }
  return submission{body.dump(), actors::last_tasks(*definition, *selected), *std::move(code_task)};
}

exit_code print_outputs(remote& server, const std::string& run,
                        const std::set<std::string, std::less<>>& of_tasks) {
  const auto tasks = "/api/v1/runs/" + escaped(run) + "/tasks";
  std::set<std::string> cached;
  const auto print = [&](const ordered_json& task) -> result<void> {
    // A fan-out over nothing has succeeded without an attempt, and so without a log.
    if (task.at("state") != "succeeded" || task.value("attempt", 0U) == 0 ||
        !of_tasks.contains(task.at("name").get<std::string>())) {
      return {};
    }
    if (const auto from = task.value("cached_from", ""); !from.empty()) {
      if (cached.insert(task.at("name")).second) {
        std::cerr << cached_text(task.at("name"), from) << '\n';
      }
      return {};
    }
    const auto answer =
        server.client().download(tasks + "/" + escaped(task.at("id").get<std::string>()) + "/logs",
                                 [](std::string_view piece) {
                                   std::cout << piece;
                                   return std::cout ? http::flow::more : http::flow::stop;
                                 });
    if (!answer) {
      return answer.error();
    }
    return answer->status < 400 ? result<void>{} : server.problem_of(*answer);
  };
  const auto printed =
      server.for_each_row(tasks, "tasks", std::numeric_limits<std::size_t>::max(), print);
  return printed ? exit_code::ok : report(printed.error());
}

exit_code run_submit(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  if (options.count("batch") > 0) {
    return run_batch(*server, options, positional[0]);
  }
  const auto wanted = wanted_run_of(options);
  const auto wishes = wishes_of(options);
  if (!wanted || !wishes) {
    return report(wanted ? wishes.error() : wanted.error());
  }
  const auto made = submission_of(*server, options, positional[0], *wanted);
  if (!made) {
    return report(made.error());
  }
  const auto answer =
      server->ask(http::method::post, server->pipelines() + "/" + escaped(positional[0]) + "/runs",
                  made->body, submission_headers(options));
  if (!answer) {
    return report(answer.error());
  }
  const auto code = tell_begun(*server, *answer, *wishes, made->code_from);
  return wishes->logs && code == exit_code::ok
             ? print_outputs(*server, answer->at("id").get<std::string>(), made->last_tasks)
             : code;
}

// --- rerun, rollback -----------------------------------------------------------------------------

void add_rerun_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("latest", po::bool_switch(),
                        "with the latest version of the pipeline instead of the run's own");
  add_no_cache_option(options);
  add_waiting_options(options);
}

exit_code run_rerun(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto wishes = wishes_of(options);
  if (!server || !wishes) {
    return report(server ? wishes.error() : server.error());
  }
  const auto run = server->run_of(positional[0]);
  if (!run) {
    return report(run.error());
  }
  auto again = ordered_json{{"latest", options["latest"].as<bool>()}};
  if (options.count("no-cache") > 0) {  // which an earlier server need not know
    again["no_cache"] = true;
  }
  const auto answer = server->ask(http::method::post, "/api/v1/runs/" + escaped(*run) + "/rerun",
                                  again.dump(), submission_headers(options));
  return answer ? tell_begun(*server, *answer, *wishes) : report(answer.error());
}

void add_rollback_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("to", po::value<std::string>()->value_name("N"),
                        "the version to go back to (default: the latest that a run has "
                        "succeeded with)");
}

exit_code run_rollback(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto to = number_of(options, "to", 0);
  if (!server || !to) {
    return report(server ? to.error() : server.error());
  }
  const auto one = server->pipelines() + "/" + escaped(positional[0]);
  const auto answer =
      server->ask(http::method::post, one + "/rollback", ordered_json{{"version", *to}}.dump());
  const auto made = answer ? server->ask(http::method::get, one) : answer;
  if (!made) {
    return report(made.error());
  }
  if (is_table(server->form())) {
    std::cout << "pipeline " << positional[0] << " version " << made->at("version") << " ("
              << printable(made->at("origin").get<std::string>()) << ")\n";
  } else {
    print_one(server->form(), *made);
  }
  return exit_code::ok;
}

void add_watch_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
  add_timeout_option(options);
}

exit_code run_watch(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  if (!mode) {
    return report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
  }
  const auto timeout = timeout_of(options);
  if (!timeout) {
    return report(timeout.error());
  }
  const auto run = server->run_of(positional[0]);
  return run ? watch(*server, *run, *mode, *timeout) : report(run.error());
}

}  // namespace

std::vector<command> submit_commands() {
  return {
      {"apply", "FILE|DIR... | -f FILE|DIR", "give the server a pipeline's definition",
       "  millrace apply pipeline.yaml\n"
       "  millrace apply -f pipelines/ --project science      all definitions in a folder\n"
       "  make-pipeline | millrace apply -f -\n",
       0, 10'000, add_apply_options, run_apply},
      {"submit", "PIPELINE [-p NAME=VALUE]... [--only TASK] [--wait|--watch|--logs|--batch FILE]",
       "start a run",
       "  millrace submit nightly -p day=monday\n"
       "  millrace submit nightly --watch\n"
       "  millrace submit nightly --wait --timeout 1h\n"
       "  millrace submit nightly --wait --exit-code-from test\n"
       "  millrace submit nightly --only report      that task, and what it needs\n"
       "  millrace submit nightly --batch days.jsonl\n",
       1, 1, add_submit_options, run_submit},
      {"rerun", "RUN [--latest] [--wait|--watch]",
       "start a new run with the parameters, version and --only of another",
       "  millrace rerun @latest --watch           if of some tasks alone, of these\n"
       "  millrace rerun RUN --latest              with the latest version of the pipeline\n",
       1, 1, add_rerun_options, run_rerun},
      {"rollback", "PIPELINE [--to N]", "go back to an earlier version of a pipeline",
       "  millrace rollback nightly                to the latest that a run has succeeded with\n"
       "  millrace rollback nightly --to 3\n",
       1, 1, add_rollback_options, run_rollback},
      {"watch", "RUN", "follow a run to its end",
       "  millrace watch RUN\n  millrace watch @latest --progress json\n", 1, 1, add_watch_options,
       run_watch},
  };
}

}  // namespace millrace::gateway::cli
