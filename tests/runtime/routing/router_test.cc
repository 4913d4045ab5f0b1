// SPDX-License-Identifier: MIT
#include "runtime/routing/fixture.h"

using namespace millrace::testing;
using namespace millrace::runtime;
using namespace std::chrono_literals;

namespace {

template <class T>
errc code_of(const result<T>& answer) {
  return answer ? errc{} : answer.error().code();
}

call<ferry_interface::carry_results> carry(const std::string& first,
                                           const std::vector<std::string>& then,
                                           std::int64_t amount) {
  ferry_interface::carry_params params;
  auto made = params.build();
  made.setAmount(amount);
  auto path = made.initPath(static_cast<unsigned>(then.size()));
  for (unsigned at = 0; at < path.size(); ++at) {
    path.set(at, then[at]);
  }
  return ref<Ferry>(first).carry(std::move(params));
}

}  // namespace

TEST_CASE("a call goes to the silo of its actor, and its answer comes back") {
  two_silos both;
  both.place("far", "b");
  const auto added = both.call(both.a(), ref<Ferry>("far").add(5));
  REQUIRE(added);
  CHECK(added->total() == 5);
  CHECK(both.sent == 2);
  CHECK(both.call(both.b(), ref<Ferry>("far").get())->total() == 5);
  CHECK(both.sent == 2);  // there it is at home
  CHECK(both.routes(both.a()).open_calls() == 0);
}

TEST_CASE("an error comes back as it was") {
  two_silos both;
  both.place("far", "b");
  const auto failed = both.call(both.a(), ref<Ferry>("far").refuse("no room"));
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == error{errc::conflict, "no room", 70ms});
}

TEST_CASE("bound and labelled actors are found on the silo that has them") {
  two_silos both;
  CHECK(both.call(both.a(), ref<Desk>("b/front").name())->silo() == "b");
  CHECK(both.call(both.b(), ref<Desk>("a").name())->silo() == "a");
  CHECK(both.call(both.a(), ref<Press>("p").name())->silo() == "b");
  CHECK(code_of(both.call(both.a(), ref<Desk>("c/front").name())) == errc::unavailable);
}

TEST_CASE("a call of a sampled trace has a span on either side, the server's below the client's") {
  const std::string above = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  two_silos both;
  both.place("far", "b");
  const auto told =
      both.call(both.a(), ref<Ferry>("far").tenant("traceparent").with("traceparent", above));
  REQUIRE(told);
  const auto sent = both.spans_of_a().take();
  const auto served = both.spans_of_b().take();
  REQUIRE(sent.size() == 1);
  REQUIRE(served.size() == 1);
  CHECK(sent[0].name == "ferry/tenant");
  CHECK(sent[0].kind == span_kind::client);
  CHECK(sent[0].parent == parse_traceparent(above)->span);
  CHECK(attribute(sent[0], "server.address") == "b");
  CHECK(served[0].name == "ferry/tenant");
  CHECK(served[0].kind == span_kind::server);
  CHECK(served[0].parent == sent[0].own.span);
  CHECK(served[0].own.trace == parse_traceparent(above)->trace);
  CHECK(told->value() == to_traceparent(served[0].own));
}

TEST_CASE("of a call that is lost with its silo the client's span tells") {
  const std::string above = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  auto open = both.a().begin(ref<Ferry>("far").add(1).with("traceparent", above));
  both.settle();
  CHECK(both.spans_of_a().take().empty());
  both.lose_b();
  CHECK(code_of(open.answer()) == errc::outcome_unknown);
  const auto sent = both.spans_of_a().take();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].has_failed);
  CHECK(attribute(sent[0], "error.type") == "outcome_unknown");
}

TEST_CASE("the context of a call travels with it") {
  two_silos both;
  both.place("far", "b");
  const auto told = both.call(both.a(), ref<Ferry>("far").tenant("tenant").with("tenant", "acme"));
  REQUIRE(told);
  CHECK(told->value() == "acme");
}

TEST_CASE("a call with a key takes effect once, however often it is sent") {
  two_silos both;
  both.place("far", "b");
  CHECK(both.call(both.a(), ref<Ferry>("far").add(5).keyed("k"))->total() == 5);
  CHECK(both.call(both.a(), ref<Ferry>("far").add(5).keyed("k"))->total() == 5);
  CHECK(both.call(both.b(), ref<Ferry>("far").add(5).keyed("k"))->total() == 5);
  CHECK(code_of(both.call(both.a(), ref<Ferry>("far").add(6).keyed("k"))) == errc::conflict);
}

