// SPDX-License-Identifier: MIT
// HTTP/1.1 server, in the clear or over TLS 1.3: sockets, limits and timeouts around one handler.
//
// One event loop a thread; a connection belongs to one of them for life. Requests of one
// connection are answered in their order, one at a time (pipelined ones wait in its buffer, and
// a client that sends on is held back by TCP). Everything a client can make grow has a limit.
//
// What is malformed is answered 400 and the connection closed: after a message whose end is in
// doubt, the next bytes could be another party's request (RFC 9112, 11.2).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/reply.h"
#include "http/task.h"
#include "http/trusted_proxies.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway::http {

class identity;

struct server_options {
  std::string address = "127.0.0.1";  ///< An IPv4 or IPv6 address, not a name.
  std::uint16_t port = 0;             ///< 0: the kernel picks a free one.
  unsigned threads = 1;               ///< Event loops, at least 1.
  std::shared_ptr<identity> tls;      ///< What clients are shown; null: HTTP in the clear.
  trusted_proxies proxies = {};       ///< Whose X-Forwarded-For says where a request comes from.
  /// Gives a request its place in a trace, before its handler; the answer then has the trace's id
  /// as X-Request-Id, and as `trace_id` in a problem. Called on io threads; unset: none has one.
  std::function<request_trace(const request&)> trace = {};
  /// Whether a request without `request::by` that has been handled is still nobody's; else whoever
  /// has asked for something is somebody.
  bool asks_who = false;
  /// What is answered also when there are `connections_max`, over `connections_spare` more; unset:
  /// nothing is.
  std::function<bool(const request&)> is_probe = {};
  /// Whether who has asked for something (`request::by`) is still somebody; else a stream of his is
  /// cut off, and his connection is nobody's. Asked by each sweep; unset: so they are.
  std::function<bool(const principal&)> is_valid = {};
  /// The answer to a request whose body is not worth reading, by the header alone; no handler sees
  /// it, and the connection ends. Called on io threads once for a request whose body has not come
  /// whole with the header; unset: every body is read.
  std::function<std::optional<response>(request&)> refuse_body = {};

  std::size_t body_bytes_max = std::size_t{8} << 20;  ///< Over it: 413.
  /// Of all bodies that are being read, or whose requests are not answered, but for those of a few
  /// KiB; over it: 503. Of it a quarter, or one body, is for each token (`request::by`), else for
  /// each address, and for all strangers together (`request::stranger`).
  std::size_t bodies_bytes_max = std::size_t{256} << 20;
  /// Of all answers that wait for their readers, whole ones and what streams have queued, but for
  /// those of a few KiB and bodies that many answers share. Of it a quarter, or one answer, is for
  /// each client, as with bodies; whoever has shown no token where that is asked for is a stranger.
  /// Over it: 503 in place of an answer, a stream is cut off, and so is who has asked for a change.
  std::size_t answers_bytes_max = std::size_t{256} << 20;
  std::size_t header_bytes_max = std::size_t{16} << 10;  ///< Request line and fields; over it: 431.
  /// Over it the newcomer goes (one that is not known to be somebody's) that has been there longest
  /// of the address with the most; where all are somebody's, the one that comes is answered 503.
  std::size_t connections_max = 10'000;

  /// TLS handshakes under way, of one address: more connections from there are closed at once.
  std::size_t handshakes_of_address_max = 100;
  /// Handshakes that an address may begin at once, and then a second. One whose connection shows
  /// that it is somebody's does not count any more.
  unsigned handshakes_at_once_max = 200;
  unsigned handshakes_a_second_max = 50;

  /// A stream's queue. Past half of it, or while the memory for answers is short, writes answer
  /// `full`; past all of it the client is cut off. 1 MiB is about ten seconds of a busy log on a
  /// slow line.
  std::size_t stream_bytes_max = std::size_t{1} << 20;

