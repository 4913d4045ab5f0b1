// SPDX-License-Identifier: MIT
// Pages of a list by cursor: which part of it a request wants, and where the next one is.
//
// A cursor names the place that the page before ended at, so rows that come or go meanwhile move no
// others. The answer has it as `next_cursor`, empty with the last page, and where there is more
// also a `Link` to the next page (RFC 8288).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/operation.h"
#include "http/message.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway {

/// The most rows of a page.
inline constexpr std::size_t page_rows_max = 1'000;

/// What a request wants.
struct wanted_page {
  std::string cursor;       ///< Empty: the first page.
  std::size_t limit = 0;    ///< At least 1.
  std::string next_target;  ///< That of the request, up to the cursor of the page behind this one.
};

/// `fallback`: rows of a page, unless the request says how many. Errors: `invalid_argument`.
[[nodiscard]] runtime::result<wanted_page> page_in(const http::request& received,
                                                   std::size_t fallback);

/// The keys of the query that `page_in` reads; `limit_text` says what the fallback is.
[[nodiscard]] std::vector<query_key> page_keys(std::string_view limit_text);
inline constexpr header_key next_link{
    "Link", "The next page, as `rel=\"next\"`; where there is one.", false};
[[nodiscard]] json_shape next_cursor_shape();

/// A list's rows, each with its place; in the order of these.
using placed_rows = std::vector<std::pair<std::string, nlohmann::ordered_json>>;

/// Leaves the rows of the page, as an array; `next` is the cursor of the one behind it.
[[nodiscard]] nlohmann::ordered_json rows_of_page(placed_rows all, const wanted_page& wanted,
                                                  std::string& next);

/// The answer, with `next_cursor` added to it. Requires: a cursor can stand in a query as it is.
[[nodiscard]] http::response answer_of_page(nlohmann::ordered_json tree, const wanted_page& wanted,
                                            const std::string& next);

/// For a list of what silos have, by their names: takes away the silos before its cursor, which is
/// `SILO:CURSOR`, and leaves that of the first. False for what is no such cursor.
[[nodiscard]] bool start_at_cursor(std::vector<std::string>& silos, std::string& cursor);
[[nodiscard]] runtime::error bad_cursor();

}  // namespace millrace::gateway
