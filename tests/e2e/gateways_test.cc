// SPDX-License-Identifier: MIT
// A cluster of this machine that meets at an etcd, and clients that change from one gateway to
// another.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "e2e/dev_cluster.h"
#include "runtime/coordination/etcd_server.h"

namespace millrace::testing {
namespace {

using json = nlohmann::json;

json json_of(std::vector<std::string> words, const std::string& url) {
  words.insert(words.end(), {"-o", "json", "--server", url});
  return json::parse(millrace(words).output, nullptr, false);
}

std::string submitted(const std::string& pipeline, const std::string& url) {
  const auto told = millrace({"submit", pipeline, "--server", url});
  REQUIRE_MESSAGE(told.status == 0, told.errors);
  return told.output.substr(0, told.output.find('\n'));
}

// Nothing but a line for each process, the gateway's first.
void check_printed(const std::string& printed) {
  const auto lines = parse(printed);
  std::ostringstream wanted;
  wanted << "gateway " << lines.url << " pid " << lines.pids.at("gateway") << '\n';
  for (const auto* each : {"a", "b", "c"}) {
    REQUIRE(lines.pids.contains(each));
    wanted << "silo " << each << " pid " << lines.pids.at(each) << '\n';
  }
  CHECK(printed == wanted.str());
  CHECK(lines.url.starts_with("http://127.0.0.1:"));
}

void check_silos(const json& silos, const dev_lines& lines) {
  REQUIRE(silos.is_array());
  std::size_t led = 0;
  std::set<std::string> seen;
  for (const auto& each : silos) {
    CAPTURE(each.dump());
    std::set<std::string> fields;
    for (const auto& [field, value] : each.items()) {
      fields.insert(field);
    }
    CHECK(fields == std::set<std::string>{"name", "incarnation", "pid", "address", "state", "roles",
                                          "partitions_primary", "partitions_total", "zone",
                                          "decommissioned"});
    const auto name = each.at("name").get<std::string>();
    seen.insert(name);
    CHECK(each.at("pid") == lines.pids.at(name));
    CHECK(each.at("incarnation").get<std::uint64_t>() > 0);
    CHECK(each.at("state") == "active");
    const auto is_gateway = name == "gateway";  // which nobody links to
    const auto address = each.at("address").get<std::string>();
    CHECK((is_gateway ? address.empty() : address.starts_with("127.0.0.1:")));
    CHECK(each.at("roles") == (is_gateway ? json{"gateway"} : json{"state", "execute"}));
    // Three copies of each partition: of three silos each has all.
    CHECK(each.at("partitions_total") == (is_gateway ? 0 : 256));
    CHECK((each.at("partitions_primary") > 0) == !is_gateway);
    led += each.at("partitions_primary").get<std::size_t>();
  }
  CHECK(seen == std::set<std::string>{"a", "b", "c", "gateway"});
  CHECK(led == 256);
}

// Method: the silo that is killed runs a command of the run, which is held up until that silo is
// gone; then the line that was printed about its end is done as it says.
TEST_CASE("a cluster of this machine that meets at an etcd goes on when a silo is killed") {
  const temporary_folder folder;
  etcd_server etcd;
  const auto store = "http://127.0.0.1:" + etcd.url().substr(etcd.url().rfind(':') + 1);
  const auto go = folder.path / "go";
  const auto definition = folder.path / "p.yaml";
  std::ofstream{definition} << "name: held\ntasks:\n"
                            << "  - {name: work, for_each: [1, 2, 3],\n"
                            << "     run: 'until test -e " << go.string()
                            << "; do sleep 0.05; done'}\n"
                            << "  - {name: join, needs: [work], run: echo joined}\n";
  background_command cluster{{"dev", "--silos", "3", "--slots", "4", "--coordination", store,
                              "--listen", "127.0.0.1:0", "--data", (folder.path / "d").string()}};
  cluster.read_until("silo c pid ");
  check_printed(cluster.printed());
  const auto lines = parse(cluster.printed());
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", lines.url});
    return words;
  };
  REQUIRE(millrace(asked({"cluster", "health", "--wait", "5m"})).status == 0);
  check_silos(json_of({"silos"}, lines.url), lines);
  REQUIRE(millrace(asked({"apply", definition.string()})).status == 0);

