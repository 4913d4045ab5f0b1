// SPDX-License-Identifier: MIT
#include "link/link_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "byte_order.h"
#include "link/frame.h"
#include "millrace/runtime/assert.h"

namespace millrace::runtime {
namespace {

// A text from outside, for logs.
std::string printable(std::string_view text) {
  std::string safe{text};
  std::replace_if(
      safe.begin(), safe.end(), [](char each) { return each < ' ' || each > '~'; }, '?');
  return safe;
}

}  // namespace

void link_effects::clear() {
  session_ended = false;
  lost = 0;
  is_up = false;
  messages.clear();
  closed.reset();
}

link_session::link_session(link_identity self, link_name peer, const link_limits& limits)
    : self_(std::move(self)),
      peer_(std::move(peer)),
      limits_(limits),
      out_{send_lane{link_lane::system, limits.queue_bytes_max[0]},
           send_lane{link_lane::call, limits.queue_bytes_max[1]},
           send_lane{link_lane::bulk, limits.queue_bytes_max[2]}},
      in_{receive_lane{limits.window_bytes[0], limits.message_bytes_max},
          receive_lane{limits.window_bytes[1], limits.message_bytes_max},
          receive_lane{limits.window_bytes[2], limits.message_bytes_max}} {
  for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
    const auto largest = send_lane::cost_of(limits.message_bytes_max);
    MILLRACE_ASSERT(limits.window_bytes[lane] >= largest);
    MILLRACE_ASSERT(limits.queue_bytes_max[lane] >= largest);
  }
}

void link_session::connected(std::uint64_t number, steady_time now) {
  MILLRACE_ASSERT(number > connection_);
  connection_ = number;
  state_ = state::greeting;
  heard_at_ = now;
  spoke_at_ = now;
  control_.clear();
  append_own_hello(number);
}

result<void> link_session::accepted(const link_hello& said, std::uint64_t fresh, steady_time now,
                                    link_effects& effects) {
  const auto admitted = admit(said.from);
  if (!admitted) {
    return admitted.error();
  }
  if (said.from.incarnation == peer_incarnation_ && said.connection <= connection_) {
    return error{errc::failed_precondition, "this connection was overtaken by a newer one"};
  }
  const bool goes_on = said.from.incarnation == peer_incarnation_ && resume(said);
  version_ = *admitted;
  peer_incarnation_ = said.from.incarnation;
  peer_message_bytes_max_ = said.message_bytes_max;
  connection_ = said.connection;
  if (!goes_on) {
    start(fresh, effects);
    for (std::size_t lane = 0; lane < link_lane_count && said.session == 0; ++lane) {
      MILLRACE_ASSERT(out_[lane].progress(0, said.lanes[lane].credit));
    }
  }
  control_.clear();
  append_own_hello(0);
  state_ = state::up;
  heard_at_ = now;
  effects.is_up = true;
  return {};
}

std::size_t link_session::receive(std::string_view bytes, steady_time now, link_effects& effects) {
  std::size_t taken = 0;
  heard_at_ = bytes.empty() ? heard_at_ : now;
  while (state_ != state::down) {
    frame one;
    const auto size = read_frame(bytes.substr(taken), one);
    if (!size) {
      refuse(size.error().text(), now, effects);
    } else if (*size == 0) {
      break;
    } else {
      taken += *size;
      on_frame(one, now, effects);
    }
  }
  return taken;
}

void link_session::on_frame(const frame& one, steady_time now, link_effects& effects) {
  if (one.type == frame_type::goodbye) {
    disconnected(now);
    effects.closed = peer_.to_string() + " ended the link: " + printable(one.body);
    return;
  }
  if ((one.type == frame_type::hello) != (state_ == state::greeting)) {
    return refuse(
        "a frame of type " + std::to_string(static_cast<unsigned>(one.type)) + " out of its place",
        now, effects);
  }
  const auto lane = index_of(one.lane);
  switch (one.type) {
    case frame_type::hello:
      on_hello(one, now, effects);
      break;
    case frame_type::goodbye:
    case frame_type::alive:
      break;
    case frame_type::progress:
      if (!out_[lane].progress(one.number, load_little<std::uint64_t>(one.body.data()))) {
        refuse("progress that cannot be", now, effects);
      }
      break;
    case frame_type::piece:
    case frame_type::message: {
      link_message message;
      const auto is_whole = in_[lane].take(one, message);
      if (!is_whole) {
        refuse(is_whole.error().text(), now, effects);
      } else if (*is_whole) {
        message.receipt.session = session_;
        effects.messages.push_back(std::move(message));
      }
      break;
    }
  }
}

void link_session::on_hello(const frame& one, steady_time now, link_effects& effects) {
  const auto said = read_hello(one.body);
  if (!said) {
    return fail(said.error().text(), now, effects);
  }
  const auto admitted = admit(said->from);
  if (!admitted) {
    return fail(admitted.error().text(), now, effects);
  }
  const bool is_known = said->from.incarnation == peer_incarnation_ && said->session == session_;
  version_ = *admitted;
  peer_incarnation_ = said->from.incarnation;
  peer_message_bytes_max_ = said->message_bytes_max;
  if (said->session == 0 || (is_known && !resume(*said))) {
    end_session(effects);
    return fail("a hello whose session cannot be gone on with", now, effects);
  }
  if (!is_known) {
    start(said->session, effects);
    for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
      MILLRACE_ASSERT(out_[lane].progress(0, said->lanes[lane].credit));
    }
  }
  state_ = state::up;
  effects.is_up = true;
}

