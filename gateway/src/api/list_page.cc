// SPDX-License-Identifier: MIT
#include "api/list_page.h"

#include <algorithm>

#include "api/respond.h"

namespace millrace::gateway {

using nlohmann::ordered_json;

namespace {

constexpr std::string_view cursor_name = "cursor";

// A request's target without its cursor, so that another one can be put behind it.
std::string target_before_cursor(const http::request& received) {
  const std::string begin = std::string{cursor_name} + "=";
  auto made = std::string{received.path()} + "?";
  auto rest =
      received.target().substr(std::min(received.path().size() + 1, received.target().size()));
  while (!rest.empty()) {
    const auto part = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (!part.starts_with(begin)) {
      made.append(part).push_back('&');
    }
  }
  return made + begin;
}

}  // namespace

runtime::result<wanted_page> page_in(const http::request& received, std::size_t fallback) {
  const auto limit = number_in_query(received, "limit", 0, page_rows_max);
  if (!limit) {
    return limit.error();
  }
  return wanted_page{text_in_query(received, cursor_name), *limit == 0 ? fallback : *limit,
                     target_before_cursor(received)};
}

std::vector<query_key> page_keys(std::string_view limit_text) {
  return {number_key("limit", page_rows_max, limit_text),
          text_key(cursor_name, "The `next_cursor` of the page before.")};
}

json_shape next_cursor_shape() {
  return shape::text("The cursor of the next page; empty: this is the last one.");
}

ordered_json rows_of_page(placed_rows all, const wanted_page& wanted, std::string& next) {
  auto rows = ordered_json::array();
  std::string last;
  for (auto& [place, row] : all) {
    if (place <= wanted.cursor) {
      continue;
    }
    if (rows.size() == wanted.limit) {
      next = last;
      break;
    }
    last = std::move(place);
    rows.push_back(std::move(row));
  }
  return rows;
}

http::response answer_of_page(ordered_json tree, const wanted_page& wanted,
                              const std::string& next) {
  tree["next_cursor"] = next;
  auto made = answer_of(200, tree);
  if (!next.empty()) {
    made.headers.add(next_link.name, "<" + wanted.next_target + next + ">; rel=\"next\"");
  }
  return made;
}

bool start_at_cursor(std::vector<std::string>& silos, std::string& cursor) {
  if (cursor.empty()) {
    return true;
  }
  const auto colon = cursor.rfind(':');
  if (colon == std::string::npos) {
    return false;
  }
  const auto silo = cursor.substr(0, colon);
  cursor.erase(0, colon + 1);
  silos.erase(silos.begin(), std::lower_bound(silos.begin(), silos.end(), silo));
  if (silos.empty() || silos.front() != silo) {
    cursor.clear();  // it has left
  }
  return true;
}

runtime::error bad_cursor() {
  return {runtime::errc::invalid_argument,
          "the cursor is none that this list gave; leave it out to begin anew"};
}

}  // namespace millrace::gateway
