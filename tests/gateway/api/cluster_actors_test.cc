// SPDX-License-Identifier: MIT
// The list of actors where there are several silos: of all of them, whoever is asked.
#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "folders.h"
#include "gateway/api/served_node.h"
#include "millrace/testing/test_cluster.h"
#include "runtime/silo/counter.h"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::Counter;
using testing::test_cluster;

// What a handler answers, for who waits for it.
class answered final : public http::responder {
public:
  void complete(http::response answer) override {
    const std::lock_guard lock{mutex_};
    answer_ = std::move(answer);
  }
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    return nullptr;
  }
  [[nodiscard]] std::optional<http::response> get() {
    const std::lock_guard lock{mutex_};
    return answer_;
  }

private:
  std::mutex mutex_;
  std::optional<http::response> answer_;
};

// Silos `a`, `b` and `c`, and `door`, which only calls; each with 20 counters or so.
class asked_cluster {
public:
  static constexpr int counters = 60;

  asked_cluster() {
    cluster.emplace(
        [this](runtime::silo& here) {
          here.add<testing::counter>();
          auto host = actors::pipeline_host::open(
              {.data_directory = folder_.path / here.name(), .slots = 1}, here);
          REQUIRE(host);
          hosts_[here.name()] = *std::move(host);
        },
        testing::test_cluster_options{.silos = {"a", "b", "c", "door"},
                                      .adjust = [](runtime::silo_options& options) {
                                        if (options.name == "door") {
                                          options.cluster->roles = {.gateway = true};
                                        }
                                      }});
    for (int number = 0; number < counters; ++number) {
      REQUIRE(cluster->call(runtime::ref<Counter>(std::to_string(number)).add(1)));
    }
  }

  // Asks a silo, and lets time pass until it answers.
  json ask(const std::string& silo, const std::string& query, int status = 200) {
    api_parts parts{cluster->at(silo), nullptr, files_, files_, inspections_, {}};
    http::router routes;
    add_api(routes, parts);
    const auto got = std::make_shared<answered>();
    http::request asked;
    REQUIRE(asked.set_target("/api/v1/actors/counter" + query));
    routes.handle(asked, http::reply{got});
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!got->get() && std::chrono::steady_clock::now() < end) {
      cluster->advance(50ms);
    }
    const auto answer = got->get();
    REQUIRE(answer);
    CAPTURE(answer->body);
    CHECK(answer->status == status);
    return json::parse(answer->body);
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
      next = page["next"];
    } while (!next.empty());
    return all;
  }

  std::optional<test_cluster> cluster;

private:
  testing::temporary_folder folder_;
  std::map<std::string, std::unique_ptr<actors::pipeline_host>> hosts_;
  runtime::system_clock clock_;
  file_thread files_{"files", clock_};
  file_thread inspections_{"inspections", clock_};
};

TEST_CASE("actors of all silos are listed by each of them, and by one that has none") {
  asked_cluster here;
  for (const std::string query : {"?active=true&limit=7", "?limit=7"}) {
    CAPTURE(query);
    const auto all = here.ids("door", query);
    CHECK(all.size() == asked_cluster::counters);
    CHECK(std::set(all.begin(), all.end()).size() == all.size());
    for (const auto& each : all) {
      const auto silo = each.substr(0, each.find(' '));
      const auto key = each.substr(each.find('/') + 1);
      CHECK(here.cluster->leader_of(runtime::ref<Counter>(key)) == silo);
    }
    CHECK(std::is_sorted(all.begin(), all.end(), [](const auto& one, const auto& other) {
      return one.substr(0, one.find(' ')) < other.substr(0, other.find(' '));
    }));
    CHECK(here.ids("b", query) == all);
    CHECK(here.ids("b", query + "00") == all);
    std::vector<std::string> of_c;
    std::copy_if(all.begin(), all.end(), std::back_inserter(of_c),
                 [](const auto& each) { return each.starts_with("c "); });
    CHECK_FALSE(of_c.empty());
    CHECK(here.ids("a", query + "&silo=c") == of_c);
  }
  CHECK(here.ask("a", "?silo=door", 404)["detail"] ==
        "there is no silo 'door' with actors; there are: a, b, c");
  CHECK(here.ask("door", "?silo=x", 404)["code"] == "not_found");
  CHECK(here.ask("door", "?cursor=b:xyz", 400)["code"] == "invalid_argument");
  CHECK(here.ask("door", "?cursor=zz:", 200)["actors"].empty());
}

// Method: no answer of `b` arrives, but it stays in.
TEST_CASE("a silo that does not answer is named in the list of the others") {
  asked_cluster here;
  const auto whole = here.ids("door", "?limit=1000");
  here.cluster->network().delay("b", "door", 10s, testing::traffic::answers);
  const auto page = here.ask("door", "?limit=1000");
  REQUIRE(page["silos_missing"].size() == 1);
  CHECK(page["silos_missing"][0]["silo"] == "b");
  CHECK_FALSE(page["silos_missing"][0]["reason"].get<std::string>().empty());
  std::vector<std::string> found;
  for (const auto& row : page["actors"]) {
    found.push_back(row["silo"].get<std::string>() + " " + row["id"].get<std::string>());
  }
  std::vector<std::string> others;
  std::copy_if(whole.begin(), whole.end(), std::back_inserter(others),
               [](const auto& each) { return !each.starts_with("b "); });
  CHECK(found == others);
  CHECK(others.size() < whole.size());
  CHECK(here.ask("a", "?limit=1000")["silos_missing"].empty());
}

}  // namespace
}  // namespace millrace::gateway
