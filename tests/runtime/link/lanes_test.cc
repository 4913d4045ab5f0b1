// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "link/receive_lane.h"
#include "link/send_lane.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t plenty = std::size_t{1} << 24U;

// The frames in `bytes`; their bodies point there.
std::vector<frame> frames_in(std::string_view bytes) {
  std::vector<frame> all;
  while (!bytes.empty()) {
    frame one;
    const auto taken = read_frame(bytes, one);
    REQUIRE(taken);
    REQUIRE(*taken > 0);
    bytes.remove_prefix(*taken);
    all.push_back(one);
  }
  return all;
}

std::string taken_from(send_lane& lane, std::size_t budget = plenty) {
  std::string out;
  lane.take(budget, out);
  return out;
}

std::uint64_t first_of(std::string_view bytes) {
  return frames_in(bytes).at(0).number;
}

}  // namespace

TEST_CASE("a lane refuses what is over its bound, and takes it again once it was acknowledged") {
  const auto cost = send_lane::cost_of(100);
  send_lane lane{link_lane::call, 3 * cost};
  CHECK(lane.restart(plenty) == 0);
  for (int at = 0; at < 3; ++at) {
    CHECK(lane.push(1, std::string(100, 'x')));
  }
  CHECK_FALSE(lane.push(1, ""));
  CHECK(lane.held() == 3 * cost);
  // Sent is not acknowledged.
  CHECK(frames_in(taken_from(lane)).size() == 3);
  CHECK_FALSE(lane.push(1, ""));
  CHECK(lane.progress(2, plenty));
  CHECK(lane.held() == cost);
  CHECK(lane.push(1, std::string(100, 'x')));
  CHECK(first_of(taken_from(lane)) == 4);
}

TEST_CASE("a lane sends no more than its credit") {
  const auto cost = send_lane::cost_of(10);
  send_lane lane{link_lane::call, plenty};
  lane.restart(2 * cost + 1);
  for (int at = 0; at < 5; ++at) {
    REQUIRE(lane.push(1, std::string(10, 'x')));
  }
  CHECK(frames_in(taken_from(lane)).size() == 2);
  CHECK_FALSE(lane.can_send());
  CHECK(taken_from(lane).empty());
  CHECK(lane.progress(0, 3 * cost));
  CHECK(first_of(taken_from(lane)) == 3);
  CHECK(lane.progress(3, plenty));
  CHECK(frames_in(taken_from(lane)).size() == 2);
}

TEST_CASE("a budget is kept, but one frame always goes") {
  const auto cost = send_lane::cost_of(1000);
  send_lane lane{link_lane::call, plenty};
  lane.restart(plenty);
  for (int at = 0; at < 200; ++at) {
    REQUIRE(lane.push(1, std::string(1000, 'x')));
  }
  CHECK(frames_in(taken_from(lane, 0)).size() == 1);
  CHECK(frames_in(taken_from(lane, 3 * cost + 1)).size() == 3);
  CHECK(frames_in(taken_from(lane, 100 * cost)).size() == 100);  // over the end of a block
  CHECK(frames_in(taken_from(lane)).size() == 96);
}

TEST_CASE("a large message goes in pieces and comes whole") {
  std::string body;
  for (std::size_t at = 0; body.size() < 3 * piece_bytes_max + 5; ++at) {
    body += std::to_string(at);
  }
  send_lane out{link_lane::bulk, plenty};
  out.restart(plenty);
  receive_lane in{plenty, body.size()};
  REQUIRE(out.push(7, body));
  REQUIRE(out.push(8, "next"));
  CHECK(out.held() == send_lane::cost_of(body.size()) + send_lane::cost_of(4));
  const auto bytes = taken_from(out);
  const auto frames = frames_in(bytes);
  REQUIRE(frames.size() == 5);
  for (std::size_t at = 0; at < 3; ++at) {
    link_message message;
    CHECK(frames[at].cost() <= frame_bytes_max);
    CHECK_FALSE(in.take(frames[at], message).value());
  }
  link_message whole;
  CHECK(in.take(frames[3], whole).value());
  CHECK(whole.body() == body);
  CHECK(whole.kind == 7);
  CHECK(whole.receipt.cost == send_lane::cost_of(body.size()));
  link_message next;
  CHECK(in.take(frames[4], next).value());
  CHECK(next.body() == "next");
  CHECK(in.received() == 5);
}

