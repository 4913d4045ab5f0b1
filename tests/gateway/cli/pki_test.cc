// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "command_line.h"
#include "folders.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777U;
}

}  // namespace

TEST_CASE("an authority is made once, and its certificates once for each name") {
  testing::temporary_folder folder;
  const auto pki = (folder.path / "pki").string();
  const auto made = command_line({"pki", "init", "--directory", pki});
  CHECK(made.code == exit_code::ok);
  CHECK(made.output == pki + "/ca.pem\n" + pki + "/ca.key\n");
  const auto again = command_line({"pki", "init", "--directory", pki});
  CHECK(again.code == exit_code::conflict);
  CHECK(has(again.errors, "ca.pem exists already"));
  const auto issue = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"pki", "issue", "--directory", pki});
    return command_line(more);
  };
  const auto silo = issue({"--silo", "a", "--address", "10.0.0.1", "--address", "a.example.org"});
  CHECK(silo.output == pki + "/silo.a.pem\n" + pki + "/silo.a.key\n");
  CHECK(issue({"--gateway", "a", "--days", "1"}).code == exit_code::ok);
  CHECK(issue({"--silo", "a"}).code == exit_code::conflict);
  CHECK(mode_of(pki) == 0700);
  for (const auto* name : {"/ca.pem", "/ca.key", "/silo.a.pem", "/silo.a.key", "/gateway.a.key"}) {
    CHECK(mode_of(pki + name) == 0600);
  }
}

TEST_CASE("what a certificate cannot be asked for is refused, and nothing is made") {
  testing::temporary_folder folder;
  const auto pki = (folder.path / "pki").string();
  const auto refused = [&](std::vector<std::string> words, exit_code code, const char* why) {
    words.insert(words.begin(), "pki");
    CAPTURE(why);
    const auto left = command_line(words);
    CHECK(left.code == code);
    CHECK(left.output.empty());
    CHECK(has(left.errors, why));
  };
  using enum exit_code;
  refused({"issue", "--directory", pki, "--silo", "a"}, not_found, "there is no authority in");
  refused({"renew", "--directory", pki}, usage, "usage: millrace pki init");
  refused({"init"}, usage, "--directory DIR");
  refused({"init", "--directory", pki, "--silo", "a"}, usage, "--silo is not for `pki init`");
  refused({"init", "--directory", pki, "--days", "0"}, usage, "--days '0'");
  refused({"init", "--directory", pki, "--days", "36501"}, usage, "from 1 to 36500");
  refused({"init", "--directory", "/dev/null/x"}, conflict, "not a directory");
  REQUIRE_FALSE(std::filesystem::exists(pki));
  REQUIRE(command_line({"pki", "init", "--directory", pki}).code == ok);
  refused({"issue", "--directory", pki}, usage, "--silo NAME or --gateway NAME");
  refused({"issue", "--directory", pki, "--silo", "a", "--gateway", "b"}, usage, "name one");
  refused({"issue", "--directory", pki, "--silo", "a/../b"}, usage, "'a/../b' is no name");
  for (const auto* address : {"", "a b", "x,DNS:silo.b.millrace", "silo.b.millrace", "b@c"}) {
    refused({"issue", "--directory", pki, "--silo", "a", "--address", address}, usage,
            "is no address or host name");
  }
  std::ofstream{pki + "/ca.key"} << "nothing";
  refused({"issue", "--directory", pki, "--silo", "a"}, usage, "cannot read");
  CHECK_FALSE(std::filesystem::exists(pki + "/silo.a.key"));
}

}  // namespace millrace::gateway::cli
