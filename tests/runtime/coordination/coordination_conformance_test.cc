// SPDX-License-Identifier: MIT
// What every provider of the coordination store does. Silos other than the test's own are processes
// of their own, since they are that in life.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "child.h"
#include "providers.h"

namespace millrace::runtime {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr auto p3 = partition_id{3};

stored_partition record(partition_id partition, std::uint64_t version, std::uint64_t epoch) {
  stored_partition made;
  made.partition = partition;
  made.version = version;
  made.epoch = epoch;
  made.primary = {1, epoch};
  made.in_sync = {{{1, epoch}, "a"}};
  made.nonce = mint_nonce();
  return made;
}

// Puts a record in place; its version.
std::uint64_t put(coordination_store& store, const stored_partition& wanted) {
  const auto outcome = store.compare_and_set(wanted, soon());
  REQUIRE(std::holds_alternative<cas_done>(outcome));
  return std::get<cas_done>(outcome).version;
}

silo_row silo(std::string name) {
  silo_row row;
  row.name = std::move(name);
  row.address = "127.0.0.1:1";
  row.roles.state = true;
  row.labels = {{"zone", "1"}};
  return row;
}

coordination_view all(coordination_store& store) {
  auto view = store.read(0, soon());
  REQUIRE(view);
  return std::move(*view);
}

const silo_row* find(const coordination_view& view, std::string_view name) {
  const auto at = std::find_if(view.silos.begin(), view.silos.end(),
                               [&](const silo_row& row) { return row.name == name; });
  return at == view.silos.end() ? nullptr : &*at;
}

// A silo in a process of its own: joins, says its incarnation, and stays until it is told to go.
template <class Provider>
std::function<void(const child::says&)> silo_process(Provider& provider, std::string name,
                                                     coordination_options options) {
  return [&provider, name, options](const child::says& say) {
    const auto store = provider.open(options);
    const auto joined = store->join(silo(name), std::nullopt, soon());
    say(joined ? std::to_string(*joined) : joined.error().to_string());
    ::pause();
  };
}

TEST_CASE_TEMPLATE("settings are made once, and hold for all", Provider, local_provider,
                   etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  const cluster_settings first{"0123456789abcdef0123456789abcdef", 256, "founder"};
  CHECK(*store->settings(soon()) == std::nullopt);
  const auto made = store->settle(first, soon());
  REQUIRE(made);
  CHECK(*made == first);
  CHECK(*store->settings(soon()) == first);
  child other{[&](const child::says& say) {
    const auto found = provider.open()->settle({"other", 16}, soon());
    say(found ? found->cluster_id + " " + std::to_string(found->partition_count) : "none");
  }};
  CHECK(other.read() == first.cluster_id + " 256");
}

TEST_CASE_TEMPLATE("a record is made, changed and read as it was put", Provider, local_provider,
                   etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  const auto none = store->read_partition(p3, soon());
  REQUIRE(none);
  CHECK_FALSE(none->has_value());

  auto wanted = record(p3, 0, 1);
  wanted.version = put(*store, wanted);
  CHECK(wanted.version > 0);
  auto found = store->read_partition(p3, soon());
  REQUIRE(found);
  CHECK(*found == wanted);

  auto next = record(p3, wanted.version, 2);
  next.version = put(*store, next);
  CHECK(next.version > wanted.version);
  found = store->read_partition(p3, soon());
  REQUIRE(found);
  CHECK(*found == next);
}

TEST_CASE_TEMPLATE("a record of another version is left alone, and given", Provider, local_provider,
                   etcd_provider) {
  Provider provider;
  const auto store = provider.open();

  const auto too_early = store->compare_and_set(record(p3, 7, 1), soon());
  REQUIRE(std::holds_alternative<cas_conflict>(too_early));
  CHECK_FALSE(std::get<cas_conflict>(too_early).found.has_value());

  auto first = record(p3, 0, 1);
  first.version = put(*store, first);
  for (const std::uint64_t version : {std::uint64_t{0}, first.version - 1, first.version + 1}) {
    const auto outcome = store->compare_and_set(record(p3, version, 9), soon());
    REQUIRE(std::holds_alternative<cas_conflict>(outcome));
    CHECK(std::get<cas_conflict>(outcome).found == first);
  }
  CHECK(*store->read_partition(p3, soon()) == first);
}

TEST_CASE_TEMPLATE("a view has all silos, and the partitions that have changed", Provider,
                   local_provider, etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  const auto empty = all(*store);
  CHECK(empty.silos.empty());
  CHECK(empty.partitions.empty());

  auto first = record(partition_id{0}, 0, 1);
  auto last = record(partition_id{65534}, 0, 1);
  last.version = put(*store, last);
  first.version = put(*store, first);
  const auto view = all(*store);
  CHECK(view.revision >= first.version);
  CHECK(view.partitions == std::vector{first, last});

  const auto nothing = store->read(view.revision, soon());
  REQUIRE(nothing);
  CHECK(nothing->partitions.empty());

  auto changed = record(last.partition, last.version, 2);
  changed.version = put(*store, changed);
  REQUIRE(store->join(silo("a"), std::nullopt, soon()));
  const auto news = store->read(view.revision, soon());
  REQUIRE(news);
  CHECK(news->partitions == std::vector{changed});
  CHECK(news->silos.size() == 1);
  CHECK(store->leave(soon()));
}

TEST_CASE_TEMPLATE("a silo joins, changes its row and leaves", Provider, local_provider,
                   etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  auto row = silo("a");
  const auto incarnation = store->join(row, std::nullopt, soon());
  REQUIRE(incarnation);
  row.incarnation = *incarnation;
  row.process = *this_process();
  auto view = all(*store);
  CHECK(view.silos == std::vector{row});

  row.state = silo_state::active;
  CHECK(store->update(row, soon()));
  view = all(*store);
  CHECK(view.silos == std::vector{row});

  CHECK(store->leave(soon()));
  CHECK(all(*store).silos.empty());
  const auto late = store->update(row, soon());
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == errc::fenced);

