// SPDX-License-Identifier: MIT
// Activation: the one live instance of an actor on this silo.
//
// It is a CAF actor with a mailbox of its own: CAF schedules it, envelopes are its messages. In its
// turns it loads the actor's rows, begins methods as admission allows, resumes coroutines as their
// answers arrive, collects what they changed into commits, and lets out what they sent once those
// are durable (the output gate).
#pragma once

#include <caf/monitorable_actor.hpp>
#include <caf/resumable.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "activation/durable_state.h"
#include "activation/envelope.h"
#include "activation/home.h"
#include "activation/mailbox.h"
#include "activation/memory_share.h"
#include "activation/output_gate.h"
#include "activation/send_lanes.h"
#include "activation/turn_queue.h"
#include "millrace/runtime/silo.h"
#include "timers/timer_service.h"

namespace millrace::runtime::detail {

struct commit_envelope;
struct type_meter;
struct watched_thread;

/// One actor type that a silo hosts.
struct actor_type {
  const interface_info* interface;
  actor_factory make;
  capnp::StructSchema (*state)();  ///< Of its root; null when it has none.
  std::size_t index;               ///< From 0, without gaps.
  std::unique_ptr<type_meter> shared_meter;
  bool labels_match = true;  ///< The silo has the type's labels.
};

/// A search for a cycle of waits.
struct deadlock_search {
  std::reference_wrapper<envelope> waiting;  ///< Who asks.
  std::reference_wrapper<envelope> victim;   ///< Which of the calls that wait is to be refused.
  std::shared_ptr<std::atomic<int>> left;    ///< Probes that may still be sent; null: all.
};

/// Threading: `post` and `on_alarm` from any thread; everything else in its own turns.
class activation final : public caf::monitorable_actor,
                         public caf::resumable,
                         public alarm,
                         public memory_share {
public:
  activation(caf::actor_config& config, activation_home& home, const actor_type& type,
             std::string key, const actor_hash& hash);
  activation(const activation&) = delete;
  activation& operator=(const activation&) = delete;
  ~activation() override;

  /// Asks for the rows. Called once, by whoever made it.
  void begin_loading();

  /// Queues an envelope and takes over one reference, unless the mailbox is closed.
  [[nodiscard]] push_outcome post(envelope* one) noexcept { return mailbox_.push(one); }
  /// As `post`, and schedules; drops the envelope when closed.
  void post_or_drop(envelope* one) noexcept;
  /// Whether it has handled everything that came and waits for more. Any thread.
  [[nodiscard]] bool asleep() const noexcept { return mailbox_.reader_sleeps(); }
  /// Makes CAF run it. Takes over one reference.
  void schedule() noexcept;

  /// Reserves a place in the mailbox; false when it is full.
  [[nodiscard]] bool reserve(std::uint32_t limit) noexcept {
    if (queued_.fetch_add(1, std::memory_order_relaxed) < limit) {
      return true;
    }
    queued_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void unreserve() noexcept { queued_.fetch_sub(1, std::memory_order_relaxed); }
  /// Undoes `reserve` for a message that no longer waits, if it was for it.
  void give_place_back(envelope& one) noexcept;

  /// Calls that wait for it or run, for choosing among the activations of one stateless actor.
  [[nodiscard]] std::uint32_t load() const noexcept {
    return queued_.load(std::memory_order_relaxed) + busy_.load(std::memory_order_relaxed);
  }

  /// Whether it has ended; its successor is made only after this is true.
  [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  [[nodiscard]] const actor_hash& hash() const noexcept { return hash_; }
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] const interface_info& interface() const noexcept { return *type_.interface; }
  [[nodiscard]] std::string actor_name() const {
    return std::string{interface().type} + "/" + key_;
  }

  /// What it does now. Threading: any thread. Cost: no lock.
  [[nodiscard]] activation_info observe(steady_time now) const;
  [[nodiscard]] std::uint32_t queued() const noexcept {
    return queued_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const actor_type& type() const noexcept { return type_; }

  /// Makes the actor's object, also to see which maps it has; gives what went wrong. Requires: in a
  /// turn, or nobody else knows the activation.
  [[nodiscard]] std::optional<std::string> make_object();

  // What actor_base needs, in a turn.
  [[nodiscard]] durable_state& state() noexcept { return state_; }
  [[nodiscard]] bool is_durable() const noexcept {
    return interface().placement == actor_placement::partition;
  }
  [[nodiscard]] activation_home& home() noexcept { return home_; }
  void check_may_change() const;
  /// Requires: code of an actor runs.
  [[nodiscard]] envelope& current_turn() const noexcept {
    MILLRACE_ASSERT(current_ != nullptr);
    return *current_;
  }
  /// Whether there are changes that the turn which runs has not made and nobody has seen yet.
  [[nodiscard]] bool changed_before_turn() const noexcept { return changed_before_turn_; }
  void open_call(envelope& turn, call_spec&& spec, waiter& where);
  void open_offload(envelope& turn, std::shared_ptr<offloaded_work> work, waiter& where);
  static void close_waiter(waiter& where) noexcept;
  [[nodiscard]] bool cancelled() const noexcept;
  [[nodiscard]] const request_context& context() const noexcept;
  void wait_for_signal(envelope& turn, const std::string& signal, duration limit, waiter& where);
  [[nodiscard]] bool keeps_notifiers_out(const envelope& turn) const noexcept;
  void notify(std::string_view signal);
  void tell(call_spec&& spec);
  void tell_span(span what);
  void send(call_spec&& spec);
  void set_timer(std::string name, duration after, duration every);
  void cancel_timer(std::string_view name);
  void set_reminder(const std::string& name, stored_reminder what);
  [[nodiscard]] stored_reminder scheduled(const reminder_schedule& when) const;
  void cancel_reminder(std::string_view name);
  void erase_state();
  [[nodiscard]] partition_id partition() const noexcept { return partition_; }
  void stay_active(duration limit);
  void set_idle_timeout(std::optional<duration> limit);
  void deactivate_when_idle() noexcept { leave_for(deactivation::requested); }

  /// Gives up everything it holds. Requires: the scheduler's threads have ended.
  void discard() noexcept;

  /// The activation whose actor is being made on this thread.
  static activation*& constructing() noexcept;

  // caf::resumable and caf::abstract_actor.
  [[nodiscard]] subtype_t subtype() const override { return function_object; }  // see run_queue
  resume_result resume(caf::execution_unit* unit, std::size_t throughput) override;
  void intrusive_ptr_add_ref_impl() override { caf::intrusive_ptr_add_ref(ctrl()); }
  void intrusive_ptr_release_impl() override { caf::intrusive_ptr_release(ctrl()); }
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* host) override;

  // alarm
  void on_alarm() noexcept override;
  void keep() noexcept override { caf::intrusive_ptr_add_ref(ctrl()); }
  void release() noexcept override { caf::intrusive_ptr_release(ctrl()); }

private:
  using phase = activation_phase;

  struct busy_state {
    envelope_kind kind;
    bool any;
    std::uint16_t method;
  };

  struct named_timer {
    std::uint64_t number;  // tells it from earlier ones of that name
    std::string name;
    steady_time due;
    duration every;
    bool queued;
  };

  // activation.cc
  [[nodiscard]] resume_result drain();
  void handle(envelope* one);
  void loaded(envelope* one);
  void begin_activating();
  void activated();
  void answer_wake();
  void lose_partition();
  [[nodiscard]] bool is_of_the_past() const noexcept {
    return is_durable() && home_.epoch_of(partition_) != epoch_;
  }

  // ending.cc
  void leave_for(deactivation why) noexcept;
  void end_idle();
  void settle_memory();
  [[nodiscard]] std::size_t held_bytes() const noexcept;
  void end_waits();
  void finish_deactivation();
  void crash(const error& why);
  void keep_parameters(envelope& turn);
  void give_back(envelope* turn, error why);
  [[nodiscard]] error told_of_commit(const envelope& one, const error& why) const;
  void break_off(const error& why);
  void retire();
  void fail_all(envelope_list list, const error& why);
  void close_open() noexcept;
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] bool wants_to_leave() const noexcept;
  [[nodiscard]] duration idle_timeout() const noexcept;

  void warn(const std::string& text);
  [[nodiscard]] reminder_owner as_owner() const noexcept {
    return {partition_, epoch_, hash_, interface(), key_};
  }

  // deadlock.cc
  void look_for_deadlock(envelope& waiting);
  void chase(deadlock_search search, envelope& kept_out);
  void chase_calls_of(deadlock_search& search, const envelope& turn);
  void probed(envelope* one);
  void refuse_deadlock(envelope* one);
  void refuse_waiting(const envelope& call, const std::string& how);
  void search_silos(steady_time& next);
  void follow(const wait_probe& probe, const envelope& turn);
  void chase_far(const wait_probe& probe, envelope& kept_out);
  void far_probed(envelope* one);

  // turns.cc
  void arrive(envelope* one);
  void pump();
  void begin(envelope* one);
  void run_begun(envelope& turn);
  [[nodiscard]] bool take_up(envelope* one);
  [[nodiscard]] bool answered_from_memory(envelope* one);
  void show_busy(const envelope* turn) noexcept;
  void turn_runs(envelope& turn) noexcept;
  void turn_pauses() noexcept;
  void settle_segment(envelope& turn);
  void settle_effects(envelope& turn);
  void take_back_segment();
  [[nodiscard]] const char* name_of_turn(envelope_kind kind, std::uint16_t method) const noexcept;
  void check_stuck();
  [[nodiscard]] pending_method start_method(envelope& turn);
  void start_turn(envelope& turn);
  void resume_turn(envelope& turn, promise_base* from);
  void run_turn(envelope& turn, promise_base* from);
  void finish(envelope& turn);
  [[nodiscard]] result<any_message> outcome_of(envelope& turn);
  void leave_turns(const envelope& turn);
  void finish_call(envelope& turn, result<any_message> outcome);
  void answer(envelope* one, result<any_message> outcome);

  // keyed_calls.cc
  [[nodiscard]] bool answered_by_key(envelope* one);
  void answer_as_stored(envelope* one, const stored_answer& stored);
  void refuse_other_request(envelope* one);
  void look_up(envelope& turn);
  void looked_up(envelope& turn, const result<std::vector<row>>& rows);
  void begin_in_place_of(envelope& turn, const std::vector<envelope*>& same);
  void give_up_lookups();
  void finish_keyed(envelope& turn, const result<any_message>& outcome);
  void answers_read(envelope* one);
  void tend_answers(wall_time now);

  // reminders.cc
  [[nodiscard]] bool reminder_is_due(envelope& turn);
  void move_reminder(const std::string& name, stored_reminder what, wall_time now);
  void finish_reminder(const envelope& turn, bool failed);
  [[nodiscard]] zone_source zones() const;

  // gate.cc
  void let_out(envelope* one);
  void leave(envelope* one);
  void let_leave();
  void count_answer(const envelope& one) noexcept;
  void flush();
  void bound_changes();
  // Whether what depends on nothing that is unsaved may leave.
  [[nodiscard]] bool may_answer() const noexcept { return lease_ == nullptr || lease_allows(); }
  [[nodiscard]] bool lease_allows() const noexcept;
  void commit_changes();
  void submit(std::unique_ptr<commit_envelope> commit);
  void committed(envelope* one);

  // calls.cc
  void take_answer(envelope* one);
  static void note_effect(const envelope& call, const error* failure) noexcept;
  void note_open_effects() noexcept;
  void resume_waiter(envelope& call);
  void link_open(envelope* one) noexcept;
  static void unlink_open(envelope& one) noexcept;
  void fail_at_once(envelope* call, error why);
  void rang();
  template <class Why>
  void end_open(Why&& why);
  void expire_open();
  void cancel_turn(envelope* one);
  void open(envelope* one, waiter& where);
  void let_filters_see(call_spec& spec);
  void start_offloaded(envelope* one);
  [[nodiscard]] static bool withdrawn(const envelope& turn) noexcept;
  void fire_timers();
  void timer_ended(const envelope& turn);
  void need_alarm(steady_time due);
  [[nodiscard]] named_timer* find_timer(const envelope& turn) noexcept;
  [[nodiscard]] envelope* own_turn(envelope_kind kind, std::string text);

  // sends.cc
  void fill_lanes();
  void dispatch_durable();
  void retry_sends(steady_time& next);
  void dispatch(const due_send& due);
  void send_answered(envelope* one);
  void end_send(const envelope& answer);
  void queue_send(std::uint64_t number);
  void tend_dead_letter(envelope* one);

  activation_home& home_;
  const actor_type& type_;
  const std::string key_;
  const actor_hash hash_;
  const partition_id partition_;
  // The epoch under which this silo served its partition when it was made, and what the silo may do
  // in it; null: it shares the partition with nobody.
  std::uint64_t epoch_ = 0;
  const partition_lease* lease_ = nullptr;

  mailbox mailbox_;
  std::atomic<std::uint32_t> queued_{0};
  std::atomic<std::uint32_t> busy_{0};  // turns that have begun
  std::atomic<bool> ended_{false};

  watched_thread* thread_ = nullptr;  // that runs this turn
  // These are written by its turns and read by anyone.
  std::atomic<phase> phase_{phase::loading};
  std::atomic<busy_state> busy_with_{busy_state{}};  // the oldest turn that has not ended
  std::atomic<steady_time> busy_since_{steady_time{}};
  std::atomic<steady_time> last_used_{steady_time{}};
  bool releasing_ = false;
  bool broken_ = false;  // what its object is like is not known any more
  bool lost_ = false;    // its partition, before it had its rows
  bool woken_ = false;   // by the reminder queue, which has to be told once it is active
  deactivation release_ = deactivation::idle;
  std::optional<error> answer_waiting_with_;  // when it has failed to begin
  std::unique_ptr<actor_base> object_;
  durable_state state_;
  turn_queue turns_;
  envelope* current_ = nullptr;  // the turn whose code runs
  bool changed_before_turn_ = false;
  envelope_list inbox_;  // taken from the mailbox
  envelope_list early_;  // came before the rows

  open_link open_;  // head of the open calls and waits
  steady_time now_{};
  steady_time alarm_due_ = steady_time::max();
  steady_time stay_until_{};
  steady_time next_search_{};             // of calls that wait for each other over silos
  std::optional<duration> idle_timeout_;  // its own
  std::vector<named_timer> timers_;
  std::uint64_t timers_set_ = 0;

  output_gate gate_;
  std::unique_ptr<send_lanes> sends_;
};

/// What its caller is told of a turn that failed: not that nothing was done if something was.
[[nodiscard]] error told_of(const envelope& turn, error why);

/// Brings a probe to who serves that call. Ownership: of one reference, which the caller gets.
[[nodiscard]] envelope* far_probe_of(envelope& call, wait_probe what);

/// Why an actor of a partition that another silo holds cannot be here.
[[nodiscard]] error lost_partition(partition_id partition);

/// Brings an answer to whoever waits for it, and takes over its reference.
void go_back(envelope* one);

/// `type/key` of a message's target.
[[nodiscard]] std::string name_of(const envelope& one);
/// The targets of the chain that ends with a call: `a/1 -> b/2`.
[[nodiscard]] std::string path_of(const envelope& call);

/// A message that a commit has ended.
struct commit_envelope final : commit_request, envelope {
  explicit commit_envelope(activation& one, std::uint64_t seq_of)
      : envelope(envelope_kind::committed), owner(&one), seq(seq_of) {
    one.keep();
  }
  commit_envelope(const commit_envelope&) = delete;
  commit_envelope& operator=(const commit_envelope&) = delete;
  ~commit_envelope() override {
    stop_waiting();
    owner->release();
  }
  /// It is encoded and waits for an earlier commit of its actor: the silo counts it until
  /// `stop_waiting` or its end.
  void wait() noexcept;
  void stop_waiting() noexcept;
  void done(result<void> outcome) override;
  static void* operator new(std::size_t size);
  static void operator delete(void* block) noexcept;
  activation* owner;
  std::uint64_t seq;
  std::uint64_t erased_version = 0;  ///< Of the actor, if no row of it is left; else 0.
  bool is_barrier = false;           ///< It changes nothing; something waits for its end.
  std::size_t waiting_bytes = 0;
};

}  // namespace millrace::runtime::detail
