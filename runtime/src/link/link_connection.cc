// SPDX-License-Identifier: MIT
#include "link/link_connection.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "link/frame.h"
#include "link/hub_link.h"
#include "link/strangers.h"

namespace millrace::runtime {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Of a stranger: its hello and whatever of other protocols is enough to refuse them.
constexpr std::size_t stranger_bytes = std::size_t{8} << 10U;
static_assert(stranger_bytes >= frame_head_bytes + hello_bytes_max);
// Of a peer: as much as one write of the other end, and the frame that was cut at its end.
constexpr std::size_t read_bytes = batch_bytes_max + frame_bytes_max;

// Kept unsent in the kernel: what is queued there can no longer be overtaken. Some 10 us of a
// loopback, so that a fast line is kept busy.
constexpr int unsent_bytes_max = 128 << 10;

// How long a connection that is left waits for the other end to close.
constexpr duration leaving_max = std::chrono::seconds{1};

}  // namespace

link_connection::link_connection(hub_core& hub)
    : hub_(hub),
      socket_(hub.context),
      deadline_(time_after(hub.time.steady(), hub.options.handshake_max)) {}

link_connection::link_connection(hub_core& hub, tcp::socket socket, const tcp::endpoint& from)
    : hub_(hub),
      socket_(std::move(socket)),
      address_(from.address().to_string() + ":" + std::to_string(from.port())),
      site_(site_of(from.address().to_string())),
      deadline_(time_after(hub.time.steady(), hub.options.handshake_max)) {}

void link_connection::dial(std::shared_ptr<hub_link> link,
                           const tcp::resolver::results_type& where) {
  link_ = std::move(link);
  is_of_peer_ = true;
  asio::async_connect(
      socket_, where,
      [self = shared_from_this()](const error_code& failed, const tcp::endpoint& endpoint) {
        if (self->state_ != state::dialling) {
          return;
        }
        if (failed) {
          self->fail(failed.message());
          return;
        }
        self->address_ = endpoint.address().to_string();
        self->prepare(true);
      });
}

void link_connection::accept() {
  prepare(false);
}

void link_connection::prepare(bool connects) {
  error_code failed;
  keep_from_children(socket_.native_handle());
  socket_.non_blocking(true, failed);
  socket_.set_option(tcp::no_delay{true}, failed);
  const asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT> unsent{
      unsent_bytes_max};
  socket_.set_option(unsent, failed);
  const auto socket = socket_.native_handle();
  if (!hub_.tls) {
    stream_ = plain_stream(socket);
  } else {
    stream_ = connects ? hub_.tls->connecting(socket, {}) : hub_.tls->accepting(socket);
  }
  state_ = state::securing;
  secure();
}

void link_connection::secure() {
  const auto step = stream_->handshake();
  switch (step.now) {
    case stream_step::state::wants_read:
      return wait_read();
    case stream_step::state::wants_write:
      return wait_write();
    case stream_step::state::ended:
      return fail(step.why);
    case stream_step::state::done:
      break;
  }
  if (!link_) {
    state_ = state::greeting;
    in_.resize(stranger_bytes);
    return read();
  }
  if (!stream_->is_peer(link_->peer())) {
    return fail("the certificate of " + address_ + " is not that of " + link_->peer().to_string());
  }
  state_ = state::attached;
  in_.resize(read_bytes);
  link_->connected(shared_from_this());
  flush();
  read();
}

void link_connection::greet() {
  frame one;
  const auto size = read_frame({in_.data(), in_size_}, one);
  if (!size) {
    return refuse(size.error().text());
  }
  if (*size == 0) {
    return;
  }
  if (one.type != frame_type::hello) {
    return refuse("a frame of type " + std::to_string(static_cast<unsigned>(one.type)) +
                  " before the hello");
  }
  const auto said = read_hello(one.body);
  if (!said) {
    return refuse(said.error().text());
  }
  auto link = admit(*said);
  if (!link) {
    return refuse(link.error().text());
  }
  in_size_ -= *size;
  in_.erase(0, *size);
  in_.resize(read_bytes);
  link_ = *std::move(link);
  state_ = state::attached;
  if (const auto accepted = link_->accepted(shared_from_this(), *said); !accepted) {
    link_ = nullptr;
    return refuse(accepted.error().text());
  }
  is_of_peer_ = true;
  take_input();
}

result<std::shared_ptr<hub_link>> link_connection::admit(const link_hello& said) {
  const auto& name = said.from.name;
  const auto& self = hub_.options.self.name;
  const auto no = [](const std::string& why) { return error{errc::permission_denied, why}; };
  if (!stream_->is_peer(name)) {
    return no("this certificate is not that of " + name.to_string());
  }
  if (name.role == link_role::silo && name.name >= self.name) {
    return no("of two silos the one whose name is less connects, and that is not " +
              name.to_string() + " of it and " + self.to_string());
  }
  // Before there is a link: whoever is of another cluster leaves no trace.
  if (const auto agreed = agree(hub_.options.self, said.from); !agreed) {
    return agreed.error();
  }
  const std::lock_guard lock{hub_.mutex};
  auto link = hub_.link_of(name);
  if (!link) {
    return no("too many links");
  }
  return link;
}

