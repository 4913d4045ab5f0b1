// SPDX-License-Identifier: MIT
// Where actors of a cluster live, and how calls come to them when what a silo knows is old.
#include "conformance/cluster.h"

namespace millrace::conformance {
namespace {

// Each writes down on which silo it runs: a silo makes its own.
class loner final : public loner_base<> {
public:
  explicit loner(stage& on, std::string where) : stage_(on), where_(std::move(where)) {}
  async<> touch() override {
    stage_.events.write("loner on " + where_);
    return {};
  }
  async<> call_itself() override { co_await ref<Loner>(key()).touch(); }

private:
  stage& stage_;
  const std::string where_;
};

class gadget final : public gadget_base<> {
public:
  explicit gadget(stage& on, std::string where) : stage_(on), where_(std::move(where)) {}
  async<> touch() override {
    stage_.events.write("gadget on " + where_);
    return {};
  }

private:
  stage& stage_;
  const std::string where_;
};

class painter final : public painter_base<> {
public:
  explicit painter(stage& on, std::string where) : stage_(on), where_(std::move(where)) {}
  async<> touch() override {
    stage_.events.write("painter on " + where_);
    return {};
  }

private:
  stage& stage_;
  const std::string where_;
};

class placed_cluster : public probe_cluster {
public:
  placed_cluster()
      : probe_cluster({.adjust =
                           [](silo_options& options) {
                             if (options.name == "b") {
                               options.labels = {"gpu", "big"};
                             }
                           }},
                      [this](silo& here) {
                        here.add<loner>([this, where = here.name()] {
                          return std::make_unique<loner>(*this, where);
                        });
                        here.add<painter>([this, where = here.name()] {
                          return std::make_unique<painter>(*this, where);
                        });
                        if (here.name() != "a") {
                          here.add<gadget>([this, where = here.name()] {
                            return std::make_unique<gadget>(*this, where);
                          });
                        }
                      }) {}
};

TEST_CASE(
    "a stateless actor runs on the silo that calls it, one with a silo's name there, a labelled "
    "one where the labels are") {
  placed_cluster cluster;
  for (const auto* from : {"a", "b", "c"}) {
    REQUIRE(cluster.call(ref<Loner>("l").touch(), from));
    CHECK(cluster.events.count("loner on " + std::string{from}) == 1);
    REQUIRE(cluster.call(ref<Painter>("p").touch(), from));
  }
  CHECK(cluster.events.count("painter on b") == 3);
  REQUIRE(cluster.call(ref<Gadget>("c/one").touch(), "b"));
  CHECK(cluster.events.count("gadget on c") == 1);
  cluster.kill("b");
  const auto refused = cluster.call(ref<Painter>("p").touch(), "a");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::unavailable);
}

TEST_CASE("a type that some silos host is called from those that do not") {
  placed_cluster cluster;
  REQUIRE(cluster.call(ref<Gadget>("b/one").touch(), "a"));
  CHECK(cluster.events.count("gadget on b") == 1);
  const auto refused = cluster.call(ref<Gadget>("a/one").touch(), "a");
  REQUIRE_FALSE(refused);
}

// Goal: what a silo knows of the others may be old; that costs a redirect, and no error.
// Method: a silo, which may be the one that led meanwhile, does not hear of the store while the
// partition goes back to b.
TEST_CASE("a silo that has not heard of a move finds the actor all the same") {
  probe_cluster cluster{{.adjust = [](silo_options& options) {
    options.cluster->session_ttl = 30s;  // or it would be taken out for that
    options.cluster->join_within = 60s;
  }}};
  const auto key = cluster.key_on("b");
  REQUIRE(cluster.call(ref<Ledger>(key).add(1), "c"));
  cluster.kill("b");
  REQUIRE(cluster.call(ref<Ledger>(key).add(1).keyed("one"), "c"));
  const auto stand_in = cluster.leader_of(ref<Ledger>(key));
  const std::string behind = stand_in == "c" ? "a" : "c";
  cluster.start("b");
  cluster.network().cut(behind, test_network::store);
  REQUIRE(cluster.until([&] { return cluster.leader_of(ref<Ledger>(key)) == "b"; }, 20s));
  const auto found = cluster.call(ref<Ledger>(key).add(1), behind);
  REQUIRE(found);
  CHECK(found->total() == 3);
  cluster.tell(ref<Ledger>(key).add(1), behind);
  CHECK(cluster.until([&] { return cluster.total(key, "b") == 4; }, 1s));
  cluster.network().heal();
}

// Goal: what a silo has caught up with is all there is, and it is one as the others are.
// Method: it joins while others write; then the disks of these are lost, so that whatever is there
// afterwards has come from it.
TEST_CASE("a silo that joins gets copies with everything in them, and then its share to lead") {
  probe_cluster cluster{{.silos = {"a", "b"}}};
  cluster.make_twenty("before-", "a");
  cluster.start("c");
  cluster.make_twenty("meanwhile-", "b");
  REQUIRE(cluster.until_whole());
  const auto own = cluster.key_on("c");
  for (int number = 0; number < 20; ++number) {
    const auto copies = cluster.copies_of(ref<Ledger>("before-" + std::to_string(number)));
    CHECK(std::count(copies.begin(), copies.end(), "c") == 1);
  }
  CHECK(cluster.has_twenty("before-", "c"));
  REQUIRE(cluster.call(ref<Ledger>(own).add(7), "a"));
  for (const auto* each : {"a", "b"}) {
    cluster.kill(each);
    cluster.wipe(each);
  }
  cluster.start("a");
  cluster.start("b");
  REQUIRE(cluster.until_whole());
  CHECK(cluster.has_twenty("before-", "a"));
  CHECK(cluster.has_twenty("meanwhile-", "b"));
  CHECK(cluster.total(own, "a") == 7);
}

// Keys of ledgers that nobody has called yet, and where ledgers are active.
class fresh_actors {
public:
  explicit fresh_actors(probe_cluster& on) : cluster_(on) {}

