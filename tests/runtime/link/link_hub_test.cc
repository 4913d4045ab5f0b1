// SPDX-License-Identifier: MIT
#include "link/link_hub.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <thread>
#include <tuple>

#include "byte_order.h"
#include "hubs.h"
#include "link/backoff.h"

namespace millrace::runtime::testing {
namespace {

using namespace std::chrono_literals;

link_options quick(const char* name) {
  auto options = silo_options(name);
  options.limits.alive_interval = 20ms;
  options.limits.silence_max = 30s;  // no link goes down because the machine is busy
  options.handshake_max = 30s;
  options.write_max = 30s;
  options.backoff_min = 5ms;
  options.backoff_max = 50ms;
  return options;
}

link_options impatient(const char* name) {
  auto options = quick(name);
  options.limits.silence_max = 1s;
  options.handshake_max = 1s;
  return options;
}

std::string hello_of(const char* name, std::uint64_t connection = 1, std::uint64_t session = 0,
                     std::uint64_t incarnation = 1) {
  link_hello said{
      .from = {.cluster_id = "c", .name = {link_role::silo, name}, .incarnation = incarnation},
      .connection = connection,
      .session = session};
  for (auto& lane : said.lanes) {
    lane.credit = 1U << 20U;
  }
  std::string bytes;
  append_hello(bytes, said);
  return bytes;
}

std::string message_frame(std::uint64_t number, std::string_view body) {
  std::string bytes;
  append_frame(bytes, {frame_type::message, link_lane::call, 1, number, body});
  return bytes;
}

// The words of the goodbye that ends what a peer is told.
std::string goodbye_of(raw_socket& from) {
  for (;;) {
    const auto one = from.next();
    if (one.type == frame_type::goodbye) {
      return std::string{one.body};
    }
  }
}

}  // namespace

TEST_CASE("two silos exchange messages of all lanes, whoever of them connects") {
  running_hub a{silo_options("a")};
  running_hub b{silo_options("b")};
  const auto to_a = b.open("a", a.port);  // a connects: its name is less
  CHECK(to_a->send(link_lane::call, 1, "early") == link_send::unavailable);
  const auto to_b = a.open("b", b.port);
  CHECK(a.events.next("up") == "up silo.b 1");
  CHECK(b.events.next("up") == "up silo.a 1");
  CHECK(to_b->send(link_lane::call, 1, "hello b") == link_send::queued);
  CHECK(to_a->send(link_lane::system, 1, "hello a") == link_send::queued);
  CHECK(b.events.next("message") == "message hello b");
  CHECK(a.events.next("message") == "message hello a");
  const std::string large(3'000'000, 'x');
  CHECK(to_b->send(link_lane::bulk, 1, large) == link_send::queued);
  CHECK(b.events.next("message").size() == 8 + large.size());
}

TEST_CASE("a gateway links to a silo, which answers on the same link") {
  running_hub silo{silo_options("a")};
  running_hub gateway{options_of({link_role::gateway, "a"})};
  silo.events.on_message = [](const auto& link, link_message& message) {
    CHECK(link->peer() == link_name{link_role::gateway, "a"});
    CHECK(link->send(message.lane, 2, "answer to " + std::string{message.body()}) ==
          link_send::queued);
  };
  const auto link = gateway.open("a", silo.port);
  gateway.events.next("up");
  CHECK(link->send(link_lane::call, 1, "call") == link_send::queued);
  CHECK(gateway.events.next("message") == "message answer to call");
}

TEST_CASE("a link that cannot be is refused when it is opened") {
  running_hub a{silo_options("a")};
  const auto refused = [&](const link_name& peer, const char* host) {
    const auto link = a.hub.open(peer, host, 1);
    REQUIRE_FALSE(link);
    CHECK(link.error().code() == errc::invalid_argument);
    return link.error().text();
  };
  CHECK(refused({link_role::silo, "a"}, "127.0.0.1") ==
        "no link to silo.a: a link goes to another silo");
  CHECK(refused({link_role::gateway, "b"}, "127.0.0.1") ==
        "no link to gateway.b: a link goes to another silo");
  CHECK(refused({link_role::silo, "b/c"}, "127.0.0.1") == "no link to silo.b/c: that is no name");
  CHECK(refused({link_role::silo, "b"}, "192.0.2.1") ==
        "no link to silo.b: 192.0.2.1 is another machine, and there are no certificates "
        "(`millrace pki`)");
}

TEST_CASE("without certificates a hub listens on this machine only, unless it is spelled out") {
  system_clock time;
  witness events;
  const auto start = [&](const char* address, plain_links plain) {
    auto options = silo_options("a");
    options.listen_address = address;
    options.plain = plain;
    return link_hub{options, events, time, rng{1}}.start();
  };
  const auto refused = start("0.0.0.0", plain_links::on_loopback);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::invalid_argument);
  CHECK(refused.error().text().starts_with("links on 0.0.0.0:0 need certificates"));
  CHECK(start("0.0.0.0", plain_links::anywhere));
  CHECK(start("::1", plain_links::on_loopback));
  CHECK(start("silo.example.org", plain_links::anywhere).error().text() ==
        "'silo.example.org' is no address");
  CHECK(start("192.0.2.1", plain_links::anywhere).error().code() == errc::unavailable);
}

