// SPDX-License-Identifier: MIT
#include "api/silo_json.h"

#include <numeric>

namespace millrace::gateway {

using nlohmann::ordered_json;

namespace {

double milliseconds(runtime::duration length) {
  return std::chrono::duration<double, std::milli>(length).count();
}

ordered_json json_of(const runtime::histogram& times) {
  return {{"sum_ms", milliseconds(times.sum)}, {"counts", times.counts}};
}

ordered_json json_of(const runtime::type_metrics& type) {
  std::uint64_t calls = 0;
  std::uint64_t well = 0;
  for (const auto& method : type.methods) {
    calls = std::accumulate(method.ended.begin(), method.ended.end(), calls);
    well += method.ended[0];
  }
  const auto& ended = type.deactivations;
  return {{"id", type.type},
          {"activations", type.activations},
          {"calls_total", calls},
          {"errors_total", calls - well},
          {"queued", type.queued},
          {"queued_max", type.queued_max},
          {"latency", json_of(type.latency)},
          {"turns", json_of(type.turns)},
          {"begun_total", type.begun_total},
          {"sends_total", type.sends_total},
          {"reminders_fired_total", type.reminders_fired_total},
          {"dead_letters_total", type.dead_letters_total},
          {"stuck_total", type.stuck_total},
          {"activations_total", type.activations_total},
          {"deactivations",
           {{"idle", ended.idle},
            {"memory", ended.memory},
            {"requested", ended.requested},
            {"stopping", ended.stopping},
            {"failed", ended.failed}}}};
}

ordered_json json_of(const runtime::storage_stats& rows) {
  return {{"commits_total", rows.commits},
          {"group_commits_total", rows.group_commits},
          {"commit", json_of(rows.commit_time)},
          {"flush", json_of(rows.flush_time)},
          {"written_bytes_total", rows.written_bytes},
          {"journal_backlog_bytes", rows.journal_backlog_bytes},
          {"journal_bytes", rows.journal_bytes},
          {"checkpoint_lag_batches", rows.checkpoint_lag_batches},
          {"checkpoint_lag_bytes", rows.overlay_bytes},
          {"used_permille", rows.map_used_permille}};
}

}  // namespace

ordered_json json_of(const runtime::silo_metrics& figures) {
  auto bounds = ordered_json::array();
  for (const auto bound : runtime::histogram_bounds_ns) {
    bounds.push_back(milliseconds(runtime::duration{bound}));
  }
  auto types = ordered_json::array();
  for (const auto& each : figures.types) {
    types.push_back(json_of(each));
  }
  auto blocked = ordered_json::array();
  for (const auto& each : figures.blocked) {
    blocked.push_back({{"type", each.type}, {"method", each.method}, {"total", each.total}});
  }
  const auto& totals = figures.totals;
  return {{"uptime_ms", milliseconds(figures.uptime)},
          {"activations", totals.activations},
          {"overloaded_total", totals.overloaded_total},
          {"reminders", totals.reminders},
          {"sends_pending", totals.sends_pending},
          {"memory_bytes", totals.memory_bytes},
          {"timers_armed", figures.timers_armed},
          {"threads", figures.threads},
          {"threads_busy", figures.threads_busy},
          {"stuck_threads_total", figures.stuck_threads_total},
          {"spare_threads", figures.spare_threads},
          {"blocked", std::move(blocked)},
          {"offload",
           {{"threads", figures.offload.threads},
            {"busy", figures.offload.busy},
            {"queued", figures.offload.queued}}},
          {"storage", json_of(figures.storage)},
          {"bounds_ms", std::move(bounds)},
          {"types", std::move(types)}};
}

json_shape silo_metrics_shape() {
  const auto histogram = shape::named(
      "Histogram",
      shape::object({{"sum_ms", shape::real()}, {"counts", shape::list(shape::count())}}));
  const auto type = shape::object({{"id", shape::text()},
                                   {"activations", shape::count()},
                                   {"calls_total", shape::count()},
                                   {"errors_total", shape::count()},
                                   {"queued", shape::count()},
                                   {"queued_max", shape::count()},
                                   {"latency", histogram},
                                   {"turns", histogram},
                                   {"begun_total", shape::count()},
                                   {"sends_total", shape::count()},
                                   {"reminders_fired_total", shape::count()},
                                   {"dead_letters_total", shape::count()},
                                   {"stuck_total", shape::count()},
                                   {"activations_total", shape::count()},
                                   {"deactivations", shape::object({{"idle", shape::count()},
                                                                    {"memory", shape::count()},
                                                                    {"requested", shape::count()},
                                                                    {"stopping", shape::count()},
                                                                    {"failed", shape::count()}})}});
  const auto storage = shape::object({{"commits_total", shape::count()},
                                      {"group_commits_total", shape::count()},
                                      {"commit", histogram},
                                      {"flush", histogram},
                                      {"written_bytes_total", shape::count()},
                                      {"journal_backlog_bytes", shape::count()},
                                      {"journal_bytes", shape::count()},
                                      {"checkpoint_lag_batches", shape::count()},
                                      {"checkpoint_lag_bytes", shape::count()},
                                      {"used_permille", shape::count()}});
  const auto blocked = shape::object(
      {{"type", shape::text()}, {"method", shape::text()}, {"total", shape::count()}});
  const auto offload = shape::object(
      {{"threads", shape::count()}, {"busy", shape::count()}, {"queued", shape::count()}});
  return shape::named("SiloFigures", shape::object({{"uptime_ms", shape::real()},
                                                    {"activations", shape::count()},
                                                    {"overloaded_total", shape::count()},
                                                    {"reminders", shape::count()},
                                                    {"sends_pending", shape::count()},
                                                    {"memory_bytes", shape::count()},
                                                    {"timers_armed", shape::count()},
                                                    {"threads", shape::count()},
                                                    {"threads_busy", shape::count()},
                                                    {"stuck_threads_total", shape::count()},
                                                    {"spare_threads", shape::count()},
                                                    {"blocked", shape::list(blocked)},
                                                    {"offload", offload},
                                                    {"storage", storage},
                                                    {"bounds_ms", shape::list(shape::real())},
                                                    {"types", shape::list(type)}}));
}

}  // namespace millrace::gateway
