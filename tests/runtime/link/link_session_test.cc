// SPDX-License-Identifier: MIT
#include "link/link_session.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>

#include "session_pair.h"

namespace millrace::runtime::testing {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> texts_of(const end& one) {
  std::vector<std::string> all;
  for (const auto& each : one.messages) {
    all.emplace_back(each.body());
  }
  return all;
}

using texts = std::vector<std::string>;

session_pair connected_pair(const link_limits& limits = {}) {
  session_pair pair{limits};
  pair.connect();
  pair.settle();
  REQUIRE(pair.a->session.is_up());
  REQUIRE(pair.b->session.is_up());
  return pair;
}

}  // namespace

TEST_CASE("two ends greet and exchange messages both ways") {
  session_pair pair;
  CHECK(pair.a->session.send(link_lane::call, 1, "x") == link_send::unavailable);
  pair.connect();
  CHECK_FALSE(pair.a->session.is_up());
  pair.settle();
  CHECK(pair.a->ups == 1);
  CHECK(pair.b->ups == 1);
  CHECK(pair.a->ended == 0);
  CHECK(pair.b->session.peer_incarnation() == 1);
  CHECK(pair.a->session.send(link_lane::call, 1, "to b") == link_send::queued);
  CHECK(pair.b->session.send(link_lane::system, 2, "") == link_send::queued);
  pair.settle();
  CHECK(texts_of(*pair.b) == texts{"to b"});
  REQUIRE(texts_of(*pair.a) == texts{""});
  CHECK(pair.a->messages[0].kind == 2);
  CHECK(pair.a->messages[0].lane == link_lane::system);
}

TEST_CASE(
    "many messages leave in one write, system traffic first, and a piece of bulk at the end") {
  auto pair = connected_pair();
  auto& session = pair.a->session;
  REQUIRE(session.send(link_lane::bulk, 1, std::string(5 * piece_bytes_max, 'b')) ==
          link_send::queued);
  for (int at = 0; at < 100; ++at) {
    REQUIRE(session.send(link_lane::call, 1, "call") == link_send::queued);
  }
  REQUIRE(session.send(link_lane::system, 1, "system") == link_send::queued);
  std::string out;
  session.output(out, pair.now);
  std::vector<link_lane> lanes;
  for (std::string_view rest = out; !rest.empty();) {
    frame one;
    rest.remove_prefix(*read_frame(rest, one));
    lanes.push_back(one.lane);
  }
  REQUIRE(lanes.size() == 102);
  CHECK(lanes.front() == link_lane::system);
  CHECK(lanes[1] == link_lane::call);
  CHECK(lanes.back() == link_lane::bulk);
  // A call that comes later overtakes the rest of the bulk.
  REQUIRE(session.send(link_lane::call, 1, "late") == link_send::queued);
  out.clear();
  session.output(out, pair.now);
  frame first;
  REQUIRE(read_frame(out, first));
  CHECK(first.body == "late");
}

TEST_CASE("a full lane says so, and others go on") {
  const auto limits = small_limits();
  auto pair = connected_pair(limits);
  const std::string large(limits.message_bytes_max, 'x');
  CHECK(pair.a->session.send(link_lane::call, 1, large + "x") == link_send::too_large);
  CHECK(pair.a->session.send(link_lane::call, 1, large) == link_send::queued);
  CHECK(pair.a->session.send(link_lane::call, 1, large) == link_send::overloaded);
  CHECK(pair.a->session.send(link_lane::system, 1, large) == link_send::queued);
  pair.settle();
  pair.tick(*pair.b);
  pair.settle();
  CHECK(pair.a->session.held(link_lane::call) == 0);
  CHECK(pair.a->session.send(link_lane::call, 1, large) == link_send::queued);
}

// Goal: a receiver that does not release holds its sender, and no more than a window of memory.
TEST_CASE("what is not released is not replaced") {
  const auto limits = small_limits();
  auto pair = connected_pair(limits);
  auto& from = pair.a->session;
  auto& to = pair.b->session;
  const std::string large(limits.message_bytes_max, 'x');
  std::vector<link_receipt> kept;
  std::string wire;
  for (int at = 0; at < 5; ++at) {
    static_cast<void>(from.send(link_lane::bulk, 1, large));
    for (int writes = 0; writes < 10 && from.has_output(); ++writes) {
      from.output(wire, pair.now);
    }
    link_effects effects;
    CHECK(to.receive(wire, pair.now, effects) == wire.size());
    CHECK_FALSE(effects.closed);
    for (const auto& each : effects.messages) {
      kept.push_back(each.receipt);
    }
    wire.clear();
    to.tick(pair.now, effects);
    std::string back;
    to.output(back, pair.now);
    REQUIRE(from.receive(back, pair.now, effects) == back.size());
  }
  CHECK(kept.size() == 2);  // the window of bulk
  CHECK(from.held(link_lane::bulk) > 0);
  to.release(kept.front());
  pair.tick(*pair.b);
  pair.settle();
  CHECK(pair.b->messages.size() == 1);
}

