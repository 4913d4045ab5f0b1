// SPDX-License-Identifier: MIT
// The server over TLS: who is let in, and that all goes on there as it does in the clear.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "http/server.h"
#include "http/sse.h"
#include "tls_wire.h"

namespace millrace::gateway::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view get_x = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

/// Lines of a log.
class log_lines {
public:
  identity_log sinks() {
    const auto to = [this](const std::string& level) {
      return [this, level](std::string_view line) {
        const std::lock_guard lock{mutex_};
        text_ += level + ": " + std::string{line} + "\n";
        grown_.notify_all();
      };
    };
    return {to("info"), to("warn"), to("debug")};
  }
  std::string take() {
    const std::lock_guard lock{mutex_};
    return std::exchange(text_, {});
  }
  /// The same, once there is something: the server may tell a client before it tells the log.
  std::string next() {
    std::unique_lock lock{mutex_};
    REQUIRE(grown_.wait_for(lock, patience, [this] { return !text_.empty(); }));
    return std::exchange(text_, {});
  }

private:
  std::mutex mutex_;
  std::condition_variable grown_;
  std::string text_;
};

bool serves(std::uint16_t port, const runtime::tls_files& shown = {}) {
  tls_wire client{port, {.shown = shown}};
  client.send(get_x);
  return client.read_answer().starts_with("HTTP/1.1 200 OK\r\n");
}

/// What chunks hold.
std::string content_of(std::string_view chunks) {
  std::string content;
  for (auto line = chunks.find("\r\n"); line != std::string_view::npos;
       line = chunks.find("\r\n")) {
    const auto size = std::stoul(std::string{chunks.substr(0, line)}, nullptr, 16);
    content += chunks.substr(line + 2, size);
    chunks.remove_prefix(std::min(chunks.size(), line + 2 + size + 2));
  }
  return content;
}

void replace(const runtime::tls_files& by, const runtime::tls_files& what) {
  std::filesystem::rename(by.certificate, what.certificate);
  std::filesystem::rename(by.key, what.key);
}

}  // namespace

TEST_CASE("a connection over TLS 1.3 serves request after request, and those sent together") {
  pki authority;
  running on{echo, secured(own(authority.issue("web")))};
  tls_wire client{on.port, {.protocols = "\x02h2\x08http/1.1"}};
  CHECK(client.version() == "TLSv1.3");
  CHECK(client.protocol() == "http/1.1");
  for (int i = 0; i < 3; ++i) {
    client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(client.read_answer().ends_with("\r\n\r\nPOST /a abc"));
  }
  client.send(
      "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto all = client.read_all();
  CHECK(all.find("POST /b xy") < all.find("GET /c "));
  CHECK(has(all, "GET /c "));
  CHECK(client.failure() == "end");
  CHECK(on.served.probe().connections_total == 1);
  CHECK(on.served.probe().requests_total == 5);
}

// RFC 9110, 7.4: in the clear it is refused.
TEST_CASE("the absolute form of https is accepted over TLS") {
  pki authority;
  running on{echo, secured(own(authority.issue("web")))};
  tls_wire client{on.port};
  client.send("GET https://h/x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_answer().ends_with("GET /x "));
}

TEST_CASE("a request may arrive byte by byte, each in a record of its own") {
  pki authority;
  running on{echo, secured(own(authority.issue("web")))};
  tls_wire client{on.port};
  for (const char c : std::string{"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"}) {
    REQUIRE(client.send({&c, 1}));
  }
  CHECK(client.read_answer().ends_with("PUT /a ok"));
}

TEST_CASE("a body of 8 MiB goes both ways over TLS, and to a client that reads late") {
  pki authority;
  running on{echo, secured(own(authority.issue("web")))};
  const std::string body(std::size_t{8} << 20, 'x');
  tls_wire client{on.port};
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body));
    const auto answer = client.read_answer();
    CHECK(answer.ends_with("\r\n\r\nPOST /a " + body));
  }
}

TEST_CASE("no TLS before 1.3, and no other protocol inside") {
  pki authority;
  log_lines lines;
  running on{echo, secured(own(authority.issue("web")), lines.sinks())};
  tls_wire old{on.port, {.version_max = TLS1_2_VERSION}};
  CHECK_FALSE(old.is_connected());
  CHECK(old.failure() == "tlsv1 alert protocol version");
  CHECK(old.read_all().empty());
  CHECK(lines.next() == "debug: no TLS with a client: TLS: unsupported protocol\n");
  tls_wire other{on.port, {.protocols = "\x02h2"}};
  CHECK_FALSE(other.is_connected());
  CHECK(other.failure() == "tlsv1 alert no application protocol");
  CHECK(serves(on.port));
  CHECK(on.served.probe().rejected_total == 2);
}

