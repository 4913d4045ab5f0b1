// SPDX-License-Identifier: MIT
#include "millrace/runtime/silo.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "activation/running_turn.h"
#include "block_pool.h"
#include "cluster/cluster_node.h"
#include "millrace/runtime/call_batch.h"
#include "silo/silo_core.h"

namespace millrace::runtime {

namespace {

const system_clock& machine_clock() {
  static const system_clock clock;  // without state
  return clock;
}

// The waiting side of a call from outside. The answer and the deadline race; the first one counts.
class external_call final : public detail::alarm {
public:
  external_call(const detail::silo_core& home, std::function<void(result<any_message>)> done)
      : home_(home), done_(std::move(done)) {}

  /// What it waits for, for texts. Call before it can be answered.
  void name(const detail::envelope& call) noexcept {
    interface_ = call.interface;
    method_ = call.method;
  }

  /// `of`: the call, if it is at hand.
  [[nodiscard]] bool finish(result<any_message> answer, const detail::envelope* of = nullptr) {
    if (finished_.exchange(true)) {
      return false;
    }
    const auto done = std::move(done_);  // it may hold what holds this
    const detail::caught_code named{interface_->type, method_name()};
    try {
      done(std::move(answer));
    } catch (const std::exception& thrown) {
      complain(thrown.what(), of);
    } catch (...) {
      complain("of unknown type", of);
    }
    return true;
  }
  void on_alarm() noexcept override {
    static_cast<void>(finish(error{errc::deadline_exceeded, "no answer by the deadline"}));
  }
  void on_stop() noexcept override {
    static_cast<void>(finish(error{errc::outcome_unknown, "the silo stopped before it answered"}));
  }
  void keep() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete this;
    }
  }

  // Made on the caller's thread, these two die on the silo's.
  static void* operator new(std::size_t);
  static void operator delete(void* block) noexcept;

private:
  // It is the program's own code, on a thread that others need.
  void complain(const std::string& what, const detail::envelope* of) const {
    home_.warn("what was to take an answer threw an exception: " + what +
               (of == nullptr ? " type=" + std::string{interface_->type}
                              : " actor=" + detail::name_of(*of)) +
               " method=" + std::string{method_name()});
  }
  [[nodiscard]] std::string_view method_name() const noexcept {
    return interface_->methods[method_].name;
  }

  const detail::silo_core& home_;
  std::function<void(result<any_message>)> done_;
  const interface_info* interface_ = nullptr;
  std::uint16_t method_ = 0;
  std::atomic<std::uint32_t> references_{1};
  std::atomic<bool> finished_{false};
};

class external_sink final : public detail::answer_sink {
public:
  external_sink(external_call& waiting, detail::timer_service& timers, const detail::envelope& call)
      : waiting_(waiting), timers_(timers), call_(call) {}
  external_sink(const external_sink&) = delete;
  external_sink& operator=(const external_sink&) = delete;
  ~external_sink() override { waiting_.release(); }
  void answered(result<any_message> answer) noexcept override {
    if (waiting_.finish(std::move(answer), &call_)) {
      timers_.disarm(waiting_);
    }
  }

  static void* operator new(std::size_t);
  static void operator delete(void* block) noexcept;

private:
  external_call& waiting_;
  detail::timer_service& timers_;
  const detail::envelope& call_;  // which owns this
};

using call_pool = detail::block_pool<external_call, sizeof(external_call)>;
using sink_pool = detail::block_pool<external_sink, sizeof(external_sink)>;

void* external_call::operator new(std::size_t) {
  return call_pool::take();
}
void external_call::operator delete(void* block) noexcept {
  call_pool::give(block);
}
void* external_sink::operator new(std::size_t) {
  return sink_pool::take();
}
void external_sink::operator delete(void* block) noexcept {
  sink_pool::give(block);
}

// Takes over one reference of each.
void deliver(detail::silo_core& to, detail::envelope* one, external_call& waiting) {
  waiting.name(*one);
  one->sink = std::make_unique<external_sink>(waiting, to.timers(), *one);
  to.timers().arm(waiting, one->deadline);
  to.deliver(one);
}

void deliver(detail::silo_core& to, detail::envelope* one,
             std::function<void(result<any_message>)> done) {
  deliver(to, one, *new external_call{to, std::move(done)});
}

