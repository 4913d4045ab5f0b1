// SPDX-License-Identifier: MIT
// Amounts of resources and priorities, as people write them.
#include <doctest/doctest.h>

#include <utility>

#include "millrace/actors/priority.h"
#include "millrace/actors/resources.h"

namespace millrace::actors {
namespace {

TEST_CASE("amounts are read exactly, and written as the shortest text that says the same") {
  struct row {
    const char* resource;
    const char* text;
    std::uint64_t amount;
    const char* again;
  };
  for (const auto& each :
       {row{"cpu", "2", 2'000, "2"}, row{"cpu", "0.5", 500, "500m"},
        row{"cpu", "500m", 500, "500m"}, row{"cpu", "1500m", 1'500, "1500m"},
        row{"cpu", "2.50", 2'500, "2500m"}, row{"memory", "512Mi", 512ULL << 20U, "512Mi"},
        row{"memory", "2G", 2'000'000'000, "2G"}, row{"memory", "1.5Gi", 1536ULL << 20U, "1536Mi"},
        row{"memory", "1", 1, "1"},
        row{"memory", "0.3Ki", 307, "307"},  // the rest of a byte is dropped
        row{"gpu", "007", 7, "7"},
        row{"gpu", "9223372036854775807", resource_amount_max, "9223372036854775807"}}) {
    CAPTURE(each.text);
    const auto read = parse_amount(each.resource, each.text);
    REQUIRE(read);
    CHECK(*read == each.amount);
    CHECK(format_amount(each.resource, each.amount) == each.again);
    const auto same = parse_amount(each.resource, each.again);
    REQUIRE(same);
    CHECK(*same == each.amount);
  }
  CHECK(describe_amount("gpu", 2) == "2 gpu");
  CHECK(short_amount("memory", 512ULL << 20U) == "512Mi");
  CHECK(short_amount("memory", (3ULL << 29U) + 1) == "1.5Gi");
  CHECK(short_amount("memory", 999'999) == "999999");
  CHECK(short_amount("memory", 1'234'567) == "1.2Mi");
  CHECK(short_amount("memory", resource_amount_max) == "8388608.0Ti");
  CHECK(short_amount("cpu", 1'234'567) == "1234567m");
}

TEST_CASE("what is no amount is refused, with what would be one") {
  for (const auto& each : std::initializer_list<std::pair<const char*, const char*>>{
           {"cpu", "0"},
           {"cpu", "0m"},
           {"cpu", ""},
           {"cpu", "-1"},
           {"cpu", "0.0005"},
           {"cpu", "0.5m"},
           {"cpu", "1."},
           {"cpu", ".5"},
           {"cpu", "1e3"},
           {"cpu", "2 "},
           {"memory", "0"},
           {"memory", "Mi"},
           {"memory", "1mi"},
           {"memory", "1K"},
           {"memory", "8388608Ti"},
           {"memory", "99999999999999999999"},
           {"gpu", "0.5"},
           {"gpu", "1Mi"},
           {"gpu", "9223372036854775808"}}) {
    CAPTURE(each.first);
    CAPTURE(each.second);
    const auto read = parse_amount(each.first, each.second);
    REQUIRE_FALSE(read);
    CHECK(read.error().text().find("write ") != std::string::npos);
  }
}

TEST_CASE("what an executor offers is a list, in which 0 takes one away") {
  const auto read = parse_resources("gpu=2,cpu=0,memory=8Gi");
  REQUIRE(read);
  CHECK(*read == resource_amounts{{"cpu", 0}, {"gpu", 2}, {"memory", 8ULL << 30U}});
  CHECK(parse_resources("")->empty());
  std::string many = "r0=1";
  for (std::size_t at = 1; at <= resources_max; ++at) {
    many += ",r" + std::to_string(at) + "=1";
  }
  for (const auto& text :
       {std::string{"gpu"}, std::string{"gpu="}, std::string{"=2"}, std::string{"gpu=2,"},
        std::string{"gpu=1,gpu=2"}, std::string{"g pu=1"}, std::string{"gpu=-1"}, many}) {
    CAPTURE(text);
    CHECK_FALSE(parse_resources(text));
  }
}

TEST_CASE("more may be taken than there is") {
  CHECK(left_of({{"gpu", 2}}, {{"gpu", 1}}, "gpu") == 1);
  CHECK(left_of({{"gpu", 2}}, {{"gpu", 3}}, "gpu") == 0);
  CHECK(left_of({}, {}, "gpu") == 0);
}

TEST_CASE("a priority is a number or one of five names") {
  CHECK(parse_priority("idle") == 0);
  CHECK(parse_priority("critical") == 1'000'000);
  CHECK(parse_priority("1000000000") == priority_max);
  for (const auto* text : {"", "1000000001", "-1", "+1", "1.0", "High", "highest", " 1", "1 "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_priority(text));
  }
}

}  // namespace
}  // namespace millrace::actors