// Goal: a reset would take what the client was told out of its hands.
TEST_CASE("a client whose handshake is refused may go on sending until it has heard of that") {
  pki authority;
  running on{echo, secured(own(authority.issue("web")))};
  wire client{on.port};
  client.send(std::string_view{"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9});  // a server's hello
  CHECK(client.read_all().starts_with("\x15\x03"));                          // an alert
  CHECK(client.send("a"));
  CHECK(client.send("b"));
  client.leave();
  CHECK(serves(on.port));
}

// Goal: TLS 1.3 refuses a client after that has begun to speak; it should still learn why.
TEST_CASE("clients that must show a certificate are told when it is missing or another's") {
  pki ours;
  pki others;
  log_lines lines;
  running on{echo, secured(ours.issue("web"), lines.sinks())};
  const auto failure = [&](const runtime::tls_files& shown) {
    tls_wire client{on.port, {.shown = shown}};
    client.send(get_x);
    CHECK(client.read_all().empty());
    return client.failure();
  };
  CHECK(failure({}) == "tlsv13 alert certificate required");
  CHECK(lines.next() == "debug: no TLS with a client: TLS: peer did not return a certificate\n");
  CHECK(failure(others.issue("a")) == "tlsv1 alert unknown ca");
  CHECK(has(lines.next(), "the other end's certificate is refused: "));
  CHECK(on.served.probe().requests_total == 0);
  CHECK(serves(on.port, ours.issue("a")));
}

// Goal: to shake hands for ever is no way to keep a connection. Only the limit of a header is
// short.
TEST_CASE("over the limit of connections there is no handshake, and no text in the clear") {
  pki authority;
  auto options = secured(own(authority.issue("web")));
  options.connections_max = 2;
  running on{echo, options};
  wire silent{on.port};
  tls_wire first{on.port};
  tls_wire second{on.port};  // in the place of the one that has not said anything
  CHECK(silent.read_all().empty());
  for (auto* each : {&first, &second}) {
    REQUIRE(each->is_connected());
    each->send(get_x);
    CHECK(each->read_answer().starts_with("HTTP/1.1 200 OK\r\n"));
  }
  wire third{on.port};
  CHECK(third.read_all().empty());
  CHECK(on.served.probe().connections_refused_total == 1);
}

// Goal: a crowd at one address that only shakes hands does not keep the loop busy with that.
TEST_CASE("an address has so many handshakes under way, and others have theirs") {
  pki authority;
  auto options = secured(own(authority.issue("web")));
  options.handshakes_of_address_max = 2;
  running on{echo, options};
  wire silent{on.port};
  auto leaves = std::make_unique<wire>(on.port);
  wire third{on.port};
  CHECK(third.read_all().empty());
  CHECK(on.served.probe().handshakes_refused_total == 1);
  CHECK(on.served.probe().connections_refused_total == 0);
  wire other{on.port, INADDR_LOOPBACK + 1};
  other.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x04");
  leaves.reset();
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!serves(on.port)) {  // it may not have been seen to leave yet
    REQUIRE(std::chrono::steady_clock::now() < end);
  }
  // What has been is not under way: one place is enough for one after the other.
  for (int at = 0; at < 10; ++at) {
    CHECK(serves(on.port));
  }
  CHECK(on.served.probe().connections_open >= 2);  // `silent` and `other` are still there
}

TEST_CASE("an address begins so many handshakes at once, and who is somebody counts no more") {
  pki authority;
  auto options = secured(own(authority.issue("web")));
  options.handshakes_at_once_max = 3;
  options.handshakes_a_second_max = 1;
  running on{echo, options};
  for (int at = 0; at < 20; ++at) {
    CHECK(serves(on.port));
  }
  CHECK(on.served.probe().handshakes_refused_total == 0);
  const auto end = std::chrono::steady_clock::now() + patience;
  while (on.served.probe().handshakes_refused_total == 0) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    tls_wire says_nothing{on.port};
  }
  tls_wire other{on.port, {.from = INADDR_LOOPBACK + 1}};
  CHECK(other.is_connected());
}

