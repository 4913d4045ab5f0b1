// SPDX-License-Identifier: MIT
// Commands that need no server: run, validate.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include "api/mistakes.h"
#include "cli/command.h"
#include "cli/definition_files.h"
#include "cli/local_run.h"
#include "cli/node_options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop_limit.h"
#include "cli/task_code.h"
#include "log/log.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "millrace/actors/selection.h"
#include "millrace/pipeline.capnp.actor.h"
#include "node/node.h"
#include "pipeline_schema.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

void print_mistakes(const std::vector<actors::diagnostic>& mistakes, const std::string& source) {
  std::cerr << actors::render(mistakes, source);
}

// --- run -----------------------------------------------------------------------------------------

void add_run_options(po::options_description& options) {
  options.add_options()("param,p", po::value<std::vector<std::string>>()->value_name("NAME=VALUE"),
                        "a parameter, a list or map as JSON or =@FILE; may be repeated");
  add_only_option(options);
  add_no_cache_option(options);
  add_code_from_option(options);
  add_node_options(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
  options.add_options()("resume",
                        "finish the runs that an earlier process has left in the data directory,\n"
                        "and start none")(
      "new", "cancel these first, then run FILE; without either a terminal is asked");
}

// What becomes of runs that an earlier process has left.
enum class left_runs : std::uint8_t { finish, cancel };

// Asks, where somebody can answer.
runtime::result<left_runs> choice_of(const option_values& options, const std::string& said) {
  if (options.count("resume") > 0 || options.count("new") > 0) {
    return options.count("resume") > 0 ? left_runs::finish : left_runs::cancel;
  }
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) {
    return runtime::error{runtime::errc::failed_precondition,
                          said +
                              "\n  --resume finishes what is unfinished and starts no new run, "
                              "--new cancels it first"};
  }
  std::cerr << "millrace: " << said
            << "\nfinish what is unfinished (f), cancel it and start a new run (n), or leave (l)? "
            << std::flush;
  std::string word;
  std::getline(std::cin, word);
  if (word == "f" || word == "n") {
    return word == "f" ? left_runs::finish : left_runs::cancel;
  }
  return runtime::error{runtime::errc::failed_precondition, "nothing is changed"};
}

// Decides over what there is, before any of it goes on.
runtime::result<void> decide(runtime::silo& here, const option_values& options,
                             std::vector<unfinished_run>& found, left_runs& choice) {
  auto runs = unfinished_runs(here);
  if (!runs) {
    return std::move(runs).error();
  }
  found = *std::move(runs);
  if (found.empty()) {
    return options.count("resume") == 0
               ? runtime::result<void>{}
               : runtime::error{runtime::errc::not_found,
                                "there is no unfinished run in " + data_directory(options)};
  }
  auto said = data_directory(options) + " has " + std::to_string(found.size()) + " unfinished run" +
              (found.size() == 1 ? ":" : "s:");
  constexpr std::size_t named_max = 10;
  for (std::size_t at = 0; at < std::min(found.size(), named_max); ++at) {
    said += "\n  " + found[at].id + " of " + found[at].pipeline;
  }
  said += found.size() > named_max ? "\n  ..." : "";
  const auto chosen = choice_of(options, said);
  if (!chosen) {
    return chosen.error();
  }
  choice = *chosen;
  for (const auto& each : found) {  // now, so that only what tidies up still starts
    if (choice == left_runs::cancel) {
      const auto told = here.call(
          runtime::ref<schemas::Run>(each.id).cancel("a new run was wanted instead", false));
      if (!told && told.error().code() != runtime::errc::failed_precondition) {
        return told.error();
      }
    }
  }
  return {};
}

// Follows each to its end. That of the first that did not end well.
exit_code end_left(node& here, progress_mode mode, const std::vector<unfinished_run>& left) {
  auto code = exit_code::ok;
  for (const auto& each : left) {
    progress view{mode};
    local_run run{here, view};
    const auto taken = run.take_up(each.id);
    const auto ended = taken ? run.follow() : report(taken.error());
    code = code == exit_code::ok ? ended : code;
    if (ended == exit_code::interrupted) {
      return ended;
    }
  }
  return code;
}

// The folder that the definition's file is in.
std::string source_of(const std::string& file) {
  std::error_code failed;
  const auto whole = std::filesystem::absolute(file, failed).lexically_normal();
  return failed || file == "-" ? std::string{} : whole.parent_path().string();
}

