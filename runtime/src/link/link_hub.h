// SPDX-License-Identifier: MIT
// Link hub: this process's links to its peers.
//
// There is one link for each peer, whatever becomes of connections: it is opened by name and
// address, keeps trying to be connected, and carries messages in lanes (see link_session.h for what
// is promised of them). Of two silos the one whose name is less connects; gateways connect, and
// nobody connects to them. A silo takes links from peers that it has not opened itself: who has a
// certificate of the cluster's authority belongs to the cluster.
//
// A connection that its kernel refuses is for others the proof that a silo's process is gone, after
// which they no longer wait for its leases. So the port is listened on until the hub is destroyed,
// also when it has stopped and nobody is let in any more; and no other process inherits it.
//
// One thread does the sockets of all links and calls back; this header shows none of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "link/hello.h"
#include "link/link_session.h"
#include "link/link_tls.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/link_name.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Where links without TLS are allowed.
enum class plain_links : std::uint8_t {
  on_loopback,  ///< Between the processes of one machine, each of which could read the other
                ///< anyway.
  anywhere,     ///< For a network that nobody else is on; to be spelled out.
};

struct link_options {
  link_identity self;
  link_limits limits = {};

  /// An address, not a name, to listen on; empty for a gateway.
  std::string listen_address;
  std::uint16_t listen_port = 0;  ///< 0: the kernel picks a free one.

  /// Absent: links are not encrypted, and nobody has to prove who they are.
  std::optional<link_credentials> credentials = {};
  plain_links plain = plain_links::on_loopback;

  /// From a connection's beginning to the hello of the other end; so long a slow one may take.
  duration handshake_max = std::chrono::seconds{5};
  /// A write that makes no progress for so long ends its connection.
  duration write_max = std::chrono::seconds{5};
  /// Between attempts to connect: the first wait, and the longest.
  duration backoff_min = std::chrono::milliseconds{50};
  duration backoff_max = std::chrono::seconds{1};
  /// Connections, and links that were not opened from here; over it the next ones are refused.
  std::size_t connections_max = 1024;
  /// Connections whose other end has not said who it is; over it one of them makes room for the
  /// next (strangers.h).
  std::size_t strangers_max = 64;
};

/// The link to one peer.
///
/// Threading: every member may be called from any thread.
class peer_link {
public:
  peer_link() = default;
  peer_link(const peer_link&) = delete;
  peer_link& operator=(const peer_link&) = delete;
  virtual ~peer_link() = default;

  [[nodiscard]] virtual const link_name& peer() const noexcept = 0;

  /// The version of the protocol that both ends speak on the last connection; 0 before one was up.
  [[nodiscard]] virtual std::uint16_t version() = 0;

  /// Queues a message; `kind` is the sender's word for what the body is. Cost: a copy of the body
  /// and a lock; messages that are queued while the link thread is busy leave in one write.
  [[nodiscard]] virtual link_send send(link_lane lane, std::uint16_t kind,
                                       std::string_view body) = 0;

  /// A message that `received` marked as kept no longer occupies memory.
  virtual void release(const link_receipt& receipt) = 0;
};

/// What a hub tells its owner. Messages come between `link_up` and `session_ended`, and those of a
/// connection before its `link_down`.
///
/// Threading: called on the link thread, one at a time; must not block.
class link_events {
public:
  link_events() = default;
  link_events(const link_events&) = delete;
  link_events& operator=(const link_events&) = delete;
  virtual ~link_events() = default;

  /// The link carries messages from now on. The first time, and after `session_ended`, its peer
  /// knows nothing of earlier ones.
  virtual void link_up(const std::shared_ptr<peer_link>& link, std::uint64_t incarnation) = 0;
  /// A connection, or an attempt at one, has ended. The link tries on.
  virtual void link_down(const std::shared_ptr<peer_link>& link, std::string_view why) = 0;
  /// No answers come to what was sent so far; `lost` messages may not have arrived.
  virtual void session_ended(const std::shared_ptr<peer_link>& link, std::uint64_t lost) = 0;
  /// What one read has brought, or a part of it, in order; at least one. Bodies are valid during
  /// the call; an assembled one may be moved away. What is sent meanwhile leaves at the end. Of
  /// those marked as kept, `peer_link::release` gives the credit back to their sender; of others it
  /// has it when this returns.
  virtual void received(const std::shared_ptr<peer_link>& link,
                        std::span<link_message> messages) = 0;
  /// Somebody came and was not let in.
  virtual void refused(std::string_view address, std::string_view why) = 0;
};

/// Threading: every member from any thread but the link thread, one at a time; `open`,
/// `end_session` and `close` from all threads, beside each other.
class link_hub {
public:
  /// `events` and `clock` outlive the hub. Requires: self has a name, a cluster id and an
  /// incarnation.
  link_hub(link_options options, link_events& events, const clock& clock, rng random);
  link_hub(const link_hub&) = delete;
  link_hub& operator=(const link_hub&) = delete;
  /// Stops, and no longer listens. Requires: whatever of this process serves others has ended.
  ~link_hub();

  /// Listens and starts the thread; the port, if it listens. Errors: `invalid_argument` for what
  /// the options say (credentials, addresses, plain links beyond this machine); `unavailable` when
  /// the address cannot be listened on.
  [[nodiscard]] result<std::uint16_t> start();

  /// Says goodbye to every peer, closes all connections and joins the thread. What is not
  /// acknowledged is not told as lost. Nothing is called back afterwards. Who connects is not let
  /// in and not refused.
  void stop();

  /// The link to a peer at `host` (an address, or a name that is looked up at each attempt), which
  /// is connected from now on. Of an opened peer the address is changed. Errors: `invalid_argument`
  /// for this process itself, for a gateway, and for a plain link to an address beyond this
  /// machine; `unavailable` once it has stopped. Requires: started.
  [[nodiscard]] result<std::shared_ptr<peer_link>> open(const link_name& peer,
                                                        const std::string& host,
                                                        std::uint16_t port);

  /// Ends the session with a peer, and what is queued in it: both ends are told by `session_ended`.
  /// The link stays and is connected again. Does nothing for a link that there is not.
  void end_session(const link_name& peer, const std::string& why);

  /// Does the same, and lets the link go until it is opened again or its peer comes.
  void close(const link_name& peer);

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::runtime
