// SPDX-License-Identifier: MIT
// The actor API's side of an activation.
#include "activation/activation.h"
#include "millrace/runtime/state_map.h"

namespace millrace::runtime {

actor_base::actor_base() : activation_(detail::activation::constructing()) {
  MILLRACE_ASSERT(activation_ != nullptr);  // actors are made by their silo only
}

actor_base::~actor_base() = default;

const std::string& actor_base::key() const noexcept {
  return activation_->key();
}

actor_id actor_base::id() const {
  return {std::string{activation_->interface().type}, activation_->key()};
}

wall_time actor_base::now() const {
  return activation_->home().time().wall();
}

const request_context& actor_base::context() const {
  return activation_->context();
}

std::optional<trace_context> actor_base::trace() const {
  return trace_of(context());
}

bool actor_base::samples(const trace_id& trace) const {
  const auto& wanted = activation_->home().options().trace;
  return wanted.sink != nullptr && is_sampled(trace, wanted.ratio);
}

void actor_base::tell_span(span what) {
  if (what.own.is_sampled && activation_->home().options().trace.sink != nullptr) {
    activation_->tell_span(std::move(what));
  }
}

void actor_base::send_spec(call_spec&& spec) {
  activation_->send(std::move(spec));
}
void actor_base::tell_spec(call_spec&& spec) {
  activation_->tell(std::move(spec));
}

namespace {

void check_name(std::string_view name) {
  if (name.empty() || name.size() > name_bytes_max) {
    throw error{errc::invalid_argument, "the name of a timer or reminder has " +
                                            std::to_string(name.size()) + " bytes; 1 to " +
                                            std::to_string(name_bytes_max) + " are allowed"};
  }
}

}  // namespace

void actor_base::set_timer(std::string name, duration after, duration every) {
  check_name(name);
  if (every < duration{}) {
    throw error{errc::invalid_argument, "timer '" + name + "' has a negative period"};
  }
  activation_->set_timer(std::move(name), after, every);
}

void actor_base::cancel_timer(std::string_view name) {
  activation_->cancel_timer(name);
}

void actor_base::set_reminder(std::string name, wall_time due, duration every) {
  set_reminder(std::move(name), {.first = due, .every = every});
}

void actor_base::set_reminder(std::string name, const reminder_schedule& when) {
  check_name(name);
  activation_->check_may_change();
  activation_->set_reminder(name, activation_->scheduled(when));
}

std::vector<reminder_info> actor_base::reminders() const {
  std::vector<reminder_info> all;
  for (const auto& [name, one] : activation_->state().reminders()) {
    all.push_back({name, one.due, one.every, one.cron, one.time_zone});
  }
  return all;
}

void actor_base::cancel_reminder(std::string_view name) {
  activation_->check_may_change();
  activation_->cancel_reminder(name);
}

wall_time actor_base::reminder_due(std::string_view name) const {
  const auto* found = activation_->state().find_reminder(name);
  return found != nullptr ? found->due : wall_time{};
}

void actor_base::notify(std::string_view name) {
  activation_->notify(name);
}

void actor_base::stay_active(duration limit) {
  activation_->stay_active(std::max(limit, duration{}));
}

void actor_base::set_idle_timeout(std::optional<duration> limit) {
  activation_->set_idle_timeout(limit);
}

void actor_base::erase_state() {
  activation_->check_may_change();
  activation_->erase_state();
}

void actor_base::require_version(std::uint64_t expected) const {
  const auto as_expected =
      version() == expected || (expected == 0 && !activation_->state().stored());
  if (!as_expected || activation_->changed_before_turn()) {
    throw error{errc::conflict, id().type + "/" + key() + " is at version " +
                                    std::to_string(version()) + ", not " +
                                    std::to_string(expected) + "; read it again"};
  }
}

bool actor_base::cancelled() const noexcept {
  return activation_->cancelled();
}

reentry_scope actor_base::allow_reentry() {
  return reentry_scope{activation_->current_turn()};
}

reentry_scope::reentry_scope(detail::turn_root& turn) noexcept : turn_(turn) {
  auto& turn_of = static_cast<detail::envelope&>(turn_);
  ++turn_of.reentry_scopes;
  detail::keep(turn_of);  // a coroutine's frame may outlive it
}

reentry_scope::~reentry_scope() {
  auto& turn_of = static_cast<detail::envelope&>(turn_);
  --turn_of.reentry_scopes;
  detail::drop(&turn_of);
}

void actor_base::deactivate_when_idle() {
  activation_->deactivate_when_idle();
}

std::uint64_t actor_base::version() const noexcept {
  return activation_->state().version();
}

message_body& actor_base::state_for_edit() {
  activation_->check_may_change();
  return activation_->state().edit_root();
}

message_body* actor_base::state_body() const noexcept {
  return activation_->state().root();
}

namespace detail {

void activation::check_may_change() const {
  if (!is_durable()) {
    throw error{errc::internal,
                "actors of type " + std::string{type_.interface->type} + " have no durable state"};
  }
  if (current_ != nullptr && declared_admission(*current_) == method_admission::read_only) {
    throw error{errc::internal, std::string{type_.interface->type} + "." +
                                    std::string{type_.interface->methods[current_->method].name} +
                                    " is $readOnly but changes state"};
  }
}

waiter::~waiter() {
  if (open_call != nullptr) {
    activation::close_waiter(*this);
  }
}

void start_call(turn_root& root, call_spec&& spec, waiter& where) {
  auto& turn = static_cast<envelope&>(root);
  turn.serving.load(std::memory_order_relaxed)->open_call(turn, std::move(spec), where);
}

void start_offload(turn_root& root, std::shared_ptr<offloaded_work> work, waiter& where) {
  auto& turn = static_cast<envelope&>(root);
  turn.serving.load(std::memory_order_relaxed)->open_offload(turn, std::move(work), where);
}

void signal_wait::start(promise_base& waiting) {
  join_.waiting = &waiting;
  join_.left = 1;
  where_.joined = &join_;
  auto& turn = static_cast<envelope&>(*waiting.root());
  turn.serving.load(std::memory_order_relaxed)->wait_for_signal(turn, name_, limit_, where_);
}

// --- maps ----------------------------------------------------------------------------------------

map_base::map_base(actor_base& owner, std::string name, schema_source schema)
    : name_(std::move(name)), schema_(schema), activation_(owner.activation_) {
  MILLRACE_ASSERT(!name_.empty() && name_.size() <= name_bytes_max);
  activation_->state().add_map(*this);
}

const map_base::record* map_base::find(std::string_view key) const {
  const auto found = records_.find(key);
  return found != records_.end() && !found->second.erased ? &found->second : nullptr;
}

message_body& map_base::change(std::string_view key, bool& fresh) {
  if (key.empty() || key.size() > map_key_bytes_max) {
    throw error{errc::invalid_argument, "a key of map '" + name_ + "' has " +
                                            std::to_string(key.size()) + " bytes; 1 to " +
                                            std::to_string(map_key_bytes_max) + " are allowed"};
  }
  activation_->check_may_change();
  auto found = records_.find(key);
  const auto absent = found == records_.end();
  if (absent) {
    found = records_.emplace(std::string{key}, record{}).first;
    found->second.erased = true;
  }
  activation_->state().before_change(*this, found, absent);
  auto& one = found->second;
  fresh = one.erased;
  if (fresh) {
    one.version = 0;
    one.edited = content_ref::of_body(std::make_unique<message_body>());
    one.erased = false;
    ++live_;
  } else if (!one.edited) {
    one.edited = content_ref::of_body(
        message_body::from_flat(one.committed ? one.committed->words() : std::string_view{}));
  } else if (one.edited->shared()) {  // what somebody reads, or may be taken back to, stays
    one.edited = content_ref::of_body(one.edited->body()->copy());
  }
  list_changed(found);
  return *one.edited->body();
}

void map_base::list_changed(record_map::iterator one) {
  one->second.dirty = true;
  if (!one->second.listed) {
    one->second.listed = true;
    dirty_.push_back(one);
  }
  activation_->state().map_changed();
}

void map_base::require_version(std::string_view key, std::uint64_t expected) const {
  const auto* found = find(key);
  const auto present = found != nullptr ? found->version : 0;
  const auto changed = found != nullptr && found->dirty && activation_->changed_before_turn();
  if (present != expected || changed) {
    throw error{errc::conflict, "record '" + std::string{key} + "' of map '" + name_ +
                                    "' is at version " + std::to_string(present) + ", not " +
                                    std::to_string(expected) + "; read it again"};
  }
}

void map_base::erase(std::string_view key) {
  activation_->check_may_change();
  const auto found = records_.find(key);
  if (found == records_.end() || found->second.erased) {
    return;
  }
  activation_->state().before_change(*this, found, false);
  auto& one = found->second;
  one.erased = true;
  one.edited.reset();
  --live_;
  list_changed(found);
}

void map_base::erase_all() {
  for (const auto& each : records_) {
    erase(each.first);
  }
}

}  // namespace detail

}  // namespace millrace::runtime
