// SPDX-License-Identifier: MIT
// Contexts: servers that a person works with, by name, each with a token and a project.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "cli/command.h"
#include "millrace/runtime/byte_stream.h"

namespace millrace::gateway::cli {

/// Where a token may stand. MILLRACE_TOKEN is that of an attempt: tasks have it.
inline constexpr const char* token_variable = "MILLRACE_API_TOKEN";

struct context {
  std::string server;
  std::string token;            ///< May be empty.
  std::string project;          ///< May be empty.
  runtime::tls_files tls = {};  ///< For https; names of files from the root, each may be empty.
};

struct context_book {
  std::string current;  ///< Empty: none.
  std::map<std::string, context> by_name;
};

/// `$XDG_CONFIG_HOME/millrace/contexts.json`, where that is not set `$HOME/.config/...`; nothing
/// without either.
[[nodiscard]] std::optional<std::filesystem::path> contexts_file();

/// What the file says; nothing where there is none. Errors: `invalid_argument` for one that cannot
/// be read, or that others than its owner may read.
[[nodiscard]] runtime::result<context_book> read_contexts();

/// Replaces the file as a whole; only its owner may read it. Errors: `storage_failed`, naming it.
[[nodiscard]] runtime::result<void> write_contexts(const context_book& book);

/// `--ca`, `--client-certificate`, `--client-key`.
void add_client_tls_options(boost::program_options::options_description& options);

/// What goes before what `from` has: those options, else their variables (but not where `from` is
/// `preferred`). Errors: `invalid_argument` for a certificate without its key, or the other way
/// round.
[[nodiscard]] runtime::result<runtime::tls_files> client_tls_of(const option_values& options,
                                                                runtime::tls_files from,
                                                                bool preferred);

/// `--server`, `--token-file`, `--context`, `--ca` and the like.
void add_server_option(boost::program_options::options_description& options);

/// The server that the options mean, a token for it, a project, and files for https: from the
/// options, else from the context that --context names, else from MILLRACE_SERVER,
/// MILLRACE_API_TOKEN, MILLRACE_PROJECT and MILLRACE_CA, else from the context of MILLRACE_CONTEXT
/// or the one in use. Of a context only what goes with its own server is taken. Errors:
/// `invalid_argument`; `not_found` for a context or a file that there is not.
[[nodiscard]] runtime::result<context> target_of(const option_values& options);

}  // namespace millrace::gateway::cli
