// SPDX-License-Identifier: MIT
// Chains of calls that wait for each other over silos.
// Method: each chain holds its actor until it is told to go on to the next one's. Deadlines are an
// hour away, so what is answered was found.
#include "conformance/cluster.h"
#include "conformance/walker.h"

namespace millrace::conformance {
namespace {

using chain = testing::open_call<void>;

class walker_cluster : public probe_cluster {
public:
  explicit walker_cluster(test_cluster_options options = {})
      : probe_cluster(std::move(options), [this](silo& here) {
          here.add<walker>([this] { return std::make_unique<walker>(*this); });
        }) {}

  /// A walker that lives on that silo: another one for each `number`.
  [[nodiscard]] std::string on(const std::string& silo, int number = 0) {
    for (int at = 0; at < 1'000; ++at) {
      const auto key = "w-" + std::to_string(at);
      if (leader_of(ref<Walker>(key)) == silo && number-- == 0) {
        return key;
      }
    }
    FAIL("silo " << silo << " leads too little");
    return {};
  }
  /// The first of `to_do` is "call K", "read K" or "free K".
  [[nodiscard]] chain begin_walk(const steps& to_do) { return begin(walker::call_of(to_do)); }
  void let_go(const std::string& walker) { REQUIRE(call(ref<Walker>(walker).raise("go"))); }
  [[nodiscard]] bool all_answered(const std::vector<chain*>& all, duration limit) {
    return until(
        [&] {
          return std::all_of(all.begin(), all.end(), [](auto* each) { return each->answered(); });
        },
        limit);
  }
};

// Of chains that have ended one was refused, as on one silo. Gives its error.
error refused_one(const std::vector<chain*>& all) {
  std::vector<error> failures;
  for (auto* each : all) {
    if (const auto answer = each->answer(); !answer) {
      failures.push_back(answer.error());
    }
  }
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].code() == errc::unavailable);
  CHECK(failures[0].text().starts_with(
      "two call chains wait for each other; nothing was done, try again: "));
  return failures[0];
}

TEST_CASE("of two call chains of different silos that cross one fails, and the other goes on") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  auto one = cluster.begin_walk({"call " + a, "wait go", "call " + b, "say b from a"});
  cluster.advance(10ms);
  auto other = cluster.begin_walk({"call " + b, "wait go", "call " + a, "say a from b"});
  cluster.let_go(a);
  cluster.let_go(b);
  REQUIRE(cluster.all_answered({&one, &other}, 4s));
  const auto text = refused_one({&one, &other}).text();
  CHECK(text.find("walker/" + a + " -> walker/" + b) != std::string::npos);
  CHECK(text.find("walker/" + b + " -> walker/" + a) != std::string::npos);
  CHECK(cluster.events.all() == steps{"b from a"});  // the oldest turn is not the one that fails
  CHECK(cluster.call(ref<Walker>(a).raise("x")));
  CHECK(cluster.call(ref<Walker>(b).raise("x")));
}

TEST_CASE("of three call chains that wait in a ring of three silos one fails") {
  walker_cluster cluster;
  const std::array keys{cluster.on("a"), cluster.on("b"), cluster.on("c")};
  std::vector<chain> chains;
  std::vector<chain*> all;
  for (std::size_t at = 0; at < keys.size(); ++at) {
    const auto& next = keys[(at + 1) % keys.size()];
    chains.push_back(cluster.begin_walk({"call " + keys[at], "wait go", "call " + next, "say on"}));
  }
  for (std::size_t at = 0; at < keys.size(); ++at) {
    cluster.let_go(keys[at]);
    all.push_back(&chains[at]);
  }
  REQUIRE(cluster.all_answered(all, 4s));
  static_cast<void>(refused_one(all));
  CHECK(cluster.events.count("on") == 2);
}

// Goal: a cycle is found whatever its calls are: those that are kept out never left their silo, and
// those that did run; one of them is one of two that its turn waits for.
TEST_CASE("chains that wait for each other through calls of other silos that run are found") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  auto one = cluster.begin_walk({"call " + a, "wait go", "both",                   //
                                 "call " + cluster.on("c"), "say meanwhile", "|",  //
                                 "call " + cluster.on("b", 1), "call " + b, "say b"});
  auto other = cluster.begin_walk(
      {"call " + b, "wait go", "free " + cluster.on("a", 1), "call " + a, "say a"});
  auto behind = cluster.begin_walk({"call " + cluster.on("c", 1), "call " + a, "say behind"});
  cluster.let_go(a);
  cluster.let_go(b);
  REQUIRE(cluster.all_answered({&one, &other, &behind}, 4s));
  static_cast<void>(refused_one({&one, &other, &behind}));
  CHECK(cluster.events.count("b") == 1);
  CHECK(cluster.events.count("behind") == 1);
}

