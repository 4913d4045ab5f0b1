// SPDX-License-Identifier: MIT
#include "cli/all_rows.h"

namespace millrace::gateway::cli {

runtime::result<ordered_json> all_rows(remote& server, const std::string& target, const char* key) {
  auto rows = ordered_json::array();
  std::string from;
  do {
    const auto page =
        server.ask(http::method::get, target + (from.empty() ? "" : "?cursor=" + escaped(from)));
    if (!page) {
      return page.error();
    }
    rows.insert(rows.end(), page->at(key).begin(), page->at(key).end());
    from = page->value("next_cursor", "");
  } while (!from.empty());
  return rows;
}

}  // namespace millrace::gateway::cli
