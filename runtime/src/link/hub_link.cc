// SPDX-License-Identifier: MIT
#include "link/hub_link.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "link/link_connection.h"

namespace millrace::runtime {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Messages of one read that are handed over together: what they set off leaves before the next are,
// so that the other end has something to do meanwhile. At some 2 us a call that is half a
// millisecond, beside which a write costs little.
constexpr std::size_t handed_over_max = 256;

bool connects(const link_name& self, const link_name& peer) {
  return self.role == link_role::gateway || (peer.role == link_role::silo && self.name < peer.name);
}

}  // namespace

hub_link::hub_link(std::shared_ptr<hub_core> hub, const link_name& peer)
    : hub_(std::move(hub)),
      session_(hub_->options.self, peer, hub_->options.limits),
      connects_(connects(hub_->options.self.name, peer)),
      resolver_(hub_->context),
      retry_(hub_->context),
      backoff_(hub_->options.backoff_min, hub_->options.backoff_max) {}

std::uint16_t hub_link::version() {
  const std::lock_guard lock{mutex_};
  return session_.version();
}

link_send hub_link::send(link_lane lane, std::uint16_t kind, std::string_view body) {
  bool wakes = false;
  auto outcome = link_send::unavailable;
  {
    const std::lock_guard lock{mutex_};
    outcome = session_.send(lane, kind, body);
    wakes = outcome == link_send::queued && session_.is_up() && !std::exchange(flush_due_, true);
  }
  if (wakes) {
    wake();
  }
  return outcome;
}

void hub_link::release(const link_receipt& receipt) {
  bool wakes = false;
  {
    const std::lock_guard lock{mutex_};
    session_.release(receipt);
    wakes = session_.is_up() && session_.has_output() && !std::exchange(flush_due_, true);
  }
  if (wakes) {
    wake();
  }
}

void hub_link::wake() {
  asio::post(hub_->context, [self = shared_from_this()] {
    if (self->connection_) {
      self->connection_->flush();
    }
  });
}

void hub_link::open(std::string host, std::uint16_t port) {
  host_ = std::move(host);
  port_ = port;
  dial();
}

void hub_link::end(std::string_view why) {
  {
    const std::lock_guard lock{mutex_};
    effects_.clear();
    session_.end_session(effects_);
    if (connection_) {
      session_.say_goodbye(why, hub_->time.steady());
      effects_.closed = why;
    }
  }
  carry_out();
}

void hub_link::stop(std::string_view why) {
  is_opened_ = false;
  retry_.cancel();
  std::string last;
  {
    const std::lock_guard lock{mutex_};
    link_effects ended;
    session_.end_session(ended);
    session_.say_goodbye(why, hub_->time.steady());
    session_.output(last, hub_->time.steady());
  }
  if (const auto connection = std::exchange(connection_, nullptr)) {
    connection->leave(last);
  }
}

void hub_link::connected(std::shared_ptr<link_connection> connection) {
  connection_ = std::move(connection);
  const std::lock_guard lock{mutex_};
  session_.connected(++hub_->dialled, hub_->time.steady());
}

result<void> hub_link::accepted(std::shared_ptr<link_connection> connection,
                                const link_hello& said) {
  {
    const std::lock_guard lock{mutex_};
    effects_.clear();
    const auto fresh = hub_->random.next() | 1U;  // 0 is none
    if (auto refused = session_.accepted(said, fresh, hub_->time.steady(), effects_); !refused) {
      return refused;
    }
    flush_due_ = true;  // the connection flushes when all of this has been done
  }
  if (const auto old = std::exchange(connection_, std::move(connection))) {
    old->close();
    hub_->events.link_down(shared_from_this(), "a newer connection takes its place");
  }
  carry_out();
  return {};
}

std::size_t hub_link::received(std::string_view bytes) {
  std::size_t taken = 0;
  {
    const std::lock_guard lock{mutex_};
    effects_.clear();
    taken = session_.receive(bytes, hub_->time.steady(), effects_);
    flush_due_ = true;  // as above
  }
  carry_out();
  return taken;
}

