// SPDX-License-Identifier: MIT
#include "api/actor_list.h"

#include <vector>

#include "api/ask_silos.h"
#include "api/list_page.h"
#include "api/respond.h"

namespace millrace::gateway {

using nlohmann::ordered_json;
using runtime::errc;

namespace {

using list_results = actors::silo_control::list_results;

std::int64_t milliseconds(std::int64_t nanoseconds) {
  return runtime::duration{nanoseconds} / std::chrono::milliseconds{1};
}

ordered_json row_of(const actor_list_request& wanted, const std::string& silo,
                    schemas::ListedActor::Reader one) {
  const std::string key{one.getKey()};
  ordered_json row{{"id", wanted.type + "/" + key}, {"key", key}, {"silo", silo}};
  if (wanted.active) {
    row.update({{"phase", std::string{one.getPhase()}},
                {"queued", one.getQueued()},
                {"method", std::string{one.getMethod()}},
                {"busy_ms", milliseconds(one.getBusyNs())},
                {"idle_ms", milliseconds(one.getIdleNs())},
                {"bytes", one.getBytes()}});
  } else {
    row.update({{"active", one.getActive()},
                {"version", one.getVersion()},
                {"state_bytes", one.getStateBytes()}});
  }
  return row;
}

// One page of the parts of the silos. A silo's part is taken whole, so it may be short.
http::response page_of(const actor_list_request& wanted,
                       const std::vector<silo_answer<list_results>>& lists) {
  auto rows = ordered_json::array();
  auto missing = ordered_json::array();
  std::string next;
  for (const auto& [silo, list] : lists) {
    if (!next.empty()) {
      break;
    }
    if (!list) {
      missing.push_back(missing_row(silo, list.error()));
      continue;
    }
    const auto page = list->read();
    if (rows.size() + page.getActors().size() > wanted.limit) {
      next = silo + ":";
      break;
    }
    for (const auto one : page.getActors()) {
      rows.push_back(row_of(wanted, silo, one));
    }
    next = page.getNextCursor().size() > 0 ? silo + ":" + page.getNextCursor().cStr() : "";
  }
  return answer_of(
      200,
      {{"actors", std::move(rows)}, {"next_cursor", next}, {"silos_missing", std::move(missing)}});
}

// Asks each silo for a page, and makes one of them. The cursor is that of the first silo.
void search(const api_parts& parts, const actor_list_request& wanted,
            const std::vector<std::string>& silos, const std::shared_ptr<http::reply>& answer) {
  silo_questions<list_results> asked;
  for (const auto& silo : silos) {
    const auto params = [wanted, cursor = asked.empty() ? wanted.cursor : std::string{}] {
      return actors::silo_control::list_params{wanted.type, wanted.active, wanted.prefix, cursor,
                                               static_cast<std::uint32_t>(wanted.limit)};
    };
    asked.emplace_back(
        silo, silo_question<list_results>{
                  [params](const auto& control) { return control.list(params()); },
                  [params](runtime::silo& home) { return actors::list_actors(home, params()); }});
  }
  ask_silos<list_results>(
      parts, std::move(asked),
      [wanted, answer](const std::vector<silo_answer<list_results>>& lists) {
        for (const auto& each : lists) {
          if (!each.outcome && each.outcome.error().code() == errc::invalid_argument) {
            answer->fail(each.outcome.error());
            return;
          }
        }
        answer->send(page_of(wanted, lists));
      });
}

}  // namespace

json_shape actor_list_shape() {
  const auto active = shape::named("ActiveActor", shape::object({{"id", shape::text()},
                                                                 {"key", shape::text()},
                                                                 {"silo", shape::text()},
                                                                 {"phase", shape::text()},
                                                                 {"queued", shape::count()},
                                                                 {"method", shape::text()},
                                                                 {"busy_ms", shape::count()},
                                                                 {"idle_ms", shape::count()},
                                                                 {"bytes", shape::count()}}));
  const auto stored = shape::named("StoredActor", shape::object({{"id", shape::text()},
                                                                 {"key", shape::text()},
                                                                 {"silo", shape::text()},
                                                                 {"active", shape::flag()},
                                                                 {"version", shape::count()},
                                                                 {"state_bytes", shape::count()}}));
  return shape::object({{"actors", shape::list(shape::any_of({stored, active}))},
                        {"next_cursor", next_cursor_shape()},
                        {"silos_missing", shape::list(missing_shape())}});
}

void answer_actor_list(const api_parts& parts, actor_list_request wanted, http::reply answer) {
  auto silos = silos_with_actors(parts.silo, wanted.silo);
  if (!silos) {
    answer.fail(silos.error());
    return;
  }
  if (!start_at_cursor(*silos, wanted.cursor)) {
    answer.fail(bad_cursor());
    return;
  }
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  answer_on(parts.inspections, shared,
            [&parts, shared, wanted = std::move(wanted), silos = *std::move(silos)] {
              search(parts, wanted, silos, shared);  // of none, when all that were left have gone
            });
}

}  // namespace millrace::gateway
