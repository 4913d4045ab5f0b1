// SPDX-License-Identifier: MIT
// How a handler answers: at once, later from any thread, or bit by bit.
//
// A handler gets a request and a `reply`. The reply is a right and a duty: it is sent once, or
// it answers 500 by itself when dropped. It may travel to another thread and outlive the
// connection and the server; what is sent after those are gone goes nowhere.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/task.h"
#include "millrace/runtime/error.h"

namespace millrace::gateway::http {

/// What became of a piece written to a stream.
enum class write_status : std::uint8_t {
  ok,      ///< Queued.
  full,    ///< Queued, but the client lags: write no more until `on_drained`, or be cut off.
  closed,  ///< Dropped: the stream has ended.
};

/// Where a stream's pieces go; the server has one kind, tests may have another.
class stream_sink {
public:
  stream_sink() = default;
  stream_sink(const stream_sink&) = delete;
  stream_sink& operator=(const stream_sink&) = delete;
  virtual ~stream_sink() = default;

  virtual write_status write(std::string_view piece) = 0;
  virtual void close() = 0;
  virtual void cut() = 0;
  virtual void on_closed(task callback) = 0;
  virtual void on_drained(std::function<void()> callback) = 0;
};

/// An answer sent as it is written, with the chunked coding; one whose headers have a
/// `Content-Length` without, and a client of one that is shorter sees that it was cut short.
/// Requires: it is no longer than that.
///
/// Threading: any thread, one at a time. The callbacks run on the connection's io thread, never
/// inside a call of this class; they must not block.
/// Ownership: dropping the stream closes it.
class stream {
public:
  stream() = default;
  explicit stream(std::shared_ptr<stream_sink> sink) : sink_(std::move(sink)) {}
  stream(stream&&) noexcept = default;
  stream& operator=(stream&& other) noexcept;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { close(); }

  explicit operator bool() const noexcept { return sink_ != nullptr; }

  /// Queues bytes. A client whose queue would pass the server's `stream_bytes_max` is
  /// disconnected: memory is bounded whatever clients do.
  write_status write(std::string_view piece);

  /// Ends the answer after what was written. Later writes answer `closed`.
  void close();

  /// The same of an answer that is not whole, which its client sees.
  void cut();

  /// `callback` runs once if the stream ends otherwise than by its writer: the client left or
  /// lagged too far, or the server stops. It runs soon if that has already happened.
  void on_closed(task callback);

  /// `callback` runs each time the queue has emptied after a write answered `full`.
  void on_drained(std::function<void()> callback);

private:
  std::shared_ptr<stream_sink> sink_;
};

/// What a reply is the right to; a connection is one, tests may have another.
class responder {
public:
  responder() = default;
  responder(const responder&) = delete;
  responder& operator=(const responder&) = delete;
  virtual ~responder() = default;

  virtual void complete(response answer) = 0;
  virtual std::shared_ptr<stream_sink> open(int status, header_list headers,
                                            std::string_view ping) = 0;
  virtual void on_gone(task /*callback*/) {}
};

/// The right to answer one request, once.
///
/// Threading: any thread. From the io thread during the handler the answer is written in place;
/// from elsewhere it is posted to the connection's io thread.
class reply {
public:
  reply() = default;
  explicit reply(std::shared_ptr<responder> target) : target_(std::move(target)) {}
  reply(reply&&) noexcept = default;
  reply& operator=(reply&& other) noexcept;
  reply(const reply&) = delete;
  reply& operator=(const reply&) = delete;
  ~reply() { abandon(); }

  /// Whether the answer is still due.
  explicit operator bool() const noexcept { return target_ != nullptr; }

  /// Requires (all three): the answer is still due; 200 <= status <= 599.
  void send(response answer);

  /// Sends the problem document of an error.
  void fail(const runtime::error& cause, std::string_view instance = {});

  /// `callback` runs once, on the io thread, if the client leaves before it is answered (or closes
  /// its half of the connection), which the server notices within a second; it is dropped
  /// otherwise. Requires: the answer is still due.
  void on_gone(task callback) { target_->on_gone(std::move(callback)); }

  /// Sends the head of an answer and gives the stream for its body. `ping`, if not empty, is text
  /// that outlives the stream; the server writes it whenever nothing else was sent for its ping
  /// interval, so that proxies keep the connection and dead clients are noticed.
  [[nodiscard]] stream open(int status, header_list headers, std::string_view ping = {});

private:
  void abandon() noexcept;

  std::shared_ptr<responder> target_;
};

/// Answers requests.
///
/// The request stays valid and unchanged until the reply is sent or dropped, or the handler
/// returns, whichever is later: a handler that sends the reply elsewhere may go on reading the
/// request from there until then. Moving its body away is allowed.
/// Threading: called on io threads, several at once when the server has several.
/// Errors: an exception is a bug; the client gets 500 if the reply was dropped by it.
/// Cost: the io thread serves nobody else meanwhile; a handler must not block.
using handler = std::function<void(request&, reply)>;

}  // namespace millrace::gateway::http
