// SPDX-License-Identifier: MIT
#include "cli/contexts.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "command_line.h"
#include "folders.h"
#include "gateway/http/tls_wire.h"

namespace millrace::gateway::cli {
namespace {

using http::has;
using http::reply;
using http::request;
using testing::temporary_folder;

const std::string token = "mr_token-of-a-test-token-of-a-test-token";
const std::string other = "mr_other-of-a-test-other-of-a-test-other";

// A server that notes what it is shown, and of which project.
struct noting_server {
  std::string shown;
  std::string target;
  http::running server{[this](request& received, reply answer) {
    shown = received.headers.find("Authorization").value_or("none");
    target = received.path();
    answer.send(http::json(200, R"({"pipelines":[],"next_cursor":""})"));
  }};
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server.port); }
};

// A home of the test's own, without what the one who runs it has set.
class own_home {
public:
  own_home() {
    ::setenv("XDG_CONFIG_HOME", folder_.path.c_str(), 1);
    for (const auto* each :
         {"MILLRACE_SERVER", "MILLRACE_API_TOKEN", "MILLRACE_CONTEXT", "MILLRACE_PROJECT"}) {
      ::unsetenv(each);
    }
  }
  ~own_home() {
    ::unsetenv("XDG_CONFIG_HOME");
    ::unsetenv("MILLRACE_SERVER");
    ::unsetenv("MILLRACE_API_TOKEN");
    ::unsetenv("MILLRACE_CONTEXT");
  }
  own_home(const own_home&) = delete;
  own_home& operator=(const own_home&) = delete;

  std::string token_file(const std::string& text) {
    const auto file = folder_.path / ("t" + std::to_string(++files_));
    std::ofstream{file} << text << "\n";
    ::chmod(file.c_str(), 0600);
    return file.string();
  }
  std::filesystem::path book() const { return folder_.path / "millrace" / "contexts.json"; }

private:
  temporary_folder folder_;
  int files_ = 0;
};

TEST_CASE("a context has a server, its token and its project; another server is shown no token") {
  own_home home;
  noting_server one;
  noting_server two;
  REQUIRE(command_line({"context", "add", "one", "--server", one.url(), "--token-file",
                        home.token_file(token), "--project", "p"})
              .code == exit_code::ok);
  const auto second = command_line({"context", "add", "two", "--server", two.url()});
  CHECK(has(second.errors, "use it: millrace context use two"));
  struct stat seen {};
  REQUIRE(::stat(home.book().c_str(), &seen) == 0);
  CHECK((seen.st_mode & 0777U) == 0600);
  CHECK(command_line({"context", "list", "-o", "name"}).output == "one\ntwo\n");
  CHECK_FALSE(has(command_line({"context", "list", "-o", "json"}).output, token));

  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(one.shown == "Bearer " + token);
  CHECK(has(one.target, "/projects/p/"));
  CHECK(command_line({"list", "--context", "two"}).code == exit_code::ok);
  CHECK(two.shown == "none");
  CHECK(has(two.target, "/projects/default/"));
  CHECK(command_line({"list", "--server", two.url()}).code == exit_code::ok);
  CHECK(two.shown == "none");
  ::setenv("MILLRACE_SERVER", two.url().c_str(), 1);
  two.shown.clear();
  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(two.shown == "none");
  one.shown.clear();
  CHECK(command_line({"list", "--context", "one"}).code == exit_code::ok);
  CHECK(one.shown == "Bearer " + token);
  ::setenv("MILLRACE_API_TOKEN", other.c_str(), 1);
  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(two.shown == "Bearer " + other);
  CHECK(command_line({"list", "--token-file", home.token_file(token)}).code == exit_code::ok);
  CHECK(two.shown == "Bearer " + token);
  one.shown.clear();
  CHECK(command_line({"list", "--context", "one"}).code == exit_code::ok);
  CHECK(one.shown == "Bearer " + token);  // not what is in the environment for another
  ::unsetenv("MILLRACE_API_TOKEN");
  ::setenv("MILLRACE_TOKEN", other.c_str(), 1);  // as tasks have it
  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(two.shown == "none");
  ::unsetenv("MILLRACE_SERVER");
  ::unsetenv("MILLRACE_TOKEN");

  ::setenv("MILLRACE_CONTEXT", "two", 1);
  two.shown.clear();
  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(two.shown == "none");
  ::unsetenv("MILLRACE_CONTEXT");
  CHECK(command_line({"context", "use", "two"}).code == exit_code::ok);
  two.shown.clear();
  CHECK(command_line({"list"}).code == exit_code::ok);
  CHECK(two.shown == "none");
  CHECK(command_line({"context", "remove", "two"}).code == exit_code::ok);
  CHECK(command_line({"context", "list", "-o", "name"}).output == "one\n");
}

