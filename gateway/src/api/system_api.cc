// SPDX-License-Identifier: MIT
// What operators and their machines ask: alive, ready, figures, version.
#include <atomic>

#include "api/api.h"
#include "api/respond.h"
#include "http/problem.h"
#include "pipeline_schema.h"
#include "version.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;

namespace {

// The figures of this moment as Prometheus text. Names: millrace_<layer>_<thing>_<unit>[_total].
std::string render_metrics(const api_parts& parts) {
  runtime::metrics_text own;
  constexpr runtime::duration second = std::chrono::seconds{1};
  if (parts.host != nullptr) {
    const auto processes = parts.host->processes().stats();
    own.gauge("millrace_executor_attempts_running", "Attempts that run.",
              std::uint64_t{processes.running});
    own.gauge("millrace_executor_busy_seconds",
              "How long the executor has been at what it does now; grows when it is stuck.",
              static_cast<std::uint64_t>(parts.host->busy() / second));
    own.counter("millrace_executor_attempts_started_total", "Attempts started.", processes.started);
    own.counter("millrace_pool_preemptions_total",
                "Attempts that were told to make way for others of higher priority.",
                parts.host->preemptions());
    const auto schedules = parts.host->schedules();
    own.counter("millrace_schedule_firings_total", "Firings of schedules that started a run.",
                schedules.fired);
    own.counter("millrace_schedule_skipped_total",
                "Firings that were dropped, since earlier runs had not ended.", schedules.skipped);
    own.counter("millrace_schedule_missed_total",
                "Firings that were dropped, since nothing could see to them in time.",
                schedules.missed);
    own.counter("millrace_watch_checks_total", "Checks of watches that told their versions.",
                schedules.checks_succeeded);
    own.counter("millrace_watch_checks_failed_total", "Checks of watches that told none.",
                schedules.checks_failed);
    own.counter("millrace_watch_versions_total",
                "New versions that watches have found, each of which starts a run.",
                schedules.versions_found);
    own.of_times("millrace_schedule_late_seconds",
                 "From the time of a firing, its jitter included, to the start of its run.");
    own.add({}, schedules.late);
  }
  own.gauge("millrace_gateway_files_busy_seconds",
            "How long the thread that reads logs has been at what it does now.",
            static_cast<std::uint64_t>(parts.files.busy() / second));
  if (parts.probe) {
    const auto server = parts.probe();
    own.gauge("millrace_gateway_connections", "Open connections.", server.connections_open);
    own.counter("millrace_gateway_requests_total", "Requests handled.", server.requests_total);
    own.counter("millrace_gateway_rejected_total",
                "Requests that were malformed, too large or slow.", server.rejected_total);
    own.counter("millrace_gateway_connections_dropped_total",
                "Connections of nobody that made room for others.",
                server.connections_dropped_total);
    own.counter("millrace_gateway_connections_refused_total",
                "Connections that there was no room for.", server.connections_refused_total);
    own.counter("millrace_gateway_handshakes_refused_total",
                "Connections that were closed, since their address has too many TLS handshakes.",
                server.handshakes_refused_total);
    own.gauge("millrace_gateway_bodies_bytes", "Bodies of requests that are in hand.",
              server.bodies_bytes);
    own.counter("millrace_gateway_bodies_refused_total",
                "Bodies that the memory for bodies had no room for.", server.bodies_refused_total);
    own.gauge("millrace_gateway_answers_bytes", "Answers that wait for their readers.",
              server.answers_bytes);
    own.counter("millrace_gateway_answers_refused_total",
                "Answers and streams that the memory for answers had no room for.",
                server.answers_refused_total);
  }
  if (parts.guard != nullptr) {
    own.counter("millrace_gateway_rate_limited_total",
                "Requests that were answered 429, since their token or address asks too often.",
                parts.guard->limited());
  }
  const auto left = [now = parts.silo.time().wall()](runtime::wall_time end) {
    return std::chrono::duration<double>{end - now}.count();
  };
  if (parts.tls != nullptr) {
    const auto ends = parts.tls->ends();
    own.gauge("millrace_gateway_certificate_left_seconds",
              "Until the certificate that clients are shown, or one between it and its authority, "
              "ends.",
              left(ends.certificate));
    if (ends.authorities) {
      own.gauge("millrace_gateway_client_authority_left_seconds",
                "Until the first of the authorities ends that clients show certificates of.",
                left(*ends.authorities));
    }
  }
  if (parts.links) {
    own.gauge("millrace_cluster_certificate_left_seconds",
              "Until the certificate of the links of this process ends.",
              left(parts.links->certificate));
    own.gauge("millrace_cluster_authority_left_seconds",
              "Until the certificate of the cluster's authority ends.",
              left(parts.links->authority));
  }
  if (parts.tokens != nullptr) {
    own.gauge("millrace_gateway_tokens_age_seconds",
              "Since the tokens were last had from the actor that keeps them.",
              std::chrono::duration<double>{parts.tokens->age()}.count());
  }
  if (parts.traces != nullptr) {
    const auto traces = parts.traces->stats();
    own.gauge("millrace_gateway_trace_spans_waiting", "Spans on their way to the collector.",
              traces.waiting);
    own.counter("millrace_gateway_trace_spans_sent_total", "Spans that the collector has.",
                traces.sent_total);
    own.counter("millrace_gateway_trace_spans_dropped_total",
                "Spans that the collector never gets: it could not be reached, or refused them.",
                traces.dropped_total);
    own.counter("millrace_gateway_trace_requests_failed_total",
                "Requests to the collector that failed.", traces.failures_total);
  }
  return runtime::to_prometheus_text(parts.silo.metrics()) + own.text();
}

void metrics(const api_parts& parts, reply answer) {
  auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.files, shared, [&parts, shared] {  // there may be many activations to look at
    auto made = http::text(200, render_metrics(parts));
    made.content_type = "text/plain; version=0.0.4; charset=utf-8";
    shared->send(std::move(made));
  });
}