TEST_CASE("a chain that comes back over another silo is a cycle, and names its path") {
  two_silos both;
  both.place("far", "b");
  const auto through = both.call(both.a(), carry("near", {"far", "other"}, 3));
  REQUIRE(through);
  CHECK(through->total() == 3);
  const auto back = both.call(both.a(), carry("near", {"far", "other", "near"}, 3));
  CHECK(code_of(back) == errc::call_cycle);
  CHECK(back.error().text().find("ferry/near -> ferry/far -> ferry/other -> ferry/near") !=
        std::string::npos);
  // The same, seen from the side where the chain only passed through.
  const auto farther = both.call(both.a(), carry("near", {"far", "other", "far"}, 3));
  CHECK(code_of(farther) == errc::call_cycle);
}

namespace {

// Two chains that meet head-on: `near` on `a` has called `far` on `b` before that called it.
struct crossed_chains {
  two_silos both;
  open_call<ferry_interface::carry_results> one = begin(both.a(), "near", "far");
  open_call<ferry_interface::carry_results> other = begin(both.b(), "far", "near");

  crossed_chains() {
    both.holds = two_silos::held::nothing;
    both.settle();
    CHECK_FALSE(one.answered());
    CHECK_FALSE(other.answered());
  }
  void pass(duration by) {
    both.a().advance(by);
    both.b().advance(by);
    both.settle();
  }
  // One was refused, and the other has gone on.
  void check_one_refused() {
    REQUIRE(one.answered());
    REQUIRE(other.answered());
    const auto answer = one.answer();
    const auto refused = other.answer();
    REQUIRE(static_cast<bool>(answer) != static_cast<bool>(refused));
    const auto& why = answer ? refused.error() : answer.error();
    CHECK(why.code() == errc::unavailable);
    CHECK(why.text().find("ferry/near -> ferry/far") != std::string::npos);
    CHECK(why.text().find("ferry/far -> ferry/near") != std::string::npos);
    CHECK(both.call(both.a(), ref<Ferry>("near").get()));
    CHECK(both.call(both.a(), ref<Ferry>("far").get()));
  }

private:
  open_call<ferry_interface::carry_results> begin(test_silo& from, const std::string& first,
                                                  const std::string& then) {
    both.holds = two_silos::held::all;
    both.place("far", "b");
    auto made = from.begin(carry(first, {then}, 1));
    both.settle();
    return made;
  }
};

}  // namespace

TEST_CASE("of two chains of different silos that meet head-on one is refused") {
  crossed_chains crossed;
  CHECK(crossed.both.cancels.empty());
  crossed.pass(900ms);
  CHECK(crossed.both.cancels.empty());  // a call that does not wait for long costs none
  crossed.pass(200ms);
  crossed.check_one_refused();
}

TEST_CASE(
    "chains that meet head-on are found also when probes are lost, and when they come twice") {
  for (const unsigned lost : {0U, 1U, 2U, 3U}) {
    for (const auto twice : {false, true}) {
      CAPTURE(lost);
      CAPTURE(twice);
      crossed_chains crossed;
      crossed.both.cancels_to_lose = lost;
      crossed.both.sends_cancels_twice = twice;
      for (int second = 0; second < 4; ++second) {
        crossed.pass(1s);
      }
      crossed.check_one_refused();
    }
  }
}

TEST_CASE("probes that come late for a cycle that has ended do nothing") {
  crossed_chains crossed;
  crossed.both.holds = two_silos::held::all;
  crossed.pass(1s);
  REQUIRE_FALSE(crossed.both.cancels.empty());
  crossed.both.take_held();  // the probes
  crossed.other.cancel();
  crossed.both.holds = two_silos::held::nothing;
  crossed.both.settle();
  REQUIRE(crossed.one.answered());
  CHECK(crossed.one.answer());
  auto again = crossed.both.b().begin(carry("far", {"near"}, 1));
  crossed.both.give_held();
  crossed.both.settle();
  CHECK(again.answer());
}

// Goal: what waits costs a frame a second. Method: a chain waits for a call of another silo that
// is kept out there, and another chain for it.
TEST_CASE("calls that wait for another silo send a probe each second, and are not refused") {
  two_silos both;
  both.place("far", "b");
  auto held = both.b().begin(ref<Ferry>("far").hold());
  auto one = both.a().begin(carry("near", {"far"}, 1));
  auto other = both.a().begin(carry("other", {"near"}, 1));
  both.settle();
  both.a().advance(900ms);
  CHECK(both.cancels.empty());
  for (std::size_t second = 1; second <= 5; ++second) {
    both.a().advance(1s);
    both.settle();
    CHECK(both.cancels.size() == second);
  }
  REQUIRE(both.call(both.b(), ref<Ferry>("far").release()));
  CHECK(held.answer());
  CHECK(one.answer());
  CHECK(other.answer());
}