// Refuses what would wait for ever. `selected`: as of selection.h.
runtime::result<void> check_answerable(const actors::pipeline_definition& definition,
                                       const std::vector<bool>& selected) {
  for (std::size_t at = 0; at < definition.tasks.size(); ++at) {
    const auto& each = definition.tasks[at];
    if (!selected.empty() && !selected[at]) {
      continue;
    }
    if (each.callback) {
      return runtime::error{runtime::errc::invalid_argument,
                            "the task '" + each.name +
                                "' waits for a callback, and here nothing takes one: start a "
                                "server (millrace dev), and submit the pipeline to it"};
    }
    if (!each.approval.empty()) {
      return runtime::error{runtime::errc::invalid_argument,
                            "the task '" + each.name +
                                "' waits for approval, and here nobody can give it: start a server "
                                "(millrace dev), submit the pipeline to it, and answer (millrace "
                                "approve)"};
    }
  }
  return {};
}

// The pipelines that others may run as tasks. Nothing after a mistake, which is printed.
std::optional<std::vector<actors::pipeline_definition>> load_all(
    const std::vector<std::string>& files) {
  std::vector<actors::pipeline_definition> made;
  for (const auto& file : files) {
    const auto text = read_file(file);
    if (!text) {
      report(exit_code::usage, text.error().text());
      return std::nullopt;
    }
    auto loaded = load_definition(*text, file);
    if (!loaded) {
      print_mistakes(loaded.diagnostics, *text);
      return std::nullopt;
    }
    const auto& name = loaded.definition->name;
    if (std::any_of(made.begin(), made.end(),
                    [&](const auto& other) { return other.name == name; })) {
      report(exit_code::usage, "two of the definitions are called '" + name + "'");
      return std::nullopt;
    }
    made.push_back(*std::move(loaded.definition));
  }
  return made;
}

exit_code run_file(const option_values& options, const std::vector<std::string>& positional) {
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  if (!mode) {
    return report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
  }
  const auto given = params_of(options);
  const auto only = only_of(options);
  if (!given || !only) {
    return report(given ? only.error() : given.error());
  }
  if (options.count("resume") > 0 &&
      (options.count("new") > 0 || options.count("param") > 0 || !only->empty() ||
       options.count("no-cache") > 0 || options.count("exit-code-from") > 0)) {
    return report(exit_code::usage,
                  "--resume starts no new run: --new, -p, --only, --no-cache and --exit-code-from "
                  "do not go with it");
  }
  auto others = load_all(positional);
  if (!others) {
    return exit_code::usage;
  }
  const auto definition = std::move(others->front());
  others->erase(others->begin());
  const auto selected = actors::select_tasks(definition, *only);
  if (!selected) {
    return report(selected.error());
  }
  const auto code_task = code_from(options, definition);
  if (!code_task) {
    return report(code_task.error());
  }
  auto answerable = check_answerable(definition, *selected);
  for (const auto& each : *others) {
    answerable = answerable ? check_answerable(each, {}) : answerable;
  }
  if (!answerable) {
    return report(answerable.error());
  }
  const auto filled = with_files(definition, *given);
  if (!filled) {
    return report(filled.error());
  }
  const auto bound = actors::bind_params(definition, *filled);
  if (!bound) {
    for (const auto& each : bound.diagnostics) {
      std::cerr << "millrace: " << each.text << (each.hint.empty() ? "" : " (" + each.hint + ")")
                << '\n';
    }
    return exit_code::usage;
  }
  logs told{log_format::text, spdlog::level::warn};
  auto setup = node_options_of(options, told);
  if (!setup) {
    return report(setup.error());
  }
  if (options.count("pools") == 0) {
    setup->pools = {std::string{actors::every_pool}};  // there is no other executor to wait for
  }
  std::vector<unfinished_run> left;
  auto choice = left_runs::finish;
  setup->before_work = [&](runtime::silo& silo) { return decide(silo, options, left, choice); };
  // SIGTERM only: Ctrl-C leaves hooks their time. The run has not failed, and goes on at
  // `--resume`.
  const stop_limit limit{stop_longest, exit_code::interrupted, [&told] { told.flush(); },
                         &terminated};
  const auto here = node::open(*setup);
  if (!here) {
    return report(here.error());
  }
  const auto starts = left.empty() || choice == left_runs::cancel;
  if (starts) {
    if (auto known = apply_beside((*here)->silo(), *others, definition, *selected); !known) {
      return report(known.error());
    }
  }
  watch_interrupts();
  auto code = end_left(**here, *mode, left);
  if (code != exit_code::interrupted && starts) {
    progress view{*mode};
    local_run run{**here, view};
    if (auto submitted = run.submit(definition, actors::to_json(bound), source_of(positional[0]),
                                    *only, options.count("no-cache") > 0);
        !submitted) {
      return report(submitted.error());
    }
    code = run.follow();
    code = code_task->empty() ? code : code_of_task(code, *code_task, run.task(*code_task));
  }
  (*here)->stop();
  return code;
}

