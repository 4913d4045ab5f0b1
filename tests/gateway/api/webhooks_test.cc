// SPDX-License-Identifier: MIT
// Webhooks over a socket: who may start what by them, and what they are answered.
#include <memory>
#include <string>
#include <vector>

#include "gateway/api/served_node.h"
#include "gateway/http/webhook_signature.h"
#include "gateway/http/wire.h"

namespace millrace::gateway {
namespace {

const std::string root = "root-of-all-tokens-for-these-tests-0123456789";
const std::string key = "the-key-of-the-hook";
const std::string here = "/api/v1/projects/p/pipelines/hooked/webhooks/";

const std::string hooked = R"yaml(name: hooked
params: {commit: {}}
triggers:
  - webhook: github
    signature: {secret: hook-key}
    when: ${{ trigger.headers.x-github-event == 'push' }}
    params: {commit: "${{ trigger.body.after }}"}
  - {webhook: open, params: {commit: "${{ trigger.body }}"}}
tasks: [{name: a, run: "true"}]
)yaml";

std::string signature_of(const std::string& body, const std::string& by = key) {
  return http::webhook_signature(body, by);
}

class hooked_node : public served_node {
public:
  explicit hooked_node(const std::string& token = root,
                       request_rates rates = {.a_second = 0, .wrong_tokens = 100'000})
      : served_node{executor::own, token, rates},
        shown_(token.empty() ? http::header_list{}
                             : http::header_list{{"Authorization", "Bearer " + token}}) {
    ask(method::put, "/api/v1/projects/p/pipelines/hooked", 201, hooked, shown_);
    CHECK(send(method::put, "/api/v1/projects/p/secrets/hook-key", R"({"value": ")" + key + R"("})",
               shown_)
              .status == 201);
  }

  http::client_response deliver(const std::string& body, const std::string& signature,
                                const http::header_list& more = {},
                                const std::string& webhook = "github") {
    http::header_list headers{{"X-GitHub-Event", "push"}};
    if (!signature.empty()) {
      headers.add("X-Hub-Signature-256", signature);
    }
    for (std::size_t at = 0; at < more.size(); ++at) {
      headers.add(more.at(at).name, more.at(at).value);
    }
    return send(method::post, here + webhook, body, headers);
  }
  json runs() {
    return ask(method::get, "/api/v1/projects/p/pipelines/hooked/runs", 200, {}, shown_)["runs"];
  }
  const http::header_list& shown() const { return shown_; }

private:
  http::header_list shown_;
};

TEST_CASE("what is signed starts a run that is given parts of it, without a token") {
  hooked_node served;
  const std::string body = R"({"after": "4f2a"})";
  const auto told = served.deliver(body, signature_of(body));
  REQUIRE(told.status == 201);
  const std::string run = json::parse(told.body)["id"];
  CHECK(told.headers.find("Location") == "/api/v1/runs/" + run);
  const auto shown = served.ask(method::get, "/api/v1/runs/" + run, 200, {}, served.shown());
  CHECK(shown["params"] == json{{"commit", "4f2a"}});
  CHECK(shown["webhook"] == "github");
  CHECK(shown["triggered_by"] == "");
}

TEST_CASE("a wrong signature is answered as what is not there, and starts nothing") {
  hooked_node served;
  const std::string body = R"({"after": "4f2a"})";
  const auto good = signature_of(body);
  const auto detail = [](const http::client_response& told) {
    CHECK(told.status == 401);
    return json::parse(told.body)["detail"].get<std::string>();
  };
  const auto wrong = detail(served.deliver(body, signature_of(body, "another key")));
  CHECK(detail(served.deliver(body + " ", good)) == wrong);
  CHECK(detail(served.deliver(body, "sha256=")) == wrong);
  CHECK(detail(served.deliver(body, good, {}, "none")) == wrong);
  CHECK(detail(served.deliver(body, good, {}, "open")) == wrong);
  const auto elsewhere = served.send(method::post, "/api/v1/projects/q/pipelines/x/webhooks/github",
                                     body, {{"X-Hub-Signature-256", good}});
  CHECK(detail(elsewhere) == wrong);
  // Nor does the signature of a secret that is not there any more open anything.
  CHECK(
      served.send(method::del, "/api/v1/projects/p/secrets/hook-key", {}, served.shown()).status ==
      204);
  CHECK(detail(served.deliver(body, good)) == wrong);
  CHECK(detail(served.deliver(body, signature_of(body, ""))) == wrong);
  CHECK(served.runs().empty());
}

TEST_CASE("a token is no signature, and a webhook without one wants a token") {
  hooked_node served;
  CHECK(served.deliver("{}", {}).status == 401);
  const auto told = served.deliver("{}", {}, served.shown());
  CHECK(told.status == 401);
  CHECK(json::parse(told.body)["detail"] ==
        "the webhook 'github' takes only what is signed: send X-Hub-Signature-256");
  CHECK(served.deliver("\"x\"", {}, {}, "open").status == 401);
  CHECK(served.deliver("\"x\"", {}, served.shown(), "open").status == 201);
  CHECK(served.deliver("\"x\"", {}, served.shown(), "none").status == 404);
  CHECK(served.runs().size() == 1);
}

TEST_CASE("a server that asks nobody for a token asks for the signature still") {
  hooked_node served{{}};
  const std::string body = R"({"after": "4f2a"})";
  CHECK(served.deliver(body, {}).status == 401);
  CHECK(served.deliver(body, "sha256=00").status == 401);
  CHECK(served.deliver(body, signature_of(body)).status == 201);
  CHECK(served.deliver("\"x\"", {}, {}, "open").status == 201);
  CHECK(served.deliver("\"x\"", "sha256=00", {}, "open").status == 201);
  CHECK(served.deliver(body, signature_of(body), {}, "none").status == 404);
}

TEST_CASE("what is delivered again starts nothing again") {
  hooked_node served;
  const std::string body = R"({"after": "4f2a"})";
  const http::header_list first{{"X-GitHub-Delivery", "72d3162e"}};
  const auto once = served.deliver(body, signature_of(body), first);
  const auto again = served.deliver(body, signature_of(body), first);
  CHECK(once.status == 201);
  CHECK(again.body == once.body);
  CHECK(served.runs().size() == 1);
  // A key of the client's own goes before it; another one is another delivery.
  const http::header_list named{{"X-GitHub-Delivery", "72d3162e"}, {"Idempotency-Key", "mine"}};
  const auto other = served.deliver(body, signature_of(body), named);
  CHECK(other.status == 201);
  CHECK(other.body != once.body);
  CHECK(served.runs().size() == 2);
  // The same name for something else.
  const std::string changed = R"({"after": "5b"})";
  CHECK(served.deliver(changed, signature_of(changed), first).status == 422);
  // What has been refused has not been taken.
  const std::string bad = R"({"before": "5b"})";
  const http::header_list third{{"X-GitHub-Delivery", "third"}};
  CHECK(served.deliver(bad, signature_of(bad), third).status == 400);
  CHECK(served.deliver(changed, signature_of(changed), third).status == 201);
}

TEST_CASE("what starts nothing is told so") {
  hooked_node served;
  const std::string body = R"({"zen": "Keep it."})";
  const auto ping =
      served.send(method::post, here + "github", body,
                  {{"X-GitHub-Event", "ping"}, {"X-Hub-Signature-256", signature_of(body)}});
  CHECK(ping.status == 202);
  CHECK(json::parse(ping.body) == json{{"started", false}, {"reason", "`when` is false"}});
  const auto bad = served.deliver(body, signature_of(body));
  CHECK(bad.status == 400);
  CHECK(json::parse(bad.body)["detail"] == "params commit: `trigger.body.after` has no value here");
  const std::string form = "payload=%7B%7D";
  CHECK(served.deliver(form, signature_of(form)).status == 400);
  CHECK(served.runs().empty());
}

TEST_CASE("a paused pipeline keeps what comes until it is resumed") {
  hooked_node served;
  const std::string pipeline = "/api/v1/projects/p/pipelines/hooked";
  served.ask(method::post, pipeline + "/pause", 202, {}, served.shown());
  const std::string body = R"({"after": "4f2a"})";
  const std::string run = json::parse(served.deliver(body, signature_of(body)).body)["id"];
  CHECK(served.ask(method::get, "/api/v1/runs/" + run, 200, {}, served.shown())["state"] ==
        "queued");
  served.ask(method::post, pipeline + "/resume", 202, {}, served.shown());
  CHECK(served.ask(method::get, "/api/v1/runs/" + run + "?wait=50s", 200, {},
                   served.shown())["state"] == "succeeded");
}

TEST_CASE("of what is signed 1 MiB is read") {
  hooked_node served;
  const std::string text(std::size_t{1} << 20U, 'x');
  const http::header_list plain{{"Content-Type", "text/plain"}};
  // Its `params` want a part of it: it has been read.
  CHECK(served.deliver(text, signature_of(text), plain).status == 400);
  CHECK(served.deliver(text + "x", signature_of(text + "x"), plain).status == 413);
  // Another path, or another method: of nobody no body is read.
  CHECK(served
            .send(method::post, "/api/v1/projects/p/pipelines/hooked/runs", text,
                  {{"X-Hub-Signature-256", "sha256="}})
            .status == 401);
  CHECK(served.send(method::put, here + "github", text, {{"X-Hub-Signature-256", "sha256="}})
            .status == 401);
}

TEST_CASE("wrong signatures are wrong tokens: an address has so many of them") {
  hooked_node served{root, {.a_second = 0, .wrong_tokens = 3}};
  for (int at = 0; at < 3; ++at) {
    CHECK(served.deliver("{}", "sha256=00").status == 401);
  }
  const auto told = served.deliver("{}", "sha256=00");
  CHECK(told.status == 429);
  CHECK(told.headers.find("Retry-After").has_value());
  const std::string body = R"({"after": "4f2a"})";
  CHECK(served.deliver(body, signature_of(body)).status == 201);
}

TEST_CASE("an address sends so many signed requests a second") {
  hooked_node served{root, {.a_second = 1, .wrong_tokens = 100'000}};
  int limited = 0;
  for (int at = 0; at < 20; ++at) {
    limited += served.deliver("{}", "sha256=00").status == 429 ? 1 : 0;
  }
  CHECK(limited > 0);
}

// The head of a delivery whose body is on its way.
std::string half(const std::string& path = here + "github") {
  return "POST " + path +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
         "Expect: 100-continue\r\nX-Hub-Signature-256: sha256=00\r\n\r\n";
}

// Goal: one address does not have all places in which strangers are read.
TEST_CASE("of an address eight strangers are in hand, while their bodies are read too") {
  hooked_node served;
  std::vector<std::unique_ptr<http::wire>> slow;
  for (int at = 0; at < strangers_of_address_max; ++at) {
    slow.push_back(std::make_unique<http::wire>(served.port()));
    slow.back()->send(half());
    CHECK(slow.back()->read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  }
  http::wire more{served.port()};
  more.send(half());
  CHECK(more.read_answer().starts_with("HTTP/1.1 429 "));
  // A small one comes with its header.
  const std::string body = R"({"after": "4f2a"})";
  const auto refused = served.deliver(body, signature_of(body));
  CHECK(refused.status == 429);
  CHECK(refused.headers.find("Retry-After") == "1");
  CHECK(served.send(method::post, "/api/v1/callbacks/x").status == 429);
  CHECK(served.deliver("\"x\"", {}, served.shown(), "open").status == 201);
  slow.front()->send(std::string(1'000'000, 'x'));
  const auto unsigned_one = slow.front()->read_answer();
  CAPTURE(unsigned_one);
  CHECK(unsigned_one.starts_with("HTTP/1.1 401 "));
  CHECK(served.deliver(body, signature_of(body)).status == 201);
}

TEST_CASE("what no webhook can be meant by is not read, and keeps no place") {
  hooked_node served;
  for (int at = 0; at < 2 * strangers_of_address_max; ++at) {
    http::wire other{served.port()};
    other.send(half("/api/v2/projects/p/pipelines/hooked/webhooks/github"));
    CHECK(other.read_answer().starts_with("HTTP/1.1 401 "));
  }
  std::vector<std::unique_ptr<http::wire>> open;
  for (int at = 0; at < 2 * strangers_of_address_max; ++at) {
    open.push_back(std::make_unique<http::wire>(served.port()));
    open.back()->send(half("/api/v1/projects//pipelines/hooked/webhooks/github"));
    CHECK(open.back()->read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    open.back()->send(std::string(1'000'000, 'x'));
    CHECK(open.back()->read_answer().starts_with("HTTP/1.1 404 "));
  }
}

TEST_CASE("two signatures are a wrong one") {
  hooked_node served;
  const std::string body = R"({"after": "4f2a"})";
  const auto good = signature_of(body);
  CHECK(served.deliver(body, good, {{"X-Hub-Signature-256", good}}).status == 401);
  CHECK(served.runs().empty());
}

// Goal: what somebody has seen starts nothing when he sends it again under no name or a long one.
TEST_CASE("a body without a name is told by itself, and a name may have 200 bytes") {
  hooked_node served;
  const std::string body = R"({"after": "4f2a"})";
  const auto once = served.deliver(body, signature_of(body));
  CHECK(once.status == 201);
  CHECK(served.deliver(body, signature_of(body)).body == once.body);
  CHECK(served.runs().size() == 1);
  const http::header_list named{{"Idempotency-Key", std::string(200, 'k')}};
  const auto other = served.deliver(body, signature_of(body), named);
  CHECK(other.status == 201);
  CHECK(other.body != once.body);
  CHECK(served.deliver(body, signature_of(body), named).body == other.body);
  CHECK(served.deliver(body, signature_of(body), {{"Idempotency-Key", std::string(201, 'k')}})
            .status == 400);
  // With a token whoever sends it is known, and may mean it.
  CHECK(served.deliver("\"x\"", {}, served.shown(), "open").status == 201);
  CHECK(served.deliver("\"x\"", {}, served.shown(), "open").status == 201);
  CHECK(served.runs().size() == 4);
}

TEST_CASE("no submission has the key of a delivery") {
  hooked_node served;
  const auto told =
      served.send(method::post, "/api/v1/projects/p/pipelines/hooked/runs:batch",
                  "{\"idempotency_key\": \"\\u0001webhook/github/key/00\"}\n", served.shown());
  CHECK(told.body.find("/idempotency_key: it has a control character") != std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
