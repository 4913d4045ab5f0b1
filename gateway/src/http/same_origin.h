// SPDX-License-Identifier: MIT
// Same origin: keeps web pages of other sites from using an API that trusts whoever reaches it.
//
// A browser lets any page send requests to any address, this machine's too. It says so in `Origin`
// and `Sec-Fetch-Site`; programs such as curl send neither. A page may also have its own name
// resolved to 127.0.0.1 ("DNS rebinding") and then is the origin: but `Host` still has its name.
#pragma once

#include "http/reply.h"

namespace millrace::gateway::http {

/// Where a server can be reached.
enum class reach : std::uint8_t { loopback, network };

/// How it is spoken to; in the clear something in front may still speak TLS.
enum class channel : std::uint8_t { clear, tls };

/// `target` behind these checks, which answer 403 with the name of the field and the remedy: a
/// request other than GET and HEAD names its host and comes from no other origin, in none of its
/// fields; on the loopback every request that names a host names the loopback. Over TLS a page that
/// came in the clear is of another origin: anybody on its way may have written it.
[[nodiscard]] handler same_origin(handler target, reach from, channel over = channel::clear);

}  // namespace millrace::gateway::http
