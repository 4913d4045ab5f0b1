// SPDX-License-Identifier: MIT
// Address group: the addresses that whoever has one of them has.
#pragma once

#include <string>

namespace millrace::gateway::http {

/// For whom what comes from there counts: an IPv4 address, or the network of 64 bits of an IPv6
/// one, since whoever has one address of that has them all. Another text is taken as it is.
[[nodiscard]] std::string address_group(const std::string& address);

}  // namespace millrace::gateway::http
