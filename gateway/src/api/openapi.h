// SPDX-License-Identifier: MIT
// The OpenAPI 3.1 document, made of the table of routes: what is not there cannot be called, and
// what is there is told.
//
// Each operation has, besides its own, what `api_routes` and the guard do with any request: the
// parameters of its path, the role that it needs, and their problem documents. What is refused
// before there is a route (a malformed request, a path without one) is no operation's.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "api/api.h"

namespace millrace::gateway {

/// Requires: ids are unique, and shapes of one name are the same.
[[nodiscard]] nlohmann::ordered_json openapi_of(const std::vector<api_routes::row>& rows);

/// GET /openapi.json, which tells of the routes that were added before, of itself, and of `more`.
void add_openapi_route(api_routes& routes, const std::vector<api_routes::row>& more);

}  // namespace millrace::gateway
