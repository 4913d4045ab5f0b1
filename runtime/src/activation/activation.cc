// SPDX-License-Identifier: MIT
// The activation's life: scheduled, loaded, idle, gone.
#include "activation/activation.h"

#include <caf/execution_unit.hpp>

#include <algorithm>

#include "block_pool.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// Envelopes handled before other activations get the thread and changes are committed.
constexpr unsigned batch_envelopes_max = 128;

// Reading the clock costs as much as a tenth of a short turn, so it is read whenever messages are
// taken from the mailbox (no older time may judge them) and after so many.
constexpr unsigned clock_read_envelopes = 16;

// What an activation holds beside its state: `bench_runtime --only memory` measures about as much.
constexpr std::size_t activation_bytes = 1024;

// Activations run in a row through the run-next slot before the thread goes back to the queue.
constexpr unsigned hops_max = 64;

// What a scheduler thread is doing. An activation that is woken by the one that runs is run next on
// the same thread: its messages are warm, and handing it to another thread costs a wake-up.
struct worker_context {
  caf::execution_unit* unit;
  const silo_core* silo;  // a turn of one silo may answer a call from an actor of another
  watched_thread& watched;
  activation* next = nullptr;
};
thread_local worker_context* worker = nullptr;

struct read_rows final : read_request {
  explicit read_rows(activation& one) : owner(one) { owner.keep(); }
  read_rows(const read_rows&) = delete;
  read_rows& operator=(const read_rows&) = delete;
  ~read_rows() override { owner.release(); }
  void done(result<std::vector<row>> rows) override;
  activation& owner;
};

struct loaded_envelope final : envelope {
  explicit loaded_envelope(result<std::vector<row>> what)
      : envelope(envelope_kind::loaded), rows(std::move(what)) {}
  result<std::vector<row>> rows;
};

// A new activation is not asleep but waits for this message to be scheduled for the first time.
void post_first(activation& to, result<std::vector<row>> rows) {
  if (to.post(new loaded_envelope{std::move(rows)}) != push_outcome::closed) {
    to.keep();
    to.schedule();
  }
}

void read_rows::done(result<std::vector<row>> rows) {
  post_first(owner, std::move(rows));
  delete this;
}

}  // namespace

using envelope_pool = block_pool<envelope, sizeof(envelope)>;

void* envelope::operator new(std::size_t size) {
  return size == sizeof(envelope) ? envelope_pool::take() : ::operator new(size);
}

void envelope::operator delete(void* block, std::size_t size) noexcept {
  size == sizeof(envelope) ? envelope_pool::give(block) : ::operator delete(block);
}

using commit_pool = block_pool<commit_envelope, sizeof(commit_envelope)>;

void* commit_envelope::operator new(std::size_t) {
  return commit_pool::take();
}

void commit_envelope::operator delete(void* block) noexcept {
  commit_pool::give(block);
}

envelope::~envelope() {
  if (sink) {
    sink->answered(error{errc::outcome_unknown, "the silo stopped before the call was answered"});
  }
  if (caller != nullptr) {
    caller->release();
  }
  drop(parent);
  while (auto* same = std::exchange(same_key, nullptr)) {
    same_key = std::exchange(same->same_key, nullptr);
    drop(same);
  }
}

void commit_envelope::done(result<void> outcome) {
  if (!outcome) {
    failure = std::move(outcome).error();
  }
  owner->post_or_drop(this);
}

activation*& activation::constructing() noexcept {
  thread_local activation* one = nullptr;
  return one;
}

activation::activation(caf::actor_config& config, silo_core& home, const actor_type& type,
                       std::string key, const actor_hash& hash)
    : caf::monitorable_actor(config),
      home_(home),
      type_(type),
      key_(std::move(key)),
      hash_(hash),
      partition_(partition_of(type.interface->group, key_, type.interface->affinity,
                              home.rows().partition_count())),
      state_(type.interface->type, key_, hash_) {
  open_.open_previous = open_.open_next = &open_;
}

activation::~activation() {
  discard();
}

void activation::discard() noexcept {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    static_cast<envelope&>(*link).abandoned = true;  // nobody is told any more
  }
  for (auto* turn : running_) {
    turn->running.reset();  // frames first: they unlink what they wait for
  }
  for (auto* turn : std::exchange(running_, {})) {
    drop(turn);
  }
  close_open();
  for (auto* list : {&inbox_, &waiting_, &returning_, &early_, &closed_, &pending_out_,
                     &after_tidying_, &gated_}) {
    *list = {};
  }
  envelope_list rest;
  mailbox_.close(rest);
}

