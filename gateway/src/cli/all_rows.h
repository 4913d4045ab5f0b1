// SPDX-License-Identifier: MIT
// All rows of a list that a server gives page by page.
#pragma once

#include "cli/remote.h"

namespace millrace::gateway::cli {

/// The rows that `target`, which has no query, lists under `key`; of a server that does not know
/// pages of this list, its only one. Errors: as `remote::ask`.
[[nodiscard]] runtime::result<ordered_json> all_rows(remote& server, const std::string& target,
                                                     const char* key);

}  // namespace millrace::gateway::cli
