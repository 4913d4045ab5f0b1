// SPDX-License-Identifier: MIT
// OTLP JSON: spans as a collector of OpenTelemetry takes them (OTLP 1.x, /v1/traces: the JSON form
// of the Protobuf message ExportTraceServiceRequest).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "millrace/runtime/trace.h"

namespace millrace::gateway {

/// Whose spans they are.
struct trace_resource {
  std::string instance;  ///< service.instance.id: the name of the silo, or of the gateway.
  std::string version;   ///< service.version
};

/// The body of a request. What is no UTF-8 in it is replaced.
[[nodiscard]] std::string otlp_json(const trace_resource& whose,
                                    std::span<const runtime::span> spans);

/// How many spans of a request the collector has not taken, as its answer says (partial success).
[[nodiscard]] std::size_t rejected_spans(std::string_view answer);

}  // namespace millrace::gateway
