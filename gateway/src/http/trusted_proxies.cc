// SPDX-License-Identifier: MIT
#include "http/trusted_proxies.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace millrace::gateway::http {

using runtime::errc;
using runtime::error;

namespace {

constexpr unsigned address_bits = 128;
constexpr unsigned mapped_bits = 96;  // that an IPv4 address has before its own
constexpr std::string_view forwarded_for = "X-Forwarded-For";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(blank), text.size()));
  return text.substr(0, text.find_last_not_of(blank) + 1);
}

struct parsed_address {
  std::array<std::uint8_t, 16> bytes{};
  bool is_ipv4 = false;  // as it is written
};

std::optional<parsed_address> address_in(std::string_view text) {
  const std::string ended{text};
  parsed_address made;
  if (::inet_pton(AF_INET, ended.c_str(), made.bytes.data() + mapped_bits / 8) == 1) {
    made.bytes[10] = made.bytes[11] = 0xff;
    made.is_ipv4 = true;
    return made;
  }
  // The peer's may have a zone.
  if (::inet_pton(AF_INET6, ended.substr(0, ended.find('%')).c_str(), made.bytes.data()) == 1) {
    return made;
  }
  return std::nullopt;
}

// Some proxies add a port: `192.0.2.7:4711`, `[2001:db8::7]:4711`.
std::string_view without_port(std::string_view hop) {
  if (const auto end = hop.find(']'); hop.starts_with('[') && end != std::string_view::npos) {
    return hop.substr(1, end - 1);
  }
  const auto colon = hop.find(':');
  return colon == hop.rfind(':') ? hop.substr(0, colon) : hop;
}

std::string text_of(const std::array<std::uint8_t, 16>& bytes) {
  char text[INET6_ADDRSTRLEN];
  in6_addr whole{};
  std::copy(bytes.begin(), bytes.end(), whole.s6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&whole)) {
    return ::inet_ntop(AF_INET, bytes.data() + mapped_bits / 8, text, sizeof text);
  }
  return ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
}

}  // namespace

runtime::result<trusted_proxies> trusted_proxies::parse(std::string_view text) {
  trusted_proxies made;
  for (auto rest = text;;) {
    const auto comma = rest.find(',');
    const auto one = trimmed(rest.substr(0, comma));
    const auto slash = one.find('/');
    const auto address = address_in(one.substr(0, slash));
    const auto most = address && address->is_ipv4 ? address_bits - mapped_bits : address_bits;
    auto bits = most;
    auto is_good = address.has_value() && one.find('%') == std::string_view::npos;
    if (slash != std::string_view::npos) {
      const auto* const end = one.data() + one.size();
      const auto [after, failure] = std::from_chars(one.data() + slash + 1, end, bits);
      is_good = is_good && failure == std::errc{} && after == end && bits <= most;
    }
    if (!is_good) {
      return error{errc::invalid_argument,
                   "'" + std::string{one} +
                       "' is no network of addresses; write them like 10.0.0.0/8,fd00::/8"};
    }
    made.networks_.push_back({address->bytes, bits + address_bits - most});
    if (comma == std::string_view::npos) {
      return made;
    }
    rest.remove_prefix(comma + 1);
  }
}

bool trusted_proxies::holds(const bytes& address) const {
  return std::any_of(networks_.begin(), networks_.end(), [&](const network& each) {
    const auto whole = each.bits / 8;
    const auto left = each.bits % 8;
    const auto differ = [&](unsigned at) {
      return static_cast<unsigned>(address[at] ^ each.first[at]);
    };
    return std::equal(address.begin(), address.begin() + whole, each.first.begin()) &&
           (left == 0 || differ(whole) >> (8 - left) == 0);
  });
}

bool trusted_proxies::trusts(std::string_view address) const {
  const auto parsed = networks_.empty() ? std::nullopt : address_in(address);
  return parsed && holds(parsed->bytes);
}

std::string trusted_proxies::client_of(const std::string& peer, const header_list& headers) const {
  if (!trusts(peer)) {
    return peer;
  }
  auto client = peer;
  for (auto at = headers.size(); at-- > 0;) {
    const auto field = headers.at(at);
    if (!same_name(field.name, forwarded_for)) {
      continue;
    }
    for (auto rest = field.value;;) {
      const auto comma = rest.rfind(',');
      const auto begins = comma == std::string_view::npos ? 0 : comma + 1;
      const auto parsed = address_in(without_port(trimmed(rest.substr(begins))));
      if (!parsed) {
        return peer;
      }
      client = text_of(parsed->bytes);
      if (!holds(parsed->bytes)) {
        return client;
      }
      if (begins == 0) {
        break;
      }
      rest = rest.substr(0, comma);
    }
  }
  return client;
}

}  // namespace millrace::gateway::http