void hub_link::carry_out() {
  if (effects_.session_ended) {
    hub_->events.session_ended(shared_from_this(), effects_.lost);
  }
  if (effects_.is_up) {
    is_up_ = true;
    up_since_ = hub_->time.steady();
    std::uint64_t incarnation = 0;
    {
      const std::lock_guard lock{mutex_};
      incarnation = session_.peer_incarnation();
    }
    hub_->events.link_up(shared_from_this(), incarnation);
  }
  take_messages();
  if (effects_.closed) {
    drop_connection(*effects_.closed);
  }
}

void hub_link::take_messages() {
  for (std::span<link_message> left{effects_.messages}; !left.empty();) {
    const auto some = left.first(std::min(left.size(), handed_over_max));
    left = left.subspan(some.size());
    hub_->events.received(shared_from_this(), some);
    release_taken(some);
    if (!left.empty() && connection_) {
      connection_->flush();
      write_waits();  // another one follows when the next have been handed over
    }
  }
  effects_.messages.clear();
}

void hub_link::release_taken(std::span<const link_message> messages) {
  std::array<link_receipt, link_lane_count> taken;
  for (const auto& each : messages) {
    if (!each.is_kept) {
      auto& sum = taken[index_of(each.lane)];
      sum = {each.lane, sum.cost + each.receipt.cost, each.receipt.session};
    }
  }
  const std::lock_guard lock{mutex_};
  for (const auto& each : taken) {
    session_.release(each);
  }
}

void hub_link::disconnected(const link_connection& which, std::string_view why) {
  if (connection_.get() != &which) {
    return;
  }
  if (effects_.messages.empty()) {
    drop_connection(why);
  } else {
    effects_.closed = why;  // its owner hears of it behind the messages that it has brought
  }
}

void hub_link::drop_connection(std::string_view why) {
  std::string last;
  {
    const std::lock_guard lock{mutex_};
    session_.disconnected(hub_->time.steady());
    session_.output(last, hub_->time.steady());
    flush_due_ = false;
  }
  if (const auto connection = std::exchange(connection_, nullptr)) {
    connection->leave(last);
  }
  hub_->events.link_down(shared_from_this(), why);
  try_later();
}

bool hub_link::output(std::string& out) {
  const std::lock_guard lock{mutex_};
  flush_due_ = false;
  session_.output(out, hub_->time.steady());
  return session_.has_output();
}

void hub_link::write_waits() {
  const std::lock_guard lock{mutex_};
  flush_due_ = true;
}

void hub_link::try_later() {
  if (std::exchange(is_up_, false)) {
    backoff_.ended(hub_->time.steady() - up_since_);
  }
  if (!is_opened_ || !connects_) {
    return;
  }
  retry_.expires_after(backoff_.next(hub_->random));
  retry_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    if (!cancelled) {
      self->dial();
    }
  });
}

void hub_link::dial() {
  if (connection_ || !is_opened_ || !connects_) {
    return;
  }
  error_code failed;
  const auto address = asio::ip::make_address(host_, failed);
  if (!failed) {
    return dial(tcp::resolver::results_type::create({address, port_}, host_, ""));
  }
  resolver_.async_resolve(host_, std::to_string(port_),
                          [held = weak_from_this()](const error_code& unknown, const auto& where) {
                            const auto self = held.lock();
                            if (!self || self->connection_ || !self->is_opened_) {
                              return;
                            }
                            if (unknown) {
                              self->hub_->events.link_down(
                                  self, "cannot find " + self->host_ + ": " + unknown.message());
                              self->try_later();
                              return;
                            }
                            self->dial(where);
                          });
}

void hub_link::dial(const tcp::resolver::results_type& where) {
  const auto is_allowed = [&](const auto& each) {
    return hub_->may_be_plain(each.endpoint().address());
  };
  if (!std::all_of(where.begin(), where.end(), is_allowed)) {
    hub_->events.link_down(shared_from_this(), host_ + " is not this machine, and there is no TLS");
    return try_later();
  }
  connection_ = std::make_shared<link_connection>(*hub_);
  hub_->connections.push_back(connection_);
  connection_->dial(shared_from_this(), where);
}

void hub_link::on_tick() {
  {
    const std::lock_guard lock{mutex_};
    effects_.clear();
    session_.tick(hub_->time.steady(), effects_);
  }
  carry_out();
  if (connection_) {
    connection_->flush();
  }
}

bool hub_link::is_idle() {
  const std::lock_guard lock{mutex_};
  return !is_opened_ && !connection_ && !session_.has_session();
}

}  // namespace millrace::runtime
