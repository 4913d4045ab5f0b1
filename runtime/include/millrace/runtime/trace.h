// SPDX-License-Identifier: MIT
// Traces: which request an effect belongs to, told as spans (OpenTelemetry's model).
//
// A trace is a tree of spans: intervals in which something was done for one request, on whatever
// silo. Who does something for another is told its place in the tree as a `traceparent` (W3C Trace
// Context, level 1): of a call that is an entry of its request context, so a trace goes wherever
// calls go. A silo that is given a `span_sink` tells it of each call that a sampled trace makes;
// one without looks at no context at all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/runtime/call.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// Names a trace; all zero: none.
struct trace_id {
  std::uint64_t high = 0;  ///< The first eight bytes.
  std::uint64_t low = 0;   ///< The last eight.
  /// Whether there is one.
  [[nodiscard]] explicit operator bool() const noexcept { return high != 0 || low != 0; }
  friend bool operator==(const trace_id&, const trace_id&) = default;
};

/// Names a span in its trace; zero: none.
enum class span_id : std::uint64_t { none = 0 };

/// A place in a trace: where what is done for others hangs.
struct trace_context {
  trace_id trace;                ///< Which.
  span_id span = span_id::none;  ///< Of the span there.
  bool is_sampled = false;       ///< Its spans are told; else it is only passed on.

  /// Whether there is one.
  [[nodiscard]] explicit operator bool() const noexcept {
    return bool{trace} && span != span_id::none;
  }
  friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// Of the header, the entry of a request context and, in capitals, the environment variable.
inline constexpr std::string_view traceparent_name = "traceparent";

/// Nothing of a text that is none: another length, capital letters, an id of zeros, version `ff`.
/// Of a later version what this one has is read (W3C Trace Context, 4.3).
[[nodiscard]] std::optional<trace_context> parse_traceparent(std::string_view text);
/// Version 00. Requires: `place` is one.
[[nodiscard]] std::string to_traceparent(const trace_context& place);

/// What a call's context says; nothing where it says nothing that can be read.
[[nodiscard]] std::optional<trace_context> trace_of(const request_context& context);

/// 32 and 16 lower-case hexadecimal digits.
[[nodiscard]] std::string to_string(const trace_id& id);
[[nodiscard]] std::string to_string(span_id id);  ///< As above.

[[nodiscard]] trace_id new_trace_id(rng& random) noexcept;  ///< Random.
[[nodiscard]] span_id new_span_id(rng& random) noexcept;    ///< Random.
/// One and the same for the same text in the same trace (XXH3-64), so that a span that is told
/// twice, by two processes, is one.
[[nodiscard]] span_id span_id_of(const trace_id& trace, std::string_view what) noexcept;

/// Whether a trace that begins here is among the sampled: every process decides the same, by the
/// last 56 bits, which are random. `ratio`: 0 to 1.
[[nodiscard]] bool is_sampled(const trace_id& trace, double ratio) noexcept;

/// What OpenTelemetry calls a kind, by its numbers.
enum class span_kind : std::uint8_t {
  internal = 1,
  server = 2,  ///< Of a request from another process.
  client = 3,  ///< Of a request to another process.
};

/// A fact about a span; names are those of OpenTelemetry's conventions where they have one.
struct span_attribute {
  std::string name;                               ///< Such as `http.route`.
  std::variant<std::string, std::int64_t> value;  ///< Of it.
};

/// Something that happened in a span at one instant.
struct span_event {
  std::string name;  ///< What.
  wall_time at{};    ///< When.
};

/// A span that has ended.
struct span {
  trace_context own;                            ///< Its own id in its trace.
  span_id parent = span_id::none;               ///< None: the trace begins with it.
  std::string name;                             ///< One of few: `GET /api/v1/runs/{id}`.
  span_kind kind = span_kind::internal;         ///< Of what kind it is.
  wall_time start{};                            ///< By the clock of the machine that it was on.
  wall_time end{};                              ///< Not before its start.
  std::vector<span_attribute> attributes = {};  ///< What is known of it.
  std::vector<span_event> events = {};          ///< In order.
  bool has_failed = false;                      ///< By what its kind of work calls a failure.
  std::string failure = {};                     ///< Of one that has failed, for a person.
};

/// Where spans go.
///
/// Threading: any thread, several at a time. Cost: must not block.
class span_sink {
public:
  span_sink() = default;
  span_sink(const span_sink&) = delete;
  span_sink& operator=(const span_sink&) = delete;
  virtual ~span_sink() = default;
  /// A span has ended. One may be told more than once, with the same id, when a silo dies.
  virtual void ended(span one) noexcept = 0;
};

/// What a silo tells of traces.
struct trace_options {
  std::shared_ptr<span_sink> sink = nullptr;  ///< Null: nothing.
  double ratio = 1;  ///< Of the traces that begin in its actors; others say themselves.
};

}  // namespace millrace::runtime
