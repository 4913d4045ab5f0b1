// SPDX-License-Identifier: MIT
// What comes to a webhook: what a run is given of it, and when there is one.
#include <openssl/hmac.h>

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "definition/compiled.h"
#include "fixture.h"
#include "millrace/actors/secret_keyring.h"
#include "millrace/actors/webhook.h"
#include "millrace/secrets.capnp.actor.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::ref;
using schemas::RunState;

namespace {

const std::string webhook_of_one = R"yaml(name: p
params: {commit: {}, first: {type: int}, all: {type: map}, event: {}}
triggers:
  webhook: github
  signature: {secret: github-key}
  when: ${{ trigger.headers.x-github-event == 'push' && trigger.body.deleted != true }}
  params:
    commit: ${{ trigger.body.after }}
    first: ${{ trigger.body.commits.1.id }}
    all: ${{ trigger.body }}
    event: was ${{ trigger.headers.x-github-event }}
  once_for: ${{ trigger.body.after }}
tasks: [{name: a, run: "true"}]
)yaml";

runtime::result<webhook_start> read(const std::string& text, const webhook_request& request) {
  const auto loaded = load_definition(text, "p.yaml");
  for (const auto& each : loaded.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(loaded);
  runtime::message<schemas::CompiledPipeline> compiled;
  compile(*loaded.definition, compiled.build());
  return read_webhook_request(compiled.read().getWebhooks()[0], request);
}

std::string refusal(const std::string& text, const webhook_request& request) {
  const auto told = read(text, request);
  REQUIRE_FALSE(told);
  CHECK(told.error().code() == errc::invalid_argument);
  return told.error().text();
}

// One with a text over `trigger`.
std::string told_of(const std::string& text) {
  return "name: p\nparams: {x: {}}\ntriggers: {webhook: w, params: {x: \"" + text +
         "\"}}\ntasks: [{name: a, run: x}]\n";
}

}  // namespace

TEST_CASE("parts of a body and header fields become parameters") {
  const webhook_request push{R"({"after": "4f2a", "commits": [{"id": 1}, {"id": 7}]})",
                             {{"x-github-event", "push"}, {"content-type", "application/json"}}};
  const auto told = read(webhook_of_one, push);
  REQUIRE_MESSAGE(told, (told ? "" : told.error().text()));
  CHECK(told->starts);
  CHECK(told->params == R"({"all":{"after":"4f2a","commits":[{"id":1},{"id":7}]},"commit":"4f2a",)"
                        R"("event":"was push","first":7})");
  CHECK(told->once_for == "4f2a");
}

TEST_CASE("where `when` is false nothing is looked for, and what is not there is null") {
  for (const webhook_request& other :
       {webhook_request{R"({"zen": "Keep it."})", {{"x-github-event", "ping"}}},
        webhook_request{R"({"deleted": true})", {{"x-github-event", "push"}}},
        webhook_request{R"([])", {}}}) {
    const auto told = read(webhook_of_one, other);
    REQUIRE_MESSAGE(told, (told ? "" : told.error().text()));
    CHECK_FALSE(told->starts);
  }
}