TEST_CASE("a handshake that stalls is ended, and counted") {
  pki authority;
  auto options = secured(own(authority.issue("web")));
  options.header_timeout = 1s;
  options.idle_timeout = 60s;
  running on{echo, options};
  wire silent{on.port};
  wire begins{on.port};
  begins.send("\x16\x03\x01\x02");
  CHECK(silent.read_all().empty());
  CHECK(begins.read_all().empty());
  CHECK(on.served.probe().rejected_total == 2);
  // Once it is over the client has as much time as ever.
  tls_wire patient{on.port};
  REQUIRE(patient.is_connected());
  wire later{on.port};
  CHECK(later.read_all().empty());
  patient.send(get_x);
  CHECK(patient.read_answer().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("who speaks HTTP in the clear to a port with TLS is told so, and nobody else is") {
  pki authority;
  log_lines lines;
  running on{echo, secured(own(authority.issue("web")), lines.sinks())};
  wire client{on.port};
  client.send(get_x);
  const auto answer = client.read_all();
  CHECK(answer.starts_with("HTTP/1.1 400 "));
  CHECK(has(answer, "this port speaks TLS: ask for https://"));
  CHECK(lines.next() == "debug: no TLS with a client: TLS: http request\n");
  wire nonsense{on.port};
  nonsense.send(std::string(2000, '\x7f'));
  nonsense.read_all();
  CHECK(lines.next().starts_with("debug: no TLS with a client: "));
  CHECK(serves(on.port));
}

TEST_CASE("a long stream of events arrives whole over TLS, and the connection goes on") {
  pki authority;
  slot<event_stream> opened;
  server_options options = secured(own(authority.issue("web")));
  options.threads = 2;
  running on{[&](request& asked, reply answer) {
               if (asked.path() == "/x") {
                 echo(asked, std::move(answer));
               } else {
                 opened.put(event_stream::open(std::move(answer)));
               }
             },
             options};
  tls_wire client{on.port};
  client.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
  auto out = opened.take();
  constexpr int events = 20'000;
  std::mutex mutex;
  std::condition_variable emptied;
  bool is_empty = false;
  out.raw().on_drained([&] {
    const std::lock_guard lock{mutex};
    is_empty = true;
    emptied.notify_all();
  });
  std::thread writer{[&] {
    for (int i = 0; i < events; ++i) {
      const auto wrote = out.event(std::to_string(i), "n", std::string(200, 'e'));
      if (wrote == write_status::full) {
        std::unique_lock lock{mutex};
        emptied.wait(lock, [&] { return std::exchange(is_empty, false); });
      }
    }
    out.raw().close();
  }};
  client.read_until("\r\n\r\n");
  const auto body = content_of(client.read_until("\r\n0\r\n\r\n"));
  writer.join();
  event_parser parser;
  int seen = 0;
  parser.feed(body, [&](const received_event& each) {
    CHECK(each.id == std::to_string(seen++));
    return true;
  });
  CHECK(seen == events);
  client.send(get_x);
  CHECK(client.read_answer().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("what ends in order is said to be over; a stream that is cut short is not") {
  pki authority;
  slot<stream> opened;
  auto options = secured(own(authority.issue("web")));
  options.idle_timeout = 2s;
  std::optional<running> on{std::in_place,
                            [&](request& asked, reply answer) {
                              if (asked.path() == "/x") {
                                echo(asked, std::move(answer));
                              } else {
                                opened.put(answer.open(200, {}));
                              }
                            },
                            options};
  tls_wire idle{on->port};
  idle.send(get_x);
  idle.read_answer();
  CHECK(idle.read_all().empty());
  CHECK(idle.failure() == "end");
  tls_wire follower{on->port};
  follower.send("GET /stream HTTP/1.0\r\n\r\n");  // its end is the end of the connection
  auto out = opened.take();
  out.write("part");
  CHECK(has(follower.read_until("part"), "200 OK"));
  on->served.stop(0ms);
  CHECK(follower.read_all().empty());
  CHECK(follower.failure() != "end");
}

TEST_CASE("replaced files are for the connections that come after, and old ones go on") {
  pki authority;
  log_lines lines;
  const auto files = own(authority.issue("old"));
  const auto options = secured(files, lines.sinks());
  running on{echo, options};
  tls_wire before{on.port};
  CHECK(before.server_name() == "gateway.old");
  options.tls->look();
  CHECK(lines.take().empty());
  replace(authority.issue("new"), files);
  options.tls->look();  // the other file might yet come
  CHECK(tls_wire{on.port}.server_name() == "gateway.old");
  options.tls->look();
  CHECK(tls_wire{on.port}.server_name() == "gateway.new");
  CHECK(lines.take() ==
        "info: new connections see the certificate that is in '" + files.certificate + "' now\n");
  before.send(get_x);
  CHECK(before.read_answer().starts_with("HTTP/1.1 200 OK\r\n"));
  options.tls->look();
  CHECK(lines.take().empty());
  // At once, when it is asked for.
  replace(authority.issue("newer"), files);
  options.tls->reload();
  CHECK(tls_wire{on.port}.server_name() == "gateway.newer");
}

TEST_CASE("it is known when the certificate in use ends, and the authorities of clients") {
  const auto now = std::chrono::floor<std::chrono::seconds>(runtime::system_clock{}.wall());
  pki authority{now};
  const auto files = authority.issue("web", "127.0.0.1", std::chrono::days{10});
  const auto options = secured(own(files));
  CHECK(options.tls->ends().certificate == now + std::chrono::days{10});
  CHECK_FALSE(options.tls->ends().authorities);
  replace(authority.issue("new", "127.0.0.1", std::chrono::days{20}), files);
  CHECK(options.tls->ends().certificate == now + std::chrono::days{10});
  options.tls->reload();
  CHECK(options.tls->ends().certificate == now + std::chrono::days{20});
  // The first of all that is shown, as it ends there for clients.
  const auto brief = authority.issue("between", "127.0.0.1", std::chrono::days{5});
  std::ofstream{files.certificate, std::ios::app} << std::ifstream{brief.certificate}.rdbuf();
  options.tls->reload();
  CHECK(options.tls->ends().certificate == now + std::chrono::days{5});
  std::ofstream{files.key} << "nonsense";
  options.tls->reload();
  CHECK(options.tls->ends().certificate == now + std::chrono::days{5});
  const auto asking = secured(authority.issue("other"));
  CHECK(asking.tls->ends().authorities == now + runtime::authority_valid_for);
}

TEST_CASE("new files that cannot be used are told once, and the certificate in use stays") {
  pki authority;
  pki others;
  log_lines lines;
  const auto files = authority.issue("web");
  const auto options = secured(files, lines.sinks());
  running on{echo, options};
  const auto client = authority.issue("client");
  const auto looked = [&] {
    for (int i = 0; i < 3; ++i) {
      options.tls->look();
    }
    CHECK(tls_wire{on.port, {.shown = client}}.server_name() == "gateway.web");
    CHECK(serves(on.port, client));
    auto text = lines.take();
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    return text;
  };
  const auto kept = "warn: the certificate in use stays: cannot use '";
  std::filesystem::copy(files.key, files.key + ".old");
  std::filesystem::rename(others.issue("other").key, files.key);
  CHECK(looked() == kept + files.key + "': it is not the key of '" + files.certificate +
                        "'; name the two that were made together\n");
  std::ofstream{files.key} << "nonsense";
  CHECK(looked().starts_with(kept + files.key + "': "));
  std::filesystem::remove(files.key);
  CHECK(looked() ==
        kept + files.key + "': No such file or directory; name a file that can be read\n");
  std::filesystem::rename(files.key + ".old", files.key);
  CHECK(looked().starts_with("info: new connections see the certificate"));
}

TEST_CASE("a server does not begin with files that cannot be used") {
  pki authority;
  const auto files = authority.issue("web");
  const auto objection = [](const runtime::tls_files& to) {
    const auto made = identity::open(to, {});
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == runtime::errc::invalid_argument);
    return made.error().text();
  };
  CHECK(has(objection({{}, files.key, files.key}), "it must hold a certificate in PEM"));
  CHECK(has(objection({{}, files.certificate, files.certificate}), "it must hold a key in PEM"));
  CHECK(has(objection({{}, authority.directory(), files.key}), "it is no file"));
  CHECK(has(objection({files.key, files.certificate, files.key}), "certificates of authorities"));
  std::filesystem::permissions(files.key, std::filesystem::perms{0644});
  CHECK(objection(own(files)) ==
        "cannot use '" + files.key +
            "': anyone on this machine may read or write it; chmod o= " + files.key);
  pki past{runtime::system_clock{}.wall() - std::chrono::days{30}};
  const auto late = past.issue("late", "127.0.0.1", std::chrono::days{10});
  CHECK(objection(own(late)) == "cannot use '" + late.certificate + "': it has expired; renew it");
}

}  // namespace millrace::gateway::http