  const auto again = store->join(silo("a"), std::nullopt, soon());
  REQUIRE(again);
  CHECK(*again > *incarnation);
  const auto of_earlier_life = store->update(row, soon());
  REQUIRE_FALSE(of_earlier_life);
  CHECK(of_earlier_life.error().code() == errc::fenced);
  CHECK(store->leave(soon()));
  CHECK(store->leave(soon()));
  CHECK_FALSE(store->join(silo("two words"), std::nullopt, soon()));
}

TEST_CASE_TEMPLATE("a name is one silo's at a time, unless who comes knows that it has ended",
                   Provider, local_provider, etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  child other{silo_process(provider, "a", {})};
  const auto first = std::stoull(other.read());

  const auto refused = store->join(silo("a"), std::nullopt, soon());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::conflict);
  CHECK_FALSE(store->join(silo("a"), first - 1, soon()));
  const auto view = all(*store);
  REQUIRE(find(view, "a") != nullptr);
  CHECK(find(view, "a")->incarnation == first);

  const auto second = store->join(silo("a"), first, soon());
  REQUIRE(second);
  CHECK(*second > first);
  CHECK(find(all(*store), "a")->incarnation == *second);
  CHECK(store->leave(soon()));
}

TEST_CASE_TEMPLATE("a change elsewhere is hinted at", Provider, local_provider, etcd_provider) {
  Provider provider;
  hint_counter hints;
  coordination_options options;
  options.changed = hints.hook();
  const auto store = provider.open(options);
  child other{[&](const child::says& say) {
    const auto theirs = provider.open();
    static_cast<void>(theirs->compare_and_set(record(p3, 0, 5), soon()));
    say("done");
  }};
  CHECK(hints.wait_until([&] {
    const auto found = store->read_partition(p3, soon());
    return found && *found && (*found)->epoch == 5;
  }));
}

// Goal: a session outlives its time to live as long as its process runs, and no longer.
// Method: a silo that runs beside one that is stopped and one that is killed. When the stopped one
// goes on, it is out. Both providers' silos do so at once: what takes time here is a session's.
template <class Provider>
class three_silos {
public:
  three_silos() {
    auto theirs = options_;
    theirs.changed = [] {};
    killed_.emplace(silo_process(provider_, "killed", theirs));
    stopped_.emplace([this, theirs](const child::says& say) { be_stopped(theirs, say); });
    REQUIRE(std::stoull(killed_->read()) > 0);
    first_ = std::stoull(stopped_->read());
    stopped_->wait_stopped();
    store_ = provider_.open(options_);
    REQUIRE(store_->join(silo("runs"), std::nullopt, soon()));
    REQUIRE(find(all(*store_), "killed") != nullptr);
    killed_->signal(SIGKILL);
  }

  void see_two_out() {
    for (const auto* name : {"killed", "stopped"}) {
      CHECK(hints_.wait_until([&] { return find(all(*store_), name) == nullptr; }));
    }
    CHECK(find(all(*store_), "runs") != nullptr);
    stopped_->signal(SIGCONT);
    CHECK(stopped_->read() == "fenced");
    CHECK(std::stoull(stopped_->read()) > first_);
    CHECK(find(all(*store_), "runs") != nullptr);
    CHECK(store_->leave(soon()));
  }

private:
  void be_stopped(const coordination_options& options, const child::says& say) {
    const auto theirs = provider_.open(options);
    auto row = silo("stopped");
    const auto joined = theirs->join(row, std::nullopt, soon());
    say(joined ? std::to_string(*joined) : joined.error().to_string());
    ::raise(SIGSTOP);
    row.incarnation = joined ? *joined : 0;
    const auto updated = theirs->update(row, soon());
    say(updated ? "updated" : std::string{to_string(updated.error().code())});
    const auto again = theirs->join(row, std::nullopt, soon());
    say(again ? std::to_string(*again) : again.error().to_string());
  }

