// SPDX-License-Identifier: MIT
// HTTPS, from making the certificates to replacing them, with the real program at both ends.
#include <doctest/doctest.h>

#include "e2e/process.h"
#include "http/client.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

// What `millrace pki` makes of a gateway that is reached at 127.0.0.1.
void issue(const std::string& directory, const std::string& name) {
  REQUIRE(millrace({"pki", "issue", "--directory", directory, "--gateway", name, "--address",
                    "127.0.0.1"})
              .status == 0);
}

// Waits until a server says where it serves.
std::string url_of(background_command& server) {
  const std::string before = "serving on ";
  server.read_until(", data in");
  const auto& said = server.said();
  const auto from = said.find(before) + before.size();
  return said.substr(from, said.find(',', from) - from);
}

}  // namespace

TEST_CASE("dev serves https to who trusts its authority, and looks for a new certificate") {
  temporary_folder folder;
  const auto pki = (folder.path / "pki").string();
  REQUIRE(millrace({"pki", "init", "--directory", pki}).status == 0);
  issue(pki, "web");
  issue(pki, "me");
  const auto file = folder.path / "millrace.yaml";
  std::ofstream{file} << "listen: 127.0.0.1:0\ntls-certificate: " << pki
                      << "/gateway.web.pem\ntls-key: " << pki << "/gateway.web.key\n"
                      << "tls-client-ca: " << pki << "/ca.pem\n";
  background_command server{
      {"dev", "--config", file.string(), "--data", (folder.path / "data").string()}};
  const auto url = url_of(server);
  REQUIRE(url.starts_with("https://127.0.0.1:"));

  const auto definition = folder.path / "p.yaml";
  std::ofstream{definition} << "name: hello\ntasks:\n  - name: say\n    run: echo hi\n";
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", url, "--ca", pki + "/ca.pem", "--client-certificate",
                               pki + "/gateway.me.pem", "--client-key", pki + "/gateway.me.key"});
    return millrace(words);
  };
  const auto stranger = millrace({"list", "--server", url});
  CHECK(stranger.status == 4);
  CHECK(stranger.errors.find("--ca FILE") != std::string::npos);
  CHECK(millrace({"list", "--server", url, "--ca", pki + "/ca.pem"}).status == 4);
  const auto applied = asked({"apply", definition.string()});
  CHECK_MESSAGE(applied.status == 0, applied.errors);
  const auto run = asked({"submit", "hello", "--wait"});  // by a stream of events
  CHECK_MESSAGE(run.status == 0, run.errors);
  const auto log = asked({"logs", "@latest", "say", "--follow"});
  CHECK_MESSAGE(log.status == 0, log.errors);
  CHECK(log.output == "hi\n");
  CHECK(millrace({"list", "--server", "http" + url.substr(5)}).errors.find("ask for https://") !=
        std::string::npos);

  issue(pki, "new");
  fs::rename(pki + "/gateway.new.key", pki + "/gateway.web.key");
  server.signal(SIGHUP);
  server.read_until("the certificate in use stays: cannot use '" + pki + "/gateway.web.key'");
  CHECK(asked({"list"}).status == 0);
  fs::rename(pki + "/gateway.new.pem", pki + "/gateway.web.pem");  // it sees that by itself
  server.read_until("new connections see the certificate");
  CHECK(asked({"list"}).status == 0);
  const auto figures = [&] {
    const runtime::system_clock clock;
    gateway::http::client_options options;
    options.base = *gateway::http::parse_url(url);
    options.tls = {pki + "/ca.pem", pki + "/gateway.me.pem", pki + "/gateway.me.key"};
    auto answer =
        gateway::http::client{options, clock}.send(gateway::http::method::get, "/metrics");
    REQUIRE(answer);
    return answer->body;
  }();
  for (const auto& [name, days] : {std::pair{"millrace_gateway_certificate_left_seconds ", 365.0},
                                   {"millrace_gateway_client_authority_left_seconds ", 3650.0}}) {
    const auto at = figures.find(std::string{"\n"} + name);
    REQUIRE_MESSAGE(at != std::string::npos, name);
    CHECK(std::stod(figures.substr(at + 1 + std::string_view{name}.size())) ==
          doctest::Approx(days * 86'400).epsilon(0.001));
  }
  server.interrupt();
  CHECK(server.wait().status == 0);
}

TEST_CASE("a server that others reach is refused without TLS and tokens, unless it is waived") {
  temporary_folder folder;
  const auto refused = millrace({"dev", "--listen", "0.0.0.0:0", "--data", folder.path.string()});
  CHECK(refused.status == 2);
  CHECK(refused.errors.find("--tls-certificate FILE --tls-key FILE") != std::string::npos);
  CHECK(refused.errors.find("--root-token FILE") != std::string::npos);
  const auto half = millrace({"dev", "--tls-key", "k", "--data", folder.path.string()});
  CHECK(half.status == 2);
  CHECK(half.errors.find("--tls-certificate and --tls-key go together") != std::string::npos);
  const auto pki = (folder.path / "pki").string();
  REQUIRE(millrace({"pki", "init", "--directory", pki}).status == 0);
  issue(pki, "web");
  for (const auto& words :
       {std::vector<std::string>{"--insecure"},
        {"--tls-certificate", pki + "/gateway.web.pem", "--tls-key", pki + "/gateway.web.key",
         "--root-token", (folder.path / "root.token").string()}}) {
    std::vector<std::string> all{"dev", "--listen", "0.0.0.0:0", "--data",
                                 (folder.path / "data").string()};
    all.insert(all.end(), words.begin(), words.end());
    background_command server{all};
    server.read_until("serving on http");
    server.interrupt();
    CHECK(server.wait().status == 0);
  }
}

}  // namespace millrace::testing
