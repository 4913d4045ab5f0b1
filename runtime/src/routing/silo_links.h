// SPDX-License-Identifier: MIT
// Silo links: what a silo of a cluster asks of its links to the others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "link/lane.h"
#include "millrace/runtime/result.h"
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
  /// What was sent may not have arrived, and is not sent again.
  virtual void session_ended(const std::string& silo) = 0;
  /// A message of the kind `replica` of a silo has come.
  virtual void replica_frame(const std::string& silo, std::string frame) = 0;
};

/// All links of one silo. Two do the same: `peer_links` over sockets, and the wire of a
/// `testing::test_cluster`.
///
/// Threading: any thread but the link thread.
class silo_links : public peer_network {
public:
  using peer_network::send;

  /// As `link_hub::start`, `open` and `stop`.
  [[nodiscard]] virtual result<std::uint16_t> start() = 0;
  [[nodiscard]] virtual result<void> open(const std::string& silo, const std::string& host,
                                          std::uint16_t port) = 0;
  virtual void stop() = 0;
  /// Ends the link to a silo that is gone; the router is told.
  virtual void close(const std::string& silo) = 0;

  [[nodiscard]] virtual peer_send send(std::string_view silo, link_lane lane, frame_kind kind,
                                       std::string_view body) = 0;

  /// Messages about calls that have come from others.
  [[nodiscard]] virtual std::uint64_t calls_received() const noexcept = 0;
};

}  // namespace millrace::runtime::detail