void activation::close_open() noexcept {
  while (open_.open_next != &open_) {
    auto& left = static_cast<envelope&>(*open_.open_next);
    left.abandoned = true;
    unlink_open(left);
    drop(&left);
  }
}

std::string name_of(const envelope& one) {
  return std::string{one.interface->type} + "/" + one.key;
}

void activation::begin_loading() {
  if (!is_durable()) {
    post_first(*this, std::vector<row>{});
    return;
  }
  auto request = std::make_unique<read_rows>(*this);
  request->partition = partition_;
  request->prefix = actor_prefix(hash_);
  home_.rows().read(std::move(request));
}

// --- scheduling ----------------------------------------------------------------------------------

void activation::enqueue(caf::mailbox_element_ptr, caf::execution_unit*) {}  // no CAF messages

void activation::post_or_drop(envelope* one) noexcept {
  switch (post(one)) {
    case push_outcome::queued:
      return;
    case push_outcome::wake:
      keep();
      schedule();
      return;
    case push_outcome::closed:
      drop(one);
      return;
  }
}

void activation::schedule() noexcept {
  if (worker == nullptr || worker->silo != &home_) {
    home_.run_later(*this);
  } else if (worker->next == nullptr) {
    worker->next = this;
  } else {
    worker->unit->exec_later(this);
  }
}

caf::resumable::resume_result activation::resume(caf::execution_unit* unit, std::size_t) {
  worker_context here{unit, &home_, home_.watch().own()};
  worker = &here;
  const auto outcome = drain();
  for (unsigned hops = 0; here.next != nullptr && hops < hops_max; ++hops) {
    auto* other = std::exchange(here.next, nullptr);
    if (other->drain() == resume_later) {
      unit->exec_later(other);
    } else {
      other->release();
    }
  }
  worker = nullptr;
  if (here.watched.timer.pending()) {
    here.watched.timer.clock_read(home_.time().steady());
  }
  here.watched.runs.store(nullptr, std::memory_order_release);
  if (here.next != nullptr) {
    unit->exec_later(here.next);
  }
  return outcome;
}

caf::resumable::resume_result activation::drain() {
  if (phase_ == phase::gone) {
    return done;
  }
  thread_ = &worker->watched;
  thread_->meter = thread_->meters[type_.index].get();
  thread_->begin(*this);
  for (unsigned handled = 0; handled < batch_envelopes_max;) {
    const auto taken = inbox_.empty() && mailbox_.take(inbox_);
    if (auto* one = inbox_.pop()) {
      if (taken || handled % clock_read_envelopes == 0) {
        now_ = home_.time().steady();
        thread_->timer.clock_read(now_);
      }
      ++handled;
      handle(one);
      bound_changes();
      pump();
      if (phase_ == phase::gone) {
        return done;
      }
      continue;
    }
    flush();
    end_idle();
    if (phase_ == phase::gone) {
      return done;
    }
    settle_memory();
    if (inbox_.empty() && mailbox_.sleep()) {
      return awaiting_message;
    }
  }
  flush();
  if (phase_ == phase::gone) {
    return done;
  }
  settle_memory();
  return resume_later;
}

void activation::show_busy(const envelope* turn) noexcept {
  if (turn == nullptr) {
    busy_with_.store({}, std::memory_order_relaxed);
    return;
  }
  busy_with_.store({turn->kind, true, turn->method}, std::memory_order_relaxed);
  busy_since_.store(turn->begun, std::memory_order_relaxed);
}

activation_info activation::observe(steady_time now) const {
  const auto since = [now](const std::atomic<steady_time>& then) {
    return std::max(now - then.load(std::memory_order_relaxed), duration{});
  };
  activation_info seen;
  seen.key = key_;
  seen.phase = phase_.load(std::memory_order_relaxed);
  seen.queued = queued();
  seen.bytes = bytes();
  if (const auto turn = busy_with_.load(std::memory_order_relaxed); turn.any) {
    seen.method = name_of_turn(turn.kind, turn.method);
    seen.busy = since(busy_since_);
  } else if (seen.phase != phase::loading) {
    seen.idle = since(last_used_);
  }
  return seen;
}

