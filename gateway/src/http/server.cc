// SPDX-License-Identifier: MIT
#include "http/server.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <ctime>
#include <thread>

#include "http/address_group.h"
#include "http/connection.h"
#include "http/io_loop.h"
#include "millrace/runtime/assert.h"

namespace millrace::gateway::http {
namespace {

namespace asio = boost::asio;
using acceptor_type = asio::basic_socket_acceptor<asio::ip::tcp, executor_type>;
using runtime::errc;
using runtime::error;

// Handlers that run before the calls they start are let go: some 0.3 ms of short ones.
constexpr unsigned batch_handlers_max = 128;

// Pieces of streams that are sent in one turn: some 0.2 ms.
constexpr unsigned pumps_max = 4;

// Newcomers that are looked at for one that has no request in hand: more than may have one for
// long, see `strangers_max`.
constexpr unsigned drop_looks_max = 256;

constexpr std::string_view refusal_text =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\n\r\n";

std::chrono::milliseconds tick_length_of(const server_options& options) {
  const auto shortest =
      std::min({options.header_timeout, options.body_timeout, options.stranger_body_timeout,
                options.idle_timeout, options.write_timeout, options.ping_interval});
  return std::clamp(shortest / 8, std::chrono::milliseconds{10}, std::chrono::milliseconds{1000});
}

error cannot_listen(const server_options& options, const boost::system::error_code& why) {
  const bool v6 = options.address.find(':') != std::string::npos;
  std::string text = "cannot listen on " + (v6 ? "[" + options.address + "]" : options.address) +
                     ":" + std::to_string(options.port) + ": ";
  if (why == asio::error::address_in_use) {
    text += "another program uses this port; stop it or choose another port (0 picks a free one)";
  } else if (why == asio::error::access_denied) {
    text += "not permitted; choose a port over 1023 or grant CAP_NET_BIND_SERVICE";
  } else if (why == boost::system::errc::address_not_available) {
    text += "this machine does not have that address; choose one of its own, or 0.0.0.0 for all";
  } else {
    text += why.message();
  }
  return {errc::unavailable, std::move(text)};
}

}  // namespace

// --- io_loop ---------------------------------------------------------------------------------

io_loop::io_loop(std::shared_ptr<server_core> shared)
    : core(std::move(shared)), ticker_(context), tick_length_(tick_length_of(core->options)) {}

void io_loop::run() {
  update_date();
  arm();
  // What the requests that are there together call begins when all of them have been read.
  calls_.emplace();
  while (context.run_one() != 0) {
    for (unsigned handled = 1; handled < batch_handlers_max && context.poll_one() != 0; ++handled) {
    }
    calls_->flush();
  }
  calls_.reset();
}

bool io_loop::post(task function) {
  const std::lock_guard lock{mutex_};
  if (stopped_) {
    return false;
  }
  inbox_.push_back(std::move(function));
  if (inbox_.size() == 1) {
    asio::post(context, [self = shared_from_this()] { self->run_inbox(); });
  }
  return true;
}

void io_loop::run_inbox() {
  std::vector<task> taken;
  {
    const std::lock_guard lock{mutex_};
    taken.swap(inbox_);
  }
  calls_->flush();  // there may be many answers
  for (auto& each : taken) {
    each();
    each = {};
  }
}

void io_loop::pump_soon(std::shared_ptr<connection> one) {
  pumping_.push_back(std::move(one));
  if (!std::exchange(pumps_posted_, true)) {
    asio::post(context, [self = shared_from_this()] { self->run_pumps(); });
  }
}

void io_loop::run_pumps() {
  for (unsigned pumped = 0; pumped < pumps_max && !pumping_.empty(); ++pumped) {
    const auto one = std::move(pumping_.front());
    pumping_.pop_front();
    one->pump();
  }
  pumps_posted_ = !pumping_.empty();
  if (pumps_posted_) {
    asio::post(context, [self = shared_from_this()] { self->run_pumps(); });
  }
}

void io_loop::arm() {
  ticker_.expires_after(tick_length_);
  ticker_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
    if (!ec && !self->stopped_) {
      self->sweep();
      self->arm();
    }
  });
}

void io_loop::sweep() {
  ++tick_;
  update_date();
  // Backwards, because a connection that is cut is replaced by the last one.
  for (auto i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) {
      const auto held = connections_[i];
      held->on_sweep();
    }
  }
}