TEST_CASE("a peer that stops says so, and one that comes back is a new one") {
  running_hub a{quick("a")};
  auto options = quick("b");
  auto b = std::make_unique<running_hub>(options);
  const auto link = a.open("b", b->port);
  CHECK(a.events.next("up") == "up silo.b 1");
  options.listen_port = b->port;
  b.reset();
  CHECK(a.events.next("down") == "down silo.b: silo.b ended the link: it stops");
  CHECK(link->send(link_lane::call, 1, "lost") == link_send::queued);
  options.self.incarnation = 2;
  b = std::make_unique<running_hub>(options);
  CHECK(a.events.next("ended") == "ended silo.b 1");
  CHECK(a.events.next("up") == "up silo.b 2");
  CHECK(link->send(link_lane::call, 1, "arrives") == link_send::queued);
  CHECK(b->events.next("message") == "message arrives");
}

TEST_CASE("a closed link ends for good, here and there") {
  running_hub a{quick("a")};
  running_hub b{quick("b")};
  const auto link = a.open("b", b.port);
  a.events.next("up");
  a.hub.close(link->peer());
  CHECK(a.events.next("ended").starts_with("ended silo.b"));
  CHECK(b.events.next("down") == "down silo.a: silo.a ended the link: the link is closed");
  CHECK(link->send(link_lane::call, 1, "x") == link_send::unavailable);
}

TEST_CASE("a link that is closed and opened again at once lives, whoever of the two connects") {
  running_hub a{quick("a")};
  running_hub b{quick("b")};
  a.open("b", b.port);
  b.open("a", a.port);
  a.events.next("up");
  b.events.next("up");
  for (auto* const closes : {&a, &b}) {
    auto& other = closes == &a ? b : a;
    const link_name peer{link_role::silo, closes == &a ? "b" : "a"};
    closes->hub.close(peer);
    const auto again = closes->open(peer.name.c_str(), other.port);
    CHECK(closes->events.next("ended") == "ended " + peer.to_string() + " 0");
    CHECK(other.events.next("ended").starts_with("ended silo."));
    CHECK(closes->events.next("up") == "up " + peer.to_string() + " 1");
    CHECK(again->send(link_lane::call, 1, "on the new one") == link_send::queued);
    CHECK(other.events.next("message") == "message on the new one");
  }
}

// Goal: whoever has lost a message that mattered begins anew, and both ends know.
TEST_CASE("a session that its owner ends is followed by a new one on the same link") {
  running_hub a{quick("a")};
  running_hub b{quick("b")};
  const auto to_b = a.open("b", b.port);
  const auto to_a = b.open("a", a.port);
  for (auto* const ends : {&a, &b}) {
    auto& other = ends == &a ? b : a;
    const auto& link = ends == &a ? to_b : to_a;
    a.events.next("up");
    b.events.next("up");
    ends->hub.end_session(link->peer(), "an answer is lost");
    CHECK(ends->events.next("ended") == "ended " + link->peer().to_string() + " 0");
    CHECK(other.events.next("down").ends_with("ended the link: an answer is lost"));
    CHECK(other.events.next("ended").starts_with("ended silo."));
  }
  a.events.next("up");
  b.events.next("up");
  CHECK(to_a->send(link_lane::call, 1, "new") == link_send::queued);
  CHECK(a.events.next("message") == "message new");
}

