// SPDX-License-Identifier: MIT
#include "routing/current_map.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace millrace::runtime {
namespace {

std::shared_ptr<const cluster_map> map_of(const std::string& primary) {
  return std::make_shared<cluster_map>(std::vector<cluster_member>{{primary, 1, {}, {}}},
                                       std::vector<std::string>{primary});
}

std::string primary_in(const current_map& map) {
  return map.get().members().at(0).name;
}

}  // namespace

TEST_CASE(
    "a thread sees the map that was set last, whoever set it and however often it has looked") {
  current_map map{map_of("a")};
  CHECK(primary_in(map) == "a");
  std::thread{[&] { map.set(map_of("b")); }}.join();
  CHECK(primary_in(map) == "b");
  CHECK(primary_in(map) == "b");
}

TEST_CASE("a thread that looks into two maps by turns mistakes none for the other") {
  const current_map one{map_of("a")};
  current_map other{map_of("b")};
  for (int at = 0; at < 3; ++at) {
    CHECK(primary_in(one) == "a");
    CHECK(primary_in(other) == "b");
  }
  other.set(map_of("c"));
  CHECK(primary_in(one) == "a");
  CHECK(primary_in(other) == "c");
}

TEST_CASE("a map that is replaced is let go by whoever looks again") {
  auto first = map_of("a");
  const std::weak_ptr<const cluster_map> held = first;
  current_map map{std::move(first)};
  CHECK(primary_in(map) == "a");
  map.set(map_of("b"));
  CHECK_FALSE(held.expired());  // by this thread
  CHECK(primary_in(map) == "b");
  CHECK(held.expired());
}

// Goal: threads that look while it changes see a whole map, and never go back.
TEST_CASE("maps go forward for every thread while they change") {
  constexpr int last = 2000;
  current_map map{map_of("0")};
  std::atomic<bool> is_right = true;
  std::vector<std::thread> readers;
  for (int at = 0; at < 3; ++at) {
    readers.emplace_back([&] {
      for (int before = 0; before < last;) {
        const auto now = std::stoi(primary_in(map));
        is_right = is_right && now >= before;
        before = now;
      }
    });
  }
  for (int at = 1; at <= last; ++at) {
    map.set(map_of(std::to_string(at)));
  }
  for (auto& each : readers) {
    each.join();
  }
  CHECK(is_right);
}

}  // namespace millrace::runtime
