// SPDX-License-Identifier: MIT
#include "command_line.h"
#include "served_counters.h"

namespace millrace::gateway::cli {

using http::has;
using http::method;
using nlohmann::json;
using testing::Counter;

TEST_CASE("actors are listed, stored ones and active ones") {
  served_counters here;
  auto& silo = here.counters;
  REQUIRE(silo.call(runtime::ref<Counter>("p/a").add(1)));
  REQUIRE(silo.call(runtime::ref<Counter>("q").get()));
  const auto listed = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"actor", "list", "counter"});
    words.insert(words.end(), {"-o", "json"});
    return json::parse(command_line(*here.server, words).output);
  };
  const auto stored = listed({});
  REQUIRE(stored.size() == 1);
  CHECK(stored[0]["id"] == "counter/p/a");
  CHECK(stored[0]["active"] == true);
  CHECK(listed({"--active"}).size() == 2);
  const auto active = listed({"--active", "--prefix", "q"});
  REQUIRE(active.size() == 1);
  CHECK(active[0]["phase"] == "active");
  CHECK(active[0]["method"] == "");
  CHECK(listed({"--prefix", "none"}).empty());
  CHECK(command_line(*here.server, {"actor", "list", "counter", "-o", "name"}).output ==
        "counter/p/a\n");
  const auto first = here.ask(method::get, "/api/v1/actors/counter?active=true&limit=1", 200);
  const auto second = here.ask(method::get,
                               "/api/v1/actors/counter?active=true&limit=1&cursor=" +
                                   first["next_cursor"].get<std::string>(),
                               200);
  CHECK(second["actors"].size() == 1);
  CHECK(second["actors"] != first["actors"]);
}

TEST_CASE("an actor's state is shown page by page, its secrets are not") {
  served_counters here;
  auto& silo = here.counters;
  REQUIRE(silo.call(runtime::ref<Counter>("p/a").add(7)));
  REQUIRE(silo.call(runtime::ref<Counter>("p/a").set_pin("1234")));
  for (const auto* name : {"x", "y", "z"}) {
    REQUIRE(silo.call(runtime::ref<Counter>("p/a").mark(name)));
  }
  const auto shown =
      command_line(*here.server, {"actor", "state", "counter/p/a", "--limit", "2", "-o", "json"});
  CHECK(
      json::parse(shown.output) ==
      json{
          {"id", "counter/p/a"},
          {"silo", "silo"},
          {"state", {{"total", 7}, {"note", ""}, {"pin", "***"}}},
          {"maps",
           {{"marks",
             {{"records", {{"x", {{"total", 7}, {"pad", ""}}}, {"y", {{"total", 7}, {"pad", ""}}}}},
              {"next_cursor", "y"}}}}}});
  CHECK(has(shown.errors, "--map 'marks' --after 'y'"));
  const auto rest =
      json::parse(command_line(*here.server, {"actor", "state", "counter/p/a", "--map", "marks",
                                              "--after", "y", "-o", "json"})
                      .output);
  CHECK_FALSE(rest.contains("state"));
  CHECK(rest["maps"]["marks"]["records"] == json{{"z", {{"total", 7}, {"pad", ""}}}});
}

TEST_CASE("an actor is deactivated from the command line") {
  served_counters here;
  REQUIRE(here.counters.call(runtime::ref<Counter>("a").add(1)));
  const auto asked = command_line(*here.server, {"actor", "deactivate", "counter/a"});
  CHECK(asked.code == exit_code::ok);
  CHECK(has(asked.errors, "leaves once"));
  here.counters.settle();
  CHECK(has(command_line(*here.server, {"actor", "deactivate", "counter/a"}).errors, "not active"));
  CHECK(here.counters.total("a") == 1);
}

TEST_CASE("what cannot be inspected is refused") {
  served_counters here;
  REQUIRE(here.counters.call(runtime::ref<Counter>("a").add(1)));
  for (const auto* target :
       {"counter?limit=x", "counter?limit=1001", "counter?active=maybe", "counter?cursor=x",
        "counter?active=true&cursor=x", "counter/a/state?cursor=x", "counter/a/state?limit=-1"}) {
    CAPTURE(target);
    here.ask(method::get, std::string{"/api/v1/actors/"} + target, 400);
  }
  for (const auto* target :
       {"nobody", "nobody/a/state", "counter/b/state", "counter/a/state?map=other"}) {
    CAPTURE(target);
    here.ask(method::get, std::string{"/api/v1/actors/"} + target, 404);
  }
  here.ask(method::post, "/api/v1/actors/nobody/a/deactivate", 404);
  here.ask(method::get, "/api/v1/actors/counter/a/deactivate", 405);
  using words = std::vector<std::string>;
  for (const auto& each : {words{"list"}, words{"list", "counter", "x"}, words{"state", "counter"},
                           words{"state", "counter/"}, words{"deactivate", "/a"},
                           words{"call", "counter", "a"}, words{"nonsense", "counter"}}) {
    auto whole = each;
    whole.insert(whole.begin(), "actor");
    CHECK(command_line(*here.server, whole).code == exit_code::usage);
  }
  CHECK(command_line(*here.server, {"actor", "state", "counter/b"}).code == exit_code::not_found);
}

}  // namespace millrace::gateway::cli