// Goal: whoever is told keeps what it knows of a peer between `link_up` and `session_ended`.
// Method: all of it comes in one read, in the hello's.
TEST_CASE("an owner hears that a session ended, that one is up, what has come, and the end") {
  raw_listener listener;
  running_hub a{quick("a")};
  a.open("b", listener.port);
  const auto all_told = [&] {
    std::string all;
    for (std::string each; !each.starts_with("down");) {
      each = a.events.next("");
      all += each.substr(0, each.find(' ')) + ' ';
    }
    return all;
  };
  std::string goodbye;
  append_frame(goodbye, {.type = frame_type::goodbye, .body = "bye"});
  for (const auto& [hello, told] : {std::pair{hello_of("b", 0, 7, 1), "up message down "},
                                    {hello_of("b", 0, 8, 1), "ended up message down "},
                                    {hello_of("b", 0, 9, 2), "ended up message down "}}) {
    auto peer = listener.accept();
    peer.next();
    REQUIRE(peer.send(hello + message_frame(1, "x") + goodbye));
    CHECK(all_told() == std::string{told});
  }
}

TEST_CASE("who is of another cluster or version is told so") {
  running_hub b{quick("b")};
  auto options = quick("a");
  options.self.cluster_id = "d";
  {
    running_hub a{options};
    a.open("b", b.port);
    CHECK(a.events.next("down") ==
          "down silo.b: silo.b ended the link: silo.a is of the cluster 'd', silo.b of 'c'");
    CHECK(b.events.next("refused") == "refused: silo.a is of the cluster 'd', silo.b of 'c'");
  }
  options.self.cluster_id = "c";
  options.self.version_min = 2;
  options.self.version_max = 3;
  running_hub a{options};
  const std::string why =
      "silo.b speaks versions 1 to 1 of the link protocol, silo.a speaks versions 2 to 3 of the "
      "link protocol: upgrade silo.b";
  a.open("b", b.port);
  CHECK(a.events.next("down") == "down silo.b: silo.b ended the link: " + why);
  CHECK(b.events.next("refused: silo.b") == "refused: " + why);  // the one of before tried again
}

TEST_CASE("a newer end speaks to an older one as that one does") {
  running_hub b{quick("b")};
  auto options = quick("a");
  options.self.version_max = 3;
  running_hub a{options};
  const auto link = a.open("b", b.port);
  CHECK(link->version() == 0);
  std::atomic<int> seen{-1};
  b.events.on_message = [&](const std::shared_ptr<peer_link>& from, link_message&) {
    seen = from->version();
    b.events.note("message");
  };
  a.events.next("up");
  CHECK(link->version() == 1);
  REQUIRE(link->send(link_lane::call, 1, "x") == link_send::queued);
  b.events.next("message");
  CHECK(seen == 1);
}

TEST_CASE("bytes that are no hello are answered with the reason and cut off") {
  running_hub b{quick("b")};
  std::string alive;
  append_frame(alive, {.type = frame_type::alive});
  std::string huge(frame_head_bytes, '\0');
  store_little(huge.data(), std::uint32_t{UINT32_MAX});
  huge[4] = 1;
  for (const auto& [bytes, why] :
       {std::pair{std::string{"GET / HTTP/1.1\r\n\r\n"}, "there is no frame of type 47"},
        {huge, "a frame of type 1 cannot have 4294967295 bytes"},
        {alive, "a frame of type 3 before the hello"},
        {hello_of("c"),
         "of two silos the one whose name is less connects, and that is not silo.c "
         "of it and silo.b"}}) {
    CAPTURE(why);
    raw_socket peer{b.port};
    CHECK(peer.send(bytes));
    CHECK(goodbye_of(peer) == why);
    CHECK(b.events.next("refused") == "refused: " + std::string{why});
  }
}