  const auto run = submitted("held", lines.url);
  for (int index = 0; index < 3; ++index) {
    const auto instance = "work[" + std::to_string(index) + "]";
    REQUIRE(becomes(asked({"get", run, instance, "-o", "json"}), "\"running\""));
  }
  const auto attempts_of = [&](const std::string& instance) {
    return json_of({"get", run, instance}, lines.url).at("attempts");
  };
  const auto victim = attempts_of("work[0]").at(0).at("executor").get<std::string>();
  const auto life_of = [&](const std::string& silo) -> std::uint64_t {
    for (const auto& each : json_of({"silos"}, lines.url)) {
      if (each.at("name") == silo) {
        return each.at("incarnation");
      }
    }
    return 0;
  };
  const auto life = life_of(victim);
  ::kill(lines.pids.at(victim), SIGKILL);
  cluster.read_until(victim + " (pid " + std::to_string(lines.pids.at(victim)) +
                     ") was ended by signal 9; it starts again with: millrace silo --name " +
                     victim);
  cluster.read_until("--coordination " + store);
  cluster.read_until("--log-level warn\n");
  std::ofstream{go}.close();
  REQUIRE(becomes(asked({"get", run, "-o", "json"}), "\"state\": \"succeeded\""));
  const auto attempts = attempts_of("work[0]");
  CAPTURE(attempts.dump());
  CHECK(attempts.front().at("executor") == victim);
  CHECK(attempts.front().at("end") == "lost");
  CHECK(std::count_if(attempts.begin(), attempts.end(),
                      [](const json& each) { return each.at("end") == "exited"; }) == 1);
  CHECK(attempts.back().at("executor") != victim);
  CHECK(attempts.back().at("exit_code") == 0);
  CHECK(millrace(asked({"logs", run, "join"})).output == "joined\n");
  CHECK(millrace(asked({"submit", "held", "--wait"})).status == 0);

  const auto& said = cluster.said();
  const auto from = said.find("silo --name " + victim);
  std::istringstream words{said.substr(from, said.find('\n', from) - from)};
  background_command again{std::vector<std::string>{std::istream_iterator<std::string>{words}, {}}};
  REQUIRE(millrace(asked({"cluster", "health", "--wait", "5m"})).status == 0);
  CHECK(life_of(victim) > life);
  again.interrupt();
  CHECK(again.wait().status == 0);
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

struct stream_event {
  std::string id;
  std::string name;
  std::string data;

  friend bool operator==(const stream_event&, const stream_event&) = default;
};

// A client of server-sent events that knows no more than a socket: chunks of HTTP/1.1, and in them
// blocks of lines. What a broken connection has left of a chunk or a block is forgotten.
class event_socket {
public:
  event_socket(const std::string& url, const std::string& target, const std::string& last_id)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = url.rfind(':');
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(colon + 1))));
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    std::string request = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n";
    if (!last_id.empty()) {
      request += "Last-Event-ID: " + last_id + "\r\n";
    }
    request += "\r\n";
    REQUIRE(::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(request.size()));
    while (bytes_.find("\r\n\r\n") == std::string::npos) {
      REQUIRE(receive());
    }
    CHECK(bytes_.starts_with("HTTP/1.1 200 "));
    bytes_.erase(0, bytes_.find("\r\n\r\n") + 4);
  }
  event_socket(const event_socket&) = delete;
  event_socket& operator=(const event_socket&) = delete;
  ~event_socket() { ::close(socket_); }

  // The next one; nothing when the connection has ended.
  std::optional<stream_event> next() {
    for (;;) {
      take_chunks();
      if (const auto end = text_.find("\n\n"); end != std::string::npos) {
        const auto block = text_.substr(0, end + 1);
        text_.erase(0, end + 2);
        if (auto made = event_of(block)) {
          return made;
        }
      } else if (!receive()) {
        return std::nullopt;
      }
    }
  }

private:
  bool receive() {
    constexpr int patience_ms = 60'000;
    pollfd waiting{socket_, POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, patience_ms) > 0);
    std::array<char, 4096> piece{};
    const auto size = ::recv(socket_, piece.data(), piece.size(), 0);
    bytes_.append(piece.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return size > 0;
  }

  void take_chunks() {
    for (auto end = bytes_.find("\r\n"); end != std::string::npos; end = bytes_.find("\r\n")) {
      const auto size = std::stoul(bytes_.substr(0, end), nullptr, 16);
      if (bytes_.size() < end + 2 + size + 2) {
        return;
      }
      text_ += bytes_.substr(end + 2, size);
      bytes_.erase(0, end + 2 + size + 2);
    }
  }

  static std::optional<stream_event> event_of(const std::string& block) {
    stream_event made;
    std::istringstream lines{block};
    for (std::string line; std::getline(lines, line);) {
      const auto colon = line.find(": ");
      const auto field = line.substr(0, colon);
      if (field == "id") {
        made.id = line.substr(colon + 2);
      } else if (field == "event") {
        made.name = line.substr(colon + 2);
      } else if (field == "data") {
        made.data += line.substr(colon + 2);
      }
    }
    return made.data.empty() ? std::nullopt : std::optional{made};  // a comment keeps it open
  }

  int socket_;
  std::string bytes_;  // not taken yet
  std::string text_;   // of the stream, without its chunks
};

