// SPDX-License-Identifier: MIT
// Data directories and the clusters that they belong to: real disks, real stores.
#include <doctest/doctest.h>

#include <filesystem>

#include "millrace/runtime/backup.h"
#include "runtime/cluster/silos.h"
#include "runtime/coordination/etcd_server.h"

namespace millrace::testing {
namespace {

std::string refusal(silo& one) {
  const auto started = one.start();
  if (started) {
    return "it starts";
  }
  CHECK(started.error().code() == errc::failed_precondition);
  return started.error().text();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string directory_of(const silos& all, const std::string& name) {
  return (all.folder.path / ("data-" + name)).string();
}

// A silo by itself adds to each counter, in the directory of `name`.
void add_alone(const silos& all, const std::string& name) {
  storage_options disk;
  disk.directory = directory_of(all, name);
  disk.partition_count = cluster_partitions;
  silo alone{std::move(*open_storage(disk))};
  alone.add<counter>();
  REQUIRE(alone.start());
  add(alone);
  alone.stop();
}

void lose_store(const silos& all) {
  std::filesystem::remove_all(all.folder.path / "cluster");
}

// Goal: what only other silos have is not lost because the store has forgotten that they have it.
TEST_CASE("a silo with data begins nothing in an empty store unless its operator gives it up") {
  silos all;
  std::string cluster;
  {
    auto a = all.start("a");
    auto b = all.start("b");
    add(*a);
    settle(all, *a, 2);
    cluster = a->cluster_view().cluster_id;
    b->stop();
    a->stop();
  }
  const auto found = check_storage(directory_of(all, "a"));
  REQUIRE(found);
  CHECK(found->faults.empty());
  CHECK(found->cluster_id == cluster);
  CHECK(found->silo == "a");

  lose_store(all);
  for (const auto* name : {"a", "b"}) {
    const auto why = refusal(*all.make(name));
    CHECK(has(why, "cluster " + cluster + " (" + directory_of(all, name) + "/CLUSTER)"));
    CHECK(has(why, "is empty"));
  }
  auto a = all.start("a", [](silo_options& options) { options.cluster->found_anew = true; });
  CHECK(total(*a) == cluster_partitions);
  CHECK(a->cluster_view().cluster_id != cluster);
  const auto why = refusal(*all.make("b"));
  CHECK(has(why, "cluster " + cluster + " ("));
  CHECK(has(why, "is that of the cluster " + a->cluster_view().cluster_id));
  std::filesystem::remove_all(directory_of(all, "b"));
  auto b = all.start("b");
  all.until("b has all", [&] { return total(*b) >= 0 && is_balanced(*a, 2); });
  CHECK(total(*b) == cluster_partitions);
}

// Method: a third silo of a cluster with two copies has nothing.
TEST_CASE("a backup of a silo is whole, and what is made of it belongs to no cluster") {
  silos all;
  std::string kept;
  const auto back_up = [&](silo& of) {
    return of.rows().backup([&](std::string_view bytes) -> result<void> {
      kept += bytes;
      return {};
    });
  };
  {
    auto a = all.start("a", [](silo_options& options) { options.cluster->copies = 2; });
    auto b = all.start("b", [](silo_options& options) { options.cluster->copies = 2; });
    add(*a);
    settle(all, *a, 2);
    REQUIRE(back_up(*b));
    auto c = all.start("c", [](silo_options& options) { options.cluster->copies = 2; });
    CHECK(back_up(*c).error().code() == errc::failed_precondition);
    c->stop();
  }
  std::size_t at = 0;
  const auto target = directory_of(all, "d");
  REQUIRE(restore_storage(target, [&](char* to, std::size_t size) -> result<std::size_t> {
    size = std::min(size, kept.size() - at);
    kept.copy(to, size, at);
    at += size;
    return size;
  }));
  CHECK(check_storage(target)->cluster_id.empty());
  CHECK(has(refusal(*all.make("d")), "has the data of a silo by itself"));
  lose_store(all);
  auto d = all.start("d");
  CHECK(total(*d) == cluster_partitions);
}

// Goal: silos that come later begin nothing beside the one whose data they are to copy.
TEST_CASE("a silo with data of its own is the first of a cluster, or of none") {
  silos all;
  add_alone(all, "a");
  add_alone(all, "c");
  auto a = all.start("a");
  auto b = all.start("b");
  all.until("b has all", [&] { return total(*b) >= 0 && is_balanced(*a, 2); });
  CHECK(total(*b) == cluster_partitions);
  const auto why = refusal(*all.make("c"));
  CHECK(has(why, "has the data of a silo by itself"));
  CHECK(has(why, a->cluster_view().cluster_id));
}

TEST_CASE("the directory of a silo of a cluster is no other's, and nobody's by itself") {
  silos all;
  all.start("a")->stop();
  storage_options disk;
  disk.directory = directory_of(all, "a");
  const auto alone = open_storage(disk);
  REQUIRE_FALSE(alone);
  CHECK(alone.error().code() == errc::failed_precondition);
  CHECK(has(alone.error().text(), "holds silo 'a' of the cluster "));
  std::filesystem::rename(directory_of(all, "a"), directory_of(all, "b"));
  CHECK(has(refusal(*all.make("b")), "is that of silo 'a' ("));
  all.start("a");  // a disk that was replaced is an empty directory
}

// Goal: whoever has the data directory need not wait for the session of its last life.
// Method: a session that is longer than the test.
TEST_CASE("a silo of an etcd that was killed is in again at once, with its disk") {
  silos all;
  etcd_server etcd;
  const auto in_etcd = [&](silo_options& options) {
    options.cluster->coordination = etcd.url();
    options.cluster->session_ttl = 60s;
  };
  auto a = all.start("a", in_etcd);
  add(*a);
  const auto before = a->cluster_view().silos.front().incarnation;
  silos::kill(a);
  a = all.start("a", in_etcd);
  CHECK(a->cluster_view().silos.front().incarnation > before);
  CHECK(total(*a) == cluster_partitions);
}

TEST_CASE("who has no data waits for the first who may have some") {
  silos all;
  auto gateway = all.make("g", [](silo_options& options) {
    options.cluster->roles = {.gateway = true};
    options.cluster->join_within = 300ms;
  });
  const auto started = gateway->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code() == errc::unavailable);
  CHECK(has(started.error().text(), "start a silo with the role `state` first"));
  add_alone(all, "a");
  auto a = all.start("a");
  CHECK(total(*a) == cluster_partitions);
}

}  // namespace
}  // namespace millrace::testing
