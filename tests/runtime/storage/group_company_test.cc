// SPDX-License-Identifier: MIT
#include "storage/group_company.h"

#include <doctest/doctest.h>

using namespace millrace::runtime;
using namespace std::chrono_literals;

TEST_CASE("a group waits for those who were just answered, no longer than a flush takes") {
  group_company company;
  CHECK(company.next(3).count == 0);  // nobody has been answered yet

  company.flushed(20, 30, 400us);
  const auto wait = company.next(30);
  CHECK(wait.count == 50);
  CHECK(wait.limit == 400us);
  CHECK(company.next(50).count == 0);
}

TEST_CASE("a lone caller waits for nobody") {
  group_company company;
  company.flushed(1, 0, 400us);
  CHECK(company.next(1).count == 0);
}

TEST_CASE("a group that is worth a flush goes at once") {
  group_company company;
  company.flushed(5'000, 4'000, 400us);
  CHECK(company.next(group_company::enough).count == 0);
  CHECK(company.next(group_company::enough - 1).count == group_company::enough);
}

TEST_CASE("a slow flush does not make the next groups wait as long") {
  group_company company;
  company.flushed(2, 1, 3s);
  CHECK(company.next(1).limit == group_company::limit_max);
}

// Goal: where nobody comes back, waiting costs one group in 64.
TEST_CASE("waits that nobody ends become rare, and come back when they are worth it") {
  group_company company;
  company.flushed(1, 1, 400us);
  const auto groups_until_wait = [&] {
    for (int groups = 0;; ++groups) {
      if (company.next(1).count > 0) {
        return groups;
      }
    }
  };
  CHECK(groups_until_wait() == 0);
  for (const auto skipped : {1, 3, 7, 15, 31, 63, 63}) {
    company.waited(1);
    CHECK(groups_until_wait() == skipped);
  }
  company.waited(2);
  CHECK(groups_until_wait() == 0);
}