TEST_CASE("a peer that floods, lies or sends garbage after its hello loses its connection") {
  running_hub b{quick("b")};
  std::string flood = hello_of("a");
  const std::string body(piece_bytes_max, 'x');
  for (std::uint64_t number = 1; number <= 300; ++number) {  // 300 * 64 KiB > 16 MiB
    flood += message_frame(number, body);
  }
  b.events.on_message = [](const auto&, link_message& message) { message.is_kept = true; };
  for (const auto& [bytes, why] :
       {std::pair{flood, "more bytes than there was credit for"},
        {hello_of("a", 2) + std::string(100, '\xff'), "there is no frame of type 255"},
        {hello_of("a", 3) + hello_of("a", 3), "a frame of type 1 out of its place"},
        {hello_of("a", 4) + message_frame(7, "x"), "frame 7 where 1 was due"}}) {
    CAPTURE(why);
    raw_socket peer{b.port};
    peer.send(bytes);
    CHECK(b.events.next("down") == "down silo.a: " + std::string{why});
  }
}

TEST_CASE("who says nothing is given up, before the hello and after it") {
  running_hub b{impatient("b")};
  raw_socket stranger{b.port};
  CHECK(b.events.next("refused") == "refused: it took too long to say who it is");
  raw_socket silent{b.port};
  REQUIRE(silent.send(hello_of("a")));
  CHECK(b.events.next("down").starts_with("down silo.a: nothing was heard of silo.a for"));
  // The other way round: a listener that takes the connection, and that is all.
  raw_listener listener;
  running_hub a{impatient("a")};
  a.open("b", listener.port);
  CHECK(a.events.next("down").starts_with("down silo.b: nothing was heard of silo.b for"));
}

TEST_CASE("who does not read is given up, and its lane fills meanwhile") {
  auto options = quick("b");
  options.write_max = 1s;
  running_hub b{options};
  raw_socket peer{b.port};
  std::shared_ptr<peer_link> link;
  std::mutex mutex;
  b.events.on_message = [&](const auto& from, const link_message&) {
    const std::lock_guard lock{mutex};
    link = from;
    b.events.note("message");
  };
  // Credit for everything, so that the socket is what fills.
  auto said = hello_of("a");
  const std::string much(8, '\x7f');
  append_frame(said, {frame_type::progress, link_lane::bulk, 0, 0, much});
  REQUIRE(peer.send(said + message_frame(1, "x")));
  b.events.next("message");
  const std::string large(1 << 20, 'x');
  auto outcome = link_send::queued;
  for (int at = 0; at < 100 && outcome == link_send::queued; ++at) {
    outcome = link->send(link_lane::bulk, 1, large);
  }
  CHECK(outcome == link_send::overloaded);
  CHECK(link->send(link_lane::call, 1, "x") == link_send::queued);
  CHECK(b.events.next("down") == "down silo.a: the other end reads nothing");
}

// Goal: whoever copies a partition or catches up with its log delays no call.
// Method: nobody's clock: a peer that reads slowly, with little room in its socket, counts how much
// of 8 MiB of bulk comes between when a call was queued and that call. It is what the kernel and
// one write had already, a small part of what waits.
TEST_CASE("a call overtakes all bulk that has not been written, and bulk goes on beside calls") {
  running_hub b{quick("b")};
  std::promise<std::shared_ptr<peer_link>> arrived;
  b.events.on_message = [&](const auto& from, const link_message&) { arrived.set_value(from); };
  raw_socket peer{b.port};
  const int room = 64 << 10;
  ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  std::string plenty(8, '\x7f');
  auto said = hello_of("a");
  append_frame(said, {frame_type::progress, link_lane::bulk, 0, 0, plenty});
  append_frame(said, {frame_type::progress, link_lane::call, 0, 0, plenty});
  REQUIRE(peer.send(said + message_frame(1, "x")));
  const auto link = arrived.get_future().get();

  REQUIRE(link->send(link_lane::bulk, 1, std::string(8 << 20, 'b')) == link_send::queued);
  int pieces = 0;
  const auto read_until = [&](const auto& is_it) {
    const auto before = pieces;
    for (auto one = peer.next(); !is_it(one); one = peer.next()) {
      REQUIRE(one.type != frame_type::goodbye);
      pieces += one.lane == link_lane::bulk && one.type == frame_type::piece ? 1 : 0;
    }
    return pieces - before;
  };
  const auto is_bulk = [](const frame& one) { return one.type == frame_type::piece; };
  read_until(is_bulk);
  for (int call = 0; call < 8; ++call) {
    REQUIRE(link->send(link_lane::call, 1, "call") == link_send::queued);
    const auto overtaken = read_until([](const frame& one) { return one.lane == link_lane::call; });
    CHECK(overtaken <= 16);  // 1 MiB; 64 KiB here, 128 KiB unsent there, what is on its way
    read_until(is_bulk);     // it goes on
  }
  read_until([](const frame& one) {
    return one.lane == link_lane::bulk && one.type == frame_type::message;
  });
}

