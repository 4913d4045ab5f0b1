// SPDX-License-Identifier: MIT
// A silo: the part of a process in which actors live.
//
// The host program opens storage, makes a silo, adds the actor types it can host and starts it:
//
//     auto rows = open_storage({.directory = "data"});
//     silo here{std::move(*rows)};
//     here.add<counter>();
//     here.start();
//     auto answer = here.call(ref<Counter>("c1").add(5));   // result<add_results>
//
// No signal handler, logger or other global of the host program is taken. Several silos may live in
// one process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/actor.h"
#include "millrace/runtime/call.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/cluster.h"
#include "millrace/runtime/filter.h"
#include "millrace/runtime/inspect.h"
#include "millrace/runtime/interface.h"
#include "millrace/runtime/metrics.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/storage.h"
#include "millrace/runtime/trace.h"

namespace millrace::runtime {

namespace detail {
struct silo_access;
}

/// What a silo may be told.
struct silo_options {
  unsigned threads = 0;                              ///< That run turns; 0: one a core.
  std::uint32_t mailbox_messages_max = 10'000;       ///< Of one activation; past it `overloaded`.
  duration idle_timeout = std::chrono::minutes{15};  ///< After which an activation is collected.
  /// What activations may hold together; 0: no bound. Past it idle ones are collected, the longest
  /// unused first, until an eighth is free. One that runs a turn, waits in one, has sends on their
  /// way or asked to stay (`actor_base::stay_active`) is never collected; a timer keeps none. When
  /// none is idle the silo warns once and goes on. Counted, about: 1 KiB an activation, its key,
  /// its records and what else it has stored as of their last commit, and the calls in its mailbox;
  /// not what its class allocates by itself, nor what storage holds (see `storage_options`).
  std::size_t memory_budget_bytes = 0;
  std::size_t offload_threads_max = 16;  ///< For functions that actors offload; made on demand.
  std::size_t offload_queue_max = 1024;  ///< Functions that wait for one; past it `overloaded`.
  /// Threads that may run beside while turns hold all of `threads` and others wait (for 100 ms, by
  /// the machine's time): to block in a turn is a bug, which a warning names, and others go on.
  unsigned spare_threads_max = 8;
  std::string name = "silo";             ///< Of this silo; $siloBound actors have it in their key.
  std::vector<std::string> labels = {};  ///< Of this silo; $labels types ask for some.
  /// A turn that holds its thread, or keeps others from beginning, for longer is warned of; an
  /// activation whose turn keeps others out for ten times as long is given up, and what waited goes
  /// to a fresh one.
  duration stuck_after = std::chrono::seconds{5};
  /// How long a send is tried again whose receiver cannot take it (`unavailable`, `overloaded`, an
  /// unknown outcome), and keeps back the later ones of that pair: then it is a dead letter.
  /// Counted from the first try that this silo has seen fail. A warning comes after a minute.
  duration send_retry_max = std::chrono::hours{24};
  /// Nothing runs but within `silo::run_one`, `silo::stop` and `silo::time_changed`, on the thread
  /// that calls them: for tests in which the order of everything is their own. `threads` counts for
  /// nothing then.
  bool by_hand = false;
  /// Where warnings go (one line, no newline); unset: standard error. Called from any thread.
  std::function<void(std::string_view)> warn = {};
  /// Where goes what an operator would date but need not act on, likewise; unset: nowhere.
  std::function<void(std::string_view)> log = {};
  /// Makes it a silo of a cluster; see cluster.h. Its `name` is unique there then, 1 to 64 letters,
  /// digits and `-_.`.
  std::optional<cluster_options> cluster = {};
  /// Where spans go, see trace.h; by default nowhere.
  trace_options trace = {};
};

/// Makes one actor object; called for each activation.
using actor_factory = std::function<std::unique_ptr<actor_base>()>;

/// A call made with `silo::start_call`.
///
/// Threading: any thread. Requires: the silo lives.
class call_handle {
public:
  class state;
  /// For the silo.
  explicit call_handle(std::shared_ptr<state> of) noexcept : state_(std::move(of)) {}

  /// Withdraws the call unless it has been answered: the caller's answer is `cancelled`, a method
  /// that has not begun never will, and one that runs is told (`actor_base::cancelled`), unless
  /// others wait for it with the same idempotency key. Calls `done` before it returns.
  void cancel();

private:
  std::shared_ptr<state> state_;
};

/// A send that was given up; see `actor_base::send`.
struct dead_letter {
  actor_id sender;           ///< Who sent it.
  std::uint64_t number = 0;  ///< Names it among its sender's.
  actor_id target;           ///< Who did not take it.
  std::string method;        ///< snake_case; `@n` when this silo does not know the type.
  std::string params;        ///< As JSON; empty when this silo does not know the type.
  std::string error_text;    ///< Of the last try.
};

/// See the head of this file.
///
/// Threading: `add` before `start`, from one thread; everything else from any thread that is not
/// running a turn. One that runs by hand: one thread, and none of the calls that block.
class silo {
public:
  /// Ownership: the silo owns `rows` and stops it. Null: rows in memory, for a silo of a cluster
  /// that has no partitions itself. `time` must outlive the silo.
  explicit silo(std::unique_ptr<storage> rows, silo_options options = {});
  /// The same by a clock of the caller's, such as one that tests move.
  silo(std::unique_ptr<storage> rows, silo_options options, const clock& time);
  silo(const silo&) = delete;
  silo& operator=(const silo&) = delete;
  ~silo();

