// SPDX-License-Identifier: MIT
// Traces of a cluster of processes, as a collector of OpenTelemetry gets them.
#include <doctest/doctest.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "http/client.h"
#include "http/identity.h"
#include "http/server.h"
#include "process.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;
using gateway::http::client;
using gateway::http::client_response;
using gateway::http::method;
using nlohmann::json;

struct told_span {
  std::string instance;
  std::string trace;
  std::string id;
  std::string parent;  // empty: none
  std::string name;
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::map<std::string, std::string> attributes;
  bool has_failed = false;
  std::string failure;
};

std::string text_of(const json& value) {
  return value.contains("stringValue") ? value["stringValue"].get<std::string>()
                                       : value["intValue"].get<std::string>();
}

// What `millrace pki` makes of a server that is reached at 127.0.0.1, in a directory of its own.
runtime::tls_files certificate_in(const std::string& directory) {
  REQUIRE(millrace({"pki", "init", "--directory", directory}).status == 0);
  REQUIRE(millrace({"pki", "issue", "--directory", directory, "--gateway", "collector", "--address",
                    "127.0.0.1"})
              .status == 0);
  return {{}, directory + "/gateway.collector.pem", directory + "/gateway.collector.key"};
}

gateway::http::server_options shown(const runtime::tls_files& files) {
  auto made = gateway::http::identity::open(files, {});
  REQUIRE(made);
  gateway::http::server_options options;
  options.tls = *std::move(made);
  return options;
}

