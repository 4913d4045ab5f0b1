// SPDX-License-Identifier: MIT
// What is etcd's own: a server that is killed, stopped and restarted under load, and servers that
// must not be believed.
#include "coordination/etcd_store.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <thread>

#include "canned_server.h"
#include "cas_history.h"
#include "coordination/etcd_client.h"
#include "providers.h"

namespace millrace::runtime {
namespace {

using namespace testing;
using namespace std::chrono_literals;

result<std::unique_ptr<coordination_store>> open(std::vector<std::string> endpoints,
                                                 coordination_options options = {}) {
  etcd_options etcd;
  etcd.endpoints = std::move(endpoints);
  etcd.prefix = "/test-" + std::to_string(mint_nonce()) + "/";
  return open_etcd_store(etcd, the_clock(), soon(), std::move(options));
}

// Clients that change records for as long as the test breaks the server.
class load {
public:
  explicit load(const etcd_server& server) {
    etcd_options etcd;
    etcd.endpoints = {server.url()};
    for (std::uint16_t at = 0; at < clients; ++at) {
      stores_.push_back(opened(open_etcd_store(etcd, the_clock(), soon())));
    }
    for (std::size_t at = 0; at < clients; ++at) {
      threads_.emplace_back([this, at] { run(at); });
    }
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  ~load() { stop(); }

  // Until so many more have been told that it was done.
  void wait_for_done(std::size_t more) {
    std::unique_lock lock{mutex_};
    const auto target = done_ + more;
    CHECK(changed_.wait_for(lock, 30s, [&] { return done_ >= target; }));
  }
  // Until no client gets an answer.
  void wait_for_silence() {
    std::unique_lock lock{mutex_};
    const auto target = silent_ + clients;
    CHECK(changed_.wait_for(lock, 30s, [&] { return silent_ >= target; }));
  }
  void stop() {
    stopping_ = true;
    for (auto& thread : threads_) {
      thread.join();
    }
    threads_.clear();
  }
  [[nodiscard]] cas_history history() const {
    cas_history all;
    for (const auto& line : lines_) {
      all.add(line);
    }
    return all;
  }
  [[nodiscard]] std::vector<stored_partition> records() {
    auto view = stores_.front()->read(0, soon());
    REQUIRE(view);
    return std::move(view->partitions);
  }

private:
  static constexpr std::uint16_t clients = 4;
  static constexpr std::uint16_t partitions = 2;

  void run(std::size_t at) {
    appender appender{*stores_[at], partition_id{static_cast<std::uint16_t>(at % partitions)}};
    const auto say = [&](const std::string& line) {
      const std::lock_guard lock{mutex_};
      lines_.push_back(line);
      done_ += line.front() == 'd' ? 1U : 0U;
      changed_.notify_all();
    };
    while (!stopping_) {
      if (!appender.step(say, 500ms, the_clock())) {
        const std::lock_guard lock{mutex_};
        ++silent_;
        changed_.notify_all();
      }
    }
  }

  std::vector<std::unique_ptr<coordination_store>> stores_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  std::size_t done_ = 0;
  std::size_t silent_ = 0;
  std::vector<std::thread> threads_;
};

TEST_CASE("a server that is killed, stopped and restarted under load tells nobody what is not so") {
  etcd_server server;
  load clients{server};
  for (int round = 0; round < 2; ++round) {
    clients.wait_for_done(20);
    server.kill();
    server.start();
    clients.wait_for_done(20);
    server.pause();
    clients.wait_for_silence();
    server.resume();
  }
  clients.wait_for_done(20);
  clients.stop();
  const auto history = clients.history();
  history.check(clients.records());
  CHECK(history.count(told::done) >= 100);
  CHECK(history.count(told::conflict) > 0);
}

TEST_CASE("the session lives through a restart of the server") {
  etcd_server server;
  coordination_options options;
  options.session_ttl = 3s;
  etcd_options etcd;
  etcd.endpoints = {server.url()};
  const auto store = opened(open_etcd_store(etcd, the_clock(), soon(), options));
  silo_row row;
  row.name = "a";
  const auto joined = store->join(row, std::nullopt, soon());
  REQUIRE(joined);
  row.incarnation = *joined;
  server.kill();
  const auto refused = store->update(row, soon());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::unavailable);
  server.start();
  CHECK(store->update(row, soon()));
}

TEST_CASE("a version of the server with known faults is warned of, once") {
  std::mutex mutex;
  std::vector<std::string> warnings;
  coordination_options options;
  options.warn = [&](std::string_view text) {
    const std::lock_guard lock{mutex};
    warnings.emplace_back(text);
  };
  canned_server old{{{"/version", R"({"etcdserver": "3.4.23"})"},
                     {"/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "5"}})"}}};
  const auto store = opened(open({old.url()}, options));
  static_cast<void>(store->read(0, soon()));
  const std::lock_guard lock{mutex};
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.front() == old.url() +
                                " is etcd 3.4.23, which has known faults: use 3.4.32, "
                                "3.5.14 or newer");
}

TEST_CASE("a version of the server that loses writes is not used") {
  canned_server bad{{{"/version", R"({"etcdserver": "3.5.1"})"},
                     {"/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "5"}})"}}};
  const auto store = open({bad.url()});
  REQUIRE_FALSE(store);
  CHECK(store.error().code() == errc::unavailable);
  CHECK(store.error().text().find("etcd 3.5.1, which cannot be trusted") != std::string::npos);
  CHECK(open({bad.url(), shared_etcd().url()}));
}

TEST_CASE("endpoints that are silent or gone are passed over") {
  reserved_port nobody;
  canned_server silent{{}};
  silent.fall_silent();
  etcd_options etcd;
  etcd.endpoints = {"http://127.0.0.1:" + nobody.number(), silent.url(), shared_etcd().url()};
  const auto store = opened(open_etcd_store(etcd, the_clock(), the_clock().steady() + 5s));
  CHECK(store->read(0, soon()));
}

// Goal: a member that was restored from an old copy of its data is not believed.
// Method: a server that answers with revision 20 once, and from then on with 19.
TEST_CASE("an answer from before what was seen is refused") {
  canned_server restored{{{"/version", R"({"etcdserver": "3.6.0"})"},
                          {"/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "20"},
                                             "responses": [{}, {}]})"}}};
  const auto store = opened(open({restored.url()}));
  CHECK(store->read(0, soon()));
  restored.answer("/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "19"},
                                    "succeeded": true, "responses": [{}, {}]})");
  const auto read = store->read(0, soon());
  REQUIRE_FALSE(read);
  CHECK(read.error().text().find("has gone back") != std::string::npos);
  stored_partition wanted;
  wanted.nonce = mint_nonce();
  CHECK(std::holds_alternative<cas_unknown>(store->compare_and_set(wanted, soon())));
}

// Goal: a server that is a little behind the others is a healthy one. It answers a keep-alive with
// its own state, while the leader has done the work.
TEST_CASE("a keep-alive may be answered from before what was seen, but not by another cluster") {
  const system_clock time;
  canned_server behind{{{"/version", R"({"etcdserver": "3.6.0"})"},
                        {"/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "20"}})"}}};
  etcd_options options;
  options.endpoints = {behind.url()};
  auto client = etcd_client::make(options, time, [](std::string_view) {});
  REQUIRE(client);
  REQUIRE((*client)->read({}, soon()));
  const auto alive_from = [&](const char* header) {
    behind.answer("/v3/lease/keepalive",
                  std::string{R"({"result": {"ID": "7", "TTL": "5", "header": )"} + header + "}}");
    return (*client)->keep_alive(7, soon());
  };
  const auto alive = alive_from(R"({"cluster_id": "1", "revision": "19"})");
  REQUIRE(alive);
  CHECK(alive->ttl_seconds == 5);
  CHECK_FALSE(alive_from(R"({"cluster_id": "2", "revision": "21"})"));
  // What was seen stays seen.
  behind.answer("/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "19"}})");
  CHECK_FALSE((*client)->read({}, soon()));
}

TEST_CASE("a leave that has failed is not done when it is asked for again") {
  etcd_provider provider;
  const auto store = provider.open();
  silo_row row;
  row.name = "a";
  REQUIRE(store->join(row, {}, soon()));
  const auto past = the_clock().steady() - 1s;
  CHECK_FALSE(store->leave(past));
  CHECK_FALSE(store->leave(past));
  CHECK(store->read(0, soon())->silos.size() == 1);
  CHECK(store->leave(soon()));
  CHECK(store->read(0, soon())->silos.empty());
  CHECK(store->leave(past));  // there is nothing to do
}

// Goal: whoever is told a conflict never met its own success.
// Method: two servers that answer rubbish. A read asks both.
TEST_CASE("what changes something is sent once") {
  const std::map<std::string, std::string> answers{
      {"/version", R"({"etcdserver": "3.6.0"})"},
      {"/v3/kv/txn", R"({"header": {"cluster_id": "1", "revision": "20"}})"}};
  canned_server first{answers};
  canned_server second{answers};
  const auto store = opened(open({first.url(), second.url()}));
  first.answer("/v3/kv/txn", "rubbish");
  second.answer("/v3/kv/txn", "rubbish");
  stored_partition wanted;
  wanted.nonce = mint_nonce();
  CHECK(std::holds_alternative<cas_unknown>(store->compare_and_set(wanted, soon())));
  CHECK(first.requests_with("request_put") + second.requests_with("request_put") == 1);
  CHECK_FALSE(store->read_partition(wanted.partition, soon()));
  CHECK(first.requests_with("/v3/kv/txn") > 0);
  CHECK(second.requests_with("/v3/kv/txn") > 0);
}

TEST_CASE("a silo of another machine is dead when its port refuses connections") {
  const auto store = opened(open({shared_etcd().url()}));
  reserved_port nobody;
  canned_server listening{{}};
  silo_row silo;
  silo.process.boot_id = "another";
  silo.address = "127.0.0.1:" + nobody.number();
  CHECK(store->ensure_dead(silo, soon()));
  silo.address = listening.url().substr(listening.url().rfind('/') + 1);
  const auto alive = store->ensure_dead(silo, soon());
  REQUIRE_FALSE(alive);
  CHECK(alive.error().code() == errc::failed_precondition);
}

// Goal: a password is not sent where others may read it.
TEST_CASE("a password goes to another machine over TLS or not at all") {
  system_clock time;
  const auto made = [&](const char* url, const char* user) {
    etcd_options options;
    options.endpoints = {"http://127.0.0.1:2379", url};
    options.user = user;
    options.password = "secret";
    return etcd_client::make(options, time, [](std::string_view) {});
  };
  for (const auto* url :
       {"http://192.0.2.1:2379", "http://[2001:db8::1]:2379", "http://etcd.example.org:2379",
        "http://localhost.example.org:2379", "http://127.0.0.1.example.org:2379"}) {
    CAPTURE(url);
    const auto refused = made(url, "root");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::invalid_argument);
    CHECK(refused.error().text() == "the password of etcd's user 'root' would go to " +
                                        std::string{url} +
                                        " in the clear: use https, or an endpoint on this machine");
    CHECK(made(url, ""));
  }
  for (const auto* url : {"http://127.0.0.1:2379", "http://127.9.9.9:1", "http://[::1]:2379",
                          "http://localhost:2379", "https://192.0.2.1:2379"}) {
    CAPTURE(url);
    CHECK(made(url, "root"));
  }
}

TEST_CASE("what is no address of etcd is refused") {
  for (const auto* url : {"", "127.0.0.1:2379", "ftp://a:1", "http://a", "http://a:x", "http://:1",
                          "http://a:99999", "http://a b:1", "http://a:1/x", "http://::1:1"}) {
    CAPTURE(url);
    const auto store = open({url});
    REQUIRE_FALSE(store);
    CHECK(store.error().code() == errc::invalid_argument);
  }
  CHECK(open({}).error().code() == errc::invalid_argument);
  const auto v6 = parse_http_endpoint("https://[::1]:2379/");
  REQUIRE(v6);
  CHECK(v6->host == "::1");
  CHECK(v6->port == "2379");
  CHECK(v6->is_tls);
}

}  // namespace
}  // namespace millrace::runtime