TEST_CASE("a connection that died unseen is replaced by the peer's next, and nothing is lost") {
  running_hub b{quick("b")};
  raw_socket first{b.port};
  REQUIRE(first.send(hello_of("a") + message_frame(1, "one")));
  CHECK(b.events.next("message") == "message one");
  const auto answer = read_hello(first.next().body);
  REQUIRE(answer);
  // It neither closes nor is heard of: as when a machine has lost its power.
  raw_socket second{b.port};
  link_hello again{.from = {.cluster_id = "c", .name = {link_role::silo, "a"}},
                   .connection = 2,
                   .session = answer->session};
  std::string bytes;
  append_hello(bytes, again);
  REQUIRE(second.send(bytes + message_frame(2, "two")));
  CHECK(b.events.next("down") == "down silo.a: a newer connection takes its place");
  CHECK(b.events.next("message") == "message two");
  const auto resumed = read_hello(second.next().body);
  REQUIRE(resumed);
  CHECK(resumed->session == answer->session);
  CHECK(resumed->lanes[index_of(link_lane::call)].received == 1);
  raw_socket late{b.port};
  REQUIRE(late.send(bytes));
  CHECK(goodbye_of(late) == "this connection was overtaken by a newer one");
}

// Goal: a connection that is refused proves that the process is gone (replication.md, takeover): so
// no other may be refused, and nobody else may keep the port.
TEST_CASE("a port is listened on for as long as there is the hub, stopped or not") {
  std::uint16_t port = 0;
  const auto connects = [&] {
    const unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    auto where = raw_socket::loopback(port);
    const auto done = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&where), sizeof where);
    return done == 0 ? 0 : errno;
  };
  {
    running_hub b{quick("b")};
    port = b.port;
    CHECK(connects() == 0);
    b.hub.stop();
    for (int at = 0; at < 3; ++at) {
      CHECK(connects() == 0);
    }
  }
  CHECK(connects() == ECONNREFUSED);
}

