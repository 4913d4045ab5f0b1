// SPDX-License-Identifier: MIT
#include "coordination/etcd_wire.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace millrace::runtime {
namespace {

using nlohmann::json;

TEST_CASE("a transaction is written with base64 keys and numbers as strings") {
  etcd_step put{etcd_step::kind::put, "a"};
  put.value = std::string{"\0\xff", 2};
  put.lease = 7587848390593450000;
  etcd_step range{etcd_step::kind::get, "p/"};
  range.range_end = end_of_prefix("p/");
  range.changed_after = 41;
  const etcd_transaction transaction{{{etcd_compare::target::mod_revision, "a", 9007199254740993},
                                      {etcd_compare::target::create_revision, "b", 0}},
                                     {put, {etcd_step::kind::remove, "c"}},
                                     {range}};
  CHECK(json::parse(to_json(transaction)) == json::parse(R"({
    "compare": [
      {"key": "YQ==", "result": "EQUAL", "target": "MOD", "mod_revision": "9007199254740993"},
      {"key": "Yg==", "result": "EQUAL", "target": "CREATE", "create_revision": "0"}],
    "success": [
      {"request_put": {"key": "YQ==", "value": "AP8=", "lease": "7587848390593450000"}},
      {"request_delete_range": {"key": "Yw=="}}],
    "failure": [
      {"request_range": {"key": "cC8=", "range_end": "cDA=", "min_mod_revision": "42"}}]})"));
}

TEST_CASE("a transaction's answer is read, fields that are zero are left out") {
  const auto answer = read_answer(R"({
    "header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437",
               "revision": "9007199254740993", "raft_term": "4"},
    "succeeded": true,
    "responses": [
      {"response_put": {"header": {"revision": "5"}}},
      {"response_range": {"header": {"revision": "5"}}},
      {"response_range": {"header": {"revision": "5"}, "kvs": [
        {"key": "YQ==", "create_revision": "2", "mod_revision": "3", "version": "2",
         "value": "AP8=", "lease": "8"}], "count": "1"}}]})");
  REQUIRE(answer);
  CHECK(answer->header == etcd_header{14841639068965178418U, 9007199254740993, 4});
  CHECK(answer->succeeded);
  REQUIRE(answer->ranges.size() == 3);
  CHECK(answer->ranges[0].empty());
  CHECK(answer->ranges[1].empty());
  REQUIRE(answer->ranges[2].size() == 1);
  const auto& row = answer->ranges[2].front();
  CHECK(row.key == "a");
  CHECK(row.value == std::string{"\0\xff", 2});
  CHECK(row.create_revision == 2);
  CHECK(row.mod_revision == 3);
  CHECK(row.lease == 8);

  const auto lost = read_answer(R"({"header": {"revision": "1"}})");
  REQUIRE(lost);
  CHECK_FALSE(lost->succeeded);
  CHECK(lost->ranges.empty());
}

// Goal: what is no answer says nothing about what was done.
TEST_CASE("anything that is no answer leaves the outcome unknown") {
  for (const auto* body : {"", "<html>", "[]", "7", "{}", R"({"header": 5})", R"({"header": {}})",
                           R"({"header": {"revision": "x"}})", R"({"header": {"revision": -5}})",
                           R"({"header": {"revision": "5"}, "responses": [7]})",
                           R"({"header": {"revision": "5"},
           "responses": [{"response_range": {"kvs": [{"key": "?"}]}}]})"}) {
    CAPTURE(body);
    const auto answer = read_answer(body);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == errc::outcome_unknown);
  }
}

TEST_CASE("leases are read, as one answer and as the first of a stream") {
  const auto granted =
      read_lease(R"({"header": {"revision": "3"}, "ID": "7587848390593450000", "TTL": "5"})");
  REQUIRE(granted);
  CHECK(granted->id == 7587848390593450000);
  CHECK(granted->ttl_seconds == 5);
  const auto kept =
      read_lease(R"({"result": {"header": {"revision": "3"}, "ID": "8", "TTL": "5"}})");
  REQUIRE(kept);
  CHECK(kept->ttl_seconds == 5);
  const auto ended = read_lease(R"({"result": {"header": {"revision": "3"}, "ID": "8"}})");
  REQUIRE(ended);
  CHECK(ended->ttl_seconds == 0);
}

TEST_CASE("a line of a watch tells of changes, or of its end") {
  const auto begun = read_event(R"({"result": {"header": {"revision": "3"}, "created": true}})");
  CHECK_FALSE(begun.has_changes);
  CHECK_FALSE(begun.is_over);
  const auto changed = read_event(R"({"result": {"header": {"revision": "4"}, "events": [{}]}})");
  CHECK(changed.has_changes);
  CHECK_FALSE(changed.is_over);
  for (const auto* line :
       {R"({"result": {"header": {}, "canceled": true, "compact_revision": "9"}})",
        R"({"error": {"grpc_code": 14, "message": "unavailable"}})", "rubbish"}) {
    CAPTURE(line);
    CHECK(read_event(line).is_over);
  }
}

TEST_CASE("a refusal says whether something may have been done") {
  CHECK(etcd_failure(401, R"({"error": "no", "code": 16})").code() == errc::unauthenticated);
  CHECK(etcd_failure(403, R"({"error": "no", "code": 7})").code() == errc::permission_denied);
  CHECK(etcd_failure(404, R"({"error": "no lease", "code": 5})").code() == errc::not_found);
  CHECK(etcd_failure(400, R"({"error": "no", "code": 3})").code() == errc::invalid_argument);
  CHECK(etcd_failure(503, R"({"error": "timed out", "code": 14})").code() == errc::outcome_unknown);
  CHECK(etcd_failure(502, "<html>").code() == errc::outcome_unknown);
  CHECK(etcd_failure(503, R"({"message": "timed out", "code": 14})").text() ==
        "etcd answered 503: timed out");
}

TEST_CASE("servers of a version that cannot be trusted are refused, old ones warned of") {
  const auto fitness = [](const char* text) {
    const auto version =
        read_version(std::string{R"({"etcdserver":")"} + text + R"(","etcdcluster":"3.4.0"})");
    REQUIRE(version);
    CHECK(version->text == text);
    return version->fitness;
  };
  CHECK(fitness("3.3.27") == etcd_fitness::refused);
  CHECK(fitness("3.4.23") == etcd_fitness::old);
  CHECK(fitness("3.4.31") == etcd_fitness::old);
  CHECK(fitness("3.4.32") == etcd_fitness::fit);
  CHECK(fitness("3.5.0") == etcd_fitness::refused);
  CHECK(fitness("3.5.0-rc.1") == etcd_fitness::refused);
  CHECK(fitness("3.5.2") == etcd_fitness::refused);
  CHECK(fitness("3.5.3") == etcd_fitness::old);
  CHECK(fitness("3.5.13") == etcd_fitness::old);
  CHECK(fitness("3.5.14") == etcd_fitness::fit);
  CHECK(fitness("3.6.0") == etcd_fitness::fit);
  CHECK(fitness("4.0.0") == etcd_fitness::fit);
  CHECK_FALSE(read_version("nginx"));
  CHECK_FALSE(read_version("{}"));
  CHECK_FALSE(read_version(R"({"etcdserver": "new"})"));
}

TEST_CASE("a prefix ends before the next one") {
  CHECK(end_of_prefix("/a/") == "/a0");
}

}  // namespace
}  // namespace millrace::runtime