TEST_CASE("a receipt of an earlier session is worth nothing") {
  const auto limits = small_limits();
  auto pair = connected_pair(limits);
  auto& from = pair.a->session;
  const auto credit = [&] {
    std::string out;
    pair.b->session.say_goodbye("", pair.now);
    pair.b->session.output(out, pair.now);
    out.clear();
    pair.b->session.connected(9, pair.now);
    pair.b->session.output(out, pair.now);
    frame one;
    REQUIRE(read_frame(out, one));
    return read_hello(one.body)->lanes[index_of(link_lane::call)].credit;
  };
  REQUIRE(from.send(link_lane::call, 1, "x") == link_send::queued);
  pair.settle();
  const auto receipt = pair.b->messages.at(0).receipt;
  pair.restart(pair.a);
  pair.connect();
  pair.settle();
  REQUIRE(pair.b->ended == 1);
  pair.b->session.release(receipt);
  CHECK(credit() == limits.window_bytes[index_of(link_lane::call)]);
}

TEST_CASE("after a cut each goes on where the other is") {
  auto pair = connected_pair();
  REQUIRE(pair.a->session.send(link_lane::call, 1, "1") == link_send::queued);
  pair.settle();
  REQUIRE(pair.a->session.send(link_lane::call, 1, "2") == link_send::queued);
  REQUIRE(pair.b->session.send(link_lane::call, 1, "3") == link_send::queued);
  std::string never;
  pair.a->session.output(never, pair.now);
  pair.b->session.output(never, pair.now);
  pair.cut(*pair.a);
  pair.cut(*pair.b);
  CHECK(pair.a->session.send(link_lane::call, 1, "4") == link_send::queued);
  pair.connect();
  pair.settle();
  CHECK(texts_of(*pair.b) == texts{"1", "2", "4"});
  CHECK(texts_of(*pair.a) == texts{"3"});
  CHECK(pair.a->ended + pair.b->ended == 0);
}

TEST_CASE("a process that has started anew gets nothing of what the old one had not taken") {
  auto pair = connected_pair();
  pair.cut(*pair.a);
  for (const auto* text : {"1", "2"}) {
    REQUIRE(pair.a->session.send(link_lane::call, 1, text) == link_send::queued);
  }
  pair.restart(pair.b);
  pair.connect();
  pair.settle();
  CHECK(pair.a->ended == 1);
  CHECK(pair.a->lost == 2);
  CHECK(pair.a->session.peer_incarnation() == 2);
  CHECK(pair.b->messages.empty());
  REQUIRE(pair.a->session.send(link_lane::call, 1, "3") == link_send::queued);
  pair.settle();
  CHECK(texts_of(*pair.b) == texts{"3"});
}

TEST_CASE("a session that does not come back in time ends, for both") {
  auto pair = connected_pair();
  pair.cut(*pair.a);
  pair.cut(*pair.b);
  REQUIRE(pair.a->session.send(link_lane::call, 1, "1") == link_send::queued);
  pair.now += link_limits{}.resume_within - 1ns;
  pair.tick(*pair.a);
  CHECK(pair.a->ended == 0);
  CHECK(pair.a->session.send(link_lane::call, 1, "2") == link_send::queued);
  pair.now += 1ns;
  pair.tick(*pair.a);
  CHECK(pair.a->ended == 1);
  CHECK(pair.a->lost == 2);
  CHECK(pair.a->session.send(link_lane::call, 1, "3") == link_send::unavailable);
  // b has not looked at the clock, and would go on.
  pair.connect();
  pair.settle();
  CHECK(pair.b->ended == 1);
  CHECK(pair.b->messages.empty());
  CHECK(pair.a->session.is_up());
}

TEST_CASE("attempts that do not come to anything do not keep a session") {
  auto pair = connected_pair();
  pair.cut(*pair.a);
  for (auto waited = 0s; waited < link_limits{}.resume_within; waited += 1s) {
    CHECK(pair.a->ended == 0);
    pair.connect();
    pair.cut(*pair.a);
    pair.now += 1s;
    pair.tick(*pair.a);
  }
  CHECK(pair.a->ended == 1);
}

