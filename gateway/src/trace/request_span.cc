// SPDX-License-Identifier: MIT
#include "trace/request_span.h"

#include <algorithm>
#include <string>

namespace millrace::gateway {

http::request_trace place_of(const http::request& received, const runtime::trace_options& to,
                             runtime::rng& random, const runtime::clock& time) {
  const auto field = received.headers.find(runtime::traceparent_name);
  const auto above = field && received.headers.count(runtime::traceparent_name) == 1
                         ? runtime::parse_traceparent(*field)
                         : std::nullopt;
  http::request_trace made;
  if (above) {
    made.own = *above;
    made.is_told = to.sink && above->is_sampled;
  } else {
    made.own.trace = runtime::new_trace_id(random);
    const bool is_of_api = received.segment_count() > 0 && received.segment(0) == "api";
    made.is_told = to.sink && is_of_api && is_sampled(made.own.trace, to.ratio);
    made.own.is_sampled = made.is_told;
  }
  // Where no span of this server's lies between, what follows hangs where the client said.
  if (made.is_told || !above) {
    made.own.span = runtime::new_span_id(random);
  }
  if (made.is_told) {
    made.parent = above ? above->span : runtime::span_id::none;
    made.began = time.wall();
  }
  return made;
}

runtime::span span_of(const http::access_entry& answered, runtime::wall_time now, bool is_tls) {
  const std::string method{answered.method};
  runtime::span told{
      .own = answered.trace.own,
      .parent = answered.trace.parent,
      .name = method + (answered.route.empty() ? "" : " ") + std::string{answered.route},
      .kind = runtime::span_kind::server,
      .start = answered.trace.began,
      .end = std::max(now, answered.trace.began),
      .attributes = {
          {"http.request.method", method},
          {"url.path", std::string{answered.target.substr(0, answered.target.find('?'))}},
          {"url.scheme", is_tls ? "https" : "http"},
          {"client.address", std::string{answered.from}}}};
  if (!answered.route.empty()) {
    told.attributes.push_back({"http.route", std::string{answered.route}});
  }
  if (answered.status == http::client_left) {
    told.attributes.push_back({"error.type", "client_left"});
    told.has_failed = true;
    told.failure = "the client left before it was answered";
    return told;
  }
  told.attributes.push_back({"http.response.status_code", std::int64_t{answered.status}});
  if (answered.status >= 500) {  // what a client has done wrong is no error of a server's span
    told.attributes.push_back({"error.type", std::to_string(answered.status)});
    told.has_failed = true;
  }
  return told;
}

}  // namespace millrace::gateway