TEST_CASE("what is missing in what comes is told by its name") {
  const std::map<std::string, std::string, std::less<>> push{{"x-github-event", "push"}};
  CHECK(refusal(webhook_of_one, {R"({"commits": [1, {"id": 7}]})", push}) ==
        "params commit: `trigger.body.after` has no value here");
  CHECK(refusal(webhook_of_one, {R"({"after": "x", "commits": [{"id": 7}]})", push}) ==
        "params first: `trigger.body.commits.1.id` has no value here");
  CHECK(refusal(webhook_of_one, {R"({"after": )", push}) ==
        "the body: it is no JSON; have it sent as JSON (application/json), or as text/plain");
  CHECK(refusal(webhook_of_one, {R"({"after": "x", "after": "y"})", push}) ==
        "the body: the key `after` is given twice; have it sent as JSON (application/json), or as "
        "text/plain");
  CHECK(refusal(told_of("${{ trigger.headers.x-no }}"), {}) ==
        "params x: `trigger.headers.x-no` has no value here");
  const auto many =
      "name: p\ntriggers: {webhook: w, once_for: \"${{ trigger.body }}\"}\n"
      "tasks: [{name: a, run: x}]\n";
  CHECK(refusal(many, {std::string(4'097, 'x'), {{"content-type", "text/plain"}}}) ==
        "once_for: it has more than 4096 bytes");
  CHECK(read(many, {std::string(4'096, 'x'), {{"content-type", "Text/plain; charset=utf-8"}}}));
  const auto when =
      "name: p\ntriggers: {webhook: w, when: \"${{ trigger.body }}\"}\n"
      "tasks: [{name: a, run: x}]\n";
  CHECK(refusal(when, {"3", {}}) == "when: `when` must be a bool, not int `3`");
}

TEST_CASE("a body may be a text, or nothing") {
  CHECK(read(told_of("${{ trigger.body }}"), {"a < b", {{"content-type", "text/plain"}}})->params ==
        R"({"x":"a < b"})");
  CHECK(read(told_of("${{ trigger.body }}"), {})->params == R"({"x":null})");
  CHECK(read(told_of("${{ trigger.body.0.1 }}"), {"[[1, 2]]", {}})->params == R"({"x":2})");
  CHECK(read(told_of("${{ trigger.body['a.b']['0'] }}"), {R"({"a.b": {"0": 3}})", {}})->params ==
        R"({"x":3})");
  for (const auto* step : {"2", "-1", "01x", "9999999999999999999999"}) {
    CHECK(refusal(told_of("${{ trigger.body['" + std::string{step} + "'] }}"), {"[1, 2]", {}}) ==
          "params x: `trigger.body." + std::string{step} + "` has no value here");
  }
}

TEST_CASE("what says who asks is told to no definition") {
  for (const auto* name : {"authorization", "proxy-authorization", "cookie"}) {
    CHECK_FALSE(refusal_of_webhook_header(name).empty());
    // Of a definition that an older or a wrong program has let pass.
    runtime::message<schemas::CompiledWebhook> webhook;
    webhook.build().setParams(
        (R"({"x": "${{ trigger.headers.)" + std::string{name} + R"( }}"})").c_str());
    CHECK_FALSE(read_webhook_request(webhook.read(), {{}, {{name, "Bearer x"}}}));
  }
  CHECK(refusal_of_webhook_header("x-github-event").empty());
}

namespace {

const std::string by_webhook =
    "name: p\ntriggers: {webhook: w, signature: {secret: key}}\ntasks: [{name: a, run: 'true'}]\n";

// The run that it starts; empty: none.
runtime::result<std::string> try_to_deliver(node& here, const std::string& once_for,
                                            const std::string& webhook, std::uint32_t version) {
  schemas::pipeline_interface::submit_new_params asked;
  auto made = asked.build();
  made.setParams("{}");
  made.setWebhook(webhook.c_str());
  made.setOnceFor(once_for.c_str());
  made.setVersion(version);
  const auto told =
      here.silo->call(ref<schemas::Pipeline>("default/p").submit_new(std::move(asked)));
  if (!told) {
    return told.error();
  }
  return std::string{told->run()};
}

std::string deliver(node& here, const std::string& once_for, const std::string& webhook = "w") {
  const auto told = try_to_deliver(here, once_for, webhook, 0);
  REQUIRE_MESSAGE(told, (told ? "" : told.error().text()));
  return *told;
}

std::shared_ptr<const secret_keyring> some_keys() {
  return std::make_shared<const secret_keyring>(std::vector<secret_keyring::key>{{1, 2, 3}});
}

void store(node& here, const std::string& name, const std::string& value) {
  const auto sealed = some_keys()->seal(value, {"default", name});
  schemas::secrets_interface::put_params params;
  auto secret = params.build().initSecret();
  secret.setName(name.c_str());
  secret.setSealed({reinterpret_cast<const kj::byte*>(sealed.data()), sealed.size()});
  REQUIRE(here.silo->call(ref<schemas::Secrets>("default").put(std::move(params))));
}

bool verify(node& here, const std::string& name, const std::string& content,
            const std::string& key) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  REQUIRE(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                 reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                 digest.data(), &size) != nullptr);
  std::string signature = "sha256=";
  for (const auto each : digest) {
    signature += "0123456789abcdef"[each >> 4U];
    signature += "0123456789abcdef"[each & 15U];
  }
  schemas::secrets_interface::verify_params params;
  params.build().setName(name.c_str());
  params.build().setContent({reinterpret_cast<const kj::byte*>(content.data()), content.size()});
  params.build().setSignature(signature.c_str());
  const auto told = here.silo->call(ref<schemas::Secrets>("default").verify(std::move(params)));
  REQUIRE(told);
  return told->good();
}

}  // namespace

TEST_CASE("a run tells the webhook that has started it, and only what is new starts one") {
  temporary_folder data;
  {
    node here{data.path};
    here.apply(by_webhook);
    const auto run = deliver(here, "a");
    REQUIRE_FALSE(run.empty());
    CHECK(here.wait(run) == RunState::SUCCEEDED);
    const auto status = here.silo->call(ref<schemas::Run>(run).status());
    REQUIRE(status);
    CHECK(status->run().getWebhook() == "w");
    CHECK(deliver(here, "a").empty());
    CHECK_FALSE(deliver(here, "a", "another").empty());
    CHECK_FALSE(deliver(here, "").empty());
    CHECK_FALSE(deliver(here, "").empty());
    CHECK(deliver(here, "a").empty());  // what has no value has not changed it
  }
  node here{data.path};
  CHECK(deliver(here, "a").empty());
  CHECK_FALSE(deliver(here, "b").empty());
  CHECK(deliver(here, "a").empty());
}

// Goal: what was sent before starts nothing when it comes once more after something else, up to the
// 100th; and nothing is known of a webhook that has gone.
TEST_CASE("of a webhook the newest 100 values are known, and none once it has gone") {
  temporary_folder data;
  node here{data.path};
  here.apply(by_webhook);
  const auto starts = [&](const std::string& once_for) { return !deliver(here, once_for).empty(); };
  CHECK(starts("first"));
  for (int at = 0; at < 99; ++at) {
    CHECK(starts(std::to_string(at)));
  }
  CHECK_FALSE(starts("first"));
  CHECK_FALSE(starts("0"));
  CHECK(starts("the 101st"));
  CHECK_FALSE(starts("0"));
  CHECK_FALSE(starts("the 101st"));
  CHECK(starts("first"));
  CHECK(starts("0"));
  CHECK_FALSE(starts("the 101st"));
  here.apply("name: p\ntriggers: {webhook: v}\ntasks: [{name: a, run: 'true'}]\n");
  here.apply(by_webhook);
  CHECK(starts("the 101st"));
}

// Goal: what was checked by one webhook is not begun by another one of its name.
TEST_CASE("a webhook whose pipeline has changed since it was read starts nothing") {
  temporary_folder data;
  node here{data.path};
  const auto code = [&](std::uint32_t version) -> std::optional<errc> {
    const auto told = try_to_deliver(here, "", "w", version);
    return told ? std::nullopt : std::optional{told.error().code()};
  };
  here.apply(by_webhook);
  const auto read = here.silo->call(ref<schemas::Pipeline>("default/p").webhook("w"));
  REQUIRE(read);
  CHECK(read->version() == 1);
  CHECK(code(1) == std::nullopt);
  here.apply(
      "name: p\ntriggers: {webhook: w, signature: {secret: other}}\n"
      "tasks: [{name: a, run: 'true'}]\n");
  CHECK(code(1) == errc::unavailable);
  CHECK(code(2) == std::nullopt);
}

TEST_CASE("the webhooks of the latest version are there, and no others") {
  temporary_folder data;
  node here{data.path};
  const auto pipeline = ref<schemas::Pipeline>("default/p");
  const auto code = [&](const char* name) -> std::optional<errc> {
    const auto told = here.silo->call(pipeline.webhook(name));
    return told ? std::nullopt : std::optional{told.error().code()};
  };
  CHECK(code("w") == errc::not_found);
  here.apply(by_webhook);
  const auto told = here.silo->call(pipeline.webhook("w"));
  REQUIRE(told);
  CHECK(told->webhook().getSecret() == "key");
  CHECK(code("v") == errc::not_found);
  here.apply("name: p\ntriggers: {webhook: v}\ntasks: [{name: a, run: 'true'}]\n");
  CHECK(code("w") == errc::not_found);
  CHECK(code("v") == std::nullopt);
}

TEST_CASE("what is signed with a secret of the project is known where that is stored") {
  temporary_folder data;
  std::mutex mutex;
  std::vector<std::string> lines;
  pipeline_host_options options;
  options.secrets.keys = some_keys();
  options.log = [&](std::string_view line) {
    const std::lock_guard lock{mutex};
    lines.emplace_back(line);
  };
  node here{data.path, options};
  store(here, "key", "correct horse battery");
  CHECK(verify(here, "key", "content", "correct horse battery"));
  CHECK_FALSE(verify(here, "key", "content", "correct horse battery "));
  CHECK(lines.empty());
  // An empty key is that of no secret.
  CHECK_FALSE(verify(here, "", "content", ""));
  CHECK(lines.empty());
  CHECK_FALSE(verify(here, "none", "content", ""));
  CHECK_FALSE(verify(here, "none", "content", ""));  // one line a minute for each
  const std::lock_guard lock{mutex};
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "secret 'none' of project 'default', which a webhook is signed with: there is none; store "
        "it by `millrace secret set`");
}

TEST_CASE("a silo without the key says why it takes nothing that is signed") {
  temporary_folder data;
  std::vector<std::string> lines;
  pipeline_host_options options;
  options.log = [&](std::string_view line) { lines.emplace_back(line); };
  node here{data.path, options};
  store(here, "key", "correct horse battery");
  CHECK_FALSE(verify(here, "key", "content", "correct horse battery"));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "secret 'key' of project 'default', which a webhook is signed with: this silo has no "
        "--secrets-key FILE");
}

TEST_CASE("a short secret signs nothing, and the log says why") {
  temporary_folder data;
  std::vector<std::string> lines;
  pipeline_host_options options;
  options.secrets.keys = some_keys();
  options.log = [&](std::string_view line) { lines.emplace_back(line); };
  node here{data.path, options};
  store(here, "long", "0123456789abcdef");
  store(here, "short", "0123456789abcde");
  CHECK(verify(here, "long", "content", "0123456789abcdef"));
  CHECK_FALSE(verify(here, "short", "content", "0123456789abcde"));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "secret 'short' of project 'default', which a webhook is signed with: it has less than 16 "
        "bytes, which can be guessed");
}

TEST_CASE("an integer of more than 64 bits, or a NUL in `once_for`, is refused") {
  const auto one = told_of("${{ trigger.body.x }}");
  for (const std::string number :
       {"9223372036854775808", "18446744073709551616", "-9223372036854775809"}) {
    CHECK(refusal(one, {R"({"x": 1, "y": [)" + number + "]}", {}}) ==
          "the body: " + number +
              " is an integer that does not fit into 64 bits; have it sent as a text");
  }
  CHECK(read(one, {R"({"x": 9223372036854775807, "y": 1e30})", {}})->params ==
        R"({"x":9223372036854775807})");
  const std::string once =
      "name: p\ntriggers: {webhook: w, once_for: \"${{ trigger.body }}\"}\n"
      "tasks: [{name: a, run: x}]\n";
  CHECK(refusal(once, {R"("a\u0000b")", {}}) == "once_for: it has a NUL byte");
}

}  // namespace millrace::actors
