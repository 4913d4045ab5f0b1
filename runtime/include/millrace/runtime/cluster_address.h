// SPDX-License-Identifier: MIT
// Cluster address: where other machines reach a silo, for what else listens on its machine.
#pragma once

#include <string>

#include "millrace/runtime/cluster.h"

namespace millrace::runtime {

/// The host by which other silos reach this one, as its row has it: without port and brackets.
/// Requires: what a silo was opened with.
[[nodiscard]] std::string advertised_host(const cluster_options& cluster);

}  // namespace millrace::runtime