  /// Makes an actor type known. Actor is default-constructible, or `make` makes it.
  /// Requires: not started; one class a type.
  template <class Actor>
  void add() {
    add_type(
        Actor::interface_of(), [] { return std::make_unique<Actor>(); }, state_schema<Actor>());
  }
  /// The same for an actor that needs parts: `make` is called for each activation, on any thread.
  template <class Actor>
  void add(std::function<std::unique_ptr<Actor>()> make) {
    add_type(
        Actor::interface_of(),
        [make = std::move(make)]() -> std::unique_ptr<actor_base> { return make(); },
        state_schema<Actor>());
  }

  /// Puts code around every call that arrives; see filter.h. Requires: not started.
  void add_filter(call_filter one);
  /// Puts code before every call that leaves an actor; see filter.h. Requires: not started.
  void add_outgoing_filter(outgoing_filter one);

  /// Recovers what was pending (reminders, sends) and begins to serve. In a cluster: joins, and
  /// serves each partition from when it is told that it leads it.
  /// Errors: `storage_failed`; in a cluster `invalid_argument` and `failed_precondition` for
  /// options that cannot be or do not fit the cluster, or a data directory that belongs to another,
  /// `conflict` when a silo of its name is in, `unavailable` when the store or a silo that is in
  /// cannot be reached.
  [[nodiscard]] result<void> start();

  /// In a cluster, hands over what it leads, and leaves (at most `grace`, as below); where writes
  /// would lack copies without it, it waits for a silo that is on its way into the set. Then:
  /// refuses new calls (`unavailable`), lets running turns end (at most `grace`; callers of the
  /// rest get `outcome_unknown`), deactivates what is active, makes every commit durable, stops
  /// storage. Idempotent.
  void stop(duration grace = std::chrono::seconds{10});

  /// Calls an actor and blocks for the answer.
  /// Errors: those of the method and of calls in general (see error.h).
  template <class T>
  result<T> call(runtime::call<T> one) {
    auto answer = call_and_wait(std::move(one.spec()));
    if (!answer) {
      return std::move(answer).error();
    }
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return T{*std::move(answer)};
    }
  }

  /// Calls an actor; `done` is called once, on a thread of the silo or within this call, and must
  /// not block. What it throws is warned of and goes no further.
  void call_then(call_spec spec, std::function<void(result<any_message>)> done);

  /// As `call_then`, and gives the means to cancel the call.
  call_handle start_call(call_spec spec, std::function<void(result<any_message>)> done);

  /// The same with the type of the answer.
  template <class T, std::invocable<result<T>> Done>
  void call_then(runtime::call<T> one, Done done) {
    call_then(std::move(one.spec()), [done = std::move(done)](result<any_message> answer) mutable {
      if (!answer) {
        done(result<T>{std::move(answer).error()});
      } else if constexpr (std::is_void_v<T>) {
        done(result<T>{});
      } else {
        done(result<T>{T{*std::move(answer)}});
      }
    });
  }

  /// Sends without an answer: at most once, not durable. It is lost without a word where the
  /// actor's silo is, cannot be reached, or takes no more.
  template <class T>
  void tell(runtime::call<T> one) {
    tell_spec(std::move(one.spec()));
  }

  /// The interface of a hosted type; null when there is none of that name.
  [[nodiscard]] const interface_info* find_type(std::string_view type) const;
  /// Every hosted type, by name.
  [[nodiscard]] std::vector<const interface_info*> types() const;

  /// At most `limit` dead letters of this silo, in a cluster of the senders that it has, by
  /// partition and sender. Blocks for the disk. Errors: `storage_failed`, `unavailable`.
  [[nodiscard]] result<std::vector<dead_letter>> dead_letters(std::size_t limit = 100);

  /// Sends it again, after what its sender has sent since to the same receiver; it takes effect
  /// once. Blocks. Errors: `not_found`, `not_primary` when another silo has the sender, and those
  /// of calls in general.
  [[nodiscard]] result<void> retry_dead_letter(const actor_id& sender, std::uint64_t number);

  /// Forgets it. Blocks. Errors: as above.
  [[nodiscard]] result<void> drop_dead_letter(const actor_id& sender, std::uint64_t number);

  /// For a clock that is moved by hand: fires what is due now.
  void time_changed();

