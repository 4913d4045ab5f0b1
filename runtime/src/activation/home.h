// SPDX-License-Identifier: MIT
// Home: all that an activation knows of the silo it lives on.
//
// Arrows go one way: the silo makes activations and looks at them, an activation asks its home.
// What it asks in every turn is a field here and costs no call; the rest is the silo's to do.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "activation/memory_share.h"
#include "activation/wait_probe.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/filter.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/silo.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {
class partition_lease;
class zone_cache;
}  // namespace millrace::runtime

namespace millrace::runtime::detail {

class activation;
class thread_pool;
class timer_service;
struct actor_type;
struct envelope;
struct watched_thread;

/// Whose reminder it is.
struct reminder_owner {
  partition_id partition;
  std::uint64_t epoch;  ///< In which the silo serves the partition, as far as who says so knows.
  actor_hash hash;
  const interface_info& interface;
  const std::string& key;
};

/// Threading: any thread, unless said otherwise.
class activation_home {
public:
  activation_home(silo_options options, const clock& time) noexcept
      : options_(std::move(options)), time_(time) {}
  activation_home(const activation_home&) = delete;
  activation_home& operator=(const activation_home&) = delete;
  virtual ~activation_home() = default;

  // What is asked in every turn.
  [[nodiscard]] const clock& time() const noexcept { return time_; }
  [[nodiscard]] const silo_options& options() const noexcept { return options_; }
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  /// Whether there is a memory budget, so that activations have to say what they hold.
  [[nodiscard]] bool bounds_memory() const noexcept { return options_.memory_budget_bytes > 0; }
  /// Changed before the silo starts only.
  [[nodiscard]] std::vector<call_filter>& filters() noexcept { return filters_; }
  [[nodiscard]] std::vector<outgoing_filter>& outgoing_filters() noexcept {
    return outgoing_filters_;
  }

  // Messages. Each takes over one reference of the envelope that is to go.
  /// Brings a call, a one-way message or a reminder to its target, activating it if need be. A
  /// call that cannot be queued is answered with the reason.
  virtual void deliver(envelope* one) = 0;
  /// Answers a call (drops anything else).
  virtual void answer(envelope* one, error why) = 0;
  /// Brings `what` to the activation that has a call, or drops it when there is none.
  virtual void tell_server(const envelope& call, envelope* what) = 0;
  /// Tells the activation that serves a call, if one does, that its caller no longer waits. Adds a
  /// reference.
  virtual void cancel(envelope& call) = 0;

  // Waits over silos.
  /// Whether calls leave for other silos.
  [[nodiscard]] virtual bool has_peers() const noexcept = 0;
  /// What a turn, or a call that waits, is to probes. Requires: in a turn of the activation that
  /// serves it.
  [[nodiscard]] virtual wait_mark mark_of(envelope& one) = 0;
  /// Brings a probe to the activation that serves a call, here or on another silo; drops it when
  /// there is none. Adds a reference.
  virtual void probe(envelope& call, wait_probe what) = 0;

  // Running.
  /// The calling thread is about to run activations: what is known of it.
  [[nodiscard]] virtual watched_thread& thread_begins() = 0;
  /// Takes over the reference; hands it to the scheduler, now or with this thread's batch.
  virtual void run_later(activation& one) = 0;
  /// Takes over a reference of each; hands them to the scheduler together.
  virtual void hand_over(std::span<activation* const> all) noexcept = 0;
  /// The next to run, with its reference; null when the thread is to go back to the scheduler.
  [[nodiscard]] virtual activation* take_next() noexcept = 0;
  /// It has ended: the next message makes another. `bytes`: what it held.
  virtual void ended(activation& one, std::size_t bytes) = 0;
  /// Requires: `bounds_memory()`, and the activation's turn. See `memory_budget`.
  virtual void settle_memory(memory_share& one, std::size_t bytes, memory_share::standing as,
                             steady_time used) = 0;
  /// What lies in mailboxes grew, or shrank, by that much. Requires: `bounds_memory()`.
  virtual void queued(std::int64_t bytes) noexcept = 0;

  // Rows.
  /// In which epoch this silo serves a partition's actors; 0: it does not hold it.
  [[nodiscard]] virtual std::uint64_t epoch_of(partition_id partition) const noexcept = 0;
  [[nodiscard]] bool holds(partition_id partition) const noexcept {
    return epoch_of(partition) != 0;
  }
  /// What it may do with a partition at each instant; null: it shares none with other silos.
  /// Ownership: as long as the storage.
  [[nodiscard]] virtual const partition_lease* lease(partition_id partition) const noexcept = 0;
  [[nodiscard]] virtual storage& rows() noexcept = 0;
  /// Commits. `erased_version`: of the actor, if no row of it is left; else 0.
  virtual void commit(std::unique_ptr<commit_request> request, std::uint64_t erased_version) = 0;
  /// Encoded commits that wait for an earlier one of their actor grew, or shrank, by that much.
  /// Storage does not know of them yet.
  virtual void commit_waits(std::int64_t bytes) noexcept = 0;
  /// Where versions begin in a partition, see `version_floors`.
  [[nodiscard]] virtual std::uint64_t version_floor(partition_id partition) const = 0;

  // Reminders; see `reminder_queue`.
  virtual void set_reminder(const reminder_owner& whose, std::string_view name, wall_time due) = 0;
  virtual void restore_reminder(const reminder_owner& whose, std::string_view name,
                                wall_time due) = 0;
  virtual void cancel_reminder(const reminder_owner& whose, std::string_view name) = 0;
  /// Makes the owner be loaded after a while, although nothing is sent to it.
  virtual void wake_later(const reminder_owner& whose) = 0;

  // What else there is on a silo.
  /// Null when this silo does not host it.
  [[nodiscard]] virtual const actor_type* find_type(std::string_view type) const = 0;
  /// What a call to an actor of that type is made with: of one that others may host no more than
  /// its name. Null when nobody can host it.
  [[nodiscard]] virtual const interface_info* interface_of(const std::string& type) = 0;
  [[nodiscard]] virtual timer_service& timers() noexcept = 0;
  [[nodiscard]] virtual zone_cache& zones() noexcept = 0;
  [[nodiscard]] virtual thread_pool& offload_threads() noexcept = 0;
  /// Sends that have not ended became more, or fewer, by that many.
  virtual void sends_pending(std::int64_t count) noexcept = 0;
  virtual void warn(const std::string& line) const = 0;

protected:
  silo_options options_;
  const clock& time_;
  std::atomic<bool> stopping_{false};

private:
  std::vector<call_filter> filters_;
  std::vector<outgoing_filter> outgoing_filters_;
};

}  // namespace millrace::runtime::detail
