// SPDX-License-Identifier: MIT
// What leaves this silo, and what becomes of it. What comes from others: router_receiving.cc.
#include "routing/router.h"

#include <iterator>
#include <utility>

#include "activation/activation.h"
#include "routing/router_rules.h"

namespace millrace::runtime::detail {

namespace {

// Of a call that may be repeated, and whose outcome nobody knew that often.
constexpr unsigned repeats_max = 3;

// Some megabytes of small calls: what comes in during a failover of a few seconds. Of large ones as
// much as commits may wait for their disk.
constexpr std::size_t parked_max = 10'000;
constexpr std::int64_t parked_bytes_max = std::int64_t{64} << 20U;

// Of messages that have no deadline.
constexpr duration parked_for_max = std::chrono::milliseconds{call_timeout_ms_default};

// How long a type is looked for that nobody in the map hosts: twice as long as the map may be out
// of date when a hint of the coordination store is lost.
constexpr duration seeking_max = std::chrono::seconds{60};

bool may_leave(const envelope& one) noexcept {
  return one.kind == envelope_kind::call || one.kind == envelope_kind::one_way ||
         one.kind == envelope_kind::forget;
}

call_frame::what kind_of(const envelope& one) noexcept {
  switch (one.kind) {
    case envelope_kind::one_way:
      return call_frame::what::one_way;
    case envelope_kind::forget:
      return call_frame::what::forget;
    default:
      return call_frame::what::call;
  }
}

error refusal_of(peer_send sent, const envelope& call, const std::string& silo) {
  const auto where = name_of(call) + " on silo '" + silo + "'";
  switch (sent) {
    case peer_send::overloaded:
      return {errc::overloaded, "the link to " + where + " is full",
              std::chrono::milliseconds{100}};
    case peer_send::too_large:
      return {errc::too_large, "a message to " + where + " is larger than a link takes"};
    default:
      return {errc::unavailable, where + " cannot be reached now", std::chrono::milliseconds{100}};
  }
}

error stops(const std::string& silo) {
  return {errc::unavailable, "silo '" + silo + "' stops; nothing was done"};
}

// Whether twice is the same as once.
bool may_repeat(const envelope& call) noexcept {
  return only_reads(call) || call.send || !call.text().empty();
}

}  // namespace

router::~router() {
  clear();
}

void router::clear() {
  calls_.clear();
  const auto parked = std::exchange(parked_, {});
  parked_bytes_ = 0;
  for (const auto& each : parked) {
    drop(each.one);
  }
}

void router::join(std::string self, std::uint64_t incarnation, peer_network& peers) {
  self_ = std::move(self);
  incarnation_ = incarnation;
  calls_.begin(incarnation);
  time_of_boot_ = home_.time().wall().time_since_epoch() - home_.time().steady().time_since_epoch();
  peers_ = &peers;
}

void router::set_map(std::shared_ptr<const cluster_map> map) {
  map_.set(std::move(map));
  give_up_moved();
  retry_parked();
}

void router::leave() {
  left_.store(true, std::memory_order_release);
  retry_parked();
}

std::size_t router::parked() const {
  const std::lock_guard lock{mutex_};
  return parked_.size();
}

// --- from here -----------------------------------------------------------------------------------

bool router::leaves(const interface_info& interface, std::string_view key) const {
  if (!joined()) {
    return false;
  }
  const auto host = map_.get().host_of(self_, interface, key);
  return host && *host != self_;
}

bool router::take_joined(envelope* one) {
  if (!may_leave(*one)) {
    return false;
  }
  if (one->kind == envelope_kind::call && one->send && one->send->again && calls_.stand_in(*one)) {
    return true;  // no copy of it goes out beside that of the activation before
  }
  const auto host = host_of(map_.get(), *one);
  if (host && *host == self_) {
    return false;
  }
  if (is_of_peer(*one)) {
    // Whoever made it is told that it has not begun, and looks again.
    home_.answer(one, host ? elsewhere(one->interface->type, one->key, *host, self_)
                           : error{errc::not_primary, host.error().text()});
    return true;
  }
  go_to(host, one, 0);
  return true;
}

// Where it belongs now.
void router::go_on(envelope* one, unsigned repeats) {
  go_to(host_of(map_.get(), *one), one, repeats);
}

// If that is nowhere for the moment, it waits.
void router::go_to(const result<std::string_view>& host, envelope* one, unsigned repeats) {
  if (!host) {
    if (one->interface->placement == actor_placement::partition &&
        !is_named_only(*one->interface)) {
      park(one, repeats);
    } else {
      home_.answer(one, host.error());
    }
  } else if (*host == self_) {
    calls_.forget_id(*one);
    home_.deliver_here(one);
  } else {
    send_away(one, std::string{*host}, {.repeats = repeats});
  }
}

void router::park(envelope* one, unsigned repeats) {
  if (is_of_ended(*one)) {
    drop(one);
    return;
  }
  if (one->deadline == steady_time::max()) {
    one->deadline = home_.time().steady() + parked_for_max;
  }
  one->acted = one->acted || (repeats > 0 && !only_reads(*one));  // wherever it was before
  if (left_.load(std::memory_order_acquire)) {
    home_.answer(one, stops(self_));
    return;
  }
  {
    const auto bytes = bytes_of(*one);
    const std::lock_guard lock{mutex_};
    if (parked_.size() < parked_max && parked_bytes_ + bytes <= parked_bytes_max) {
      parked_.push_back({one, repeats});
      parked_bytes_ += bytes;
      return;
    }
  }
  home_.answer(one, {errc::overloaded,
                     "no silo has " + name_of(*one) + " now, and too many calls wait already",
                     std::chrono::milliseconds{100}});
}

void router::retry_parked() {
  std::vector<parked_message> waiting;
  {
    const std::lock_guard lock{mutex_};
    waiting.swap(parked_);
    parked_bytes_ = 0;
  }
  const auto now = home_.time().steady();
  for (const auto& [one, repeats] : waiting) {
    if (one->deadline <= now) {
      home_.answer(one, {errc::deadline_exceeded,
                         "no silo has taken " + name_of(*one) + " by its deadline" +
                             (one->acted ? ", after one that was lost" : "; it has not begun")});
    } else if (left_.load(std::memory_order_acquire)) {
      home_.answer(one, stops(self_));
    } else {
      go_on(one, repeats);
    }
  }
}

bool router::take_back(envelope* one, const error& why) {
  if (!joined() || why.code() != errc::not_primary || !may_leave(*one) ||
      one->begun != steady_time{} || left_.load(std::memory_order_acquire) || is_of_peer(*one)) {
    return false;
  }
  one->serving = nullptr;
  park(one, 0);
  return true;
}

result<std::string_view> router::host_of(const cluster_map& now, const envelope& one) {
  if (!is_named_only(*one.interface)) {
    return now.host_of(self_, *one.interface, one.key);
  }
  const std::string type{one.interface->type};
  const auto* const who = now.who_knows(type, one.key);
  const auto at = home_.time().steady();
  const std::lock_guard lock{mutex_};
  if (who != nullptr) {
    sought_.erase(type);
    return std::string_view{who->name};
  }
  const auto since = sought_.try_emplace(type, at).first->second;
  return error{at - since < seeking_max ? errc::unavailable : errc::unimplemented,
               "no silo that is in the cluster hosts actors of type '" + type + "'"};
}

bool router::is_of_peer(const envelope& one) const {
  return one.routed() && one.routed().origin != incarnation_;
}

call_frame router::frame_of(const envelope& one) const {
  call_frame frame;
  frame.kind = kind_of(one);
  frame.type = one.interface->type;
  frame.key = one.key;
  frame.method = one.method;
  if (one.deadline != steady_time::max()) {
    frame.time_left = one.deadline - home_.time().steady();
  }
  if (one.send) {
    const auto& mark = *one.send;
    frame.delivery = {mark.sender, mark.number, mark.partition, mark.epoch, mark.again};
  } else {
    frame.idempotency_key = one.text();
  }
  if (one.context) {
    frame.context = *one.context;
  }
  frame.may_return = one.may_return;
  for (const auto* above = one.parent; above != nullptr && frame.chain.size() < chain_links_max;
       above = above->parent) {
    frame.chain.push_back({calls_.id_of(*above), std::string{above->interface->type}, above->key});
  }
  return frame;
}

// The call stays here with its parameters: it may have to be sent to another silo.
void router::send_away(envelope* one, std::string silo, sent_before before) {
  if (one->kind == envelope_kind::call && one->abandoned.load(std::memory_order_relaxed)) {
    home_.answer(one, {errc::cancelled, "the caller no longer waited when the call was to leave"});
    return;
  }
  auto frame = frame_of(*one);
  std::unique_ptr<call_span> span;
  if (one->kind == envelope_kind::call) {
    frame.id = calls_.next_id(*one);
    span = one->context ? sent_span_of(*one, frame, home_.trace(), home_.time()) : nullptr;
  }
  const encoded_frame encoded{frame, one->content};
  if (frame.id && !calls_.open(*one, frame.id, silo, before, std::move(span))) {
    drop(one);
    return;
  }
  const auto sent = peers_->send(silo, frame_kind::call, encoded.bytes());
  if (sent == peer_send::queued) {
    drop(one);
    return;
  }
  if (frame.id) {
    const auto left = calls_.close(frame.id, silo);
    drop(one);
    if (!left) {
      return;  // `lost` has answered it
    }
    one = left->call;  // or what stands in for it
    const auto why = refusal_of(sent, *one, silo);
    end_span(*left, &why);
  }
  if (sent == peer_send::unavailable) {
    park(one, before.repeats);
  } else {
    home_.answer(one, refusal_of(sent, *one, silo));
  }
}

// What a call of a sampled trace came to on another silo. It may go on to a third.
void router::end_span(const open_call& ended, const error* failure) {
  if (ended.span) {
    end_sent_span(*ended.span, *ended.call, ended.silo, home_.trace(), home_.time(), failure);
  }
}

template <class Frame>
bool router::send_behind(const envelope& call, Frame frame_of) {
  if (!joined()) {
    return false;
  }
  const auto sent = calls_.whereabouts(call);
  if (!sent) {
    return false;
  }
  static_cast<void>(
      peers_->send(sent->first, frame_kind::cancel, encoded_frame{frame_of(sent->second)}.bytes()));
  return true;
}

// Where it does not arrive, the call runs to its end or its deadline.
bool router::cancel(const envelope& call) {
  return send_behind(call, [](call_id id) { return cancel_frame{id}; });
}

// Where it does not arrive, the next search is a second later.
bool router::probe(const envelope& call, const wait_probe& what) {
  return send_behind(call, [&what](call_id id) { return probe_frame{id, what}; });
}

wait_mark router::mark_of(envelope& one) {
  const auto since = one.made != steady_time{} ? one.made : one.begun;
  return {(since.time_since_epoch() + time_of_boot_).count(), incarnation_,
          calls_.wait_number_of(one)};
}

void router::receive(std::string_view silo, answer_frame&& frame) {
  const auto answered = calls_.close(frame.id, silo);
  if (!answered) {
    return;
  }
  auto* call = answered->call;
  if (call->send) {
    call->send->settled = frame.settled;
  }
  end_span(*answered, frame.outcome ? nullptr : &frame.outcome.error());
  const auto code = frame.outcome ? errc{} : frame.outcome.error().code();
  const auto [redirects, repeats] = answered->before;
  if (code == errc::not_primary && !left_.load(std::memory_order_acquire)) {
    auto host = redirects < redirects_max ? next_host(map_.get(), *answered, frame) : std::string{};
    if (host.empty()) {
      park(call, repeats);
    } else if (host == self_) {
      go_on(call, repeats);
    } else {
      send_away(call, std::move(host), {redirects + 1, repeats});
    }
    return;
  }
  if (code == errc::outcome_unknown && may_repeat(*call) && repeats < repeats_max) {
    park(call, repeats + 1);
    return;
  }
  home_.bring_back(call, std::move(frame.outcome));
}

// This silo's map, if it says anything new; else what the other has said. That this silo has the
// actor, it must know by itself.
std::string router::next_host(const cluster_map& now, const open_call& asked,
                              const answer_frame& frame) const {
  const auto& call = *asked.call;
  if (!is_named_only(*call.interface)) {
    const auto host = now.host_of(self_, *call.interface, call.key);
    if (host && *host != asked.silo) {
      return std::string{*host};
    }
  }
  return frame.lives_on == self_ || frame.lives_on == asked.silo ? std::string{} : frame.lives_on;
}

// Requires: `is_lost` takes no lock.
template <class Is>
void router::give_up(Is is_lost) {
  for (const auto& each : calls_.close_if(is_lost)) {
    const error why{errc::outcome_unknown, "silo '" + each.silo + "' was lost before " +
                                               name_of(*each.call) + " answered"};
    end_span(each, &why);
    if (may_repeat(*each.call) && each.before.repeats < repeats_max) {
      park(each.call, each.before.repeats + 1);
    } else {
      home_.answer(each.call, why);
    }
  }
}

void router::lost(std::string_view silo) {
  give_up([silo](const open_call& each) { return each.silo == silo; });
}

void router::reaches(std::string_view silo, bool is_reached) {
  {
    const std::lock_guard lock{mutex_};
    if (is_reached) {
      unreached_.erase(std::string{silo});
      return;
    }
    unreached_.insert(std::string{silo});
  }
  give_up_moved();
}

// But for durable sends: as long as there is a session they may still arrive, and their actor be
// back by then.
void router::give_up_moved() {
  const auto& now = map_.get();
  std::set<std::string, std::less<>> unreached;
  {
    const std::lock_guard lock{mutex_};
    unreached = unreached_;
  }
  if (unreached.empty()) {
    return;
  }
  give_up([&](const open_call& each) {
    if (each.call->send || !unreached.contains(each.silo) || is_named_only(*each.call->interface)) {
      return false;
    }
    const auto host = now.host_of(self_, *each.call->interface, each.call->key);
    return host && *host != each.silo;
  });
}

}  // namespace millrace::runtime::detail
