// SPDX-License-Identifier: MIT
// One connection of a link, from the first packet to the last.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "link/hub_core.h"

namespace millrace::runtime {

/// Ownership: held by the hub until it is closed, by its link while that uses it, and by what it
/// waits for. Threading: the link thread's.
class link_connection : public std::enable_shared_from_this<link_connection> {
public:
  explicit link_connection(hub_core& hub);
  /// One that was accepted.
  link_connection(hub_core& hub, tcp::socket socket, const tcp::endpoint& from);

  /// Connects to one of these for `link`, which is told of the outcome.
  void dial(std::shared_ptr<hub_link> link, const tcp::resolver::results_type& where);

  /// Takes the hello of the other end, which has connected, and finds its link.
  void accept();

  /// Writes what the link has, unless a write waits already.
  void flush();

  /// Ends it, after a last write; its link has let go of it.
  void leave(std::string_view last);

  /// Closes it at once, and tells nobody.
  void close();

  /// Ends what takes too long.
  void on_tick(steady_time now);

  /// Whether somebody has connected who never was a peer.
  [[nodiscard]] bool is_stranger() const noexcept { return !is_of_peer_; }
  /// Where it comes from, of one that was accepted.
  [[nodiscard]] const std::string& site() const noexcept { return site_; }
  /// A stranger goes, for another one.
  void make_room();

private:
  enum class state : std::uint8_t {
    dialling,
    securing,  // the TLS handshake
    greeting,  // accepted, waits for the hello
    attached,  // carries what its link reads and writes
    leaving,   // has said goodbye; reads until the other end has closed, lest a reset overtake it
    closed,
  };

  void prepare(bool connects);
  void secure();
  // The frame at the front is the hello, if all of it is there.
  void greet();
  // The link of who said that. Errors: why it is not let in.
  [[nodiscard]] result<std::shared_ptr<hub_link>> admit(const link_hello& said);
  void refuse(std::string_view why);
  // What has been read goes where the state says.
  void take_input();
  void read();
  void write();
  // Whether everything has left.
  [[nodiscard]] bool write_out();
  void on_ready();
  void wait_read();
  void wait_write();
  void fail(std::string_view why);

  hub_core& hub_;
  tcp::socket socket_;
  std::unique_ptr<byte_stream> stream_;
  std::shared_ptr<hub_link> link_;  // the connector's from the start; of others when attached
  bool is_of_peer_ = false;
  std::string address_;
  std::string site_;
  state state_ = state::dialling;
  steady_time deadline_;  // of what comes before `attached`, or after
  steady_time write_deadline_ = steady_time::max();
  bool read_waits_ = false;
  bool write_waits_ = false;
  std::string in_;  // its size is the room there is
  std::size_t in_size_ = 0;
  std::string out_;
  std::size_t out_sent_ = 0;
};

}  // namespace millrace::runtime