void link_connection::refuse(std::string_view why) {
  hub_.events.refused(address_, why);
  std::string goodbye;
  append_frame(goodbye, {.type = frame_type::goodbye, .body = why.substr(0, goodbye_bytes_max)});
  state_ = state::attached;
  leave(goodbye);
}

void link_connection::take_input() {
  if (state_ == state::greeting) {
    greet();
  } else if (state_ == state::attached) {
    const auto link = link_;  // it may let go of this connection
    const auto taken = link->received({in_.data(), in_size_});
    std::copy(in_.data() + taken, in_.data() + in_size_, in_.data());
    in_size_ -= taken;
  } else if (state_ == state::leaving) {
    in_size_ = 0;
  }
}

void link_connection::read() {
  const bool can_read =
      state_ == state::greeting || state_ == state::attached || state_ == state::leaving;
  if (!can_read || read_waits_) {
    return;
  }
  auto step = stream_step{};
  while (in_size_ < in_.size() && step.now == stream_step::state::done && !step.is_drained) {
    step = stream_->read(in_.data() + in_size_, in_.size() - in_size_);
    in_size_ += step.bytes;
  }
  if (in_size_ > 0) {
    take_input();
  }
  flush();
  if (state_ == state::closed) {
    return;
  }
  if (step.now == stream_step::state::ended) {
    return fail(step.why);
  }
  if (step.now == stream_step::state::wants_write) {
    return wait_write();
  }
  if (step.is_drained) {
    return wait_read();
  }
  // There is more; others have their turn first.
  read_waits_ = true;
  asio::post(hub_.context, [self = shared_from_this()] {
    self->read_waits_ = false;
    self->read();
  });
}

void link_connection::flush() {
  if (state_ == state::attached && !write_waits_) {
    write();
  }
}

void link_connection::write() {
  if (!write_out()) {
    return;
  }
  if (state_ == state::leaving) {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    return;
  }
  const bool has_more = link_->output(out_);
  if (write_out() && has_more) {
    wait_write();
  }
}

bool link_connection::write_out() {
  while (out_sent_ < out_.size()) {
    const auto step = stream_->write(std::string_view{out_}.substr(out_sent_));
    out_sent_ += step.bytes;
    if (step.now == stream_step::state::done) {
      continue;
    }
    if (step.now == stream_step::state::ended) {
      fail(step.why);
      return false;
    }
    step.now == stream_step::state::wants_read ? wait_read() : wait_write();
    return false;
  }
  out_.clear();
  out_sent_ = 0;
  return true;
}

void link_connection::on_ready() {
  if (state_ == state::securing) {
    return secure();
  }
  if (state_ == state::attached || state_ == state::leaving) {
    if (!write_waits_ && out_sent_ < out_.size()) {
      write();
    }
  }
  read();
}

void link_connection::wait_read() {
  if (std::exchange(read_waits_, true)) {
    return;
  }
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code&) {
    self->read_waits_ = false;
    self->on_ready();  // what is wrong with the socket, the next operation on it says
  });
}

void link_connection::wait_write() {
  if (std::exchange(write_waits_, true)) {
    return;
  }
  write_deadline_ = time_after(hub_.time.steady(), hub_.options.write_max);
  if (link_) {
    link_->write_waits();
  }
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code&) {
    self->write_waits_ = false;
    self->write_deadline_ = steady_time::max();
    if (self->state_ == state::attached) {
      self->write();
    }
    self->on_ready();
  });
}

void link_connection::leave(std::string_view last) {
  if (state_ != state::attached) {
    return close();
  }
  state_ = state::leaving;
  deadline_ = time_after(hub_.time.steady(), leaving_max);
  out_ += last;
  if (!write_waits_) {
    write();
  }
  if (state_ == state::leaving) {
    link_ = nullptr;
  }
}

void link_connection::close() {
  if (std::exchange(state_, state::closed) == state::closed) {
    return;
  }
  error_code ignored;
  socket_.close(ignored);
  link_ = nullptr;
  hub_.forget(*this);
}

void link_connection::on_tick(steady_time now) {
  if (now >= write_deadline_) {
    return fail("the other end reads nothing");
  }
  if (state_ == state::leaving && now >= deadline_) {
    close();
  } else if (state_ != state::attached && now >= deadline_) {
    fail("it took too long to say who it is");
  }
}

void link_connection::make_room() {
  fail("somebody else needed its place before it had said who it is");
}

void link_connection::fail(std::string_view why) {
  const auto self = shared_from_this();
  const auto was = state_;
  const auto link = link_;
  close();
  if (link) {
    link->disconnected(*this, why);
  } else if (was != state::leaving && was != state::closed) {
    hub_.events.refused(address_, why);
  }
}

}  // namespace millrace::runtime