// Nothing when this process can take work.
std::optional<runtime::error> unready(const api_parts& parts) {
  if (auto refusal = parts.silo.rows().refusal()) {
    return refusal;
  }
  if (parts.silo.rows().saturated()) {
    return runtime::error{runtime::errc::overloaded, "the disk is behind with commits"};
  }
  if (parts.tokens != nullptr && !parts.tokens->is_known()) {
    return runtime::error{runtime::errc::unavailable, "the tokens are not known here yet"};
  }
  if (auto trouble = parts.host != nullptr ? parts.host->trouble() : std::nullopt) {
    return trouble;
  }
  for (const auto& [name, busy] :
       {std::pair{"the executor", parts.host != nullptr ? parts.host->busy() : runtime::duration{}},
        {"the thread that reads logs", parts.files.busy()}}) {
    if (auto stall = stall_of(name, busy)) {
      return stall;
    }
  }
  return std::nullopt;
}

// Whatever is wrong, whoever asks is to look elsewhere, so it is 503; `code` says what.
void tell(const std::optional<runtime::error>& trouble, const char* good, reply answer) {
  if (trouble) {
    answer.send(
        http::problem_response({.status = 503, .cause = *trouble, .instance = {}, .errors = {}}));
  } else {
    answer.send(http::text(200, good));
  }
}

}  // namespace

std::optional<runtime::error> stall_of(std::string_view part, runtime::duration busy) {
  if (busy <= stalled_after) {
    return std::nullopt;
  }
  return runtime::error{runtime::errc::unavailable,
                        std::string{part} + " has made no progress for " +
                            std::to_string(busy / std::chrono::seconds{1}) + " s"};
}

// Probes and scrapers add queries of their own to these, so any is taken.
void add_system_routes(api_routes& routes) {
  const auto& parts = routes.parts();
  const auto told = [](media body) {
    return answer{.status = 200, .text = "So it is.", .body = std::move(body)};
  };
  routes.add(method::get, "/livez", for_probes,
             {.id = "is_alive",
              .tag = "system",
              .summary = "Whether the process answers",
              .answers = {told(plain_text())}},
             [](request&, reply answer) { answer.send(http::text(200, "alive\n")); });
  routes.add(
      method::get, "/readyz", for_probes,
      {.id = "is_ready",
       .tag = "system",
       .summary = "Whether the process can take work",
       .answers = {told(plain_text())},
       .problems = {503}},
      [&parts](request&, reply answer) { tell(unready(parts), "ready\n", std::move(answer)); });
  routes.add(
      method::get, "/startupz", for_probes,
      {.id = "has_started",
       .tag = "system",
       .summary = "Whether the process has been ready since it was started",
       .answers = {told(plain_text())},
       .problems = {503}},
      [&parts, has_been = std::make_shared<std::atomic<bool>>(false)](request&, reply answer) {
        const auto trouble = *has_been ? std::nullopt : unready(parts);
        *has_been = *has_been || !trouble;
        tell(trouble, "started\n", std::move(answer));
      });
  routes.add(method::get, "/metrics", access{access::place::metrics, role::READ},
             {.id = "get_metrics",
              .tag = "system",
              .summary = "Figures of the process, as Prometheus text",
              .answers = {told(plain_text())},
              .problems = {429}},
             [&parts](request&, reply answer) { metrics(parts, std::move(answer)); });
  routes.add(method::get, "/schemas/pipeline.json", for_anybody,
             {.id = "get_pipeline_schema",
              .tag = "system",
              .summary = "The JSON Schema of definitions, for editors",
              .answers = {{.status = 200,
                           .text = "JSON Schema 2020-12.",
                           .body = json_media(shape::map(shape::any()))}}},
             [schema = std::make_shared<const std::string>(pipeline_schema())](
                 request&, reply answer) { answer.send(http::json(200, schema)); });
  routes.add(method::get, "/version", for_anybody,
             {.id = "get_version",
              .tag = "system",
              .summary = "The version of the server",
              .answers = {told(json_media(shape::object({{"version", shape::text()}})))}},
             [](request&, reply answer) {
               answer.send(answer_of(200, {{"version", version_text}}));
             });
}

}  // namespace millrace::gateway
