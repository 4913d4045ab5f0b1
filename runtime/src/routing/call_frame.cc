// SPDX-License-Identifier: MIT
#include "routing/call_frame.h"

#include <capnp/any.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "message_bytes.h"
#include "millrace/routing.capnp.h"

namespace millrace::runtime {

namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
constexpr std::uint64_t no_deadline = std::numeric_limits<std::uint64_t>::max();

// A builder of small messages, which asks the heap for nothing. It clears what it has used.
class small_message {
public:
  capnp::MallocMessageBuilder& operator*() noexcept { return message_; }
  capnp::MallocMessageBuilder* operator->() noexcept { return &message_; }

private:
  std::array<capnp::word, 96> first_{};
  capnp::MallocMessageBuilder message_{kj::ArrayPtr<capnp::word>{first_.data(), first_.size()}};
};

void put(capnp::Data::Builder into, const std::string& flat) {
  std::memcpy(into.begin(), flat.data(), flat.size());
}

void put(schemas::RoutedCallId::Builder into, const call_id& id) {
  into.setOrigin(id.origin);
  into.setNumber(id.number);
}

call_id read(schemas::RoutedCallId::Reader from) {
  return {from.getOrigin(), from.getNumber()};
}

// A builder believes what its segment says, so the content is read, which checks every pointer, and
// copied.
any_message message_of(capnp::Data::Reader flat) {
  if (flat.size() == 0) {
    return {};
  }
  KJ_REQUIRE(flat.size() % word_bytes == 0, "a message is no whole number of words");
  const auto words = words_of(view_of(flat));
  const kj::ArrayPtr<const capnp::word> segment = words;
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 4 * words.size() + 64;
  capnp::SegmentArrayMessageReader message{kj::arrayPtr(&segment, 1), limits};
  const auto root = message.getRoot<capnp::AnyPointer>();
  KJ_REQUIRE(root.isNull() || root.isStruct(), "a message is no struct");
  auto body = std::make_unique<message_body>();
  body->setRoot(root);
  return any_message{std::move(body)};
}

call_frame read_call(schemas::RoutedCall::Reader from) {
  call_frame call;
  KJ_REQUIRE(from.getKind() <= schemas::RoutedCall::Kind::FORGET, "it is of an unknown kind");
  call.kind = static_cast<call_frame::what>(from.getKind());
  call.id = read(from.getId());
  call.type = text_of(from.getType());
  call.key = text_of(from.getKey());
  KJ_REQUIRE(validate_key(call.key).has_value(), "its key is none");
  call.method = from.getMethod();
  call.params = message_of(from.getParams());
  if (const auto left = from.getTimeLeft(); left != no_deadline) {
    constexpr auto longest = static_cast<std::uint64_t>(duration::max().count());
    call.time_left = duration{static_cast<duration::rep>(std::min(left, longest))};
  }
  call.idempotency_key = text_of(from.getIdempotencyKey());
  KJ_REQUIRE(call.idempotency_key.size() <= idempotency_key_bytes_max,
             "its idempotency key is too long");
  for (const auto each : from.getContext()) {
    call.context.emplace(text_of(each.getName()), text_of(each.getValue()));
  }
  if (from.hasDelivery()) {
    const auto mark = from.getDelivery();
    call.delivery = {{mark.getSenderHigh(), mark.getSenderLow()},
                     mark.getNumber(),
                     partition_id{mark.getPartition()},
                     mark.getEpoch(),
                     mark.getAgain()};
  }
  KJ_REQUIRE(call.delivery.has_value() || call.kind != call_frame::what::forget,
             "it names no send");
  KJ_REQUIRE(from.getChain().size() <= chain_links_max, "its chain is too long");
  for (const auto each : from.getChain()) {
    call.chain.push_back({read(each.getId()), text_of(each.getType()), text_of(each.getKey())});
  }
  call.may_return = from.getMayReturn();
  call.forwards = from.getForwards();
  return call;
}

answer_frame read_answer(schemas::RoutedAnswer::Reader from) {
  answer_frame answer;
  answer.id = read(from.getId());
  answer.settled = from.getSettled();
  answer.lives_on = text_of(from.getLivesOn());
  if (from.isResults()) {
    answer.outcome = message_of(from.getResults());
    return answer;
  }
  const auto failure = from.getFailure();
  const auto code = errc{failure.getCode()};
  const auto is_known = errc_from_string(to_string(code)) == code;
  answer.outcome = error{is_known ? code : errc::internal, text_of(failure.getText()),
                         std::chrono::duration_cast<std::chrono::milliseconds>(
                             duration{static_cast<duration::rep>(failure.getRetryAfter())})};
  return answer;
}

routed_frame read_frame(frame_kind kind, capnp::MessageReader& message) {
  switch (kind) {
    case frame_kind::call:
      return read_call(message.getRoot<schemas::RoutedCall>());
    case frame_kind::answer:
      return read_answer(message.getRoot<schemas::RoutedAnswer>());
    case frame_kind::cancel:
      return cancel_frame{read(message.getRoot<schemas::RoutedCancel>().getId())};
    case frame_kind::replica:
      break;
  }
  KJ_FAIL_REQUIRE("it is of an unknown kind");
}

}  // namespace

