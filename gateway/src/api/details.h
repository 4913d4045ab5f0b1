// SPDX-License-Identifier: MIT
// Lists with more of each row than the list itself holds, which is asked for all rows of a page
// beside each other.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "api/json_shape.h"
#include "api/operation.h"
#include "http/reply.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// The most rows of a page with details.
inline constexpr std::uint32_t detailed_page_max = 100;

/// `?details=true`.
[[nodiscard]] query_key details_key(std::string_view text);
[[nodiscard]] runtime::result<bool> details_in(const http::request& request);

/// Answers a page of runs, each with all that it tells of itself. One that cannot be asked has no
/// `details`.
void answer_detailed_runs(runtime::silo& silo, nlohmann::ordered_json page, http::reply answer);

/// Answers a page of the pipelines of a project, each with its version, whether it is paused, and
/// its latest run; null for what it does not answer.
void answer_detailed_pipelines(runtime::silo& silo, const std::string& project,
                               nlohmann::ordered_json page, http::reply answer);
[[nodiscard]] json_shape pipelines_shape();

}  // namespace millrace::gateway
