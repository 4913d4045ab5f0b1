// SPDX-License-Identifier: MIT
// The link to one peer as its hub has it: a session under a lock, and the connection that it uses.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "link/backoff.h"
#include "link/hub_core.h"

namespace millrace::runtime {

/// Threading: `send`, `release`, `peer`, `version` from any thread; the rest is the link thread's.
class hub_link final : public peer_link, public std::enable_shared_from_this<hub_link> {
public:
  hub_link(std::shared_ptr<hub_core> hub, const link_name& peer);

  // As peer_link.
  [[nodiscard]] const link_name& peer() const noexcept override { return session_.peer(); }
  [[nodiscard]] std::uint16_t version() override;
  [[nodiscard]] link_send send(link_lane lane, std::uint16_t kind, std::string_view body) override;
  void release(const link_receipt& receipt) override;

  /// Keeps it until it is closed; lets it go. Any thread. Requires: the hub's mutex is held.
  void keep() noexcept { is_opened_ = true; }
  void let_go() noexcept { is_opened_ = false; }
  /// Is to be connected there, by this end or the other.
  void open(std::string host, std::uint16_t port);
  /// Ends the session, with a goodbye that says why. A link that is kept begins another.
  void end(std::string_view why);
  /// The same for good, and nobody is told of what is lost.
  void stop(std::string_view why);

  // What its connection tells.
  void connected(std::shared_ptr<link_connection> connection);
  [[nodiscard]] result<void> accepted(std::shared_ptr<link_connection> connection,
                                      const link_hello& said);
  [[nodiscard]] std::size_t received(std::string_view bytes);
  void disconnected(const link_connection& which, std::string_view why);
  /// Appends what is to be written; whether there is more.
  [[nodiscard]] bool output(std::string& out);
  /// A write waits: who sends meanwhile need not wake anybody.
  void write_waits();

  void on_tick();
  /// Whether nobody has opened it and nothing is left of it. Requires: the hub's mutex is held.
  [[nodiscard]] bool is_idle();

private:
  void carry_out();
  void take_messages();
  void release_taken(std::span<const link_message> messages);
  void drop_connection(std::string_view why);
  void try_later();
  void dial();
  void dial(const tcp::resolver::results_type& where);
  void wake();

  const std::shared_ptr<hub_core> hub_;
  std::mutex mutex_;  // guards the two below
  link_session session_;
  bool flush_due_ = false;  // somebody will: who sends now need not ask for it

  link_effects effects_;
  std::shared_ptr<link_connection> connection_;
  steady_time up_since_{};
  bool is_up_ = false;
  std::atomic<bool> is_opened_ = false;
  const bool connects_;
  std::string host_;
  std::uint16_t port_ = 0;
  tcp::resolver resolver_;
  boost::asio::steady_timer retry_;
  backoff backoff_;
};

}  // namespace millrace::runtime