// Takes spans as a collector does, but refuses the first request, unless there is TLS.
class collector {
public:
  explicit collector(const gateway::http::server_options& options = {})
      : is_first_(!options.tls),
        server_(
            options, [this](auto& asked, auto answer) { take(asked, std::move(answer)); }, clock_) {
    const auto port = server_.start();
    REQUIRE(port);
    url_ = (options.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(*port);
  }
  collector(const collector&) = delete;
  collector& operator=(const collector&) = delete;
  ~collector() { server_.stop(0ms); }

  [[nodiscard]] const std::string& url() const { return url_; }

  // Of one trace, by id. Requires: who tells of them has ended.
  std::map<std::string, told_span> of(const std::string& trace) {
    const std::lock_guard lock{mutex_};
    std::map<std::string, told_span> all;
    for (const auto& each : spans_) {
      if (each.trace == trace) {
        CHECK_MESSAGE(!all.contains(each.id), each.name);
        all.emplace(each.id, each);
      }
    }
    return all;
  }
  std::size_t count() {
    const std::lock_guard lock{mutex_};
    return spans_.size();
  }

private:
  void take(gateway::http::request& asked, gateway::http::reply answer) {
    const auto body = json::parse(asked.body);
    const std::lock_guard lock{mutex_};
    if (std::exchange(is_first_, false)) {
      auto busy = gateway::http::json(503, "{}");
      busy.headers.add("Retry-After", "1");
      answer.send(std::move(busy));
      return;
    }
    for (const auto& from : body["resourceSpans"]) {
      std::map<std::string, std::string> whose;
      for (const auto& each : from["resource"]["attributes"]) {
        whose[each["key"]] = text_of(each["value"]);
      }
      CHECK(whose["service.name"] == "millrace");
      CHECK_FALSE(whose["service.version"].empty());
      for (const auto& each : from["scopeSpans"][0]["spans"]) {
        add(whose["service.instance.id"], each);
      }
    }
    answer.send(gateway::http::json(200, "{}"));
  }
  void add(const std::string& instance, const json& from) {
    told_span made{.instance = instance,
                   .trace = from["traceId"],
                   .id = from["spanId"],
                   .parent = from.value("parentSpanId", ""),
                   .name = from["name"],
                   .start = std::stoll(from["startTimeUnixNano"].get<std::string>()),
                   .end = std::stoll(from["endTimeUnixNano"].get<std::string>()),
                   .attributes = {},
                   .failure = {}};
    for (const auto& each : from["attributes"]) {
      made.attributes[each["key"]] = text_of(each["value"]);
    }
    if (from.contains("status")) {
      made.has_failed = from["status"]["code"] == 2;
      made.failure = from["status"]["message"];
    }
    spans_.push_back(std::move(made));
  }

  std::mutex mutex_;
  bool is_first_;
  std::vector<told_span> spans_;
  const runtime::system_clock clock_;
  gateway::http::server server_;
  std::string url_;
};

std::string url_in(const std::string& printed) {
  const auto begin = printed.find("http://");
  return printed.substr(begin, printed.find_first_of(" \n;,", begin) - begin);
}

client_response ask(const std::string& url, method verb, const std::string& target,
                    const std::string& body = {}, const gateway::http::header_list& more = {}) {
  const runtime::system_clock clock;
  gateway::http::client_options options;
  options.base = *gateway::http::parse_url(url);
  options.timeout = 60s;
  auto answer = client{options, clock}.send(verb, target, body, more);
  REQUIRE_MESSAGE(answer, (answer ? "" : answer.error().text()));
  return *std::move(answer);
}

constexpr const char* pipelines = "/api/v1/projects/default/pipelines/";
constexpr const char* trace = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr const char* caller = "00f067aa0ba902b7";

// Everything of `all` whose name begins so.
std::vector<told_span> named(const std::map<std::string, told_span>& all, const std::string& name) {
  std::vector<told_span> found;
  for (const auto& [id, each] : all) {
    if (each.name.starts_with(name)) {
      found.push_back(each);
    }
  }
  return found;
}

// Whether `below` hangs, over any number of others, under `above`.
bool hangs_under(const std::map<std::string, told_span>& all, const told_span& below,
                 const std::string& above) {
  for (auto parent = below.parent; !parent.empty();) {
    if (parent == above) {
      return true;
    }
    const auto found = all.find(parent);
    parent = found == all.end() ? "" : found->second.parent;
  }
  return false;
}

// Goal: one trace tells what a request set going, on whatever silo, and a task knows its place.
// Method: a request with a traceparent starts a run of eight tasks that sleep, so that several
// executors have some; one of them fails first. The collector is asked when the cluster has ended.
TEST_CASE("the spans of a run across silos are one trace, from the request to the commands") {
  temporary_folder folder;
  collector there;
  background_command cluster{{"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--slots", "2",
                              "--data", (folder.path / "d").string(), "--trace-to", there.url()}};
  cluster.read_until("silo c pid ");
  cluster.read_until("\n");
  const auto url = url_in(cluster.printed());
  REQUIRE(millrace({"cluster", "health", "--wait", "1m", "--server", url}).status == 0);
  const auto once = (folder.path / "once").string();
  const auto places = (folder.path / "places").string();
  const std::string definition =
      "name: nightly\nworkspace: task\ntasks:\n"
      "  - name: many\n    matrix: {n: [1, 2, 3, 4, 5, 6]}\n    run: sleep 0.3; echo $TRACEPARENT "
      ">> " +
      places +
      "\n"
      "  - {name: flaky, retry: {max_attempts: 2, delay: 10ms}, run: 'test -e " +
      once + " || { touch " + once +
      "; exit 3; }'}\n"
      "  - {name: bad, run: exit 4}\n";
  REQUIRE(ask(url, method::put, std::string{pipelines} + "nightly", definition).status == 201);
  const auto submitted =
      ask(url, method::post, std::string{pipelines} + "nightly/runs?wait=50s", "{}",
          {{"traceparent", std::string{"00-"} + trace + "-" + caller + "-01"}});
  CHECK(submitted.status == 201);
  CHECK(submitted.headers.find("X-Request-Id") == trace);
  const auto shown = json::parse(submitted.body);
  const std::string run =
      shown.contains("run") && shown["run"].is_string() ? shown["run"] : shown["id"];
  const auto status = json::parse(ask(url, method::get, "/api/v1/runs/" + run).body);
  CHECK_MESSAGE(status["trace_id"] == trace, status.dump());
  CHECK(status["state"] == "failed");
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);

  const auto all = there.of(trace);
  const auto requests = named(all, "POST /api/v1/projects/{project}/pipelines/{name}/runs");
  REQUIRE(requests.size() == 1);
  const auto& request = requests[0];
  CHECK(request.parent == caller);
  CHECK(request.instance == "gateway");
  CHECK(request.attributes.at("http.response.status_code") == "201");
  CHECK_FALSE(request.has_failed);

  // The gateway's call, and the silo that serves it.
  const auto calls = named(all, "pipeline/submit_new");
  REQUIRE(calls.size() == 2);
  const auto& sent = calls[0].instance == "gateway" ? calls[0] : calls[1];
  const auto& served = calls[0].instance == "gateway" ? calls[1] : calls[0];
  CHECK(sent.parent == request.id);
  CHECK(served.parent == sent.id);
  CHECK(served.instance != "gateway");
  CHECK(sent.attributes.at("server.address") == served.instance);

