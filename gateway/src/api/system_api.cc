// SPDX-License-Identifier: MIT
// What operators and their machines ask: alive, ready, figures, version.
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "api/api.h"
#include "api/respond.h"
#include "version.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;

namespace {

// The figures of this moment as Prometheus text. Names: millrace_<layer>_<thing>_<unit>[_total].
std::string render_metrics(const api_parts& parts) {
  prometheus::Registry registry;
  const auto gauge = [&](const char* name, const char* help, auto value) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({}).Set(
        static_cast<double>(value));
  };
  const auto counter = [&](const char* name, const char* help, auto value) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({}).Increment(
        static_cast<double>(value));
  };
  const auto silo = parts.silo.stats();
  gauge("millrace_runtime_activations", "Actors that are active.", silo.activations);
  counter("millrace_runtime_activations_total", "Activations made.", silo.activations_total);
  counter("millrace_runtime_deactivations_total", "Activations that ended in order.",
          silo.deactivations_total);
  counter("millrace_runtime_calls_total", "Messages that reached an actor.", silo.calls_total);
  counter("millrace_runtime_overloaded_total", "Calls refused for a full queue.",
          silo.overloaded_total);
  gauge("millrace_runtime_memory_bytes", "Held by activations; counted with a memory budget.",
        silo.memory_bytes);
  counter("millrace_runtime_memory_evictions_total", "Idle activations that left for the budget.",
          silo.memory_evictions_total);
  counter("millrace_runtime_memory_exhausted_total", "Times the budget was passed with all busy.",
          silo.memory_exhausted_total);
  gauge("millrace_runtime_reminders", "Reminders that wait for their time.", silo.reminders);
  counter("millrace_runtime_reminders_fired_total", "Reminders handled.",
          silo.reminders_fired_total);
  gauge("millrace_runtime_sends_pending", "Durable sends not yet answered.", silo.sends_pending);
  counter("millrace_runtime_dead_letters_total", "Sends given up since start.",
          silo.dead_letters_total);
  counter("millrace_runtime_stuck_turns_total", "Turns that held a thread or kept others waiting.",
          silo.stuck_total);
  const auto rows = parts.silo.rows().stats();
  counter("millrace_storage_commits_total", "Batches acknowledged.", rows.commits);
  counter("millrace_storage_group_commits_total", "Disk flushes that carried them.",
          rows.group_commits);
  gauge("millrace_storage_journal_backlog_bytes", "Queued and not on disk.",
        rows.journal_backlog_bytes);
  gauge("millrace_storage_overlay_bytes", "Committed and not in the checkpoint.",
        rows.overlay_bytes);
  gauge("millrace_storage_map_used_ratio", "Used part of the quota.",
        static_cast<double>(rows.map_used_permille) / 1000);
  const auto processes = parts.host.processes().stats();
  gauge("millrace_executor_attempts_running", "Attempts that run.", processes.running);
  counter("millrace_executor_attempts_started_total", "Attempts started.", processes.started);
  if (parts.probe) {
    const auto server = parts.probe();
    gauge("millrace_gateway_connections", "Open connections.", server.connections_open);
    counter("millrace_gateway_requests_total", "Requests handled.", server.requests_total);
    counter("millrace_gateway_rejected_total", "Requests that were malformed, too large or slow.",
            server.rejected_total);
  }
  return prometheus::TextSerializer{}.Serialize(registry.Collect());
}

void ready(const api_parts& parts, request&, reply answer) {
  const auto full = parts.silo.rows().stats().map_used_permille >= 850;
  if (full || parts.silo.rows().saturated()) {
    answer.fail({full ? runtime::errc::out_of_space : runtime::errc::overloaded,
                 full ? "the data directory is nearly full: writes are refused"
                      : "the disk is behind with commits"});
    return;
  }
  if (const auto trouble = parts.host.trouble()) {
    answer.fail(*trouble);
    return;
  }
  answer.send(http::text(200, "ready\n"));
}

}  // namespace

void add_system_routes(http::router& routes, const api_parts& parts) {
  routes.add(method::get, "/livez",
             [](request&, reply answer) { answer.send(http::text(200, "alive\n")); });
  add_route(routes, parts, method::get, "/readyz", ready);
  routes.add(method::get, "/metrics", [&parts](request&, reply answer) {
    auto made = http::text(200, render_metrics(parts));
    made.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.send(std::move(made));
  });
  routes.add(method::get, "/version", [](request&, reply answer) {
    answer.send(http::json(200, R"({"version":")" + std::string{version_text} + "\"}"));
  });
}

void add_api(http::router& routes, const api_parts& parts) {
  add_pipeline_routes(routes, parts);
  add_run_list_routes(routes, parts);
  add_run_routes(routes, parts);
  add_log_routes(routes, parts);
  add_actor_routes(routes, parts);
  add_dead_letter_routes(routes, parts);
  add_system_routes(routes, parts);
}

}  // namespace millrace::gateway
