// SPDX-License-Identifier: MIT
// Two silos over real sockets, encrypted.
#include "routing/peer_links.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <future>

#include "runtime/link/hubs.h"
#include "runtime/routing/fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;
using runtime::detail::peer_links;
using runtime::testing::pki;

// A silo that is called as the other one's peer; it has every partition of `mine`.
struct linked_silo {
  linked_silo(std::string name_of, std::uint64_t incarnation, pki& authority, runtime::rng random)
      : name(std::move(name_of)) {
    auto options = runtime::testing::silo_options(name.c_str());
    options.self.incarnation = incarnation;
    options.credentials = authority.of({link_role::silo, name});
    runtime::silo_options how;
    how.name = name;
    here = std::make_unique<silo>(make_memory_storage(), how);
    here->add<ferry>();
    auto& core = runtime::detail::silo_access::core(*here);
    links = std::make_unique<peer_links>(std::move(options), core.routes(), time, random,
                                         [](const std::string&) {});
    core.routes().join(name, incarnation, *links);
    REQUIRE(here->start());
    port = *links->start();
  }
  ~linked_silo() {
    here->stop();
    links->stop();
  }
  void see(std::vector<std::string> primaries) {
    runtime::detail::silo_access::core(*here).routes().set_map(std::make_shared<cluster_map>(
        std::vector<cluster_member>{{"a", 1, {}, {"ferry"}}, {"b", 2, {}, {"ferry"}}},
        std::move(primaries)));
  }

  std::string name;
  system_clock time;
  std::unique_ptr<silo> here;
  std::unique_ptr<peer_links> links;
  std::uint16_t port = 0;
};

std::vector<std::string> every_other_one() {
  std::vector<std::string> primaries;
  for (int partition = 0; partition < 256; ++partition) {
    primaries.emplace_back(partition % 2 == 0 ? "a" : "b");
  }
  return primaries;
}

std::string key_of_b(const std::string& beginning = "k") {
  for (int key = 0;; ++key) {
    auto name = beginning + std::to_string(key);
    if (static_cast<int>(partition_of("ferry", name, "", 256)) % 2 == 1) {
      return name;
    }
  }
}

// Until the link is up a call says that it may be tried again.
result<ferry_interface::add_results> add(linked_silo& from, const std::string& key,
                                         std::int64_t amount) {
  for (;;) {
    auto added = from.here->call(ref<Ferry>(key).add(amount));
    if (added || added.error().code() != errc::unavailable) {
      return added;
    }
    std::this_thread::yield();
  }
}

TEST_CASE("silos call each other's actors over encrypted links") {
  pki authority;
  linked_silo a{"a", 1, authority, runtime::rng{1}};
  auto b = std::make_unique<linked_silo>("b", 2, authority, runtime::rng{2});
  a.see(every_other_one());
  b->see(every_other_one());
  REQUIRE(a.links->open("b", "127.0.0.1", b->port));
  REQUIRE(b->links->open("a", "127.0.0.1", a.port));
  std::int64_t expected = 0;
  for (int key = 0; key < 100; ++key) {
    const auto added = add(a, "k" + std::to_string(key), key);
    REQUIRE(added);
    expected += added->total();
  }
  std::int64_t seen = 0;
  for (int key = 0; key < 100; ++key) {
    const auto answer = b->here->call(ref<Ferry>("k" + std::to_string(key)).get());
    REQUIRE(answer);
    seen += answer->total();
  }
  CHECK(seen == expected);
  CHECK(seen == 99 * 100 / 2);

  // A silo that goes takes what has begun there along; what has not waits for another one.
  std::promise<errc> ended;
  a.here->call_then(ref<Ferry>(key_of_b()).hold(), [&](const auto& answer) {
    ended.set_value(answer ? errc{} : answer.error().code());
  });
  b.reset();
  runtime::detail::silo_access::core(*a.here).routes().leave();
  const auto code = ended.get_future().get();
  CHECK((code == errc::outcome_unknown || code == errc::unavailable));
}

// Goal: an answer that is lost costs the calls that are open, and not the link.
TEST_CASE("a session that is given up, by either end, is followed by another") {
  pki authority;
  linked_silo a{"a", 1, authority, runtime::rng{1}};
  linked_silo b{"b", 2, authority, runtime::rng{2}};
  a.see(every_other_one());
  b.see(every_other_one());
  REQUIRE(a.links->open("b", "127.0.0.1", b.port));
  REQUIRE(b.links->open("a", "127.0.0.1", a.port));
  std::int64_t total = 0;
  for (auto* const gives_up : {&a, &b}) {
    const std::string name = gives_up == &a ? "a" : "b";
    REQUIRE(add(a, key_of_b(), 1)->total() == ++total);
    std::promise<errc> ended;
    a.here->call_then(ref<Ferry>(key_of_b("of" + name)).hold(), [&](const auto& answer) {
      ended.set_value(answer ? errc{} : answer.error().code());
    });
    gives_up->links->give_up(name == "a" ? "b" : "a");
    CHECK(ended.get_future().get() == errc::outcome_unknown);
  }
  CHECK(add(a, key_of_b(), 1)->total() == ++total);
}

