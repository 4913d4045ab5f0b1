// SPDX-License-Identifier: MIT
#include "http/connection.h"

#include <poll.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <charconv>
#include <cstring>

#include "http/problem.h"
#include "millrace/runtime/assert.h"

namespace millrace::gateway::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

// The read buffer starts at what a request of a program needs and grows to the header limit plus
// one read; bodies do not pass through it whole.
constexpr std::size_t in_bytes_initial = 4096;
constexpr std::size_t in_bytes_slack = 4096;

// Answers to pipelined requests leave together, but not more than this at a time.
constexpr std::size_t out_bytes_flush = std::size_t{64} << 10;

// A buffer that one large answer made is not kept for the connection's life.
constexpr std::size_t out_bytes_kept = std::size_t{256} << 10;

// What a handler does on the loop's thread takes as long as its body is large: this much is read as
// JSON in some 20 us.
constexpr std::size_t quick_body_bytes = 4096;

// How long a refused client may take to read its refusal. Closing at once would reset the
// connection and destroy the refusal on its way (RFC 9112, 9.6).
constexpr std::chrono::milliseconds linger_time{2000};

constexpr std::string_view last_chunk = "0\r\n\r\n";

void append_number(std::string& out, std::size_t number, int base = 10) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number, base).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

bool has_body(int status) noexcept {
  return status != 204 && status != 304;
}

// A handler may put a client's text into a field; a line end in it must not begin a new field.
void append_value(std::string& out, std::string_view value) {
  const auto begin = out.size();
  out += value;
  for (auto i = begin; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') {
      out[i] = ' ';
    }
  }
}

}  // namespace

connection::connection(std::shared_ptr<io_loop> loop, socket_type socket)
    : loop_(std::move(loop)), socket_(std::move(socket)) {}

void connection::start() {
  boost::system::error_code ec;
  socket_.non_blocking(true, ec);
  socket_.set_option(asio::ip::tcp::no_delay{true}, ec);
  in_.resize(in_bytes_initial);
  deadline_ = loop_->after(loop_->core->options.idle_timeout);
  read();
}

void connection::read() {
  if (read_pending_ || state_ == state::closed) {
    return;
  }
  if (in_begin_ == in_end_) {
    in_begin_ = in_end_ = 0;
  } else if (in_end_ == in_.size() && in_begin_ > 0) {
    std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= std::exchange(in_begin_, 0);
  }
  if (in_end_ == in_.size()) {
    const auto bound = loop_->core->options.header_bytes_max + in_bytes_slack;
    if (in_.size() >= bound) {
      // Only a message part that must be seen whole (a header, a chunk's head, trailers) fills it.
      if (state_ == state::reading) {
        reject(431, "a header or chunk header is over the limit");
      }
      return;
    }
    in_.resize(std::min(bound, in_.size() * 2));
  }
  read_pending_ = true;
  socket_.async_read_some(
      asio::buffer(in_.data() + in_end_, in_.size() - in_end_),
      [self = shared_from_this()](const boost::system::error_code& ec, std::size_t bytes) {
        self->on_read(bytes, static_cast<bool>(ec));
      });
}

void connection::on_read(std::size_t bytes, bool failed) {
  read_pending_ = false;
  if (failed) {
    // While a write waits, the client may have closed its half and still read ours.
    const bool wait = write_pending_ && (state_ == state::reading || state_ == state::closing);
    keep_alive_ = false;
    if (!wait) {
      cut();
    }
    return;
  }
  in_end_ += bytes;
  switch (state_) {
    case state::reading:
      serve();
      break;
    case state::streaming:
      read();
      break;  // Kept for later; a full buffer stops the reading.
    case state::closing:
    case state::lingering:
      in_begin_ = in_end_ = 0;
      read();
      break;
    case state::handling:
    case state::closed:
      break;
  }
}

