// SPDX-License-Identifier: MIT
#include "cluster/placement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "candidates.h"

namespace millrace::runtime {
namespace {

using testing::plain;

constexpr unsigned partitions = 1024;

partition_record record_with(const std::vector<std::string>& silos) {
  partition_record record;
  for (const auto& each : silos) {
    record.in_sync.push_back({{0, record.in_sync.size() + 1}, each});
  }
  return record;
}

TEST_CASE("all silos come to the same ranking, whatever order they know each other in") {
  for (unsigned index = 0; index < partitions; ++index) {
    const auto partition = partition_id{static_cast<std::uint16_t>(index)};
    CHECK(ranked_for(partition, plain({"a", "b", "c", "d"})) ==
          ranked_for(partition, plain({"d", "b", "a", "c"})));
  }
}

TEST_CASE("partitions are spread over the silos about evenly") {
  std::map<std::string, unsigned> first;
  for (unsigned index = 0; index < partitions; ++index) {
    const partition_id partition{static_cast<std::uint16_t>(index)};
    ++first[ranked_for(partition, plain({"a", "b", "c"})).front()];
  }
  CHECK(first.size() == 3);
  for (const auto& [silo, count] : first) {
    CHECK(count > partitions / 3 - partitions / 12);
    CHECK(count < partitions / 3 + partitions / 12);
  }
}

TEST_CASE("a silo that goes moves what it had, and nothing else") {
  for (unsigned index = 0; index < partitions; ++index) {
    const auto partition = partition_id{static_cast<std::uint16_t>(index)};
    auto before = ranked_for(partition, plain({"a", "b", "c", "d"}));
    std::erase(before, "c");
    CHECK(before == ranked_for(partition, plain({"a", "b", "d"})));
  }
}

// Goal: a rack that fails takes one copy of each partition, where there are racks enough.
TEST_CASE("the first of the ranking are of different zones, as many as there are") {
  const std::map<std::string, std::string> zone_of{{"a", "x"}, {"b", "x"}, {"c", "x"},
                                                   {"d", "y"}, {"e", "y"}, {"f", "z"}};
  std::vector<candidate> silos;
  for (const auto& [silo, zone] : zone_of) {
    silos.push_back({silo, zone});
  }
  for (unsigned index = 0; index < partitions; ++index) {
    const partition_id partition{static_cast<std::uint16_t>(index)};
    const auto ranked = ranked_for(partition, silos);
    std::set<std::string> first;
    std::set<std::string> next;
    for (std::size_t at = 0; at < 3; ++at) {
      first.insert(zone_of.at(ranked.at(at)));
    }
    for (std::size_t at = 3; at < 5; ++at) {
      next.insert(zone_of.at(ranked.at(at)));
    }
    CHECK(first.size() == 3);
    CHECK(next == std::set<std::string>{"x", "y"});
    CHECK(zone_of.at(ranked.at(5)) == "x");
    CHECK(ranked.front() == ranked_for(partition, plain({"a", "b", "c", "d", "e", "f"})).front());
  }
}

// Method: of a build that knows no zones all silos come to what that silo comes to.
TEST_CASE("zones count for nothing while a silo names none") {
  for (unsigned index = 0; index < partitions; ++index) {
    const partition_id partition{static_cast<std::uint16_t>(index)};
    CHECK(ranked_for(partition, {{"a", "x"}, {"b", "x"}, {"c", "y"}, {"d", ""}}) ==
          ranked_for(partition, plain({"a", "b", "c", "d"})));
  }
}

TEST_CASE("the first of the ranking have copies, and who is in the set keeps its own") {
  const std::vector<std::string> ranked{"c", "a", "b", "d"};
  CHECK(should_have_copy("c", ranked, 2, {}));
  CHECK(should_have_copy("a", ranked, 2, {}));
  CHECK_FALSE(should_have_copy("b", ranked, 2, {}));
  CHECK(should_have_copy("b", ranked, 2, record_with({"a", "b"})));
  CHECK(should_have_copy("gone", ranked, 2, record_with({"gone"})));
  CHECK(should_have_copy("d", ranked, 9, {}));
}

TEST_CASE("the first of the ranking that is in the set should lead") {
  CHECK(preferred_primary({"c", "a", "b"}, record_with({"b", "a"})) == "a");
  CHECK(preferred_primary({"c", "a", "b"}, record_with({"gone"})).empty());
  CHECK(preferred_primary({}, record_with({"a"})).empty());
}

TEST_CASE("the least preferred copy moves when a preferred one is to take its place") {
  const std::vector<std::string> ranked{"a", "b", "c", "d"};
  const auto moves = [&](const std::vector<std::string>& in_set, std::size_t copies = 2) {
    partition_record record;
    for (const auto& each : in_set) {
      record.in_sync.push_back({{1, hash_of(each, "copy").low}, each});
    }
    record.primary = record.in_sync.front().id;
    return std::string{to_move_off(ranked, copies, record)};
  };
  CHECK(moves({"a", "b"}).empty());
  CHECK(moves({"a", "c"}) == "c");
  CHECK(moves({"c", "a"}).empty());  // it has to hand over first
  CHECK(moves({"c", "d"}) == "d");
  CHECK(moves({"a"}).empty());  // there are too few
  CHECK(moves({"a", "b", "d"}) == "d");
  CHECK(moves({"a", "c", "d"}) == "d");
  CHECK(moves({"a", "gone"}).empty());
  CHECK(moves({"a", "b", "c"}, 4).empty());
  CHECK(moves({"a", "b", "c", "d"}, 4).empty());
}

TEST_CASE("the primary of a record is where its copy lies") {
  auto record = record_with({"a", "b"});
  CHECK(primary_of(record).empty());
  record.primary = {0, 2};
  CHECK(primary_of(record) == "b");
}

}  // namespace
}  // namespace millrace::runtime
