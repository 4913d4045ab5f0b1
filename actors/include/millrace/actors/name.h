// SPDX-License-Identifier: MIT
// Names: what people call projects, pipelines and tasks. They stand in URLs, paths of files, keys
// of actors and shell commands, so they hold nothing that means anything there.
#pragma once

#include <string_view>

namespace millrace::actors {

/// Whether a text is a name: `[a-z0-9][a-z0-9_.-]{0,62}`.
[[nodiscard]] bool is_name(std::string_view text);

/// That rule in words, for a message that refuses a text: `use a-z, 0-9, ...`.
[[nodiscard]] std::string_view name_rule_in_words();

}  // namespace millrace::actors
