// SPDX-License-Identifier: MIT
#include "cli/cli.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iomanip>
#include <iostream>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/did_you_mean.h"
#include "cli/layers.h"
#include "cli/manual.h"
#include "cli/output.h"
#include "cli/settings_view.h"
#include "millrace/actors/suggestion.h"
#include "version.h"

namespace millrace::gateway::cli {

namespace {

namespace po = boost::program_options;

void no_options(po::options_description&) {}

exit_code run_completion(const option_values&, const std::vector<std::string>& positional);
exit_code run_man(const option_values&, const std::vector<std::string>& positional);

exit_code run_version(const option_values& options, const std::vector<std::string>&) {
  const auto form = form_of(options);
  if (!form) {
    return report(form.error());
  }
  if (*form == output_form::table) {
    std::cout << "millrace " << version_text << '\n';
  } else {
    print_one(*form, {{"version", version_text}}, "version");
  }
  return exit_code::ok;
}

std::vector<command> all_commands() {
  auto all = local_commands();
  for (const auto& more :
       {serve_commands(), submit_commands(), inspect_commands(), control_commands(),
        cluster_commands(), actor_commands(), sharing_commands()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  for (const auto& one : {artifacts_command(), cache_command(), describe_command(), plan_command(),
                          schedule_command(), backup_command(), restore_command(), check_command(),
                          pki_command(), token_command(), secret_command(), context_command(),
                          config_command(), doctor_command(), example_command()}) {
    all.push_back(one);
  }
  all.push_back({"completion", "bash|zsh|fish", "print what teaches a shell to complete commands",
                 "  eval \"$(millrace completion bash)\"      in ~/.bashrc\n"
                 "  millrace completion fish | source       in ~/.config/fish/config.fish\n",
                 1, 1, no_options, run_completion});
  all.push_back({"man", "[millrace.yaml]", "print the manual, for man",
                 "  millrace man | man -l -\n"
                 "  millrace man millrace.yaml | man -l -\n",
                 0, 1, no_options, run_man});
  all.push_back({"version", "", "print the version", "  millrace version\n", 0, 0,
                 add_output_option, run_version});
  return all;
}

constexpr program_words help_words{
    .summary = "runs pipelines on durable virtual actors",
    .examples =
        "  millrace run pipeline.yaml              run it here, no server needed\n"
        "  millrace dev                            a server on http://127.0.0.1:8400\n"
        "  millrace apply pipeline.yaml            give the server a pipeline\n"
        "  millrace submit my-pipeline --watch     run it there and look on\n",
    .exit_codes =
        "0 ok, 1 run failed, 2 usage or\n"
        "definition, 3 cancelled, 4 not allowed, 5 not found, 6 conflict, 7 unreachable,\n"
        "8 wait timed out, 74 output could not be written, 75 the cluster went on without\n"
        "this silo, 130 interrupted, 141 nobody reads the output.\n"};

exit_code run_completion(const option_values&, const std::vector<std::string>& positional) {
  const auto script = completion(positional[0], all_commands());
  if (!script) {
    return report(exit_code::usage, "completion is there for bash, zsh and fish");
  }
  std::cout << *script;
  return exit_code::ok;
}

exit_code run_man(const option_values&, const std::vector<std::string>& positional) {
  if (positional.empty()) {
    std::cout << program_manual(all_commands(), help_words);
  } else if (positional[0] == "millrace.yaml") {
    std::cout << settings_manual(all_commands());
  } else {
    return report(exit_code::usage, "the manual has two pages, `man` and `man millrace.yaml`");
  }
  return exit_code::ok;
}

void print_help(std::ostream& out, const std::vector<command>& commands) {
  out << "Runs pipelines on durable virtual actors.\n\nExamples:\n"
      << help_words.examples << "\nUsage: millrace COMMAND [ARGUMENTS]\n\nCommands:\n";
  const auto print = [&out](std::string_view name, std::string_view summary) {
    out << "  " << std::left << std::setw(14) << name << summary << '\n';
  };
  for (const auto& each : commands) {
    print(each.name, each.summary);
  }
  out << "\n`millrace COMMAND --help` tells more. Exit codes: " << help_words.exit_codes;
}

void print_help(std::ostream& out, const command& one, const po::options_description& options) {
  out << one.summary << ".\n\nExamples:\n"
      << one.examples << "\nUsage: millrace " << one.name << " " << one.arguments << "\n\n"
      << options;
}

exit_code unknown_command(const std::vector<std::string>& arguments,
                          const std::vector<command>& commands) {
  const auto& word = arguments[0];
  if (word.starts_with('-')) {
    const auto named = std::find_if(arguments.begin(), arguments.end(), [&](const auto& each) {
      return std::any_of(commands.begin(), commands.end(),
                         [&](const auto& one) { return one.name == each; });
    });
    const auto name = named == arguments.end() ? std::string{"COMMAND"} : *named;
    return report(exit_code::usage, "the command comes first, options behind it: `millrace " +
                                        name + " " + word + " ...`; see `millrace --help`");
  }
  actors::suggestion nearest{word};
  for (const auto& each : commands) {
    nearest.consider(each.name);
  }
  nearest.consider("help");
  return report(exit_code::usage, "there is no command '" + word + "'; " +
                                      did_you_mean(nearest.best(), {}, " ") +
                                      "`millrace --help` lists them all");
}

exit_code unknown_option(const command& one, const po::options_description& known,
                         const std::string& given) {
  const auto nearest = nearest_option(
      known, std::string_view{given}.substr(std::min(given.find_first_not_of('-'), given.size())));
  const auto name = std::string{one.name};
  const auto hint = did_you_mean(nearest.empty() ? nearest : "--" + nearest, {}, " ");
  return report(exit_code::usage, "`" + name + "` has no option '" + given + "'; " + hint +
                                      "see `millrace " + name + " --help`");
}

// With `view`, the row of `config`, the command does not run: its settings are shown.
exit_code run_command(const command& one, const std::vector<std::string>& arguments,
                      const command* view = nullptr) {
  po::options_description settings;
  one.add_options(settings);
  po::options_description visible{"Options"};
  one.add_options(visible);
  if (view != nullptr) {
    view->add_options(visible);
  }
  visible.add_options()("help,h", "print this");
  po::options_description whole;
  whole.add(visible);
  whole.add_options()("positional", po::value<std::vector<std::string>>());
  po::positional_options_description rest;
  rest.add("positional", -1);
  po::variables_map values;
  try {
    constexpr auto style =
        po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(whole).positional(rest).style(style).run(),
              values);
    po::notify(values);
  } catch (const po::unknown_option& wrong) {
    return unknown_option(one, visible, wrong.get_option_name());
  } catch (const po::error& wrong) {
    return report(exit_code::usage, std::string{wrong.what()} + "; see `millrace " +
                                        std::string{one.name} + " --help`");
  }
  if (values.count("help") > 0) {
    print_help(std::cout, view != nullptr ? *view : one, visible);
    return exit_code::ok;
  }
  const auto origins = store_layers(settings, values);
  if (!origins) {
    return report(origins.error());
  }
  const auto positional = values.count("positional") > 0
                              ? values["positional"].as<std::vector<std::string>>()
                              : std::vector<std::string>{};
  if (positional.size() < one.least || positional.size() > one.most) {
    return report(exit_code::usage,
                  "usage: millrace " + std::string{one.name} + " " + std::string{one.arguments});
  }
  // Nothing is called so; and the path of what has no name is that of all of its kind.
  if (std::any_of(positional.begin(), positional.end(),
                  [](const std::string& each) { return each.empty(); })) {
    return report(exit_code::usage,
                  "a word is empty, such as one of an unset variable; usage: millrace " +
                      std::string{one.name} + " " + std::string{one.arguments});
  }
  return view != nullptr ? view_settings(settings, values, *origins) : one.run(values, positional);
}

exit_code run_any(const std::vector<std::string>& arguments) {
  const auto commands = all_commands();
  if (arguments.empty()) {
    print_help(std::cerr, commands);
    return exit_code::usage;
  }
  const auto& word = arguments[0];
  if (word == "--help" || word == "-h" || word == "help") {
    if (arguments.size() > 1) {
      return run_any({arguments[1], "--help"});
    }
    print_help(std::cout, commands);
    return exit_code::ok;
  }
  if (word == "--version") {
    return run_any({"version"});
  }
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const auto& each) { return each.name == word; });
  if (found == commands.end()) {
    return unknown_command(arguments, commands);
  }
  if (word == "config" && arguments.size() > 2 && arguments[1] == "view") {
    const auto viewed = std::find_if(commands.begin(), commands.end(),
                                     [&](const auto& each) { return each.name == arguments[2]; });
    if (viewed != commands.end() && has_settings(*viewed)) {
      return run_command(*viewed, {arguments.begin() + 3, arguments.end()}, &*found);
    }
    if (!arguments[2].starts_with('-')) {
      return report(exit_code::usage, "config view: '" + arguments[2] +
                                          "' is no command with settings, such as silo");
    }
  }
  return run_command(*found, {arguments.begin() + 1, arguments.end()});
}

// Whether standard output is a pipe or socket that nobody reads any more.
bool reader_left() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

exit_code flush_output(exit_code code) {
  errno = 0;
  if (std::cout.flush()) {
    return code;
  }
  auto failure = exit_code::reader_left;
  if (!reader_left()) {
    const auto why = errno == 0 ? std::string{} : std::string{": "} + std::strerror(errno);
    failure = report(exit_code::output_failed, "not all of the output could be written" + why);
  }
  return code == exit_code::ok ? failure : code;
}

exit_code run(const std::vector<std::string>& arguments) {
  return flush_output(run_any(arguments));
}

}  // namespace millrace::gateway::cli
