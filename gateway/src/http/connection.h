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
// A TLS handshake goes before, as if nothing had been read yet. `closed` is terminal. A write that
// did not fit is a flag (`write_pending_`), not a state: until it is done nothing further is parsed
// or taken from a stream.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/framing.h"
#include "http/io_loop.h"
#include "http/reply.h"
#include "http/request_reader.h"
#include "http/stream_queue.h"
#include "http/transport.h"

namespace millrace::gateway::http {

/// Threading: `complete`, `open` and `on_gone` from any thread; the rest on the loop's thread.
class connection final : public responder, public std::enable_shared_from_this<connection> {
public:
  /// What it is there for: `probe`: one request that `server_options::is_probe` knows.
  enum class use : std::uint8_t { any, probe };

  /// `from`: the peer's address.
  connection(std::shared_ptr<io_loop> loop, socket_type socket, std::string from, use wanted);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() override {
    release_body();
    release_answer();
  }

  void start();

  // Of `responder`.
  void complete(response answer) override;
  std::shared_ptr<stream_sink> open(int status, header_list headers,
                                    std::string_view ping) override;
  void on_gone(task callback) override;

  /// The stream may have something to take.
  void pump_soon();

  /// Takes a piece of it. For the loop, which `pump_soon` asks.
  void pump();

  /// The loop's sweep came by.
  void on_sweep();

  /// A graceful stop began.
  void on_drain();

  /// Closes the socket, ends the stream, leaves the loop. Idempotent.
  void cut();

  /// Whether a request is being handled, or its answer is a stream.
  [[nodiscard]] bool has_request() const noexcept {
    return state_ == state::handling || state_ == state::streaming;
  }

  /// For whom what it sends, and is sent, counts. While a request is in hand.
  [[nodiscard]] std::string client() const;

  [[nodiscard]] bool is_probe() const noexcept { return use_ == use::probe; }

  std::size_t slot = 0;  ///< Place in the loop's list.

private:
  enum class state { reading, handling, streaming, closing, lingering, closed };

  void end_handshake();
  void on_secured(const runtime::stream_step& last);
  void read();
  void on_read(std::size_t bytes, bool failed);
  void serve();
  bool parse();
  [[nodiscard]] bool is_idle() const noexcept;
  void begin();
  void dispatch();
  void know_address(bool is_told);
  void know_sender();
  [[nodiscard]] std::optional<response> refusal_of_body();
  void refuse_body(response refusal);
  [[nodiscard]] bool count_body();
  [[nodiscard]] bool count_answer(const response& answer);
  [[nodiscard]] response refusal_of_bodies();
  void release_body() noexcept;
  void release_answer() noexcept;
  void reject(int status, std::string detail);
  void answered(response answer);
  void began(const std::shared_ptr<stream_queue>& queue, int status, const header_list& headers,
             std::string_view ping);
  [[nodiscard]] framing how() const noexcept;
  void append(std::string_view piece);
  void after_answer();
  [[nodiscard]] std::string_view unsent() const noexcept;
  void flush();
  void on_writable(bool failed);
  [[nodiscard]] bool peer_left() noexcept;
  void written();
  void linger();
  void leave();
  void finish();
  void log(int status, std::size_t body_bytes, const response* whole = nullptr) const;

  const std::shared_ptr<io_loop> loop_;
  const std::string peer_;  ///< Its address; that of a request may be another: `request::from`.
  const use use_;
  transport transport_;
  state state_ = state::reading;

  request_reader reader_;
  std::string out_;
  std::shared_ptr<const std::string> tail_;  ///< Follows `out_`: a body that is not copied there.
  std::size_t out_sent_ = 0;                 ///< Of both.
  tick_count deadline_ = 0;
  std::size_t body_bytes_ = 0;    ///< Of `server_core::bodies`,
  std::string body_of_;           ///< for whom; set while there are any.
  std::size_t answer_bytes_ = 0;  ///< Of `server_core::answers`,
  std::string answer_of_;         ///< likewise.

  std::atomic<std::uint64_t> request_number_{0};
  std::shared_ptr<const principal> known_as_;
  const bool is_proxy_;  ///< What it passes on may say where that comes from.
  bool is_newcomer_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool keep_alive_ = true;
  bool in_handler_ = false;
  bool read_pending_ = false;
  bool write_pending_ = false;
  bool pump_pending_ = false;
  bool shakes_hands_ = false;
  bool handshake_counts_ = false;  ///< For how often its address begins one.
  bool is_whole_ = true;           ///< No stream was cut short.
  bool is_sized_ = false;          ///< The stream's head says how long its body is.
  std::uint64_t sized_left_ = 0;   ///< Of that, not sent yet.

  task gone_;  ///< Set while a handler wants to know.
  std::shared_ptr<stream_queue> stream_;
  std::shared_ptr<stream_queue> last_stream_;  ///< Counts for what it had, until that is sent.
  std::string piece_;                          ///< Taken from the stream, being framed.
  std::size_t stream_in_flight_ = 0;
  std::string_view ping_;
  tick_count last_piece_ = 0;
};

}  // namespace millrace::gateway::http
