// SPDX-License-Identifier: MIT
#include "http/address_group.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>

namespace millrace::gateway::http {

std::string address_group(const std::string& address) {
  in6_addr parsed{};
  const auto zone = address.find('%');
  if (::inet_pton(AF_INET6, address.substr(0, zone).c_str(), &parsed) != 1) {
    return address;
  }
  constexpr std::size_t ipv4_at = 12;
  const auto* bytes = reinterpret_cast<const char*>(parsed.s6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&parsed)) {
    char text[INET_ADDRSTRLEN];
    return ::inet_ntop(AF_INET, bytes + ipv4_at, text, sizeof text);
  }
  std::fill(parsed.s6_addr + 8, parsed.s6_addr + 16, std::uint8_t{0});
  char text[INET6_ADDRSTRLEN];
  const std::string network = ::inet_ntop(AF_INET6, &parsed, text, sizeof text);
  return network + (zone == std::string::npos ? "" : address.substr(zone)) + "/64";
}

}  // namespace millrace::gateway::http