TEST_CASE("a durable send arrives once at the other silo, also when it is sent again") {
  two_silos both;
  both.place("far", "b");
  REQUIRE(both.call(both.a(), ref<Ferry>("near").post("far", 4)));
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 4);
  CHECK(both.a().here().stats().sends_pending == 0);

  // The next one arrives, and its answer is lost with the link: it is sent again.
  REQUIRE(both.call(both.a(), ref<Ferry>("near").post("far", 6)));
  both.settle();
  both.holds = two_silos::held::for_a;
  auto posted = both.a().begin(ref<Ferry>("near").post("far", 10));
  both.settle();
  CHECK(both.call(both.b(), ref<Ferry>("far").get())->total() == 20);
  CHECK(both.a().here().stats().sends_pending == 1);
  both.lose_b();
  both.holds = two_silos::held::nothing;
  const auto before = both.sent;
  both.routes(both.a()).retry_parked();
  both.settle();
  CHECK(both.sent > before);
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 20);
  CHECK(both.a().here().stats().sends_pending == 0);
}

// Goal: a send is stored by the name of its type, and waits for a silo that hosts it.
TEST_CASE("a durable send goes to a silo that hosts the type, when this one does not") {
  two_silos both;
  both.place("north", "b");
  REQUIRE(both.call(both.a(), ref<Ferry>("near").land("north", 4)));
  both.settle();
  CHECK(both.call(both.b(), ref<Quay>("north").stored())->total() == 4);
  CHECK(both.a().here().stats().sends_pending == 0);
  both.a().advance(1min);  // the word that it will not be repeated has gone the same way
  both.settle();
  CHECK(both.call(both.b(), ref<Quay>("north").stored())->total() == 4);
}

TEST_CASE("a durable send waits while the primary of its partition does not host the type") {
  two_silos both;  // all is with a
  REQUIRE(both.call(both.a(), ref<Ferry>("near").land("north", 4)));
  both.settle();
  CHECK(code_of(both.call(both.b(), ref<Quay>("north").stored())) == errc::unavailable);
  both.a().advance(5min);
  both.settle();
  CHECK(both.a().here().stats().sends_pending == 1);
  CHECK(both.a().here().dead_letters(9)->empty());
  both.place("north", "b");
  both.a().advance(1min);
  both.settle();
  CHECK(both.call(both.b(), ref<Quay>("north").stored())->total() == 4);
}

TEST_CASE("a durable send becomes a dead letter once nobody has hosted its type for a while") {
  two_silos both;
  both.types_of_b = {"desk", "ferry", "press"};
  both.share_map();
  REQUIRE(both.call(both.a(), ref<Ferry>("near").land("north", 4)));
  both.settle();
  both.a().advance(50s);
  both.settle();
  CHECK(both.a().here().dead_letters(9)->empty());
  CHECK(both.a().here().stats().sends_pending == 1);
  for (int tries = 0; tries < 6; ++tries) {
    both.a().advance(10s);
    both.settle();
  }
  CHECK(code_of(both.call(both.b(), ref<Quay>("north").stored())) == errc::unimplemented);
  const auto letters = both.a().here().dead_letters(9);
  REQUIRE(letters->size() == 1);
  CHECK(letters->front().error_text ==
        "unimplemented: no silo that is in the cluster hosts actors of type 'quay'");
}

// Method: c and b host it, c has all its actors; whichever is asked first, c gets it.
TEST_CASE("a silo that hosts a type says where its actor lives to one that only knows its name") {
  two_silos both;
  both.third = cluster_member{"c", 3, {}, {"quay"}};
  std::size_t asked_b_first = 0;
  for (int at = 0; at < 10; ++at) {
    const auto key = "north" + std::to_string(at);
    both.place(key, "c");
    both.sent_to.clear();
    REQUIRE(both.call(both.a(), ref<Ferry>("near" + key).land(key, 4)));
    both.settle();
    REQUIRE(both.sent_to.size() > 0);
    CHECK(both.sent_to.back() == "c");
    asked_b_first += both.sent_to.front() == "b" ? 1 : 0;
    CHECK(both.sent_to.size() == (both.sent_to.front() == "b" ? 3 : 1));  // b answers
  }
  CHECK(asked_b_first > 0);
  CHECK(asked_b_first < 10);
}

TEST_CASE("a caller that no longer waits is told to the actor on the other silo") {
  two_silos both;
  both.place("far", "b");
  ferry::cancelled_seen = false;
  auto waiting = both.a().begin(ref<Ferry>("far").hold());
  both.settle();
  CHECK_FALSE(waiting.answered());
  waiting.cancel();
  both.settle();
  CHECK(code_of(waiting.answer()) == errc::cancelled);
  CHECK(ferry::cancelled_seen);
  CHECK(both.routes(both.a()).open_calls() == 0);
}

