// SPDX-License-Identifier: MIT
// Strangers: those who have connected and have not said who they are, and which of them has to go.
//
// Anybody can connect, and nothing is known of him until the hello; so there are only so many
// places for all of them. Whoever comes when they are taken gets the place of another, and that is
// one of the crowd: a flood from one address takes the places of the flood, and a peer that comes
// from another one has the time of its handshake. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace millrace::runtime {

/// What counts as one address: an IPv4 address, also where it is written as one of IPv6; of IPv6
/// the first 64 bits, since one machine may have all others.
[[nodiscard]] std::string site_of(const std::string& address);

/// Which one makes room: of the site that most come from the one that has been there longest.
/// `sites`: of all, who has been there longest first. Requires: there is one.
[[nodiscard]] std::size_t who_makes_room(const std::vector<std::string>& sites);

}  // namespace millrace::runtime
