// SPDX-License-Identifier: MIT
// Sends that were given up, by actors of all silos. Looking at them and tending them waits for the
// disk.
#include <charconv>

#include "api/api.h"
#include "api/ask_silos.h"
#include "api/list_page.h"
#include "api/respond.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using nlohmann::ordered_json;
using runtime::result;

namespace {

using list_results = actors::silo_control::dead_letters_results;
using tend_results = actors::silo_control::tend_dead_letter_results;

constexpr std::size_t page_default = 100;

ordered_json row_of(const std::string& silo, schemas::ListedDeadLetter::Reader letter) {
  const auto named = [](capnp::Text::Reader type, capnp::Text::Reader key) {
    return std::string{type.cStr()} + "/" + key.cStr();
  };
  const auto params = ordered_json::parse(letter.getParams().cStr(), nullptr, false);
  return {{"id", named(letter.getSenderType(), letter.getSenderKey()) + "/" +
                     std::to_string(letter.getNumber())},
          {"target", named(letter.getTargetType(), letter.getTargetKey())},
          {"method", letter.getMethod().cStr()},
          {"error", letter.getError().cStr()},
          {"params", params.is_discarded() ? ordered_json{} : params},
          {"silo", silo}};
}

// Those of all silos, by the silos' names. The cursor is `SILO:PLACE` of the last one. What a silo
// says that there is more of comes before what the next one has, so the page ends there.
http::response letters_of(const std::vector<silo_answer<list_results>>& told,
                          const wanted_page& wanted) {
  auto rows = ordered_json::array();
  auto missing = ordered_json::array();
  std::string last;
  auto more = false;
  for (const auto& [silo, outcome] : told) {
    if (!outcome) {
      missing.push_back(missing_row(silo, outcome.error()));
      continue;
    }
    for (const auto letter : outcome->read().getLetters()) {
      more = more || rows.size() == wanted.limit;
      if (!more) {
        rows.push_back(row_of(silo, letter));
        last = letter.getPlace().size() > 0 ? silo + ":" + letter.getPlace().cStr() : "";
      }
    }
    more = more || outcome->read().getMore();
  }
  return answer_of_page(
      {{"dead_letters", std::move(rows)}, {"more", more}, {"silos_missing", missing}}, wanted,
      more ? last : "");
}

// What is wrong with the question, or with the only silo that was asked.
std::optional<runtime::error> refusal_in(const std::vector<silo_answer<list_results>>& told) {
  for (const auto& [silo, outcome] : told) {
    if (!outcome &&
        (told.size() == 1 || outcome.error().code() == runtime::errc::invalid_argument)) {
      return outcome.error();
    }
  }
  return std::nullopt;
}

json_shape letters_shape() {
  const auto row = shape::named("DeadLetter", shape::object({{"id", shape::text("SENDER/NUMBER.")},
                                                             {"target", shape::text()},
                                                             {"method", shape::text()},
                                                             {"error", shape::text()},
                                                             {"params", shape::any()},
                                                             {"silo", shape::text()}}));
  return shape::object({{"dead_letters", shape::list(row)},
                        {"more", shape::flag()},
                        {"next_cursor", next_cursor_shape()},
                        {"silos_missing", shape::list(missing_shape())}});
}

void list(const api_parts& parts, request& received, reply answer) {
  const auto wanted = page_in(received, page_default);
  auto silos = silos_with_actors(parts.silo, text_in_query(received, "silo"));
  if (!wanted || !silos) {
    answer.fail(wanted ? silos.error() : wanted.error());
    return;
  }
  auto cursor = wanted->cursor;
  if (!start_at_cursor(*silos, cursor)) {
    answer.fail(bad_cursor());
    return;
  }
  silo_questions<list_results> asked;
  for (const auto& silo : *silos) {
    const auto params = [most = wanted->limit, from = asked.empty() ? cursor : std::string{}] {
      return actors::silo_control::dead_letters_params{static_cast<std::uint32_t>(most), from};
    };
    asked.emplace_back(
        silo,
        silo_question<list_results>{
            [params](const auto& control) { return control.dead_letters(params()); },
            [params](runtime::silo& home) { return actors::list_dead_letters(home, params()); }});
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, shared, asked, page = *wanted] {
    ask_silos<list_results>(parts, asked,
                            [shared, page](const std::vector<silo_answer<list_results>>& told) {
                              if (const auto refused = refusal_in(told)) {
                                shared->fail(*refused);
                              } else {
                                shared->send(letters_of(told, page));
                              }
                            });
  });
}

enum class tending : std::uint8_t { retry, drop };

void tend(const api_parts& parts, request& received, reply answer, tending how) {
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
  const runtime::actor_id sender{std::string{received.param("type")},
                                 std::string{received.param("key")}};
  const auto params = [sender, number, how] {
    return actors::silo_control::tend_dead_letter_params{sender.type, sender.key, number,
                                                         how == tending::drop};
  };
  const silo_question<tend_results> question{
      [params](const auto& silo) { return silo.tend_dead_letter(params()); },
      [params](runtime::silo& home) { return actors::tend_dead_letter(home, params()); }};
  const auto shared = std::make_shared<reply>(std::move(answer));
  answer_on(parts.inspections, shared, [&parts, sender, question, shared] {
    ask_about<tend_results>(parts, sender, question,
                            [shared](const result<std::vector<silo_answer<tend_results>>>& told) {
                              if (!told || !told->front().outcome) {
                                shared->fail(told ? told->front().outcome.error() : told.error());
                              } else {
                                shared->send(answer_of(200, ordered_json::object()));
                              }
                            });
  });
}

void retry(const api_parts& parts, request& received, reply answer) {
  tend(parts, received, std::move(answer), tending::retry);
}

void drop(const api_parts& parts, request& received, reply answer) {
  tend(parts, received, std::move(answer), tending::drop);
}

}  // namespace

void add_dead_letter_routes(api_routes& routes) {
  const std::string all = "/api/v1/dead-letters";
  const std::string one = all + "/{type}/{key}/{number}";
  const answer done{.status = 200, .text = "Done.", .body = json_media(shape::object({}))};
  auto query = page_keys("The most of them; 0: 100.");
  query.push_back(text_key("silo", "Only of this one."));
  routes.add(method::get, all, everywhere(role::READ),
             {.id = "list_dead_letters",
              .tag = "dead letters",
              .summary = "Sends that were given up, of all silos",
              .query = std::move(query),
              .answers = {{.status = 200,
                           .text = "The oldest of each sender first.",
                           .body = json_media(letters_shape()),
                           .headers = {next_link}}},
              .problems = {404}},
             list);
  routes.add(method::post, one + "/retry", everywhere(role::ADMIN),
             {.id = "retry_dead_letter",
              .tag = "dead letters",
              .summary = "Sends it again",
              .headers = {once_anyway},
              .answers = {done},
              .problems = {404, 409}},
             retry);
  routes.add(method::del, one, everywhere(role::ADMIN),
             {.id = "drop_dead_letter",
              .tag = "dead letters",
              .summary = "Forgets it",
              .answers = {done},
              .problems = {404, 409}},
             drop);
}

}  // namespace millrace::gateway