// A gateway of the test's own.
class gateway_process {
public:
  gateway_process(std::string name, const std::filesystem::path& data)
      : words_{"gateway",
               "--name",
               name,
               "--data",
               (data / name).string(),
               "--coordination",
               "local:" + (data / "coordination").string(),
               "--listen",
               "127.0.0.1:0"} {
    start();
  }
  void start() { process_ = std::make_unique<background_command>(words_); }
  // Waits until it serves.
  std::string url() {
    process_->read_until(", data in ");
    const auto& said = process_->said();
    const auto from = said.find("http://");
    return said.substr(from, said.find(',', from) - from);
  }
  void kill() const { process_->signal(SIGKILL); }
  void end() {
    process_->interrupt();
    CHECK(process_->wait().status == 0);
  }

private:
  std::vector<std::string> words_;
  std::unique_ptr<background_command> process_;
};

// Goal: a client that goes on at another gateway with the last id that it has gets every event
// once, in order.
// Method: a run of stages, each of which waits for a file. In each, the client's gateway is killed
// at the moment at which the file comes, so in the midst of events; what had come of them before is
// kept, and the other gateway is asked for the rest. What came is then compared with the whole, as
// a gateway shows it that was there all the time.
TEST_CASE("who follows a run at a gateway that is killed goes on at another one") {
  constexpr int stages = 5;
  constexpr int width = 6;
  const temporary_folder folder;
  const auto data = folder.path / "d";
  const auto definition = folder.path / "p.yaml";
  const auto go = [&](int stage) { return folder.path / ("go" + std::to_string(stage)); };
  {
    std::ofstream out{definition};
    out << "name: staged\ntasks:\n";
    for (int stage = 0; stage < stages; ++stage) {
      out << "  - {name: s" << stage << ", for_each: [1, 2, 3, 4, 5, 6], "
          << (stage > 0 ? "needs: [s" + std::to_string(stage - 1) + "], " : "")
          << "run: 'until test -e " << go(stage).string() << "; do sleep 0.01; done'}\n";
    }
  }
  background_command cluster{
      {"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data", data.string()}};
  cluster.read_until("silo c pid ");
  const auto lines = parse(cluster.printed());
  std::array<gateway_process, 2> gateways{gateway_process{"one", data},
                                          gateway_process{"two", data}};
  REQUIRE(millrace({"apply", definition.string(), "--server", lines.url}).status == 0);
  const auto run = submitted("staged", lines.url);
  const auto target = "/api/v1/runs/" + run + "/events";

  std::vector<stream_event> seen;
  const auto last_id = [&] { return seen.empty() ? std::string{} : seen.back().id; };
  for (int stage = 0; stage < stages; ++stage) {
    auto& gateway = gateways.at(static_cast<std::size_t>(stage) % 2);
    event_socket stream{gateway.url(), target, last_id()};
    const auto is_running = [&](const stream_event& each) {
      const auto shown = json::parse(each.data);
      return shown.value("task", "").starts_with("s" + std::to_string(stage) + "[") &&
             shown.value("state", "") == "running";
    };
    for (bool runs = false; !runs;) {
      const auto event = stream.next();
      REQUIRE(event);
      seen.push_back(*event);
      runs = is_running(*event);
    }
    std::ofstream{go(stage)}.close();
    gateway.kill();
    while (const auto event = stream.next()) {
      seen.push_back(*event);
    }
    gateway.start();
  }
  const auto follow_to_end = [&](const std::string& url, std::vector<stream_event>& into) {
    event_socket stream{url, target, into.empty() ? std::string{} : into.back().id};
    while (into.empty() || into.back().name != "end") {
      const auto event = stream.next();
      REQUIRE(event);
      into.push_back(*event);
    }
  };
  follow_to_end(gateways.at(stages % 2).url(), seen);
  std::vector<stream_event> whole;
  follow_to_end(lines.url, whole);
  REQUIRE(seen.size() == whole.size());
  std::map<std::string, int> succeeded;
  for (std::size_t at = 0; at < seen.size(); ++at) {
    CAPTURE(at);
    CHECK(seen[at].id == std::to_string(std::min(at + 1, seen.size() - 1)));  // `end` has the last
    CHECK(seen[at].name == whole[at].name);
    CHECK(seen[at].data == whole[at].data);
    const auto shown = json::parse(seen[at].data);
    if (shown.value("state", "") == "succeeded") {
      ++succeeded[shown.at("task")];
    }
  }
  CHECK(succeeded.size() == static_cast<std::size_t>(stages * width));
  for (const auto& [name, count] : succeeded) {
    CHECK_MESSAGE(count == 1, name);
  }
  for (auto& each : gateways) {
    static_cast<void>(each.url());
    each.end();
  }
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

}  // namespace
}  // namespace millrace::testing