std::string encode(const call_frame& frame, const std::string& params) {
  small_message message;
  auto made = message->initRoot<schemas::RoutedCall>();
  made.setKind(static_cast<schemas::RoutedCall::Kind>(frame.kind));
  put(made.initId(), frame.id);
  made.setType(frame.type);
  made.setKey(frame.key);
  made.setMethod(frame.method);
  if (!params.empty()) {
    put(made.initParams(static_cast<unsigned>(params.size())), params);
  }
  if (frame.time_left) {
    made.setTimeLeft(static_cast<std::uint64_t>(std::max(*frame.time_left, duration{}).count()));
  }
  if (!frame.idempotency_key.empty()) {
    made.setIdempotencyKey(frame.idempotency_key);
  }
  auto context = made.initContext(static_cast<unsigned>(frame.context.size()));
  unsigned at = 0;
  for (const auto& [name, value] : frame.context) {
    context[at].setName(name);
    context[at++].setValue(value);
  }
  if (frame.delivery) {
    auto mark = made.initDelivery();
    mark.setSenderHigh(frame.delivery->sender.high);
    mark.setSenderLow(frame.delivery->sender.low);
    mark.setNumber(frame.delivery->number);
    mark.setPartition(static_cast<std::uint16_t>(frame.delivery->partition));
    mark.setEpoch(frame.delivery->epoch);
    mark.setAgain(frame.delivery->again);
  }
  const auto links = std::min(frame.chain.size(), chain_links_max);
  auto chain = made.initChain(static_cast<unsigned>(links));
  for (unsigned link = 0; link < links; ++link) {
    put(chain[link].initId(), frame.chain[link].id);
    chain[link].setType(frame.chain[link].type);
    chain[link].setKey(frame.chain[link].key);
  }
  made.setMayReturn(frame.may_return);
  made.setForwards(frame.forwards);
  return framed_bytes(*message);
}

std::string encode(const answer_frame& frame) {
  small_message message;
  auto made = message->initRoot<schemas::RoutedAnswer>();
  put(made.initId(), frame.id);
  made.setSettled(frame.settled);
  made.setLivesOn(frame.lives_on);
  if (frame.outcome) {
    const auto flat = frame.outcome->flat();
    put(made.initResults(static_cast<unsigned>(flat.size())), flat);
  } else {
    const auto& why = frame.outcome.error();
    auto failure = made.initFailure();
    failure.setCode(static_cast<std::uint16_t>(why.code()));
    failure.setText(why.text());
    failure.setRetryAfter(static_cast<std::uint64_t>(duration{why.retry_after()}.count()));
  }
  return framed_bytes(*message);
}

std::string encode(const cancel_frame& frame) {
  small_message message;
  put(message->initRoot<schemas::RoutedCancel>().initId(), frame.id);
  return framed_bytes(*message);
}

result<routed_frame> decode_frame(std::uint16_t kind, std::string_view body) {
  const auto words = words_of(body);
  try {
    KJ_REQUIRE(body.size() % word_bytes == 0, "it is no whole number of words");
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = 4 * words.size() + 64;
    capnp::FlatArrayMessageReader message{words, limits};
    return read_frame(static_cast<frame_kind>(kind), message);
  } catch (const kj::Exception& failed) {
    return error{errc::invalid_argument,
                 "a frame of kind " + std::to_string(kind) +
                     " from another silo is refused: " + failed.getDescription().cStr()};
  }
}

}  // namespace millrace::runtime