TEST_CASE("a connection that was held up does not replace a newer one") {
  auto pair = connected_pair();
  link_effects effects;
  link_hello old{.from = pair.a->self, .connection = 1};
  const auto refused = pair.b->session.accepted(old, 99, pair.now, effects);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text() == "this connection was overtaken by a newer one");
  CHECK(pair.b->session.is_up());
  CHECK_FALSE(effects.session_ended);
  ++old.from.incarnation;
  CHECK(pair.b->session.accepted(old, 99, pair.now, effects));
  CHECK(effects.session_ended);
}

// Goal: a process that was held up for long, and was replaced, does not come back.
TEST_CASE("an earlier life of a peer does not take the place of a later one") {
  auto pair = connected_pair();
  const auto early = pair.b->self;
  pair.restart(pair.a);
  pair.restart(pair.b);
  pair.connect();
  pair.settle();
  REQUIRE(pair.b->session.peer_incarnation() == 2);
  link_effects effects;
  auto old = pair.a->self;
  old.incarnation = 1;
  const auto refused =
      pair.b->session.accepted({.from = old, .connection = 9}, 99, pair.now, effects);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text() == "this is life 1 of silo.a, which has been followed by life 2");
  CHECK(pair.b->session.is_up());
  CHECK_FALSE(effects.session_ended);
  // Where it is dialled.
  pair.cut(*pair.a);
  pair.connect();
  append_hello(pair.to_a, {.from = early, .session = 5});
  pair.pump(*pair.a);
  CHECK(pair.a->reason == "this is life 1 of silo.b, which has been followed by life 2");
  CHECK(pair.a->session.has_session());
  CHECK(pair.a->ended == 0);
}

TEST_CASE("an end that has nothing to say is heard, and one that is not heard is given up") {
  auto pair = connected_pair();
  const link_limits limits;
  for (int at = 0; at < 20; ++at) {
    pair.now += limits.alive_interval;
    pair.tick(*pair.a);
    pair.tick(*pair.b);
    pair.settle();
  }
  CHECK(pair.a->session.is_up());
  CHECK(pair.b->session.is_up());
  pair.now += limits.silence_max - 1ns;
  pair.tick(*pair.a);
  CHECK(pair.a->session.is_up());
  pair.now += 1ns;
  pair.tick(*pair.a);
  CHECK_FALSE(pair.a->session.is_up());
  CHECK(pair.a->reason == "nothing was heard of silo.b for 2000 ms");
}

TEST_CASE("an acceptor that never answers the hello is given up") {
  session_pair pair;
  pair.connect();
  pair.now += link_limits{}.silence_max;
  pair.tick(*pair.a);
  CHECK(pair.a->reason == "nothing was heard of silo.b for 2000 ms");
}

TEST_CASE("a peer that breaks the rules loses its connection, with the reason on both sides") {
  const auto raw = [](frame one) {
    std::string bytes;
    append_frame(bytes, one);
    return bytes;
  };
  const std::string credit(8, '\0');
  struct row {
    std::string bytes;
    const char* why;
  };
  for (const auto& [bytes, why] :
       {row{"garbage garbage garbage", "there is no frame of type 97"},
        row{std::string(16, '\xff'), "there is no frame of type 255"},
        row{raw({.type = frame_type::hello, .body = "x"}), "a frame of type 1 out of its place"},
        row{raw({.type = frame_type::message, .number = 2}), "frame 2 where 1 was due"},
        row{raw({.type = frame_type::progress, .number = 1, .body = credit}),
            "progress that cannot be"}}) {
    CAPTURE(why);
    auto pair = connected_pair();
    pair.to_b = bytes;
    pair.pump(*pair.b);
    CHECK(pair.b->reason == why);
    pair.settle();
    CHECK(pair.a->reason == "silo.b ended the link: " + std::string{why});
    CHECK_FALSE(pair.a->session.is_up());
  }
}

// Goal: what its receiver refuses is not sent again and again.
TEST_CASE("a frame that is refused ends the session, with all that is queued in it") {
  for (const bool refused_by_b : {true, false}) {
    CAPTURE(refused_by_b);
    auto pair = connected_pair();
    auto& refuses = refused_by_b ? *pair.b : *pair.a;
    auto& other = refused_by_b ? *pair.a : *pair.b;
    for (const auto* text : {"1", "2"}) {
      REQUIRE(other.session.send(link_lane::call, 1, text) == link_send::queued);
    }
    auto& wire = refused_by_b ? pair.to_b : pair.to_a;
    other.session.output(wire, pair.now);
    store_little(wire.data() + wire.size() - frame_head_bytes - 1 + 8, std::uint64_t{7});
    pair.pump(refuses);
    CHECK(refuses.reason == "frame 7 where 2 was due");
    CHECK(refuses.ended == 1);
    CHECK(refuses.messages.empty());  // they went with it
    CHECK_FALSE(refuses.session.has_session());
    pair.pump(other);
    CHECK(other.session.send(link_lane::call, 1, "3") == link_send::queued);
    pair.connect();
    pair.settle();
    CHECK(other.ended == 1);
    CHECK(other.lost == 3);
    REQUIRE(other.session.send(link_lane::call, 1, "4") == link_send::queued);
    pair.settle();
    CHECK(texts_of(refuses) == texts{"4"});
  }
}