  // One whose place is on that silo.
  std::string on(const std::string& silo) {
    for (; next_ < 10'000; ++next_) {
      const auto key = "fresh-" + std::to_string(next_);
      if (cluster_.leader_of(ref<Ledger>(key)) == silo) {
        ++next_;
        return key;
      }
    }
    FAIL("silo " << silo << " leads nothing");
    return {};
  }
  // Of all that were made here.
  [[nodiscard]] std::size_t active_on(const std::string& silo) {
    const auto listed = cluster_.at(silo).activations("ledger", {});
    REQUIRE(listed);
    return static_cast<std::size_t>(
        std::count_if(listed->items.begin(), listed->items.end(),
                      [](const auto& each) { return each.key.starts_with("fresh-"); }));
  }

private:
  probe_cluster& cluster_;
  int next_ = 0;
};

TEST_CASE("a silo that drains gets no new actors, and its share of them once it takes part again") {
  probe_cluster cluster;
  fresh_actors fresh{cluster};
  std::vector<std::string> keys;
  for (int number = 0; number < 6; ++number) {
    keys.push_back(fresh.on("b"));
  }
  REQUIRE(cluster.at("b").drain());
  REQUIRE(cluster.until([&] {
    return std::none_of(keys.begin(), keys.end(), [&](const std::string& key) {
      const auto leader = cluster.leader_of(ref<Ledger>(key));
      return leader == "b" || leader.empty();
    });
  }));
  for (const auto& key : keys) {
    for (const auto* from : {"a", "b", "c"}) {
      CHECK(cluster.call(ref<Ledger>(key).add(1), from));
    }
  }
  CHECK(fresh.active_on("b") == 0);
  CHECK(fresh.active_on("a") + fresh.active_on("c") == keys.size());
  REQUIRE(cluster.at("b").end_drain());
  REQUIRE(cluster.until_whole());
  REQUIRE(cluster.call(ref<Ledger>(fresh.on("b")).add(1), "a"));
  CHECK(fresh.active_on("b") == 1);
}

// Goal: a silo whose disk is behind begins nothing new that would write; where that is so of all,
// callers are told so, and when to come again.
TEST_CASE("an overloaded silo gets no new actors, and a cluster of such ones says overloaded") {
  probe_cluster cluster;
  fresh_actors fresh{cluster};
  const std::vector<std::string> all{"a", "b", "c"};
  const auto is_refused = [&](const std::string& key, const std::string& from) {
    const auto refused = cluster.call(ref<Ledger>(key).add(1).keyed("once"), from);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::overloaded);
    CHECK(refused.error().retry_after() > 0ms);
  };
  cluster.rows("a").fall_behind(true);
  const auto waits = fresh.on("a");
  for (const auto& from : all) {
    is_refused(waits, from);
    CHECK(cluster.call(ref<Ledger>(fresh.on("b")).add(1), from));
  }
  CHECK(fresh.active_on("a") == 0);
  CHECK(fresh.active_on("b") == all.size());