TEST_CASE("no socket of a hub is handed on to a program that is started") {
  running_hub a{silo_options("a")};
  running_hub b{silo_options("b")};
  a.open("b", b.port);
  b.events.next("up");
  int sockets = 0;
  for (const auto& each : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const auto file = std::stoi(each.path().filename());
    struct stat what {};
    if (::fstat(file, &what) == 0 && S_ISSOCK(what.st_mode) && file > STDERR_FILENO) {
      ++sockets;
      CHECK((::fcntl(file, F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
  CHECK(sockets >= 4);  // two that listen, two ends of a connection
}

TEST_CASE("connections are bounded") {
  auto options = quick("b");
  options.connections_max = 2;
  running_hub b{options};
  raw_socket one{b.port};
  raw_socket two{b.port};
  raw_socket three{b.port};
  CHECK(b.events.next("refused") == "refused: too many connections");
  CHECK(goodbye_of(three) == "(closed)");
}

// Goal: however many come and do not say who they are, or say nonsense, a peer gets in.
TEST_CASE("strangers make room for each other, those first of whose address there are most") {
  auto options = quick("b");
  options.strangers_max = 3;
  running_hub b{options};
  std::vector<raw_socket> crowd;
  const auto one_more = [&] { crowd.emplace_back(b.port); };
  for (int at = 0; at < 3; ++at) {
    one_more();
  }
  raw_socket peer{b.port, INADDR_LOOPBACK + 1};
  const std::string why = "somebody else needed its place before it had said who it is";
  CHECK(b.events.next("refused") == "refused: " + why);
  CHECK(goodbye_of(crowd.front()) == "(closed)");
  for (int at = 0; at < 10; ++at) {
    one_more();
    CHECK(b.events.next("refused") == "refused: " + why);
  }
  for (int at = 0; at < 10; ++at) {  // these wait for the other end to close
    one_more();
    REQUIRE(crowd.back().send("GET / HTTP/1.1\r\n\r\n"));
    CHECK(goodbye_of(crowd.back()) == "there is no frame of type 47");
  }
  REQUIRE(peer.send(hello_of("a")));
  CHECK(b.events.next("up") == "up silo.a 1");
}

TEST_CASE("what is kept holds its sender, until it is released") {
  running_hub a{silo_options("a")};
  running_hub b{silo_options("b")};
  std::vector<link_receipt> kept;
  b.events.on_message = [&](const auto&, link_message& message) {
    kept.push_back(message.receipt);
    b.events.note(std::string{message.body().substr(0, 4)});
    message.is_kept = true;
  };
  const auto link = a.open("b", b.port);
  a.events.next("up");
  const std::string large(7 << 20, 'x');
  for (const auto* text : {"1st ", "2nd ", "3rd "}) {  // two fit the window of 16 MiB
    const auto body = text + large;
    while (link->send(link_lane::bulk, 1, body) == link_send::overloaded) {
      b.events.next("");
    }
  }
  REQUIRE(link->send(link_lane::call, 1, "call") == link_send::queued);
  b.events.next("call");
  CHECK(kept.size() <= 3);
  // The third comes only when the first has gone.
  std::shared_ptr<peer_link> back = b.open("a", a.port);
  back->release(kept.at(0));
  b.events.next("3rd ");
}

// Goal: the other end does not wait for answers until all that it has sent at once is handled, and
// what was read comes before the end of its connection. Method: many messages come together; within
// one of them the owner waits for an earlier answer to arrive, or for the connection to be reset.
namespace {

constexpr int together = 600;

std::string many_messages() {
  std::string all;
  for (int number = 1; number <= together; ++number) {
    all += message_frame(static_cast<std::uint64_t>(number), "call");
  }
  return all;
}

}  // namespace

TEST_CASE("answers to a long read leave while it is handed over") {
  running_hub b{silo_options("b")};
  std::promise<void> answered;
  auto is_answered = answered.get_future();
  std::promise<bool> in_time;
  int taken = 0;
  b.events.on_message = [&](const auto& from, const link_message&) {
    if (++taken == together) {
      in_time.set_value(is_answered.wait_for(20s) == std::future_status::ready);
    }
    CHECK(from->send(link_lane::call, 1, "answer") == link_send::queued);
  };
  raw_socket peer{b.port};
  REQUIRE(peer.send(hello_of("a")));
  b.events.next("up");
  REQUIRE(peer.send(many_messages()));
  while (peer.next().type != frame_type::message) {
  }
  answered.set_value();
  CHECK(in_time.get_future().get());
}

TEST_CASE("what a connection has brought is told before its end") {
  running_hub b{silo_options("b")};
  std::promise<void> reached;
  std::promise<void> reset;
  int taken = 0;
  b.events.on_message = [&](const auto& from, const link_message&) {
    if (++taken == 1) {
      reached.set_value();
      reset.get_future().wait();
    }
    CHECK(from->send(link_lane::call, 1, "answer") == link_send::queued);
    b.events.note("taken " + std::to_string(taken));
  };
  {
    raw_socket peer{b.port};
    REQUIRE(peer.send(hello_of("a")));
    b.events.next("up");
    REQUIRE(peer.send(many_messages()));
    reached.get_future().wait();
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  reset.set_value();
  b.events.next("taken " + std::to_string(together));
  b.events.next("down");
}

// Goal: over real sockets, too, each message arrives once and in order wherever a connection
// breaks. Method: both ends talk through a relay that cuts every connection after a random number
// of bytes.
namespace {

class cutting_relay {
public:
  explicit cutting_relay(std::uint16_t to)
      : port(listener_.port), to_(to), thread_([this] { run(); }) {}
  ~cutting_relay() {
    stopping_ = true;
    { raw_socket wake{port}; }
    thread_.join();
  }
  cutting_relay(const cutting_relay&) = delete;
  cutting_relay& operator=(const cutting_relay&) = delete;

private:
  raw_listener listener_;

public:
  const std::uint16_t port;
  std::atomic<bool> cuts = true;
  std::atomic<unsigned> connections = 0;

private:
  void run() {
    while (true) {
      auto from = listener_.accept();
      if (stopping_) {
        return;
      }
      ++connections;
      raw_socket to{to_};
      relay(from, to);
    }
  }

  void relay(raw_socket& from, raw_socket& to) {
    auto left = cuts ? 200 + random_.next() % 2'000'000 : SIZE_MAX;
    std::string piece(65536, '\0');
    while (left > 0 && !stopping_) {
      pollfd both[] = {{from.get(), POLLIN, 0}, {to.get(), POLLIN, 0}};
      if (::poll(both, 2, 50) < 0) {
        return;
      }
      for (const auto& [is_ready, source, target] :
           {std::tuple{both[0].revents != 0, &from, &to}, {both[1].revents != 0, &to, &from}}) {
        if (!is_ready) {
          continue;
        }
        const auto count = ::recv(source->get(), piece.data(), std::min(piece.size(), left), 0);
        if (count <= 0 || !target->send({piece.data(), static_cast<std::size_t>(count)})) {
          return;
        }
        left -= static_cast<std::size_t>(count);
      }
    }
  }

  std::uint16_t to_;
  rng random_{5};
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// Takes numbered messages and checks that each is the next one.
struct numbered {
  void expect(witness& events, std::uint64_t most) {
    events.on_message = [this, &events, most](const auto&, const link_message& message) {
      const auto number = load_little<std::uint64_t>(message.body().data());
      is_right = is_right && number == seen + 1;
      seen = number;
      if (number == most) {
        events.note("all");
      }
    };
  }
  std::uint64_t seen = 0;
  bool is_right = true;
};

}  // namespace

TEST_CASE("over connections that keep breaking, each message arrives once and in order") {
  constexpr std::uint64_t most = 20'000;
  running_hub a{quick("a")};
  running_hub b{quick("b")};
  cutting_relay relay{b.port};
  numbered at_a;
  numbered at_b;
  at_a.expect(a.events, most);
  at_b.expect(b.events, most);
  const auto to_b = a.open("b", relay.port);
  const auto to_a = b.open("a", a.port);
  a.events.next("up");
  b.events.next("up");
  const auto send = [](peer_link& link) {
    std::string body(1000, 'x');
    for (std::uint64_t number = 1; number <= most; ++number) {
      store_little(body.data(), number);
      while (link.send(link_lane::call, 1, body) == link_send::overloaded) {
        std::this_thread::yield();
      }
    }
  };
  std::thread other{[&] { send(*to_a); }};
  send(*to_b);
  other.join();
  relay.cuts = false;
  a.events.next("all");
  b.events.next("all");
  CHECK(at_a.is_right);
  CHECK(at_b.is_right);
  CHECK(relay.connections > 5);
}

TEST_CASE("waits between attempts grow to a bound, in their upper half, and begin anew") {
  rng random{3};
  backoff waits{100ms, 1s};
  for (const auto most : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto wait = waits.next(random);
    CHECK(wait >= most / 2);
    CHECK(wait <= most);
  }
  waits.ended(999ms);
  CHECK(waits.next(random) >= 500ms);
  waits.ended(1s);
  CHECK(waits.next(random) <= 100ms);
}

}  // namespace millrace::runtime::testing
