// SPDX-License-Identifier: MIT
// One event loop of the server with the connections that belong to it.
//
// Private to server.cc and connection.cc: this header and what includes it are the only places
// that see Asio.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/handshake_limit.h"
#include "http/memory_budget.h"
#include "http/newcomers.h"
#include "http/server.h"
#include "millrace/runtime/call_batch.h"

namespace millrace::gateway::http {

class connection;

using executor_type = boost::asio::io_context::executor_type;
using socket_type = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor_type>;

/// What all loops of a server share.
struct server_core {
  server_core(server_options o, handler h, const runtime::clock& c, access_log l)
      : options(std::move(o)), target(std::move(h)), clock(c), log(std::move(l)) {}

  const server_options options;
  const handler target;
  const runtime::clock& clock;
  const access_log log;

  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> rejected{0};
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> probes{0};  ///< Of the open ones, `connection::use::probe`.
  std::atomic<std::uint64_t> bodies_refused{0};
  memory_budget bodies{options.bodies_bytes_max};
  std::atomic<std::uint64_t> answers_refused{0};
  memory_budget answers{options.answers_bytes_max};
  std::atomic<std::uint64_t> handshakes_refused{0};
  handshake_limit handshakes{options.handshakes_of_address_max, options.handshakes_at_once_max,
                             options.handshakes_a_second_max};

  std::mutex mutex;  ///< With `changed`: `open` went to zero.
  std::condition_variable changed;
};

/// Time by the sweep: coarse, and free to read.
using tick_count = std::uint64_t;

/// One loop.
///
/// Ownership: held by the server, by its connections and by what replies to them, so that a late
/// reply finds a loop that has stopped rather than none.
/// Threading: `post` from any thread; the rest on the loop's thread.
class io_loop : public std::enable_shared_from_this<io_loop> {
public:
  explicit io_loop(std::shared_ptr<server_core> core);

  /// Runs until `stop_now`; what is posted afterwards is refused.
  void run();

  /// False when the loop has stopped; the function is then destroyed unrun.
  bool post(task function);

  [[nodiscard]] bool on_this_thread() noexcept {
    return context.get_executor().running_in_this_thread();
  }

  /// Takes one that counts as open, or refuses it.
  void adopt(socket_type socket);
  void forget(connection& gone);

  /// One that was open is not any more.
  void count_closed();

  /// It has shown that it is somebody's; or it is nobody's any more.
  void know(const connection& one) { newcomers_.leave(one); }
  void doubt(connection& one, const std::string& group) { newcomers_.enter(one, group); }

  /// Has the connection take from its stream, when those have that asked before. What all streams
  /// together are sent in one turn is bounded, so that other clients wait no longer for an answer
  /// however many follow something.
  void pump_soon(std::shared_ptr<connection> one);

  /// Lets the calls begin that this turn of the loop has started: before what takes long.
  void flush_calls() noexcept { calls_->flush(); }

  /// Begins a graceful stop; idle connections go at once.
  void drain();

  /// Cuts every connection and ends `run`.
  void stop_now();

  [[nodiscard]] tick_count now() const noexcept { return tick_; }
  [[nodiscard]] tick_count after(std::chrono::milliseconds wait) const noexcept {
    return tick_ +
           static_cast<tick_count>((wait + tick_length_ - std::chrono::milliseconds{1}) /
                                   tick_length_) +
           1;
  }
  [[nodiscard]] bool draining() const noexcept { return draining_; }

  /// `Date: ...\r\n`, right to the second.
  [[nodiscard]] const std::string& date_line() const noexcept { return date_line_; }

  boost::asio::io_context context{1};
  const std::shared_ptr<server_core> core;

private:
  void drop_one_of(const newcomers& these);
  void refuse(socket_type& socket);
  void close_unheard(socket_type& socket);
  void run_inbox();
  void run_pumps();
  void arm();
  void sweep();
  void update_date();

  std::optional<runtime::call_batch> calls_;  // while it runs
  std::mutex mutex_;
  std::vector<task> inbox_;
  std::deque<std::shared_ptr<connection>> pumping_;
  bool pumps_posted_ = false;
  bool stopped_ = false;

  boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, executor_type>
      ticker_;
  std::chrono::milliseconds tick_length_;
  tick_count tick_ = 0;
  std::int64_t date_second_ = -1;
  std::string date_line_;
  bool draining_ = false;
  std::vector<std::shared_ptr<connection>> connections_;
  newcomers newcomers_;
  newcomers probes_;
};

}  // namespace millrace::gateway::http