TEST_CASE("a call that waits on the other silo goes on when it is answered") {
  two_silos both;
  both.place("far", "b");
  auto waiting = both.a().begin(ref<Ferry>("far").hold());
  both.settle();
  CHECK_FALSE(waiting.answered());
  REQUIRE(both.call(both.a(), ref<Ferry>("far").release()));
  CHECK(waiting.answer());
}

TEST_CASE("a call whose deadline has passed on the way does not begin") {
  two_silos both;
  both.place("far", "b");
  auto first = both.a().begin(ref<Ferry>("far").hold());
  both.settle();
  auto late = both.a().begin(ref<Ferry>("far").add(1));  // waits there for the other
  both.settle();
  both.a().advance(31s);
  CHECK(code_of(late.answer()) == errc::deadline_exceeded);
  both.b().advance(31s);
  both.settle();
  REQUIRE(both.call(both.a(), ref<Ferry>("far").release()));
  CHECK(first.answer());
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 0);
}

TEST_CASE("when a silo is lost, what may have been done is unknown, and what only reads is not") {
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  auto read = both.a().begin(ref<Ferry>("far").get());
  auto keyed = both.a().begin(ref<Ferry>("far").add(20).keyed("k"));
  both.settle();
  CHECK(both.routes(both.a()).open_calls() == 3);
  both.lose_b();
  CHECK(code_of(added.answer()) == errc::outcome_unknown);
  CHECK(both.routes(both.a()).open_calls() == 0);
  CHECK(both.routes(both.a()).parked() == 2);

  // The others may be repeated, and are.
  both.holds = two_silos::held::nothing;
  both.place("far", "a");
  both.settle();
  CHECK(keyed.answer()->total() == 20);
  CHECK(read.answer());
  CHECK(both.routes(both.a()).parked() == 0);
}

TEST_CASE("a call that may be repeated is given up when nobody knew its outcome four times") {
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  auto read = both.a().begin(ref<Ferry>("far").get());
  both.settle();
  for (int lost = 0; lost < 4; ++lost) {
    CHECK_FALSE(read.answered());
    both.lose_b();
    both.routes(both.a()).retry_parked();
  }
  CHECK(code_of(read.answer()) == errc::outcome_unknown);
}

// Goal: that a later try has done nothing says nothing of the first one.
TEST_CASE("a call that was repeated is not told that nothing was done") {
  enum class end : std::uint8_t { stop, full_link, refusal, deadline };
  for (const auto how : {end::stop, end::full_link, end::refusal, end::deadline}) {
    CAPTURE(static_cast<int>(how));
    two_silos both;
    both.place("far", "b");
    both.holds = two_silos::held::for_a;
    auto added = both.a().begin(ref<Ferry>("far").add(3).keyed("k"));
    both.settle();
    both.lose_b();  // with the answer
    both.holds = two_silos::held::nothing;
    REQUIRE(both.routes(both.a()).parked() == 1);
    if (how == end::stop) {
      both.routes(both.a()).leave();
    } else if (how == end::full_link) {
      both.answer_to_send = millrace::runtime::detail::peer_send::overloaded;
    } else if (how == end::refusal) {
      REQUIRE(both.b().here().deactivate({"ferry", "far"}));
      both.settle();
      both.b().rows().fail_reads({errc::unavailable, "planned"}, 1);
    } else {
      both.a().clock().move(1h);
    }
    both.routes(both.a()).retry_parked();
    both.settle();
    const auto answer = added.answer();
    CHECK(code_of(answer) ==
          (how == end::deadline ? errc::deadline_exceeded : errc::outcome_unknown));
    CHECK(answer.error().text().find("has not begun") == std::string::npos);
  }
}

TEST_CASE("what a link does not take is refused with what to do") {
  two_silos both;
  both.place("far", "b");
  for (const auto& [sent, code] :
       {std::pair{millrace::runtime::detail::peer_send::overloaded, errc::overloaded},
        {millrace::runtime::detail::peer_send::too_large, errc::too_large}}) {
    both.answer_to_send = sent;
    CHECK(code_of(both.call(both.a(), ref<Ferry>("far").add(1))) == code);
    CHECK(both.routes(both.a()).open_calls() == 0);
  }
  both.answer_to_send = millrace::runtime::detail::peer_send::queued;
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 0);
}

