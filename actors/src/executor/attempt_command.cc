// SPDX-License-Identifier: MIT
#include "executor/attempt_command.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/names.h"
#include "run/run_spans.h"

namespace millrace::actors {

namespace {

// What cron gives: of the account that runs the silo, and of each what the definition does not set.
void add_account(std::vector<std::string>& environment) {
  const auto user = ::geteuid();
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  const auto name = found != nullptr ? std::string{found->pw_name} : std::to_string(user);
  const std::pair<std::string, std::string> account[] = {
      {"HOME=", found != nullptr ? found->pw_dir : "/"},
      {"USER=", name},
      {"LOGNAME=", name},
      {"SHELL=", "/bin/sh"}};
  for (const auto& [variable, value] : account) {
    const auto given = std::any_of(
        environment.begin(), environment.end(),
        [&variable = variable](const auto& each) { return each.starts_with(variable); });
    if (!given) {
      environment.push_back(variable + value);
    }
  }
}

// Where the spans hang that the command tells of, unless the definition says otherwise.
void add_trace(std::vector<std::string>& environment, const runtime::trace_context& place) {
  constexpr const char* variable = "TRACEPARENT=";
  const auto given = std::any_of(environment.begin(), environment.end(),
                                 [](const auto& each) { return each.starts_with(variable); });
  if (place && !given) {
    environment.push_back(variable + to_traceparent(place));
  }
}

}  // namespace

process_spec command_of(schemas::AttemptSpec::Reader attempt,
                        const std::filesystem::path& workspace) {
  process_spec spec;
  spec.token = text_of(attempt.getToken());
  for (auto word : attempt.getArgv()) {
    spec.argv.push_back(text_of(word));
  }
  spec.working_directory = workspace / text_of(attempt.getWorkdir());
  spec.inputs = text_of(attempt.getInputs());
  for (auto variable : attempt.getEnvironment()) {
    spec.environment.push_back(text_of(variable.getName()) + "=" + text_of(variable.getValue()));
  }
  add_account(spec.environment);
  add_trace(spec.environment, place_of(attempt.getTrace()));
  spec.environment.push_back("MILLRACE_ATTEMPT=" + std::to_string(attempt.getNumber()));
  spec.environment.push_back("MILLRACE_TOKEN=" + spec.token);
  spec.environment.push_back("MILLRACE_WORKSPACE=" + workspace.string());
  if (attempt.getHosts().size() > 0) {
    spec.environment.push_back("MILLRACE_HOSTS=" + text_of(attempt.getHosts()));
  }
  if (attempt.getTimeoutNs() > 0) {
    spec.timeout = runtime::duration{attempt.getTimeoutNs()};
  }
  if (attempt.getHeartbeatNs() > 0) {
    spec.heartbeat = runtime::duration{attempt.getHeartbeatNs()};
  }
  spec.memory_limit = attempt.getMemoryLimit();
  spec.grace = runtime::duration{attempt.getGraceNs()};
  spec.detach = attempt.getDetach() ? detach_policy::allowed : detach_policy::forbidden;
  return spec;
}

runtime::result<void> add_secrets(schemas::AttemptSpec::Reader attempt, const secret_places& places,
                                  process_spec& into) {
  std::size_t bytes = 0;
  for (auto secret : attempt.getSecrets()) {
    auto value = value_of(secret, places);
    if (!value) {
      return std::move(value).error();
    }
    bytes += value->size();
    if (bytes > task_secrets_bytes_max) {
      return runtime::error{runtime::errc::failed_precondition,
                            "the secrets of the task have more than " +
                                std::to_string(task_secrets_bytes_max >> 10U) +
                                " KiB in all; pass what is large by a file"};
    }
    const auto variable = text_of(secret.getVariable()) + "=";
    std::erase_if(into.environment,
                  [&variable](const auto& each) { return each.starts_with(variable); });
    into.environment.push_back(variable + *value);
    into.secrets.push_back(*std::move(value));
  }
  return {};
}

}  // namespace millrace::actors
