// SPDX-License-Identifier: MIT
// Commands that give a server something to run: apply, submit, watch.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/submit_lines.h"
#include "cli/watch.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"

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

// The files that are named, and of each folder the definitions in it, by name.
result<std::vector<std::string>> definitions_in(const std::vector<std::string>& names) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (const auto& name : names) {
    std::error_code failed;
    if (!fs::is_directory(name, failed)) {
      files.push_back(name);
      continue;
    }
    std::vector<std::string> found;
    for (fs::directory_iterator each{name, failed}, end; !failed && each != end;
         each.increment(failed)) {
      const auto ending = each->path().extension();
      if (ending == ".yaml" || ending == ".yml" || ending == ".json") {
        found.push_back(each->path().string());
      }
    }
    if (failed || found.empty()) {
      return error{errc::invalid_argument,
                   "'" + name + "' has no definitions in it: files with .yaml, .yml or .json" +
                       (failed ? " (" + failed.message() + ")" : "")};
    }
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
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
    const auto loaded = actors::load_definition(*text, name);
    if (!loaded) {
      std::cerr << actors::render(loaded.diagnostics, *text);
      good = false;
      continue;
    }
    texts.emplace_back(loaded.definition->name, *text);
  }
  if (!good) {
    return exit_code::usage;
  }
  http::header_list headers;
  if (*if_version > 0) {
    headers.add("If-Match", "\"" + std::to_string(*if_version) + "\"");
  }
  for (const auto& [name, text] : texts) {
    const auto answer =
        server->ask(http::method::put, server->pipelines() + "/" + escaped(name), text, headers);
    if (!answer) {
      return report(answer.error());
    }
    if (is_table(server->form())) {
      std::cout << "pipeline " << name << " version " << answer->at("version")
                << (answer->at("changed").get<bool>() ? "" : " (unchanged)") << '\n';
    } else {
      print_one(server->form(), *answer);
    }
  }
  return exit_code::ok;
}

// --- submit, watch -------------------------------------------------------------------------------

void add_submit_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, a list or map as JSON or =@FILE; may be repeated");
  options.add_options()("wait",
                        "wait for the end; the exit code tells how the run ended, and so does\n"
                        "-o json, which then prints the run as it is at its end");
  options.add_options()("watch", "the same, and show what happens");
  options.add_options()("logs", "the same, and print the output of the last tasks at the end");
  add_timeout_option(options);
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "submitting again with the same key gives the same run");
  options.add_options()("batch", po::value<std::string>()->value_name("FILE"),
                        "a run for each line of FILE ('-': standard input), JSON such as "
                        "{\"params\": {\"day\": \"monday\"}}");
}

