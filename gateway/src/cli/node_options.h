// SPDX-License-Identifier: MIT
// Node options: what the commands that are a silo, or a part of one, are told about it.
#pragma once

#include <memory>
#include <optional>

#include "cli/command.h"
#include "log/log.h"
#include "node/node.h"

namespace millrace::gateway::cli {

/// `--data`, `--slots`, and what bounds memory and disk.
void add_node_options(boost::program_options::options_description& options);
/// `--secrets-key`, which those that do not run tasks need, too.
void add_secrets_key_option(boost::program_options::options_description& options);
/// `--name`, `--label`.
void add_identity_options(boost::program_options::options_description& options);
/// `--coordination`, and how the silos of a cluster reach each other.
void add_cluster_options(boost::program_options::options_description& options);
/// `--found-anew`, for a silo.
void add_found_anew_option(boost::program_options::options_description& options);
/// `--trace-to`, `--trace-sample`, `--trace-ca`.
void add_trace_options(boost::program_options::options_description& options);
/// `--log-format`, `--log-level`.
void add_log_options(boost::program_options::options_description& options);

/// The node that the options describe; its warnings go to `told`.
/// Errors: `invalid_argument`, naming the option.
[[nodiscard]] runtime::result<node_options> node_options_of(const option_values& options,
                                                            logs& told);

/// The loggers that the options ask for. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::unique_ptr<logs>> logs_of(const option_values& options);

}  // namespace millrace::gateway::cli
