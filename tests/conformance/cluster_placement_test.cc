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

TEST_CASE("a silo that joins gets copies, and then its share to lead") {
  probe_cluster cluster{{.silos = {"a", "b"}}};
  cluster.make_twenty("k", "a");
  cluster.start("c");
  REQUIRE(cluster.until_whole());
  CHECK_FALSE(cluster.key_on("c").empty());
  CHECK(cluster.has_twenty("k", "c"));
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