void io_loop::update_date() {
  const auto second =
      std::chrono::duration_cast<std::chrono::seconds>(core->clock.wall().time_since_epoch())
          .count();
  if (second == date_second_) {
    return;
  }
  date_second_ = second;
  const auto when = static_cast<std::time_t>(second);
  std::tm parts{};
  gmtime_r(&when, &parts);
  // By hand: strftime would follow the locale, RFC 9110 does not.
  static constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 96> text;
  const auto size =
      std::snprintf(text.data(), text.size(), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                    days[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                    months[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                    parts.tm_hour, parts.tm_min, parts.tm_sec);
  date_line_.assign(text.data(), static_cast<std::size_t>(size));
}

void io_loop::adopt(socket_type socket) {
  auto& shared = *core;
  boost::system::error_code left;
  const auto peer = socket.remote_endpoint(left).address();
  const auto from = left ? std::string{} : peer.to_string();
  const auto group = address_group(from);
  if (shared.options.tls && !shared.handshakes.enter(group, shared.clock.steady())) {
    shared.handshakes_refused.fetch_add(1, std::memory_order_relaxed);
    close_unheard(socket);
    return;
  }
  const auto is_full = [&shared] {
    return shared.open.load() > shared.options.connections_max + shared.probes.load();
  };
  if (is_full()) {
    drop_one_of(newcomers_);
  }
  const auto is_probe = is_full();
  if (is_probe) {
    // Of the spare places each loop has its part, since it can make room only among its own.
    const auto most =
        core->options.is_probe ? std::max(connections_spare / core->options.threads, 1UL) : 0;
    if (probes_.size() >= most) {
      drop_one_of(probes_);
    }
    if (probes_.size() >= most) {
      if (shared.options.tls) {
        shared.handshakes.leave(group);
      }
      refuse(socket);
      return;
    }
    core->probes.fetch_add(1);
  }
  auto made =
      std::make_shared<connection>(shared_from_this(), std::move(socket), from,
                                   is_probe ? connection::use::probe : connection::use::any);
  made->slot = connections_.size();
  connections_.push_back(made);
  (is_probe ? probes_ : newcomers_).enter(*made, group);
  made->start();
}

void io_loop::drop_one_of(const newcomers& these) {
  auto* const one =
      these.next(drop_looks_max, [](const connection& each) { return !each.has_request(); });
  if (one != nullptr) {
    core->dropped.fetch_add(1, std::memory_order_relaxed);
    one->cut();
  }
}

void io_loop::refuse(socket_type& socket) {
  core->refused.fetch_add(1, std::memory_order_relaxed);
  boost::system::error_code ec;
  socket.non_blocking(true, ec);
  if (!core->options.tls) {  // else a handshake, which costs what a refusal is to save
    socket.write_some(asio::const_buffer{refusal_text.data(), refusal_text.size()}, ec);
  }
  close_unheard(socket);
}

void io_loop::close_unheard(socket_type& socket) {
  boost::system::error_code ec;
  socket.shutdown(socket_type::shutdown_send, ec);
  count_closed();
}

void io_loop::count_closed() {
  const std::lock_guard lock{core->mutex};
  if (core->open.fetch_sub(1) == 1) {
    core->changed.notify_all();
  }
}

void io_loop::forget(connection& gone) {
  const auto slot = gone.slot;
  MILLRACE_ASSERT(slot < connections_.size() && connections_[slot].get() == &gone);
  // The caller is a member of the connection; it lives on until the loop's next turn.
  asio::post(context, [held = std::move(connections_[slot])] {});
  if (slot + 1 < connections_.size()) {
    connections_[slot] = std::move(connections_.back());
    connections_[slot]->slot = slot;
  }
  connections_.pop_back();
  (gone.is_probe() ? probes_ : newcomers_).leave(gone);
  count_closed();
  if (gone.is_probe()) {
    core->probes.fetch_sub(1);
  }
}

void io_loop::drain() {
  draining_ = true;
  for (auto i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) {
      const auto held = connections_[i];
      held->on_drain();
    }
  }
}

void io_loop::stop_now() {
  draining_ = true;
  while (!connections_.empty()) {
    const auto held = connections_.back();
    held->cut();
  }
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
  }
  ticker_.cancel();
  // With the sockets closed and the ticker still, `run` returns once what they had pending has
  // been told so. Tasks posted before this one have run; later ones in the same batch still do.
}

// --- server ----------------------------------------------------------------------------------

struct server::parts {
  std::shared_ptr<server_core> core;
  std::vector<std::shared_ptr<io_loop>> loops;
  std::unique_ptr<acceptor_type> acceptor;
  std::vector<std::thread> threads;  // An event loop is a thread that only waits in epoll.
  std::size_t next = 0;
  bool running = false;
  bool started = false;

  void accept();
  void accepted(const std::shared_ptr<io_loop>& loop, socket_type socket);
  boost::system::error_code listen(const asio::ip::address& address);
};

server::server(server_options options, handler target, const runtime::clock& clock, access_log log)
    : parts_(std::make_unique<parts>()) {
  MILLRACE_ASSERT(target != nullptr);
  MILLRACE_ASSERT(options.threads >= 1);
  MILLRACE_ASSERT(options.stream_bytes_max > 0);
  parts_->core =
      std::make_shared<server_core>(std::move(options), std::move(target), clock, std::move(log));
}