TEST_CASE(
    "a token that goes in the clear to another machine is warned of, once and not in the output") {
  own_home home;
  noting_server one;
  const auto file = home.token_file(token);
  // An address that is no loopback, and leads to this machine.
  const auto elsewhere = "http://0.0.0.0:" + std::to_string(one.server.port);
  const std::string warning = "millrace: warning: the token goes to " + elsewhere +
                              " without TLS, and whoever is on the way can read it: use https://\n";
  const auto listed =
      command_line({"list", "-o", "json", "--server", elsewhere, "--token-file", file});
  CHECK(listed.errors == warning);
  CHECK_FALSE(has(listed.output, "warning"));
  CHECK(has(
      command_line({"context", "add", "far", "--server", elsewhere, "--token-file", file}).errors,
      warning));
  CHECK(command_line({"list", "--server", elsewhere}).errors.empty());
  CHECK(command_line({"list", "--server", one.url(), "--token-file", file}).errors.empty());
}

TEST_CASE("over https a command trusts what --ca, the environment or its context names") {
  own_home home;
  http::pki authority;
  http::pki another;
  http::running server{[](request&, reply answer) {
                         answer.send(http::json(200, R"({"pipelines":[],"next_cursor":""})"));
                       },
                       http::secured(authority.issue("web"))};
  const auto url = "https://127.0.0.1:" + std::to_string(server.port);
  const auto shown = authority.issue("me");
  const auto stranger = command_line({"list", "--server", url});
  CHECK(stranger.code == exit_code::unauthenticated);
  CHECK(has(stranger.errors, "--ca FILE"));
  CHECK(has(command_line({"list", "--server", url, "--ca", authority.authority()}).errors,
            "--client-certificate FILE and --client-key FILE"));
  CHECK(has(command_line({"list", "--server", url, "--client-key", shown.key}).errors,
            "--client-certificate and --client-key go together"));
  CHECK(command_line({"list", "--server", url, "--ca", authority.authority(),
                      "--client-certificate", shown.certificate, "--client-key", shown.key})
            .code == exit_code::ok);
  ::setenv("MILLRACE_CA", authority.authority().c_str(), 1);
  ::setenv("MILLRACE_CLIENT_CERTIFICATE", shown.certificate.c_str(), 1);
  ::setenv("MILLRACE_CLIENT_KEY", shown.key.c_str(), 1);
  CHECK(command_line({"list", "--server", url}).code == exit_code::ok);
  CHECK(command_line({"list", "--server", url, "--ca", another.authority()}).code ==
        exit_code::unauthenticated);
  for (const auto* each : {"MILLRACE_CA", "MILLRACE_CLIENT_CERTIFICATE", "MILLRACE_CLIENT_KEY"}) {
    ::unsetenv(each);
  }

  const auto was = std::filesystem::current_path();
  std::filesystem::current_path(authority.directory());
  REQUIRE(command_line({"context", "add", "secure", "--server", url, "--ca", "ca.pem",
                        "--client-certificate", shown.certificate, "--client-key", shown.key})
              .code == exit_code::ok);
  std::filesystem::current_path(was);
  CHECK(command_line({"list"}).code == exit_code::ok);
  ::setenv("MILLRACE_CA", another.authority().c_str(), 1);
  CHECK(command_line({"list"}).code == exit_code::unauthenticated);
  CHECK(command_line({"list", "--context", "secure"}).code == exit_code::ok);
  ::unsetenv("MILLRACE_CA");
  CHECK(has(command_line({"context", "list", "--ca", "x"}).errors, "--ca is not for"));
}

