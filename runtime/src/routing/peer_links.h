// SPDX-License-Identifier: MIT
// Peer links: a silo's router over links.
//
// The one place where what is said about calls meets the sockets. Frames of calls go in the lane
// for calls, a link that ends tells the router which answers it need not wait for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "link/link_hub.h"
#include "routing/router.h"

namespace millrace::runtime::detail {

/// What of links is not the router's.
///
/// Threading: called on the link thread; must not block.
class peer_watch {
public:
  peer_watch() = default;
  peer_watch(const peer_watch&) = delete;
  peer_watch& operator=(const peer_watch&) = delete;
  virtual ~peer_watch() = default;
  /// A link carries messages from now on, to that life of a silo.
  virtual void link_up(const std::string& silo, std::uint64_t incarnation) = 0;
  /// It does not, or an attempt to connect it has failed.
  virtual void link_down(const std::string& silo) = 0;
  /// A message of the kind `replica` of a silo has come.
  virtual void replica_frame(const std::string& silo, std::string frame) = 0;
};

/// Ownership: destroyed when the silo has stopped: until then its port is listened on (link_hub.h).
/// Threading: as `link_hub`.
class peer_links final : public peer_network, private link_events {
public:
  /// `warn` gets a line for what an operator should know, of peers that are not let in one a second
  /// at most. `routes`, `time` and `watch` outlive it.
  peer_links(link_options options, router& routes, const clock& time, rng random,
             std::function<void(const std::string&)> warn, peer_watch* watch = nullptr);
  peer_links(const peer_links&) = delete;
  peer_links& operator=(const peer_links&) = delete;
  ~peer_links() override { stop(); }

  /// As `link_hub::start`, `open` and `stop`.
  [[nodiscard]] result<std::uint16_t> start() { return hub_.start(); }
  [[nodiscard]] result<void> open(const std::string& silo, const std::string& host,
                                  std::uint16_t port);
  void stop() { hub_.stop(); }
  /// Ends the link to a silo that is gone; the router is told.
  void close(const std::string& silo) { hub_.close({link_role::silo, silo}); }

  /// Messages about calls that have come from others.
  [[nodiscard]] std::uint64_t calls_received() const noexcept { return calls_received_; }

  /// In the lane for calls.
  [[nodiscard]] peer_send send(std::string_view silo, frame_kind kind,
                               std::string_view body) override;
  [[nodiscard]] peer_send send(std::string_view silo, link_lane lane, frame_kind kind,
                               std::string_view body);
  void give_up(std::string_view silo) override;

private:
  void link_up(const std::shared_ptr<peer_link>& link, std::uint64_t incarnation) override;
  void link_down(const std::shared_ptr<peer_link>& link, std::string_view why) override;
  void session_ended(const std::shared_ptr<peer_link>& link, std::uint64_t lost) override;
  [[nodiscard]] link_intake received(const std::shared_ptr<peer_link>& link,
                                     link_message& message) override;
  void refused(std::string_view address, std::string_view why) override;

  struct peer {
    std::shared_ptr<peer_link> link;
    std::uint64_t incarnation = 0;
  };

  router& routes_;
  const clock& time_;
  const std::function<void(const std::string&)> warn_;
  peer_watch* const watch_;
  std::atomic<std::uint64_t> calls_received_{0};
  std::mutex mutex_;
  std::map<std::string, peer, std::less<>> peers_;  // with a session, by name
  steady_time next_refusal_at_{};                   // the link thread's, as the next one
  std::uint64_t refusals_untold_ = 0;
  link_hub hub_;
};

}  // namespace millrace::runtime::detail
