// SPDX-License-Identifier: MIT
// Who stands at the end of a link.
//
// Silos and gateways find each other by name; a certificate of the cluster's authority binds the
// name to a key, and the role is part of what it binds: a gateway's key opens no silo's place.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::runtime {

/// What a process is to others.
enum class link_role : std::uint8_t {
  silo,     ///< Hosts actors.
  gateway,  ///< Takes requests from outside and hands them to silos.
};

/// The longest name, so that a certificate can carry it in one label of 64.
inline constexpr std::size_t link_name_bytes_max = 64;

/// The name of one end.
struct link_name {
  link_role role = link_role::silo;  ///< Two ends may have one name in different roles.
  std::string name;                  ///< See `is_link_name`.

  /// `silo.NAME` or `gateway.NAME`.
  [[nodiscard]] std::string to_string() const {
    return (role == link_role::silo ? "silo." : "gateway.") + name;
  }
  /// `silo.NAME.millrace`: the subject alternative name of its certificate, letter for letter.
  [[nodiscard]] std::string certificate_name() const { return to_string() + ".millrace"; }

  friend bool operator==(const link_name&, const link_name&) = default;
  friend auto operator<=>(const link_name&, const link_name&) = default;
};

/// Whether it is 1 to 64 ASCII letters, digits and any of `-_.`
[[nodiscard]] constexpr bool is_link_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > link_name_bytes_max) {
    return false;
  }
  for (const char each : text) {
    const bool is_letter = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z');
    const bool is_digit = each >= '0' && each <= '9';
    if (!is_letter && !is_digit && each != '-' && each != '_' && each != '.') {
      return false;
    }
  }
  return true;
}

}  // namespace millrace::runtime
