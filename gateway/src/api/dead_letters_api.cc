// SPDX-License-Identifier: MIT
// Sends that were given up. Looking at them and tending them waits for the disk.
#include <charconv>

#include "api/api.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::result;

namespace {

constexpr std::uint64_t page_default = 100;
constexpr std::uint64_t page_max = 1'000;

ordered_json row_of(const runtime::dead_letter& letter) {
  const auto params = ordered_json::parse(letter.params, nullptr, false);
  return {{"id", letter.sender.to_string() + "/" + std::to_string(letter.number)},
          {"target", letter.target.to_string()},
          {"method", letter.method},
          {"error", letter.error_text},
          {"params", params.is_discarded() ? ordered_json{} : params}};
}

void list(const api_parts& parts, request& received, reply answer) {
  auto limit = number_in_query(received, "limit", 0, page_max);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  const auto most = *limit == 0 ? page_default : *limit;
  auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, shared, most] {
    const auto letters = parts.silo.dead_letters(most + 1);
    if (!letters) {
      shared->fail(letters.error());
      return;
    }
    auto rows = ordered_json::array();
    for (std::size_t at = 0; at < std::min<std::size_t>(letters->size(), most); ++at) {
      rows.push_back(row_of((*letters)[at]));
    }
    shared->send(
        answer_of(200, {{"dead_letters", std::move(rows)}, {"more", letters->size() > most}}));
  });
}

using tend_function = result<void> (runtime::silo::*)(const runtime::actor_id&, std::uint64_t);

void tend(const api_parts& parts, request& received, reply answer, tend_function how) {
  const auto digits = received.param("number");
  const auto* end = digits.data() + digits.size();
  std::uint64_t number = 0;
  if (const auto [after, failure] = std::from_chars(digits.data(), end, number);
      failure != std::errc{} || after != end) {
    answer.fail({runtime::errc::invalid_argument, "'" + std::string{digits} +
                                                      "' is no number of a dead letter; GET "
                                                      "/api/v1/dead-letters lists them"});
    return;
  }
  auto shared = std::make_shared<reply>(std::move(answer));
  runtime::actor_id from{std::string{received.param("type")}, std::string{received.param("key")}};
  answer_on(parts.inspections, shared, [&parts, shared, how, number, sender = std::move(from)] {
    if (const auto done = (parts.silo.*how)(sender, number); !done) {
      shared->fail(done.error());
    } else {
      shared->send(answer_of(200, ordered_json::object()));
    }
  });
}

void retry(const api_parts& parts, request& received, reply answer) {
  tend(parts, received, std::move(answer), &runtime::silo::retry_dead_letter);
}

void drop(const api_parts& parts, request& received, reply answer) {
  tend(parts, received, std::move(answer), &runtime::silo::drop_dead_letter);
}

}  // namespace

void add_dead_letter_routes(http::router& routes, const api_parts& parts) {
  constexpr std::string_view one = "/api/v1/dead-letters/{type}/{key}/{number}";
  add_route(routes, parts, method::get, "/api/v1/dead-letters", list, {"limit"});
  add_route(routes, parts, method::post, std::string{one} + "/retry", retry);
  add_route(routes, parts, method::del, one, drop);
}

}  // namespace millrace::gateway
