// SPDX-License-Identifier: MIT
// Stream queue: what has been written to a stream and not yet sent.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/io_loop.h"
#include "http/reply.h"

namespace millrace::gateway::http {

class connection;

/// The queue between a stream's writer, on any thread, and the connection.
class stream_queue final : public stream_sink {
public:
  /// `client`: for whom it counts, as `memory_budget` has it.
  stream_queue(std::shared_ptr<io_loop> loop, std::weak_ptr<connection> owner, std::string client);
  stream_queue(const stream_queue&) = delete;
  stream_queue& operator=(const stream_queue&) = delete;
  ~stream_queue() override;

  write_status write(std::string_view piece) override;
  void close() override;
  void cut() override;
  void on_closed(task callback) override;
  void on_drained(std::function<void()> callback) override;

  // The connection's side, on the loop's thread.

  /// What follows that which was taken: more of it, now or later; its proper end; or nothing
  /// although it is not whole.
  enum class rest : std::uint8_t { more, end, cut_short };

  /// Moves the front of what is queued into `into` (which is empty), at most `piece_bytes_max`: a
  /// loop that sent more at a time for one client would keep the others waiting.
  rest take(std::string& into);
  static constexpr std::size_t piece_bytes_max = std::size_t{64} << 10;

  /// `bytes` of what was taken have left for the network.
  void sent(std::size_t bytes);

  /// The client is gone, or has to go.
  void end();

private:
  void wake(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool count(std::size_t bytes);

  const std::shared_ptr<io_loop> loop_;
  const std::weak_ptr<connection> owner_;
  const std::string client_;

  std::mutex mutex_;
  std::string pending_;
  std::size_t pending_begin_ = 0;  ///< What stands before has been taken.
  std::size_t queued_ = 0;         ///< Pending, or taken and not yet sent.
  std::size_t counted_ = 0;        ///< Of `server_core::answers`.
  bool waking_ = false;
  bool was_full_ = false;
  bool closed_ = false;  ///< By the writer.
  bool is_cut_ = false;  ///< Closed, and not whole.
  bool ended_ = false;   ///< By the client, its slowness, or the server.
  task on_closed_;
  std::function<void()> on_drained_;
};

}  // namespace millrace::gateway::http
