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
#include "routing/silo_links.h"

namespace millrace::runtime::detail {

/// Ownership: destroyed when the silo has stopped: until then its port is listened on (link_hub.h).
/// Threading: as `link_hub`.
class peer_links final : public silo_links, private link_events {
public:
  /// `warn` gets a line for what an operator should know: of peers that are not let in one a second
  /// at most; when a link goes down, each minute that it stays so and when it does for another
  /// reason; when it is up again, or speaks an older protocol than this build could.
  /// `routes`, `time` and `watch` outlive it.
  peer_links(link_options options, router& routes, const clock& time, rng random,
             std::function<void(const std::string&)> warn, peer_watch* watch = nullptr);
  peer_links(const peer_links&) = delete;
  peer_links& operator=(const peer_links&) = delete;
  ~peer_links() override { hub_.stop(); }

  [[nodiscard]] result<std::uint16_t> start() override { return hub_.start(); }
  [[nodiscard]] result<void> open(const std::string& silo, const std::string& host,
                                  std::uint16_t port) override;
  void stop() override { hub_.stop(); }
  void close(const std::string& silo) override;
  [[nodiscard]] std::uint64_t calls_received() const noexcept override { return calls_received_; }

  /// In the lane for calls.
  [[nodiscard]] peer_send send(std::string_view silo, frame_kind kind,
                               std::string_view body) override;
  [[nodiscard]] peer_send send(std::string_view silo, link_lane lane, frame_kind kind,
                               std::string_view body) override;
  void give_up(std::string_view silo) override;

private:
  void link_up(const std::shared_ptr<peer_link>& link, std::uint64_t incarnation) override;
  void link_down(const std::shared_ptr<peer_link>& link, std::string_view why) override;
  void session_ended(const std::shared_ptr<peer_link>& link, std::uint64_t lost) override;
  void received(const std::shared_ptr<peer_link>& link, std::span<link_message> messages) override;
  void refused(std::string_view address, std::string_view why) override;

  void tell_version(peer_link& link);

  // A link that is down.
  struct outage {
    steady_time since{};
    steady_time told_at{};
    std::string told_why;
    std::uint64_t attempts = 0;
  };
  struct peer {
    std::shared_ptr<peer_link> link;
    std::uint64_t incarnation = 0;
  };

  router& routes_;
  const clock& time_;
  const std::function<void(const std::string&)> warn_;
  peer_watch* const watch_;
  const std::uint16_t version_max_;
  std::atomic<std::uint64_t> calls_received_{0};
  std::mutex mutex_;
  std::map<std::string, peer, std::less<>> peers_;  // with a session, by name
  std::map<std::string, outage, std::less<>> outages_;
  steady_time next_refusal_at_{};  // the link thread's, as the next one
  std::uint64_t refusals_untold_ = 0;
  link_hub hub_;
};

}  // namespace millrace::runtime::detail
