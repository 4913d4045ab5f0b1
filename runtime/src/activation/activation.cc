// SPDX-License-Identifier: MIT
// The activation's life: scheduled, loaded, handling what comes. Its end: ending.cc.
#include "activation/activation.h"
#include "activation/watched_thread.h"

#include <caf/execution_unit.hpp>

#include <algorithm>

#include "activation/running_turn.h"
#include "block_pool.h"

namespace millrace::runtime::detail {

namespace {

// Envelopes handled before other activations get the thread and changes are committed.
constexpr unsigned batch_envelopes_max = 128;

// Reading the clock costs as much as a tenth of a short turn, so it is read whenever messages are
// taken from the mailbox (no older time may judge them) and after so many.
constexpr unsigned clock_read_envelopes = 16;

// Activations run in a row before the thread goes back to CAF's scheduler.
constexpr unsigned hops_max = 64;

// What a scheduler thread is doing. An activation that is woken by the one that runs is run next on
// the same thread: its messages are warm, and handing it to another thread costs a wake-up.
struct worker_context {
  caf::execution_unit* unit;
  const activation_home* silo;  // a turn of one silo may answer a call from an actor of another
  watched_thread& watched;
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

using extra_pool = block_pool<envelope_extra, sizeof(envelope_extra)>;

void* envelope_extra::operator new(std::size_t /*size*/) {
  return extra_pool::take();
}

void envelope_extra::operator delete(void* block) noexcept {
  extra_pool::give(block);
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
  while (auto* same = take_same_key()) {
    drop(same);
  }
}

void commit_envelope::wait() noexcept {
  waiting_bytes = ops.encoded().size();
  owner->home().commit_waits(static_cast<std::int64_t>(waiting_bytes));
}

void commit_envelope::stop_waiting() noexcept {
  if (waiting_bytes > 0) {
    owner->home().commit_waits(-static_cast<std::int64_t>(waiting_bytes));
    waiting_bytes = 0;
  }
}

void commit_envelope::done(result<void> outcome) {
  if (!outcome) {
    failure = std::move(outcome).error();
  }
  owner->post_or_drop(this);
}

std::string running_turn() {
  if (worker == nullptr) {
    return {};
  }
  const auto* one = worker->watched.runs.load(std::memory_order_relaxed);
  const auto* method = worker->watched.method.load(std::memory_order_relaxed);
  return one != nullptr && method != nullptr ? one->actor_name() + "." + method : std::string{};
}

namespace {

thread_local const caught_code* innermost = nullptr;

}  // namespace

caught_code::caught_code(std::string_view author, std::string_view method) noexcept
    : author_(author), method_(method), outer_(std::exchange(innermost, this)) {}

caught_code::~caught_code() {
  innermost = outer_;
}

std::string caught_code::running() {
  if (innermost == nullptr) {
    return {};
  }
  std::string name{innermost->author_};
  if (!innermost->method_.empty()) {
    name += '.';
    name += innermost->method_;
  }
  return name;
}

activation*& activation::constructing() noexcept {
  thread_local activation* one = nullptr;
  return one;
}

activation::activation(caf::actor_config& config, activation_home& home, const actor_type& type,
                       std::string key, const actor_hash& hash)
    : caf::monitorable_actor(config),
      home_(home),
      type_(type),
      key_(std::move(key)),
      hash_(hash),
      partition_(partition_of(type.interface->group, key_, type.interface->affinity,
                              home.rows().partition_count())),
      state_(type.interface->type, key_, hash_),
      turns_(this) {
  open_.open_previous = open_.open_next = &open_;
}

std::string name_of(const envelope& one) {
  return std::string{one.interface->type} + "/" + one.key;
}

error lost_partition(partition_id partition) {
  return {errc::not_primary,
          "this silo does not hold partition " + std::to_string(static_cast<unsigned>(partition))};
}

void activation::begin_loading() {
  if (!is_durable()) {
    post_first(*this, std::vector<row>{});
    return;
  }
  epoch_ = home_.epoch_of(partition_);  // before the rows are read
  lease_ = home_.lease(partition_);
  if (epoch_ == 0) {
    post_first(*this, lost_partition(partition_));
    return;
  }
  auto request = std::make_unique<read_rows>(*this);
  request->partition = partition_;
  request->prefix = state_.rows_prefix();
  request->ranges = durable_state::rows_to_load();
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
  } else if (worker->watched.next.load(std::memory_order_relaxed) == nullptr) {
    worker->watched.next.store(this, std::memory_order_release);
  } else {
    worker->unit->exec_later(this);
  }
}

caf::resumable::resume_result activation::resume(caf::execution_unit* unit, std::size_t) {
  worker_context here{unit, &home_, home_.thread_begins()};
  worker = &here;
  // Where this thread is found blocked, somebody else takes what it was to run next.
  const auto take_next = [&here]() -> activation* {
    auto& next = here.watched.next;
    return next.load(std::memory_order_relaxed) != nullptr
               ? next.exchange(nullptr, std::memory_order_acq_rel)
               : nullptr;
  };
  auto outcome = drain();
  if (outcome == resume_later) {
    keep();
    unit->exec_later(this);  // before the others: one of them may hold this thread
    outcome = awaiting_message;
  }
  for (unsigned hops = 0; hops < hops_max; ++hops) {
    auto* other = take_next();
    other = other != nullptr ? other : home_.take_next();
    if (other == nullptr) {
      break;
    }
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
  if (auto* left = take_next()) {
    unit->exec_later(left);
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
    if (!releasing_ && wants_to_leave()) {
      leave_for(deactivation::idle);
    }
    if (releasing_ || phase_ == phase::deactivating) {
      end_idle();
    }
    if (phase_ == phase::gone) {
      return done;
    }
    if (home_.bounds_memory()) {
      settle_memory();
    }
    if (inbox_.empty() && mailbox_.sleep()) {
      return awaiting_message;
    }
  }
  flush();
  if (phase_ == phase::gone) {
    return done;
  }
  if (home_.bounds_memory()) {
    settle_memory();
  }
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
    case envelope_kind::offload:  // these never arrive
    case envelope_kind::span:
      drop(one);
      return;
    case envelope_kind::loaded:
      loaded(one);
      return;
    case envelope_kind::answers:
      answers_read(one);
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
    case envelope_kind::far_probe:
      far_probed(one);
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
    case envelope_kind::lost:
      drop(one);
      lose_partition();
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

// Whatever it was about to do is another silo's now. What is durable may still be told.
void activation::lose_partition() {
  if (phase_ == phase::loading) {
    lost_ = true;  // the rows are on their way
  } else if (phase_ != phase::failing && phase_ != phase::gone) {
    crash(lost_partition(partition_));
  }
}

void activation::loaded(envelope* one) {
  thread_->meter->made.add();
  auto rows = std::move(static_cast<loaded_envelope*>(one)->rows);
  drop(one);
  if (lost_) {
    rows = lost_partition(partition_);
  }
  if (!rows) {
    crash(std::move(rows).error());
    return;
  }
  if (auto failure = make_object()) {
    crash({errc::internal,
           "making an actor of type " + std::string{interface().type} + " failed: " + *failure});
    return;
  }
  if (auto understood = state_.load(*std::move(rows), home_.time().wall()); !understood) {
    crash(std::move(understood).error());
    return;
  }
  if (state_.is_loaded()) {
    begin_activating();
  } else {
    tend_answers(home_.time().wall());
  }
}

void activation::begin_activating() {
  if (!state_.stored() && is_durable()) {
    state_.begin_at(home_.version_floor(partition_));
  }
  inbox_.append(std::move(early_));
  fill_lanes();
  for (const auto& [name, stored] : state_.reminders()) {
    home_.restore_reminder(as_owner(), name, stored.due);
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
  tend_answers(home_.time().wall());
  auto early = turns_.take_waiting();
  early.append(std::move(inbox_));
  inbox_ = std::move(early);  // they arrive again, now that they may begin
}

void activation::answer_wake() {
  if (phase_ == phase::active && std::exchange(woken_, false)) {
    home_.cancel_reminder(as_owner(), {});
  }
}

}  // namespace millrace::runtime::detail