TEST_CASE("whoever answers instead of the peer ends no session of the peer's") {
  auto pair = connected_pair();
  pair.cut(*pair.a);
  pair.connect();
  pair.to_a = "HTTP/1.1 400 Bad Request";
  pair.pump(*pair.a);
  CHECK(pair.a->reason == "there is no frame of type 47");
  CHECK(pair.a->session.has_session());
}

TEST_CASE("a sender keeps to the largest message that its peer takes") {
  link_limits little;
  little.message_bytes_max = 1000;
  session_pair pair{{}, little};
  pair.connect();
  pair.settle();
  CHECK(pair.a->session.send(link_lane::call, 1, std::string(1001, 'x')) == link_send::too_large);
  CHECK(pair.a->session.send(link_lane::call, 1, std::string(1000, 'x')) == link_send::queued);
  CHECK(pair.b->session.send(link_lane::call, 1, std::string(1001, 'x')) == link_send::too_large);
  pair.settle();
  CHECK(pair.b->messages.size() == 1);
  // A peer that says nothing of it is of a version that did not.
  link_hello silent{.from = pair.a->self, .connection = 9};
  link_effects effects;
  session_pair other;
  REQUIRE(other.b->session.accepted(silent, 1, other.now, effects));
  CHECK(other.b->session.send(link_lane::call, 1, std::string(1001, 'x')) == link_send::queued);
}

TEST_CASE("a peer that sends past its credit loses its connection") {
  const auto limits = small_limits();
  auto pair = connected_pair(limits);
  const std::string body(piece_bytes_max, 'x');
  std::string flood;
  for (std::uint64_t number = 1; number <= 10; ++number) {
    append_frame(flood, {frame_type::message, link_lane::system, 1, number, body});
  }
  link_effects effects;
  static_cast<void>(pair.b->session.receive(flood, pair.now, effects));
  CHECK(effects.session_ended);
  CHECK(effects.closed == "more bytes than there was credit for");
}

TEST_CASE("an end that is not the one that was dialled is refused") {
  session_pair pair;
  pair.connect();
  std::uint64_t number = 1;
  for (const auto& [said, why] :
       {std::pair{link_hello{.from = {"c", {link_role::silo, "x"}}, .session = 1},
                  "this is silo.x, not silo.b"},
        {link_hello{.from = {"c", {link_role::gateway, "b"}}, .session = 1},
         "this is gateway.b, not silo.b"},
        {link_hello{.from = {"d", {link_role::silo, "b"}}, .session = 1},
         "silo.b is of the cluster 'd', silo.a of 'c'"},
        {link_hello{.from = {"c", {link_role::silo, "b"}, 1, 2, 2}, .session = 1},
         "silo.a speaks versions 1 to 1 of the link protocol, silo.b speaks versions 2 to 2 of the "
         "link protocol: upgrade silo.a"},
        {link_hello{.from = {"c", {link_role::silo, "b"}}, .session = 0},
         "a hello whose session cannot be gone on with"}}) {
    pair.a->session.connected(++number, pair.now);
    std::string bytes;
    append_hello(bytes, said);
    link_effects effects;
    static_cast<void>(pair.a->session.receive(bytes, pair.now, effects));
    CHECK(effects.closed == why);
    CHECK_FALSE(pair.a->session.is_up());
  }
}

TEST_CASE("a goodbye is told in letters that a terminal may see") {
  auto pair = connected_pair();
  append_frame(pair.to_a, {.type = frame_type::goodbye, .body = "\x1b[2J bye\n"});
  pair.pump(*pair.a);
  CHECK(pair.a->reason == "silo.b ended the link: ?[2J bye?");
}

// Goal: whatever becomes of connections, each message arrives at most once and in the order of its
// lane, none is lost while both sessions live, and what is lost is counted.
// Method: random sends, deliveries of any number of bytes, cuts seen by either end at different
// times, reconnects, silences and new processes; in the end everything heals.
namespace {

class random_link {
public:
  explicit random_link(std::uint64_t seed, bool kills)
      : rng_(seed), kills_(kills), pair_(small_limits()) {}

