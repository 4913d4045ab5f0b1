// SPDX-License-Identifier: MIT
// Metrics: the figures of one silo at one moment, as values and as Prometheus text.
//
//     to_prometheus_text(here.metrics())
//
// Totals count since the silo was made. Labels are names of actor types, methods and outcomes,
// which the schemas bound; never a key.
//
// The clock is read when an activation takes messages from its mailbox, after every 16 messages,
// and when a thread has nothing more to do; what was handled between two readings of a thread
// shares the time evenly. So a turn's time is exact when it ran alone, and includes the runtime's
// own part; a call's latency ends with the reading after its answer left.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/error.h"
#include "millrace/runtime/histogram.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {

/// Totals of one silo; cheap to ask for.
struct silo_stats {
  std::uint64_t activations = 0;            ///< Alive now.
  std::uint64_t activations_total = 0;      ///< Ever made.
  std::uint64_t deactivations_total = 0;    ///< Idle, asked for, failed or stopped.
  std::uint64_t calls_total = 0;            ///< Turns begun: calls, timers, reminders, hooks.
  std::uint64_t overloaded_total = 0;       ///< Refused for a full mailbox or backlog.
  std::uint64_t reminders = 0;              ///< That wait for their time, or for being tried again.
  std::uint64_t reminders_fired_total = 0;  ///< Since start.
  std::uint64_t sends_pending = 0;          ///< Stored and not yet answered.
  std::uint64_t dead_letters_total = 0;     ///< Since start.
  std::uint64_t stuck_total = 0;            ///< Turns that were warned of.
  std::uint64_t memory_bytes = 0;           ///< What activations hold; counted with a budget.
  std::uint64_t memory_evictions_total = 0;  ///< Idle activations that left for the budget.
  std::uint64_t memory_exhausted_total = 0;  ///< Times the budget was passed with all busy.
};

/// One method of an actor type.
struct method_metrics {
  std::string_view name;  ///< snake_case; of a literal.

  /// Calls that ended, deliveries of sends and one-way calls included: first those that ended
  /// well, then by the number of their error code.
  std::array<std::uint64_t, error_codes_max> ended{};
};

/// Why activations ended.
struct deactivation_metrics {
  std::uint64_t idle = 0;       ///< Nothing arrived for the idle timeout.
  std::uint64_t memory = 0;     ///< Idle, and others needed the memory.
  std::uint64_t requested = 0;  ///< The actor or an operator asked for it.
  std::uint64_t stopping = 0;   ///< The silo stops.
  std::uint64_t failed = 0;     ///< Did not begin, lost a commit, or were stuck.
};

/// One actor type on this silo.
struct type_metrics {
  std::string_view type;                    ///< Of a literal.
  std::vector<method_metrics> methods;      ///< By ordinal.
  histogram latency;                        ///< From a call's making to its answer's leaving.
  histogram turns;                          ///< Thread time of a turn; its sum: of all.
  std::uint64_t begun_total = 0;            ///< Calls, timers, reminders and hooks.
  std::uint64_t sends_total = 0;            ///< Durable sends that its actors made.
  std::uint64_t reminders_fired_total = 0;  ///< Since the silo was made.
  std::uint64_t dead_letters_total = 0;     ///< Of its actors' sends.
  std::uint64_t stuck_total = 0;            ///< Turns that kept others waiting and were warned of.
  std::uint64_t activations = 0;            ///< Alive now.
  std::uint64_t activations_total = 0;      ///< Ever made.
  deactivation_metrics deactivations;       ///< Those that ended.
  std::uint64_t queued = 0;                 ///< Calls that wait for their turn.
  std::uint64_t queued_max = 0;             ///< The most that one activation has.
};

/// The threads for offloaded work.
struct offload_metrics {
  std::uint64_t threads = 0;  ///< Made so far.
  std::uint64_t busy = 0;     ///< Of them, those that have work.
  std::uint64_t queued = 0;   ///< Functions that wait for one.
};

/// Turns of one method that held a thread while all were held.
struct blocked_metrics {
  std::string type;         ///< Of the actor.
  std::string method;       ///< snake_case; or the hook.
  std::uint64_t total = 0;  ///< Times that a spare thread was made for want of theirs.
};

