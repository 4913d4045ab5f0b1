// SPDX-License-Identifier: MIT
// `millrace cluster health`.
#pragma once

#include <string>

#include "cli/output.h"

namespace millrace::gateway::cli {

/// What keeps a cluster from being `ok`, from what `GET /api/v1/cluster/health` says; empty: it is.
[[nodiscard]] std::string missing_in(const ordered_json& seen);

/// Prints how the cluster is. With `--wait`, once it is ok, or that is over.
exit_code run_health(const option_values& options);

}  // namespace millrace::gateway::cli
