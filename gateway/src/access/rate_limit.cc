// SPDX-License-Identifier: MIT
#include "access/rate_limit.h"

#include <arpa/inet.h>

#include <algorithm>

namespace millrace::gateway {

namespace {

// Between two looks at all names.
constexpr runtime::duration forget_every = std::chrono::seconds{1};

}  // namespace

runtime::steady_time& rate_limit::due_of(std::string_view name, runtime::steady_time now) {
  if (const auto found = due_.find(name); found != due_.end()) {
    return found->second;
  }
  if (due_.size() >= names_max && now - forgotten_at_ >= forget_every) {
    forgotten_at_ = now;
    std::erase_if(due_, [now](const auto& each) { return each.second <= now; });
  }
  const auto is_known = due_.size() < names_max;
  return due_.try_emplace(is_known ? std::string{name} : std::string{}, now).first->second;
}

std::optional<runtime::duration> rate_limit::take(std::string_view name, runtime::steady_time now) {
  auto& due = due_of(name, now);
  const auto ahead = std::max(due, now) - now;
  if (ahead > ahead_max_) {
    return ahead - ahead_max_;
  }
  due = now + ahead + interval_;
  return std::nullopt;
}

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

}  // namespace millrace::gateway
