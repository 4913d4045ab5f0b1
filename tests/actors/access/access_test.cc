// SPDX-License-Identifier: MIT
#include "access/access_actor.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "millrace/testing/test_silo.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using runtime::errc;
using schemas::access_interface;
using testing::test_silo;

constexpr auto none_known = std::numeric_limits<std::uint64_t>::max();

auto access() {
  return runtime::ref<schemas::Access>("tokens");
}

capnp::Data::Reader bytes(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

// Of a text of its own, unless it is said which.
runtime::result<void> add(test_silo& silo, const std::string& name, std::int64_t expires_at = 0,
                          const std::string& project = "p", const std::string& digest = {}) {
  access_interface::add_params params;
  auto token = params.build().initToken();
  token.setName(name.c_str());
  token.setExpiresAt(expires_at);
  auto grants = token.initGrants(1);
  grants[0].setProject(project.c_str());
  grants[0].setRole(schemas::AccessRole::RUN);
  token.setDigest(bytes(digest.empty() ? "digest of " + name : digest));
  return silo.call(access().add(std::move(params)));
}

std::vector<std::string> names(const access_interface::tokens_results& told) {
  std::vector<std::string> all;
  for (auto each : told.tokens()) {
    all.emplace_back(each.getName().cStr());
  }
  return all;
}

test_silo make_silo() {
  return test_silo{[](runtime::silo& here) { here.add<access_actor>(); }};
}

TEST_CASE("tokens are kept by name until they are revoked, over restarts") {
  auto silo = make_silo();
  REQUIRE(add(silo, "b"));
  REQUIRE(add(silo, "a"));
  const auto taken = add(silo, "a");
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code() == errc::conflict);
  silo.restart();
  auto told = silo.call(access().tokens(none_known, 0));
  REQUIRE(told);
  CHECK(names(*told) == std::vector<std::string>{"a", "b"});
  CHECK(told->tokens()[0].getGrants()[0].getRole() == schemas::AccessRole::RUN);
  CHECK(told->tokens()[0].getDigest() == bytes("digest of a"));

  // The name may be another one's by now.
  CHECK(silo.call(access().revoke("a", bytes("others"))).error().code() == errc::not_found);
  REQUIRE(silo.call(access().revoke("a", bytes("digest of a"))));
  CHECK(silo.call(access().revoke("a", bytes("digest of a"))).error().code() == errc::not_found);
  told = silo.call(access().tokens(none_known, 0));
  CHECK(names(*told) == std::vector<std::string>{"b"});
}

// Goal: whoever revokes a token has ended what its text may do.
TEST_CASE("a text is one token's alone") {
  auto silo = make_silo();
  REQUIRE(add(silo, "a", 0, "p", "same"));
  const auto second = add(silo, "b", 0, "p", "same");
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == errc::conflict);
  CHECK(second.error().text() == "there is a token 'a' with this text already");
  REQUIRE(silo.call(access().revoke("a", bytes("same"))));
  CHECK(add(silo, "b", 0, "p", "same"));
}

TEST_CASE("who knows the tokens is told of a change at once, and of none after a while") {
  auto silo = make_silo();
  auto told = silo.call(access().tokens(none_known, 60'000));
  REQUIRE(told);
  CHECK(told->version() == 0);
  auto waiting = silo.begin(access().tokens(told->version(), 20'000));
  CHECK_FALSE(waiting.answered());
  REQUIRE(add(silo, "a"));
  REQUIRE(waiting.answered());
  told = waiting.answer();
  CHECK(told->version() == 1);
  CHECK(names(*told) == std::vector<std::string>{"a"});

  auto next = silo.begin(access().tokens(1, 20'000));
  silo.advance(19s);
  CHECK_FALSE(next.answered());
  silo.advance(1s);
  REQUIRE(next.answered());
  CHECK(next.answer()->version() == 1);
  CHECK(silo.begin(access().tokens(7, 20'000)).answered());
}

TEST_CASE("tokens are few") {
  auto silo = make_silo();
  for (std::size_t each = 0; each < tokens_max; ++each) {
    REQUIRE(add(silo, std::to_string(each), 0, each % 10 == 0 ? "*" : std::to_string(each % 10)));
  }
  const auto refused = add(silo, "one more");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  REQUIRE(silo.call(access().revoke("7", bytes("digest of 7"))));
  CHECK(add(silo, "one more"));
}

TEST_CASE("the tokens of one project leave room for those of others") {
  auto silo = make_silo();
  for (std::size_t each = 0; each < project_tokens_max; ++each) {
    REQUIRE(add(silo, std::to_string(each)));
  }
  const auto refused = add(silo, "one more");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text().find("of project 'p'") != std::string::npos);
  CHECK(add(silo, "of another", 0, "q"));
  for (std::size_t each = 0; each <= project_tokens_max; ++each) {
    REQUIRE(add(silo, "of all " + std::to_string(each), 0, "*"));
  }
  REQUIRE(silo.call(access().revoke("7", bytes("digest of 7"))));
  CHECK(add(silo, "one more"));
}

TEST_CASE("what has expired makes room an hour later") {
  auto silo = make_silo();
  const auto now = silo.here().time().wall().time_since_epoch();
  REQUIRE(add(silo, "brief", (now + 1h).count()));
  REQUIRE(add(silo, "long", (now + 3h).count()));
  silo.advance(2h);
  CHECK_FALSE(add(silo, "brief"));
  silo.advance(1s);
  CHECK(add(silo, "brief"));
  CHECK(names(*silo.call(access().tokens(none_known, 0))) ==
        std::vector<std::string>{"brief", "long"});
}

}  // namespace
}  // namespace millrace::actors
