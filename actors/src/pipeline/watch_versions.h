// SPDX-License-Identifier: MIT
// What a check of a watch has found, and which of it starts runs. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/actors/expression.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The versions that a check has printed, one a line, each once, the newest last. Blanks around a
/// line do not count, nor do empty lines; of those that are the same the last one does. A line that
/// is a JSON object is written in one way: keys in order, without blanks. One with an integer
/// beyond 64 bits stays as it is, since two of them could look alike.
///
/// Errors: `invalid_argument` for more than check_versions_max of them, or one that is longer than
/// version_bytes_max. The text goes on after a noun.
[[nodiscard]] runtime::result<std::vector<std::string>> versions_in(std::string_view printed);

/// Whether a check is the first, or the first with this command.
enum class check_order : bool { first, later };

/// Those of `found` that start runs, in their order. `seen` has the digests of what was found
/// before (`WatchSeen`), and changes only where one of `found` is not in it: then all of `found` is
/// its newest, and at most check_versions_max stay. So what the latest check has found is always in
/// it.
[[nodiscard]] std::vector<std::string> take_new(const std::vector<std::string>& found,
                                                check_order order, first_versions first,
                                                std::string& seen);

/// What `trigger.version` is: a record of what is a JSON object, else a text.
class version_scope final : public expression_scope {
public:
  explicit version_scope(const std::string& version);

  [[nodiscard]] std::optional<value> trigger(std::string_view name,
                                             const std::vector<std::string>& path) const override;

private:
  value version_;
};

}  // namespace millrace::actors
