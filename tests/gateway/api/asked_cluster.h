// SPDX-License-Identifier: MIT
// A cluster whose silos are asked by their HTTP routes, without sockets.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "folders.h"
#include "gateway/api/served_node.h"
#include "millrace/testing/test_cluster.h"
#include "runtime/silo/counter.h"

namespace millrace::gateway {

using namespace std::chrono_literals;

// What a handler answers, for who waits for it.
class answered final : public http::responder {
public:
  void complete(http::response answer) override {
    {
      const std::lock_guard lock{mutex_};
      answer_ = std::move(answer);
    }
    changed_.notify_all();
  }
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    return nullptr;
  }
  // Waits that long for it.
  [[nodiscard]] std::optional<http::response> get(runtime::duration patience = {}) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, patience, [this] { return answer_.has_value(); });
    return answer_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<http::response> answer_;
};

// Silos `a`, `b` and `c`, and gateways, which only call: `door`, which does not know counters, and
// `porch`, which does.
class asked_cluster {
public:
  static constexpr int counters = 60;  // 20 or so a silo

  explicit asked_cluster(std::vector<std::string> silos = {"a", "b", "c", "door"}) {
    cluster.emplace(
        [this](runtime::silo& here) {
          if (here.name() != "door") {
            here.add<testing::counter>();
          }
          if (hosts_.contains(here.name())) {
            return;  // started again, for its copies
          }
          auto host = actors::pipeline_host::open(
              {.data_directory = folder_.path / here.name(), .slots = 1}, here);
          REQUIRE(host);
          hosts_[here.name()] = *std::move(host);
        },
        testing::test_cluster_options{.silos = std::move(silos),
                                      .adjust = [](runtime::silo_options& options) {
                                        if (options.name == "door" || options.name == "porch") {
                                          options.cluster->roles = {.gateway = true};
                                        }
                                      }});
    for (int number = 0; number < counters; ++number) {
      REQUIRE(cluster->call(runtime::ref<testing::Counter>(std::to_string(number)).add(1)));
    }
  }

  // Asks a silo, and lets time pass until it answers: with that status, unless any will do.
  json ask(http::method verb, const std::string& silo, const std::string& path,
           std::optional<int> status = 200) {
    api_parts parts{cluster->at(silo), nullptr, files_, files_, files_, inspections_, {}};
    http::router routes;
    add_api(routes, parts);
    const auto got = std::make_shared<answered>();
    http::request asked;
    asked.method = verb;
    REQUIRE(asked.set_target(path));
    routes.handle(asked, http::reply{got});
    const auto end = std::chrono::steady_clock::now() + 30s;
    // The clock goes no faster than this machine does, or a busy one would seem to be dead.
    while (!got->get(50ms) && std::chrono::steady_clock::now() < end) {
      cluster->advance(50ms);
    }
    const auto answer = got->get();
    REQUIRE(answer);
    CAPTURE(silo);
    CAPTURE(path);
    CAPTURE(answer->body);
    CHECK(answer->status == status.value_or(answer->status));
    return json::parse(answer->body);
  }
  json ask(const std::string& silo, const std::string& query, int status = 200) {
    return ask(method::get, silo, "/api/v1/actors/counter" + query, status);
  }
  // The ids of all pages, in order.
  std::vector<std::string> ids(const std::string& silo, const std::string& query) {
    std::vector<std::string> all;
    std::string next;
    do {
      const auto page = ask(silo, query + (next.empty() ? "" : "&cursor=" + next));
      CHECK(page["silos_missing"].empty());
      for (const auto& row : page["actors"]) {
        all.push_back(row["silo"].get<std::string>() + " " + row["id"].get<std::string>());
      }
      next = page["next_cursor"];
    } while (!next.empty());
    return all;
  }

  std::optional<testing::test_cluster> cluster;

private:
  testing::temporary_folder folder_;
  std::map<std::string, std::unique_ptr<actors::pipeline_host>> hosts_;
  runtime::system_clock clock_;
  file_thread files_{"files", clock_};
  file_thread inspections_{"inspections", clock_};
};

}  // namespace millrace::gateway
