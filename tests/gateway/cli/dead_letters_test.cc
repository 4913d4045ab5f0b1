// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "command_line.h"
#include "served_counters.h"

namespace millrace::gateway::cli {

using http::has;
using nlohmann::json;

TEST_CASE("dead letters are listed, dropped and sent again by their ids") {
  served_counters here;
  CHECK(command_line(*here.server, {"dead-letters", "-o", "json"}).output == "[]\n");
  here.give_up("p/a");
  here.give_up("c");
  const auto rows =
      json::parse(command_line(*here.server, {"dead-letters", "list", "-o", "json"}).output);
  REQUIRE(rows.size() == 2);
  const auto first_is_c = has(rows[0]["id"].get<std::string>(), "/c/");
  const auto& slashed = rows[first_is_c ? 1 : 0];
  const std::string id = slashed["id"];
  const std::string other = rows[first_is_c ? 0 : 1]["id"];
  CHECK(id.starts_with("counter/p/a/"));
  CHECK(slashed == json{{"id", id},
                        {"target", "counter/b"},
                        {"method", "fail"},
                        {"error", "failed_precondition: no"},
                        {"params", {{"text", "no"}}},
                        {"silo", "silo"}});
  const auto table = command_line(*here.server, {"dead-letters"});
  CHECK(table.output.starts_with("ID "));
  CHECK(has(table.output, "failed_precondition: no"));
  const auto one = command_line(*here.server, {"dead-letters", "--limit", "1", "-o", "name"});
  CHECK(has(one.errors, "more than 1"));

  CHECK(command_line(*here.server, {"dead-letters", "drop", id}).code == exit_code::ok);
  const auto gone = command_line(*here.server, {"dead-letters", "drop", id});
  CHECK(gone.code == exit_code::not_found);
  CHECK(has(gone.errors, "no dead letter"));
  CHECK(command_line(*here.server, {"dead-letters", "-o", "name"}).output == other + "\n");
  CHECK(command_line(*here.server, {"dead-letters", "retry", other}).code == exit_code::ok);
  CHECK(here.counters.here().stats().sends_pending == 1);
}

TEST_CASE("what names no dead letter is refused") {
  served_counters here;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"nonsense"},
                                                {"retry"},
                                                {"drop"},
                                                {"drop", "counter"},
                                                {"drop", "counter/1"},
                                                {"list", "counter/a/1"},
                                                {"drop", "counter/a/x"}}) {
    auto whole = words;
    whole.insert(whole.begin(), "dead-letters");
    CHECK(command_line(*here.server, whole).code == exit_code::usage);
  }
  using http::method;
  here.ask(method::get, "/api/v1/dead-letters?limit=x", 400);
  here.ask(method::get, "/api/v1/dead-letters?limit=1001", 400);
  here.ask(method::del, "/api/v1/dead-letters/counter/a/-1", 400);
  here.ask(method::del, "/api/v1/dead-letters/counter/a/1", 404);
  here.ask(method::post, "/api/v1/dead-letters/counter/a/1/retry", 404);
  here.ask(method::post, "/api/v1/dead-letters/nobody/a/1/retry", 404);
  here.ask(method::get, "/api/v1/dead-letters/counter/a/1", 405);
}

}  // namespace millrace::gateway::cli
