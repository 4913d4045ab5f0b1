// SPDX-License-Identifier: MIT
#include "cli/command.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/terminal_text.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/env_file.h"
#include "millrace/actors/suggestion.h"
#include "millrace/runtime/last_words.h"

namespace millrace::gateway::cli {

namespace {

std::atomic<int> interrupt_count{0};
std::atomic<bool> was_terminated{false};
std::atomic<void (*)()> restore_first{nullptr};
int interrupt_pipe[2] = {-1, -1};
int hangup_pipe[2] = {-1, -1};

extern "C" void on_interrupt(int number) {
  const auto before = errno;
  if (number == SIGTERM) {
    was_terminated = true;
  }
  if (interrupt_count.fetch_add(1) >= 2) {
    if (auto* const restore = restore_first.load()) {
      restore();
    }
    runtime::say_last_words();
    ::_exit(static_cast<int>(exit_code::interrupted));  // the third time is meant
  }
  const char byte = 0;
  static_cast<void>(!::write(interrupt_pipe[1], &byte, 1));
  errno = before;
}

extern "C" void on_hangup(int) {
  const auto before = errno;
  const char byte = 0;
  static_cast<void>(!::write(hangup_pipe[1], &byte, 1));
  errno = before;
}

exit_code code_of(runtime::errc code) {
  using runtime::errc;
  switch (code) {
    case errc::not_found:
      return exit_code::not_found;
    case errc::conflict:
    case errc::failed_precondition:
      return exit_code::conflict;
    case errc::unavailable:
    case errc::overloaded:
    case errc::outcome_unknown:
    case errc::deadline_exceeded:
      return exit_code::unreachable;
    case errc::invalid_argument:
    case errc::too_large:
      return exit_code::usage;
    case errc::unauthenticated:
    case errc::permission_denied:
      return exit_code::unauthenticated;
    default:
      return exit_code::run_failed;
  }
}

}  // namespace

exit_code report(exit_code code, const std::string& text) {
  std::cerr << "millrace: " << printable_lines(text) << '\n';
  return code;
}

exit_code report(const runtime::error& failure) {
  return report(code_of(failure.code()), failure.text());
}

void add_no_cache_option(boost::program_options::options_description& options) {
  options.add_options()("no-cache",
                        "run every command, also where an earlier run's result is kept");
}

void add_only_option(boost::program_options::options_description& options) {
  options.add_options()(
      "only", boost::program_options::value<std::vector<std::string>>()->value_name("TASK[,TASK]"),
      "only these tasks and what they need, directly or not; the others are\n"
      "skipped; may be repeated");
}

runtime::result<std::vector<std::string>> only_of(const option_values& options) {
  std::vector<std::string> names;
  for (const auto& given : options.count("only") > 0
                               ? options["only"].as<std::vector<std::string>>()
                               : std::vector<std::string>{}) {
    for (std::size_t from = 0; from <= given.size();) {
      const auto end = std::min(given.find(',', from), given.size());
      if (end == from) {
        return runtime::error{runtime::errc::invalid_argument,
                              "--only '" + given + "': write names of tasks, as in --only a,b"};
      }
      names.push_back(given.substr(from, end - from));
      from = end + 1;
    }
  }
  return names;
}

runtime::result<std::map<std::string, std::string>> pairs_of(const option_values& options,
                                                             const char* name,
                                                             const std::string& shown) {
  std::map<std::string, std::string> pairs;
  if (options.count(name) == 0) {
    return pairs;
  }
  for (const auto& each : options[name].as<std::vector<std::string>>()) {
    const auto equals = each.find('=');
    if (equals == std::string::npos || equals == 0) {
      return runtime::error{runtime::errc::invalid_argument,
                            fmt::format("{} '{}': write it as NAME=VALUE", shown, each)};
    }
    const auto key = each.substr(0, equals);
    if (!pairs.emplace(key, each.substr(equals + 1)).second) {
      return runtime::error{runtime::errc::invalid_argument,
                            fmt::format("{}: '{}' is given twice", shown, key)};
    }
  }
  return pairs;
}

runtime::result<std::map<std::string, std::string>> params_of(const option_values& options) {
  return pairs_of(options, "param", "-p");
}

runtime::result<std::map<std::string, std::string>> with_files(
    const actors::pipeline_definition& definition, std::map<std::string, std::string> given) {
  for (const auto& param : definition.params) {
    const auto found = given.find(param.name);
    const bool is_json =
        param.type == actors::param_type::list || param.type == actors::param_type::map;
    if (found != given.end() && is_json && found->second.starts_with('@')) {
      auto text = read_file(found->second.substr(1));
      if (!text) {
        return runtime::error{runtime::errc::invalid_argument,
                              "-p " + param.name + ": " + text.error().text()};
      }
      found->second = *std::move(text);
    }
  }
  return given;
}

std::string text_of(const option_values& options, const char* name, std::string fallback) {
  if (options.count(name) > 0) {
    return options[name].as<std::string>();
  }
  return fallback;
}

runtime::result<std::uint32_t> number_of(const option_values& options, const char* name,
                                         std::uint32_t fallback, std::uint32_t most) {
  if (options.count(name) == 0) {
    return fallback;
  }
  const auto text = options[name].as<std::string>();
  const auto* end = text.data() + text.size();
  std::uint32_t number = 0;
  const auto [after, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || after != end || number == 0 || number > most) {
    return runtime::error{runtime::errc::invalid_argument, "--" + std::string{name} + " '" + text +
                                                               "': it must be a number from 1 to " +
                                                               std::to_string(most)};
  }
  return number;
}

runtime::result<std::optional<runtime::duration>> duration_of(const option_values& options,
                                                              const char* name) {
  if (options.count(name) == 0) {
    return std::optional<runtime::duration>{};
  }
  const auto text = options[name].as<std::string>();
  const auto parsed = actors::parse_duration(text);
  if (!parsed.length) {
    return runtime::error{runtime::errc::invalid_argument,
                          "--" + std::string{name} + " '" + text + "': " + parsed.text +
                              (parsed.hint.empty() ? "" : "; " + parsed.hint)};
  }
  return parsed.length;
}

runtime::result<std::size_t> bytes_of(const option_values& options, const char* name,
                                      std::size_t least) {
  if (options.count(name) == 0) {
    return std::size_t{0};
  }
  const auto text = options[name].as<std::string>();
  const auto* end = text.data() + text.size();
  std::size_t number = 0;
  const auto [after, failure] = std::from_chars(text.data(), end, number);
  const std::string unit{after, end};
  constexpr std::string_view units = "KMGT";
  const auto at = unit.empty() ? std::string_view::npos : units.find(unit[0]);
  const auto is_unit = unit.empty() || (at != std::string_view::npos &&
                                        (unit.size() == 1 || unit.substr(1) == "iB"));
  const auto shift = unit.empty() || !is_unit ? 0 : 10 * (at + 1);
  if (failure != std::errc{} || !is_unit || number > (SIZE_MAX >> shift) ||
      (number << shift) < least) {
    return runtime::error{runtime::errc::invalid_argument,
                          "--" + std::string{name} + " '" + text +
                              "': it must be a size like 512M or 2GiB, at least " +
                              std::to_string(least >> 20U) + "M"};
  }
  return number << shift;
}

std::optional<endpoint> endpoint_of(const std::string& text) {
  const auto colon = std::min(text.rfind(':'), text.size());
  const auto digits = text.substr(std::min(colon + 1, text.size()));
  const auto* const end = digits.data() + digits.size();
  endpoint made;
  if (const auto [after, failure] = std::from_chars(digits.data(), end, made.port);
      failure != std::errc{} || after != end) {
    return std::nullopt;
  }
  made.host = text.substr(0, colon);
  if (made.host.size() > 1 && made.host.front() == '[' && made.host.back() == ']') {
    made.host = made.host.substr(1, made.host.size() - 2);
  }
  if (made.host.empty() || made.host == "localhost") {
    made.host = "127.0.0.1";
  }
  return made;
}

std::string nearest_option(const boost::program_options::options_description& options,
                           std::string_view word) {
  actors::suggestion nearest{word};
  for (const auto& each : options.options()) {
    nearest.consider(each->long_name());
  }
  return std::string{nearest.best()};
}

runtime::result<void> refuse(const option_values& options, std::initializer_list<const char*> names,
                             const std::string& what) {
  for (const auto* name : names) {
    if (options.count(name) > 0) {
      return runtime::error{runtime::errc::invalid_argument,
                            "--" + std::string{name} + " is not for `" + what + "`"};
    }
  }
  return {};
}

runtime::result<std::string> read_file(const std::string& name) {
  const auto refused = [&](runtime::errc code, const std::string& why) {
    return runtime::error{code, "cannot read '" + name + "': " + why};
  };
  std::FILE* const file = name == "-" ? stdin : std::fopen(name.c_str(), "rbe");
  if (file == nullptr) {
    return refused(errno == ENOENT ? runtime::errc::not_found : runtime::errc::invalid_argument,
                   std::strerror(errno));
  }
  // Standard input stays open: a data file that is opened later would get its number.
  const auto close = [](std::FILE* opened) { return opened == stdin ? 0 : std::fclose(opened); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> owned{file, close};
  std::string text;
  std::array<char, 4096> piece;  // most files are small, and room for the largest costs as much
  while (text.size() <= actors::definition_bytes_max) {
    const auto size = std::fread(piece.data(), 1, piece.size(), file);
    if (size == 0) {
      break;
    }
    text.append(piece.data(), size);
  }
  if (std::ferror(file) != 0) {
    return refused(runtime::errc::invalid_argument, std::strerror(errno));
  }
  if (text.size() > actors::definition_bytes_max) {
    return refused(runtime::errc::too_large, "it has more than " +
                                                 std::to_string(actors::definition_bytes_max) +
                                                 " bytes, which is the most");
  }
  return text;
}

actors::load_result load_definition(std::string_view text, const std::string& file,
                                    bool* reads_files) {
  const auto folder = std::filesystem::path{file == "-" ? "" : file}.parent_path();
  return actors::load_definition(text, file, [&](const std::string& path) {
    if (reads_files != nullptr) {
      *reads_files = true;
    }
    return read_file((folder / path).string());
  });
}

void watch_interrupts() {
  if (interrupt_pipe[0] < 0 && ::pipe(interrupt_pipe) != 0) {
    return;
  }
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int watch_hangups() {
  if (hangup_pipe[0] < 0 && ::pipe2(hangup_pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
    struct sigaction action {};
    action.sa_handler = on_hangup;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGHUP, &action, nullptr);
  }
  return hangup_pipe[0];
}

void before_forced_exit(void (*restore)()) noexcept {
  restore_first = restore;
}

int interrupts() noexcept {
  return interrupt_count.load();
}

bool terminated() noexcept {
  return was_terminated.load();
}

void wait_for_interrupt() {
  pollfd waiting{interrupt_pipe[0], POLLIN, 0};
  while (interrupts() == 0 && ::poll(&waiting, 1, -1) < 0 && errno == EINTR) {
  }
}

bool wait_for_interrupt(std::chrono::milliseconds limit, int input) {
  pollfd waiting[] = {{interrupt_pipe[0], POLLIN, 0}, {input, POLLIN, 0}};
  if (interrupts() > 0 || ::poll(waiting, 2, static_cast<int>(limit.count())) <= 0) {
    return false;
  }
  return (waiting[1].revents & (POLLIN | POLLHUP)) != 0;
}

}  // namespace millrace::gateway::cli
