// SPDX-License-Identifier: MIT
// What the connections and links of a hub share. Private to the sources of the hub: these headers
// are the only ones of the runtime that see Asio.
#pragma once

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "link/link_hub.h"

namespace millrace::runtime {

class link_connection;
class hub_link;

using tcp = boost::asio::ip::tcp;

/// Asio hands its sockets on to every program that is started: whoever inherits one keeps it open
/// when this process is gone, and peers wait for what will not be told.
inline void keep_from_children(int socket) noexcept {
  static_cast<void>(::fcntl(socket, F_SETFD, FD_CLOEXEC));
}

/// Ownership: held by the hub and by its links, which may outlive it.
/// Threading: the link thread's, but for what is said.
struct hub_core : std::enable_shared_from_this<hub_core> {
  hub_core(link_options o, link_events& e, const clock& c, rng r)
      : options(std::move(o)), events(e), time(c), random(r) {}
  hub_core(const hub_core&) = delete;
  hub_core& operator=(const hub_core&) = delete;
  ~hub_core() = default;

  /// The link of a peer, made if need be; null when there are too many. Requires: `mutex` is held.
  [[nodiscard]] std::shared_ptr<hub_link> link_of(const link_name& peer);
  void forget(const link_connection& gone);
  [[nodiscard]] bool may_be_plain(const boost::asio::ip::address& address) const {
    return options.credentials || options.plain == plain_links::anywhere || address.is_loopback();
  }

  boost::asio::io_context context{1};
  const link_options options;
  link_events& events;
  const clock& time;
  rng random;
  std::unique_ptr<tls_context> tls;
  std::vector<std::shared_ptr<link_connection>> connections;
  std::uint64_t dialled = 0;  ///< Connections that were; they are numbered so, for all links.
  bool stopping = false;

  std::mutex mutex;      ///< Any thread; guards what follows.
  bool is_over = false;  ///< The link thread has ended: what is posted would stay, and hold this.
  std::map<link_name, std::shared_ptr<hub_link>> links;
};

}  // namespace millrace::runtime
