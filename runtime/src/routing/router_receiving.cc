// SPDX-License-Identifier: MIT
// What comes to this silo from others, and what they are answered.
#include "activation/activation.h"
#include "block_pool.h"
#include "routing/router.h"
#include "routing/router_rules.h"

namespace millrace::runtime::detail {

namespace {

// Of types that others name; a cluster has a few dozen.
constexpr std::size_t stand_ins_max = 1024;

envelope_kind kind_of(call_frame::what kind) noexcept {
  switch (kind) {
    case call_frame::what::one_way:
      return envelope_kind::one_way;
    case call_frame::what::forget:
      return envelope_kind::forget;
    case call_frame::what::call:
      break;
  }
  return envelope_kind::call;
}

}  // namespace

// Where the answer of a call goes that has come from another silo.
class router::answer_to_peer final : public answer_sink {
public:
  answer_to_peer(router& home, std::string silo, const envelope& call)
      : home_(home), silo_(std::move(silo)), call_(call) {}
  answer_to_peer(const answer_to_peer&) = delete;
  answer_to_peer& operator=(const answer_to_peer&) = delete;
  ~answer_to_peer() override = default;
  void answered(result<any_message> answer) noexcept override {
    home_.send_answer(silo_, call_, std::move(answer));
  }

  // One of each call, which dies on another thread.
  static void* operator new(std::size_t size);
  static void operator delete(void* block) noexcept;

private:
  router& home_;
  const std::string silo_;
  const envelope& call_;  // which owns this
};

void* router::answer_to_peer::operator new(std::size_t /*size*/) {
  return block_pool<answer_to_peer, sizeof(answer_to_peer)>::take();
}

void router::answer_to_peer::operator delete(void* block) noexcept {
  block_pool<answer_to_peer, sizeof(answer_to_peer)>::give(block);
}

result<void> router::received(std::string_view silo, std::uint64_t incarnation, std::uint16_t kind,
                              std::string_view body) {
  auto decoded = decode_frame(kind, body);
  if (!decoded) {
    peers_->give_up(silo);  // it may have been an answer
    return std::move(decoded).error();
  }
  if (auto* call = std::get_if<call_frame>(&*decoded)) {
    receive(silo, incarnation, std::move(*call));
  } else if (auto* answer = std::get_if<answer_frame>(&*decoded)) {
    receive(silo, std::move(*answer));
  } else if (auto* probe = std::get_if<probe_frame>(&*decoded)) {
    receive(incarnation, std::move(*probe));
  } else {
    receive(incarnation, std::get<cancel_frame>(*decoded));
  }
  return {};
}

void router::refuse(std::string_view silo, call_frame& frame, error why,
                    std::string_view lives_on) {
  if (frame.id) {
    static_cast<void>(tell(silo, {frame.id, std::move(why), false, std::string{lives_on}}));
  } else if (!lives_on.empty() && lives_on != self_ && frame.forwards++ < redirects_max) {
    static_cast<void>(
        peers_->send(lives_on, frame_kind::call, encoded_frame{frame, frame.params}.bytes()));
  }
}

void router::receive(std::string_view silo, std::uint64_t incarnation, call_frame&& frame) {
  const auto* type = home_.find_type(frame.type);
  const auto& now = map_.get();
  if (type == nullptr || frame.method >= type->interface->methods.size()) {
    // Of a type that others host this silo may be the primary: it waits for one that has it all.
    const auto* const who = type == nullptr ? now.who_knows(frame.type, frame.key) : nullptr;
    refuse(silo, frame,
           {who != nullptr ? errc::unavailable : errc::unimplemented,
            "no actor type '" + frame.type + "' with that method on silo '" + self_ + "'"},
           frame.id || who == nullptr ? std::string_view{} : who->name);
    return;
  }
  const auto host = now.host_of(self_, *type->interface, frame.key);
  if (host && *host != self_) {
    refuse(silo, frame, elsewhere(frame.type, frame.key, *host, self_), *host);
    return;
  }
  if (left_.load(std::memory_order_acquire)) {
    // It has not begun, and whoever made it looks for another silo.
    refuse(silo, frame, {errc::not_primary, "silo '" + self_ + "' stops"});
    return;
  }
  if (frame.kind != call_frame::what::forget) {
    if (auto why = home_.overload(*type, frame.method)) {
      refuse(silo, frame, *std::move(why));
      return;
    }
  } else if (type->interface->placement != actor_placement::partition) {
    return;  // who sent it knew no more than the name; these remember nothing
  }
  auto* one = new envelope{kind_of(frame.kind)};
  one->interface = type->interface;
  one->key = std::move(frame.key);
  one->method = frame.method;
  one->content = std::move(frame.params);
  one->made = home_.time().steady();
  one->deadline = frame.time_left ? time_after(one->made, *frame.time_left) : steady_time::max();
  one->set_text(std::move(frame.idempotency_key));
  if (!frame.context.empty()) {
    one->context = std::make_shared<const request_context>(std::move(frame.context));
  }
  if (frame.delivery) {
    const auto& mark = *frame.delivery;
    one->send = send_mark{.sender = mark.sender,
                          .number = mark.number,
                          .partition = mark.partition,
                          .epoch = mark.epoch,
                          .again = mark.again};
  }
  one->may_return = frame.may_return;
  if (frame.id && frame.kind == call_frame::what::call) {
    one->sink = std::make_unique<answer_to_peer>(*this, std::string{silo}, *one);
    calls_.serve(*one, {incarnation, frame.id.number});
  }
  one->parent = parent_of(frame.chain);
  home_.deliver_here(one);
}

void router::receive(std::uint64_t incarnation, const cancel_frame& frame) {
  auto* const call = calls_.served({incarnation, frame.id.number});
  if (call != nullptr) {
    call->abandoned = true;
    home_.cancel(*call);
    drop(call);
  }
}

void router::receive(std::uint64_t incarnation, probe_frame&& frame) {
  auto* const call = calls_.served({incarnation, frame.call.number});
  if (call != nullptr) {
    home_.probe(*call, std::move(frame.probe));
    drop(call);
  }
}

void router::send_answer(const std::string& silo, const envelope& call,
                         result<any_message> outcome) {
  const auto id = call.routed();
  auto* const served = calls_.end_serving(id);
  const auto settled = call.send && call.send->settled;
  std::string lives_on;
  if (!outcome && outcome.error().code() == errc::not_primary) {
    const auto host = map_.get().host_of(self_, *call.interface, call.key);
    lives_on = host && *host != self_ ? *host : std::string_view{};
  }
  if (tell(silo, {id, std::move(outcome), settled, lives_on}) == peer_send::too_large) {
    const error why{only_reads(call) ? errc::too_large : errc::outcome_unknown,
                    "the answer of " + name_of(call) + " is larger than a link takes"};
    static_cast<void>(tell(silo, {id, why, settled, {}}));
  }
  drop(served);
}

// Whoever waits for an answer that cannot be sent has to learn that none comes.
peer_send router::tell(std::string_view silo, const answer_frame& answer) {
  const auto sent = peers_->send(silo, frame_kind::answer, encoded_frame{answer}.bytes());
  if (sent == peer_send::overloaded) {
    peers_->give_up(silo);
  }
  return sent;
}

// Gives a reference; null for an empty chain.
envelope* router::parent_of(const std::vector<chain_link>& chain) {
  envelope* parent = nullptr;
  std::size_t unknown = 0;
  while (unknown < chain.size() && parent == nullptr) {
    parent = calls_.find(chain[unknown].id);
    unknown += parent == nullptr ? 1 : 0;
  }
  for (; unknown > 0; --unknown) {
    const auto& link = chain[unknown - 1];
    auto* below = new envelope{envelope_kind::call};
    below->interface = &stand_in(link.type);
    below->key = link.key;
    below->extra().routed = link.id;
    below->parent = parent;
    parent = below;
  }
  return parent;
}

const interface_info& router::stand_in(const std::string& type) {
  if (const auto* hosted = home_.find_type(type)) {
    return *hosted->interface;
  }
  bool has_room = false;
  {
    const std::lock_guard lock{mutex_};
    has_room = stand_ins_.size() < stand_ins_max || stand_ins_.contains(type);
  }
  return *named_only(has_room ? type : "?");
}

const interface_info* router::named_only(const std::string& type) {
  if (!joined()) {
    return nullptr;
  }
  const std::lock_guard lock{mutex_};
  const auto [found, fresh] = stand_ins_.try_emplace(type);
  found->second.type = found->first;
  return &found->second;
}

}  // namespace millrace::runtime::detail
