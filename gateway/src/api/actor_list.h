// SPDX-License-Identifier: MIT
// A page of the actors of one type, of all silos of the cluster.
//
// Actors come by the names of their silos, those of one silo in the order in which it lists them;
// `next` names the silo that the next page begins with. Silos are asked at the same time. One that
// does not answer in time is passed over, and `silos_missing` says so and why.
#pragma once

#include <string>

#include "api/api.h"

namespace millrace::gateway {

/// Which actors are wanted.
struct actor_list_request {
  std::string type;
  std::string silo;  ///< Only of this one; empty: of all.
  std::string prefix;
  std::string cursor;
  std::size_t limit = 100;
  bool active = false;
};

/// Answers `not_found` for a silo that has no actors or is not in, `invalid_argument` for a cursor
/// that is none.
void answer_actor_list(const api_parts& parts, actor_list_request wanted, http::reply answer);
[[nodiscard]] json_shape actor_list_shape();

}  // namespace millrace::gateway
