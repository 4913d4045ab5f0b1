// SPDX-License-Identifier: MIT
#include "cli/task_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "cli/did_you_mean.h"
#include "cli/terminal_text.h"
#include "millrace/actors/suggestion.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

runtime::error refused(const std::string& task, const std::string& why) {
  return {runtime::errc::invalid_argument,
          fmt::format("--exit-code-from '{}': {}", printable(task), why)};
}

int signal_number(const std::string& name) {
  for (int number = 1; number < NSIG; ++number) {
    const auto* known = ::sigabbrev_np(number);
    if (known != nullptr && name == "SIG" + std::string{known}) {
      return number;
    }
  }
  return 0;
}

}  // namespace

void add_code_from_option(po::options_description& options) {
  options.add_options()("exit-code-from", po::value<std::string>()->value_name("TASK"),
                        "once the run has ended, end with the exit code of this task if that is\n"
                        "not 0; of one that a signal has ended, with 128 and its number");
}

runtime::result<std::string> code_from(const option_values& options,
                                       const actors::pipeline_definition& definition) {
  if (options.count("exit-code-from") == 0) {
    return std::string{};
  }
  const auto name = text_of(options, "exit-code-from");
  const auto task = name.substr(0, name.find('['));
  const auto found = std::find_if(definition.tasks.begin(), definition.tasks.end(),
                                  [&](const auto& each) { return each.name == task; });
  if (found == definition.tasks.end()) {
    actors::suggestion nearest{task};
    for (const auto& each : definition.tasks) {
      nearest.consider(each.name);
    }
    return refused(name, "the pipeline has no such task" + did_you_mean(nearest.best(), "; "));
  }
  const auto has_several = found->for_each || found->matrix || found->ranks > 0;
  if (has_several != (task != name)) {
    return refused(
        name, has_several
                  ? "the task has several instances: name one of them, such as '" + task + "[0]'"
                  : "the task has no instances: name it alone");
  }
  if (found->run.empty() && found->command.empty()) {
    return refused(name, "the task runs no command");
  }
  return name;
}

exit_code code_of_task(exit_code of_run, const std::string& name,
                       const nlohmann::ordered_json& task) {
  if (of_run != exit_code::ok && of_run != exit_code::run_failed &&
      of_run != exit_code::cancelled) {
    return of_run;
  }
  if (task.empty() && of_run == exit_code::ok) {
    return report(exit_code::not_found, refused(name, "the run has no such task").text());
  }
  auto code = 0;
  if (const auto told = task.find("exit_code"); told != task.end() && told->is_number_integer()) {
    code = told->get<int>();
  } else if (const auto by = task.find("signal"); by != task.end() && by->is_string()) {
    code = 128 + signal_number(by->get<std::string>());
  }
  return code == 0 ? of_run : static_cast<exit_code>(code);
}

}  // namespace millrace::gateway::cli
