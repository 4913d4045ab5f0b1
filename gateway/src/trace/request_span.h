// SPDX-License-Identifier: MIT
// Request span: which trace a request of a client is part of, and what is told of the request.
//
// A client's `traceparent` decides: its trace goes on, and is told of if the client says so.
// Without one (or with one that is none, or two) the request begins a trace, of which a share is
// told.
#pragma once

#include "http/server.h"
#include "millrace/runtime/trace.h"

namespace millrace::gateway {

/// The place of a request. What is not under `/api/` (probes, scrapers) begins no trace that is
/// told. Cost: a look through its header, two random numbers.
[[nodiscard]] http::request_trace place_of(const http::request& received,
                                           const runtime::trace_options& to, runtime::rng& random,
                                           const runtime::clock& time);

/// What is told of one that was answered, or whose stream has begun. Requires: `is_told`.
[[nodiscard]] runtime::span span_of(const http::access_entry& answered, runtime::wall_time now,
                                    bool is_tls);

}  // namespace millrace::gateway