  cluster.rows("b").fall_behind(true);
  cluster.rows("c").fall_behind(true);
  std::vector<std::string> keys{waits};
  for (const auto& place : all) {
    keys.push_back(fresh.on(place));
    for (const auto& from : all) {
      is_refused(keys.back(), from);
    }
  }
  CHECK(fresh.active_on("a") + fresh.active_on("c") == 0);
  CHECK(fresh.active_on("b") == all.size());

  for (const auto& each : all) {
    cluster.rows(each).fall_behind(false);
  }
  for (const auto& key : keys) {
    for (const auto& from : all) {
      CHECK(cluster.call(ref<Ledger>(key).add(1).keyed("once"), from));
    }
    CHECK(cluster.total(key) == 1);
  }
}

// Goal: whose disk is behind refuses what would change his actors, and nothing else.
TEST_CASE("a silo whose disk is behind is overloaded for its own actors, whoever calls") {
  probe_cluster cluster;
  const auto here = cluster.key_on("a");
  const auto there = cluster.key_on("c");
  cluster.rows("a").fall_behind(true);
  for (const auto* from : {"a", "c"}) {
    const auto refused = cluster.call(ref<Ledger>(here).add(1), from);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::overloaded);
    CHECK(cluster.call(ref<Ledger>(here).get(), from));
    CHECK(cluster.call(ref<Ledger>(there).add(1), from));
  }
  cluster.rows("c").fall_behind(true);
  CHECK(cluster.call(ref<Ledger>(there).add(1), "a").error().code() == errc::overloaded);
  cluster.rows("a").fall_behind(false);
  CHECK(cluster.call(ref<Ledger>(here).add(1), "c"));
}

TEST_CASE("a gateway that is cut off and comes back goes on, and holds up nobody meanwhile") {
  probe_cluster cluster{{.silos = {"a", "b", "c", "g"}, .adjust = [](silo_options& options) {
                           if (options.name == "g") {
                             options.cluster->roles = {.gateway = true};
                           }
                         }}};
  cluster.make_twenty("k", "g");
  for (const auto* each : {"a", "b", "c"}) {
    cluster.network().cut("g", each);
  }
  auto waits = cluster.begin(ref<Ledger>("k3").get(), "g");
  const auto began = cluster.clock().steady();
  CHECK(cluster.has_twenty("k", "a"));
  CHECK(cluster.clock().steady() - began < 1s);
  cluster.advance(3s);
  CHECK_FALSE(waits.answered());
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return waits.answered(); }, 3s));
  CHECK(waits.answer()->total() == 3);
}

}  // namespace
}  // namespace millrace::conformance