server::~server() {
  stop(std::chrono::milliseconds{0});
}

boost::system::error_code server::parts::listen(const asio::ip::address& address) {
  boost::system::error_code ec;
  const asio::ip::tcp::endpoint where{address, core->options.port};
  const auto attempt = [&](auto&& step) {
    if (!ec) {
      step();
    }
  };
  attempt([&] { acceptor->open(where.protocol(), ec); });
  // Linux: allows a restart while old connections are in TIME_WAIT, not two listeners.
  attempt([&] { acceptor->set_option(acceptor_type::reuse_address{true}, ec); });
  attempt([&] { acceptor->bind(where, ec); });
  attempt([&] { acceptor->listen(acceptor_type::max_listen_connections, ec); });
  return ec;
}

runtime::result<std::uint16_t> server::start() {
  auto& p = *parts_;
  MILLRACE_ASSERT(!p.started);
  const auto& options = p.core->options;
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(options.address, ec);
  if (ec) {
    return error{errc::invalid_argument,
                 "'" + options.address + "' is not an IP address to listen on; try 127.0.0.1"};
  }
  for (unsigned i = 0; i < options.threads; ++i) {
    p.loops.push_back(std::make_shared<io_loop>(p.core));
  }
  p.acceptor = std::make_unique<acceptor_type>(p.loops.front()->context);
  if (const auto failure = p.listen(address)) {
    p.acceptor.reset();
    p.loops.clear();
    return cannot_listen(options, failure);
  }
  const auto port = p.acceptor->local_endpoint(ec).port();
  p.accept();
  p.running = true;
  p.started = true;
  for (const auto& loop : p.loops) {
    p.threads.emplace_back([loop] { loop->run(); });
  }
  return port;
}

void server::parts::accept() {
  const auto loop = loops[next++ % loops.size()];
  acceptor->async_accept(
      loop->context, [this, loop](const boost::system::error_code& ec, socket_type socket) {
        if (ec == asio::error::operation_aborted || !acceptor->is_open()) {
          return;
        }
        if (!ec) {
          accepted(loop, std::move(socket));
          accept();
          return;
        }
        // Out of descriptors, most often. Trying again at once would spin until one is free.
        auto timer = std::make_shared<asio::steady_timer>(loops.front()->context);
        timer->expires_after(std::chrono::milliseconds{50});
        timer->async_wait([this, timer](const boost::system::error_code&) {
          if (acceptor->is_open()) {
            accept();
          }
        });
      });
}

void server::parts::accepted(const std::shared_ptr<io_loop>& loop, socket_type socket) {
  core->accepted.fetch_add(1, std::memory_order_relaxed);
  core->open.fetch_add(1);
  if (loop == loops.front()) {
    loop->adopt(std::move(socket));
  } else if (!loop->post(
                 [loop, held = std::move(socket)]() mutable { loop->adopt(std::move(held)); })) {
    loop->count_closed();
  }
}

void server::stop(std::chrono::milliseconds grace) {
  auto& p = *parts_;
  if (!std::exchange(p.running, false)) {
    return;
  }
  p.loops.front()->post([&p] {
    boost::system::error_code ec;
    p.acceptor->close(ec);
    for (const auto& loop : p.loops) {
      loop->post([loop] { loop->drain(); });
    }
  });
  if (grace.count() > 0) {
    std::unique_lock lock{p.core->mutex};
    p.core->changed.wait_for(lock, grace, [&] { return p.core->open.load() == 0; });
  }
  // In this order: the first loop alone accepts, and once it is past the close it feeds no other.
  for (std::size_t i = 0; i < p.loops.size(); ++i) {
    p.loops[i]->post([loop = p.loops[i]] { loop->post([loop] { loop->stop_now(); }); });
    p.threads[i].join();
  }
  p.threads.clear();  // The loops stay, stopped, for late callers of `post`.
}

bool server::post(task function) {
  return !parts_->loops.empty() && parts_->loops.front()->post(std::move(function));
}

server_probe server::probe() const noexcept {
  auto& core = *parts_->core;
  return {.connections_total = core.accepted.load(std::memory_order_relaxed),
          .connections_open = core.open.load(std::memory_order_relaxed),
          .connections_refused_total = core.refused.load(std::memory_order_relaxed),
          .connections_dropped_total = core.dropped.load(std::memory_order_relaxed),
          .handshakes_refused_total = core.handshakes_refused.load(std::memory_order_relaxed),
          .bodies_bytes = core.bodies.taken(),
          .bodies_refused_total = core.bodies_refused.load(std::memory_order_relaxed),
          .answers_bytes = core.answers.taken(),
          .answers_refused_total = core.answers_refused.load(std::memory_order_relaxed),
          .requests_total = core.requests.load(std::memory_order_relaxed),
          .rejected_total = core.rejected.load(std::memory_order_relaxed)};
}

}  // namespace millrace::gateway::http
