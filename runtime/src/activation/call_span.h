// SPDX-License-Identifier: MIT
// Call span: a call of a sampled trace, while this silo serves it or waits for another that does.
//
// Of one that is served it lies with what only some messages have (`envelope_extra`), of one that
// has left with what the router knows of it; a call that is in no trace costs a look at a null
// pointer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "millrace/runtime/error.h"
#include "millrace/runtime/trace.h"

namespace millrace::runtime {
struct call_frame;
}

namespace millrace::runtime::detail {

struct envelope;

struct call_span {
  trace_context own;
  span_id parent = span_id::none;
  span_kind kind = span_kind::internal;
  wall_time start{};
  /// That the call came with; what is served has its own place in it meanwhile.
  std::shared_ptr<const request_context> context;
};

/// What an actor has told of, on its way out of its activation.
[[nodiscard]] envelope* span_message(span told);
/// Gives what that tells of. Requires: of `span_message`.
[[nodiscard]] span take_span(envelope& from);

/// A call with a context begins to be served: what it calls hangs below its span. No effect unless
/// its trace is sampled and somebody wants to know.
void begin_served_span(envelope& one, const trace_options& to, const clock& time);
/// Tells of it. `failure`: null when it has an answer. Requires: it has one.
void end_served_span(envelope& one, const trace_options& to, const clock& time,
                     const error* failure);

/// The span of a call that leaves for another silo, if there is to be one: what is done there hangs
/// below it. Requires: it has a context.
[[nodiscard]] std::unique_ptr<call_span> sent_span_of(const envelope& one, call_frame& frame,
                                                      const trace_options& to, const clock& time);
/// Tells of that. `failure`: as above.
void end_sent_span(const call_span& ended, const envelope& one, std::string_view silo,
                   const trace_options& to, const clock& time, const error* failure);

}  // namespace millrace::runtime::detail
