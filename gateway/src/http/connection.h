// SPDX-License-Identifier: MIT
// One client connection: a state machine driven by its loop.
//
// Callbacks and not a coroutine: a request that is answered in its handler never suspends, so
// the hot path is a plain loop over the read buffer with one write for all that was pipelined.
//
//   reading --whole request--> handling --answer--> reading
//                              handling --stream--> streaming --end--> reading
//   reading --refused, last answer--> closing --all written--> lingering --EOF, timeout--> closed
//
// `closed` is terminal. A write that did not fit is a flag (`write_pending_`), not a state: until
// it is done nothing further is parsed or taken from a stream.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/io_loop.h"
#include "http/reply.h"
#include "http/request_parser.h"

namespace millrace::gateway::http {

class connection;

/// The queue between a stream's writer, on any thread, and the connection.
class stream_queue final : public stream_sink {
public:
  stream_queue(std::shared_ptr<io_loop> loop, std::weak_ptr<connection> owner, std::size_t bound);

  write_status write(std::string_view piece) override;
  void close() override;
  void on_closed(task callback) override;
  void on_drained(std::function<void()> callback) override;

  // The connection's side, on the loop's thread.

  /// What follows that which was taken: more of it, its proper end, or nothing although the writer
  /// had not closed it.
  enum class rest : std::uint8_t { more, end, cut_short };

  /// Swaps what is queued into `into` (which is empty).
  rest take(std::string& into);

  /// `bytes` of what was taken have left for the network.
  void sent(std::size_t bytes);

  /// The client is gone, or has to go.
  void end();

private:
  void wake(std::unique_lock<std::mutex>& lock);

  const std::shared_ptr<io_loop> loop_;
  const std::weak_ptr<connection> owner_;
  const std::size_t bound_;

  std::mutex mutex_;
  std::string pending_;
  std::size_t queued_ = 0;  ///< Pending, or taken and not yet sent.
  bool waking_ = false;
  bool was_full_ = false;
  bool closed_ = false;  ///< By the writer.
  bool ended_ = false;   ///< By the client, its slowness, or the server.
  task on_closed_;
  std::function<void()> on_drained_;
};

/// Threading: `complete` and `open` from any thread; the rest on the loop's thread.
class connection final : public responder, public std::enable_shared_from_this<connection> {
public:
  connection(std::shared_ptr<io_loop> loop, socket_type socket);

  void start();

  // Of `responder`.
  void complete(response answer) override;
  std::shared_ptr<stream_sink> open(int status, header_list headers,
                                    std::string_view ping) override;
  void on_gone(task callback) override { gone_ = std::move(callback); }

  /// The stream has something to take.
  void pump();

  /// The loop's sweep came by.
  void on_sweep();

  /// A graceful stop began.
  void on_drain();

  /// Closes the socket, ends the stream, leaves the loop. Idempotent.
  void cut();

  std::size_t slot = 0;  ///< Place in the loop's list.

private:
  enum class state { reading, handling, streaming, closing, lingering, closed };

  void read();
  void on_read(std::size_t bytes, bool failed);
  void serve();
  bool parse();
  void dispatch();
  void check_parse_error(const boost::beast::error_code& ec);
  void reject(int status, std::string detail);
  void answered(response answer);
  void began(const std::shared_ptr<stream_queue>& queue, int status, const header_list& headers,
             std::string_view ping);
  void append_head(int status, const header_list& headers);
  void append_piece(std::string_view piece);
  void after_answer();
  void flush();
  void on_writable(bool failed);
  [[nodiscard]] bool peer_left() noexcept;
  void written();
  void log(int status, std::size_t body_bytes) const;

  const std::shared_ptr<io_loop> loop_;
  socket_type socket_;
  state state_ = state::reading;

  std::string in_;  ///< Its size is its capacity; [in_begin_, in_end_) is not yet parsed.
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::string out_;
  std::size_t out_sent_ = 0;
  tick_count deadline_ = 0;

  request request_;
  std::optional<request_parser> parser_;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool keep_alive_ = true;
  bool continue_sent_ = false;
  bool in_handler_ = false;
  bool read_pending_ = false;
  bool write_pending_ = false;

  task gone_;  ///< Set while a handler wants to know.
  std::shared_ptr<stream_queue> stream_;
  std::string piece_;  ///< Taken from the stream, being framed.
  std::size_t stream_in_flight_ = 0;
  std::string_view ping_;
  tick_count last_piece_ = 0;
};

}  // namespace millrace::gateway::http
