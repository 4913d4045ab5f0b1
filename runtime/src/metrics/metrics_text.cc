// SPDX-License-Identifier: MIT
// Prometheus text: how it is written, and which figures of a silo are in it.
#include <array>
#include <charconv>
#include <span>

#include "millrace/runtime/metrics.h"

namespace millrace::runtime {

namespace {

template <class Number>
std::string text_of(Number number) {
  char digits[40];
  return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
}

double seconds(duration length) {
  return std::chrono::duration<double>(length).count();
}

void append_escaped(std::string& out, std::string_view text, bool is_label) {
  for (const char each : text) {
    if (each == '\n') {
      out += "\\n";
    } else {
      out += each == '\\' || (is_label && each == '"') ? "\\" : "";
      out += each;
    }
  }
}

}  // namespace

void metrics_text::family(std::string_view name, std::string_view help, std::string_view kind) {
  family_ = name;
  text_ += "# HELP ";
  text_ += name;
  text_ += ' ';
  append_escaped(text_, help, false);
  text_ += "\n# TYPE ";
  text_ += name;
  text_ += ' ';
  text_ += kind;
  text_ += '\n';
}

void metrics_text::sample(std::string_view suffix, label_list labels, std::string_view bound,
                          std::string_view value) {
  text_ += family_;
  text_ += suffix;
  auto separator = '{';
  const auto label = [&](std::string_view name, std::string_view content) {
    text_ += separator;
    text_ += name;
    text_ += "=\"";
    append_escaped(text_, content, true);
    text_ += '"';
    separator = ',';
  };
  for (const auto& [name, content] : labels) {
    label(name, content);
  }
  if (!bound.empty()) {
    label("le", bound);
  }
  text_ += separator == ',' ? "} " : " ";
  text_ += value;
  text_ += '\n';
}

void metrics_text::add(label_list labels, double value) {
  sample({}, labels, {}, text_of(value));
}

void metrics_text::add(label_list labels, std::uint64_t value) {
  sample({}, labels, {}, text_of(value));
}

void metrics_text::add(label_list labels, const histogram& value) {
  std::uint64_t so_far = 0;
  for (std::size_t at = 0; at < histogram_bounds_ns.size(); ++at) {
    so_far += value.counts[at];
    sample("_bucket", labels, text_of(seconds(duration{histogram_bounds_ns[at]})), text_of(so_far));
  }
  const auto all = text_of(value.count());
  sample("_bucket", labels, "+Inf", all);
  sample("_sum", labels, {}, text_of(seconds(value.sum)));
  sample("_count", labels, {}, all);
}

// --- the figures of a silo -----------------------------------------------------------------------

namespace {

// One figure that every type has.
struct type_figure {
  const char* name;
  const char* help;
  std::uint64_t type_metrics::*value;
};

constexpr type_figure type_counters[] = {
    {"millrace_runtime_turns_begun_total", "Calls, timers, reminders and hooks that began.",
     &type_metrics::begun_total},
    {"millrace_runtime_sends_total", "Durable sends that actors made.", &type_metrics::sends_total},
    {"millrace_runtime_reminders_fired_total", "Reminders handled.",
     &type_metrics::reminders_fired_total},
    {"millrace_runtime_dead_letters_total", "Sends given up since start.",
     &type_metrics::dead_letters_total},
    {"millrace_runtime_stuck_turns_total", "Turns that kept others waiting for too long.",
     &type_metrics::stuck_total},
    {"millrace_runtime_activations_total", "Activations made.", &type_metrics::activations_total},
};

constexpr type_figure type_gauges[] = {
    {"millrace_runtime_activations", "Actors that are active.", &type_metrics::activations},
    {"millrace_runtime_queued_calls", "Calls that wait for their turn.", &type_metrics::queued},
    {"millrace_runtime_queued_calls_max", "The most that wait for one activation.",
     &type_metrics::queued_max},
};

void add_calls(metrics_text& to, std::span<const type_metrics> types) {
  to.counter("millrace_runtime_calls_total", "Calls that ended, by their outcome.");
  for (const auto& type : types) {
    for (const auto& method : type.methods) {
      for (std::size_t code = 0; code < method.ended.size(); ++code) {
        if (code == 0 || method.ended[code] > 0) {
          to.add({{"type", type.type},
                  {"method", method.name},
                  {"outcome", code == 0 ? "ok" : to_string(static_cast<errc>(code))}},
                 method.ended[code]);
        }
      }
    }
  }
}

void add_types(metrics_text& to, std::span<const type_metrics> types) {
  add_calls(to, types);
  to.of_times("millrace_runtime_call_seconds",
              "From the making of a call to the leaving of its answer.");
  for (const auto& type : types) {
    to.add({{"type", type.type}}, type.latency);
  }
  to.of_times("millrace_runtime_turn_seconds", "Thread time of a turn.");
  for (const auto& type : types) {
    to.add({{"type", type.type}}, type.turns);
  }
  for (const auto& figure : type_counters) {
    to.counter(figure.name, figure.help);
    for (const auto& type : types) {
      to.add({{"type", type.type}}, type.*figure.value);
    }
  }
  to.counter("millrace_runtime_deactivations_total", "Activations that ended, by their reason.");
  for (const auto& type : types) {
    const auto& why = type.deactivations;
    to.add({{"type", type.type}, {"reason", "idle"}}, why.idle);
    to.add({{"type", type.type}, {"reason", "memory"}}, why.memory);
    to.add({{"type", type.type}, {"reason", "requested"}}, why.requested);
    to.add({{"type", type.type}, {"reason", "stopping"}}, why.stopping);
    to.add({{"type", type.type}, {"reason", "failed"}}, why.failed);
  }
  for (const auto& figure : type_gauges) {
    to.gauge(figure.name, figure.help);
    for (const auto& type : types) {
      to.add({{"type", type.type}}, type.*figure.value);
    }
  }
}

void add_silo(metrics_text& to, const silo_metrics& figures) {
  to.gauge("millrace_runtime_uptime_seconds", "Since the silo was made.", seconds(figures.uptime));
  to.counter("millrace_runtime_overloaded_total", "Calls refused for a full queue.",
             figures.totals.overloaded_total);
  to.gauge("millrace_runtime_memory_bytes", "Held by activations; counted with a memory budget.",
           figures.totals.memory_bytes);
  to.counter("millrace_runtime_memory_exhausted_total",
             "Times the budget was passed with all busy.", figures.totals.memory_exhausted_total);
  to.gauge("millrace_runtime_reminders", "Reminders that wait for their time.",
           figures.totals.reminders);
  to.gauge("millrace_runtime_sends_pending", "Durable sends not yet answered.",
           figures.totals.sends_pending);
  to.counter("millrace_runtime_stuck_threads_total", "Turns that did not give their thread back.",
             figures.stuck_threads_total);
  to.counter("millrace_runtime_blocked_turns_total",
             "Turns that held a thread when all were held, so that a spare one was made.");
  for (const auto& each : figures.blocked) {
    to.add({{"type", each.type}, {"method", each.method}}, each.total);
  }
  to.gauge("millrace_runtime_spare_threads", "That run since turns hold all others.",
           figures.spare_threads);
  to.gauge("millrace_runtime_timers_armed", "Deadlines, timers and idle checks.",
           figures.timers_armed);
  to.gauge("millrace_runtime_threads", "Threads that run turns.", figures.threads);
  to.gauge("millrace_runtime_threads_busy", "Of them, those that run one.", figures.threads_busy);
  to.gauge("millrace_runtime_offload_threads", "Threads for offloaded work.",
           figures.offload.threads);
  to.gauge("millrace_runtime_offload_threads_busy", "Of them, those that have some.",
           figures.offload.busy);
  to.gauge("millrace_runtime_offload_queued", "Offloaded work that waits for a thread.",
           figures.offload.queued);
}

void add_storage(metrics_text& to, const storage_stats& rows) {
  to.counter("millrace_storage_commits_total", "Batches acknowledged.", rows.commits);
  to.counter("millrace_storage_group_commits_total", "Disk flushes that carried them.",
             rows.group_commits);
  to.counter("millrace_storage_journal_written_bytes_total", "Written to the journal.",
             rows.written_bytes);
  to.of_times("millrace_storage_commit_seconds", "From a commit's queueing to its answer.");
  to.add({}, rows.commit_time);
  to.of_times("millrace_storage_flush_seconds", "Disk flushes of the journal.");
  to.add({}, rows.flush_time);
  to.gauge("millrace_storage_journal_backlog_bytes", "Queued and not on disk.",
           rows.journal_backlog_bytes);
  to.gauge("millrace_storage_journal_bytes", "Size of the journal.", rows.journal_bytes);
  to.gauge("millrace_storage_overlay_bytes", "Committed and not in the checkpoint.",
           rows.overlay_bytes);
  to.gauge("millrace_storage_checkpoint_lag_batches", "Batches that the checkpoint has not.",
           rows.checkpoint_lag_batches);
  to.counter("millrace_storage_checkpoint_rows_total", "Rows written to the checkpoint.",
             rows.checkpoint_rows);
  to.counter("millrace_storage_rows_read_total", "Rows read.", rows.rows_read);
  to.gauge("millrace_storage_map_used_ratio", "Used part of the quota.",
           static_cast<double>(rows.map_used_permille) / 1000);
}

void add_cluster(metrics_text& to, const cluster_metrics& seen) {
  to.gauge("millrace_cluster_partitions_led", "Partitions that this silo leads.",
           seen.partitions_led);
  to.gauge("millrace_cluster_copies", "Copies here that are in sync.", seen.copies);
  to.gauge("millrace_cluster_copies_behind", "Copies here that are to be in sync and are not.",
           seen.copies_behind);
  to.gauge("millrace_cluster_in_sync_min", "Members of the smallest set of a partition led here.",
           seen.in_sync_min);
  to.gauge("millrace_cluster_partitions_below_copies", "Led here, with fewer copies than wanted.",
           seen.partitions_below_copies);
  to.gauge("millrace_cluster_partitions_single_copy",
           "Led here, with one copy while more are wanted.", seen.partitions_single_copy);
  to.gauge("millrace_cluster_partitions_below_minimum", "Led here, with too few copies for writes.",
           seen.partitions_below_minimum);
  to.gauge("millrace_cluster_partitions_without_leader", "Of the cluster, as this silo sees it.",
           seen.partitions_without_leader);
  to.gauge(
      "millrace_cluster_losses_unacknowledged",
      "Partitions of the cluster that lost data by break-glass, and nobody has acknowledged it.",
      seen.losses_unacknowledged);
  to.gauge("millrace_cluster_copy_lag_entries",
           "Entries that the slowest copy of a partition lacks.", seen.lag_entries_max);
  to.gauge("millrace_cluster_copy_lag_seconds", "For how long a copy has lacked something.",
           seconds(seen.lag_max));
  to.counter("millrace_cluster_epoch_changes_total",
             "Changes of primaries that this silo has seen.", seen.epoch_changes_total);
  to.counter("millrace_cluster_takeovers_total", "Partitions that this silo leads after others.",
             seen.takeovers_total);
  to.counter("millrace_cluster_hand_overs_total", "Partitions that this silo leads no more.",
             seen.hand_overs_total);
  to.of_times("millrace_cluster_leaderless_seconds",
              "How long this silo knew of no leader of a partition.");
  to.add({}, seen.leaderless);
  to.counter("millrace_cluster_ejections_total", "Copies that left a set led here.",
             seen.ejections_total);
  to.counter("millrace_cluster_joins_total", "Copies that came into a set led here.",
             seen.joins_total);
  to.counter("millrace_cluster_rejoins_total", "Copies here that are in sync again.");
  to.add({{"by", "tail"}}, seen.rejoins_by_tail_total);
  to.add({{"by", "snapshot"}}, seen.rejoins_by_snapshot_total);
  to.gauge("millrace_cluster_links_up", "Links to others.", seen.links_up);
  to.gauge("millrace_cluster_links_down", "Links to silos that are in.", seen.links_down);
  to.gauge("millrace_cluster_store_reachable", "Whether the coordination store answered last.",
           std::uint64_t{seen.store_reachable});
  to.gauge("millrace_cluster_draining", "Whether this silo leads only what no other could.",
           std::uint64_t{seen.draining});
}

}  // namespace

std::string to_prometheus_text(const silo_metrics& figures) {
  metrics_text text;
  add_types(text, figures.types);
  add_silo(text, figures);
  add_storage(text, figures.storage);
  if (figures.cluster) {
    add_cluster(text, *figures.cluster);
  }
  return text.text();
}

}  // namespace millrace::runtime