  /// For a silo that runs by hand: runs one of the activations that are ready, or an offloaded
  /// function when none is; `choice`, modulo how many are ready, says which. False when nothing is.
  bool run_one(std::size_t choice = 0);

  /// Totals of this moment. Cost: O(methods x threads).
  [[nodiscard]] silo_stats stats() const;

  /// The cluster as this silo sees it.
  [[nodiscard]] runtime::cluster_view cluster_view() const;

  // What an operator may do in a cluster. These block for the coordination store. Errors, beside
  // those named: `failed_precondition` for a silo that is in no cluster, those of the store.

  /// Hands over what it leads, and from then on leads only what no other silo could, until
  /// `end_drain` or its next start. It stays in, and keeps its copies; with
  /// `drain_purpose::decommission` they move to other silos, where there are more than copies.
  /// Returns when the others know of it; `cluster_view` tells when it is done.
  [[nodiscard]] result<void> drain(drain_purpose purpose = drain_purpose::pause);
  /// Takes part again; one whose disk is full, once there is room. No effect if it does not drain.
  [[nodiscard]] result<void> end_drain();

  /// Has this silo's copy lead the partition although it may lack what was committed: that is lost
  /// then. For a partition that no copy with everything can lead any more. Returns when that is
  /// decided; its primary answers moments later.
  /// Errors: `invalid_argument` (no such partition, no reason), `failed_precondition` (a silo that
  /// is in leads it, there is nothing of it here, or the copy is being filled), `conflict` (another
  /// change came first: look again). With `glass_content::nothing` it is refused where there is
  /// something of it here; that no other silo has a copy is for the caller to see to (`has_copy`).
  [[nodiscard]] result<void> break_glass(partition_id partition, const std::string& reason,
                                         glass_content from = glass_content::copy);
  /// Whether there is anything of the partition here that it could go on from. Errors:
  /// `invalid_argument` (no such partition). Time: waits for the journal thread.
  [[nodiscard]] result<bool> has_copy(partition_id partition);
  /// Notes that somebody has seen what the partition may have lost. Any silo of the cluster may.
  /// Errors: `invalid_argument` (no such partition), `failed_precondition` (nothing was lost).
  [[nodiscard]] result<void> acknowledge_loss(partition_id partition);

  /// All figures of this moment. Cost: O(activations), about 0.1 us each; takes turns with
  /// deliveries.
  [[nodiscard]] silo_metrics metrics();

  // What an operator may see and do; see inspect.h. Errors, beside those named: `unimplemented` for
  // a type that this silo does not host, `invalid_argument` for a cursor or key that cannot be.

  /// On which silos of its cluster an actor lives, by name, as this silo sees it: on one, those of
  /// a type that may live on several (stateless, by labels) on all of these. Without a cluster:
  /// here.
  /// Errors: `unavailable` when no silo has it now.
  [[nodiscard]] result<std::vector<std::string>> hosts_of(const actor_id& actor) const;

  /// Cost: as `metrics`, for the part of the directory that the page comes from.
  [[nodiscard]] result<activation_list> activations(std::string_view type,
                                                    const list_page& page = {});

  /// Looks through the rows of all types: blocks for the disk, at most a second or so a page.
  /// Errors: `storage_failed`, `unavailable`.
  [[nodiscard]] result<stored_list> stored_actors(std::string_view type,
                                                  const list_page& page = {});

  /// Blocks for the disk. Makes an object of the actor's class, to see which maps it has, and
  /// destroys it; no hook runs. Linearizable: nothing is shown that a later primary may have
  /// changed before the call. Errors: `not_found` for an actor without anything stored or a map
  /// that its class has not, `not_primary` when another silo has it (`hosts_of`), `storage_failed`,
  /// `unavailable` (also when this silo cannot be sure that it still has it).
  [[nodiscard]] result<actor_state> state_of(const actor_id& actor,
                                             const state_request& wanted = {});

  /// Asks its activation, or each of a stateless actor's, to end once it has nothing to do; false
  /// when there is none. Does not wait. Errors: `not_primary` when another silo has it.
  [[nodiscard]] result<bool> deactivate(const actor_id& actor);
  /// The storage it was given.
  [[nodiscard]] storage& rows();
  /// The clock it lives by.
  [[nodiscard]] const clock& time() const;
  /// `silo_options::name`.
  [[nodiscard]] const std::string& name() const;
  /// `silo_options::trace`.
  [[nodiscard]] const trace_options& trace() const;

private:
  friend struct detail::silo_access;
  using schema_source = capnp::StructSchema (*)();
  template <class Actor>
  [[nodiscard]] static schema_source state_schema() {
    if constexpr (requires { typename Actor::state_type; }) {
      return [] { return capnp::StructSchema{capnp::Schema::from<typename Actor::state_type>()}; };
    } else {
      return nullptr;
    }
  }
  void add_type(const interface_info& interface, actor_factory make, schema_source state);
  result<any_message> call_and_wait(call_spec spec);
  void tell_spec(call_spec spec);

  class parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::runtime
