// SPDX-License-Identifier: MIT
// What becomes of actors whose partition another silo takes, and comes back.
#include <atomic>
#include <semaphore>

#include "fixture.h"
#include "silo/silo_access.h"

namespace millrace::testing {
namespace {

using namespace runtime;
using namespace std::chrono_literals;

// All of the silo's actors are in one partition, and it is lost.
constexpr auto only = partition_id{0};

template <class T>
errc code_of(const result<T>& answer) {
  return answer ? errc{} : answer.error().code();
}

TEST_CASE("a partition that is lost takes its activations along, and what was durable comes back") {
  counter_silo silo{make_memory_storage(1)};
  REQUIRE(silo.call(ref<Counter>("a").add(5)));
  CHECK(silo.here().stats().activations == 1);
  silo.discard(only);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.warnings().empty());
  CHECK(code_of(silo.call(ref<Counter>("a").get())) == errc::not_primary);
  CHECK(code_of(silo.call(ref<Counter>("new").add(1))) == errc::not_primary);
  CHECK(silo.here().stats().activations == 0);
  REQUIRE(silo.take_over(only));
  CHECK(silo.total("a") == 5);
  CHECK(silo.total("new") == 0);
}

TEST_CASE("who waits when a partition is lost is refused, what is on its way to the disk is told") {
  counter_silo silo{make_memory_storage(1)};
  auto waits = silo.begin(ref<Counter>("waits").await(60'000));
  silo.rows().hold_commits();
  auto adds = silo.begin(ref<Counter>("adds").add(3));
  auto behind = silo.begin(ref<Counter>("adds").get());
  silo.discard(only);
  CHECK(code_of(waits.answer()) == errc::not_primary);
  CHECK_FALSE(adds.answered());
  silo.rows().release_commits();
  silo.settle();
  CHECK(adds.answer());
  CHECK(code_of(behind.answer()) == errc{});  // it saw what is durable now
  CHECK(code_of(silo.call(ref<Counter>("adds").get())) == errc::not_primary);
  REQUIRE(silo.take_over(only));
  CHECK(silo.total("adds") == 3);
}

// Goal: `not_primary` says that nothing was done. Method: a method has changed something and waits.
TEST_CASE(
    "who has changed something that is on its way to the disk is not told it did not happen") {
  counter_silo silo{make_memory_storage(1)};
  silo.rows().hold_commits();
  auto waits = silo.begin(ref<Counter>("a").add_and_wait(3));
  silo.discard(only);
  CHECK(code_of(waits.answer()) == errc::outcome_unknown);
  silo.rows().release_commits();
  silo.settle();
  REQUIRE(silo.take_over(only));
  CHECK(silo.total("a") == 3);
}

TEST_CASE("offloaded work that goes on when a partition is lost may have been done") {
  counter_silo silo{make_memory_storage(1)};
  std::atomic<int> done{0};
  counter::on_work = [&] {
    runtime::detail::silo_access::core(silo.here()).discard(only);
    ++done;
  };
  CHECK(code_of(silo.call(ref<Counter>("a").work())) == errc::outcome_unknown);
  CHECK(done == 1);
  counter::on_work = nullptr;
}

TEST_CASE("reminders and sends of a lost partition rest until it is taken over") {
  counter_silo silo{make_memory_storage(1)};
  REQUIRE(silo.call(ref<Counter>("r").remind_in(1000, 0)));
  const auto before = silo.total("r");
  silo.discard(only);
  CHECK(silo.here().stats().reminders == 0);
  silo.advance(10s);
  CHECK(silo.warnings().empty());
  REQUIRE(silo.take_over(only));  // its time is over
  CHECK(silo.total("r") > before);
}

// A counter in each of two partitions.
std::array<std::string, 2> key_of_each() {
  std::array<std::string, 2> keys;
  for (int number = 0; keys[0].empty() || keys[1].empty(); ++number) {
    const auto key = std::to_string(number);
    const auto& of = (*ref<Counter>(key).get().spec().interface);
    keys[static_cast<std::size_t>(partition_of(of.group, key, of.affinity, 2))] = key;
  }
  return keys;
}

TEST_CASE("one partition's loss is nothing to the others") {
  counter_silo silo{make_memory_storage(2)};
  const auto keys = key_of_each();
  REQUIRE(silo.call(ref<Counter>(keys[0]).add(1)));
  REQUIRE(silo.call(ref<Counter>(keys[1]).add(2)));
  silo.discard(partition_id{1});
  CHECK(silo.here().stats().activations == 1);
  CHECK(silo.total(keys[0]) == 1);
  CHECK(code_of(silo.call(ref<Counter>(keys[1]).get())) == errc::not_primary);
}

// Two partitions in memory. From `watch` on a scan that has found something of partition 0 ends
// when something of partition 1 is read, or after ten seconds.
class slow_to_recover final : public storage {
public:
  void watch() { watching_ = true; }

  void commit(std::unique_ptr<commit_request> request) override {
    rows_->commit(std::move(request));
  }
  void read(std::unique_ptr<read_request> request) override {
    if (watching_ && request->partition == partition_id{1}) {
      second_read_.release();
    }
    rows_->read(std::move(request));
  }
  result<void> scan(partition_id partition, std::string_view prefix, std::string_view from,
                    std::size_t limit, const std::function<bool(const row&)>& visit) override {
    auto found = false;
    auto done = rows_->scan(partition, prefix, from, limit, [&](const row& one) {
      found = true;
      return visit(one);
    });
    if (watching_ && found && partition == partition_id{0}) {
      static_cast<void>(second_read_.try_acquire_for(10s));
    }
    return done;
  }
  [[nodiscard]] bool saturated() const noexcept override { return rows_->saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return rows_->allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override { return 2; }
  [[nodiscard]] storage_stats stats() const override { return rows_->stats(); }
  void stop() override { rows_->stop(); }

private:
  std::unique_ptr<storage> rows_ = make_memory_storage(2);
  std::atomic<bool> watching_{false};
  std::counting_semaphore<> second_read_{0};
};

TEST_CASE("what goes on when a silo starts finds all partitions held, however long that takes") {
  auto rows = std::make_unique<slow_to_recover>();
  auto& slow = *rows;
  counter_silo silo{std::move(rows)};
  const auto keys = key_of_each();
  silo.discard(partition_id{1});
  REQUIRE(silo.call(ref<Counter>(keys[0]).post_to(keys[1], 1)));  // not delivered
  silo.stop();
  slow.watch();
  silo.start();
  CHECK(silo.total(keys[1]) == 1);  // without waiting for another try
  CHECK(silo.here().stats().sends_pending == 0);
}

}  // namespace
}  // namespace millrace::testing