TEST_CASE("after a reconnect what had not arrived is sent again, and nothing else") {
  send_lane lane{link_lane::call, plenty};
  lane.restart(plenty);
  for (int at = 1; at <= 200; ++at) {
    REQUIRE(lane.push(1, std::string(1000, static_cast<char>('a' + at % 26))));
  }
  CHECK(frames_in(taken_from(lane, 150'000)).back().number == 147);
  CHECK(lane.progress(20, plenty));
  CHECK(lane.resume(100, plenty));
  const auto bytes = taken_from(lane);
  const auto again = frames_in(bytes);
  REQUIRE(again.size() == 100);
  for (std::uint64_t number = 101; const auto& each : again) {
    CHECK(each.number == number);
    CHECK(each.body == std::string(1000, static_cast<char>('a' + number % 26)));
    ++number;
  }
  CHECK(lane.resume(200, plenty));
  CHECK(lane.held() == 0);
  CHECK_FALSE(lane.can_send());
  CHECK(lane.push(1, "x"));
  CHECK(first_of(taken_from(lane)) == 201);
}

TEST_CASE("a lane believes no progress that cannot be") {
  send_lane lane{link_lane::call, plenty};
  lane.restart(1000);
  for (int at = 0; at < 4; ++at) {
    REQUIRE(lane.push(1, "x"));
  }
  CHECK(frames_in(taken_from(lane, 40)).size() == 2);
  CHECK_FALSE(lane.progress(3, 1000));  // not sent yet
  CHECK_FALSE(lane.resume(3, 1000));
  CHECK(lane.progress(2, 1000));
  CHECK_FALSE(lane.progress(1, 1000));  // less than before
  CHECK_FALSE(lane.resume(1, 1000));
  CHECK_FALSE(lane.progress(2, 999));
  CHECK(lane.progress(2, 1000));
}

TEST_CASE("a new session says how many messages were not acknowledged") {
  send_lane lane{link_lane::bulk, plenty};
  lane.restart(plenty);
  REQUIRE(lane.push(1, std::string(3 * piece_bytes_max, 'x')));  // three pieces, one message
  REQUIRE(lane.push(1, "a"));
  REQUIRE(lane.push(1, "b"));
  taken_from(lane);
  REQUIRE(lane.progress(1, plenty));
  CHECK(lane.restart(plenty) == 3);
  CHECK(lane.held() == 0);
  REQUIRE(lane.push(1, "c"));
  CHECK(first_of(taken_from(lane)) == 1);
}

TEST_CASE("a lane that receives takes the next frame within its credit, and nothing else") {
  const auto cost = send_lane::cost_of(100);
  receive_lane lane{2 * cost, 100};
  const std::string body(100, 'x');
  const auto numbered = [&](std::uint64_t number, frame_type type = frame_type::message) {
    return frame{type, link_lane::call, 1, number, body};
  };
  link_message message;
  CHECK(lane.take(numbered(0), message).error().text() == "frame 0 where 1 was due");
  CHECK(lane.take(numbered(2), message).error().text() == "frame 2 where 1 was due");
  CHECK(lane.take(numbered(1), message).value());
  CHECK(lane.take(numbered(1), message).error().text() == "frame 1 where 2 was due");
  CHECK(lane.take(numbered(2), message).value());
  CHECK(lane.take(numbered(3), message).error().text() == "more bytes than there was credit for");
  lane.release(cost);
  CHECK(lane.take(numbered(3, frame_type::piece), message).value() == false);
  lane.release(cost);
  CHECK(lane.take(numbered(4), message).error().text() == "a message of more than 100 bytes");
}

TEST_CASE("progress is due when a quarter of the window has gone") {
  const auto cost = send_lane::cost_of(84);  // 100
  receive_lane lane{16 * cost, 84};
  CHECK(lane.is_due());  // the other end knows of no credit yet
  lane.told();
  CHECK_FALSE(lane.has_news());
  link_message message;
  for (std::uint64_t number = 1; number <= 4; ++number) {
    CHECK_FALSE(lane.is_due());
    const std::string body(84, 'x');
    REQUIRE(lane.take({frame_type::message, link_lane::call, 1, number, body}, message));
    CHECK(lane.has_news());
  }
  CHECK(lane.is_due());  // to be forgotten at the other end, although nothing is released
  lane.told();
  CHECK_FALSE(lane.has_news());
  lane.release(4 * cost);
  CHECK(lane.is_due());
  CHECK(lane.credit() == 20 * cost);
}

}  // namespace millrace::runtime
