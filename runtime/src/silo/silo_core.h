// SPDX-License-Identifier: MIT
// Silo core: what the activations of one silo share.
#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "activation/activation.h"
#include "activation/home.h"
#include "millrace/runtime/dead_letter_list.h"
#include "millrace/runtime/silo.h"
#include "offload/thread_pool.h"
#include "routing/router.h"
#include "schedule/zone_cache.h"
#include "silo/directory.h"
#include "silo/memory_budget.h"
#include "silo/memory_return.h"
#include "silo/reminder_queue.h"
#include "silo/run_queue.h"
#include "silo/spare_threads.h"
#include "silo/thread_watch.h"
#include "silo/version_floors.h"
#include "timers/timer_service.h"

namespace millrace::runtime::detail {

class cluster_node;
class surroundings;

/// What is not counted by type; the rest is in `type_meter`.
struct silo_counters {
  std::atomic<std::uint64_t> overloaded_total{0};
  std::atomic<std::int64_t> sends_pending{0};
  std::atomic<std::uint64_t> stuck_threads_total{0};
};

/// In which a silo serves its partitions that shares them with nobody.
inline constexpr std::uint64_t epoch_alone = 1;

/// Threading: after `start`, any thread.
class silo_core : public activation_home, public routed_home {
public:
  silo_core(std::unique_ptr<storage> rows, silo_options options, const clock& time);
  silo_core(const silo_core&) = delete;
  silo_core& operator=(const silo_core&) = delete;
  ~silo_core() override;

  void add_type(const interface_info& interface, actor_factory make,
                capnp::StructSchema (*state)());
  /// In the place of the real ones, for tests. Requires: not started; they outlive it.
  void live_in(surroundings& around) noexcept { around_ = &around; }
  [[nodiscard]] result<void> start();
  void stop(duration grace);
  bool run_one(std::size_t choice);  ///< See silo.h.
  /// Ends as a process does that is killed: nobody is told, nothing more is committed.
  void abandon();

  /// Its cluster has gone on without it: it serves nothing any more.
  void expelled();
  [[nodiscard]] cluster_view seen_cluster() const;
  /// Null: it is in none.
  [[nodiscard]] cluster_node* node() noexcept { return cluster_.get(); }
  /// Its part in the cluster, for operators; an error when it is in none.
  [[nodiscard]] result<cluster_node*> in_cluster() const;

  /// Null when this silo does not host it.
  [[nodiscard]] const actor_type* find_type(const interface_info* interface) const;
  [[nodiscard]] const actor_type* find_type(std::string_view type) const override;
  [[nodiscard]] const std::map<std::string, actor_type, std::less<>>& types() const {
    return types_;
  }

  /// From now on storage says which partitions this silo leads, and what it may do with them: it
  /// holds none until `take_over`. Requires: it has not started, and storage has a side of a
  /// cluster.
  void share_partitions();

  /// Serves a partition in an epoch: its reminders and sends are seen to, its actors may be
  /// activated. What is left of another epoch is discarded. Errors: those of a scan.
  [[nodiscard]] result<void> take_over(partition_id partition, std::uint64_t epoch);

  /// No longer holds a partition. Its activations end at once and without their hooks; what has not
  /// left them never does. Whoever waits for them, or calls later, gets `not_primary`, or
  /// `outcome_unknown` where something may have been done. Its reminders are forgotten; all of it
  /// is in its rows. Idempotent. Cost: O(activations).
  void discard(partition_id partition);

  /// Why an actor does not live on this silo, if so.
  [[nodiscard]] std::optional<error> misplaced(const actor_type& type, std::string_view key) const;

  /// Why a call from outside cannot be taken now, if so.
  [[nodiscard]] std::optional<error> refusal(const call_spec& spec);
  [[nodiscard]] std::optional<error> overload(const actor_type& type,
                                              std::uint16_t method) override;

