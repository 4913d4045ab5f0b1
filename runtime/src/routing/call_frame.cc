// SPDX-License-Identifier: MIT
#include "routing/call_frame.h"

#include <capnp/any.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "byte_order.h"
#include "message_bytes.h"
#include "millrace/routing.capnp.h"

namespace millrace::runtime {

namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
constexpr std::uint64_t no_deadline = std::numeric_limits<std::uint64_t>::max();

// Gives `set` the flat form; nothing of an empty message.
template <class Set>
void put(const any_message& content, Set set) {
  auto* const body = content.body();
  if (body == nullptr) {
    return;
  }
  const auto segments = body->getSegmentsForOutput();
  if (segments.size() == 1) {
    set(segments[0].asBytes());
  } else if (segments.size() > 1) {
    const auto flat = body->flat();
    set(capnp::Data::Reader{reinterpret_cast<const kj::byte*>(flat.data()), flat.size()});
  }
}

void put(schemas::RoutedCallId::Builder into, const call_id& id) {
  into.setOrigin(id.origin);
  into.setNumber(id.number);
}

call_id read(schemas::RoutedCallId::Reader from) {
  return {from.getOrigin(), from.getNumber()};
}

void put(schemas::WaitMark::Builder into, const wait_mark& mark) {
  into.setSince(mark.since);
  into.setOrigin(mark.origin);
  into.setNumber(mark.number);
}

wait_mark read(schemas::WaitMark::Reader from) {
  return {from.getSince(), from.getOrigin(), from.getNumber()};
}

// A builder believes what its segment says, so the content is read, which checks every pointer, and
// copied.
any_message message_of(capnp::Data::Reader flat) {
  if (flat.size() == 0) {
    return {};
  }
  KJ_REQUIRE(flat.size() % word_bytes == 0, "a message is no whole number of words");
  // Data begins at a word of its message, which lies where words may.
  const kj::ArrayPtr<const capnp::word> segment{reinterpret_cast<const capnp::word*>(flat.begin()),
                                                flat.size() / word_bytes};
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 4 * segment.size() + 64;
  capnp::SegmentArrayMessageReader message{kj::arrayPtr(&segment, 1), limits};
  const auto root = message.getRoot<capnp::AnyPointer>();
  KJ_REQUIRE(root.isNull() || root.isStruct(), "a message is no struct");
  auto body = std::make_unique<message_body>();
  body->setRoot(root);
  return any_message{std::move(body)};
}

void read_call(schemas::RoutedCall::Reader from, call_frame& call) {
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
  if (from.hasContext()) {
    for (const auto each : from.getContext()) {
      call.context.emplace(text_of(each.getName()), text_of(each.getValue()));
    }
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
  if (from.hasChain()) {
    const auto chain = from.getChain();
    KJ_REQUIRE(chain.size() <= chain_links_max, "its chain is too long");
    for (const auto each : chain) {
      call.chain.push_back({read(each.getId()), text_of(each.getType()), text_of(each.getKey())});
    }
  }
  call.may_return = from.getMayReturn();
  call.forwards = from.getForwards();
}

void read_answer(schemas::RoutedAnswer::Reader from, answer_frame& answer) {
  answer.id = read(from.getId());
  answer.settled = from.getSettled();
  answer.lives_on = text_of(from.getLivesOn());
  if (from.isResults()) {
    answer.outcome = message_of(from.getResults());
    return;
  }
  const auto failure = from.getFailure();
  const auto code = errc{failure.getCode()};
  const auto is_known = errc_from_string(to_string(code)) == code;
  answer.outcome = error{is_known ? code : errc::internal, text_of(failure.getText()),
                         std::chrono::duration_cast<std::chrono::milliseconds>(
                             duration{static_cast<duration::rep>(failure.getRetryAfter())})};
}

void read_cancel(schemas::RoutedCancel::Reader from, routed_frame& into) {
  if (!from.hasProbe()) {
    into = cancel_frame{read(from.getId())};
    return;
  }
  const auto sent = from.getProbe();
  auto& made = into.emplace<probe_frame>();
  made.call = read(sent.getCall());
  made.probe.turn = read(sent.getTurn());
  made.probe.passed = sent.getPassed();
  made.probe.first_round = sent.getFirstRound();
  made.probe.left = std::min(sent.getLeft(), wait_probes_max);
  made.probe.met = sent.getMet();
  made.probe.remembered = read(sent.getRemembered());
  made.probe.path = text_of(sent.getPath());
  KJ_REQUIRE(made.probe.path.size() <= wait_path_bytes_max, "its path is too long");
}

void read_frame(frame_kind kind, capnp::MessageReader& message, routed_frame& into) {
  switch (kind) {
    case frame_kind::call:
      return read_call(message.getRoot<schemas::RoutedCall>(), into.emplace<call_frame>());
    case frame_kind::answer:
      return read_answer(message.getRoot<schemas::RoutedAnswer>(), into.emplace<answer_frame>());
    case frame_kind::cancel:
      return read_cancel(message.getRoot<schemas::RoutedCancel>(), into);
    case frame_kind::replica:
      break;
  }
  KJ_FAIL_REQUIRE("it is of an unknown kind");
}

}  // namespace

encoded_frame::encoded_frame(const call_frame& frame, const any_message& params) {
  auto made = message_.initRoot<schemas::RoutedCall>();
  made.setKind(static_cast<schemas::RoutedCall::Kind>(frame.kind));
  put(made.initId(), frame.id);
  made.setType(frame.type);
  made.setKey(frame.key);
  made.setMethod(frame.method);
  put(params, [&](capnp::Data::Reader flat) { made.setParams(flat); });
  if (frame.time_left) {
    made.setTimeLeft(static_cast<std::uint64_t>(std::max(*frame.time_left, duration{}).count()));
  }
  if (!frame.idempotency_key.empty()) {
    made.setIdempotencyKey(frame.idempotency_key);
  }
  // What is empty is left out: most calls have no context and come from no turn.
  if (!frame.context.empty()) {
    auto context = made.initContext(static_cast<unsigned>(frame.context.size()));
    unsigned at = 0;
    for (const auto& [name, value] : frame.context) {
      context[at].setName(name);
      context[at++].setValue(value);
    }
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
  if (!frame.chain.empty()) {
    const auto links = std::min(frame.chain.size(), chain_links_max);
    auto chain = made.initChain(static_cast<unsigned>(links));
    for (unsigned link = 0; link < links; ++link) {
      put(chain[link].initId(), frame.chain[link].id);
      chain[link].setType(frame.chain[link].type);
      chain[link].setKey(frame.chain[link].key);
    }
  }
  made.setMayReturn(frame.may_return);
  made.setForwards(frame.forwards);
  finish();
}

encoded_frame::encoded_frame(const answer_frame& frame) {
  auto made = message_.initRoot<schemas::RoutedAnswer>();
  put(made.initId(), frame.id);
  made.setSettled(frame.settled);
  if (!frame.lives_on.empty()) {
    made.setLivesOn(frame.lives_on);
  }
  if (frame.outcome) {
    put(*frame.outcome, [&](capnp::Data::Reader flat) { made.setResults(flat); });
  } else {
    const auto& why = frame.outcome.error();
    auto failure = made.initFailure();
    failure.setCode(static_cast<std::uint16_t>(why.code()));
    failure.setText(why.text());
    failure.setRetryAfter(static_cast<std::uint64_t>(duration{why.retry_after()}.count()));
  }
  finish();
}

encoded_frame::encoded_frame(const cancel_frame& frame) {
  put(message_.initRoot<schemas::RoutedCancel>().initId(), frame.id);
  finish();
}

encoded_frame::encoded_frame(const probe_frame& frame) {
  auto made = message_.initRoot<schemas::RoutedCancel>().initProbe();
  put(made.initCall(), frame.call);
  put(made.initTurn(), frame.probe.turn);
  made.setPassed(frame.probe.passed);
  made.setFirstRound(frame.probe.first_round);
  made.setLeft(frame.probe.left);
  made.setMet(frame.probe.met);
  put(made.initRemembered(), frame.probe.remembered);
  made.setPath(frame.probe.path);
  finish();
}

void encoded_frame::finish() {
  const auto segments = message_.getSegmentsForOutput();
  if (segments.size() > 1) {
    whole_ = framed_bytes(message_);
    bytes_ = whole_;
    return;
  }
  // One less than the number of segments, and the size of the first.
  auto* const table = reinterpret_cast<char*>(words_.data());
  store_little(table, std::uint32_t{0});
  store_little(table + sizeof(std::uint32_t), static_cast<std::uint32_t>(segments[0].size()));
  bytes_ = {table, word_bytes * (1 + segments[0].size())};
}

result<routed_frame> decode_frame(std::uint16_t kind, std::string_view body) {
  // Frames of a link lie where words may.
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(body.data()) % alignof(capnp::word) == 0;
  const auto copy = is_aligned ? kj::Array<capnp::word>{} : words_of(body);
  const kj::ArrayPtr<const capnp::word> words{
      is_aligned ? reinterpret_cast<const capnp::word*>(body.data()) : copy.begin(),
      body.size() / word_bytes};
  result<routed_frame> made{cancel_frame{}};  // of all it is moved at the least cost
  try {
    KJ_REQUIRE(body.size() % word_bytes == 0, "it is no whole number of words");
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = 4 * words.size() + 64;
    capnp::FlatArrayMessageReader message{words, limits};
    read_frame(static_cast<frame_kind>(kind), message, *made);
  } catch (const kj::Exception& failed) {
    made = error{errc::invalid_argument,
                 "a frame of kind " + std::to_string(kind) +
                     " from another silo is refused: " + failed.getDescription().cStr()};
  }
  return made;
}

}  // namespace millrace::runtime