void activation::handle(envelope* one) {
  switch (one->kind) {
    case envelope_kind::call:
    case envelope_kind::one_way:
    case envelope_kind::reminder:
    case envelope_kind::timer:
    case envelope_kind::activate:
    case envelope_kind::deactivate:
      arrive(one);
      return;
    case envelope_kind::answer:
      take_answer(one);
      return;
    case envelope_kind::wait:
      resume_waiter(*one);
      drop(one);
      return;
    case envelope_kind::offload:  // never arrives
      drop(one);
      return;
    case envelope_kind::loaded:
      loaded(one);
      return;
    case envelope_kind::committed:
      committed(one);
      return;
    case envelope_kind::cancel:
      cancel_turn(one);
      return;
    case envelope_kind::probe:
      probed(one);
      return;
    case envelope_kind::deadlock:
      refuse_deadlock(one);
      return;
    case envelope_kind::alarm:
      drop(one);
      rang();
      return;
    case envelope_kind::wake:
      drop(one);
      woken_ = true;
      answer_wake();
      return;
    case envelope_kind::release:
      drop(one);
      leave_for(home_.stopping() ? deactivation::stopping : deactivation::requested);
      return;
    case envelope_kind::evict:
      drop(one);
      if (asked() && phase_ == phase::active && !releasing_ && stay_until_ <= now_ && idle()) {
        leave_for(deactivation::idle);
      }
      return;
    case envelope_kind::retry_dead:
    case envelope_kind::drop_dead:
      tend_dead_letter(one);
      return;
    case envelope_kind::forget:
      if (phase_ == phase::loading) {
        early_.push(one);  // what it names has not been read yet
        return;
      }
      state_.forget_received(one->send->sender, one->send->number);
      drop(one);
      return;
  }
}

void activation::warn(const std::string& text) {
  home_.warn(text + " actor=" + actor_name());
}

// --- beginning -----------------------------------------------------------------------------------

// Gives what went wrong. The factory is the host's: it may do anything.
std::optional<std::string> activation::make_object() {
  std::optional<std::string> failure;
  constructing() = this;
  try {
    object_ = type_.make();
    if (!object_) {
      failure = "it gave none";
    }
  } catch (const error& thrown) {
    failure = thrown.to_string();
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  } catch (...) {
    failure = "exception of unknown type";
  }
  constructing() = nullptr;
  return failure;
}

void activation::loaded(envelope* one) {
  thread_->meter->made.add();
  auto rows = std::move(static_cast<loaded_envelope*>(one)->rows);
  drop(one);
  if (!rows) {
    crash(std::move(rows).error());
    return;
  }
  if (auto failure = make_object()) {
    crash({errc::internal,
           "making an actor of type " + std::string{interface().type} + " failed: " + *failure});
    return;
  }
  if (auto understood = state_.load(*std::move(rows)); !understood) {
    crash(std::move(understood).error());
    return;
  }
  inbox_.append(std::move(early_));
  fill_lanes();
  for (const auto& [name, stored] : state_.reminders()) {
    home_.reminders().restore(as_owner(), name, stored.due);
  }
  if (home_.stopping()) {
    leave_for(deactivation::stopping);
  }
  phase_ = phase::activating;
  last_used_.store(now_, std::memory_order_relaxed);
  need_alarm(time_after(now_, idle_timeout()));
  begin(own_turn(envelope_kind::activate, {}));
}

void activation::activated() {
  phase_ = phase::active;
  woken_ = woken_ || state_.has_duties();
  answer_wake();
  auto early = std::move(waiting_);
  early.append(std::move(inbox_));
  inbox_ = std::move(early);  // they arrive again, now that they may begin
}

void activation::answer_wake() {
  if (phase_ == phase::active && std::exchange(woken_, false)) {
    home_.reminders().cancel(hash_, {});
  }
}

// --- ending --------------------------------------------------------------------------------------

duration activation::idle_timeout() const noexcept {
  const auto own = std::chrono::milliseconds{interface().idle_timeout_ms};
  return own.count() > 0 ? own : home_.options().idle_timeout;
}

bool activation::idle() const noexcept {
  const auto sends_wait = outgoing_ && !outgoing_->lanes.empty() && !home_.stopping();
  return running_.empty() && waiting_.empty() && returning_.empty() && inbox_.empty() &&
         open_.open_next == &open_ && !sends_wait;
}

void activation::settle_memory() {
  if (!home_.memory().on() || phase_ == phase::loading) {
    return;
  }
  auto as = phase_ == phase::deactivating ? standing::leaving : standing::busy;
  if (phase_ == phase::active && !releasing_ && idle()) {
    if (stay_until_ <= now_) {
      as = standing::idle;
    } else {
      need_alarm(stay_until_);
    }
  }
  home_.memory().settle(*this, activation_bytes + key_.size() + state_.bytes(), as, last_used_);
}