// Answers what the buffer holds, writes once, reads on.
void connection::serve() {
  while (state_ == state::reading && !write_pending_ && in_begin_ < in_end_) {
    if (!parse()) {
      break;
    }
    dispatch();
    if (out_.size() - out_sent_ > out_bytes_flush) {
      flush();
    }
  }
  flush();
  if (state_ != state::reading || write_pending_) {
    return;
  }
  if (loop_->draining() && !parser_ && in_begin_ == in_end_) {
    cut();
  } else {
    read();
  }
}

// True when a whole request is in `request_`.
bool connection::parse() {
  const auto& options = loop_->core->options;
  if (!parser_) {
    request_.clear();
    parser_.emplace(request_, options);
    continue_sent_ = false;
    deadline_ = loop_->after(options.header_timeout);
  }
  const bool had_header = parser_->is_header_done();
  while (in_begin_ < in_end_ && !parser_->is_done()) {
    boost::beast::error_code ec;
    const auto used =
        parser_->put(asio::const_buffer{in_.data() + in_begin_, in_end_ - in_begin_}, ec);
    in_begin_ += used;
    if (ec == beast_http::error::need_more) {
      break;
    }
    if (ec) {
      check_parse_error(ec);
      return false;
    }
    if (used == 0) {
      break;
    }
  }
  if (parser_->is_done()) {
    return true;
  }
  if (parser_->is_header_done()) {
    if (!had_header) {
      deadline_ = loop_->after(options.body_timeout);
    }
    if (parser_->expects_continue() && !continue_sent_ && in_begin_ == in_end_) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      continue_sent_ = true;
    }
  }
  return false;
}

void connection::check_parse_error(const boost::beast::error_code& ec) {
  if (parser_->refusal() != 0) {
    reject(parser_->refusal(), parser_->reason());
  } else if (ec == beast_http::error::header_limit) {
    reject(431, "the header is over the limit of " +
                    std::to_string(loop_->core->options.header_bytes_max) + " bytes");
  } else if (ec == beast_http::error::body_limit) {
    reject(413, "the body is over the limit of " +
                    std::to_string(loop_->core->options.body_bytes_max) + " bytes");
  } else {
    reject(400, "not an HTTP/1.1 request: " + ec.message());
  }
}

void connection::reject(int status, std::string detail) {
  loop_->core->rejected.fetch_add(1, std::memory_order_relaxed);
  parser_.reset();
  keep_alive_ = false;
  head_only_ = false;
  http_1_0_ = false;
  in_begin_ = in_end_ = 0;
  const auto code = status == 413 || status == 431 ? runtime::errc::too_large
                    : status == 408                ? runtime::errc::deadline_exceeded
                    : status == 501                ? runtime::errc::unimplemented
                                                   : runtime::errc::invalid_argument;
  state_ = state::handling;
  answered(problem_response(
      problem{.status = status, .cause = {code, std::move(detail)}, .instance = {}, .errors = {}}));
  flush();
}

void connection::dispatch() {
  http_1_0_ = parser_->http_1_0();
  keep_alive_ = parser_->keep_alive();
  head_only_ = request_.method == method::head;
  parser_.reset();
  state_ = state::handling;
  auto& core = *loop_->core;
  core.requests.fetch_add(1, std::memory_order_relaxed);
  if (request_.body.size() > quick_body_bytes) {
    loop_->flush_calls();
  }
  in_handler_ = true;
  try {
    core.target(request_, reply{shared_from_this()});
  } catch (...) {
    // The reply died while the exception passed and has answered 500, or lives elsewhere and
    // will answer. Either way this connection is in order.
  }
  in_handler_ = false;
}

void connection::complete(response answer) {
  if (!loop_->on_this_thread()) {
    loop_->post([self = shared_from_this(), held = std::move(answer)]() mutable {
      self->complete(std::move(held));
    });
    return;
  }
  answered(std::move(answer));
  if (!in_handler_) {
    serve();
  }
}

