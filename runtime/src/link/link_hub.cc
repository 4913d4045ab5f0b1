// SPDX-License-Identifier: MIT
#include "link/link_hub.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "link/hub_core.h"
#include "link/hub_link.h"
#include "link/link_connection.h"
#include "link/strangers.h"
#include "millrace/runtime/assert.h"

namespace millrace::runtime {

namespace asio = boost::asio;
using boost::system::error_code;

std::shared_ptr<hub_link> hub_core::link_of(const link_name& peer) {
  const auto found = links.find(peer);
  if (found != links.end()) {
    return found->second;
  }
  if (links.size() >= options.connections_max) {
    return nullptr;
  }
  return links.emplace(peer, std::make_shared<hub_link>(shared_from_this(), peer)).first->second;
}

void hub_core::forget(const link_connection& gone) {
  std::erase_if(connections, [&](const auto& each) { return each.get() == &gone; });
}

struct link_hub::parts {
  parts(link_options options, link_events& events, const clock& time, rng random)
      : core(std::make_shared<hub_core>(std::move(options), events, time, random)),
        acceptor(core->context),
        ticker(core->context),
        tick_length(std::clamp<duration>(core->options.limits.alive_interval / 5,
                                         std::chrono::milliseconds{5}, std::chrono::seconds{1})) {}

  [[nodiscard]] result<std::uint16_t> listen();
  void accept();
  void take(tcp::socket socket, const tcp::endpoint& from);
  void make_room();
  void tick();
  void end();
  [[nodiscard]] std::vector<std::shared_ptr<hub_link>> all_links();