// Goal: nothing of a session is carried out once it was given up.
// Method: the peer is a hub without a silo, which sends what cannot be read and calls behind it.
TEST_CASE("what comes behind a message that could not be read is not carried out") {
  pki authority;
  linked_silo b{"b", 2, authority, runtime::rng{2}};
  b.see(std::vector<std::string>(256, "b"));
  auto options = runtime::testing::silo_options("a");
  options.credentials = authority.of({link_role::silo, "a"});
  runtime::testing::running_hub a{options};
  const auto link = a.open("b", b.port);
  a.events.next("up");
  ferry_interface::add_params one;
  one.build().setAmount(1);
  call_frame frame;
  frame.kind = call_frame::what::one_way;
  frame.type = "ferry";
  frame.key = "k";
  const encoded_frame encoded{frame, one.content()};
  const auto call = encoded.bytes();
  const auto send = [&](std::string_view body) {
    REQUIRE(link->send(link_lane::call, static_cast<std::uint16_t>(frame_kind::call), body) ==
            link_send::queued);
  };
  send(call);
  send("nonsense");
  for (int behind = 0; behind < 50 && link->send(link_lane::call, 1, call) == link_send::queued;) {
    ++behind;
  }
  a.events.next("ended");
  CHECK(b.here->call(ref<Ferry>("k").get())->total() == 1);
}

// Goal: a link that stays down is told of once, not at every attempt, and so is its end.
TEST_CASE("a link that goes down is told of once, each minute that it stays, and when it is up") {
  hand_clock time;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;
  std::size_t downs = 0;
  struct counter final : runtime::detail::peer_watch {
    counter(std::mutex& m, std::condition_variable& c, std::size_t& n)
        : mutex(m), changed(c), downs(n) {}
    void link_up(const std::string&, std::uint64_t) override {}
    void link_down(const std::string&) override {
      const std::lock_guard lock{mutex};
      ++downs;
      changed.notify_all();
    }
    void session_ended(const std::string&) override {}
    void replica_frame(const std::string&, std::string) override {}
    std::mutex& mutex;
    std::condition_variable& changed;
    std::size_t& downs;
  } watch{mutex, changed, downs};
  silo here{make_memory_storage()};
  auto options = runtime::testing::silo_options("a");
  options.backoff_min = options.backoff_max = 5ms;
  peer_links links{options,
                   runtime::detail::silo_access::core(here).routes(),
                   time,
                   runtime::rng{1},
                   [&](const std::string& line) {
                     const std::lock_guard lock{mutex};
                     lines.push_back(line);
                     changed.notify_all();
                   },
                   &watch};
  REQUIRE(links.start());
  const auto after = [&](std::size_t more) {
    std::unique_lock lock{mutex};
    const auto wanted = downs + more;
    REQUIRE(changed.wait_for(lock, 30s, [&] { return downs >= wanted; }));
    return lines;
  };
  REQUIRE(links.open("z", "127.0.0.1", 1));  // nobody listens there
  CHECK(after(5) == std::vector<std::string>{"a link is down peer=silo.z why=Connection refused"});
  time.move(1min);
  const auto told = after(5);
  REQUIRE(told.size() == 2);
  CHECK(
      told[1].starts_with("a link is down peer=silo.z why=Connection refused for_s=60 attempts="));
  links.stop();
}

// Goal: the reason that an operator can do something about does not wait behind another one.
// Method: where nobody listened a silo of a later protocol comes up.
TEST_CASE("a link that stays down for another reason is told of at once") {
  hand_clock time;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;
  silo here{make_memory_storage()};
  auto options = runtime::testing::silo_options("a");
  options.backoff_min = options.backoff_max = 5ms;
  peer_links links{options, runtime::detail::silo_access::core(here).routes(), time,
                   runtime::rng{1}, [&](const std::string& line) {
                     const std::lock_guard lock{mutex};
                     lines.push_back(line);
                     changed.notify_all();
                   }};
  REQUIRE(links.start());
  const auto next_line = [&](std::size_t count) {
    std::unique_lock lock{mutex};
    REQUIRE(changed.wait_for(lock, 30s, [&] { return lines.size() >= count; }));
    return lines.back();
  };
  REQUIRE(links.open("z", "127.0.0.1", 1));
  CHECK(next_line(1) == "a link is down peer=silo.z why=Connection refused");
  auto newer = runtime::testing::silo_options("z");
  newer.self.version_min = newer.self.version_max = 2;
  runtime::testing::running_hub z{newer};
  REQUIRE(links.open("z", "127.0.0.1", z.port));
  z.events.next("refused");
  z.events.next("refused");
  time.move(1s);
  CHECK(next_line(2).starts_with(
      "a link is down peer=silo.z why=silo.z ended the link: silo.z speaks versions 2 to 2 of the "
      "link protocol, silo.a speaks versions 1 to 1 of the link protocol: upgrade silo.a for_s=1"));
  z.events.next("refused");
  z.events.next("refused");
  links.stop();
  CHECK(lines.size() == 2);
}

// Goal: whoever comes and is not let in, however often, fills no log.
TEST_CASE("refusals are told once a second, with how many more there were") {
  hand_clock time;
  std::mutex mutex;
  std::vector<std::string> lines;
  silo here{make_memory_storage()};
  peer_links links{
      runtime::testing::silo_options("b"), runtime::detail::silo_access::core(here).routes(), time,
      runtime::rng{1}, [&](const std::string& line) {
        const std::lock_guard lock{mutex};
        lines.push_back(line.substr(0, line.find(':')) + line.substr(line.find(" why")));
      }};
  const auto port = *links.start();
  const auto be_refused = [&] {
    runtime::testing::raw_socket stranger{port};
    REQUIRE(stranger.send("GET / HTTP/1.1\r\n\r\n"));
    CHECK(stranger.next().body == "there is no frame of type 47");
  };
  for (int at = 0; at < 5; ++at) {
    be_refused();
  }
  time.move(1s - 1ns);
  be_refused();
  time.move(1ns);
  be_refused();
  links.stop();
  const std::string line = "a peer was refused address=127.0.0.1 why=there is no frame of type 47";
  CHECK(lines == std::vector<std::string>{line, line + " others_since=5"});
}

}  // namespace
}  // namespace millrace::testing
