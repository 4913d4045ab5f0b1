// SPDX-License-Identifier: MIT
#include "cli/front.h"

#include <doctest/doctest.h>

#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "access/audit_trail.h"
#include "folders.h"
#include "gateway/http/wire.h"
#include "http/client.h"
#include "millrace/actors/secret_keyring.h"

namespace millrace::gateway::cli {
namespace {

// Method: the line of the access log, which the server's thread writes, is kept waiting.
TEST_CASE("a front tells when its server's thread is stuck, and when it is no more") {
  testing::temporary_folder folder;
  std::promise<void> over;
  logs told{log_format::text, spdlog::level::debug,
            [until = over.get_future().share()](std::string_view) { until.wait(); }};
  const auto here = node::open({.data_directory = folder.path / "data"});
  REQUIRE(here);
  front served{**here, {*listen_options("127.0.0.1:0", {}), {}}, told};
  const auto url = served.start();
  REQUIRE(url);
  CHECK_FALSE(served.stall());

  http::wire client{static_cast<std::uint16_t>(std::stoi(url->substr(url->rfind(':') + 1)))};
  client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  std::promise<void> never;
  const auto until = never.get_future();
  auto stall = served.stall();
  for (int tries = 0; !stall && tries < 300; ++tries) {
    until.wait_for(std::chrono::milliseconds{100});
    stall = served.stall();
  }
  REQUIRE(stall);
  CHECK(stall->text().starts_with("the HTTP server has made no progress for "));

  over.set_value();
  for (int tries = 0; stall && tries < 300; ++tries) {
    until.wait_for(std::chrono::milliseconds{100});
    stall = served.stall();
  }
  CHECK_FALSE(stall);
  served.stop();
}

// Goal: who did what can be told afterwards, whatever the level of the log; and no token is in it.
TEST_CASE("with tokens, what changes something or is not allowed is a line with a name") {
  testing::temporary_folder folder;
  std::mutex mutex;
  std::string lines;
  logs told{log_format::text, spdlog::level::err, [&](std::string_view line) {
              const std::lock_guard lock{mutex};
              lines += line;
            }};
  const auto here = node::open({.data_directory = folder.path / "data"});
  REQUIRE(here);
  const std::string root = "root-of-all-tokens-for-this-test-0123456789";
  front served{**here, {*listen_options("127.0.0.1:0", {}), root}, told};
  const auto url = served.start();
  REQUIRE(url);
  const runtime::system_clock clock;
  http::client_options options;
  options.base = *http::parse_url(*url);
  std::optional<http::client> client{std::in_place, options, clock};
  const auto ask = [&](http::method verb, const std::string& target, const std::string& token,
                       const std::string& body = {}) {
    const auto answer = client->send(verb, target, body, {{"Authorization", "Bearer " + token}});
    REQUIRE(answer);
    // The line is written before the answer.
    const std::lock_guard lock{mutex};
    return std::pair{answer->body, std::exchange(lines, {})};
  };
  CHECK(ask(http::method::get, "/api/v1/silos", root).second.empty());
  const auto [body, made] = ask(http::method::post, "/api/v1/tokens", root,
                                R"({"id":"a","grants":[{"project":"p","role":"read"}]})");
  CHECK(http::has(
      made,
      "info: audit: who=(root) from=127.0.0.1 method=POST target=/api/v1/tokens status=201 "
      "made=/api/v1/tokens/a operation=make_token trace_id="));
  const auto token = nlohmann::json::parse(body)["token"].get<std::string>();
  CHECK_FALSE(http::has(made, token.substr(0, 12)));
  const auto long_target = "/api/v1/silos?" + std::string(2'000, 'x');
  const auto refused = ask(http::method::get, long_target, "nobody's").second;
  CHECK(http::has(refused, "who=- from=127.0.0.1 method=GET target=/api/v1/silos?xxx"));
  CHECK(refused.size() < 1'300);
  CHECK(http::has(ask(http::method::get, "/api/v1/backup", root).second,
                  "method=GET target=/api/v1/backup status=200 operation=take_backup"));
  const auto encoded = ask(http::method::get, "/api/v1/%62ackup?x%20y", root).second;
  CAPTURE(encoded);
  CHECK(http::has(encoded, "target=/api/v1/backup?x%20y status="));
  CHECK(http::has(encoded, " operation=take_backup trace_id="));
  CHECK(ask(http::method::post, "/nowhere", "nobody's").second.empty());
  const auto stored = [&] {
    return nlohmann::json::parse(ask(http::method::get, "/api/v1/audit", root).first)["entries"];
  };
  for (int tries = 0; tries < 20'000 && stored().size() < 4; ++tries) {  // a moment later
  }
  served.stop();

  // Stored as well, for all servers to tell.
  front next{**here, {*listen_options("127.0.0.1:0", {}), root}, told};
  const auto next_url = next.start();
  REQUIRE(next_url);
  options.base = *http::parse_url(*next_url);
  client.emplace(options, clock);
  const auto entries =
      nlohmann::json::parse(ask(http::method::get, "/api/v1/audit?limit=2", root).first);
  CHECK(entries["next_cursor"] == "3");
  REQUIRE(entries["entries"].size() == 2);
  CHECK(entries["entries"][0]["target"] == "/api/v1/backup?x%20y");
  CHECK(entries["entries"][0]["operation"] == "take_backup");
  CHECK(entries["entries"][1]["target"] == "/api/v1/backup");
  const auto first =
      nlohmann::json::parse(ask(http::method::get, "/api/v1/audit?cursor=3", root).first);
  CHECK(first["next_cursor"] == "");
  REQUIRE(first["entries"].size() == 2);
  CHECK(first["entries"][0]["status"] == 401);
  const auto& entry = first["entries"][1];
  CHECK(entry["id"] == 1);
  CHECK(entry["who"] == "(root)");
  CHECK(entry["address"] == "127.0.0.1");
  CHECK(entry["method"] == "POST");
  CHECK(entry["made"] == "/api/v1/tokens/a");
  CHECK(entry["server"] == (*here)->silo().name());
  next.stop();
}

// Goal: who is refused over and over does not push everybody else out of the audit.
TEST_CASE("what one client is refused in a minute is two entries of the stored audit") {
  testing::temporary_folder folder;
  logs told{log_format::text, spdlog::level::err, [](std::string_view) {}};
  const auto here = node::open({.data_directory = folder.path / "data"});
  REQUIRE(here);
  const std::string root = "root-of-all-tokens-for-this-test-0123456789";
  const runtime::system_clock clock;
  const auto ask = [&](const std::string& url, http::method verb, const std::string& target,
                       const std::string& token) {
    http::client_options options;
    options.base = *http::parse_url(url);
    http::client client{options, clock};
    const auto answer = client.send(verb, target, {}, {{"Authorization", "Bearer " + token}});
    REQUIRE(answer);
    return *answer;
  };
  std::optional<front> served{std::in_place, **here,
                              front_options{*listen_options("127.0.0.1:0", {}), root}, told};
  auto url = *served->start();
  for (int tries = 0; tries < 20'000; ++tries) {  // who has no tokens yet does not call them wrong
    if (ask(url, http::method::get, "/readyz", root).status == 200) {
      break;
    }
  }
  for (int each = 0; each < 20; ++each) {
    ask(url, http::method::get, "/api/v1/silos", "nobody's");
    ask(url, http::method::del, "/api/v1/runs/no-such-run", root);
    ask(url, http::method::post, "/api/v1/projects/p/pipelines/none/pause", root);
  }
  served->stop();  // which stores what is left

  served.emplace(**here, front_options{*listen_options("127.0.0.1:0", {}), root}, told);
  url = *served->start();
  const auto entries =
      nlohmann::json::parse(ask(url, http::method::get, "/api/v1/audit", root).body)["entries"];
  std::string told_of;
  for (const auto& each : entries) {
    told_of += each["who"].get<std::string>() + " " + each["target"].get<std::string>() + "\n";
  }
  CHECK(entries.size() == 4);
  CHECK(http::has(told_of,
                  "(root) /api/v1/projects/p/pipelines/none/pause (the last of 39 that were "
                  "refused in a minute)\n"));
  CHECK(http::has(told_of, " /api/v1/silos (the last of 19 that were refused in a minute)\n"));
  served->stop();
}

// Goal: nobody pushes what others did out of the stored audit: neither by looking, nor by doing the
// same over and over.
// Method: two tokens do so many times as much as is kept of it; then somebody else does one thing.
TEST_CASE(
    "what only looks is no entry, and what one token repeats is some entries and their number") {
  testing::temporary_folder folder;
  logs told{log_format::text, spdlog::level::err, [](std::string_view) {}};
  const auto here = node::open({.data_directory = folder.path / "data"});
  REQUIRE(here);
  const std::string root = "root-of-all-tokens-for-this-test-0123456789";
  const runtime::system_clock clock;
  std::optional<http::client> client;
  std::optional<front> served;
  const auto serve = [&] {
    served.emplace(**here, front_options{*listen_options("127.0.0.1:0", {}), root}, told);
    http::client_options options;
    options.base = *http::parse_url(*served->start());
    client.emplace(options, clock);
  };
  const auto ask = [&](http::method verb, const std::string& target, const std::string& body,
                       const std::string& token) {
    const auto answer = client->send(verb, target, body, {{"Authorization", "Bearer " + token}});
    REQUIRE(answer);
    return *answer;
  };
  const auto token_of = [&](const std::string& name, const std::string& role) {
    const nlohmann::json wish{{"id", name}, {"grants", {{{"project", "p"}, {"role", role}}}}};
    const auto made = ask(http::method::post, "/api/v1/tokens", wish.dump(), root);
    REQUIRE(made.status == 201);
    const auto text = nlohmann::json::parse(made.body)["token"].get<std::string>();
    for (int tries = 0; tries < 20'000; ++tries) {  // a moment until it is known
      if (ask(http::method::get, "/api/v1/projects/p/pipelines", {}, text).status == 200) {
        break;
      }
    }
    return text;
  };
  serve();
  const std::string pipeline = "/api/v1/projects/p/pipelines/one";
  const std::string definition = "name: one\ntasks: [{name: a, run: 'true'}]\n";
  CHECK(ask(http::method::put, pipeline, definition, root).status == 201);
  const auto looks = token_of("looks", "read");
  const auto runs = token_of("runs", "run");
  const auto run = nlohmann::json::parse(
      ask(http::method::post, pipeline + "/runs?wait=30s", "{}", root).body)["id"];
  const auto retry = "/api/v1/runs/" + run.get<std::string>() + "/retry";
  for (int each = 0; each < 20; ++each) {
    CHECK(ask(http::method::post, "/api/v1/validate", definition, looks).status == 200);
    CHECK(ask(http::method::post, "/api/v1/validate", "name: [", looks).status == 200);
    ask(http::method::post, retry, R"({"dry_run": true, "from": "a"})", runs);
    const auto told_of = ask(
        http::method::post, "/api/v1/actors/run/" + run.get<std::string>() + "/status", "{}", root);
    CHECK(told_of.status == 200);
  }
  const auto repeats = audit_trail::same_max + 100;
  for (std::size_t each = 0; each < repeats; ++each) {
    CHECK(ask(http::method::post, pipeline + "/pause", "{}", runs).status < 300);
  }
  CHECK(ask(http::method::post, pipeline + "/resume", "{}", runs).status < 300);
  CHECK(ask(http::method::del, "/api/v1/tokens/looks", {}, root).status == 204);
  served->stop();  // which stores what is left

  serve();
  const auto entries = nlohmann::json::parse(
      ask(http::method::get, "/api/v1/audit?limit=1000", {}, root).body)["entries"];
  std::map<std::string, std::size_t> counts;
  std::string last;
  for (const auto& each : entries) {
    const auto operation = each["operation"].get<std::string>();
    ++counts[operation];
    if (operation == "pause_pipeline" && last.empty()) {
      last = each["target"];  // the newest come first
    }
  }
  CHECK(counts["validate_definition"] == 0);
  CHECK(counts["retry_run"] == 0);
  CHECK(counts["call_actor"] == 0);
  CHECK(counts["pause_pipeline"] == audit_trail::same_max + 1);
  CHECK(last == pipeline + "/pause (the last of 100 in a minute)");
  CHECK(counts["resume_pipeline"] == 1);
  CHECK(counts["revoke_token"] == 1);
  CHECK(counts["make_token"] == 2);
  served->stop();
}

// Goal: a delivery that somebody has seen does not fill the audit when he sends it over and over.
TEST_CASE("of what comes signed, what starts a run is a line of the audit") {
  testing::temporary_folder folder;
  std::mutex mutex;
  std::string lines;
  logs told{log_format::text, spdlog::level::err, [&](std::string_view line) {
              const std::lock_guard lock{mutex};
              lines += line;
            }};
  const auto keys = std::make_shared<const actors::secret_keyring>(
      std::vector<actors::secret_keyring::key>{{1, 2, 3}});
  const auto here = node::open(
      {.data_directory = folder.path / "data", .secrets = {.directory = {}, .keys = keys}});
  REQUIRE(here);
  const std::string root = "root-of-all-tokens-for-this-test-0123456789";
  front served{**here, {*listen_options("127.0.0.1:0", {}), root}, told};
  const auto url = served.start();
  REQUIRE(url);
  const runtime::system_clock clock;
  http::client_options options;
  options.base = *http::parse_url(*url);
  http::client client{options, clock};
  const auto ask = [&](http::method verb, const std::string& target, const std::string& body,
                       const http::header_list& headers) {
    const auto answer = client.send(verb, target, body, headers);
    REQUIRE(answer);
    // The line is written before the answer.
    const std::lock_guard lock{mutex};
    return std::pair{answer->status, std::exchange(lines, {})};
  };
  const http::header_list shown{{"Authorization", "Bearer " + root}};
  const std::string pipeline = "/api/v1/projects/p/pipelines/hooked";
  CHECK(ask(http::method::put, pipeline,
            "name: hooked\ntasks: [{name: a, run: 'true'}]\n"
            "triggers: {webhook: w, signature: {secret: k}, once_for: x}\n",
            shown)
            .first == 201);
  CHECK(ask(http::method::put, "/api/v1/projects/p/secrets/k",
            R"({"value": "0123456789abcdef0123456789abcdef"})", shown)
            .first == 201);
  // openssl dgst -sha256 -hmac of no bytes, by that value
  const http::header_list is_signed{
      {"X-Hub-Signature-256",
       "sha256=796cd3078af14636753d26b3b5555422ff55a3e261cf847b48e95371b9bd0aa2"}};
  const auto target = pipeline + "/webhooks/w";
  const auto [made, line] = ask(http::method::post, target, {}, is_signed);
  CHECK(made == 201);
  CHECK(http::has(line, "who=- from=127.0.0.1 method=POST target=" + target + " status=201 made="));
  const auto [again, none] = ask(http::method::post, target, {}, is_signed);
  CHECK(again == 202);
  CHECK(none.empty());
  served.stop();
}

// Goal: who is not known cannot make a server read a body, and whoever is loses nothing.
TEST_CASE("a body is read once it is known who sends it") {
  testing::temporary_folder folder;
  logs told{log_format::text, spdlog::level::err, [](std::string_view) {}};
  const auto here = node::open({.data_directory = folder.path / "data"});
  REQUIRE(here);
  const std::string root = "root-of-all-tokens-for-this-test-0123456789";
  front served{**here, {*listen_options("127.0.0.1:0", {}), root}, told};
  const auto url = served.start();
  REQUIRE(url);
  const auto port = static_cast<std::uint16_t>(std::stoi(url->substr(url->rfind(':') + 1)));
  const std::string head =
      "POST /api/v1/validate HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Length: 1000000\r\nExpect: 100-continue\r\n";
  for (const std::string& token : {std::string{}, "Authorization: Bearer " + root + "x\r\n",
                                   "Authorization: Basic " + root + "\r\n"}) {
    CAPTURE(token);
    std::string answer;
    do {  // a server that has just started does not know its tokens yet
      http::wire stranger{port};
      stranger.send(head + token + "\r\n");
      answer = stranger.read_answer();
    } while (answer.starts_with("HTTP/1.1 503 "));
    CHECK_MESSAGE(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), answer);
  }
  http::wire known{port};
  known.send(head + "Authorization: Bearer " + root + "\r\n\r\n");
  CHECK(known.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  known.send("name: x\n#" + std::string(1'000'000 - 9, ' '));
  CHECK(known.read_answer().starts_with("HTTP/1.1 200 "));
  http::wire asking{port};
  asking.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + root +
              "\r\nConnection: close\r\n\r\n");
  const auto figures = asking.read_all();
  const std::string name = "\nmillrace_gateway_tokens_age_seconds ";
  const auto at = figures.find(name);
  REQUIRE(at != std::string::npos);
  const auto age = std::stod(figures.substr(at + name.size()));
  CHECK(age >= 0);
  CHECK(age < 60);
  served.stop();
}

TEST_CASE("where others reach it a server wants TLS and tokens, unless that is waived") {
  const auto refusal = [](const std::string& listen, const protection& against) {
    const auto made = listen_options(listen, against);
    return made ? std::string{} : made.error().text();
  };
  for (const auto* mine : {"127.0.0.1:0", "localhost:0", ":0", "[::1]:0", "127.1.2.3:0"}) {
    CAPTURE(mine);
    CHECK(refusal(mine, {}).empty());
  }
  for (const auto* everyone : {"0.0.0.0:8400", "[::]:8400", "10.0.0.7:8400"}) {
    CAPTURE(everyone);
    const auto both = refusal(everyone, {});
    CHECK(http::has(both,
                    "wants TLS (--tls-certificate FILE --tls-key FILE) and tokens (--root-token "
                    "FILE): give it these"));
    CHECK(http::has(both, "or say --insecure"));
    const auto tokens = refusal(everyone, {.has_tls = true});
    CHECK(http::has(tokens, "wants tokens (--root-token FILE): "));
    const auto tls = refusal(everyone, {.has_tokens = true});
    CHECK(http::has(tls, "wants TLS (--tls-certificate FILE --tls-key FILE): "));
    CHECK(refusal(everyone, {.has_tls = true, .has_tokens = true}).empty());
    CHECK(refusal(everyone, {.is_waived = true}).empty());
  }
}

}  // namespace
}  // namespace millrace::gateway::cli
