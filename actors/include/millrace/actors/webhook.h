// SPDX-License-Identifier: MIT
// Webhook: what comes from outside by HTTP and starts a run, and what of it the run is given.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "millrace/definition.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The largest body.
inline constexpr std::size_t webhook_body_bytes_max = std::size_t{1} << 20U;

/// Why a definition cannot read the header, as `is written in lower case`; empty: it can. None that
/// says who asks can be read: a definition could pass it on.
[[nodiscard]] std::string refusal_of_webhook_header(std::string_view name);

/// What an outside system has sent.
struct webhook_request {
  std::string body;
  std::map<std::string, std::string, std::less<>> headers;  ///< By name, in lower case.
};

/// What becomes of it.
struct webhook_start {
  bool starts = false;   ///< Else `when` is false, and the rest is empty.
  std::string params;    ///< JSON object, as of a submission.
  std::string once_for;  ///< Empty: it starts a run in any case.
};

/// The texts of a webhook filled in. A body whose Content-Type is `text/...` is that text, one of
/// no bytes is null, and any other must be JSON. In `when` what is not there is null.
///
/// Errors: `invalid_argument`: the body is not JSON, a text needs what is not there or is of
/// another type, or `once_for` is too long. Cost: reads the whole body.
[[nodiscard]] runtime::result<webhook_start> read_webhook_request(
    schemas::CompiledWebhook::Reader webhook, const webhook_request& request);

}  // namespace millrace::actors
