// SPDX-License-Identifier: MIT
// Waiting for the end of a run, for who asks with `?wait=30s`.
#pragma once

#include <functional>
#include <string>

#include "api/operation.h"
#include "http/message.h"
#include "http/reply.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// The longest wait: below what proxies allow a request (nginx: 60 s).
inline constexpr runtime::duration run_wait_max = std::chrono::seconds{55};

/// The query key `wait`.
[[nodiscard]] query_key run_wait_key();

/// What it says; 0 without it. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<runtime::duration> run_wait_in(const http::request& request);

/// Calls `then` with the run: once it has ended, or after `longest`, or as soon as it cannot be
/// waited for; not at all once who waits has left.
/// Threading: `then` is called as those of `silo::call_then` are.
void wait_for_run(
    runtime::silo& silo, std::string run, runtime::duration longest,
    const std::shared_ptr<http::reply>& answer,
    std::function<void(const runtime::result<schemas::run_interface::status_results>&)> then);

}  // namespace millrace::gateway