/// What a silo of a cluster leads and has, and what it has seen happen. Of partitions that it leads
/// where it does not say otherwise.
struct cluster_metrics {
  std::uint64_t partitions_led = 0;             ///< By this silo.
  std::uint64_t copies = 0;                     ///< Here, in the in-sync set of their partition.
  std::uint64_t copies_behind = 0;              ///< Here, that are to be in it and are not.
  std::uint64_t in_sync_min = 0;                ///< Members of the smallest set; 0: it leads none.
  std::uint64_t partitions_below_copies = 0;    ///< Whose set lacks members.
  std::uint64_t partitions_single_copy = 0;     ///< Of these, those that are on one disk.
  std::uint64_t partitions_below_minimum = 0;   ///< And those that refuse writes.
  std::uint64_t partitions_without_leader = 0;  ///< Of the cluster, as this silo sees it.
  std::uint64_t losses_unacknowledged = 0;      ///< Partitions of the cluster.
  std::uint64_t lag_entries_max = 0;  ///< What the slowest copy lacks, in the set or on its way.
  duration lag_max{};                 ///< For how long one has lacked something, in 100 ms.
  std::uint64_t epoch_changes_total = 0;  ///< Of partitions of the cluster, that this silo saw.
  std::uint64_t takeovers_total = 0;      ///< Partitions that it leads after others.
  std::uint64_t hand_overs_total = 0;     ///< Partitions that it led, and others do since.
  histogram leaderless;  ///< How long this silo knew of no leader of a partition that has one now.
  std::uint64_t ejections_total = 0;            ///< Copies that left a set.
  std::uint64_t joins_total = 0;                ///< Copies that came into a set.
  std::uint64_t rejoins_by_tail_total = 0;      ///< Copies here, from what the journal had.
  std::uint64_t rejoins_by_snapshot_total = 0;  ///< Copies here, whose rows were replaced.
  std::uint64_t links_up = 0;                   ///< To other silos.
  std::uint64_t links_down = 0;                 ///< To silos that are in.
  bool store_reachable = true;                  ///< The coordination store answered last.
  bool draining = false;                        ///< It leads what no other could.
};

/// All of it.
struct silo_metrics {
  duration uptime{};                ///< Since the silo was made; for rates between two of these.
  silo_stats totals;                ///< Over all types.
  std::vector<type_metrics> types;  ///< By name.
  storage_stats storage;            ///< What its storage counts.
  offload_metrics offload;          ///< The threads for offloaded work.
  std::uint64_t timers_armed = 0;   ///< Deadlines, timers and idle checks of all activations.
  std::uint64_t threads = 0;        ///< That run turns.
  std::uint64_t threads_busy = 0;   ///< Of them, those that run one.
  std::uint64_t stuck_threads_total = 0;   ///< Turns that did not give their thread back.
  std::uint64_t spare_threads = 0;         ///< That run now, since turns hold all others.
  std::vector<blocked_metrics> blocked;    ///< By type and method.
  std::optional<cluster_metrics> cluster;  ///< Of a silo that is in one.
};

/// Builds Prometheus text (exposition format 0.0.4), one family after the other.
class metrics_text {
public:
  /// Names and values; any text.
  using label_list = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  /// Begins a family, `millrace_<layer>_<thing>_<unit>`; a counter's name ends with `_total`.
  void counter(std::string_view name, std::string_view help) { family(name, help, "counter"); }
  /// The same for what goes up and down.
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge"); }
  /// The same with its only sample, which has no labels.
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    counter(name, help);
    add({}, value);
  }
  /// The same for what goes up and down; `Value` is an unsigned whole number or a double.
  template <class Value>
  void gauge(std::string_view name, std::string_view help, Value value) {
    gauge(name, help);
    add({}, value);
  }
  /// A family of histograms, in seconds.
  void of_times(std::string_view name, std::string_view help) { family(name, help, "histogram"); }

  /// A sample of the family that was begun last.
  void add(label_list labels, double value);
  /// The same, exactly.
  void add(label_list labels, std::uint64_t value);
  /// The samples of a histogram.
  void add(label_list labels, const histogram& value);

  /// What has been written so far.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
  void family(std::string_view name, std::string_view help, std::string_view kind);
  void sample(std::string_view suffix, label_list labels, std::string_view bound,
              std::string_view value);

  std::string text_;
  std::string_view family_;
};

/// The text of a silo's figures; every series is there from the start, but for calls by
/// error code and turns that blocked.
[[nodiscard]] std::string to_prometheus_text(const silo_metrics& figures);

}  // namespace millrace::runtime