TEST_CASE("a call waits for a silo whose link is down") {
  two_silos both;
  both.place("far", "b");
  both.answer_to_send = millrace::runtime::detail::peer_send::unavailable;
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  both.settle();
  CHECK(both.routes(both.a()).parked() == 1);
  CHECK(both.routes(both.a()).open_calls() == 0);
  both.routes(both.a()).retry_parked();
  both.settle();
  CHECK_FALSE(added.answered());
  both.answer_to_send = millrace::runtime::detail::peer_send::queued;
  both.routes(both.a()).retry_parked();
  both.settle();
  CHECK(added.answer()->total() == 1);
}

// Goal: a map that is out of date costs a redirect and no error.
TEST_CASE("a call that arrives at the wrong silo goes on to the right one") {
  two_silos both;
  both.place("moved", "b");
  both.holds = two_silos::held::all;
  auto added = both.a().begin(ref<Ferry>("moved").add(7));
  both.a().settle();
  both.place("moved", "a");  // while it is on its way
  both.holds = two_silos::held::nothing;
  both.settle();
  const auto answer = added.answer();
  REQUIRE(answer);
  CHECK(answer->total() == 7);
  CHECK(both.call(both.a(), ref<Ferry>("moved").get())->total() == 7);
}

// Goal: nobody waits for these, so nobody could send them again: who gets them sends them on.
TEST_CASE("a message without an answer that arrives at the wrong silo goes on to the right one") {
  two_silos both;
  both.place("moved", "b");
  both.holds = two_silos::held::all;
  both.a().here().tell(ref<Ferry>("moved").add(7));
  both.a().settle();
  REQUIRE(both.in_flight() == 1);
  both.place("moved", "a");  // while it is on its way
  both.holds = two_silos::held::nothing;
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("moved").get())->total() == 7);
}

TEST_CASE("one that only knows the type's name sends it to who hosts it") {
  two_silos both;
  both.third = cluster_member{"c", 3, {}, {"quay"}};
  both.types_of_b = {"desk", "ferry", "press"};
  both.place("north", "a");
  both.sent_to.clear();
  call_frame frame;
  frame.kind = call_frame::what::one_way;
  frame.type = "quay";
  frame.key = "north";
  CHECK(both.routes(both.a()).received("b", 2, static_cast<std::uint16_t>(frame_kind::call),
                                       encoded_frame{frame, {}}.bytes()));
  CHECK(both.sent_to == std::vector<std::string>{"c"});
}

TEST_CASE("maps that disagree do not send a message in circles for ever") {
  two_silos both;
  both.place("far", "b");
  both.routes(both.b()).set_map(std::make_shared<cluster_map>(
      std::vector<cluster_member>{{"a", 1, {}, {"ferry"}}, {"b", 2, {}, {"ferry"}}},
      std::vector<std::string>(256, "a")));
  both.a().here().tell(ref<Ferry>("far").add(7));
  both.settle();
  CHECK(both.sent == 4);  // and three times by who got it
  CHECK(both.in_flight() == 0);
}

// Method: the receiver's memory of the send would make the second one, of the same number, nothing.
TEST_CASE("the word that a send will not be repeated finds an actor that has moved") {
  two_silos both;
  both.place("far", "b");
  call_frame sent;
  sent.id = {2, 1};
  sent.type = "ferry";
  sent.key = "near";
  sent.delivery = {{7, 7}, 1};
  ferry_interface::add_params one;
  one.build().setAmount(5);
  const auto deliver = [&](std::uint64_t id) {
    sent.id.number = id;
    CHECK(both.routes(both.a()).received("b", 2, static_cast<std::uint16_t>(frame_kind::call),
                                         encoded_frame{sent, one.content()}.bytes()));
    both.settle();
  };
  deliver(1);
  deliver(2);
  CHECK(both.call(both.a(), ref<Ferry>("near").get())->total() == 5);
  // It comes to b, where the ferry does not live.
  call_frame forget;
  forget.kind = call_frame::what::forget;
  forget.type = "ferry";
  forget.key = "near";
  forget.delivery = sent.delivery;
  CHECK(both.routes(both.b()).received("a", 1, static_cast<std::uint16_t>(frame_kind::call),
                                       encoded_frame{forget, {}}.bytes()));
  both.settle();
  deliver(3);
  CHECK(both.call(both.a(), ref<Ferry>("near").get())->total() == 10);
  // Who knows no more than a type's name tells it to actors that remember nothing, too.
  forget.type = "press";
  CHECK(both.routes(both.b()).received("a", 1, static_cast<std::uint16_t>(frame_kind::call),
                                       encoded_frame{forget, {}}.bytes()));
  both.settle();
  CHECK(both.b().here().activations("press")->items.empty());
}

