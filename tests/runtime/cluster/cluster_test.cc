// SPDX-License-Identifier: MIT
// Silos that keep copies of each other's partitions, in one process.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "coordination/local_store.h"
#include "runtime/cluster/silos.h"
#include "runtime/coordination/child.h"

namespace millrace::testing {
namespace {

// Adds to all counters by turns from one silo, until it is told to stop.
class adder {
public:
  adder(silo& from, std::vector<std::string> keys)
      : from_(from), keys_(std::move(keys)), thread_{[this] { run(); }} {}
  adder(const adder&) = delete;
  adder& operator=(const adder&) = delete;
  ~adder() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  [[nodiscard]] std::int64_t added() const { return added_; }
  [[nodiscard]] std::int64_t unknown() const { return unknown_; }
  [[nodiscard]] std::int64_t failed() const { return failed_; }
  [[nodiscard]] std::string failure() {
    const std::lock_guard lock{mutex_};
    return failure_;
  }

private:
  void run() {
    for (std::size_t at = 0; !stopping_; ++at) {
      const auto answer = from_.call(ref<Counter>(keys_[at % keys_.size()]).add(1));
      if (answer) {
        ++added_;
      } else if (answer.error().code() == errc::outcome_unknown) {
        ++unknown_;
      } else {
        ++failed_;
        const std::lock_guard lock{mutex_};
        failure_ = answer.error().to_string();
      }
    }
  }
  silo& from_;
  const std::vector<std::string> keys_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> added_{0};
  std::atomic<std::int64_t> unknown_{0};
  std::atomic<std::int64_t> failed_{0};
  std::mutex mutex_;
  std::string failure_;
  std::thread thread_;
};

std::int64_t total(silo& from, const std::vector<std::string>& keys) {
  std::int64_t sum = 0;
  for (const auto& key : keys) {
    const auto got = from.call(ref<Counter>(key).get());
    if (!got) {
      FAIL(got.error().to_string());
    }
    sum += got->total();
  }
  return sum;
}

TEST_CASE("actors of a cluster are called from each silo, and have copies on all") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  const auto keys = keys_of_all_partitions();
  std::int64_t sum = 0;
  for (auto* const from : {a.get(), b.get(), c.get()}) {
    for (const auto& key : keys) {
      const auto added = from->call(ref<Counter>(key).add(2));
      if (!added) {
        FAIL(added.error().to_string() << all.told());
      }
      sum += 2;
    }
  }
  for (auto* const from : {a.get(), b.get(), c.get()}) {
    CHECK(total(*from, keys) == sum);
  }
  settle(all, *a, 3);
  const auto seen = a->cluster_view();
  REQUIRE(seen.silos.size() == 3);
  CHECK(seen.silos[0].name == "a");
  CHECK(seen.silos[0].pid == ::getpid());
  CHECK(seen.silos[2].state == silo_state::active);
  CHECK(seen.silos[1].partitions_total == cluster_partitions);
  CHECK(seen.partitions.size() == cluster_partitions);
  CHECK(led_by("a", *b) > 0);
  CHECK(led_by("b", *b) > 0);
  CHECK(led_by("c", *b) > 0);
  CHECK(total(*c, keys) == sum);
}

// Goal: a failover is a delay, and nothing that was acknowledged is lost.
TEST_CASE("a silo that is killed costs a delay, and no increment that was acknowledged") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  const auto keys = keys_of_all_partitions();
  settle(all, *a, 3);
  REQUIRE(led_by("b", *a) > 0);
  std::int64_t added = 0;
  std::int64_t unknown = 0;
  {
    adder one{*a, keys};
    adder other{*c, keys};
    const auto goes_on = [&](std::int64_t from) {
      all.until("calls go on", [&] {
        static_cast<void>(total(*a, keys));
        return one.added() + other.added() > from + 100;
      });
    };
    goes_on(0);
    silos::kill(b);
    goes_on(one.added() + other.added());
    one.stop();
    other.stop();
    added = one.added() + other.added();
    unknown = one.unknown() + other.unknown();
    CHECK_MESSAGE(one.failed() + other.failed() == 0, one.failure() << other.failure());
  }
  const auto sum = total(*c, keys);
  CHECK(sum >= added);
  CHECK(sum <= added + unknown);
  CHECK(total(*a, keys) == sum);
  CHECK(led_by("b", *a) == 0);

  // It comes back with its disk, and gets its copies and partitions again.
  b = all.start("b");
  settle(all, *a, 3);
  CHECK(total(*b, keys) == sum);
}

// Goal: proof of death saves the wait for leases.
// Method: the process comes first, so that it is a copy of one without threads.
TEST_CASE("a silo whose process is killed is proven dead, and its partitions go on") {
  silos all;
  child b{[&](const child::says& say) {
    const auto one = all.start("b");
    say("it has started");
    ::pause();
  }};
  REQUIRE(b.read() == "it has started");
  auto a = all.start("a");
  auto c = all.start("c");
  const auto keys = keys_of_all_partitions();
  settle(all, *a, 3);
  REQUIRE(led_by("b", *a) > 0);
  for (const auto& key : keys) {
    REQUIRE(a->call(ref<Counter>(key).add(1)));
  }
  const system_clock time;
  const auto killed_at = time.steady();
  b.signal(SIGKILL);
  for (const auto& key : keys) {  // each waits for its partition's next primary
    const auto added = a->call(ref<Counter>(key).add(1));
    if (!added && added.error().code() != errc::outcome_unknown) {
      FAIL(added.error().to_string() << all.told());
    }
  }
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.steady() - killed_at);
  MESSAGE("all partitions have answered after " << took.count() << " ms");
  all.wait_for("a: silo is proven dead silo=b");
  all.wait_for("c: silo is proven dead silo=b");
  CHECK(total(*c, keys) >= std::int64_t{cluster_partitions});
}

