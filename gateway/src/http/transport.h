// SPDX-License-Identifier: MIT
// Transport: the socket of a connection, in the clear or under TLS, one read or write at a time.
//
// Private to connection.cc. In the clear it is the socket's own operations and a branch.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string_view>
#include <utility>

#include "http/identity.h"
#include "http/io_loop.h"

namespace millrace::gateway::http {

/// Ownership: what is passed as `done` keeps the owner, and so the transport, alive. It is never
/// called before the operation that it belongs to has returned, except by `shake_hands`.
/// Threading: the loop's thread.
class transport {
public:
  using step = runtime::stream_step;

  /// What a write came to.
  struct written {
    std::size_t bytes = 0;
    bool is_full = false;  ///< The rest goes after `wait_write`.
    bool is_over = false;  ///< There is no connection any more.
  };

  /// `owner` is null for HTTP in the clear.
  transport(socket_type socket, identity* owner)
      : socket_(std::move(socket)),
        tls_(owner != nullptr ? owner->accept(socket_.native_handle()) : nullptr) {}

  [[nodiscard]] bool is_secured() const noexcept { return tls_ != nullptr; }
  [[nodiscard]] int native_handle() { return socket_.native_handle(); }

  void prepare() {
    boost::system::error_code ec;
    socket_.non_blocking(true, ec);
    socket_.set_option(boost::asio::ip::tcp::no_delay{true}, ec);
  }

  /// Calls `done(step)` with `done` or `ended`. After the latter all is in the clear: there is
  /// nobody to speak to, but what the other end was told last should reach it.
  template <class Done>
  void shake_hands(Done done) {
    auto now = tls_->handshake();
    if (now.now == step::state::wants_read || now.now == step::state::wants_write) {
      const auto what =
          now.now == step::state::wants_read ? socket_type::wait_read : socket_type::wait_write;
      wait(what, [this, held = std::move(done)](bool failed) mutable {
        if (!failed) {
          shake_hands(std::move(held));
          return;
        }
        tls_.reset();
        held(step{.now = step::state::ended, .why = "its socket has failed"});
      });
      return;
    }
    if (now.now == step::state::ended) {
      tls_.reset();
    }
    done(now);
  }

  /// Calls `done(bytes, failed)`.
  template <class Done>
  void read(char* to, std::size_t size, Done done) {
    if (tls_) {
      read_secured(to, size, std::move(done));
      return;
    }
    socket_.async_read_some(
        boost::asio::buffer(to, size),
        [held = std::move(done)](const boost::system::error_code& ec, std::size_t bytes) mutable {
          held(bytes, static_cast<bool>(ec));
        });
  }

  /// What fits, at once. After `is_full` the next write begins with the same bytes.
  [[nodiscard]] written write(std::string_view bytes) {
    if (tls_) {
      const auto now = tls_->write(bytes);
      return {now.bytes, now.now == step::state::wants_write || now.now == step::state::wants_read,
              now.now == step::state::ended};
    }
    boost::system::error_code ec;
    const auto count =
        socket_.write_some(boost::asio::const_buffer{bytes.data(), bytes.size()}, ec);
    const bool is_full =
        ec == boost::asio::error::would_block || ec == boost::asio::error::try_again;
    return {count, is_full, ec && !is_full};
  }

  /// Calls `done(failed)` when more may fit.
  template <class Done>
  void wait_write(Done done) {
    wait(socket_type::wait_write, std::move(done));
  }

  /// Tells the other end that what it got is all.
  void finish() { tls_ ? tls_->finish() : stop_sending(); }

  /// Sends nothing more, without a word: under TLS the other end knows that there was more.
  void stop_sending() {
    boost::system::error_code ec;
    socket_.shutdown(socket_type::shutdown_send, ec);
  }

  void close() {
    tls_.reset();  // it would write to whatever gets this number next
    boost::system::error_code ec;
    socket_.close(ec);
  }

private:
  // `done(true)` too when the transport was closed meanwhile.
  template <class Done>
  void wait(socket_type::wait_type what, Done done) {
    socket_.async_wait(what,
                       [this, held = std::move(done)](const boost::system::error_code& ec) mutable {
                         held(ec || !socket_.is_open());
                       });
  }

  template <class Done>
  void read_secured(char* to, std::size_t size, Done done) {
    const auto now = tls_->read(to, size);
    if (now.now == step::state::done || now.now == step::state::ended) {
      boost::asio::post(socket_.get_executor(),
                        [bytes = now.bytes, failed = now.now == step::state::ended,
                         held = std::move(done)]() mutable { held(bytes, failed); });
      return;
    }
    const auto what =
        now.now == step::state::wants_read ? socket_type::wait_read : socket_type::wait_write;
    wait(what, [this, to, size, held = std::move(done)](bool failed) mutable {
      failed ? held(std::size_t{0}, true) : read_secured(to, size, std::move(held));
    });
  }

  socket_type socket_;
  std::unique_ptr<runtime::byte_stream> tls_;
};

}  // namespace millrace::gateway::http
