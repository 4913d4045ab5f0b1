// SPDX-License-Identifier: MIT
// Two sessions with a wire between them that a test cuts where it likes.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "byte_order.h"
#include "link/frame.h"
#include "link/link_session.h"

namespace millrace::runtime::testing {

/// Small enough for lanes to be full now and then; a message has up to three pieces.
inline link_limits small_limits() {
  link_limits limits;
  limits.message_bytes_max = 2 * piece_bytes_max + 100;
  const auto largest = send_lane::cost_of(limits.message_bytes_max);
  limits.window_bytes = {largest, largest + 1000, 2 * largest};
  limits.queue_bytes_max = {2 * largest, largest, largest};
  return limits;
}

/// A process: its session, and what has happened to it.
struct end {
  end(const char* name, const char* other, std::uint64_t incarnation, const link_limits& limits)
      : self{.cluster_id = "c", .name = {link_role::silo, name}, .incarnation = incarnation},
        session(self, {link_role::silo, other}, limits) {}

  link_identity self;
  link_session session;
  bool is_connected = false;           ///< As this end sees it.
  std::string unread;                  ///< What has come and is no whole frame.
  std::vector<link_message> messages;  ///< Taken and released.
  std::string reason;
  unsigned ups = 0;
  unsigned ended = 0;
  std::uint64_t lost = 0;
};

/// `a` connects, `b` accepts.
class session_pair {
public:
  explicit session_pair(const link_limits& limits = {}) : session_pair(limits, limits) {}
  session_pair(const link_limits& limits_of_a, const link_limits& limits_of_b)
      : limits_(limits_of_a),
        a(std::make_unique<end>("a", "b", 1, limits_of_a)),
        b(std::make_unique<end>("b", "a", 1, limits_of_b)) {}

  /// A new connection of a's, whose hello is on the wire. What b knew of an earlier one it only
  /// learns when that comes.
  void connect() {
    to_a.clear();
    to_b.clear();
    a->unread.clear();
    a->session.connected(++connections_, now);
    a->is_connected = true;
    awaits_hello_ = true;
    b_unread_.clear();
    write(*a, to_b);
  }

  /// One end finds that the connection is gone. What it has written may still arrive.
  void cut(end& one) {
    one.session.disconnected(now);
    one.is_connected = false;
    one.unread.clear();
    if (&one == a.get()) {
      to_a.clear();
      if (std::exchange(awaits_hello_, false)) {
        to_b.clear();
      }
    } else if (!awaits_hello_) {
      to_b.clear();
    }
  }

  /// Everything that may be written is, and so many bytes of what is on the wire arrive.
  void pump(end& to, std::size_t bytes_max = SIZE_MAX) {
    auto& from = &to == a.get() ? *b : *a;
    auto& wire = &to == a.get() ? to_a : to_b;
    if (from.is_connected) {
      // Before it has accepted the new connection, b writes to the old one.
      std::string nowhere;
      write(from, &from == b.get() && awaits_hello_ ? nowhere : wire);
    }
    const auto arrived = wire.substr(0, bytes_max);
    wire.erase(0, arrived.size());
    if (&to == b.get() && awaits_hello_) {
      accept(arrived);
    } else if (to.is_connected) {
      to.unread += arrived;
      receive(to);
    }
  }

  /// Until nobody has anything to say.
  void settle() {
    for (int round = 0; round < 1000; ++round) {
      pump(*a);
      pump(*b);
      if (to_a.empty() && to_b.empty() && !a->session.has_output() && !b->session.has_output()) {
        return;
      }
    }
    FAIL("the two never fall silent");
  }

  void tick(end& one) {
    link_effects effects;
    one.session.tick(now, effects);
    carry_out(one, effects);
  }

  void restart(std::unique_ptr<end>& one) {
    cut(*one);
    const auto other = one->session.peer().name;
    one = std::make_unique<end>(one->self.name.name == "a" ? "a" : "b", other == "a" ? "a" : "b",
                                one->self.incarnation + 1, limits_);
  }

  steady_time now{std::chrono::seconds{100}};
  std::string to_a;
  std::string to_b;

private:
  void write(end& from, std::string& wire) {
    while (from.session.has_output()) {
      from.session.output(wire, now);
    }
  }

  void accept(const std::string& arrived) {
    b_unread_ += arrived;
    frame one;
    const auto size = read_frame(b_unread_, one);
    REQUIRE(size);
    if (*size == 0) {
      return;
    }
    const auto said = read_hello(one.body);
    REQUIRE(said);
    link_effects effects;
    REQUIRE(b->session.accepted(*said, ++sessions_, now, effects));
    awaits_hello_ = false;
    b->is_connected = true;
    b->unread = b_unread_.substr(*size);
    carry_out(*b, effects);
    receive(*b);
  }

  void receive(end& to) {
    link_effects effects;
    const auto taken = to.session.receive(to.unread, now, effects);
    carry_out(to, effects);
    to.unread.erase(0, taken);
  }

  void carry_out(end& to, link_effects& effects) {
    for (auto& each : effects.messages) {
      to.session.release(each.receipt);
      if (each.assembled.empty()) {
        each.assembled = each.in_place;
      }
      to.messages.push_back(std::move(each));
    }
    to.ended += effects.session_ended ? 1 : 0;
    to.lost += effects.lost;
    to.ups += effects.is_up ? 1 : 0;
    if (effects.closed) {
      to.reason = *effects.closed;
      std::string nowhere;
      auto& goodbye = &to == a.get() ? to_b : (awaits_hello_ ? nowhere : to_a);
      write(to, goodbye);
      to.session.disconnected(now);
      to.is_connected = false;
    }
  }

  link_limits limits_;
  bool awaits_hello_ = false;
  std::string b_unread_;
  std::uint64_t sessions_ = 0;
  std::uint64_t connections_ = 0;

public:
  std::unique_ptr<end> a;
  std::unique_ptr<end> b;
};

}  // namespace millrace::runtime::testing