  /// The times below are checked by one periodic sweep a loop (an eighth of the shortest, 10 ms
  /// to 1 s), never by a timer a request: each may run over by one sweep.
  std::chrono::milliseconds header_timeout{10'000};  ///< First byte to end of header; then 408. A
                                                     ///< TLS handshake has as long; then closed. So
                                                     ///< has, from its begin, what is taken
                                                     ///< for the sake of probes.
  std::chrono::milliseconds body_timeout{60'000};    ///< End of header to end of body; then 408.
  std::chrono::milliseconds stranger_body_timeout{10'000};  ///< The same of `request::stranger`.
  std::chrono::milliseconds idle_timeout{75'000};           ///< Without a request; then closed.
  std::chrono::milliseconds write_timeout{30'000};  ///< Without progress of a write; then closed.
  std::chrono::milliseconds ping_interval{15'000};  ///< Of quiet streams that asked for pings.
};

/// Connections over `connections_max` that are taken for the sake of probes, the same number in
/// each loop, at least 1; each for one request. When there are as many, one goes as do newcomers.
inline constexpr std::size_t connections_spare = 16;

/// In logs, of a request whose client left before its answer, or that the end of the server cut
/// off.
inline constexpr int client_left = 499;

/// One answered request, for a log.
struct access_entry {
  std::string_view method;  ///< Empty when the request could not be read.
  std::string_view target;
  std::string_view path;      ///< Of the target, decoded, as routes see it.
  int status;                 ///< `client_left`: it has none.
  std::size_t body_bytes;     ///< 0 for a stream: it has only begun.
  const principal* by;        ///< Who asked; null unless that was checked.
  std::string_view location;  ///< What was made, by its path; else empty.
  bool changed_nothing;       ///< As `response::changed_nothing`.
  std::string_view from;      ///< The address of who asked.
  std::string_view route;     ///< As `request::route`.
  const request_trace& trace;
};

/// Called on io threads for every answer; must not block.
using access_log = std::function<void(const access_entry&)>;

/// What the server counts.
struct server_probe {
  std::uint64_t connections_total;  ///< Accepted, refused ones included.
  std::uint64_t connections_open;
  std::uint64_t connections_refused_total;  ///< Over `connections_max`, all being somebody's.
  std::uint64_t connections_dropped_total;  ///< Newcomers that made room.
  std::uint64_t handshakes_refused_total;   ///< Connections that were to have no handshake.
  std::uint64_t bodies_bytes;               ///< As `bodies_bytes_max` counts them.
  std::uint64_t bodies_refused_total;       ///< That did not fit into it.
  std::uint64_t answers_bytes;              ///< As `answers_bytes_max` counts them.
  std::uint64_t answers_refused_total;      ///< That did not fit into it.
  std::uint64_t requests_total;             ///< Handed to the handler.
  std::uint64_t rejected_total;             ///< Malformed, over a limit, too slow; no TLS.
};

/// A server that runs from `start` to `stop`.
///
/// Threading: `post` from any thread once `start` has returned, `probe` from any thread; the rest
/// from the owner's, never an io thread.
class server {
public:
  /// Requires: `target` is set; `clock` outlives the server (it dates the answers).
  server(server_options options, handler target, const runtime::clock& clock, access_log log = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Stops without grace.
  ~server();

  /// Listens and starts the threads. The port, when the kernel picked it. Errors:
  /// `invalid_argument` for an address that is none; `unavailable` when the address cannot be
  /// listened on, with its name and the remedy in the text. Requires: not started before.
  [[nodiscard]] runtime::result<std::uint16_t> start();

  /// Refuses new connections, closes idle ones, cuts streams short after what was written (without
  /// their last chunk, so that nobody takes them for whole), lets requests finish for up to
  /// `grace`, cuts the rest, joins the threads. Blocks for that long at most. What is sent to a
  /// reply afterwards goes nowhere. Does nothing when not running.
  void stop(std::chrono::milliseconds grace);

  /// Runs a function on an io thread, in the order of posting. False, and the function is dropped
  /// unrun, when the server is not running. Cost: a lock; one wake-up for all that are waiting.
  bool post(task function);

  [[nodiscard]] server_probe probe() const noexcept;

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::gateway::http