TEST_CASE("a reader that waits behind a writer is part of a cycle over silos") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  auto one = cluster.begin_walk({"read " + a, "wait go", "call " + b, "say b from a"});
  auto writer = cluster.begin_walk({"call " + a, "say written"});
  auto other = cluster.begin_walk({"call " + b, "wait go", "read " + a, "say a from b"});
  cluster.let_go(a);
  cluster.let_go(b);
  REQUIRE(cluster.all_answered({&one, &writer, &other}, 4s));
  static_cast<void>(refused_one({&one, &writer, &other}));
  CHECK(cluster.events.count("written") == 1);
}

// Goal: only a cycle is one. Method: whatever looks like it waits for a quarter of a minute.
TEST_CASE("calls that wait for a busy chain of other silos without crossing it are not refused") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  const auto c = cluster.on("c");
  auto below = cluster.begin_walk({"call " + c, "wait go", "say c"});
  auto one = cluster.begin_walk({"call " + a, "call " + c, "say c from a"});
  auto other = cluster.begin_walk({"call " + b, "call " + a, "say a from b"});
  // Beside a reentrant turn nobody waits, and a chain returns where it may.
  const auto free = cluster.on("a", 1);
  auto beside = cluster.begin_walk(
      {"free " + free, "call " + cluster.on("b", 1), "free " + free, "call " + c, "say beside"});
  auto back =
      cluster.begin_walk({"call " + cluster.on("a", 2), "scope", "call " + cluster.on("b", 2),
                          "call " + cluster.on("a", 2), "call " + c, "say back"});
  cluster.advance(15s);
  for (auto* each : {&below, &one, &other, &beside, &back}) {
    CHECK_FALSE(each->answered());
  }
  cluster.let_go(c);
  REQUIRE(cluster.all_answered({&below, &one, &other, &beside, &back}, 2s));
  for (auto* each : {&below, &one, &other, &beside, &back}) {
    CHECK(each->answer());
  }
}

TEST_CASE("reentrant turns of different silos that call each other go on") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  auto one = cluster.begin_walk({"free " + a, "wait go", "free " + b, "say b from a"});
  auto other = cluster.begin_walk({"free " + b, "wait go", "free " + a, "say a from b"});
  cluster.let_go(a);
  cluster.let_go(b);
  REQUIRE(cluster.all_answered({&one, &other}, 500ms));
  CHECK(one.answer());
  CHECK(other.answer());
}

// Goal: a cycle that a death ends is not ended a second time. Method: the silo dies before, while
// and after probes go round, which take long.
TEST_CASE("of chains whose ring ends with a silo no other one is refused") {
  for (const auto after : {500ms, 1'300ms, 2'500ms}) {
    CAPTURE(after.count());
    walker_cluster cluster;
    const auto a = cluster.on("a");
    const auto b = cluster.on("b");
    const auto c = cluster.on("c");
    auto one = cluster.begin_walk({"call " + a, "wait go", "call " + b, "say b from a"});
    auto two = cluster.begin_walk({"call " + b, "wait go", "call " + c, "say c from b"});
    auto three = cluster.begin_walk({"call " + c, "wait go", "call " + a, "say a from c"});
    for (const auto& each : {a, b, c}) {
      cluster.let_go(each);
    }
    cluster.advance(100ms);
    cluster.network().delay("b", "c", 1s, testing::traffic::calls);
    cluster.advance(after);
    cluster.kill("c");
    REQUIRE(cluster.all_answered({&one, &two, &three}, 20s));
    CHECK(one.answer());
    CHECK(two.answer().error().code() == errc::outcome_unknown);
    CHECK(three.answer().error().code() == errc::outcome_unknown);
  }
}

// Goal: a chain that ended otherwise while probes went round is no part of a cycle any more.
TEST_CASE("of two chains that wait for each other until one is cancelled the other goes on") {
  walker_cluster cluster;
  const auto a = cluster.on("a");
  const auto b = cluster.on("b");
  auto one = cluster.begin_walk({"call " + a, "wait go", "call " + b, "say b from a"});
  auto other = cluster.begin_walk({"call " + b, "wait go", "call " + a, "say a from b"});
  cluster.let_go(a);
  cluster.let_go(b);
  cluster.advance(900ms);
  other.cancel();
  REQUIRE(cluster.all_answered({&one, &other}, 1s));
  CHECK(one.answer());
  CHECK(other.answer().error().code() == errc::cancelled);
}

}  // namespace
}  // namespace millrace::conformance