namespace {

// What `b` sends to a ferry of `a`, as if it came from an actor that has moved.
class deliveries {
public:
  explicit deliveries(two_silos& home) : home_(home) {
    sent_.type = "ferry";
    sent_.key = "near";
    one_.build().setAmount(5);
  }
  void deliver(std::uint64_t number, std::uint64_t epoch, bool again = false) {
    sent_.kind = call_frame::what::call;
    sent_.id = {2, ++calls_};
    tell(number, epoch, again);
  }
  void forget(std::uint64_t number) {
    sent_.kind = call_frame::what::forget;
    sent_.id = {};
    tell(number, 0, false);
  }
  [[nodiscard]] std::int64_t total() {
    return home_.call(home_.a(), ref<Ferry>("near").get())->total();
  }

private:
  void tell(std::uint64_t number, std::uint64_t epoch, bool again) {
    sent_.delivery = {{7, 7}, number, partition_id{9}, epoch, again};
    CHECK(home_.routes(home_.a()).received("b", 2, static_cast<std::uint16_t>(frame_kind::call),
                                           encoded_frame{sent_, one_.content()}.bytes()));
    home_.settle();
  }
  two_silos& home_;
  call_frame sent_;
  ferry_interface::add_params one_;
  std::uint64_t calls_ = 0;
};

}  // namespace

// Goal: a copy that was held up for however long is nothing, although its number is forgotten.
// Method: the sender's partition is taken over, and who leads it now has sent it again.
TEST_CASE("what a sender has sent under an epoch that is over takes no effect any more") {
  for (const auto came_first : {true, false}) {
    two_silos both;
    deliveries sender{both};
    if (came_first) {
      sender.deliver(1, 4);
    }
    sender.deliver(1, 6, true);
    CHECK(sender.total() == 5);
    sender.forget(1);
    sender.deliver(1, 4);
    sender.deliver(1, 5, true);
    CHECK(sender.total() == 5);
    both.a().restart();
    both.share_map();
    sender.deliver(1, 4);
    CHECK(sender.total() == 5);
    sender.deliver(2, 6);  // as others of that epoch do
    CHECK(sender.total() == 10);
    sender.deliver(3, 7);
    CHECK(sender.total() == 15);
  }
}

// Goal: the sender's word to forget comes after an answer, so the epoch has to be safe by then.
TEST_CASE("a send that comes again is not answered from memory before its epoch is durable") {
  two_silos both;
  deliveries sender{both};
  sender.deliver(1, 4);
  both.a().rows().hold_commits();
  const auto before = both.sent;
  sender.deliver(1, 6, true);
  CHECK(both.sent == before);
  both.a().rows().release_commits();
  both.settle();
  CHECK(both.sent == before + 1);
}

TEST_CASE("what waits for a silo goes with the activation that has sent it, and not by itself") {
  two_silos both;
  both.place("far", "b");
  both.answer_to_send = millrace::runtime::detail::peer_send::unavailable;
  REQUIRE(both.call(both.a(), ref<Ferry>("near").post("far", 4)));
  both.settle();
  REQUIRE(both.routes(both.a()).parked() == 1);
  both.a().discard(both.partition("near"));
  both.answer_to_send = millrace::runtime::detail::peer_send::queued;
  const auto before = both.sent;
  both.routes(both.a()).retry_parked();
  both.settle();
  CHECK(both.sent == before);
  CHECK(both.routes(both.a()).parked() == 0);
  REQUIRE(both.a().take_over(both.partition("near")));
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 4);
}

TEST_CASE("a send that is under way is not sent a second time by the next activation") {
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  auto posted = both.a().begin(ref<Ferry>("near").post("far", 4));
  both.settle();
  REQUIRE(both.in_flight() == 1);
  both.a().discard(both.partition("near"));
  REQUIRE(both.a().take_over(both.partition("near")));
  both.settle();
  CHECK(both.in_flight() == 1);
  CHECK(both.a().here().stats().sends_pending == 1);
  both.holds = two_silos::held::nothing;
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 4);
  CHECK(both.a().here().stats().sends_pending == 0);
  CHECK(both.routes(both.a()).open_calls() == 0);
}

// Goal: what may still arrive is not sent elsewhere: its actor may be back by then.
TEST_CASE("a send on its way to a silo that cannot be reached is not sent to another meanwhile") {
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  REQUIRE(both.call(both.a(), ref<Ferry>("near").post("far", 4)));
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  both.settle();
  REQUIRE(both.in_flight() == 2);
  both.routes(both.a()).reaches("b", false);
  both.place("far", "a");
  both.settle();
  CHECK(code_of(added.answer()) == errc::outcome_unknown);  // a call is not waited for
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 0);
  CHECK(both.a().here().stats().sends_pending == 1);
  both.routes(both.a()).reaches("b", true);
  both.holds = two_silos::held::nothing;
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 4);
  CHECK(both.a().here().stats().sends_pending == 0);
}

