// SPDX-License-Identifier: MIT
#include "routing/cluster_map.h"

#include <doctest/doctest.h>

#include <set>

using namespace millrace::runtime;

namespace {

interface_info type_of(std::string_view name, actor_placement placement,
                       std::string_view labels = {}) {
  interface_info made{};
  made.type = name;
  made.group = name;
  made.placement = placement;
  made.labels = labels;
  return made;
}

const auto stored = type_of("stored", actor_placement::partition);
const auto bound = type_of("bound", actor_placement::silo_bound);
const auto free_type = type_of("free", actor_placement::stateless);
const auto gpu = type_of("gpu", actor_placement::labels, "gpu,big");

cluster_map of(std::vector<cluster_member> members, std::vector<std::string> primaries = {"x"}) {
  return {std::move(members), std::move(primaries)};
}

std::string host(const cluster_map& map, const interface_info& type, std::string_view key,
                 std::string_view self = "a") {
  const auto found = map.host_of(self, type, key);
  return found ? std::string{*found} : std::string{to_string(found.error().code())};
}

}  // namespace

TEST_CASE("a silo that is alone has everything") {
  const cluster_map alone;
  CHECK(host(alone, stored, "k") == "a");
  CHECK(host(alone, bound, "elsewhere") == "a");
}

TEST_CASE("a durable actor lives on the primary of its partition") {
  const std::vector<std::string> primaries{"a", "b", ""};
  const auto map = of({{"b", 2, {}, {"stored"}}, {"a", 1, {}, {"stored"}}}, primaries);
  std::set<std::string> seen;
  for (int key = 0; key < 50; ++key) {
    const auto text = std::to_string(key);
    const auto partition = static_cast<std::size_t>(partition_of("stored", text, "", 3));
    const auto found = host(map, stored, text);
    CHECK(found == (primaries[partition].empty() ? "unavailable" : primaries[partition]));
    seen.insert(found);
  }
  CHECK(seen.size() == 3);
}

TEST_CASE("a bound actor lives on the silo that its key names, if that is in") {
  const auto map = of({{"a", 1, {}, {}}, {"b", 2, {}, {}}});
  CHECK(host(map, bound, "b/disk/0") == "b");
  CHECK(host(map, bound, "b") == "b");
  CHECK(host(map, bound, "c/disk") == "unavailable");
}

TEST_CASE("an actor that may be anywhere is here if it can, else where its key says") {
  const auto map = of({{"a", 1, {}, {"free"}}, {"b", 2, {}, {"free"}}, {"c", 3, {}, {"other"}}});
  CHECK(host(map, free_type, "k", "a") == "a");
  CHECK(host(map, free_type, "k", "b") == "b");
  std::set<std::string> seen;
  for (int key = 0; key < 50; ++key) {
    seen.insert(host(map, free_type, std::to_string(key), "c"));
  }
  CHECK(seen == std::set<std::string>{"a", "b"});
  CHECK(host(map, type_of("nobody", actor_placement::stateless), "k") == "unavailable");
}

// Goal: who leaves takes only its own keys along.
TEST_CASE("when a silo leaves, the keys of the others stay") {
  const cluster_member b{"b", 2, {}, {"free"}};
  const cluster_member c{"c", 3, {}, {"free"}};
  const cluster_member d{"d", 4, {}, {"free"}};
  const auto three = of({b, c, d});
  const auto two = of({b, c});
  int moved = 0;
  for (int key = 0; key < 300; ++key) {
    const auto text = std::to_string(key);
    const auto before = host(three, free_type, text);
    CHECK((before == "d" || host(two, free_type, text) == before));
    moved += before == "d" ? 1 : 0;
  }
  CHECK(moved > 50);
  CHECK(moved < 150);
}

TEST_CASE("labels are all wanted") {
  const auto map = of({{"a", 1, {"gpu"}, {"gpu"}}, {"b", 2, {"big", "x", "gpu"}, {"gpu"}}});
  CHECK(host(map, gpu, "k") == "b");
  CHECK(host(of({{"a", 1, {"gpu"}, {"gpu"}}}), gpu, "k") == "unavailable");
}