TEST_CASE("a silo that joins later gets copies, and then partitions to lead") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  const auto keys = keys_of_all_partitions();
  for (const auto& key : keys) {
    REQUIRE(a->call(ref<Counter>(key).add(1)));
  }
  auto c = all.start("c");
  adder load{*b, keys};
  all.until("c has copies of all, and leads some", [&] {
    static_cast<void>(total(*a, keys));
    return is_balanced(*c, 3) && led_by("c", *c) > 0;
  });
  load.stop();
  CHECK(load.failed() + load.unknown() == 0);
  CHECK(total(*c, keys) == load.added() + std::int64_t{cluster_partitions});
}

TEST_CASE("a silo that is stopped hands over, and no call fails") {
  silos all;
  auto a = all.start("a");
  auto b = all.start("b");
  auto c = all.start("c");
  const auto keys = keys_of_all_partitions();
  settle(all, *a, 3);
  REQUIRE(led_by("b", *a) > 0);
  std::vector<std::unique_ptr<adder>> load;
  for (int each = 0; each < 3; ++each) {
    load.push_back(std::make_unique<adder>(*a, keys));
    load.push_back(std::make_unique<adder>(*c, keys));
  }
  const auto sum = [&](auto of) {
    std::int64_t all_of_them = 0;
    for (const auto& each : load) {
      all_of_them += of(*each);
    }
    return all_of_them;
  };
  const auto go_on = [&] {
    const auto before = sum([](const adder& each) { return each.added(); });
    all.until("calls go on", [&] {
      static_cast<void>(total(*a, keys));
      return sum([](const adder& each) { return each.added(); }) > before + 100;
    });
  };
  go_on();
  b->stop();
  go_on();
  for (const auto& each : load) {
    each->stop();
    CHECK_MESSAGE(each->failed() == 0, each->failure() << all.told());
    CHECK(each->unknown() == 0);
  }
  CHECK(total(*a, keys) == sum([](const adder& each) { return each.added(); }));
  all.until("b is gone", [&] {
    static_cast<void>(total(*a, keys));
    return a->cluster_view().silos.size() == 2;
  });
}

TEST_CASE("a gateway has no partitions, and its calls go to those who have") {
  silos all;
  auto a = all.start("a");
  auto gateway =
      all.start("g", [](silo_options& options) { options.cluster->roles = {.gateway = true}; });
  CHECK(gateway->call(ref<Counter>("k").add(3))->total() == 3);
  CHECK(a->call(ref<Counter>("k").get())->total() == 3);
  CHECK(gateway->cluster_view().silos.size() == 2);
  CHECK(led_by("g", *gateway) == 0);
  a->stop();
  gateway->stop();
}

TEST_CASE("a silo that its cluster has taken out stops serving, and says so") {
  silos all;
  std::atomic<int> told{0};
  auto a = all.start("a", [&](silo_options& options) {
    options.cluster->on_expelled = [&](const error& why) {
      told += why.code() == errc::fenced ? 1 : 100;
    };
  });
  REQUIRE(a->call(ref<Counter>("k").add(1)));
  {
    const system_clock time;
    auto store = open_local_store((all.folder.path / "cluster").string(), time);
    REQUIRE(store);
    const auto row = (*store)->read(0, time.steady() + 10s)->silos.front();
    REQUIRE((*store)->join(row, row.incarnation, time.steady() + 10s));
    all.wait_for("a warns: silo 'a' is not in the cluster any more");
    static_cast<void>((*store)->leave(time.steady() + 10s));
  }
  all.until("it was told", [&] { return told == 1; });
  const auto refused = a->call(ref<Counter>("k").add(1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::unavailable);
}

TEST_CASE("a silo that does not fit its cluster does not start, and says why") {
  silos all;
  auto a = all.start("a");
  const auto refused = [&](silo& one) {
    const auto started = one.start();
    REQUIRE_FALSE(started);
    return started.error();
  };
  auto twin = all.make("b", [](silo_options& options) { options.name = "a"; });
  CHECK(refused(*twin).code() == errc::conflict);

  storage_options disk;
  disk.directory = (all.folder.path / "other").string();
  disk.partition_count = 32;
  disk.in_cluster = true;
  silo_options options;
  options.name = "c";
  options.cluster.emplace().coordination = "local:" + (all.folder.path / "cluster").string();
  silo other{std::move(*open_storage(disk)), options};
  const auto why = refused(other);
  CHECK(why.code() == errc::failed_precondition);
  CHECK(why.text().find(" 16 partitions") != std::string::npos);
  CHECK(why.text().find(" 32;") != std::string::npos);

  silo forgetful{nullptr, options};
  CHECK(refused(forgetful).code() == errc::failed_precondition);
  options.cluster->coordination = "nonsense";
  silo nowhere{nullptr, options};
  CHECK(refused(nowhere).code() == errc::invalid_argument);
}

}  // namespace
}  // namespace millrace::testing