  // What activations ask of it, see home.h.
  void deliver(envelope* one) override {
    if (!router_.take(one)) {
      deliver_here(one);
    }
  }
  void answer(envelope* one, error why) override;
  void tell_server(const envelope& call, envelope* what) override;
  void cancel(envelope& call) override;
  [[nodiscard]] bool has_peers() const noexcept override { return router_.joined(); }
  [[nodiscard]] wait_mark mark_of(envelope& one) override { return router_.mark_of(one); }
  void probe(envelope& call, wait_probe what) override;
  [[nodiscard]] watched_thread& thread_begins() override;
  void run_later(activation& one) override;
  void hand_over(std::span<activation* const> all) noexcept override { queue_.push(all); }
  [[nodiscard]] activation* take_next() noexcept override { return queue_.pop(); }
  void ended(activation& one, std::size_t bytes) override;
  void settle_memory(memory_share& one, std::size_t bytes, memory_share::standing as,
                     steady_time used) override {
    memory_.settle(one, bytes, as, used);
  }
  void queued(std::int64_t bytes) noexcept override { memory_.queued(bytes); }
  [[nodiscard]] std::uint64_t epoch_of(partition_id partition) const noexcept override {
    return held_[static_cast<std::size_t>(partition)].load(std::memory_order_acquire);
  }
  [[nodiscard]] const partition_lease* lease(partition_id partition) const noexcept override;
  [[nodiscard]] storage& rows() noexcept override { return *rows_; }
  void commit(std::unique_ptr<commit_request> request, std::uint64_t erased_version) override;
  void commit_waits(std::int64_t bytes) noexcept override;
  [[nodiscard]] std::uint64_t version_floor(partition_id partition) const override {
    return floors_.of(partition);
  }
  void set_reminder(const reminder_owner& whose, std::string_view name, wall_time due) override {
    reminders_.set(whose, name, due);
  }
  void restore_reminder(const reminder_owner& whose, std::string_view name,
                        wall_time due) override {
    reminders_.restore(whose, name, due);
  }
  void cancel_reminder(const reminder_owner& whose, std::string_view name) override {
    reminders_.cancel(whose, name);
  }
  void wake_later(const reminder_owner& whose) override { reminders_.wake_later(whose); }
  [[nodiscard]] const interface_info* interface_of(const std::string& type) override {
    const auto* hosted = find_type(type);
    return hosted != nullptr ? hosted->interface : router_.named_only(type);
  }
  [[nodiscard]] timer_service& timers() noexcept override { return timers_; }
  [[nodiscard]] zone_cache& zones() noexcept override { return zones_; }
  [[nodiscard]] thread_pool& offload_threads() noexcept override { return offload_threads_; }
  void sends_pending(std::int64_t count) noexcept override {
    counters_.sends_pending.fetch_add(count, std::memory_order_relaxed);
  }
  void warn(const std::string& line) const override;
  /// Where warnings go that nobody wants.
  static void warn_by_default(std::string_view line);
  void log(const std::string& line) const;

  // See silo.h.
  /// See dead_letter_list.h.
  [[nodiscard]] result<std::vector<placed_dead_letter>> dead_letters(std::string_view cursor,
                                                                     std::size_t limit);
  [[nodiscard]] silo_stats stats() const;
  [[nodiscard]] silo_metrics metrics();
  [[nodiscard]] result<std::vector<std::string>> hosts_of(const actor_id& actor) const;
  [[nodiscard]] result<activation_list> activations(std::string_view type, const list_page& page);
  [[nodiscard]] result<stored_list> stored_actors(std::string_view type, const list_page& page);
  [[nodiscard]] result<actor_state> state_of(const actor_id& actor, const state_request& wanted);
  [[nodiscard]] result<bool> deactivate(const actor_id& actor);

  /// In which epoch this silo has the actors of the partition of that one; 0 for a type that has no
  /// partition. Errors: `not_primary`.
  [[nodiscard]] result<std::uint64_t> epoch_of_led(const interface_info& interface,
                                                   std::string_view key) const;

  /// Names an activation of this silo, given its address; "an actor that ends" when it has left the
  /// directory. Cost: O(activations).
  [[nodiscard]] std::string name_at(const activation* where);

  /// Names an activation that has something to do; empty when all are asleep. See `test_silo`.
  [[nodiscard]] std::string name_of_awake();

