// SPDX-License-Identifier: MIT
#include "http/authority.h"

#include <algorithm>
#include <array>

#include "http/message.h"

namespace millrace::gateway::http {
namespace {

constexpr std::string_view digits = "0123456789";

// Tables, because every request has a host.
using characters = std::array<bool, 256>;

constexpr characters set_of(std::string_view members) {
  characters set{};
  for (const char each : members) {
    set[static_cast<unsigned char>(each)] = true;
  }
  return set;
}

constexpr bool is_in(const characters& set, char c) noexcept {
  return set[static_cast<unsigned char>(c)];
}

constexpr characters hex_digits = set_of("0123456789abcdefABCDEF");
constexpr characters literal_characters = set_of("0123456789abcdefABCDEF:.");
constexpr characters name_characters =  // unreserved and sub-delims
    set_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=");

bool is_registered_name(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      if (at + 2 >= text.size() || !is_in(hex_digits, text[at + 1]) ||
          !is_in(hex_digits, text[at + 2])) {
        return false;
      }
      at += 2;
    } else if (!is_in(name_characters, text[at])) {
      return false;
    }
  }
  return true;
}

// Between the brackets: an IPv6 address, or what may come after it.
bool is_literal(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_in(literal_characters, c); });
}

}  // namespace

std::string_view host_of(std::string_view authority) noexcept {
  const auto end = authority.starts_with('[') ? authority.find(']') + 1 : authority.find(':');
  return authority.substr(0, end);
}

bool is_authority(std::string_view text) noexcept {
  const auto is_bracketed = text.starts_with('[');
  if (is_bracketed && text.find(']') == std::string_view::npos) {
    return false;
  }
  const auto host = host_of(text);
  const auto port = text.substr(host.size());
  const auto is_host =
      is_bracketed ? is_literal(host.substr(1, host.size() - 2)) : is_registered_name(host);
  return is_host && (port.empty() || (port.front() == ':' &&
                                      port.find_first_not_of(digits, 1) == std::string_view::npos));
}

bool is_loopback(std::string_view host) noexcept {
  constexpr std::string_view name = "localhost";
  if (host == "[::1]") {
    return true;
  }
  if (host.starts_with("127.")) {
    return host.find_first_not_of("0123456789.") == std::string_view::npos;
  }
  const auto end = host.substr(host.size() - std::min(host.size(), name.size()));
  return same_name(end, name) &&
         (host.size() == name.size() || host[host.size() - name.size() - 1] == '.');
}

}  // namespace millrace::gateway::http