result<std::uint16_t> link_session::admit(const link_identity& from) const {
  const auto no = [](const std::string& why) { return error{errc::failed_precondition, why}; };
  const auto agreed = agree(self_, from);
  if (!agreed) {
    return agreed.error();
  }
  if (from.name != peer_) {
    return no("this is " + from.name.to_string() + ", not " + peer_.to_string());
  }
  if (from.incarnation < peer_incarnation_) {
    return no("this is life " + std::to_string(from.incarnation) + " of " + peer_.to_string() +
              ", which has been followed by life " + std::to_string(peer_incarnation_));
  }
  return *agreed;
}

bool link_session::resume(const link_hello& said) {
  if (session_ == 0 || said.session != session_) {
    return false;
  }
  for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
    if (!out_[lane].resume(said.lanes[lane].received, said.lanes[lane].credit)) {
      return false;
    }
  }
  return true;
}

void link_session::start(std::uint64_t session, link_effects& effects) {
  end_session(effects);
  session_ = session;
}

void link_session::end_session(link_effects& effects) {
  if (std::exchange(session_, 0) == 0) {
    return;
  }
  effects.session_ended = true;
  for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
    effects.lost += out_[lane].restart(0);
    in_[lane].restart();
  }
}

void link_session::disconnected(steady_time now) noexcept {
  if (state_ == state::up) {
    down_since_ = now;
  }
  state_ = state::down;
}

link_send link_session::send(link_lane lane, std::uint16_t kind, std::string_view body) {
  if (session_ == 0) {
    return link_send::unavailable;
  }
  if (body.size() > limits_.message_bytes_max ||
      (peer_message_bytes_max_ != 0 && body.size() > peer_message_bytes_max_)) {
    return link_send::too_large;
  }
  return out_[index_of(lane)].push(kind, body) ? link_send::queued : link_send::overloaded;
}

void link_session::release(const link_receipt& receipt) noexcept {
  if (receipt.session == session_) {
    in_[index_of(receipt.lane)].release(receipt.cost);
  }
}

void link_session::tick(steady_time now, link_effects& effects) {
  if (state_ == state::down) {
    if (session_ != 0 && now - down_since_ >= limits_.resume_within) {
      end_session(effects);
    }
    return;
  }
  if (now - heard_at_ >= limits_.silence_max) {
    const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - heard_at_);
    return fail("nothing was heard of " + peer_.to_string() + " for " +
                    std::to_string(silence.count()) + " ms",
                now, effects);
  }
  if (state_ == state::up) {
    tells_progress_ = std::any_of(in_.begin(), in_.end(),
                                  [](const receive_lane& each) { return each.has_news(); });
    if (now - spoke_at_ >= limits_.alive_interval && !has_output()) {
      append_frame(control_, {.type = frame_type::alive});
    }
  }
}

bool link_session::has_output() const noexcept {
  return !control_.empty() ||
         (state_ == state::up &&
          (tells_progress_ ||
           std::any_of(in_.begin(), in_.end(), [](const auto& each) { return each.is_due(); }) ||
           std::any_of(out_.begin(), out_.end(),
                       [](const auto& each) { return each.can_send(); })));
}

void link_session::output(std::string& out, steady_time now) {
  const auto before = out.size();
  out += std::exchange(control_, {});
  if (state_ == state::up) {
    // Whoever writes anyway tells the progress with it: a write that is saved later.
    const bool writes = std::exchange(tells_progress_, false) ||
                        std::any_of(out_.begin(), out_.end(),
                                    [](const send_lane& each) { return each.can_send(); });
    for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
      auto& in = in_[lane];
      if (in.is_due() || (writes && in.has_news())) {
        std::array<char, sizeof(std::uint64_t)> credit;
        store_little(credit.data(), in.credit());
        append_frame(out, {.type = frame_type::progress,
                           .lane = static_cast<link_lane>(lane),
                           .number = in.received(),
                           .body = {credit.data(), credit.size()}});
        in.told();
      }
    }
    for (const auto lane : {link_lane::system, link_lane::call}) {
      const auto written = out.size() - before;
      out_[index_of(lane)].take(batch_bytes_max - std::min(batch_bytes_max, written), out);
    }
    out_[index_of(link_lane::bulk)].take(frame_bytes_max, out);
  }
  if (out.size() > before) {
    spoke_at_ = now;
  }
}

void link_session::say_goodbye(std::string_view why, steady_time now) {
  disconnected(now);
  control_.clear();
  append_frame(control_, {.type = frame_type::goodbye, .body = why.substr(0, goodbye_bytes_max)});
}

void link_session::fail(const std::string& why, steady_time now, link_effects& effects) {
  say_goodbye(why, now);
  effects.closed = why;
}

void link_session::refuse(const std::string& why, steady_time now, link_effects& effects) {
  if (state_ == state::up) {
    end_session(effects);
    effects.is_up = false;
    effects.messages.clear();
  }
  fail(why, now, effects);
}

void link_session::append_own_hello(std::uint64_t connection) {
  link_hello said{.from = self_,
                  .connection = connection,
                  .session = session_,
                  .message_bytes_max = limits_.message_bytes_max};
  for (std::size_t lane = 0; lane < link_lane_count; ++lane) {
    said.lanes[lane] = {in_[lane].received(), in_[lane].credit()};
  }
  append_hello(control_, said);
}

}  // namespace millrace::runtime