  // What the router asks of it.
  [[nodiscard]] const clock& time() const noexcept override { return activation_home::time(); }
  [[nodiscard]] const trace_options& trace() const noexcept override { return options_.trace; }
  void deliver_here(envelope* one) override;
  void bring_back(envelope* one, result<any_message> outcome) override;
  [[nodiscard]] router& routes() noexcept { return router_; }

  [[nodiscard]] thread_watch& watch() noexcept { return watch_; }
  [[nodiscard]] spare_threads& spares() noexcept { return spares_; }
  [[nodiscard]] caf::scheduler::abstract_coordinator& scheduler() { return system_->scheduler(); }
  [[nodiscard]] run_queue& queue() noexcept { return queue_; }
  [[nodiscard]] reminder_queue& reminders() noexcept { return reminders_; }
  [[nodiscard]] memory_budget& memory() noexcept { return memory_; }
  [[nodiscard]] version_floors& floors() noexcept { return floors_; }
  [[nodiscard]] memory_return& returned() noexcept { return returned_; }
  [[nodiscard]] silo_counters& counters() noexcept { return counters_; }

private:
  [[nodiscard]] result<void> take_over_all();
  [[nodiscard]] result<void> hold(partition_id partition, std::uint64_t epoch);
  void end_parts();
  void return_unserved(envelope* one);
  // For a call of that method.
  [[nodiscard]] bool disk_is_behind(const actor_type& type, std::uint16_t method) const;
  [[nodiscard]] result<void> recover(partition_id partition, std::uint64_t epoch);
  [[nodiscard]] result<void> read_dead_letter(partition_id partition, const row& indexed,
                                              std::vector<placed_dead_letter>& to);
  [[nodiscard]] std::uint16_t workers_of(const interface_info& interface) const noexcept;
  void count_refusal(const envelope& call, const error& why) noexcept;
  [[nodiscard]] std::vector<type_metrics> counted(silo_metrics& into) const;
  [[nodiscard]] silo_stats totals_of(const std::vector<type_metrics>& types) const;
  [[nodiscard]] result<const actor_type*> hosted(std::string_view type) const;
  [[nodiscard]] result<std::vector<durable_state::map_info>> maps_of(const actor_type& type,
                                                                     const actor_id& actor);
  [[nodiscard]] result<std::string> root_json(const actor_type& type, const actor_id& actor,
                                              partition_id partition);
  [[nodiscard]] result<map_state> read_map(const durable_state::map_info& map,
                                           const actor_id& actor, partition_id partition,
                                           const state_request& wanted);
  [[nodiscard]] result<actor_state> read_state(const actor_type& type, const actor_id& actor,
                                               partition_id partition, const state_request& wanted);
  [[nodiscard]] activation* make(const actor_type& type, std::string key, const actor_hash& hash);

  surroundings* around_ = nullptr;         // null: the real ones
  std::unique_ptr<cluster_node> cluster_;  // outlives storage, which calls it
  std::unique_ptr<storage> rows_;
  const replication* shared_ = nullptr;           // null: all partitions are this silo's alone
  std::vector<std::atomic<std::uint64_t>> held_;  // by partition: in which epoch; 0: not held
  const steady_time made_at_;
  std::map<std::string, actor_type, std::less<>> types_;
  std::unordered_map<const interface_info*, const actor_type*> by_interface_;
  std::atomic<bool> accepting_{false};
  std::atomic<std::int64_t> waiting_commit_bytes_{0};
  std::once_flag stopped_;
  silo_counters counters_;
  std::unique_ptr<caf::actor_system_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  directory directory_;
  run_queue queue_;
  router router_{*this};
  version_floors floors_;
  memory_budget memory_;
  memory_return returned_;
  timer_service timers_;
  reminder_queue reminders_;
  zone_cache zones_;
  thread_watch watch_;
  thread_pool offload_threads_;
  spare_threads spares_;
};

}  // namespace millrace::runtime::detail

namespace millrace::runtime {

class silo::parts : public detail::silo_core {
public:
  using silo_core::silo_core;
};

}  // namespace millrace::runtime
