// SPDX-License-Identifier: MIT
// Submission: what may come with a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Labels are for people and filters, and are told with every status of a run, which has those of
/// its pipeline too; so many in all.
inline constexpr unsigned submission_labels_max = 64;
inline constexpr std::size_t label_name_bytes_max = 63;
inline constexpr std::size_t label_value_bytes_max = 1'024;
/// Of all their names and values: lists of runs hold those of a thousand.
inline constexpr std::size_t submission_labels_bytes_max = 4'096;
/// The JSON of all parameters together. They reach each command as its environment, of which Linux
/// allows about 2 MiB with the arguments.
inline constexpr std::size_t submission_params_bytes_max = std::size_t{512} << 10U;
/// How long others wait to be told of a run that is stored until it can be asked, by `Run.events`;
/// it begins by itself when the time is up.
inline constexpr std::uint32_t run_begin_wait_ms = 1'000;

/// What is wrong with the name of a label, for a sentence that begins with it; empty: nothing.
[[nodiscard]] std::string refusal_of_label(std::string_view name);

/// What is too much or wrong in labels and parameters. The text names it and the limit.
[[nodiscard]] std::optional<runtime::error> refusal_of(capnp::List<schemas::Label>::Reader labels,
                                                       std::string_view params);

/// Which labels a run or task is to have, by name; nothing: with any value.
using label_filter = std::map<std::string, std::optional<std::string>, std::less<>>;

/// `team=data,nightly`: those with both, the first with that value. Empty: all runs.
/// Errors: `invalid_argument` for a part without a name, or a name twice.
[[nodiscard]] runtime::result<label_filter> parse_label_filter(std::string_view text);

[[nodiscard]] bool has_labels(capnp::List<schemas::Label>::Reader labels,
                              const label_filter& wanted);
[[nodiscard]] bool has_labels(const std::map<std::string, std::string>& labels,
                              const label_filter& wanted);

}  // namespace millrace::actors
