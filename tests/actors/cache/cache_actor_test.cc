// SPDX-License-Identifier: MIT
// Kept results: found, explained, expired, making room, listed and cleared.
#include "cache/cache_actor.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "millrace/testing/test_silo.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using runtime::ref;
using testing::test_silo;

auto cache() {
  return ref<schemas::ResultCache>("default/etl");
}

test_silo make_silo() {
  return test_silo{[](runtime::silo& here) { here.add<cache_actor>(); }};
}

struct result_of {
  std::string task;
  std::string name;
  std::string key;
  std::string run = "R";
  std::uint64_t mode = 1;  // digest of a part
  std::int64_t kept_at = 1;
  std::size_t bytes = 0;
};

void keep(test_silo& silo, const result_of& one) {
  schemas::result_cache_interface::keep_params params;
  auto made = params.build().initResult();
  made.setTask(one.task.c_str());
  made.setName(one.name.c_str());
  made.setKey(one.key.c_str());
  made.setRun(one.run.c_str());
  made.setKeptAt(one.kept_at);
  auto output = made.initOutputs(1)[0];
  output.setName("n");
  output.setValue(std::string(one.bytes, 'x').c_str());
  auto part = made.initParts(1)[0];
  part.setName("env MODE");
  part.setDigest(one.mode);
  REQUIRE(silo.call(cache().keep(std::move(params))));
}

// The run whose result is found, or why there is none.
std::string find(test_silo& silo, const std::string& task, const std::string& name,
                 const std::string& key, std::uint64_t mode = 1,
                 std::chrono::nanoseconds ttl = {}) {
  schemas::result_cache_interface::find_params params;
  auto made = params.build();
  made.setTask(task.c_str());
  made.setName(name.c_str());
  made.setKey(key.c_str());
  made.setTtlNs(ttl.count());
  auto part = made.initParts(1)[0];
  part.setName("env MODE");
  part.setDigest(mode);
  const auto told = silo.call(cache().find(std::move(params)));
  REQUIRE(told);
  return told->found() ? std::string{told->result().getRun().cStr()}
                       : "missed: " + std::string{told->missed()};
}

std::vector<std::string> listed(test_silo& silo) {
  std::vector<std::string> all;
  for (std::string after;;) {
    const auto page = silo.call(cache().list(after, 2));
    REQUIRE(page);
    for (auto each : page->results()) {
      CHECK(each.getParts().size() + each.getOutputs().size() == 0);
      all.push_back(std::string{each.getTask().cStr()} + "/" + each.getKey().cStr());
    }
    after = page->next_cursor();
    if (after.empty()) {
      return all;
    }
  }
}

TEST_CASE("a result is found by its task and key, over restarts, and a miss is explained") {
  auto silo = make_silo();
  CHECK(find(silo, "fetch", "fetch", "k1") == "missed: no result of it is kept");
  keep(silo, {"fetch", "fetch", "k1", "R1"});
  silo.restart();
  CHECK(find(silo, "fetch", "fetch", "k1") == "R1");
  CHECK(find(silo, "fetch", "fetch[7]", "k1") == "R1");  // whichever instance asks
  CHECK(find(silo, "other", "other", "k1") == "missed: no result of it is kept");
  CHECK(find(silo, "fetch", "fetch", "k2", 2) == "missed: changed since run R1: env MODE");
  keep(silo, {"fetch", "fetch", "k2", "R2", 2});
  CHECK(find(silo, "fetch", "fetch", "k1") == "R1");
  CHECK(find(silo, "fetch", "fetch", "k2", 2) == "R2");
  CHECK(find(silo, "fetch", "fetch", "k3", 3) == "missed: changed since run R2: env MODE");
  keep(silo, {"fetch", "fetch", "k1", "R3"});  // as one whose artifacts had gone
  CHECK(find(silo, "fetch", "fetch", "k1") == "R3");
  CHECK(listed(silo) == std::vector<std::string>{"fetch/k1", "fetch/k2"});
}

TEST_CASE("a result expires for who wants a younger one") {
  auto silo = make_silo();
  const auto now = silo.clock().wall().time_since_epoch().count();
  keep(silo, {.task = "fetch", .name = "fetch", .key = "k", .run = "R", .kept_at = now});
  silo.advance(1h);
  CHECK(find(silo, "fetch", "fetch", "k") == "R");
  CHECK(find(silo, "fetch", "fetch", "k", 1, 61min) == "R");
  CHECK(find(silo, "fetch", "fetch", "k", 1, 1h) == "missed: the result of run R has expired");
}

TEST_CASE("the oldest results make room") {
  auto silo = make_silo();
  constexpr std::size_t bytes = std::size_t{250} << 10U;
  std::uint64_t count = 0;
  while (count == 0 || find(silo, "t", "t", "k0") == "R") {
    const auto key = "k" + std::to_string(count++);
    keep(silo, {.task = "t",
                .name = "t",
                .key = key,
                .kept_at = static_cast<std::int64_t>(count),
                .bytes = bytes});
  }
  CHECK(count > kept_results_bytes_max / (bytes + 1'000));
  CHECK(find(silo, "t", "t", "k" + std::to_string(count - 1)) == "R");
  const auto left = listed(silo);
  CHECK(left.size() < count);
  CHECK(left.size() > count - 250);
  CHECK(find(silo, "t", "t", "other", 2) == "missed: changed since run R: env MODE");
}

TEST_CASE("results are forgotten, all or those of a task") {
  auto silo = make_silo();
  for (auto at = 0; at < 450; ++at) {
    keep(silo, {"a", "a", "k" + std::to_string(at)});
  }
  keep(silo, {"ab", "ab", "k"});
  keep(silo, {"b", "b", "k"});
  REQUIRE(silo.call(cache().clear("a")));
  CHECK(listed(silo) == std::vector<std::string>{"ab/k", "b/k"});
  CHECK(find(silo, "a", "a", "k0") == "missed: no result of it is kept");
  REQUIRE(silo.call(cache().clear("")));
  CHECK(listed(silo).empty());
  keep(silo, {"b", "b", "k", "R2"});
  CHECK(find(silo, "b", "b", "k") == "R2");
}

TEST_CASE("an order to forget takes nothing that is kept later") {
  auto silo = make_silo();
  const auto later = silo.clock().wall().time_since_epoch().count() + 1;
  keep(silo, {.task = "a", .name = "a", .key = "k"});
  keep(silo, {.task = "a", .name = "a", .key = "later", .kept_at = later});
  REQUIRE(silo.call(cache().clear("")));
  CHECK(listed(silo) == std::vector<std::string>{"a/later"});
}

}  // namespace
}  // namespace millrace::actors
