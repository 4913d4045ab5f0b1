// SPDX-License-Identifier: MIT
// Commands that need no server: run, validate.
#include <iostream>

#include "cli/command.h"
#include "cli/local_run.h"
#include "cli/node_options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "log/log.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"
#include "node/node.h"

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
  add_node_options(options);
  options.add_options()("progress", po::value<std::string>()->value_name("MODE"),
                        "auto (default), tty, plain, json or quiet");
}

exit_code run_file(const option_values& options, const std::vector<std::string>& positional) {
  const auto mode = progress_mode_of(text_of(options, "progress", "auto"));
  if (!mode) {
    return report(exit_code::usage, "--progress must be auto, tty, plain, json or quiet");
  }
  const auto given = params_of(options);
  if (!given) {
    return report(given.error());
  }
  const auto text = read_file(positional[0]);
  if (!text) {
    return report(exit_code::usage, text.error().text());
  }
  const auto loaded = actors::load_definition(*text, positional[0]);
  if (!loaded) {
    print_mistakes(loaded.diagnostics, *text);
    return exit_code::usage;
  }
  for (const auto& each : loaded.definition->tasks) {
    if (!each.approval.empty()) {
      return report(exit_code::usage,
                    "the task '" + each.name +
                        "' waits for approval, and here nobody can give it: start a server "
                        "(millrace dev), submit the pipeline to it, and answer (millrace approve)");
    }
  }
  const auto filled = with_files(*loaded.definition, *given);
  if (!filled) {
    return report(filled.error());
  }
  const auto bound = actors::bind_params(*loaded.definition, *filled);
  if (!bound) {
    for (const auto& each : bound.diagnostics) {
      std::cerr << "millrace: " << each.text << (each.hint.empty() ? "" : " (" + each.hint + ")")
                << '\n';
    }
    return exit_code::usage;
  }
  logs told{log_format::text, spdlog::level::warn};
  const auto setup = node_options_of(options, told);
  if (!setup) {
    return report(setup.error());
  }
  const auto here = node::open(*setup);
  if (!here) {
    return report(here.error());
  }
  watch_interrupts();
  progress view{*mode};
  local_run run{**here, *loaded.definition, view};
  if (auto submitted = run.submit(actors::to_json(bound)); !submitted) {
    return report(submitted.error());
  }
  const auto code = run.follow();
  (*here)->stop();
  return code;
}

// --- validate ------------------------------------------------------------------------------------

exit_code run_validate(const option_values& options, const std::vector<std::string>& positional) {
  const auto form = form_of(options);
  if (!form) {
    return report(form.error());
  }
  auto code = exit_code::ok;
  for (const auto& name : positional) {
    const auto text = read_file(name);
    if (!text) {
      code = report(exit_code::usage, text.error().text());
      continue;
    }
    const auto loaded = actors::load_definition(*text, name);
    if (!loaded) {
      print_mistakes(loaded.diagnostics, *text);
      code = exit_code::usage;
    } else if (!is_table(*form)) {
      print_one(*form, ordered_json::parse(actors::to_json(*loaded.definition)), "name");
    } else {
      std::cout << name << ": ok, pipeline " << loaded.definition->name << " with "
                << loaded.definition->tasks.size()
                << (loaded.definition->tasks.size() == 1 ? " task" : " tasks") << '\n';
    }
  }
  return code;
}

}  // namespace

std::vector<command> local_commands() {
  return {
      {"run", "FILE [-p NAME=VALUE]...", "run a pipeline here, without a server",
       "  millrace run pipeline.yaml\n"
       "  millrace run pipeline.yaml -p day=monday --progress plain\n"
       "  millrace run - < pipeline.yaml\n",
       1, 1, add_run_options, run_file},
      {"validate", "FILE...", "check definitions, start nothing",
       "  millrace validate pipelines/*.yaml\n"
       "  millrace validate pipeline.yaml -o json      the canonical form\n",
       1, 10'000, add_output_option, run_validate},
  };
}

}  // namespace millrace::gateway::cli