TEST_CASE("what is wrong with a context or a token is said before anything is asked") {
  own_home home;
  const auto refusal = [](const std::vector<std::string>& words, exit_code code) {
    const auto left = command_line(words);
    CHECK(left.code == code);
    return left.errors;
  };
  CHECK(has(refusal({"context"}, exit_code::usage), "context"));
  CHECK(has(refusal({"context", "add", "a"}, exit_code::usage), "--server URL"));
  CHECK(has(refusal({"context", "add", "A b", "--server", "http://x"}, exit_code::usage), "A b"));
  CHECK(has(refusal({"context", "add", "a", "--server", "ftp://x"}, exit_code::usage), "ftp://x"));
  CHECK(has(refusal({"context", "use", "a"}, exit_code::not_found), "there is no context 'a'"));
  CHECK(has(refusal({"context", "list", "--server", "http://x"}, exit_code::usage), "--server"));
  CHECK(has(refusal({"list", "--context", "a"}, exit_code::not_found), "millrace context add"));
  CHECK(has(refusal({"list", "--context", "a", "--server", "http://x"}, exit_code::usage),
            "not both"));
  CHECK(has(refusal({"list", "--token-file", "/nowhere/t"}, exit_code::not_found), "/nowhere/t"));
  CHECK(has(refusal({"list", "--token-file", home.token_file("short")}, exit_code::usage),
            "32 to 512"));

  REQUIRE(command_line({"context", "add", "a", "--server", "http://127.0.0.1:1"}).code ==
          exit_code::ok);
  REQUIRE(::chmod(home.book().c_str(), 0644) == 0);
  CHECK(has(refusal({"list"}, exit_code::usage), "chmod 600"));
  std::ofstream{home.book()} << "nonsense";
  ::chmod(home.book().c_str(), 0600);
  CHECK(has(refusal({"list"}, exit_code::usage), "no file of contexts"));
  CHECK(has(refusal({"context", "use", "a"}, exit_code::usage), "no file of contexts"));
  std::ofstream{home.book()} << R"({"contexts": {"a": {"token": "x"}}})";
  CHECK(has(refusal({"list", "--context", "a"}, exit_code::usage), "has no server"));
  std::ofstream{home.book()} << R"({"contexts": {"a": 1}})";
  CHECK(has(refusal({"list"}, exit_code::usage), "'a' is no object"));
}

TEST_CASE("a token goes to standard output alone, and grants are read before they are sent") {
  own_home home;
  std::string asked;
  http::running server{[&](request& received, reply answer) {
    asked = received.body;
    answer.send(received.method == http::method::del
                    ? http::empty()
                    : http::json(201, R"({"id":"ci","token":"mr_x"})"));
  }};
  const auto made = command_line(server, {"token", "create", "ci", "--grant", "p=run", "--grant",
                                          "*=read", "--expires-in", "90d"});
  CHECK(made.code == exit_code::ok);
  CHECK(made.output == "mr_x\n");
  CHECK(has(made.errors, "shown only now"));
  CHECK(asked == R"({"id":"ci","grants":[{"project":"p","role":"run"},)"
                 R"({"project":"*","role":"read"}],"expires_in":"90d"})");
  const auto file = home.book().parent_path().parent_path() / "ci";
  const auto kept =
      command_line(server, {"token", "create", "ci", "--grant", "p=run", "--to", file.string()});
  CHECK(kept.code == exit_code::ok);
  CHECK(kept.output.empty());
  struct stat seen {};
  REQUIRE(::stat(file.c_str(), &seen) == 0);
  CHECK((seen.st_mode & 0777U) == 0600);
  CHECK(
      has(command_line(server, {"token", "create", "ci", "--grant", "p=run", "--to", file.string()})
              .errors,
          "make it again"));
  CHECK(command_line(server, {"token", "revoke", "ci"}).errors == "token ci is revoked\n");
  for (const std::string grant : {"p", "=run"}) {
    const auto refused = command_line(server, {"token", "create", "x", "--grant=" + grant});
    CHECK(refused.code == exit_code::usage);
    CHECK(has(refused.errors, "default=run"));
  }
  CHECK(has(command_line(server, {"token", "create", "x"}).errors, "--grant PROJECT=ROLE"));
  CHECK(has(command_line(server, {"token", "revoke", "x", "--grant", "p=run"}).errors, "--grant"));
  CHECK(has(command_line(server, {"token", "make", "x"}).errors, "usage: millrace token"));
}

TEST_CASE("who shows no token is told where one is taken from") {
  own_home home;
  http::running server{[](request&, reply answer) {
    answer.fail({runtime::errc::unauthenticated, "a token is needed"});
  }};
  const auto left = command_line(server, {"list"});
  CHECK(left.code == exit_code::unauthenticated);
  CHECK(has(left.errors, "--token-file FILE, MILLRACE_API_TOKEN or a context"));
}

}  // namespace
}  // namespace millrace::gateway::cli