// Goal: who has the newer map does not matter: the call waits until both have the same.
TEST_CASE("a call that the silo of its actor refuses waits, and goes out again") {
  two_silos both;
  both.place("far", "b");
  both.routes(both.b()).set_map(std::make_shared<cluster_map>(
      std::vector<cluster_member>{{"a", 1, {}, {"ferry"}}, {"b", 2, {}, {"ferry"}}},
      std::vector<std::string>(256, "a")));
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  both.settle();
  CHECK_FALSE(added.answered());
  CHECK(both.routes(both.a()).parked() == 1);
  both.share_map_with(both.b());
  both.routes(both.a()).retry_parked();  // its own map is as new as before
  both.settle();
  CHECK(added.answer()->total() == 1);
}

// Goal: a silo that has lost a partition keeps the calls that have not begun, its own ones.
TEST_CASE("a call of the silo that has lost the actor's partition goes to who has it then") {
  two_silos both;
  both.a().discard(both.partition("mine"));  // and nobody knows of another primary yet
  auto added = both.a().begin(ref<Ferry>("mine").add(3));
  both.settle();
  CHECK_FALSE(added.answered());
  CHECK(both.routes(both.a()).parked() == 1);
  both.place("mine", "b");
  both.settle();
  CHECK(added.answer()->total() == 3);
  CHECK(both.call(both.b(), ref<Ferry>("mine").get())->total() == 3);
}

// Goal: who was asked does not send a call on: its caller does, and gets its own answer.
TEST_CASE("calls of another silo that wait when their partition moves go back to be sent again") {
  two_silos both;
  both.place("moved", "b");
  auto first = both.a().begin(ref<Ferry>("moved").hold());
  both.settle();
  auto added = both.a().begin(ref<Ferry>("moved").add(7));
  both.settle();
  both.place("moved", "a");
  both.b().discard(both.partition("moved"));
  both.settle();
  REQUIRE(
      both.call(both.a(), ref<Ferry>("moved").release()));  // it had done nothing: it waits here
  CHECK(first.answer());
  const auto answer = added.answer();
  REQUIRE(answer);
  CHECK(answer->total() == 7);
  CHECK(both.routes(both.a()).open_calls() == 0);
  CHECK(both.routes(both.b()).open_calls() == 0);
}

// Goal: what a turn has had done on another silo is not done again because its own partition moves.
TEST_CASE("a turn that waits for another silo does not begin again when its partition moves") {
  two_silos both;
  both.place("near", "b");
  both.holds = two_silos::held::for_a;
  auto carried = both.a().begin(carry("near", {"far"}, 3));
  both.settle();  // the turn on b has called far, on a
  both.holds = two_silos::held::for_b;
  both.settle();
  both.b().discard(both.partition("near"));
  both.place("near", "a");
  both.holds = two_silos::held::nothing;
  both.settle();
  CHECK(code_of(carried.answer()) == errc::outcome_unknown);
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 3);
}

TEST_CASE("an answer for an earlier life of a silo is nobody's") {
  two_silos both;
  both.place("far", "b");
  both.holds = two_silos::held::all;
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  both.settle();
  CHECK(
      both.routes(both.a()).received("b", 2, static_cast<std::uint16_t>(frame_kind::answer),
                                     encoded_frame{answer_frame{{77, 1}, any_message{}}}.bytes()));
  CHECK_FALSE(added.answered());
  both.holds = two_silos::held::nothing;
  both.settle();
  CHECK(added.answer()->total() == 1);
}

TEST_CASE("an answer that a link does not take is told, one way or the other") {
  two_silos both;
  both.place("far", "b");
  both.answer_to_answer = millrace::runtime::detail::peer_send::too_large;
  CHECK(code_of(both.call(both.a(), ref<Ferry>("far").add(1))) == errc::outcome_unknown);
  both.answer_to_answer = millrace::runtime::detail::peer_send::too_large;
  CHECK(code_of(both.call(both.a(), ref<Ferry>("far").get())) == errc::too_large);
  CHECK_FALSE(both.given_up);
  both.answer_to_answer = millrace::runtime::detail::peer_send::overloaded;
  auto waiting = both.a().begin(ref<Ferry>("far").get());
  both.settle();
  CHECK(both.given_up);
  both.lose_b();
  both.routes(both.a()).retry_parked();
  both.settle();
  CHECK(waiting.answer());  // it only reads: it was sent again
}