// Requires: the silo does not refuse it.
detail::envelope* make_call(detail::silo_core& to, call_spec&& spec) {
  const auto& method = spec.interface->methods[spec.method];
  const auto limit =
      spec.timeout > duration{} ? spec.timeout : std::chrono::milliseconds{method.timeout_ms};
  auto* call = new detail::envelope{detail::envelope_kind::call};
  call->interface = spec.interface;
  call->key = std::move(spec.key);
  call->method = spec.method;
  call->content = std::move(spec.params);
  call->set_text(std::move(spec.idempotency_key));
  call->context = std::move(spec.context);
  call->made = to.time().steady();
  call->deadline = time_after(call->made, limit);
  return call;
}

// What waits for others must not hold them back.
void flush_calls() noexcept {
  if (auto* const batch = call_batch::current()) {
    batch->flush();
  }
}

// Blocks until `start` has called what it is given. Errors: `failed_precondition` in a turn.
template <class Start>
result<any_message> answer_of(Start&& start) {
  if (const auto turn = detail::running_turn(); !turn.empty()) {
    return error{
        errc::failed_precondition,
        "a call that blocks was made in " + turn +
            ", whose thread others need; in a turn write co_await ref<Type>(key).method(), "
            "or offload what has to block"};
  }
  struct {
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<result<any_message>> answer;
  } shared;
  start([&shared](result<any_message> answer) {
    const std::lock_guard lock{shared.mutex};
    shared.answer.emplace(std::move(answer));
    shared.answered.notify_one();
  });
  flush_calls();
  std::unique_lock lock{shared.mutex};
  shared.answered.wait(lock, [&shared] { return shared.answer.has_value(); });
  return *std::move(shared.answer);
}

result<void> tend_dead_letter(detail::silo_core& silo, detail::envelope_kind how,
                              const actor_id& sender, std::uint64_t number) {
  const auto* type = silo.find_type(sender.type);
  if (type == nullptr) {
    return error{errc::unimplemented, "no actor type '" + sender.type + "' on this silo"};
  }
  if (auto valid = validate_key(sender.key); !valid) {
    return valid;
  }
  if (auto led = silo.epoch_of_led(*type->interface, sender.key); !led) {
    return led.error();
  }
  auto* one = new detail::envelope{how};
  one->interface = type->interface;
  one->key = sender.key;
  one->extra().number = number;
  one->deadline =
      time_after(silo.time().steady(), std::chrono::milliseconds{call_timeout_ms_default});
  auto answer = answer_of([&](auto done) { deliver(silo, one, std::move(done)); });
  return answer ? result<void>{} : std::move(answer).error();
}

}  // namespace

class call_handle::state {
public:
  state(detail::silo_core& silo, external_call& waiting, detail::envelope& call)
      : silo_(silo), waiting_(waiting), call_(call) {
    waiting_.keep();
    detail::keep(call_);
  }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state() {
    detail::drop(&call_);
    waiting_.release();
  }
  void cancel() {
    if (waiting_.finish(error{errc::cancelled, "the caller withdrew the call"})) {
      silo_.timers().disarm(waiting_);
      call_.abandoned = true;
      silo_.cancel(call_);
    }
  }

private:
  detail::silo_core& silo_;
  external_call& waiting_;
  detail::envelope& call_;
};

void call_handle::cancel() {
  if (state_) {
    state_->cancel();
  }
}

silo::silo(std::unique_ptr<storage> rows, silo_options options)
    : silo(std::move(rows), std::move(options), machine_clock()) {}

silo::silo(std::unique_ptr<storage> rows, silo_options options, const clock& time)
    : parts_(std::make_unique<parts>(rows ? std::move(rows) : make_memory_storage(),
                                     std::move(options), time)) {}

silo::~silo() = default;

void silo::add_type(const interface_info& interface, actor_factory make,
                    capnp::StructSchema (*state)()) {
  parts_->add_type(interface, std::move(make), state);
}

void silo::add_filter(call_filter one) {
  parts_->filters().push_back(std::move(one));
}
void silo::add_outgoing_filter(outgoing_filter one) {
  parts_->outgoing_filters().push_back(std::move(one));
}

result<void> silo::start() {
  return parts_->start();
}
void silo::stop(duration grace) {
  flush_calls();
  parts_->stop(grace);
}

void silo::call_then(call_spec spec, std::function<void(result<any_message>)> done) {
  auto refusal = parts_->refusal(spec);
  if (refusal) {
    done(std::move(*refusal));
  } else {
    deliver(*parts_, make_call(*parts_, std::move(spec)), std::move(done));
  }
}