  void run() {
    for (int step = 0; step < 2000; ++step) {
      one_thing();
      look(*pair_.a, seen_by_a_);
      look(*pair_.b, seen_by_b_);
    }
    pair_.cut(*pair_.a);
    pair_.connect();
    for (int round = 0; round < 10; ++round) {
      pair_.settle();
      pair_.tick(*pair_.a);
      pair_.tick(*pair_.b);
    }
    look(*pair_.a, seen_by_a_);
    look(*pair_.b, seen_by_b_);
    count(*pair_.a, sent_by_a_, seen_by_b_);
    count(*pair_.b, sent_by_b_, seen_by_a_);
    REQUIRE(arrived > 50);
    REQUIRE(reconnects > 5);
  }

  std::uint64_t arrived = 0;
  unsigned reconnects = 0;

private:
  // By incarnation of the sender and lane: the number of the last message, and how many.
  struct counted {
    std::uint64_t last = 0;
    std::uint64_t count = 0;
  };
  using tallies = std::map<std::pair<std::uint64_t, link_lane>, counted>;

  std::uint64_t pick(std::uint64_t below) { return rng_.next() % below; }

  void one_thing() {
    const bool is_a = pick(2) == 0;
    auto& one = is_a ? *pair_.a : *pair_.b;
    pair_.now += std::chrono::milliseconds{pick(20)};
    switch (pick(40)) {
      case 0:
        pair_.cut(one);
        break;
      case 1:
        pair_.now += std::chrono::seconds{pick(10) == 0 ? 11 : 1};
        break;
      case 2:
        if (kills_ && pick(10) == 0) {
          (is_a ? sent_by_a_ : sent_by_b_).clear();
          pair_.restart(is_a ? pair_.a : pair_.b);
        }
        break;
      case 3:
      case 4:
      case 5:
        pair_.tick(*pair_.a);
        pair_.tick(*pair_.b);
        break;
      case 6:
        if (!pair_.a->is_connected) {
          ++reconnects;
          pair_.connect();
        }
        break;
      default:
        if (pick(2) == 0) {
          send(one, is_a ? sent_by_a_ : sent_by_b_);
        } else {
          pair_.pump(one, pick(4) == 0 ? SIZE_MAX : pick(50'000));
        }
    }
  }

  void send(end& from, tallies& sent) {
    const auto lane = static_cast<link_lane>(pick(link_lane_count));
    auto& tally = sent[{from.self.incarnation, lane}];
    std::string body(17 + (pick(8) == 0 ? pick(2 * piece_bytes_max) : pick(2000)), '\0');
    store_little(body.data(), from.self.incarnation);
    store_little(body.data() + 8, tally.last + 1);
    body.back() = static_cast<char>(body.size());
    if (from.session.send(lane, 1, body) == link_send::queued) {
      ++tally.last;
      ++tally.count;
    }
  }

  void look(end& to, tallies& seen) {
    for (const auto& each : to.messages) {
      const auto body = each.body();
      auto& tally = seen[{load_little<std::uint64_t>(body.data()), each.lane}];
      const auto number = load_little<std::uint64_t>(body.data() + 8);
      REQUIRE(number > tally.last);  // once, in order
      REQUIRE(body.back() == static_cast<char>(body.size()));
      tally.last = number;
      ++tally.count;
      ++arrived;
    }
    to.messages.clear();
  }

  void count(const end& from, const tallies& sent, const tallies& seen) {
    std::uint64_t missing = 0;
    for (const auto& [whose, tally] : sent) {
      const auto found = seen.find(whose);
      missing += tally.count - (found == seen.end() ? 0 : found->second.count);
    }
    REQUIRE(missing <= from.lost);
    if (from.ended == 0) {
      REQUIRE(missing == 0);
    }
  }

  rng rng_;
  bool kills_;
  session_pair pair_;
  tallies sent_by_a_;
  tallies sent_by_b_;
  tallies seen_by_a_;
  tallies seen_by_b_;
};

}  // namespace

TEST_CASE("each message arrives once and in order, wherever connections break") {
  const auto* const given = std::getenv("MILLRACE_SEEDS");
  const std::uint64_t seeds = given != nullptr ? std::strtoull(given, nullptr, 10) : 150;
  std::uint64_t arrived = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    random_link link{seed, seed % 2 == 0};
    link.run();
    arrived += link.arrived;
  }
  MESSAGE("messages that arrived: " << arrived);
}

}  // namespace millrace::runtime::testing
