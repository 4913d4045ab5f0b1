// SPDX-License-Identifier: MIT
// The list of actors where there are several silos: of all of them, whoever is asked.
#include <algorithm>
#include <set>

#include "gateway/api/asked_cluster.h"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::Counter;

TEST_CASE("actors of all silos are listed by each of them, and by one that has none") {
  asked_cluster here;
  for (const std::string query : {"?active=true&limit=7", "?limit=7"}) {
    CAPTURE(query);
    const auto all = here.ids("door", query);
    CHECK(all.size() == asked_cluster::counters);
    CHECK(std::set(all.begin(), all.end()).size() == all.size());
    for (const auto& each : all) {
      const auto silo = each.substr(0, each.find(' '));
      const auto key = each.substr(each.find('/') + 1);
      CHECK(here.cluster->leader_of(runtime::ref<Counter>(key)) == silo);
    }
    CHECK(std::is_sorted(all.begin(), all.end(), [](const auto& one, const auto& other) {
      return one.substr(0, one.find(' ')) < other.substr(0, other.find(' '));
    }));
    CHECK(here.ids("b", query) == all);
    CHECK(here.ids("b", query + "00") == all);
    std::vector<std::string> of_c;
    std::copy_if(all.begin(), all.end(), std::back_inserter(of_c),
                 [](const auto& each) { return each.starts_with("c "); });
    CHECK_FALSE(of_c.empty());
    CHECK(here.ids("a", query + "&silo=c") == of_c);
  }
  CHECK(here.ask("a", "?silo=door", 404)["detail"] ==
        "there is no silo 'door' with actors; there are: a, b, c");
  CHECK(here.ask("door", "?silo=x", 404)["code"] == "not_found");
  CHECK(here.ask("door", "?cursor=b:xyz", 400)["code"] == "invalid_argument");
  CHECK(here.ask("door", "?cursor=zz:", 200)["actors"].empty());
}

// Method: no answer of `b` arrives, but it stays in.
TEST_CASE("a silo that does not answer is named in the list of the others") {
  asked_cluster here;
  const auto whole = here.ids("door", "?limit=1000");
  here.cluster->network().delay("b", "door", 10s, testing::traffic::answers);
  const auto page = here.ask("door", "?limit=1000");
  REQUIRE(page["silos_missing"].size() == 1);
  CHECK(page["silos_missing"][0]["silo"] == "b");
  CHECK_FALSE(page["silos_missing"][0]["reason"].get<std::string>().empty());
  std::vector<std::string> found;
  for (const auto& row : page["actors"]) {
    found.push_back(row["silo"].get<std::string>() + " " + row["id"].get<std::string>());
  }
  std::vector<std::string> others;
  std::copy_if(whole.begin(), whole.end(), std::back_inserter(others),
               [](const auto& each) { return !each.starts_with("b "); });
  CHECK(found == others);
  CHECK(others.size() < whole.size());
  CHECK(here.ask("a", "?limit=1000")["silos_missing"].empty());
}

}  // namespace
}  // namespace millrace::gateway
