// SPDX-License-Identifier: MIT
#include "link/strangers.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <map>

#include "millrace/runtime/assert.h"

namespace millrace::runtime {

std::string site_of(const std::string& address) {
  constexpr std::size_t network_bytes = 8;
  std::array<char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), bytes.data()) != 1) {
    return address;
  }
  const std::string_view all{bytes.data(), bytes.size()};
  constexpr std::string_view ipv4_within{"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12};
  return std::string{all.starts_with(ipv4_within) ? all.substr(ipv4_within.size())
                                                  : all.substr(0, network_bytes)};
}

std::size_t who_makes_room(const std::vector<std::string>& sites) {
  MILLRACE_ASSERT(!sites.empty());
  std::map<std::string_view, std::size_t> crowds;
  for (const auto& each : sites) {
    ++crowds[each];
  }
  const auto chosen = std::max_element(
      sites.begin(), sites.end(),
      [&](const auto& one, const auto& other) { return crowds.at(one) < crowds.at(other); });
  return static_cast<std::size_t>(chosen - sites.begin());
}

}  // namespace millrace::runtime
