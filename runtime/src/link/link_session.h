// SPDX-License-Identifier: MIT
// Link session: what one end of a link knows of the other, over all connections between them.
//
// Messages are numbered by lane. While both processes live, each arrives at most once and in the
// order of its lane, whatever becomes of connections: what has not been acknowledged is kept and
// sent again on the next one. When the other process is a new one, has given this end up, does not
// come back in time, or has sent what cannot be, the session ends, and it is told how many messages
// may not have arrived.
//
// One end connects, the other accepts; which is which stays as it is for a pair. The session is
// pure: it takes bytes, messages and the time, and says what there is to write and what has
// happened. Who drives it owns the sockets, and calls `output` whenever it can write.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "link/hello.h"
#include "link/lane.h"
#include "link/receive_lane.h"
#include "link/send_lane.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// What a link may take of memory and time.
struct link_limits {
  /// The largest message: a group of journal entries (4 MiB) and a value of the largest size fit.
  std::size_t message_bytes_max = std::size_t{8} << 20U;
  /// By lane, of one peer: what may have arrived and not been released here.
  lane_bytes window_bytes{std::size_t{16} << 20U, std::size_t{16} << 20U, std::size_t{16} << 20U};
  /// By lane, of one peer: what may be queued or not acknowledged here.
  lane_bytes queue_bytes_max{std::size_t{16} << 20U, std::size_t{16} << 20U,
                             std::size_t{16} << 20U};
  /// An end that has nothing to say says so this often.
  duration alive_interval = std::chrono::milliseconds{500};
  /// An end that is not heard of for so long has lost its connection: four times the interval.
  duration silence_max = std::chrono::milliseconds{2000};
  /// How long a session waits for its next connection: as long as the ejection of a copy may take.
  duration resume_within = std::chrono::seconds{10};
};

/// What one write holds of all that is not bulk; some 20 us of a loopback.
inline constexpr std::size_t batch_bytes_max = std::size_t{256} << 10U;

/// What has happened. Carried out in the order of the fields.
struct link_effects {
  bool session_ended = false;          ///< No answer comes to what was sent in it.
  std::uint64_t lost = 0;              ///< Messages of it that were not acknowledged.
  bool is_up = false;                  ///< The connection carries messages from now on.
  std::vector<link_message> messages;  ///< They point into what was received.
  std::optional<std::string> closed;   ///< The connection is to be closed after a last `output`.

  void clear();
};

/// Threading: one thread at a time. Time: `now` must not go backwards.
class link_session {
public:
  /// Requires: the limits have room for a message in every window and queue.
  link_session(link_identity self, link_name peer, const link_limits& limits);

  /// The connector's connection is there; its hello is to be written. Requires: a number above
  /// those of all connections to that peer before, in this life of the process.
  void connected(std::uint64_t number, steady_time now);

  /// The peer's hello has come on a connection that this end accepted. The new connection takes the
  /// place of the one there was, if any. A session that begins takes the number `fresh`.
  /// Errors: `failed_precondition`, and nothing has happened, for another cluster, no common
  /// version, or a connection or a life of the peer that is older than one there was.
  [[nodiscard]] result<void> accepted(const link_hello& said, std::uint64_t fresh, steady_time now,
                                      link_effects& effects);

  /// Bytes have come. How many were taken: the rest is the beginning of a frame. After `closed`
  /// nothing is taken. A frame that cannot be ends the session, lest it come again, and what came
  /// with it goes with the session.
  [[nodiscard]] std::size_t receive(std::string_view bytes, steady_time now, link_effects& effects);

  /// The connection is gone.
  void disconnected(steady_time now) noexcept;

  /// Queues a message; `too_large` also by what the peer has said that it takes.
  [[nodiscard]] link_send send(link_lane lane, std::uint16_t kind, std::string_view body);

  /// A message no longer occupies memory. One of an earlier session counts no more.
  void release(const link_receipt& receipt) noexcept;

  /// Time has passed. Requires: called at least every `alive_interval`, up or not.
  void tick(steady_time now, link_effects& effects);

  /// Appends what is to be written next: what is due in all lanes, and a piece of bulk.
  void output(std::string& out, steady_time now);

  /// Whether `output` has something.
  [[nodiscard]] bool has_output() const noexcept;

  /// Gives the session up, and what is queued in it; the connection is to be ended, too.
  void end_session(link_effects& effects);

  /// Ends the connection with a goodbye that says why; a last `output` has it.
  void say_goodbye(std::string_view why, steady_time now);

  [[nodiscard]] const link_name& peer() const noexcept { return peer_; }
  [[nodiscard]] bool is_up() const noexcept { return state_ == state::up; }
  [[nodiscard]] bool has_session() const noexcept { return session_ != 0; }
  /// Of the process at the other end, as it said last; 0 before.
  [[nodiscard]] std::uint64_t peer_incarnation() const noexcept { return peer_incarnation_; }
  /// What both ends speak, as was agreed with the last hello; 0 before.
  [[nodiscard]] std::uint16_t version() const noexcept { return version_; }
  /// Bytes that wait or are not acknowledged, of one lane.
  [[nodiscard]] std::size_t held(link_lane lane) const noexcept {
    return out_[index_of(lane)].held();
  }

private:
  enum class state : std::uint8_t {
    down,      // no connection
    greeting,  // the connector's hello is out, the acceptor's is not there
    up,
  };

  void on_hello(const frame& one, steady_time now, link_effects& effects);
  void on_frame(const frame& one, steady_time now, link_effects& effects);
  // The version in which it may be talked to. Errors: `failed_precondition`.
  [[nodiscard]] result<std::uint16_t> admit(const link_identity& from) const;
  // Whether the session goes on; what was acknowledged by the hello is forgotten then.
  [[nodiscard]] bool resume(const link_hello& said);
  void start(std::uint64_t session, link_effects& effects);
  // Ends the connection because of what the peer did, or did not do.
  void fail(const std::string& why, steady_time now, link_effects& effects);
  // The same because of a frame, which after the hello ends the session, too.
  void refuse(const std::string& why, steady_time now, link_effects& effects);
  void append_own_hello(std::uint64_t connection);

  link_identity self_;
  link_name peer_;
  link_limits limits_;
  state state_ = state::down;
  std::array<send_lane, link_lane_count> out_;
  std::array<receive_lane, link_lane_count> in_;
  std::string control_;           // frames of no lane; they go first
  std::uint64_t connection_ = 0;  // the number of the last one
  std::uint64_t session_ = 0;     // 0: none
  std::uint16_t version_ = 0;
  std::uint64_t peer_incarnation_ = 0;
  std::uint64_t peer_message_bytes_max_ = 0;  // 0: it has not said
  bool tells_progress_ = false;               // with the next output, due or not
  steady_time heard_at_{};
  steady_time spoke_at_{};
  steady_time down_since_{};  // it was up until then
};

}  // namespace millrace::runtime