void connection::answered(response answer) {
  if (state_ == state::closed) {
    return;
  }
  MILLRACE_ASSERT(state_ == state::handling);
  gone_ = {};
  log(answer.status, answer.body.size());
  keep_alive_ = keep_alive_ && !loop_->draining();
  out_ += http_1_0_ ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_head(answer.status, answer.headers);
  if (!answer.content_type.empty()) {
    out_ += "Content-Type: ";
    append_value(out_, answer.content_type);
    out_ += "\r\n";
  }
  if (has_body(answer.status)) {
    out_ += "Content-Length: ";
    append_number(out_, answer.body.size());
    out_ += "\r\n\r\n";
    if (!head_only_) {
      out_ += answer.body;
    }
  } else {
    out_ += "\r\n";
  }
  after_answer();
}

void connection::append_head(int status, const header_list& headers) {
  append_number(out_, static_cast<std::size_t>(status));
  out_ += ' ';
  out_ += reason_of(status);
  out_ += "\r\n";
  out_ += loop_->date_line();
  if (!keep_alive_) {
    out_ += "Connection: close\r\n";
  } else if (http_1_0_) {
    out_ += "Connection: keep-alive\r\n";
  }
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    append_value(out_, name);
    out_ += ": ";
    append_value(out_, value);
    out_ += "\r\n";
  }
}

void connection::after_answer() {
  state_ = keep_alive_ ? state::reading : state::closing;
  deadline_ = loop_->after(loop_->core->options.idle_timeout);
}

std::shared_ptr<stream_sink> connection::open(int status, header_list headers,
                                              std::string_view ping) {
  auto queue = std::make_shared<stream_queue>(loop_, weak_from_this(),
                                              loop_->core->options.stream_bytes_max);
  if (loop_->on_this_thread()) {
    began(queue, status, headers, ping);
    if (!in_handler_) {
      serve();
    }
  } else if (!loop_->post(
                 [self = shared_from_this(), queue, status, held = std::move(headers), ping] {
                   self->began(queue, status, held, ping);
                   self->serve();
                 })) {
    queue->end();
  }
  return queue;
}

void connection::began(const std::shared_ptr<stream_queue>& queue, int status,
                       const header_list& headers, std::string_view ping) {
  if (state_ == state::closed) {
    queue->end();
    return;
  }
  MILLRACE_ASSERT(state_ == state::handling);
  gone_ = {};
  log(status, 0);
  // HTTP/1.0 has no chunks: there the end of the connection is the end of the body.
  keep_alive_ = keep_alive_ && !http_1_0_ && !loop_->draining();
  out_ += http_1_0_ ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_head(status, headers);
  out_ += http_1_0_ || !has_body(status) ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n";
  if (head_only_ || !has_body(status) || loop_->draining()) {
    queue->end();  // while draining: cut short, as `pump` does
    after_answer();
    return;
  }
  state_ = state::streaming;
  stream_ = queue;
  ping_ = ping;
  last_piece_ = loop_->now();
  read();  // To notice that the client leaves.
}

void connection::append_piece(std::string_view piece) {
  if (piece.empty()) {
    return;
  }
  last_piece_ = loop_->now();
  if (http_1_0_) {
    out_ += piece;
    return;
  }
  append_number(out_, piece.size(), 16);
  out_ += "\r\n";
  out_ += piece;
  out_ += "\r\n";
}

void connection::pump() {
  while (state_ == state::streaming && !write_pending_) {
    piece_.clear();
    const auto rest = stream_->take(piece_);
    append_piece(piece_);
    stream_in_flight_ = piece_.size();
    if (rest != stream_queue::rest::more) {
      // Without the last chunk the client knows that this is not the whole (RFC 9112, 8).
      keep_alive_ = keep_alive_ && rest == stream_queue::rest::end;
      out_ += http_1_0_ || rest == stream_queue::rest::cut_short ? std::string_view{} : last_chunk;
      stream_.reset();
      stream_in_flight_ = 0;
      ping_ = {};
      after_answer();
      serve();
      return;
    }
    flush();
    if (piece_.empty()) {
      return;
    }
  }
}