  const auto runs = named(all, "run nightly");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].parent == served.id);
  CHECK(hangs_under(all, runs[0], request.id));
  CHECK(runs[0].instance != "gateway");
  CHECK(runs[0].has_failed);
  CHECK(runs[0].attributes.at("cicd.pipeline.run.id") == run);
  CHECK(runs[0].attributes.at("cicd.pipeline.result") == "failure");
  CHECK(request.start <= runs[0].start);

  const auto attempts = named(all, "attempt ");
  REQUIRE(attempts.size() == 9);  // one was repeated
  std::map<std::string, std::multiset<std::string>> results;
  for (const auto& each : attempts) {
    CHECK(each.parent == runs[0].id);
    CHECK(each.instance == runs[0].instance);  // they share a partition
    CHECK(each.start >= runs[0].start);
    CHECK(each.end <= runs[0].end);
    const auto result = each.attributes.at("cicd.pipeline.task.run.result");
    CHECK(each.has_failed == (result != "success"));
    results[each.attributes.at("cicd.pipeline.task.name")].insert(result);
  }
  CHECK(results["many"].count("success") == 6);
  CHECK(results["flaky"] == std::multiset<std::string>{"failure", "success"});
  CHECK(results["bad"] == std::multiset<std::string>{"failure"});

  const auto commands = named(all, "command");
  REQUIRE(commands.size() == attempts.size());
  std::set<std::string> executors;
  for (const auto& each : commands) {
    REQUIRE(all.contains(each.parent));
    const auto& attempt = all.at(each.parent);
    CHECK(attempt.name.starts_with("attempt "));
    CHECK(attempt.attributes.at("millrace.executor") == each.instance);
    CHECK(each.start >= attempt.start);
    CHECK(each.end <= attempt.end);
    executors.insert(each.instance);
  }
  CHECK(executors.size() > 1);

  std::ifstream told{places};
  std::size_t places_told = 0;
  for (std::string line; std::getline(told, line); ++places_told) {
    REQUIRE(line.size() == 55);
    CHECK(line.substr(0, 36) == std::string{"00-"} + trace + "-");
    CHECK(line.substr(52) == "-01");
    const auto place = all.find(line.substr(36, 16));
    REQUIRE(place != all.end());
    CHECK(place->second.name == "attempt many");
  }
  CHECK(places_told == 6);
}

// Goal: without a collector all goes on as ever, and a trace is passed on all the same.
TEST_CASE("a collector that is not there holds up nothing, and is told of") {
  temporary_folder folder;
  std::string gone;
  {
    const collector there;
    gone = there.url();
  }
  const auto place = (folder.path / "place").string();
  background_command server{{"dev", "--listen", "127.0.0.1:0", "--data",
                             (folder.path / "d").string(), "--trace-to", gone}};
  server.read_until("serving on ");
  server.read_until("\n");
  const auto url = url_in(server.said());
  REQUIRE(ask(url, method::put, std::string{pipelines} + "p",
              "name: p\ntasks:\n  - {name: a, run: echo $TRACEPARENT > " + place + "}\n")
              .status == 201);
  const auto submitted = ask(url, method::post, std::string{pipelines} + "p/runs?wait=50s", "{}");
  CHECK(submitted.status == 201);
  const std::string id{submitted.headers.find("X-Request-Id").value_or("")};
  CHECK(id.size() == 32);
  std::string told;
  std::getline(std::ifstream{place}, told);
  CHECK(told.starts_with("00-" + id + "-"));
  CHECK(told.ends_with("-01"));
  const auto missing = ask(url, method::get, "/api/v1/runs/none");
  CHECK(missing.status == 404);
  CHECK(json::parse(missing.body)["trace_id"] == missing.headers.find("X-Request-Id"));
  const auto waiting = [&] {
    const auto figures = ask(url, method::get, "/metrics").body;
    return figures.find("millrace_gateway_trace_requests_failed_total 0\n") == std::string::npos &&
           figures.find("millrace_gateway_trace_spans_waiting 0\n") == std::string::npos;
  };
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (!waiting()) {
    REQUIRE(std::chrono::steady_clock::now() < until);
  }
  server.interrupt();
  const auto ended = server.wait();
  CHECK(ended.status == 0);
  CHECK_MESSAGE(ended.errors.find("spans were dropped count=") != std::string::npos, ended.errors);
}

