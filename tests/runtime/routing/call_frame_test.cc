// SPDX-License-Identifier: MIT
#include "routing/call_frame.h"

#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include "message_bytes.h"
#include "millrace/routing.capnp.h"
#include "runtime/routing/ferry.capnp.h"

using namespace millrace::runtime;
using namespace std::chrono_literals;
namespace schemas = millrace::schemas;

namespace {

constexpr auto call_kind = static_cast<std::uint16_t>(frame_kind::call);
constexpr auto answer_kind = static_cast<std::uint16_t>(frame_kind::answer);
constexpr auto cancel_kind = static_cast<std::uint16_t>(frame_kind::cancel);

any_message state_of(std::int64_t total) {
  message<millrace::testing::FerryState> made;
  made.build().setTotal(total);
  return std::move(made).take();
}

std::string encode(const auto&... what) {
  return std::string{encoded_frame{what...}.bytes()};
}

std::int64_t total_of(const any_message& from) {
  return from.reader<millrace::testing::FerryState>().getTotal();
}

call_frame full_call() {
  call_frame call;
  call.id = {7, 9};
  call.type = "ferry";
  call.key = "k\u00e9y";
  call.method = 3;
  call.time_left = 1500ms;
  call.idempotency_key = "once";
  call.context = {{"trace", "1"}, {"empty", ""}};
  call.delivery = {{11, 12}, 13, partition_id{300}, 7, true};
  call.chain = {{{}, "ferry", "a"}, {{1, 2}, "desk", "b"}};
  call.may_return = true;
  return call;
}

probe_frame full_probe() {
  return {{7, 9},
          {{-1'600'000'000, 11, 12}, 13, 14, 15, 16, {17, 18, 19}, "ferry/k\u00e9y -> ferry/b"}};
}

template <class Schema, class Fill>
std::string raw(Fill fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Schema>());
  const auto words = capnp::messageToFlatArray(message);
  return {reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size()};
}

bool refused(std::uint16_t kind, const std::string& body) {
  const auto made = decode_frame(kind, body);
  CHECK((made || made.error().code() == errc::invalid_argument));
  return !made;
}

}  // namespace

TEST_CASE("a call comes out as it went in") {
  const auto sent = full_call();
  const auto decoded = decode_frame(call_kind, encode(sent, state_of(42)));
  REQUIRE(decoded);
  const auto& call = std::get<call_frame>(*decoded);
  CHECK(call.kind == call_frame::what::call);
  CHECK(call.id == sent.id);
  CHECK(call.type == sent.type);
  CHECK(call.key == sent.key);
  CHECK(call.method == 3);
  CHECK(call.time_left == sent.time_left);
  CHECK(call.idempotency_key == "once");
  CHECK(call.context == sent.context);
  REQUIRE(call.delivery);
  CHECK(call.delivery->sender == sent.delivery->sender);
  CHECK(call.delivery->number == 13);
  CHECK(call.delivery->partition == partition_id{300});
  CHECK(call.delivery->epoch == 7);
  CHECK(call.delivery->again);
  REQUIRE(call.chain.size() == 2);
  CHECK_FALSE(call.chain[0].id);
  CHECK(call.chain[1].id == call_id{1, 2});
  CHECK(call.chain[1].key == "b");
  CHECK(call.may_return);
  CHECK(total_of(call.params) == 42);
}

TEST_CASE("a call without deadline, delivery and parameters has none") {
  call_frame plain;
  plain.type = "ferry";
  plain.key = "k";
  const auto decoded = decode_frame(call_kind, encode(plain, any_message{}));
  REQUIRE(decoded);
  const auto& call = std::get<call_frame>(*decoded);
  CHECK_FALSE(call.time_left);
  CHECK_FALSE(call.delivery);
  CHECK_FALSE(call.params);
  CHECK(call.chain.empty());
}

TEST_CASE("answers carry results, or an error with its hint") {
  const auto good = decode_frame(answer_kind, encode(answer_frame{{7, 5}, state_of(8), true}));
  REQUIRE(good);
  const auto& answer = std::get<answer_frame>(*good);
  CHECK(answer.id == call_id{7, 5});
  CHECK(answer.settled);
  REQUIRE(answer.outcome);
  CHECK(total_of(*answer.outcome) == 8);

  const error why{errc::overloaded, "full", 250ms};
  const auto bad = decode_frame(answer_kind, encode(answer_frame{{7, 6}, why}));
  REQUIRE(bad);
  const auto& failed = std::get<answer_frame>(*bad);
  REQUIRE_FALSE(failed.outcome);
  CHECK(failed.outcome.error() == why);
}

// Method: parameters in one segment and in several, in frames that have room for them at hand and
// in others.
TEST_CASE("calls and answers of any size come out as they went in") {
  for (const std::size_t size : {10U, 200U, 700U, 800U, 5'000U, 300'000U}) {
    message<schemas::RoutedCancel> small;
    small.build().initId().setNumber(size);
    message<schemas::ChainLink> large;
    large.build().setType(std::string(size, 't'));
    large.build().setKey(std::string(size, 'k'));
    for (const auto* each : {&small.content(), &large.content()}) {
      call_frame frame;
      frame.type = "ferry";
      frame.key = "k";
      const auto call = decode_frame(call_kind, encode(frame, *each));
      REQUIRE(call);
      CHECK(std::get<call_frame>(*call).params.flat() == each->flat());
      const auto shifted = "x" + encode(frame, *each);  // where no word may lie
      const auto same = decode_frame(call_kind, std::string_view{shifted}.substr(1));
      REQUIRE(same);
      CHECK(std::get<call_frame>(*same).params.flat() == each->flat());
      answer_frame answer{{7, 5}};
      answer.outcome = any_message::from_flat(each->flat());
      const auto decoded = decode_frame(answer_kind, encode(answer));
      REQUIRE(decoded);
      CHECK(std::get<answer_frame>(*decoded).outcome->flat() == each->flat());
    }
  }
}

TEST_CASE("a cancellation comes out as it went in") {
  const auto decoded = decode_frame(cancel_kind, encode(cancel_frame{{7, 9}}));
  REQUIRE(decoded);
  CHECK(std::get<cancel_frame>(*decoded).id == call_id{7, 9});
}

TEST_CASE("a probe comes out as it went in, also with the longest path") {
  for (const std::size_t length : {std::size_t{0}, std::size_t{30}, wait_path_bytes_max}) {
    auto sent = full_probe();
    sent.probe.path = std::string(length, 'p');
    const auto decoded = decode_frame(cancel_kind, encode(sent));
    REQUIRE(decoded);
    const auto& [call, probe] = std::get<probe_frame>(*decoded);
    CHECK(call == sent.call);
    CHECK(probe.turn == sent.probe.turn);
    CHECK(probe.passed == 13);
    CHECK(probe.first_round == 14);
    CHECK(probe.left == 15);
    CHECK(probe.met == 16);
    CHECK(probe.remembered == sent.probe.remembered);
    CHECK(probe.path == sent.probe.path);
  }
}

// Silos that do not know probes read the id only, and serve no call without one.
TEST_CASE("a probe is a cancellation of no call to silos that do not know it") {
  const auto copy = words_of(encode(full_probe()));
  capnp::FlatArrayMessageReader message{copy};
  const auto id = message.getRoot<schemas::RoutedCancel>().getId();
  CHECK(id.getOrigin() == 0);
  CHECK(id.getNumber() == 0);
}

TEST_CASE("an error that a newer silo knows is an internal one here") {
  const auto decoded = decode_frame(
      answer_kind, raw<schemas::RoutedAnswer>([](auto made) { made.initFailure().setCode(999); }));
  REQUIRE(decoded);
  CHECK(std::get<answer_frame>(*decoded).outcome.error().code() == errc::internal);
}

TEST_CASE("what is no frame is refused") {
  CHECK(refused(call_kind, {}));
  CHECK(refused(call_kind, "x"));
  CHECK(refused(77, encode(cancel_frame{{7, 1}})));
  CHECK(refused(call_kind, raw<schemas::RoutedCall>([](auto made) { made.setType("ferry"); })));
  CHECK(refused(call_kind, raw<schemas::RoutedCall>([](auto made) {
                  made.setKey("k");
                  made.setKind(schemas::RoutedCall::Kind::FORGET);
                })));
  CHECK(refused(call_kind, raw<schemas::RoutedCall>([](auto made) {
                  made.setKey("k");
                  made.initParams(7);
                })));
  CHECK(refused(call_kind, raw<schemas::RoutedCall>([](auto made) {
                  made.setKey("k");
                  made.initChain(chain_links_max + 1);
                })));
  CHECK(refused(cancel_kind, raw<schemas::RoutedCancel>([](auto made) {
                  made.initProbe().setPath(std::string(wait_path_bytes_max + 1, 'p'));
                })));
}

// Goal: nothing that a faulty peer sends is believed. Method: every bit of three frames, flipped;
// the parameters are read as an actor would read them.
TEST_CASE("a frame with any bit flipped is refused or harmless") {
  const auto whole = encode(full_call(), state_of(42));
  const auto answer = encode(answer_frame{{7, 5}, state_of(8)});
  const auto probe = encode(full_probe());
  for (const auto& [kind, frame] :
       {std::pair{call_kind, whole}, {answer_kind, answer}, {cancel_kind, probe}}) {
    for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      auto broken = frame;
      broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << bit % 8));
      const auto decoded = decode_frame(kind, broken);
      if (!decoded) {
        continue;
      }
      if (const auto* call = std::get_if<call_frame>(&*decoded)) {
        static_cast<void>(total_of(call->params));
        CHECK(encode(*call, call->params).size() > 0);
      } else if (const auto* made = std::get_if<answer_frame>(&*decoded)) {
        static_cast<void>(made->outcome && total_of(*made->outcome));
      } else if (const auto* followed = std::get_if<probe_frame>(&*decoded)) {
        CHECK(encode(*followed).size() > 0);
      }
    }
  }
}