void activation::give_place_back(envelope& one) noexcept {
  if (std::exchange(one.counted, false)) {
    unreserve();
    if (home_.memory().on()) {
      home_.memory().queued(-bytes_of(one));
    }
  }
}

void activation::leave_for(deactivation why) noexcept {
  if (!releasing_ || release_ != deactivation::stopping) {
    release_ = why;
    releasing_ = true;
  }
}

// Long polls would hold a stopping silo up: their time is over, and so is their turns'.
void activation::end_waits() {
  for (auto* link = open_.open_next; link != &open_; link = link->open_next) {
    auto& wait = static_cast<envelope&>(*link);
    if (wait.is_wait && !wait.abandoned.exchange(true)) {
      wait.failure = error{errc::unavailable, "the silo stops"};
      wait.where->propagate = true;
      detail::keep(wait);
      inbox_.push(&wait);
    }
  }
}

void activation::end_idle() {
  if (releasing_ && release_ == deactivation::stopping) {
    end_waits();
  }
  if (phase_ == phase::active && releasing_ && idle()) {
    phase_ = phase::deactivating;
    begin(own_turn(envelope_kind::deactivate, {}));
  }
  if (phase_ == phase::deactivating && running_.empty()) {
    finish_deactivation();
  }
}

void activation::finish_deactivation() {
  if (state_.changed() && submitted_ == durable_) {
    commit_changes();
    if (phase_ == phase::gone) {
      return;
    }
  }
  if (submitted_ != durable_ || !gated_.empty()) {
    return;  // `committed` comes back here
  }
  auto& reason = release_ == deactivation::idle && asked()
                     ? thread_->meter->evicted
                     : thread_->meter->deactivated[static_cast<std::size_t>(release_)];
  reason.add();
  retire();
}

void activation::crash(const error& why) {
  const auto was = phase_.load();
  thread_->meter->failed.add();
  if (was != phase::loading) {
    warn("activation ended error=" + why.to_string());
  }
  if (state_.has_duties() && !home_.stopping()) {
    home_.reminders().wake_later(as_owner());
  }
  // Frames first: they unlink what they wait for.
  for (auto* turn : running_) {
    turn->running.reset();
  }
  for (auto* turn : std::exchange(running_, {})) {
    turn->content = {};
    home_.answer(turn, why);
  }
  show_busy(nullptr);
  fail_all(pending_out_, why);
  if (phase_ == phase::loading || phase_ == phase::activating) {
    answer_waiting_with_ = why;
  }
  if (submitted_ != durable_) {
    phase_ = phase::failing;  // what comes after must not read older rows; `committed` goes on
    return;
  }
  fail_all(gated_, why);
  retire();
}

// Answers what would have left; what is not an answer never leaves.
void activation::fail_all(envelope_list& list, const error& why) {
  while (auto* one = list.pop()) {
    if (one->kind == envelope_kind::answer && one->caller != this) {
      one->content = {};
      home_.answer(one, why);
    } else {
      one->abandoned = true;
      drop(one);
    }
  }
}

void activation::retire() {
  phase_ = phase::gone;
  ended_.store(true, std::memory_order_release);
  keep();  // the directory may hold the last other reference
  home_.leave_directory(*this);
  home_.memory().leave(*this);
  home_.timers().disarm(*this);
  close_open();
  if (outgoing_) {
    for (const auto& [target, one] : outgoing_->lanes) {
      home_.counters().sends_pending.fetch_sub(static_cast<std::int64_t>(one.items.size()),
                                               std::memory_order_relaxed);
    }
  }
  object_.reset();
  envelope_list rest = std::move(early_);
  rest.append(std::move(returning_));
  rest.append(std::move(waiting_));
  rest.append(std::move(inbox_));
  mailbox_.close(rest);
  while (auto* one = rest.pop()) {
    const auto is_own = one->kind == envelope_kind::timer || one->kind == envelope_kind::activate ||
                        one->kind == envelope_kind::deactivate ||
                        one->kind == envelope_kind::answer || one->kind == envelope_kind::wait ||
                        one->kind == envelope_kind::committed ||
                        one->kind == envelope_kind::cancel || one->kind == envelope_kind::alarm ||
                        one->kind == envelope_kind::release || one->kind == envelope_kind::evict ||
                        one->kind == envelope_kind::probe || one->kind == envelope_kind::deadlock;
    give_place_back(*one);
    if (is_own) {
      drop(one);
    } else if (answer_waiting_with_) {
      home_.answer(one, *answer_waiting_with_);
    } else {
      one->serving = nullptr;
      home_.deliver(one);
    }
  }
  release();
}

}  // namespace millrace::runtime::detail