TEST_CASE("a message that cannot be read ends the session, since it may have been an answer") {
  two_silos both;
  CHECK_FALSE(both.routes(both.a()).received("b", 2, 1, "nonsense"));
  CHECK(both.given_up);
}

TEST_CASE("a silo whose disk is behind takes what reads of others, and not what writes") {
  two_silos both;
  both.place("far", "b");
  REQUIRE(both.call(both.a(), ref<Ferry>("far").add(1)));
  both.b().rows().fall_behind(true);
  const auto refused = both.call(both.a(), ref<Ferry>("far").add(1));
  CHECK(code_of(refused) == errc::overloaded);
  CHECK(refused.error().retry_after() == 100ms);
  both.a().here().tell(ref<Ferry>("far").add(1));
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 1);
  REQUIRE(both.call(both.a(), ref<Ferry>("near").post("far", 1)));
  both.settle();
  CHECK(both.a().here().stats().sends_pending == 1);
  both.b().rows().fall_behind(false);
  both.a().advance(1min);
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("far").get())->total() == 2);
  CHECK(both.b().here().stats().overloaded_total >= 3);
}

TEST_CASE("a call to a silo that stops waits for another one") {
  two_silos both;
  both.place("far", "b");
  both.routes(both.b()).leave();
  auto added = both.a().begin(ref<Ferry>("far").add(1));
  both.settle();
  CHECK_FALSE(added.answered());
  both.place("far", "a");
  both.settle();
  CHECK(added.answer()->total() == 1);
}

TEST_CASE("a call waits for its partition's primary, until its deadline") {
  two_silos both;
  both.place("nowhere", "");
  auto added = both.a().begin(ref<Ferry>("nowhere").add(1));
  auto late = both.a().begin(ref<Ferry>("nowhere").add(10));
  both.settle();
  CHECK(both.routes(both.a()).parked() == 2);
  late.cancel();
  both.place("nowhere", "b");
  both.settle();
  CHECK(added.answer()->total() == 1);
  CHECK(code_of(late.answer()) == errc::cancelled);

  both.place("nowhere", "");
  auto in_vain = both.a().begin(ref<Ferry>("nowhere").add(100));
  both.settle();
  both.a().advance(31s);
  CHECK(code_of(in_vain.answer()) == errc::deadline_exceeded);
  both.routes(both.a()).retry_parked();
  CHECK(both.routes(both.a()).parked() == 0);
  both.place("nowhere", "b");
  both.settle();
  CHECK(both.call(both.a(), ref<Ferry>("nowhere").get())->total() == 1);
}

TEST_CASE("calls that wait for a primary have 64 MiB together, and no more") {
  two_silos both;
  both.place("nowhere", "");
  const std::string text(std::size_t{1} << 20U, 'x');
  std::atomic<int> answered{0};
  const auto begin = [&] {
    both.a().here().call_then(ref<Ferry>("nowhere").refuse(text), [&](const auto&) { ++answered; });
  };
  for (int call = 0; call < 63; ++call) {
    begin();
  }
  CHECK(answered == 0);
  CHECK(code_of(both.call(both.a(), ref<Ferry>("nowhere").refuse(text))) == errc::overloaded);
  auto small = both.a().begin(ref<Ferry>("nowhere").add(1));
  both.settle();
  CHECK(both.routes(both.a()).parked() == 64);
  both.routes(both.a()).retry_parked();  // none of it has gone
  CHECK(code_of(both.call(both.a(), ref<Ferry>("nowhere").refuse(text))) == errc::overloaded);
  both.place("nowhere", "b");
  both.settle();
  CHECK(small.answer()->total() == 1);
  CHECK(answered == 63);
  both.place("nowhere", "");
  begin();
  both.settle();
  CHECK(both.routes(both.a()).parked() == 1);
}

TEST_CASE("so many calls wait for a primary, and no more; a silo that stops keeps none") {
  two_silos both;
  both.place("nowhere", "");
  std::atomic<int> answered{0};
  const auto one_more = [&] {
    both.a().here().call_then(ref<Ferry>("nowhere").add(1),
                              [&](const auto& answer) { answered += answer ? 1000 : 1; });
  };
  for (int call = 0; call < 10'000; ++call) {
    one_more();
  }
  CHECK(answered == 0);
  const auto over = both.call(both.a(), ref<Ferry>("nowhere").add(1));
  CHECK(code_of(over) == errc::overloaded);
  CHECK(over.error().retry_after() > 0ms);
  both.routes(both.a()).leave();
  both.settle();
  CHECK(answered == 10'000);
  CHECK(both.routes(both.a()).parked() == 0);
}
