// SPDX-License-Identifier: MIT
// Entity tags in conditional fields (RFC 9110, 8.8.3 and 13.1): If-Match, If-None-Match.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace millrace::gateway::http {

/// One entity tag.
struct entity_tag {
  std::string text;   ///< Without its quotes.
  bool weak = false;  ///< Written with `W/`: it never matches by strong comparison.
};

/// What conditional fields of one name say.
struct entity_tags {
  bool given = false;              ///< There is such a field.
  bool any = false;                ///< `*`; then there is no list.
  std::vector<entity_tag> listed;  ///< In their order.

  /// Weak comparison, as If-None-Match has it.
  [[nodiscard]] bool match(std::string_view text) const;
};

/// Reads the fields of that name; several are one list. A number may stand without its quotes.
/// Errors: `invalid_argument`, naming the field.
[[nodiscard]] runtime::result<entity_tags> entity_tags_in(const header_list& headers,
                                                          std::string_view name);

}  // namespace millrace::gateway::http