  Provider provider_;
  hint_counter hints_;
  coordination_options options_{.session_ttl = 2s, .changed = hints_.hook()};
  std::optional<child> killed_;
  std::optional<child> stopped_;
  std::uint64_t first_ = 0;
  std::unique_ptr<coordination_store> store_;
};

TEST_CASE("a silo that is killed or not heard of is out before long, and never comes back") {
  three_silos<local_provider> of_one_machine;
  three_silos<etcd_provider> of_many;
  of_one_machine.see_two_out();
  of_many.see_two_out();
}

TEST_CASE_TEMPLATE("a silo that does not answer is killed, which proves that it is dead", Provider,
                   local_provider, etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  child suspect{silo_process(provider, "suspect", {})};
  REQUIRE(std::stoull(suspect.read()) > 0);
  suspect.signal(SIGSTOP);
  const auto view = all(*store);
  const auto* row = find(view, "suspect");
  REQUIRE(row != nullptr);
  CHECK_FALSE(store->has_ended(*row, soon()).value());
  CHECK(store->ensure_dead(*row, soon()));
  const auto status = suspect.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK(store->ensure_dead(*row, soon()));
  CHECK(store->has_ended(*row, soon()).value());

  auto self = *row;
  self.process = *this_process();
  CHECK_FALSE(store->ensure_dead(self, soon()));
  CHECK_FALSE(store->has_ended(self, soon()).value());
}

TEST_CASE_TEMPLATE("one of many compare-and-sets of one version is done", Provider, local_provider,
                   etcd_provider) {
  Provider provider;
  const auto store = provider.open();
  std::vector<std::thread> threads;
  std::vector<cas_outcome> outcomes(8, cas_conflict{});
  for (auto& outcome : outcomes) {
    threads.emplace_back([&] { outcome = store->compare_and_set(record(p3, 0, 1), soon()); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(std::count_if(outcomes.begin(), outcomes.end(), [](const cas_outcome& outcome) {
          return std::holds_alternative<cas_done>(outcome);
        }) == 1);
  CHECK(std::count_if(outcomes.begin(), outcomes.end(), [](const cas_outcome& outcome) {
          return std::holds_alternative<cas_conflict>(outcome);
        }) == 7);
}

// Goal: a newer build in an older cluster writes what the older ones read.
TEST_CASE_TEMPLATE("all records are in the version of the build that made the cluster", Provider,
                   local_provider, etcd_provider) {
  Provider provider;
  const auto older = provider.open();
  const auto newer = provider.open({.protocol = coordination_protocol + 1});
  const auto settings = older->settle({"of the older", 16}, soon());
  REQUIRE(settings);
  CHECK(settings->protocol == coordination_protocol);
  CHECK(newer->settle({"of the newer", 16}, soon()).value() == *settings);
  REQUIRE(newer->join(silo("n"), {}, soon()));
  auto wanted = record(p3, 0, 1);
  wanted.version = put(*newer, wanted);
  const auto view = all(*older);
  CHECK(find(view, "n") != nullptr);
  CHECK(view.partitions == std::vector{wanted});
  CHECK(newer->leave(soon()));
}

TEST_CASE_TEMPLATE("an older build is told that the cluster is newer, and changes nothing",
                   Provider, local_provider, etcd_provider) {
  Provider provider;
  const auto newer = provider.open({.protocol = coordination_protocol + 1});
  REQUIRE(newer->settle({"of the newer", 16}, soon()));
  REQUIRE(newer->join(silo("n"), {}, soon()));
  auto wanted = record(p3, 0, 1);
  wanted.version = put(*newer, wanted);

  const auto older = provider.open();
  const auto says_so = [](const auto& refused) {
    return !refused && refused.error().code() == errc::failed_precondition &&
           refused.error().text().ends_with(
               "protocol version 2, this build knows up to 1; use a newer build");
  };
  CHECK(says_so(older->settings(soon())));
  CHECK(says_so(older->settle({"of the older", 16}, soon())));
  CHECK(says_so(older->read(0, soon())));
  CHECK(says_so(older->read_partition(p3, soon())));
  const auto changed = older->compare_and_set(record(p3, 0, 9), soon());
  CHECK(std::holds_alternative<cas_unknown>(changed));

  const auto view = all(*newer);
  CHECK(find(view, "n") != nullptr);
  CHECK(view.partitions == std::vector{wanted});
  CHECK(newer->leave(soon()));
}

}  // namespace
}  // namespace millrace::runtime