void connection::flush() {
  if (write_pending_ || state_ == state::closed) {
    return;
  }
  while (out_sent_ < out_.size()) {
    boost::system::error_code ec;
    const auto n = socket_.write_some(
        asio::const_buffer{out_.data() + out_sent_, out_.size() - out_sent_}, ec);
    out_sent_ += n;
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
      write_pending_ = true;
      deadline_ = loop_->after(loop_->core->options.write_timeout);
      socket_.async_wait(socket_type::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& failure) {
                           self->on_writable(static_cast<bool>(failure));
                         });
      return;
    }
    if (ec) {
      cut();
      return;
    }
  }
  written();
}

void connection::on_writable(bool failed) {
  write_pending_ = false;
  if (failed) {
    cut();
    return;
  }
  flush();
  if (write_pending_) {
    return;
  }
  if (state_ == state::reading) {
    deadline_ = loop_->after(loop_->core->options.idle_timeout);
    serve();
  } else if (state_ == state::streaming) {
    pump();
  }
}

// Everything in `out_` has left.
void connection::written() {
  out_.clear();
  out_sent_ = 0;
  if (out_.capacity() > out_bytes_kept) {
    out_.shrink_to_fit();
  }
  if (state_ == state::streaming && stream_in_flight_ > 0) {
    stream_->sent(std::exchange(stream_in_flight_, 0));
  } else if (state_ == state::closing && loop_->draining() && in_begin_ == in_end_) {
    cut();
  } else if (state_ == state::closing) {
    state_ = state::lingering;
    deadline_ = loop_->after(linger_time);
    boost::system::error_code ec;
    socket_.shutdown(socket_type::shutdown_send, ec);
    in_begin_ = in_end_ = 0;
    read();
  }
}

void connection::on_sweep() {
  if (state_ == state::streaming && !write_pending_ && !ping_.empty() &&
      loop_->now() >=
          last_piece_ + (loop_->after(loop_->core->options.ping_interval) - loop_->now())) {
    append_piece(ping_);
    flush();
    return;
  }
  if (state_ == state::handling && gone_ && peer_left()) {
    cut();
    return;
  }
  if (loop_->now() < deadline_) {
    return;
  }
  switch (state_) {
    case state::reading:
      if (write_pending_ || !parser_) {
        cut();
      } else {
        reject(408, parser_->is_header_done() ? "the body did not arrive in time"
                                              : "the header did not arrive in time");
      }
      break;
    case state::handling:
    case state::streaming:
      if (write_pending_) {
        cut();
      }
      break;
    case state::closing:
    case state::lingering:
      cut();
      break;
    case state::closed:
      break;
  }
}

// A client that has closed its half counts as gone while its answer is not ready, as with other
// servers.
bool connection::peer_left() noexcept {
  pollfd one{socket_.native_handle(), POLLRDHUP, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void connection::on_drain() {
  if (state_ == state::streaming) {
    keep_alive_ = false;
    const auto queue = stream_;
    queue->end();
    pump();
  } else if (state_ == state::reading && !parser_ && !write_pending_ && in_begin_ == in_end_) {
    cut();
  }
}

void connection::cut() {
  if (std::exchange(state_, state::closed) == state::closed) {
    return;
  }
  boost::system::error_code ec;
  socket_.close(ec);
  if (const auto queue = std::exchange(stream_, nullptr)) {
    queue->end();
  }
  auto gone = std::exchange(gone_, task{});
  loop_->forget(*this);
  if (gone) {
    gone();
  }
}

void connection::log(int status, std::size_t body_bytes) const {
  const auto& log = loop_->core->log;
  if (log) {
    const bool known = !request_.target().empty();
    log({known ? to_string(request_.method) : std::string_view{}, request_.target(), status,
         body_bytes});
  }
}

}  // namespace millrace::gateway::http
