// SPDX-License-Identifier: MIT
// One subcommand, and what every one needs: its options, a client, its way to end.
#pragma once

#include <boost/program_options.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"
#include "millrace/actors/definition.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {
class silo;
}

namespace millrace::gateway::cli {

using option_values = boost::program_options::variables_map;

/// A row of the table of commands.
struct command {
  std::string_view name;
  std::string_view arguments;  ///< `FILE [-p NAME=VALUE]...`
  std::string_view summary;    ///< One line, no full stop.
  std::string_view examples;   ///< Lines, shown first in its help.
  std::size_t least;           ///< Positional arguments.
  std::size_t most;
  void (*add_options)(boost::program_options::options_description& options);
  exit_code (*run)(const option_values& options, const std::vector<std::string>& positional);
};

// The commands, by file.
[[nodiscard]] std::vector<command> local_commands();    // run, validate
[[nodiscard]] std::vector<command> serve_commands();    // dev, silo, gateway
[[nodiscard]] std::vector<command> submit_commands();   // apply, submit, rerun, ...
[[nodiscard]] std::vector<command> inspect_commands();  // list, get, logs
[[nodiscard]] std::vector<command> control_commands();  // cancel, retry, pause, ...
[[nodiscard]] std::vector<command> actor_commands();    // actor, top
[[nodiscard]] std::vector<command> cluster_commands();  // silos, partitions, cluster, drain
[[nodiscard]] command plan_command();
[[nodiscard]] std::vector<command> sharing_commands();  // project, pool
[[nodiscard]] command artifacts_command();
[[nodiscard]] command backup_command();
[[nodiscard]] command cache_command();
[[nodiscard]] command check_command();
[[nodiscard]] command config_command();
[[nodiscard]] command context_command();
[[nodiscard]] command describe_command();
[[nodiscard]] command doctor_command();
[[nodiscard]] command example_command();
[[nodiscard]] command pki_command();
[[nodiscard]] command restore_command();
[[nodiscard]] command schedule_command();
[[nodiscard]] command secret_command();
[[nodiscard]] command token_command();

/// Serves as `silo` or `gateway` until told to stop, with the actor types that `add_types` adds, if
/// it is set, beside those of pipelines.
[[nodiscard]] exit_code serve_cluster(const option_values& options, bool is_gateway,
                                      const std::function<void(runtime::silo&)>& add_types = {});

/// `--data DIR`, what it says, and the directory in it that holds the rows of actors.
void add_data_option(boost::program_options::options_description& options);
[[nodiscard]] std::string data_directory(const option_values& options);
[[nodiscard]] std::string state_directory(const option_values& options);

/// Prints `millrace: text` to standard error and gives the code that belongs to the error.
exit_code report(const runtime::error& failure);
exit_code report(exit_code code, const std::string& text);

/// Writes what standard output still holds. What a command that ended with `code` then says: see
/// `run`.
exit_code flush_output(exit_code code);

/// What an option that may be given several times has, each `NAME=VALUE`; `shown` is how it is
/// typed. Errors: `invalid_argument` for another form or a name twice.
[[nodiscard]] runtime::result<std::map<std::string, std::string>> pairs_of(
    const option_values& options, const char* name, const std::string& shown);

/// `--no-cache`.
void add_no_cache_option(boost::program_options::options_description& options);
/// `--only`, and the names that were given with it; empty: none. Errors: an empty name.
void add_only_option(boost::program_options::options_description& options);
[[nodiscard]] runtime::result<std::vector<std::string>> only_of(const option_values& options);
/// `-p NAME=VALUE` options. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::map<std::string, std::string>> params_of(
    const option_values& options);

/// The parameters with the content of the file where a list or map is given as `@FILE`; `@-` is
/// standard input. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::map<std::string, std::string>> with_files(
    const actors::pipeline_definition& definition, std::map<std::string, std::string> given);

/// A text option, or a fallback.
[[nodiscard]] std::string text_of(const option_values& options, const char* name,
                                  std::string fallback = {});

/// An option that is a whole number from 1 to `most`; `fallback` when it is not given. Errors:
/// `invalid_argument`, naming the option and its value.
[[nodiscard]] runtime::result<std::uint32_t> number_of(const option_values& options,
                                                       const char* name, std::uint32_t fallback,
                                                       std::uint32_t most = UINT32_MAX);

/// An option that is a duration, such as `90s`; nothing when it is not given. Errors:
/// `invalid_argument`, naming the option and its value.
[[nodiscard]] runtime::result<std::optional<runtime::duration>> duration_of(
    const option_values& options, const char* name);

/// An option that is a size in bytes, such as `512M` or `2GiB`; 0 when it is not given. Errors:
/// `invalid_argument`, naming the option and its value.
[[nodiscard]] runtime::result<std::size_t> bytes_of(const option_values& options, const char* name,
                                                    std::size_t least);

/// Where to listen, as an option says it.
struct endpoint {
  std::string host;  ///< Without brackets; 127.0.0.1 for `localhost` and nothing.
  std::uint16_t port = 0;
};
/// `127.0.0.1:8400`, `localhost:8400`, `[::1]:8400`, `:8400`; nothing for what is not like that.
[[nodiscard]] std::optional<endpoint> endpoint_of(const std::string& text);

/// The name of the option that somebody may have meant; empty when none is near.
[[nodiscard]] std::string nearest_option(const boost::program_options::options_description& options,
                                         std::string_view word);

/// Refuses the first of these options that is given. Errors: `invalid_argument`, naming it and
/// `what` it is not for.
[[nodiscard]] runtime::result<void> refuse(const option_values& options,
                                           std::initializer_list<const char*> names,
                                           const std::string& what);

/// Reads a definition from a file, or from standard input for `-`. Errors: `not_found`,
/// `invalid_argument`, `too_large`.
[[nodiscard]] runtime::result<std::string> read_file(const std::string& name);

/// As of actors, with the files that the definition names, which count from its own folder; that
/// of standard input is where the program was started. `reads_files`: set if it names any.
[[nodiscard]] actors::load_result load_definition(std::string_view text, const std::string& file,
                                                  bool* reads_files = nullptr);

/// The number of Ctrl-C (and SIGTERM) so far; `watch_interrupts` starts the count.
void watch_interrupts();
[[nodiscard]] int interrupts() noexcept;
/// Whether SIGTERM was among them.
[[nodiscard]] bool terminated() noexcept;
/// From now on SIGHUP ends nobody: each makes a byte readable at this file.
[[nodiscard]] int watch_hangups();
/// What the third one, which ends the program at once, does first; null: nothing. It may do only
/// what a signal's handler may.
void before_forced_exit(void (*restore)()) noexcept;
/// Waits until there is an interrupt.
void wait_for_interrupt();
/// Waits until there is one, `limit` has passed, or something can be read from the file `input`
/// (-1: none); true for the last.
bool wait_for_interrupt(std::chrono::milliseconds limit, int input);

}  // namespace millrace::gateway::cli
