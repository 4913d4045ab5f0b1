// SPDX-License-Identifier: MIT
// Many runs by one request.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

#include "gateway/api/served_node.h"

namespace millrace::gateway {
namespace {

constexpr const char* pipeline = "/api/v1/projects/p/pipelines/hello";
constexpr const char* batch = "/api/v1/projects/p/pipelines/hello/runs:batch";

// A node with the pipeline `hello`, and what it answers, line by line.
class batch_node : public served_node {
public:
  batch_node() { ask(method::put, pipeline, 201, hello); }

  std::vector<json> lines(const std::string& body, const http::header_list& headers = {}) {
    const auto answer = send(method::post, batch, body, headers);
    CHECK(answer.status == 200);
    CHECK(answer.headers.find("Content-Type") == "application/x-ndjson");
    std::vector<json> all;
    for (std::string_view text = answer.body; !text.empty();) {
      const auto line = text.substr(0, text.find('\n'));
      REQUIRE(line.size() < text.size());
      all.push_back(json::parse(line));
      text.remove_prefix(line.size() + 1);
    }
    return all;
  }
  std::size_t run_count() {
    return ask(method::get, std::string{pipeline} + "/runs?limit=1000", 200)["runs"].size();
  }
};

TEST_CASE("each line is a run or a mistake, and is answered in its place") {
  batch_node here;
  const auto told = here.lines(
      "{\"params\": {\"who\": \"a\"}, \"labels\": {\"of\": \"b\"}}\n"
      "\n"
      "{\"params\": {\"nope\": 1}}\r\n"
      "[]\n"
      "{\"params\": {\"who\": 'x'}}\n"
      "{}");
  REQUIRE(told.size() == 5);
  CHECK(told[0].size() == 3);
  CHECK(told[0]["line"] == 1);
  CHECK(told[0]["version"] == 1);
  const auto run = here.ask(method::get, "/api/v1/runs/" + told[0]["id"].get<std::string>(), 200);
  CHECK(run["params"]["who"] == "a");
  CHECK(run["labels"][0]["value"] == "b");
  CHECK(told[1].size() == 2);
  CHECK(told[1]["line"] == 3);
  CHECK(told[1]["error"]["detail"] == "the pipeline has no parameter `nope`");
  CHECK(told[1]["error"]["code"] == "invalid_argument");
  CHECK(told[1]["error"]["status"] == 400);
  CHECK(told[2]["line"] == 4);
  CHECK(told[2]["error"]["detail"].get<std::string>().find("JSON object") != std::string::npos);
  CHECK(told[3]["line"] == 5);
  CHECK(told[3]["error"]["detail"].get<std::string>().starts_with("not JSON: 1:"));
  CHECK(told[4]["line"] == 6);
  CHECK(told[4].contains("id"));
  CHECK(here.run_count() == 2);
}

TEST_CASE("a batch with an idempotency key is submitted once, and so is a line with one") {
  batch_node here;
  const std::string body = "{\"params\": {\"who\": \"a\"}}\n{\"idempotency_key\": \"own\"}\n{}\n";
  const auto first = here.lines(body, {{"Idempotency-Key", "k"}});
  CHECK(here.lines(body, {{"Idempotency-Key", "k"}}) == first);
  CHECK(here.run_count() == 3);
  const auto other = here.lines(body, {{"Idempotency-Key", "l"}});
  CHECK(other[0]["id"] != first[0]["id"]);
  CHECK(other[1]["id"] == first[1]["id"]);
  const auto changed = here.lines("{\"params\": {\"who\": \"b\"}}", {{"Idempotency-Key", "k"}});
  CHECK(changed.at(0)["error"]["code"] == "conflict");
  CHECK(changed.at(0)["error"]["status"] == 422);
  CHECK(here.run_count() == 5);
}

TEST_CASE("what is no batch is refused as a whole") {
  batch_node here;
  const auto refused = [&](int status, const std::string& body,
                           const http::header_list& headers = {}) {
    return here.ask(method::post, batch, status, body, headers)["detail"].get<std::string>();
  };
  CHECK(refused(400, "").starts_with("the body needs a line for each run"));
  CHECK(refused(400, "\n \n").starts_with("the body needs a line for each run"));
  std::string many;
  for (int line = 0; line < 10'001; ++line) {
    many += "{}\n";
  }
  CHECK(refused(413, many) ==
        "the body has more than 10000 lines, which is the most that one request submits");
  CHECK(refused(400, "{}", {{"Idempotency-Key", std::string(191, 'k')}}) ==
        "the Idempotency-Key of a batch is at most 190 bytes");
  CHECK(here.run_count() == 0);
  CHECK(here.ask(method::post, "/api/v1/projects/p/pipelines/nope/runs:batch", 404,
                 "{}\n{}")["code"] == "not_found");
}

// Goal: refusals come at once, which must neither stop others nor recurse.
TEST_CASE("thousands of refused lines are answered one by one, and a long one is not read") {
  batch_node here;
  std::string body = "{\"params\": {\"who\": \"" + std::string(300'000, 'x') + "\"}}\n";
  for (int line = 0; line < 5'000; ++line) {
    body += "[]\n";
  }
  const auto told = here.lines(body + "{}\n");
  REQUIRE(told.size() == 5'002);
  CHECK(told[0]["error"]["detail"].get<std::string>().find("one of a batch has at most 262144") !=
        std::string::npos);
  for (std::size_t at = 1; at <= 5'000; ++at) {
    CHECK(told[at]["error"]["code"] == "invalid_argument");
  }
  CHECK(told[5'001]["line"] == 5'002);
  CHECK(told[5'001].contains("id"));
}

TEST_CASE("a thousand lines are a thousand runs") {
  batch_node here;
  std::string body;
  for (int line = 0; line < 1000; ++line) {
    body += "{\"params\": {\"who\": \"" + std::to_string(line) + "\"}}\n";
  }
  const auto told = here.lines(body);
  REQUIRE(told.size() == 1000);
  std::set<std::string> ids;
  for (std::size_t at = 0; at < told.size(); ++at) {
    CHECK(told[at]["line"] == at + 1);
    ids.insert(told[at].value("id", ""));
  }
  CHECK(ids.size() == 1000);
  CHECK(here.run_count() == 1000);
}

// A client whose line is full when the test says so.
class slow_client final : public http::responder,
                          public http::stream_sink,
                          public std::enable_shared_from_this<slow_client> {
public:
  explicit slow_client(std::size_t full_after) : full_after_(full_after) {}

  std::size_t wait_for(std::size_t lines) {
    std::unique_lock lock{mutex_};
    CHECK(changed_.wait_for(lock, std::chrono::seconds{60}, [&] { return lines_ >= lines; }));
    return lines_;
  }
  void drain() {
    {
      const std::lock_guard lock{mutex_};
      full_after_ = SIZE_MAX;
    }
    drained_();
  }
  void leave() { closed_(); }
  bool ended() {
    const std::lock_guard lock{mutex_};
    return ended_;
  }

private:
  void complete(http::response) override {}
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    return shared_from_this();
  }
  http::write_status write(std::string_view piece) override {
    const std::lock_guard lock{mutex_};
    lines_ += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '\n'));
    changed_.notify_all();
    return lines_ >= full_after_ ? http::write_status::full : http::write_status::ok;
  }
  void close() override {
    const std::lock_guard lock{mutex_};
    ended_ = true;
  }
  void cut() override { close(); }
  void on_closed(http::task callback) override { closed_ = std::move(callback); }
  void on_drained(std::function<void()> callback) override { drained_ = std::move(callback); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t full_after_;
  std::size_t lines_ = 0;
  bool ended_ = false;
  http::task closed_;
  std::function<void()> drained_;
};

http::request batch_of(std::size_t lines) {
  http::request made;
  made.method = method::post;
  REQUIRE(made.set_target(batch));
  for (std::size_t line = 0; line < lines; ++line) {
    made.body += "{}\n";
  }
  return made;
}

TEST_CASE("a client that lags is waited for, and for one that has left nothing more is begun") {
  batch_node here;
  constexpr std::size_t all = 500;
  constexpr std::size_t under_way_max = 32;
  auto client = std::make_shared<slow_client>(10);
  auto asked = batch_of(all);
  here.handle(asked, http::reply{client});
  client->wait_for(10);
  // Everything that was begun by then has been answered once another run has been.
  SUBCASE("lags") {
    REQUIRE(here.finished_run("hello") != "");
    CHECK(here.run_count() <= 10 + under_way_max + 1);
    CHECK_FALSE(client->ended());
    client->drain();
    client->wait_for(all);
    CHECK(here.run_count() == all + 1);
  }
  SUBCASE("leaves") {
    client->leave();
    client->drain();
    REQUIRE(here.finished_run("hello") != "");
    CHECK(here.run_count() <= 10 + under_way_max + 1);
  }
}

}  // namespace
}  // namespace millrace::gateway
