// SPDX-License-Identifier: MIT
// Bare token: one that goes over the network as it is.
#pragma once

#include "cli/contexts.h"

namespace millrace::gateway::cli {

/// Says on standard error that the token can be read on the way, where it can: by http to another
/// machine.
void warn_of_bare_token(const context& target);

}  // namespace millrace::gateway::cli
