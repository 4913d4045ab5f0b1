// SPDX-License-Identifier: MIT
// Keys, tokens and paths of the pipeline layer, and small helpers for its messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// The key of the actor `pool`: one keeps the queue of all pools.
inline constexpr std::string_view pool_key = "default";

/// How long what has ended stays in memory after its last use: it is asked for most just after its
/// end, and loading it again costs what its tasks cost.
inline constexpr runtime::duration ended_idle_timeout = std::chrono::seconds{2};

/// A number as text of fixed width, so that texts sort as numbers do.
[[nodiscard]] std::string padded(std::uint64_t number, unsigned digits);

/// The row of an instance in its run: `count`, `count[000003]`.
[[nodiscard]] std::string instance_row(std::string_view task, std::uint32_t index, bool fan_out);

/// `RUN.count.I3.A1`: names an attempt's files and its process.
[[nodiscard]] std::string attempt_token(std::string_view run, std::string_view instance_name,
                                        std::uint32_t attempt);

/// The same by the task's key, `RUN/count[3]`.
[[nodiscard]] std::string attempt_token(std::string_view task_key, std::uint32_t attempt);

struct parsed_token {
  std::string task_key;  ///< `RUN/count[3]`
  std::uint32_t attempt;
};
[[nodiscard]] std::optional<parsed_token> parse_token(std::string_view token);

/// The part of a task's key before and after the slash.
[[nodiscard]] std::string run_of(std::string_view task_key);

[[nodiscard]] inline std::int64_t nanoseconds(runtime::wall_time time) {
  return time.time_since_epoch().count();
}

[[nodiscard]] inline std::string text_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

}  // namespace millrace::actors
