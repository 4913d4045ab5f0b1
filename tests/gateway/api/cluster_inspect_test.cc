// SPDX-License-Identifier: MIT
// What belongs to one actor, and dead letters: the same whichever process of a cluster is asked.
#include <algorithm>
#include <set>

#include "gateway/api/asked_cluster.h"

namespace millrace::gateway {
namespace {

using testing::Counter;

const std::vector<std::string> everybody{"a", "b", "c", "door"};

std::string path_of(const std::string& key, const std::string& rest) {
  return "/api/v1/actors/counter/" + key + "/" + rest;
}

TEST_CASE("the state of an actor is told by the silo that has it, whoever is asked") {
  asked_cluster here;
  for (const std::string key : {"1", "2", "3", "4", "5"}) {
    const auto leader = here.cluster->leader_of(runtime::ref<Counter>(key));
    for (const auto& asked : everybody) {
      const auto told = here.ask(method::get, asked, path_of(key, "state"));
      CHECK(told["id"] == "counter/" + key);
      CHECK(told["silo"] == leader);
      CHECK(told["state"]["total"] == 1);
    }
  }
  for (const auto& asked : everybody) {
    CHECK(here.ask(method::get, asked, path_of("x", "state"), 404)["detail"] ==
          "counter/x has nothing stored");
    CHECK(here.ask(method::get, asked, path_of("1", "state?map=other"), 404)["code"] ==
          "not_found");
    CHECK(here.ask(method::get, asked, "/api/v1/actors/nobody/1/state", 404)["detail"] ==
          "no silo hosts an actor type 'nobody'; GET /api/v1/actors lists those that there are");
  }
  REQUIRE(here.cluster->call(runtime::ref<Counter>("1").mark("one")));
  REQUIRE(here.cluster->call(runtime::ref<Counter>("1").mark("two")));
  const auto page = here.ask(method::get, "door", path_of("1", "state?map=marks&limit=1"));
  CHECK(page["maps"]["marks"]["records"]["one"]["total"] == 1);
  CHECK(page["maps"]["marks"]["next_cursor"] == "one");
}

TEST_CASE("an actor is deactivated where it lives, whoever is asked") {
  asked_cluster here;
  for (int at = 0; at < 8; ++at) {
    const auto& asked = everybody[static_cast<std::size_t>(at) % everybody.size()];
    const auto path = path_of(std::to_string(at), "deactivate");
    CHECK(here.ask(method::post, asked, path)["was_active"] == true);
    here.cluster->settle();
    CHECK(here.ask(method::post, asked, path)["was_active"] == false);
  }
  here.ask(method::post, "door", "/api/v1/actors/nobody/1/deactivate", 404);
}

// Goal: an old map costs a question.
// Method: a gateway does not hear of the store any more when the actor moves.
TEST_CASE("who is asked in vain says where the actor lives now") {
  asked_cluster here{{"a", "b", "c", "porch"}};
  const auto moved = runtime::ref<Counter>("1");
  const auto before = here.cluster->leader_of(moved);
  here.cluster->network().cut("porch", testing::test_network::store);
  REQUIRE(here.cluster->at(before).drain());
  std::string now;
  REQUIRE(here.cluster->until([&] {
    now = here.cluster->leader_of(moved);
    return !now.empty() && now != before;
  }));
  here.cluster->advance(1s);  // the one before hears of it
  const auto told = here.ask(method::get, "porch", path_of("1", "state"));
  CHECK(told["silo"] == now);
  CHECK(told["state"]["total"] == 1);
  CHECK(here.ask(method::post, "porch", path_of("1", "deactivate"))["was_active"] == false);
}

// Goal: a silo that has been passed over does not show what it still has.
// Method: it is cut off; the others go on, and it is asked before it gives up by itself.
TEST_CASE("a silo that cannot be sure that it has an actor shows nothing of it") {
  asked_cluster here;
  const auto who = runtime::ref<Counter>("1");
  const auto before = here.cluster->leader_of(who);
  const auto other = before == "a" ? "b" : "a";
  here.cluster->network().isolate(before);
  REQUIRE(here.cluster->until([&] { return here.cluster->leader_of(who) != before; }, 10s));
  REQUIRE(here.cluster->call(who.add(1), other)->total() == 2);
  for (const auto* asked : {"state", "state?map=marks"}) {
    CHECK(here.ask(method::get, before, path_of("1", asked), 503)["code"] == "unavailable");
  }
  here.ask(method::get, before, path_of("1", "state"), 503);
  // The other one is asked until it has leases: in doubt it shows nothing, either.
  CHECK(here.cluster->until(
      [&] {
        const auto told = here.ask(method::get, other, path_of("1", "state"), std::nullopt);
        return told.contains("state") && told["state"]["total"] == 2;
      },
      30s));
}

TEST_CASE("a silo that does not answer for its actor is named, and what to do") {
  asked_cluster here;
  const auto who = runtime::ref<Counter>("1");
  const auto before = here.cluster->leader_of(who);
  here.cluster->network().delay(before, "door", 10s, testing::traffic::answers);
  const auto told = here.ask(method::get, "door", path_of("1", "state"), 504);
  CHECK(told["detail"].get<std::string>().starts_with("silo '" + before +
                                                      "' was asked for counter/1: "));
  CHECK(told["detail"].get<std::string>().find("try again") != std::string::npos);
  here.cluster->network().heal();
  here.cluster->kill(before);
  REQUIRE(here.cluster->until([&] { return !here.cluster->leader_of(who).empty(); }));
  here.cluster->advance(1s);
  const auto after = here.ask(method::get, "door", path_of("1", "state"));
  CHECK(after["silo"] == here.cluster->leader_of(who));
  CHECK(after["state"]["total"] == 1);
}

TEST_CASE("types that only other silos host are listed, and a call of one is told whom to ask") {
  asked_cluster here;
  for (const auto& asked : everybody) {
    const auto told = here.ask(method::get, asked, "/api/v1/actors");
    CHECK(told["silos_missing"].empty());
    const auto& types = told["types"];
    const auto found = std::find_if(types.begin(), types.end(),
                                    [](const json& one) { return one["id"] == "counter"; });
    REQUIRE(found != types.end());
    CHECK(std::find((*found)["methods"].begin(), (*found)["methods"].end(), "add") !=
          (*found)["methods"].end());
  }
  const auto refused = here.ask(method::post, "door", path_of("1", "get"), 501);
  CHECK(refused["detail"].get<std::string>().find("that host it: a, b, c") != std::string::npos);
  here.ask(method::post, "door", "/api/v1/actors/nobody/1/get", 404);
}

TEST_CASE("silos and partitions come in pages, in order") {
  asked_cluster here;
  const auto ids_of = [&](const std::string& what, const std::string& key, unsigned limit) {
    std::vector<std::string> found;
    std::string cursor;
    do {
      const auto page =
          here.ask(method::get, "door",
                   "/api/v1/" + what + "?cursor=" + cursor + "&limit=" + std::to_string(limit));
      CHECK(page[what].size() <= limit);
      for (const auto& each : page[what]) {
        found.push_back(each[key]);
      }
      cursor = page["next_cursor"];
    } while (!cursor.empty() && found.size() < 10'000);
    return found;
  };
  CHECK(ids_of("silos", "name", 1) == std::vector<std::string>{"a", "b", "c", "door"});
  const auto all = ids_of("partitions", "id", 1'000);
  CHECK(all.size() > 10);
  CHECK(ids_of("partitions", "id", 3) == all);
  CHECK(all[9] == "9");
  CHECK(all[10] == "10");
  here.ask(method::get, "door", "/api/v1/silos?limit=1001", 400);
}

// --- dead letters --------------------------------------------------------------------------------

std::vector<std::string> letters_by(asked_cluster& here, const std::string& asked,
                                    const std::string& query = "") {
  const auto told = here.ask(method::get, asked, "/api/v1/dead-letters" + query);
  CHECK(told["silos_missing"].empty());
  std::vector<std::string> found;
  for (const auto& each : told["dead_letters"]) {
    found.push_back(each["silo"].get<std::string>() + " " + each["id"].get<std::string>());
  }
  return found;
}

TEST_CASE("dead letters of all silos are listed and tended, whoever is asked") {
  asked_cluster here;
  constexpr int senders = 12;
  for (int at = 0; at < senders; ++at) {
    REQUIRE(here.cluster->call(
        runtime::ref<Counter>(std::to_string(at)).post_fail("t" + std::to_string(at), "no")));
  }
  REQUIRE(here.cluster->until([&] { return letters_by(here, "a").size() == senders; }));
  const auto all = letters_by(here, "door");
  CHECK(std::set(all.begin(), all.end()).size() == senders);
  for (const auto& each : all) {
    const auto id = each.substr(each.find('/') + 1);
    CHECK(here.cluster->leader_of(runtime::ref<Counter>(id.substr(0, id.find('/')))) ==
          each.substr(0, each.find(' ')));
  }
  std::vector<std::string> of_b;
  std::copy_if(all.begin(), all.end(), std::back_inserter(of_b),
               [](const auto& each) { return each.starts_with("b "); });
  CHECK(letters_by(here, "b") == all);
  CHECK(letters_by(here, "c", "?silo=b") == of_b);
  std::vector<std::string> by_page;
  std::string cursor;
  do {
    const auto page =
        here.ask(method::get, "door", "/api/v1/dead-letters?limit=5&cursor=" + cursor);
    CHECK(page["dead_letters"].size() == (by_page.size() < 10 ? 5 : 2));
    for (const auto& each : page["dead_letters"]) {
      by_page.push_back(each["silo"].get<std::string>() + " " + each["id"].get<std::string>());
    }
    cursor = page["next_cursor"];
    CHECK(page["more"] == !cursor.empty());
  } while (!cursor.empty() && by_page.size() < 2 * senders);
  CHECK(by_page == all);
  for (const auto* each : {"x", "a:x", "a:00"}) {
    here.ask(method::get, "door", std::string{"/api/v1/dead-letters?cursor="} + each, 400);
  }
  CHECK(here.ask(method::get, "door", "/api/v1/dead-letters?cursor=d:")["dead_letters"].empty());
  CHECK(here.ask(method::get, "door", "/api/v1/dead-letters?limit=2")["more"] == true);
  CHECK(here.ask(method::get, "door", "/api/v1/dead-letters?limit=2")["dead_letters"].size() == 2);
  here.ask(method::get, "a", "/api/v1/dead-letters?silo=door", 404);

  const auto path = [&](std::size_t at) {
    return "/api/v1/dead-letters/" + all[at].substr(all[at].find(' ') + 1);
  };
  here.ask(method::del, "door", path(0));
  here.ask(method::del, "door", path(0), 404);
  here.ask(method::del, "a", path(1));
  here.ask(method::post, "b", path(2) + "/retry");
  REQUIRE(here.cluster->until([&] { return letters_by(here, "c").size() == senders - 2; }));
  const auto left = letters_by(here, "door");  // the one that was sent again failed again
  CHECK(std::find(left.begin(), left.end(), all[0]) == left.end());
  CHECK(std::find(left.begin(), left.end(), all[2]) == left.end());

  here.cluster->network().delay("b", "door", 10s, testing::traffic::answers);
  const auto part = here.ask(method::get, "door", "/api/v1/dead-letters");
  REQUIRE(part["silos_missing"].size() == 1);
  CHECK(part["silos_missing"][0]["silo"] == "b");
}

}  // namespace
}  // namespace millrace::gateway