// --- validate ------------------------------------------------------------------------------------

std::string summary_of(const actors::pipeline_definition& definition) {
  const auto& tasks = definition.tasks;
  const auto hooks = std::count_if(tasks.begin(), tasks.end(),
                                   [](const auto& each) { return each.hook.has_value(); });
  const auto others = static_cast<std::ptrdiff_t>(tasks.size()) - hooks;
  auto text = "pipeline " + definition.name + " with " + std::to_string(others) +
              (others == 1 ? " task" : " tasks");
  if (hooks > 0) {
    text += " and " + std::to_string(hooks) + (hooks == 1 ? " hook" : " hooks");
  }
  return text;
}

exit_code run_validate(const option_values& options, const std::vector<std::string>& positional) {
  const auto form = form_of(options);
  const auto files = definitions_in(positional);
  if (!form || !files) {
    return report(form ? files.error() : form.error());
  }
  auto code = exit_code::ok;
  auto told = ordered_json::array();
  for (const auto& name : *files) {
    const auto text = read_file(name);
    if (!text) {
      code = report(exit_code::usage, text.error().text());
      told.push_back(mistakes_json({{name, 0, 0, "", text.error().text(), ""}}));
      continue;
    }
    const auto loaded = load_definition(*text, name);
    if (!loaded) {
      print_mistakes(loaded.diagnostics, *text);
      code = exit_code::usage;
      told.push_back(mistakes_json(loaded.diagnostics));
    } else if (!is_table(*form)) {
      told.push_back(ordered_json::parse(actors::to_json(*loaded.definition)));
    } else {
      std::cout << name << ": ok, " << summary_of(*loaded.definition) << '\n';
    }
  }
  if (*form == output_form::name) {
    const auto is_wrong = [](const ordered_json& each) { return !each.contains("name"); };
    told.erase(std::remove_if(told.begin(), told.end(), is_wrong), told.end());
  }
  print_told(*form, told, positional.size() > 1 || *files != positional, "name");
  return code;
}

exit_code run_schema(const option_values&, const std::vector<std::string>&) {
  std::cout << pipeline_schema();
  return exit_code::ok;
}

}  // namespace

std::vector<command> local_commands() {
  return {
      {"run", "FILE [OTHER...] [-p NAME=VALUE]... [--only TASK] [--resume | --new]",
       "run a pipeline here, without a server",
       "  millrace run pipeline.yaml\n"
       "  millrace run pipeline.yaml --resume      finish what was interrupted\n"
       "  millrace run pipeline.yaml -p day=monday --progress plain\n"
       "  millrace run pipeline.yaml --only test       that task, and what it needs\n"
       "  millrace run pipeline.yaml --exit-code-from test\n"
       "  millrace run release.yaml build.yaml         the second for tasks that are runs of it; "
       "it\n"
       "      is stored without its schedules and triggers, which go if it has changed\n"
       "  millrace run - < pipeline.yaml\n",
       1, 100, add_run_options, run_file},
      {"validate", "FILE|FOLDER...", "check definitions, start nothing",
       "  millrace validate pipelines/\n"
       "  millrace validate pipeline.yaml -o json      the canonical form, or what is wrong\n",
       1, 10'000, add_output_option, run_validate},
      {"schema", "", "print the JSON Schema of definitions, for editors",
       "  millrace schema > pipeline.schema.json\n", 0, 0, [](po::options_description&) {},
       run_schema},
  };
}

}  // namespace millrace::gateway::cli