call_handle silo::start_call(call_spec spec, std::function<void(result<any_message>)> done) {
  auto refusal = parts_->refusal(spec);
  if (refusal) {
    done(std::move(*refusal));
    return call_handle{nullptr};
  }
  auto* call = make_call(*parts_, std::move(spec));
  auto* waiting = new external_call{*parts_, std::move(done)};
  auto state = std::make_shared<call_handle::state>(*parts_, *waiting, *call);
  deliver(*parts_, call, *waiting);
  return call_handle{std::move(state)};
}

result<any_message> silo::call_and_wait(call_spec spec) {
  return answer_of([&](auto done) { call_then(std::move(spec), std::move(done)); });
}

void silo::tell_spec(call_spec spec) {
  if (parts_->refusal(spec)) {
    return;
  }
  auto* one = new detail::envelope{detail::envelope_kind::one_way};
  one->interface = spec.interface;
  one->key = std::move(spec.key);
  one->method = spec.method;
  one->content = std::move(spec.params);
  one->context = std::move(spec.context);
  parts_->deliver(one);
}

const interface_info* silo::find_type(std::string_view type) const {
  const auto* found = parts_->find_type(type);
  return found != nullptr ? found->interface : nullptr;
}

std::vector<const interface_info*> silo::types() const {
  std::vector<const interface_info*> all;
  for (const auto& [name, type] : parts_->types()) {
    all.push_back(type.interface);
  }
  return all;
}

result<std::vector<dead_letter>> silo::dead_letters(std::size_t limit) {
  auto placed = parts_->dead_letters({}, limit);
  if (!placed) {
    return std::move(placed).error();
  }
  std::vector<dead_letter> letters;
  for (auto& each : *placed) {
    letters.push_back(std::move(each.letter));
  }
  return letters;
}
result<void> silo::retry_dead_letter(const actor_id& sender, std::uint64_t number) {
  return tend_dead_letter(*parts_, detail::envelope_kind::retry_dead, sender, number);
}
result<void> silo::drop_dead_letter(const actor_id& sender, std::uint64_t number) {
  return tend_dead_letter(*parts_, detail::envelope_kind::drop_dead, sender, number);
}

void silo::time_changed() {
  parts_->reminders().on_alarm();
  parts_->timers().time_changed();
}

bool silo::run_one(std::size_t choice) {
  return parts_->run_one(choice);
}

silo_stats silo::stats() const {
  return parts_->stats();
}
runtime::cluster_view silo::cluster_view() const {
  return parts_->seen_cluster();
}
result<void> silo::drain(drain_purpose purpose) {
  const auto node = parts_->in_cluster();
  return node ? (*node)->take_part(purpose == drain_purpose::decommission ? presence::decommissioned
                                                                          : presence::draining)
              : node.error();
}
result<void> silo::end_drain() {
  const auto node = parts_->in_cluster();
  return node ? (*node)->take_part(presence::active) : node.error();
}
result<void> silo::break_glass(partition_id partition, const std::string& reason,
                               glass_content from) {
  const auto node = parts_->in_cluster();
  return node ? (*node)->break_glass(partition, reason, from) : node.error();
}
result<bool> silo::has_copy(partition_id partition) {
  const auto node = parts_->in_cluster();
  return node ? (*node)->has_copy(partition) : node.error();
}
result<void> silo::acknowledge_loss(partition_id partition) {
  const auto node = parts_->in_cluster();
  return node ? (*node)->acknowledge_loss(partition) : node.error();
}
silo_metrics silo::metrics() {
  return parts_->metrics();
}

result<std::vector<std::string>> silo::hosts_of(const actor_id& actor) const {
  return parts_->hosts_of(actor);
}
result<activation_list> silo::activations(std::string_view type, const list_page& page) {
  return parts_->activations(type, page);
}
result<stored_list> silo::stored_actors(std::string_view type, const list_page& page) {
  return parts_->stored_actors(type, page);
}
result<actor_state> silo::state_of(const actor_id& actor, const state_request& wanted) {
  return parts_->state_of(actor, wanted);
}
result<bool> silo::deactivate(const actor_id& actor) {
  return parts_->deactivate(actor);
}

storage& silo::rows() {
  return parts_->rows();
}
const clock& silo::time() const {
  return parts_->time();
}
const trace_options& silo::trace() const {
  return parts_->options().trace;
}
const std::string& silo::name() const {
  return parts_->options().name;
}

}  // namespace millrace::runtime
