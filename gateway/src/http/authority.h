// SPDX-License-Identifier: MIT
// Authorities: what a client calls the server that it speaks to (RFC 3986, 3.2; RFC 9110, 4.2).
#pragma once

#include <string_view>

namespace millrace::gateway::http {

/// Whether a text is `uri-host [ ":" port ]`, as a Host field is (RFC 9110, 7.2). User information
/// (`a@b`) is none of it: what stands before the `@` is there to deceive.
[[nodiscard]] bool is_authority(std::string_view text) noexcept;

/// The host of an authority, without its port; IPv6 with its brackets. Requires: `is_authority`.
[[nodiscard]] std::string_view host_of(std::string_view authority) noexcept;

/// Whether a host is this machine by whatever name: `localhost` in any form, 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(std::string_view host) noexcept;

}  // namespace millrace::gateway::http
