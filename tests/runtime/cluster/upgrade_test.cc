// SPDX-License-Identifier: MIT
// Silos of different builds in one cluster: they work together, or one of them says why not.
//
// A later build is this one that is told, where its links and its access to the store are made, to
// know a later version of what it says there.
#include <doctest/doctest.h>

#include "cluster/surroundings.h"
#include "coordination/local_store.h"
#include "runtime/cluster/silos.h"

namespace millrace::testing {
namespace {

// What a silo of a build has around it that knows those versions.
class build final : public runtime::detail::surroundings {
public:
  build(std::uint16_t link_min, std::uint16_t link_max, std::uint32_t records)
      : link_min_(link_min), link_max_(link_max), records_(records) {}

  result<std::unique_ptr<runtime::coordination_store>> open_store(
      const runtime::cluster_options& cluster, const runtime::clock& time,
      runtime::steady_time deadline, runtime::coordination_options options) override {
    options.protocol = records_;
    return runtime::detail::real_surroundings().open_store(cluster, time, deadline,
                                                           std::move(options));
  }
  std::unique_ptr<runtime::detail::silo_links> make_links(
      runtime::link_options options, runtime::detail::router& routes, const runtime::clock& time,
      std::function<void(const std::string&)> warn, runtime::detail::peer_watch& watch) override {
    options.self.version_min = link_min_;
    options.self.version_max = link_max_;
    return runtime::detail::real_surroundings().make_links(std::move(options), routes, time,
                                                           std::move(warn), watch);
  }

  std::unique_ptr<silo> make(silos& all, const std::string& name, duration join_within = 20s) {
    auto made = all.make(name, [&](silo_options& of) { of.cluster->join_within = join_within; });
    runtime::detail::silo_access::core(*made).live_in(*this);
    return made;
  }
  std::unique_ptr<silo> start(silos& all, const std::string& name) {
    auto made = make(all, name);
    if (auto started = made->start(); !started) {
      FAIL("silo " << name << ": " << started.error().to_string() << all.told());
    }
    return made;
  }

private:
  const std::uint16_t link_min_;
  const std::uint16_t link_max_;
  const std::uint32_t records_;
};

void add_to_all(silos& all, silo& from, std::int64_t& sum) {
  for (const auto& key : keys_of_all_partitions()) {
    const auto added = from.call(ref<Counter>(key).add(1));
    if (!added) {
      FAIL(added.error().to_string() << all.told());
    }
    ++sum;
  }
}

// The version of the cluster's records, as somebody reads them who knows no later one.
std::uint32_t version_of_records(silos& all) {
  const system_clock time;
  const auto store = runtime::open_local_store((all.folder.path / "cluster").string(), time);
  REQUIRE(store);
  const auto settings = (*store)->settings(time.steady() + 30s);
  REQUIRE(settings);
  const auto view = (*store)->read(0, time.steady() + 30s);
  REQUIRE(view);
  CHECK(view->silos.size() == 3);
  CHECK(view->partitions.size() == cluster_partitions);
  return (*settings)->protocol;
}

// Goal: what operations.md says of an upgrade, silo after silo, with calls from both sides.
TEST_CASE("silos are replaced by a later build one after the other, and nothing is lost") {
  silos all;
  build older{1, 1, 1};
  build newer{1, 2, 2};
  std::map<std::string, std::unique_ptr<silo>> up;
  for (const auto* name : {"a", "b", "c"}) {
    up[name] = older.start(all, name);
  }
  settle(all, *up["a"], 3);
  std::int64_t sum = 0;
  for (const std::string name : {"a", "b", "c"}) {
    CAPTURE(name);
    up[name]->stop();
    up[name].reset();
    up[name] = newer.start(all, name);
    for (const auto& [each, from] : up) {
      add_to_all(all, *from, sum);
    }
    settle(all, *up[name], 3);
    if (name == "a") {
      all.wait_for(
          "a warns: a link speaks an older protocol than this build could peer=silo.b version=1 "
          "newest=2");
    }
  }
  for (const auto& [each, from] : up) {
    CHECK(total(*from) == sum);
  }
  CHECK(version_of_records(all) == 1);
}

// Goal: builds that cannot talk say so, with both versions and what to do, and harm nobody.
// Method: the silo that connects is the older one, then the newer one.
TEST_CASE("a silo whose links no other one understands does not join, and both sides say why") {
  silos all;
  build older{1, 1, 1};
  build newer{2, 3, 1};
  auto m = older.start(all, "m");
  std::int64_t sum = 0;
  add_to_all(all, *m, sum);
  for (const std::string name : {"z", "b"}) {
    CAPTURE(name);
    const auto of_m = std::string{"silo.m speaks versions 1 to 1 of the link protocol"};
    const auto of_it = "silo." + name + " speaks versions 2 to 3 of the link protocol";
    auto it = newer.make(all, name, 2s);
    const auto started = it->start();
    REQUIRE_FALSE(started);
    CHECK(started.error().code() == errc::unavailable);
    const auto& text = started.error().text();
    CAPTURE(text);
    CHECK(text.starts_with("silo '" + name + "' at "));
    CHECK(text.find(of_m) != std::string::npos);
    CHECK(text.find(of_it) != std::string::npos);
    CHECK(text.find(": upgrade silo.m") != std::string::npos);
    it->stop();
    it.reset();
    // The one that accepts says what it reads, the other one what it is told.
    const std::string acceptor = name == "z" ? "z" : "m";
    const std::string connector = name == "z" ? "m" : "b";
    const auto why = acceptor == "z" ? of_it + ", " + of_m : of_m + ", " + of_it;
    all.wait_for(connector + " warns: a link is down peer=silo." + acceptor + " why=silo." +
                 acceptor + " ended the link: " + why + ": upgrade silo.m");
    all.wait_for(acceptor + " warns: a peer was refused address=127.0.0.1:");
    CHECK(all.told().find(" why=" + why + ": upgrade silo.m") != std::string::npos);
    add_to_all(all, *m, sum);
    const auto again = older.start(all, name);  // with the build that it had
    CHECK(total(*again) == sum);
    again->stop();
  }
}

TEST_CASE("a silo of an older build is refused by a cluster that a later one has made") {
  silos all;
  build older{1, 1, 1};
  build newer{1, 2, 2};
  auto a = newer.start(all, "a");
  std::int64_t sum = 0;
  add_to_all(all, *a, sum);
  const auto started = older.make(all, "b")->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code() == errc::failed_precondition);
  CHECK(started.error().text() ==
        "the cluster's settings in the coordination store: protocol version 2, this build knows up "
        "to 1; use a newer build");
  add_to_all(all, *a, sum);
  CHECK(a->cluster_view().silos.size() == 1);
  const auto b = newer.start(all, "b");
  CHECK(total(*b) == sum);
}

}  // namespace
}  // namespace millrace::testing