exit_code run_batch(remote& server, const option_values& options, const std::string& pipeline) {
  for (const auto* other : {"param", "wait", "watch", "logs", "timeout"}) {
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

// The parameters as JSON of the types that the server's version wants.
result<std::string> typed_params(remote& server, const std::string& pipeline,
                                 const std::map<std::string, std::string>& given,
                                 std::optional<actors::pipeline_definition>& definition) {
  auto answer = server.ask(http::method::get, server.pipelines() + "/" + escaped(pipeline));
  if (!answer) {
    return std::move(answer).error();
  }
  auto loaded = actors::from_json(answer->at("definition").dump());
  if (!loaded) {
    return std::move(loaded).error();
  }
  const auto filled = with_files(*loaded, given);
  if (!filled) {
    return filled.error();
  }
  const auto bound = actors::bind_params(*loaded, *filled);
  if (!bound) {
    std::string text;
    for (const auto& each : bound.diagnostics) {
      text += (text.empty() ? "" : "\n  ") + each.text +
              (each.hint.empty() ? "" : " (" + each.hint + ")");
    }
    return error{errc::invalid_argument, text};
  }
  ordered_json params = ordered_json::object();
  for (const auto& [name, text] : given) {
    params[name] = ordered_json::parse(actors::to_json(bound.values.at(name)));
  }
  definition = *std::move(loaded);
  return ordered_json{{"params", params}}.dump();
}

exit_code print_last_outputs(remote& server, const std::string& run,
                             const actors::pipeline_definition& definition) {
  std::vector<std::string> needed;
  for (const auto& task : definition.tasks) {
    needed.insert(needed.end(), task.needs.begin(), task.needs.end());
    if (task.hook) {
      needed.push_back(task.name);  // it speaks of others
    }
  }
  const auto tasks = "/api/v1/runs/" + escaped(run) + "/tasks";
  const auto print = [&](const ordered_json& task) -> result<void> {
    // A fan-out over nothing has succeeded without an attempt, and so without a log.
    if (task.at("state") != "succeeded" || task.value("attempt", 0U) == 0 ||
        std::find(needed.begin(), needed.end(), task.at("name").get<std::string>()) !=
            needed.end()) {
      return {};
    }
    const auto answer = server.client().stream(
        http::method::get, tasks + "/" + escaped(task.at("id").get<std::string>()) + "/logs", {},
        {}, [](std::string_view piece) {
          std::cout << piece;
          return std::cout ? http::flow::more : http::flow::stop;
        });
    if (!answer) {
      return answer.error();
    }
    return answer->status < 400 ? result<void>{} : server.problem_of(*answer);
  };
  const auto printed =
      server.for_each_row(tasks, "tasks", "after", std::numeric_limits<std::size_t>::max(), print);
  return printed ? exit_code::ok : report(printed.error());
}

exit_code run_submit(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  const auto given = params_of(options);
  if (!server || !given) {
    return report(server ? given.error() : server.error());
  }
  if (options.count("batch") > 0) {
    return run_batch(*server, options, positional[0]);
  }
  const auto logs = options.count("logs") > 0;
  const auto waits = options.count("wait") > 0 || options.count("watch") > 0 || logs;
  const auto timeout = timeout_of(options);
  if (!timeout) {
    return report(timeout.error());
  }
  if (logs && options.count("output") > 0) {
    return report(exit_code::usage, "-o does not go with --logs, which prints what tasks wrote");
  }
  if (*timeout && !waits) {
    return report(exit_code::usage, "--timeout goes with --wait, --watch or --logs");
  }
  std::optional<actors::pipeline_definition> definition;
  const auto body = typed_params(*server, positional[0], *given, definition);
  if (!body) {
    return report(body.error());
  }
  http::header_list headers{{"Content-Type", "application/json"}};
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  const auto answer =
      server->ask(http::method::post, server->pipelines() + "/" + escaped(positional[0]) + "/runs",
                  *body, headers);
  if (!answer) {
    return report(answer.error());
  }
  const auto run = answer->at("id").get<std::string>();
  const auto form = server->form();
  const auto tells_end = waits && !is_table(form) && form != output_form::name;
  if (!logs && !tells_end) {
    print_one(is_table(form) ? output_form::name : form, *answer);
    std::cout.flush();
  }
  if (!waits) {
    return exit_code::ok;
  }
  const auto mode =
      options.count("watch") > 0 || logs ? *progress_mode_of("auto") : progress_mode::quiet;
  const auto code = watch(*server, run, mode, *timeout);
  if (tells_end) {  // how it has ended; or where it is, when nobody waits any longer
    const auto ended = server->ask(http::method::get, "/api/v1/runs/" + escaped(run));
    if (!ended) {
      return report(ended.error());
    }
    print_one(form, *ended);
  }
  if (logs && code == exit_code::ok) {
    return print_last_outputs(*server, run, *definition);
  }
  return code;
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
      {"submit", "PIPELINE [-p NAME=VALUE]... [--wait|--watch|--logs|--batch FILE]", "start a run",
       "  millrace submit nightly -p day=monday\n"
       "  millrace submit nightly --watch\n"
       "  millrace submit nightly --wait --timeout 1h\n"
       "  millrace submit nightly --batch days.jsonl\n",
       1, 1, add_submit_options, run_submit},
      {"watch", "RUN", "follow a run to its end",
       "  millrace watch RUN\n  millrace watch @latest --progress json\n", 1, 1, add_watch_options,
       run_watch},
  };
}

}  // namespace millrace::gateway::cli
