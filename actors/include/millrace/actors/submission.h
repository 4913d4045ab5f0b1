// SPDX-License-Identifier: MIT
// Submission: what may come with a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Labels are for people and filters, and are told with every status of a run.
inline constexpr unsigned submission_labels_max = 64;
inline constexpr std::size_t label_name_bytes_max = 63;
inline constexpr std::size_t label_value_bytes_max = 1'024;
/// The JSON of all parameters together. They reach each command as its environment, of which Linux
/// allows about 2 MiB with the arguments.
inline constexpr std::size_t submission_params_bytes_max = std::size_t{512} << 10U;
/// How long others wait to be told of a run that is stored until it can be asked, by `Run.events`;
/// it begins by itself when the time is up.
inline constexpr std::uint32_t run_begin_wait_ms = 1'000;

/// What is too much or wrong in labels and parameters. The text names it and the limit.
[[nodiscard]] std::optional<runtime::error> refusal_of(capnp::List<schemas::Label>::Reader labels,
                                                       std::string_view params);

}  // namespace millrace::actors
