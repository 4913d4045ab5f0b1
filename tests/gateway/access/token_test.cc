// SPDX-License-Identifier: MIT
#include "access/token.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "access/principal.h"
#include "folders.h"

namespace millrace::gateway {
namespace {

using runtime::errc;
using testing::temporary_folder;

TEST_CASE("tokens are long, of plain characters, and differ") {
  const auto one = make_token();
  CHECK(one.size() == 46);
  CHECK(one.starts_with("mr_"));
  CHECK(one.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
        std::string::npos);
  CHECK(one != make_token());
  CHECK(digest_of("abc").size() == 32);
  // FIPS 180-2, B.1.
  CHECK(digest_of("abc").substr(0, 4) == "\xba\x78\x16\xbf");
}

TEST_CASE("the token in a file is its line; another file is refused with what is wrong") {
  const temporary_folder folder;
  const auto file = folder.path / "t";
  CHECK(read_token(file).error().code() == errc::not_found);
  const auto made = make_token();
  REQUIRE(write_token(file, made));
  CHECK(*read_token(file) == made);
  struct stat seen {};
  REQUIRE(::stat(file.c_str(), &seen) == 0);
  CHECK((seen.st_mode & 0777U) == 0600);
  CHECK(write_token(file, "other").error().code() == errc::conflict);
  CHECK(*read_token(file) == made);

  const auto refusal = [&](const std::string& content) {
    std::ofstream{file} << content;
    const auto read = read_token(file);
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == errc::invalid_argument);
    return read.error().text();
  };
  const auto* const rule = "a token is one line of 32 to 512 characters without spaces";
  CHECK(refusal("").find(rule) != std::string::npos);
  CHECK(refusal("short").find(rule) != std::string::npos);
  CHECK(refusal(std::string(513, 'x')).find(rule) != std::string::npos);
  CHECK(refusal(made + " " + made).find(rule) != std::string::npos);
  CHECK(refusal(made + "\n" + made).find(rule) != std::string::npos);
  CHECK(refusal(std::string(40, '\0')).find(rule) != std::string::npos);
  CHECK(refusal(std::string(480, 'x') + std::string(40, '\n') + "y").find(rule) !=
        std::string::npos);
  std::ofstream{file} << made << "\r\n";
  CHECK(*read_token(file) == made);
  for (const mode_t open : {0604U, 0602U}) {
    REQUIRE(::chmod(file.c_str(), open) == 0);
    CHECK(read_token(file).error().text().find("chmod o=") != std::string::npos);
  }
  CHECK(read_token(folder.path).error().text().find("is no file") != std::string::npos);
  CHECK(write_token(folder.path / "no" / "where", made).error().code() == errc::storage_failed);
}

TEST_CASE("a role is the most that a grant gives for a project, or for all") {
  const principal who{"who", {{"p", role::RUN}, {"*", role::READ}}};
  CHECK(who.role_in("p") == role::RUN);
  CHECK(who.role_in("q") == role::READ);
  CHECK(who.role_everywhere() == role::READ);
  CHECK(who.role_somewhere() == role::RUN);
  const principal of_p{"of p", {{"p", role::ADMIN}}};
  CHECK(of_p.role_in("q") == role::NONE);
  CHECK(of_p.role_everywhere() == role::NONE);
  CHECK(principal{}.role_somewhere() == role::NONE);
}

}  // namespace
}  // namespace millrace::gateway