  std::shared_ptr<hub_core> core;
  tcp::acceptor acceptor;
  bool accepts = false;  // an accept is out
  asio::steady_timer ticker;
  duration tick_length;
  std::thread thread;
};

result<std::uint16_t> link_hub::parts::listen() {
  const auto& options = core->options;
  if (options.listen_address.empty()) {
    return std::uint16_t{0};
  }
  const auto where = options.listen_address + ":" + std::to_string(options.listen_port);
  error_code failed;
  const auto address = asio::ip::make_address(options.listen_address, failed);
  if (failed) {
    return error{errc::invalid_argument, "'" + options.listen_address + "' is no address"};
  }
  if (!core->may_be_plain(address)) {
    return error{errc::invalid_argument,
                 "links on " + where +
                     " need certificates (`millrace pki`), because other machines "
                     "reach that address"};
  }
  const tcp::endpoint endpoint{address, options.listen_port};
  acceptor.open(endpoint.protocol(), failed);
  if (!failed) {
    keep_from_children(acceptor.native_handle());
    acceptor.set_option(tcp::acceptor::reuse_address{true}, failed);
  }
  if (!failed) {
    acceptor.bind(endpoint, failed);
  }
  if (!failed) {
    acceptor.listen(tcp::acceptor::max_listen_connections, failed);
  }
  if (failed) {
    acceptor.close();
    return error{errc::unavailable,
                 "cannot listen on " + where + " for links: " + failed.message()};
  }
  return acceptor.local_endpoint().port();
}

void link_hub::parts::accept() {
  if (!acceptor.is_open() || core->stopping || std::exchange(accepts, true)) {
    return;
  }
  auto socket = std::make_shared<tcp::socket>(core->context);
  auto from = std::make_shared<tcp::endpoint>();
  acceptor.async_accept(*socket, *from, [this, socket, from](const error_code& failed) {
    accepts = false;
    if (!failed && !core->stopping) {
      take(std::move(*socket), *from);
      accept();
    }  // else: too many files are open, say; the next tick tries again
  });
}

void link_hub::parts::take(tcp::socket socket, const tcp::endpoint& from) {
  make_room();
  if (core->connections.size() >= core->options.connections_max) {
    core->events.refused(from.address().to_string(), "too many connections");
    return;
  }
  const auto made = std::make_shared<link_connection>(*core, std::move(socket), from);
  core->connections.push_back(made);
  made->accept();
}

void link_hub::parts::make_room() {
  std::vector<std::shared_ptr<link_connection>> strangers;
  std::vector<std::string> sites;
  for (const auto& each : core->connections) {
    if (each->is_stranger()) {
      strangers.push_back(each);
      sites.push_back(each->site());
    }
  }
  if (strangers.size() >= core->options.strangers_max) {
    strangers[who_makes_room(sites)]->make_room();
  }
}

void link_hub::parts::tick() {
  ticker.expires_after(tick_length);
  ticker.async_wait([this](const error_code& cancelled) {
    if (cancelled || core->stopping) {
      return;
    }
    const auto now = core->time.steady();
    for (const auto& each : std::vector{core->connections}) {
      each->on_tick(now);
    }
    for (const auto& each : all_links()) {
      each->on_tick();
      const std::lock_guard lock{core->mutex};
      if (each->is_idle()) {
        core->links.erase(each->peer());
      }
    }
    accept();
    tick();
  });
}

std::vector<std::shared_ptr<hub_link>> link_hub::parts::all_links() {
  const std::lock_guard lock{core->mutex};
  std::vector<std::shared_ptr<hub_link>> all;
  for (const auto& [name, link] : core->links) {
    all.push_back(link);
  }
  return all;
}

void link_hub::parts::end() {
  core->stopping = true;
  error_code ignored;
  acceptor.cancel(ignored);  // and not closed: see the header
  ticker.cancel();
  for (const auto& each : all_links()) {
    each->stop("it stops");
  }
  for (const auto& each : std::vector{core->connections}) {
    each->close();
  }
  core->context.stop();
}

link_hub::link_hub(link_options options, link_events& events, const clock& clock, rng random)
    : parts_(std::make_unique<parts>(std::move(options), events, clock, random)) {
  const auto& self = parts_->core->options.self;
  MILLRACE_ASSERT(is_link_name(self.name.name) && !self.cluster_id.empty() &&
                  self.incarnation != 0);
}

link_hub::~link_hub() {
  stop();
}

result<std::uint16_t> link_hub::start() {
  auto& core = *parts_->core;
  if (core.options.credentials) {
    auto loaded = load_tls(*core.options.credentials, core.options.self.name);
    if (!loaded) {
      return loaded.error();
    }
    core.tls = *std::move(loaded);
  }
  auto port = parts_->listen();
  if (port) {
    parts_->accept();
    parts_->tick();
    parts_->thread = std::thread{[held = parts_->core] {
      const auto work = asio::make_work_guard(held->context);
      held->context.run();
    }};
  }
  return port;
}

void link_hub::stop() {
  if (!parts_->thread.joinable()) {
    return;
  }
  asio::post(parts_->core->context, [this] { parts_->end(); });
  parts_->thread.join();
  {
    const std::lock_guard lock{parts_->core->mutex};
    parts_->core->is_over = true;
  }
  // What was cancelled lets go of what it held.
  parts_->core->context.restart();
  parts_->core->context.poll();
  const std::lock_guard lock{parts_->core->mutex};
  parts_->core->links.clear();
}

result<std::shared_ptr<peer_link>> link_hub::open(const link_name& peer, const std::string& host,
                                                  std::uint16_t port) {
  auto& core = *parts_->core;
  const auto refused = [&](const std::string& why) {
    return error{errc::invalid_argument, "no link to " + peer.to_string() + ": " + why};
  };
  if (!is_link_name(peer.name)) {
    return refused("that is no name");
  }
  if (peer.role == link_role::gateway || peer == core.options.self.name) {
    return refused("a link goes to another silo");
  }
  error_code is_name;
  const auto address = asio::ip::make_address(host, is_name);
  if (!is_name && !core.may_be_plain(address)) {
    return refused(host + " is another machine, and there are no certificates (`millrace pki`)");
  }
  const std::lock_guard lock{core.mutex};
  if (core.is_over) {
    return error{errc::unavailable, "the links have ended"};
  }
  auto link = core.link_of(peer);
  if (!link) {
    return error{errc::overloaded, "too many links"};
  }
  link->keep();
  asio::post(core.context, [link, host, port] { link->open(host, port); });
  return std::shared_ptr<peer_link>{std::move(link)};
}

void link_hub::end_session(const link_name& peer, const std::string& why) {
  const std::lock_guard lock{parts_->core->mutex};
  if (const auto found = parts_->core->links.find(peer); found != parts_->core->links.end()) {
    asio::post(parts_->core->context, [link = found->second, why] { link->end(why); });
  }
}

// The next tick forgets it, unless it is opened again.
void link_hub::close(const link_name& peer) {
  const std::lock_guard lock{parts_->core->mutex};
  if (const auto found = parts_->core->links.find(peer); found != parts_->core->links.end()) {
    found->second->let_go();
    asio::post(parts_->core->context, [link = found->second] { link->end("the link is closed"); });
  }
}

}  // namespace millrace::runtime
