// SPDX-License-Identifier: MIT
// Who is in, who is out, and who may write.
#include "conformance/cluster.h"

namespace millrace::conformance {
namespace {

const cluster_silo* find(const cluster_view& seen, std::string_view name) {
  for (const auto& each : seen.silos) {
    if (each.name == name) {
      return &each;
    }
  }
  return nullptr;
}

TEST_CASE("a silo that joins is seen active, one that stops is seen leaving, and then no more") {
  probe_cluster cluster;
  cluster.start("d");
  auto seen = cluster.at("a").cluster_view();
  REQUIRE(find(seen, "d") != nullptr);
  CHECK(find(seen, "d")->state == silo_state::active);
  CHECK(cluster.said("a: silo is joining silo=d") == 1);
  cluster.stop("d");
  CHECK(cluster.said("a: silo is draining silo=d") == 1);
  REQUIRE(cluster.until([&] { return find(cluster.at("a").cluster_view(), "d") == nullptr; }));
  CHECK(cluster.said("a: silo is gone silo=d") == 1);
}

// A link that is down is a reason to look, and none to take anybody out.
TEST_CASE("two silos that do not hear each other stay in while the store hears both") {
  probe_cluster cluster;
  cluster.make_twenty("k", "a");
  cluster.network().cut("a", "b");
  cluster.advance(20s);
  for (const auto* name : {"a", "b", "c"}) {
    CHECK(cluster.at(name).cluster_view().silos.size() == 3);
  }
  CHECK(cluster.said("a: silo is gone") + cluster.said("c: silo is gone") == 0);
  CHECK(cluster.has_twenty("k", "c"));
  cluster.network().heal();
  CHECK(cluster.until_whole());
  CHECK(cluster.has_twenty("k", "a"));
}

// Goal: who is out serves nothing, says so, and never comes back; its next life is another one.
TEST_CASE("a silo that was taken out stops serving, and its next life takes its place") {
  std::atomic<int> expelled{0};
  probe_cluster cluster{{.adjust = [&](silo_options& options) {
    if (options.name == "b") {
      options.cluster->on_expelled = [&](const error& why) {
        expelled += why.code() == errc::fenced ? 1 : 100;
      };
    }
  }}};
  cluster.make_twenty("k", "a");
  const auto before = find(cluster.at("a").cluster_view(), "b")->incarnation;
  cluster.network().isolate("b");
  REQUIRE(cluster.until([&] { return find(cluster.at("a").cluster_view(), "b") == nullptr; }));
  CHECK(cluster.has_twenty("k", "a"));
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return expelled == 1; }));
  const auto refused = cluster.call(ref<Ledger>("k1").get(), "b");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::unavailable);
  cluster.kill("b");
  cluster.start("b");
  CHECK(find(cluster.at("a").cluster_view(), "b")->incarnation > before);
  CHECK(cluster.has_twenty("k", "b"));
  CHECK(cluster.until_whole());
}

TEST_CASE("a silo that cannot hear, or reach, one that is in does not join") {
  probe_cluster cluster{{.silos = {"a", "b"}, .adjust = [](silo_options& options) {
                           options.cluster->join_within = 2s;
                         }}};
  cluster.network().cut_one_way("b", "c");
  CHECK_THROWS_WITH(cluster.start("c"), doctest::Contains("has no link with silo 'b'"));
  cluster.network().heal();
  cluster.network().cut_one_way("c", "a");
  CHECK_THROWS_WITH(cluster.start("c"), doctest::Contains("has no link with silo 'a'"));
  cluster.network().heal();
  cluster.start("c");
  CHECK(cluster.until_whole());
}

TEST_CASE("a silo that nobody hears of any more is out when its session is over") {
  probe_cluster cluster;
  cluster.kill("c", ending::silent);
  CHECK(find(cluster.at("a").cluster_view(), "c") != nullptr);
  cluster.advance(4s);
  CHECK(find(cluster.at("a").cluster_view(), "c") != nullptr);
  cluster.advance(2s);
  CHECK(find(cluster.at("a").cluster_view(), "c") == nullptr);
}

TEST_CASE("the time of day may jump: nobody loses anything by it") {
  probe_cluster cluster;
  cluster.make_twenty("k", "a");
  const auto before = cluster.lines().size();
  for (const auto by : {std::chrono::hours{24 * 400}, std::chrono::hours{-24 * 800}}) {
    cluster.clock().set_wall(cluster.clock().wall() + by);
    cluster.advance(5s);
    CHECK(cluster.has_twenty("k", "b"));
  }
  CHECK(cluster.lines().size() == before);
  CHECK(cluster.until_whole());
}

