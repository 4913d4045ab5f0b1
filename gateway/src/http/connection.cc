// SPDX-License-Identifier: MIT
#include "http/connection.h"

#include <poll.h>

#include <charconv>

#include "access/principal.h"
#include "http/address_group.h"
#include "http/problem.h"
#include "millrace/runtime/assert.h"

namespace millrace::gateway::http {
namespace {

// Answers to pipelined requests leave together, but not more than this at a time; nor is a larger
// buffer kept for the connection's life. So much each may take besides what is counted.
constexpr std::size_t out_bytes_flush = std::size_t{16} << 10;

// A body up to this is copied behind its header: one write costs less than two.
constexpr std::size_t copied_body_bytes = std::size_t{64} << 10;

// What a handler does on the loop's thread takes as long as its body is large: this much is read as
// JSON in some 20 us.
constexpr std::size_t quick_body_bytes = 4096;

// The id of the trace that a request is part of, in its answer.
constexpr std::string_view request_id_name = "X-Request-Id";

// How long a refused client may take to read its refusal. Closing at once would reset the
// connection and destroy the refusal on its way (RFC 9112, 9.6).
constexpr std::chrono::milliseconds linger_time{2000};

std::uint64_t length_in(std::string_view text) {
  std::uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

response refusal_of_answers() {
  return problem_response(
      runtime::error{runtime::errc::unavailable,
                     "the answers that wait to be read, all or those to who asks, take as much "
                     "memory as they may",
                     std::chrono::seconds{1}});
}

response refusal_of_full() {
  return problem_response(runtime::error{runtime::errc::unavailable,
                                         "there are as many connections as there may be",
                                         std::chrono::seconds{1}});
}

}  // namespace

connection::connection(std::shared_ptr<io_loop> loop, socket_type socket, std::string from,
                       use wanted)
    : loop_(std::move(loop)),
      peer_(std::move(from)),
      use_(wanted),
      transport_(std::move(socket), loop_->core->options.tls.get()),
      reader_(loop_->core->options),
      is_proxy_(loop_->core->options.proxies.trusts(peer_)) {
  reader_.request().from = peer_;
}

void connection::start() {
  const auto& options = loop_->core->options;
  transport_.prepare();
  if (transport_.is_secured()) {
    deadline_ = loop_->after(options.header_timeout);
    shakes_hands_ = true;
    handshake_counts_ = true;
    transport_.shake_hands(
        [self = shared_from_this()](const runtime::stream_step& last) { self->on_secured(last); });
  } else {
    deadline_ = loop_->after(is_probe() ? options.header_timeout : options.idle_timeout);
    read();
  }
}

void connection::end_handshake() {
  if (std::exchange(shakes_hands_, false)) {
    loop_->core->handshakes.leave(address_group(peer_));
  }
}

void connection::on_secured(const runtime::stream_step& last) {
  end_handshake();
  if (state_ == state::closed) {
    return;
  }
  if (last.now != runtime::stream_step::state::ended) {
    if (!is_probe()) {
      deadline_ = loop_->after(loop_->core->options.idle_timeout);
    }
    read();
    return;
  }
  loop_->core->options.tls->refused(last);
  if (last.end == runtime::stream_end::not_tls) {
    reject(400, "this port speaks TLS: ask for https://");
  } else {
    loop_->core->rejected.fetch_add(1, std::memory_order_relaxed);
    linger();
  }
}

void connection::read() {
  if (read_pending_ || state_ == state::closed) {
    return;
  }
  auto& in = reader_.input();
  if (!in.make_room()) {
    if (state_ == state::reading) {
      reader_.refuse_oversize();
      reject(reader_.status(), reader_.reason());
    }
    return;
  }
  read_pending_ = true;
  transport_.read(in.room(), in.room_size(),
                  [self = shared_from_this()](std::size_t bytes, bool failed) {
                    self->on_read(bytes, failed);
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
  reader_.input().added(bytes);
  switch (state_) {
    case state::reading:
      serve();
      break;
    case state::streaming:
      read();
      break;  // Kept for later; a full buffer stops the reading.
    case state::closing:
    case state::lingering:
      reader_.input().clear();
      read();
      break;
    case state::handling:
    case state::closed:
      break;
  }
}

// Answers what the buffer holds, writes once, reads on.
void connection::serve() {
  while (state_ == state::reading && !write_pending_ && !reader_.input().empty()) {
    if (tail_ || out_.size() > out_bytes_flush) {
      flush();
      continue;
    }
    if (!parse()) {
      break;
    }
    dispatch();
  }
  flush();
  if (state_ != state::reading || write_pending_) {
    return;
  }
  if (loop_->draining() && is_idle()) {
    leave();
  } else {
    read();
  }
}

// True when there is a whole request that is to be handled.
bool connection::parse() {
  using progress = request_reader::progress;
  const auto& options = loop_->core->options;
  const auto before = reader_.state();
  const auto now = reader_.read();
  if (is_proxy_ && before < progress::body) {
    know_address(now == progress::body || now == progress::finished);
  }
  if (now == progress::refused) {
    reject(reader_.status(), reader_.reason());
    return false;
  }
  if (before == progress::nothing && now != progress::nothing && !is_probe()) {
    deadline_ = loop_->after(options.header_timeout);
  }
  if (now == progress::body) {
    if (before != progress::body) {
      deadline_ = loop_->after(options.body_timeout);
      if (auto refusal = refusal_of_body()) {
        refuse_body(*std::move(refusal));
        return false;
      }
      if (options.asks_who) {
        know_sender();
      }
      if (reader_.request().stranger != nullptr) {
        deadline_ = loop_->after(options.stranger_body_timeout);
      }
    }
    if (reader_.take_expectation()) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    }
  }
  if (now >= progress::body && !count_body()) {
    refuse_body(refusal_of_bodies());
    return false;
  }
  return now == progress::finished;
}

void connection::reject(int status, std::string detail) {
  loop_->core->rejected.fetch_add(1, std::memory_order_relaxed);
  reader_.next();
  reader_.input().clear();
  reader_.request().trace = {};
  keep_alive_ = false;
  head_only_ = false;
  http_1_0_ = false;
  const auto code = status == 413 || status == 414 || status == 431 ? runtime::errc::too_large
                    : status == 408                  ? runtime::errc::deadline_exceeded
                    : status == 501 || status == 505 ? runtime::errc::unimplemented
                                                     : runtime::errc::invalid_argument;
  state_ = state::handling;
  answered(problem_response(
      problem{.status = status, .cause = {code, std::move(detail)}, .instance = {}, .errors = {}}));
  flush();
}

// Nothing has begun that the client waits for.
bool connection::is_idle() const noexcept {
  return reader_.state() == request_reader::progress::nothing && reader_.input().empty();
}

// A request is in hand.
void connection::begin() {
  auto& request = reader_.request();
  http_1_0_ = reader_.is_http_1_0();
  keep_alive_ = reader_.keeps_alive() && use_ == use::any;
  head_only_ = request.method == method::head;
  reader_.next();
  state_ = state::handling;
  request_number_.fetch_add(1, std::memory_order_relaxed);
  auto& core = *loop_->core;
  if (core.options.trace) {
    request.trace = core.options.trace(request);
  }
  core.requests.fetch_add(1, std::memory_order_relaxed);
}

// Where the request comes from, which a proxy's header says once it is whole.
void connection::know_address(bool is_told) {
  auto& request = reader_.request();
  request.from = is_told ? loop_->core->options.proxies.client_of(peer_, request.headers) : peer_;
}

// It stays when others make room, once it has sent what somebody does, and for as long as that is
// somebody.
void connection::know_sender() {
  const auto& by = reader_.request().by;
  if (state_ == state::closed || use_ != use::any ||
      (by == nullptr && loop_->core->options.asks_who)) {
    return;
  }
  known_as_ = by;
  if (std::exchange(handshake_counts_, false)) {
    loop_->core->handshakes.know(address_group(peer_));
  }
  if (std::exchange(is_newcomer_, false)) {
    loop_->know(*this);
  }
}

std::optional<response> connection::refusal_of_body() {
  const auto& options = loop_->core->options;
  if (use_ == use::probe) {
    return refusal_of_full();
  }
  auto refusal = options.refuse_body ? options.refuse_body(reader_.request()) : std::nullopt;
  const auto length = length_in(reader_.request().headers.find("Content-Length").value_or("0"));
  if (!refusal && length > quick_body_bytes && !loop_->core->bodies.fits(client(), length)) {
    return refusal_of_bodies();
  }
  return refusal;
}

// The rest is not read, and the connection ends.
void connection::refuse_body(response refusal) {
  begin();
  keep_alive_ = false;
  reader_.request().body.clear();
  reader_.input().clear();
  answered(std::move(refusal));
}

response connection::refusal_of_bodies() {
  loop_->core->bodies_refused.fetch_add(1, std::memory_order_relaxed);
  return problem_response(
      runtime::error{runtime::errc::unavailable,
                     "the bodies that are being read, all or those of who sends this, take as much "
                     "memory as they may",
                     std::chrono::seconds{1}});
}

std::string connection::client() const {
  const auto& request = reader_.request();
  if (request.by != nullptr) {
    return "token " + request.by->name;
  }
  return request.stranger != nullptr || loop_->core->options.asks_who ? "strangers"
                                                                      : address_group(request.from);
}

// What it takes of memory; false: it does not fit.
bool connection::count_body() {
  const auto& body = reader_.request().body;
  if (body.size() <= quick_body_bytes || body.capacity() <= body_bytes_) {
    return true;
  }
  if (body_bytes_ == 0) {
    body_of_ = client();
  }
  const auto more = body.capacity() - body_bytes_;
  if (!loop_->core->bodies.take(body_of_, body_bytes_, more)) {
    return false;
  }
  body_bytes_ += more;
  return true;
}

// Its memory as well, which a connection without a request has no use for.
void connection::release_body() noexcept {
  if (body_bytes_ > 0) {
    loop_->core->bodies.give_back(body_of_, std::exchange(body_bytes_, 0));
    std::string{}.swap(body_of_);
    std::string{}.swap(reader_.request().body);
  }
}

// What it takes of memory until it is sent; false: it does not fit.
bool connection::count_answer(const response& answer) {
  const auto more = answer.body.size();
  if (more <= quick_body_bytes || answer.shared_body || head_only_) {
    return true;
  }
  if (answer_bytes_ == 0) {
    answer_of_ = client();
  }
  if (!loop_->core->answers.take(answer_of_, answer_bytes_, more)) {
    loop_->core->answers_refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  answer_bytes_ += more;
  return true;
}

void connection::release_answer() noexcept {
  if (answer_bytes_ > 0) {
    loop_->core->answers.give_back(answer_of_, std::exchange(answer_bytes_, 0));
    std::string{}.swap(answer_of_);
  }
}

void connection::dispatch() {
  auto& request = reader_.request();
  begin();
  if (use_ == use::probe && !loop_->core->options.is_probe(request)) {
    loop_->core->refused.fetch_add(1, std::memory_order_relaxed);
    answered(refusal_of_full());
    return;
  }
  if (request.body.size() > quick_body_bytes) {
    loop_->flush_calls();
  }
  in_handler_ = true;
  try {
    loop_->core->target(request, reply{shared_from_this()});
  } catch (...) {
    // The reply died while the exception passed and has answered 500, or lives elsewhere and
    // will answer. Either way this connection is in order.
  }
  in_handler_ = false;
  know_sender();
  if (state_ != state::handling) {
    release_body();
  }
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

// While the answer is due the number is that of its request; when the callback comes to the loop,
// the answer may have been sent, and another request be in hand.
void connection::on_gone(task callback) {
  if (loop_->on_this_thread()) {
    gone_ = std::move(callback);
    return;
  }
  loop_->post([self = shared_from_this(), number = request_number_.load(std::memory_order_relaxed),
               held = std::move(callback)]() mutable {
    if (self->state_ == state::handling &&
        self->request_number_.load(std::memory_order_relaxed) == number) {
      self->gone_ = std::move(held);
    }
  });
}

void connection::answered(response answer) {
  if (state_ == state::closed) {
    return;
  }
  MILLRACE_ASSERT(state_ == state::handling);
  gone_ = {};
  if (!count_answer(answer)) {
    const auto method = reader_.request().method;
    const auto is_change = method != method::get && method != method::head &&
                           !answer.changed_nothing && answer.status < 400;
    if (is_change) {
      cut();  // what it has asked for is done, which a refusal would deny
      return;
    }
    answer = refusal_of_answers();
  }
  reader_.request().stranger.reset();
  if (!in_handler_) {
    release_body();
  }
  log(answer.status, answer.content().size(), &answer);
  keep_alive_ = keep_alive_ && !loop_->draining();
  if (const auto& place = reader_.request().trace.own) {
    const auto id = to_string(place.trace);
    answer.headers.add(request_id_name, id);
    add_trace_id(answer, id);
  }
  const auto is_copied = !answer.shared_body && answer.body.size() <= copied_body_bytes;
  append_answer(out_, how(), answer,
                head_only_ || !is_copied ? body_part::left_out : body_part::sent);
  if (!is_copied && !head_only_ && has_body(answer.status)) {
    tail_ = answer.shared_body ? std::move(answer.shared_body)
                               : std::make_shared<const std::string>(std::move(answer.body));
  }
  after_answer();
}

framing connection::how() const noexcept {
  return {http_1_0_, keep_alive_, loop_->date_line(), is_sized_};
}

void connection::after_answer() {
  state_ = keep_alive_ ? state::reading : state::closing;
  deadline_ = loop_->after(loop_->core->options.idle_timeout);
}

std::shared_ptr<stream_sink> connection::open(int status, header_list headers,
                                              std::string_view ping) {
  auto queue = std::make_shared<stream_queue>(loop_, weak_from_this(), client());
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
  if (!in_handler_) {
    release_body();
  }
  log(status, 0);
  const auto length = headers.find("Content-Length");
  is_sized_ = length.has_value();
  sized_left_ = length_in(length.value_or("0"));
  // HTTP/1.0 has no chunks: there the end of the connection is the end of the body.
  keep_alive_ = keep_alive_ && !http_1_0_ && !loop_->draining();
  append_head(out_, how(), status, headers);
  if (const auto& place = reader_.request().trace.own) {
    out_.append(request_id_name).append(": ").append(to_string(place.trace)).append("\r\n");
  }
  out_ +=
      http_1_0_ || is_sized_ || !has_body(status) ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n";
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

void connection::append(std::string_view piece) {
  append_piece(out_, how(), piece);
  last_piece_ = piece.empty() ? last_piece_ : loop_->now();
}

void connection::pump_soon() {
  if (!std::exchange(pump_pending_, true)) {
    loop_->pump_soon(shared_from_this());
  }
}

void connection::pump() {
  pump_pending_ = false;
  if (state_ != state::streaming || write_pending_) {
    return;
  }
  piece_.clear();
  const auto rest = stream_->take(piece_);
  if (is_sized_) {
    MILLRACE_ASSERT(piece_.size() <= sized_left_);
    sized_left_ -= piece_.size();
  }
  append(piece_);
  stream_in_flight_ = piece_.size();
  if (piece_.size() > quick_body_bytes) {
    std::string{}.swap(piece_);
  }
  if (rest != stream_queue::rest::more) {
    is_whole_ = rest == stream_queue::rest::end && (!is_sized_ || sized_left_ == 0);
    keep_alive_ = keep_alive_ && is_whole_;
    if (is_whole_) {
      append_last_piece(out_, how());
    }
    last_stream_ = std::move(stream_);
    stream_in_flight_ = 0;
    ping_ = {};
    after_answer();
    serve();
    return;
  }
  const auto is_more = stream_in_flight_ > 0;
  flush();
  if (is_more && state_ == state::streaming && !write_pending_) {
    pump_soon();
  }
}

std::string_view connection::unsent() const noexcept {
  if (out_sent_ < out_.size()) {
    return std::string_view{out_}.substr(out_sent_);
  }
  return tail_ ? std::string_view{*tail_}.substr(out_sent_ - out_.size()) : std::string_view{};
}

void connection::flush() {
  if (write_pending_ || state_ == state::closed) {
    return;
  }
  for (auto rest = unsent(); !rest.empty(); rest = unsent()) {
    const auto now = transport_.write(rest);
    out_sent_ += now.bytes;
    if (now.is_over) {
      cut();
      return;
    }
    if (now.is_full) {
      write_pending_ = true;
      deadline_ = loop_->after(loop_->core->options.write_timeout);
      transport_.wait_write(
          [self = shared_from_this()](bool failed) { self->on_writable(failed); });
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
    pump_soon();
  }
}

// Everything has left.
void connection::written() {
  out_.clear();
  tail_.reset();
  last_stream_.reset();
  out_sent_ = 0;
  if (out_.capacity() > 2 * out_bytes_flush) {
    out_.shrink_to_fit();
  }
  release_answer();
  if (state_ == state::streaming && stream_in_flight_ > 0) {
    stream_->sent(std::exchange(stream_in_flight_, 0));
  } else if (state_ == state::closing && loop_->draining() && reader_.input().empty()) {
    leave();
  } else if (state_ == state::closing) {
    linger();
  }
}

void connection::linger() {
  state_ = state::lingering;
  deadline_ = loop_->after(linger_time);
  finish();
  reader_.input().clear();
  read();
}

// Cuts what has come to its end.
void connection::leave() {
  finish();
  cut();
}

void connection::finish() {
  is_whole_ ? transport_.finish() : transport_.stop_sending();
}

void connection::on_sweep() {
  const auto& by = reader_.request().by;
  const auto& is_valid = loop_->core->options.is_valid;
  if (state_ == state::streaming && by && is_valid && !is_valid(*by)) {
    cut();
    return;
  }
  if (is_valid && known_as_ && !is_valid(*known_as_)) {
    known_as_.reset();
    is_newcomer_ = true;
    loop_->doubt(*this, address_group(peer_));
  }
  if (state_ == state::streaming && !write_pending_ && !ping_.empty() &&
      loop_->now() >=
          last_piece_ + (loop_->after(loop_->core->options.ping_interval) - loop_->now())) {
    append(ping_);
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
      if (write_pending_) {
        cut();
      } else if (reader_.state() == request_reader::progress::nothing) {
        if (shakes_hands_) {
          loop_->core->rejected.fetch_add(1, std::memory_order_relaxed);
          loop_->core->options.tls->refused({.why = "the handshake took too long"});
        }
        leave();
      } else {
        reject(408, reader_.state() == request_reader::progress::body
                        ? "the body did not arrive in time"
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
  pollfd one{transport_.native_handle(), POLLRDHUP, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void connection::on_drain() {
  if (state_ == state::streaming) {
    keep_alive_ = false;
    const auto queue = stream_;
    queue->end();
    pump();
  } else if (state_ == state::reading && !write_pending_ && is_idle()) {
    leave();
  }
}

void connection::cut() {
  const auto was = std::exchange(state_, state::closed);
  if (was == state::closed) {
    return;
  }
  if (was == state::handling) {
    log(client_left, 0);
  }
  end_handshake();
  transport_.close();
  if (const auto queue = std::exchange(stream_, nullptr)) {
    queue->end();
  }
  auto gone = std::exchange(gone_, task{});
  loop_->forget(*this);
  if (gone) {
    gone();
  }
}

void connection::log(int status, std::size_t body_bytes, const response* whole) const {
  const auto& log = loop_->core->log;
  if (log) {
    const auto& request = reader_.request();
    const bool known = !request.target().empty();
    std::string path;
    for (std::size_t at = 0; at < request.segment_count(); ++at) {
      path.append("/").append(request.segment(at));
    }
    log({.method = known ? to_string(request.method) : std::string_view{},
         .target = request.target(),
         .path = path,
         .status = status,
         .body_bytes = body_bytes,
         .by = request.by.get(),
         .location = whole != nullptr ? whole->headers.find("Location").value_or("") : "",
         .changed_nothing = whole != nullptr && whole->changed_nothing,
         .from = request.from,
         .route = request.route(),
         .trace = request.trace});
  }
}

}  // namespace millrace::gateway::http