// Goal: spans go only to a collector whose authority is the one that was named.
TEST_CASE("a collector behind TLS gets spans if its authority is trusted, else the log says why") {
  temporary_folder folder;
  const auto ours = (folder.path / "ours").string();
  const auto others = (folder.path / "others").string();
  const auto files = certificate_in(ours);
  certificate_in(others);
  struct trust {
    std::string authority;  // empty: that of the system
    std::string why;        // empty: it gets them
  };
  for (const auto& [authority, why] :
       {trust{ours + "/ca.pem", ""},
        {others + "/ca.pem", "it is not from an authority in '" + others + "/ca.pem' (--trace-ca)"},
        {"", "name the certificate of its authority with --trace-ca FILE"}}) {
    CAPTURE(authority);
    collector there{shown(files)};
    std::vector<std::string> words{
        "dev",        "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string(),
        "--trace-to", there.url()};
    if (!authority.empty()) {
      words.insert(words.end(), {"--trace-ca", authority});
    }
    background_command server{words};
    server.read_until("serving on ");
    server.read_until("\n");
    const auto answer = ask(url_in(server.said()), method::get, "/api/v1/silos");
    const std::string id{answer.headers.find("X-Request-Id").value_or("")};
    server.interrupt();
    const auto ended = server.wait();
    CHECK(ended.status == 0);
    CHECK((there.of(id).size() == 1) == why.empty());
    CHECK_MESSAGE((ended.errors.find("gateway.trace: spans were dropped count=") ==
                   std::string::npos) == why.empty(),
                  ended.errors);
    CHECK_MESSAGE(ended.errors.find(why) != std::string::npos, ended.errors);
  }
  const auto refused = millrace({"dev", "--trace-to", "https://127.0.0.1:1", "--trace-ca",
                                 ours + "/ca.key", "--data", (folder.path / "d").string()});
  CHECK(refused.status == 2);
  CHECK(refused.errors.find("--trace-ca '" + ours + "/ca.key': cannot use ") != std::string::npos);
}

TEST_CASE("of no traces none is told, and a run begins one of its own") {
  temporary_folder folder;
  collector there;
  const auto place = (folder.path / "place").string();
  background_command server{{"dev", "--listen", "127.0.0.1:0", "--data",
                             (folder.path / "d").string(), "--trace-to", there.url(),
                             "--trace-sample", "0"}};
  server.read_until("serving on ");
  server.read_until("\n");
  const auto url = url_in(server.said());
  REQUIRE(ask(url, method::put, std::string{pipelines} + "p",
              "name: p\ntasks:\n  - {name: a, run: echo $TRACEPARENT > " + place + "}\n")
              .status == 201);
  const auto wait = ask(url, method::post, std::string{pipelines} + "p/runs?wait=50s", "{}");
  CHECK(wait.status == 201);
  std::string told;
  std::getline(std::ifstream{place}, told);
  CHECK(told.starts_with("00-" + std::string{wait.headers.find("X-Request-Id").value_or("?")}));
  CHECK(told.ends_with("-00"));

  // Of an actor that is called without a trace nobody knows more than the run's id.
  const auto direct =
      ask(url, method::post, "/api/v1/actors/pipeline/default%2Fp/submit", R"({"params": {}})");
  CHECK(direct.status == 200);
  std::string run = json::parse(direct.body)["id"];
  auto status = json::parse(ask(url, method::get, "/api/v1/runs/" + run + "?wait=50s").body);
  std::erase(run, '-');
  CHECK(status["trace_id"] == run);
  server.interrupt();
  CHECK(server.wait().status == 0);
  CHECK(there.count() == 0);
}

TEST_CASE("settings of traces that cannot be are refused, with what to write") {
  CHECK(millrace({"dev", "--trace-to", "collector:4317"})
            .errors.find("--trace-to 'collector:4317'") != std::string::npos);
  CHECK(millrace({"dev", "--trace-sample", "2"}).errors ==
        "millrace: --trace-sample '2': it must be a number from 0 to 1, such as 0.1\n");
  CHECK(millrace({"dev", "--trace-sample", "x"}).status == 2);
}

}  // namespace
}  // namespace millrace::testing