// Goal: one winner. The store's own suite has many compare-and-sets of one version at once; here it
// is what silos make of it.
TEST_CASE("of all silos that could take over one does, in an epoch of its own") {
  probe_cluster cluster{{.silos = {"a", "b", "c", "d", "e"}, .copies = 5}};
  const auto one = ref<Ledger>("one");
  REQUIRE(cluster.call(one.add(1)));
  for (int round = 0; round < 3; ++round) {
    const auto before = cluster.leader_of(one);
    const auto asks = cluster.other_than({before});
    cluster.kill(before, ending::silent);
    REQUIRE(cluster.call(one.add(1).keyed("round" + std::to_string(round)), asks));
    std::map<std::pair<partition_id, std::uint64_t>, int> led;
    for (const auto& line : cluster.lines()) {
      if (const auto at = line.find(": leads partition="); at != std::string::npos) {
        unsigned partition = 0;
        unsigned long long epoch = 0;
        REQUIRE(std::sscanf(line.c_str() + at, ": leads partition=%u epoch=%llu", &partition,
                            &epoch) == 2);
        const auto times = ++led[{partition_id{static_cast<std::uint16_t>(partition)}, epoch}];
        CHECK_MESSAGE(times == 1, line);
      }
    }
    cluster.start(before);
    REQUIRE(cluster.until_whole());
  }
  CHECK(cluster.total("one") == 4);
}

TEST_CASE(
    "what an old primary was still to commit is refused, and its caller is not told success") {
  probe_cluster cluster;
  const auto one = ref<Ledger>("one");
  REQUIRE(cluster.call(one.add(1)));
  const auto old = cluster.leader_of(one);
  const auto asks = cluster.other_than({old});
  cluster.network().isolate(old);
  auto writes = cluster.begin(one.add(100), old);
  auto reads = cluster.begin(one.get(), old);
  CHECK(cluster.call(one.add(1).keyed("once"), asks)->total() == 2);
  CHECK_FALSE((writes.answered() && writes.answer()));
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return writes.answered() && reads.answered(); }));
  CHECK(writes.answer().error().code() == errc::outcome_unknown);
  if (const auto read = reads.answer()) {
    CHECK(read->total() == 2);
  }
  CHECK(cluster.total("one") == 2);
}

TEST_CASE("a minority commits nothing, and heals without losing or inventing a write") {
  probe_cluster cluster{{.silos = {"a", "b", "c", "d", "e"}}};
  cluster.make_twenty("k", "a");
  for (const auto* one : {"a", "b"}) {
    cluster.network().cut(one, test_network::store);
    for (const auto* other : {"c", "d", "e"}) {
      cluster.network().cut(one, other);
    }
  }
  std::vector<open_call<ledger_interface::add_results>> open;
  for (int number = 0; number < 20; ++number) {
    open.push_back(cluster.begin(ref<Ledger>("k" + std::to_string(number)).add(1'000), "a"));
  }
  cluster.advance(8s);
  CHECK(cluster.has_twenty("k", "c"));
  std::vector<bool> acknowledged;
  for (auto& each : open) {
    acknowledged.push_back(each.answered() && each.answer());
  }
  // A set that was whole on its side may have gone on until its silos were taken out: no other.
  for (int number = 0; number < 20; ++number) {
    CHECK_FALSE(acknowledged[static_cast<std::size_t>(number)]);
  }
  for (const auto* each : {"a", "b"}) {
    cluster.kill(each);
  }
  cluster.network().heal();
  for (const auto* each : {"a", "b"}) {
    cluster.start(each);
  }
  CHECK(cluster.has_twenty("k", "a"));
  CHECK(cluster.until_whole());
}

// Goal: whoever was away has what the others have when it counts again.
// Method: by tail, and by snapshot where its disk is new; then it leads its share, and of
// another's.
// Method: what is written while a silo comes back is in the others' journals still, but for those
// that a slow machine has let go of it and trimmed; or its disk is new, and all have trimmed these.
// Its own figures tell which way its copies went.
TEST_CASE("a copy that was away for long gets what it lacks, by tail and by snapshot") {
  for (const bool is_new : {false, true}) {
    CAPTURE(is_new);
    probe_cluster cluster;
    cluster.make_twenty("k", "a");
    cluster.advance(10s);  // it is checkpointed, and trimmed where nobody needs it
    cluster.kill("b");
    if (is_new) {
      cluster.wipe("b");
    }
    if (!is_new) {
      cluster.start("b");
    }
    for (int number = 0; number < 20; ++number) {
      REQUIRE(cluster.call(ref<Ledger>("k" + std::to_string(number)).add(1), "a"));
    }
    if (is_new) {
      cluster.advance(10s);
      cluster.start("b");
    }
    REQUIRE(cluster.until_whole());
    const auto seen = *cluster.at("b").metrics().cluster;
    CHECK((is_new ? seen.rejoins_by_snapshot_total : seen.rejoins_by_tail_total) > 0);
    CHECK((!is_new || seen.rejoins_by_tail_total == 0));
    cluster.stop("a");
    for (int number = 0; number < 20; ++number) {
      CHECK(cluster.total("k" + std::to_string(number), "b") == number + 1);
    }
  }
}

}  // namespace
}  // namespace millrace::conformance
