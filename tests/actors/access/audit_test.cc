// SPDX-License-Identifier: MIT
#include "access/audit_actor.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "millrace/testing/test_silo.h"

namespace millrace::actors {
namespace {

using runtime::errc;
using schemas::audit_interface;
using testing::test_silo;

auto audit() {
  return runtime::ref<schemas::Audit>("log");
}

runtime::result<void> append(test_silo& silo, const std::vector<std::string>& targets) {
  audit_interface::append_params params;
  auto list = params.build().initEntries(static_cast<unsigned>(targets.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list[at].setTarget(targets[at].c_str());
  }
  return silo.call(audit().append(std::move(params)));
}

struct page {
  std::vector<std::string> targets;
  std::string next;
};

page page_of(test_silo& silo, std::uint64_t before, std::uint32_t limit) {
  const auto told = silo.call(audit().page(before, limit));
  REQUIRE(told);
  page seen{{}, std::string{told->next_cursor()}};
  for (auto each : told->entries()) {
    seen.targets.push_back(std::to_string(each.getNumber()) + each.getTarget().cStr());
  }
  return seen;
}

test_silo make_silo() {
  return test_silo{[](runtime::silo& here) { here.add<audit_actor>(); }};
}

TEST_CASE("entries are numbered and read page by page, the newest first, over restarts") {
  auto silo = make_silo();
  CHECK(page_of(silo, 0, 10).targets.empty());
  REQUIRE(append(silo, {"a", "b"}));
  silo.restart();
  REQUIRE(append(silo, {"c", "d", "e"}));
  auto seen = page_of(silo, 0, 2);
  CHECK(seen.targets == std::vector<std::string>{"5e", "4d"});
  CHECK(seen.next == "4");
  seen = page_of(silo, 4, 2);
  CHECK(seen.targets == std::vector<std::string>{"3c", "2b"});
  seen = page_of(silo, 2, 2);
  CHECK(seen.targets == std::vector<std::string>{"1a"});
  CHECK(seen.next == "");
  CHECK(page_of(silo, 1, 2).targets.empty());
  CHECK(page_of(silo, 1'000, 1).targets == std::vector<std::string>{"5e"});
  CHECK(page_of(silo, 0, 0).targets.size() == 5);
}

TEST_CASE("the oldest entries make room") {
  auto silo = make_silo();
  const std::vector<std::string> many(audit_append_max);
  for (std::uint64_t at = 0; at < audit_entries_max; at += audit_append_max) {
    REQUIRE(append(silo, many));
  }
  CHECK(page_of(silo, 2, 10).targets == std::vector<std::string>{"1"});
  REQUIRE(append(silo, {"x", "y"}));
  CHECK(page_of(silo, 0, 1).targets == std::vector<std::string>{"100002y"});
  CHECK(page_of(silo, 5, 10).targets == std::vector<std::string>{"4", "3"});
  CHECK(page_of(silo, 5, 10).next == "");
  CHECK(page_of(silo, 3, 10).targets.empty());
}

TEST_CASE("too many entries at once are refused") {
  auto silo = make_silo();
  const auto refused = append(silo, std::vector<std::string>(audit_append_max + 1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::invalid_argument);
}

}  // namespace
}  // namespace millrace::actors
