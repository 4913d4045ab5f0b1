// SPDX-License-Identifier: MIT
#include "cluster/cluster_entry.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

const std::string fresh = "fresh";

entry_facts silo_a() {
  entry_facts facts;
  facts.silo = "a";
  facts.where = "local:/store";
  facts.file = "/data/CLUSTER";
  facts.allocation_id = "allocation of a";
  facts.partition_count = 16;
  return facts;
}

std::string refusal(const entry_facts& facts) {
  const auto entered = enter_cluster(facts, fresh);
  if (entered) {
    return {};
  }
  CHECK(entered.error().code() == errc::failed_precondition);
  return entered.error().text();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the first silo makes a cluster, which begins with what it has") {
  auto facts = silo_a();
  auto wanted = enter_cluster(facts, fresh);
  REQUIRE(wanted);
  CHECK(*wanted == cluster_settings{fresh, 16, {}});
  facts.has_data = true;
  wanted = enter_cluster(facts, fresh);
  REQUIRE(wanted);
  CHECK(*wanted == cluster_settings{fresh, 16, "allocation of a"});
}

TEST_CASE("a silo that has nothing, or what belongs there, goes into the cluster that there is") {
  auto facts = silo_a();
  facts.now = cluster_settings{"one", 16, "allocation of b"};
  CHECK(*enter_cluster(facts, fresh) == std::nullopt);
  facts.mark = cluster_mark{"one", "a", 7};
  facts.has_data = true;
  CHECK(*enter_cluster(facts, fresh) == std::nullopt);
}

TEST_CASE("a store that has forgotten a silo's cluster is not begun anew by it") {
  auto facts = silo_a();
  facts.mark = cluster_mark{"one", "a", 7};
  for (const bool has_data : {false, true}) {
    facts.has_data = has_data;
    const auto why = refusal(facts);
    CHECK(has(why, "belongs to the cluster one (/data/CLUSTER)"));
    CHECK(has(why, "local:/store is empty"));
    CHECK(has(why, "--found-anew"));
  }
  facts.founds_anew = true;
  CHECK(*enter_cluster(facts, fresh) == cluster_settings{fresh, 16, "allocation of a"});
}

TEST_CASE("a silo of one cluster does not go into another, whatever its operator gives up") {
  auto facts = silo_a();
  facts.mark = cluster_mark{"one", "a", 7};
  facts.now = cluster_settings{"other", 16, {}};
  for (const bool founds_anew : {false, true}) {
    facts.founds_anew = founds_anew;
    const auto why = refusal(facts);
    CHECK(has(why, "belongs to the cluster one (/data/CLUSTER)"));
    CHECK(has(why, "is that of the cluster other"));
  }
}

// Goal: a founder that dies between the store and its mark goes on.
TEST_CASE("a cluster that was begun anew and not noted down is known by its founder") {
  auto facts = silo_a();
  facts.mark = cluster_mark{"one", "a", 7};
  facts.has_data = true;
  facts.now = cluster_settings{"other", 16, "allocation of a"};
  CHECK(has(refusal(facts), "is that of the cluster other"));
  facts.founds_anew = true;
  CHECK(*enter_cluster(facts, fresh) == std::nullopt);
  facts.mark.reset();
  facts.founds_anew = false;
  CHECK(*enter_cluster(facts, fresh) == std::nullopt);
}

TEST_CASE("the data of a silo by itself do not go into a cluster that has some") {
  auto facts = silo_a();
  facts.has_data = true;
  facts.now = cluster_settings{"one", 16, {}};
  CHECK(has(refusal(facts), "has the data of a silo by itself, the cluster one at"));
}

TEST_CASE("a directory is that of one silo, and has as many partitions as its cluster") {
  auto facts = silo_a();
  facts.now = cluster_settings{"one", 32, {}};
  CHECK(has(refusal(facts), "has 32 partitions, the data directory of silo 'a' has 16;"));
  facts.now->partition_count = 16;
  facts.mark = cluster_mark{"one", "b", 7};
  CHECK(has(refusal(facts), "is that of silo 'b' (/data/CLUSTER), not of 'a'"));
}

TEST_CASE("a store whose numbers have gone back is an old one") {
  auto facts = silo_a();
  CHECK(check_incarnation(facts, 1));
  facts.mark = cluster_mark{"one", "a", 7};
  CHECK(check_incarnation(facts, 8));
  const auto back = check_incarnation(facts, 7);
  REQUIRE_FALSE(back);
  CHECK(has(back.error().text(), "was number 7 there (/data/CLUSTER), and would be 7 now"));
}

TEST_CASE("a mark comes back as it was, and what is none is refused") {
  const cluster_mark mark{"0123456789abcdef0123456789abcdef", "a", 12};
  const auto text = to_text(mark);
  CHECK(*parse_cluster_mark(text) == mark);
  for (std::size_t length = 0; length + 3 < text.size(); ++length) {
    CHECK_FALSE(parse_cluster_mark(text.substr(0, length)));
  }
  const auto newer = parse_cluster_mark("millrace-cluster\nversion 2\n");
  REQUIRE_FALSE(newer);
  CHECK(has(newer.error().text(), "version is 2"));
}

}  // namespace
}  // namespace millrace::runtime
