// SPDX-License-Identifier: MIT
// Copies of partitions on several storages: what is acknowledged is on all that count.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "millrace/testing/hand_clock.h"
#include "small_cluster.h"

namespace millrace::runtime {
namespace {

using namespace testing;

constexpr partition_id first{0};

// A bit of each place in the file that holds it, whoever has it open.
void flip_all(const std::string& file, std::string_view text) {
  std::fstream stream{file, std::ios::in | std::ios::out | std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{stream}, {}};
  stream.clear();
  std::size_t count = 0;
  for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(static_cast<char>(bytes[at] ^ 1));
    ++count;
  }
  REQUIRE(count > 0);
}

std::string key_of(int number) {
  return "key" + std::to_string(number);
}

TEST_CASE("a partition begins with one copy, and the others join") {
  small_cluster cluster{3};
  auto& a = cluster.start("a");
  REQUIRE(cluster.has_set_of(1));
  CHECK(small_cluster::put(a, first, "k", "v"));
  cluster.start("b");
  cluster.start("c");
  REQUIRE(cluster.has_set_of(3));
  CHECK(cluster.record(first).in_sync_min == 2);
  auto& primary = cluster.primary(first);
  CHECK(small_cluster::put(primary, first, "k2", "v2"));
  for (const auto* name : {"a", "b", "c"}) {
    CHECK(cluster.reaches([&] {
      return small_cluster::rows_of(cluster.at(name), first) ==
             std::map<std::string, std::string>{{"k", "v"}, {"k2", "v2"}};
    }));
  }
}

TEST_CASE("what was acknowledged is there after its primary died") {
  small_cluster cluster{3};
  cluster.start_all();
  for (int number = 0; number < 50; ++number) {
    for (std::uint16_t index = 0; index < small_cluster::partitions; ++index) {
      const partition_id partition{index};
      REQUIRE(small_cluster::put(cluster.primary(partition), partition, key_of(number), "v"));
    }
  }
  const auto epoch = cluster.record(first).epoch;
  cluster.kill("a");
  for (std::uint16_t index = 0; index < small_cluster::partitions; ++index) {
    const partition_id partition{index};
    auto& next = cluster.primary(partition);
    CHECK(small_cluster::rows_of(next, partition).size() == 50);
    CHECK(small_cluster::put(next, partition, key_of(50), "v"));
  }
  CHECK(cluster.record(first).epoch > epoch);
  REQUIRE(cluster.has_set_of(2));

  cluster.start("a");
  REQUIRE(cluster.has_set_of(3));
  CHECK(
      cluster.reaches([&] { return small_cluster::rows_of(cluster.at("a"), first).size() == 51; }));
}

TEST_CASE("of a change of the set it is told whether writes wait for it") {
  small_cluster cluster{3};
  cluster.start_all();
  auto& primary = cluster.primary(first);
  REQUIRE(primary.name() == "a");
  cluster.kill("c", false);
  row_ops ops;
  ops.put("k", "v");
  auto written = small_cluster::begin_commit(primary, first, std::move(ops));
  REQUIRE(cluster.has_set_of(2));
  CHECK(written.get());
  CHECK(primary.writes_waited(first));
  CHECK_FALSE(primary.writes_waited(partition_id{1}));
}

TEST_CASE("a silo whose disk is new gets the rows, and leads with them") {
  small_cluster cluster{2};
  cluster.start_all();
  auto& old = cluster.primary(first);
  const std::string value(3000, 'x');
  for (int number = 0; number < 1000; ++number) {  // several ranges
    REQUIRE(small_cluster::put(old, first, key_of(number), value + std::to_string(number)));
  }
  const bool a_leads = &old == &cluster.at("a");
  const std::string other = a_leads ? "b" : "a";
  cluster.kill(other);
  REQUIRE(cluster.has_set_of(1));
  cluster.wipe(other);
  for (int number = 1000; number < 1010; ++number) {
    REQUIRE(small_cluster::put(old, first, key_of(number), "v"));
  }
  // Nothing of it is in the journal any more.
  REQUIRE(cluster.reaches([&] { return old.rows().stats().checkpoint_lag_batches == 0; }));
  cluster.start(other);
  REQUIRE(cluster.has_set_of(2));
  REQUIRE(small_cluster::put(old, first, "last", "v"));
  const auto expected = small_cluster::rows_of(old, first);
  cluster.kill(a_leads ? "a" : "b");
  auto& next = cluster.primary(first);
  CHECK(small_cluster::rows_of(next, first) == expected);
  CHECK(small_cluster::put(next, first, "k", "v"));
}

TEST_CASE("a copy that is far behind lets go of all its old rows, however many") {
  small_cluster cluster{2};
  cluster.start_all();
  auto& old = cluster.primary(first);
  const auto change = [&](const char* prefix, int rows, bool is_erased) {
    row_ops ops;
    for (int number = 0; number < rows; ++number) {
      const auto key = prefix + key_of(number);
      is_erased ? ops.erase(key) : ops.put(key, "v");
    }
    REQUIRE(small_cluster::commit(old, first, std::move(ops)));
  };
  change("old ", 30'000, false);
  const std::string other = &old == &cluster.at("a") ? "b" : "a";
  REQUIRE(
      cluster.reaches([&] { return cluster.at(other).rows().stats().checkpoint_rows >= 30'000; }));
  cluster.kill(other);
  REQUIRE(cluster.has_set_of(1));
  change("old ", 30'000, true);
  change("new ", 100, false);
  REQUIRE(cluster.reaches([&] { return old.rows().stats().checkpoint_lag_batches == 0; }));
  cluster.start(other);
  REQUIRE(cluster.has_set_of(2));
  CHECK(small_cluster::rows_of(cluster.at(other), first).size() == 100);
  CHECK(cluster.at(other).quarantines() == 0);
}

// Goal: an operator whose silos were all put back to an old day has what that day had.
TEST_CASE("copies that all lack what was committed are kept, and one of them can be chosen") {
  small_cluster cluster{2};
  cluster.start_all();
  const auto put = [&](const char* key) {
    REQUIRE(small_cluster::put(cluster.primary(first), first, key, "v"));
  };
  put("old");
  for (const auto* name : {"a", "b"}) {
    cluster.kill(name, false);
    std::filesystem::copy(cluster.directory_of(name), cluster.directory_of(name) + ".old",
                          std::filesystem::copy_options::recursive);
  }
  cluster.start("a");
  cluster.start("b");
  put("new");
  const auto led = cluster.record(first).version;
  const std::string other = &cluster.primary(first) == &cluster.at("a") ? "b" : "a";
  cluster.kill(other);
  REQUIRE(cluster.reaches([&] {  // with its floor
    const auto now = cluster.record(first);
    return now.version > led && now.in_sync.size() == 1;
  }));
  cluster.kill(other == "a" ? "b" : "a", false);
  for (const auto* name : {"a", "b"}) {
    cluster.wipe(name);
    std::filesystem::rename(cluster.directory_of(name) + ".old", cluster.directory_of(name));
  }
  // As the store remembers it, one of them is in the set.
  const auto record = cluster.record(first);
  REQUIRE(record.in_sync.size() == 1);
  const auto left = record.in_sync.front().silo;
  auto& chosen = cluster.start(left);
  REQUIRE(cluster.reaches([&] { return chosen.set_aside() > 0; }));
  CHECK(chosen.quarantines() == 0);
  CHECK(chosen.side().copies().front().is_aside);
  chosen.side().break_glass(first);
  CHECK(small_cluster::rows_of(cluster.primary(first), first).contains("old"));
  put("newer");
}

// Method: what is sent together is about a mebibyte; with the largest commit it would be too much.
// What was lost on the way is sent once more, both at once. Nobody is ejected for a slow machine,
// nor takes over: time is the test's.
TEST_CASE("a copy catches up with the largest commit behind others") {
  millrace::testing::hand_clock time;
  small_cluster cluster{2, &time};
  auto& primary = cluster.start("a");
  cluster.start("b");
  REQUIRE(cluster.passes(time, [&] {
    const auto record = cluster.record(first);
    return record.in_sync.size() == 2 && primary.epoch(first) != 0;
  }));
  const auto begin_commit = [&](std::size_t bytes) {
    row_ops ops;
    ops.put("k", std::string(bytes - 100, 'x'));
    const auto missing = bytes - ops.encoded().size();
    ops = {};
    ops.put("k", std::string(bytes - 100 + missing, 'x'));
    REQUIRE(ops.encoded().size() == bytes);
    return small_cluster::begin_commit(primary, first, std::move(ops));
  };
  const auto version = cluster.record(first).version;
  const auto tail = primary.side().copies()[0].tail;
  cluster.cut("b", true);
  auto some = begin_commit((std::size_t{1} << 20U) - 100);
  auto largest = begin_commit(commit_bytes_limit_in_cluster);
  REQUIRE(cluster.reaches([&] { return primary.side().copies()[0].tail == tail + 2; }));
  cluster.cut("b", false);
  const auto is_answered = [](const auto& one) {
    return one.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
  };
  REQUIRE(cluster.passes(time, [&] { return is_answered(some) && is_answered(largest); }));
  CHECK(some.get());
  CHECK(largest.get());
  CHECK(cluster.record(first).version == version);
}

// Goal: a damaged row ends nobody, and keeps no copy from being made as long as another one has it.
TEST_CASE("a primary whose row is damaged lets another one lead, who gives its rows") {
  small_cluster cluster{3};
  cluster.start_all();
  const std::string value = "this is the value of a row that rots";
  REQUIRE(small_cluster::put(cluster.primary(first), first, "k", value));
  const auto rotten = cluster.primary(first).name();
  for (int number = 0; number < 3; ++number) {  // the journal is trimmed behind its checkpoint
    const auto before = cluster.at(rotten).rows().stats().checkpoint_rows;
    REQUIRE(small_cluster::put(cluster.at(rotten), first, key_of(number), "v"));
    REQUIRE(cluster.reaches(
        [&] { return cluster.at(rotten).rows().stats().checkpoint_rows > before; }));
  }
  flip_all(cluster.directory_of(rotten) + "/checkpoint/data.mdb", value);
  const std::string other = rotten == "a" ? "b" : "a";
  cluster.kill(other);
  cluster.wipe(other);
  cluster.start(other);
  REQUIRE(cluster.reaches([&] { return cluster.at(rotten).cannot_copy() == 1; }));
  REQUIRE(cluster.has_set_of(3));
  CHECK(small_cluster::rows_of(cluster.at(other), first).at("k") == value);
}

TEST_CASE("a primary that nobody hears answers nothing any more") {
  small_cluster cluster{3};
  cluster.start_all();
  auto& old = cluster.primary(first);
  const auto epoch = old.epoch(first);
  const auto name = &old == &cluster.at("a") ? "a" : &old == &cluster.at("b") ? "b" : "c";
  cluster.cut(name, true);
  const system_clock clock;
  std::promise<result<void>> told;
  auto request =
      std::make_unique<commit_call>([&](result<void> outcome) { told.set_value(outcome); });
  request->partition = first;
  request->epoch = epoch;
  request->ops.put("k", "v");
  old.rows().commit(std::move(request));
  REQUIRE(cluster.reaches([&] { return !old.side().lease(first).allows(epoch, clock.steady()); }));
  // It cannot be told from one that is slow until the others have decided.
  const auto outcome = told.get_future().get();
  if (!outcome) {
    CHECK(outcome.error().code() == errc::outcome_unknown);
  }
  auto& next = cluster.primary(first);
  CHECK((&next != &old || outcome));
  CHECK(small_cluster::put(next, first, "k2", "v"));
  cluster.cut(name, false);
  REQUIRE(cluster.has_set_of(3));
}

TEST_CASE("a partition is handed over, and nobody else may commit") {
  small_cluster cluster{2};
  cluster.start_all();
  auto& old = cluster.primary(first);
  const auto epoch = old.epoch(first);
  const bool a_leads = &old == &cluster.at("a");
  auto& next = cluster.at(a_leads ? "b" : "a");
  REQUIRE(small_cluster::put(old, first, "k", "v"));
  old.side().hand_over(first, a_leads ? "b" : "a");
  REQUIRE(cluster.reaches([&] { return next.epoch(first) > epoch; }));
  CHECK(old.epoch(first) == 0);
  auto refused = small_cluster::put(old, first, "k", "w");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::not_primary);
  CHECK(small_cluster::rows_of(next, first).at("k") == "v");
  CHECK(small_cluster::put(next, first, "k", "w"));
}

TEST_CASE("with too few copies nothing is acknowledged, and nothing lost") {
  small_cluster cluster{3};
  cluster.start_all();
  auto& primary = cluster.primary(first);
  std::vector<std::string> others;
  for (const auto* name : {"a", "b", "c"}) {
    if (&cluster.at(name) != &primary) {
      others.emplace_back(name);
    }
  }
  cluster.kill(others[0]);
  cluster.kill(others[1]);
  // What was let in before would wait for another copy.
  REQUIRE(
      cluster.reaches([&] { return primary.side().copies().front().record.in_sync.size() == 1; }));
  auto refused = small_cluster::put(primary, first, "k", "v");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::not_enough_replicas);
  cluster.start(others[0]);
  REQUIRE(cluster.has_set_of(2));
  CHECK(cluster.reaches(
      [&] { return small_cluster::put(cluster.primary(first), first, "k", "v").has_value(); }));
}

TEST_CASE("who has too few copies to write stops leading when it is told to, and nobody else") {
  small_cluster cluster{3};
  cluster.start_all();
  auto& primary = cluster.primary(first);
  const auto epoch = primary.epoch(first);
  primary.side().abdicate(first);
  CHECK(small_cluster::put(primary, first, "k", "v"));  // behind that in the queue
  CHECK(primary.epoch(first) == epoch);
  std::vector<std::string> others;
  for (const auto* name : {"a", "b", "c"}) {
    if (name != primary.name()) {
      others.emplace_back(name);
      cluster.kill(name);
    }
  }
  REQUIRE(
      cluster.reaches([&] { return primary.side().copies().front().record.in_sync.size() == 1; }));
  CHECK(primary.epoch(first) == epoch);
  primary.side().abdicate(first);
  CHECK(cluster.reaches([&] {
    return primary.epoch(first) == 0 &&
           primary.side().copies().front().role != replica_role::primary;
  }));
  CHECK(small_cluster::rows_of(primary, first).at("k") == "v");
  cluster.start(others[0]);
  CHECK(cluster.reaches(
      [&] { return small_cluster::put(cluster.primary(first), first, "k", "w").has_value(); }));
  CHECK(cluster.record(first).epoch > epoch);
}

// Goal: a silo that the store does not reach knows who leads what it has copies of.
TEST_CASE("a backup tells whom it follows, once an epoch, as it hears from that one") {
  small_cluster cluster{3};
  cluster.start_all();
  auto& old = cluster.primary(first);
  auto& next = cluster.at(old.name() == "a" ? "b" : "a");
  auto& third = cluster.at(old.name() == "c" || next.name() == "c" ? "b" : "c");
  const auto before = old.epoch(first);
  old.side().hand_over(first, next.name());
  REQUIRE(cluster.reaches([&] { return next.epoch(first) > before; }));
  const auto epoch = next.epoch(first);
  for (int number = 0; number < 20; ++number) {
    REQUIRE(small_cluster::put(next, first, key_of(number), "v"));
  }
  REQUIRE(cluster.has_set_of(3));
  for (auto* const each : {&old, &third}) {
    const auto told = each->followed(first);
    CHECK(std::count(told.begin(), told.end(), std::pair{epoch, next.name()}) == 1);
    CHECK(std::is_sorted(told.begin(), told.end()));
  }
  const auto of_itself = next.followed(first);
  CHECK(std::none_of(of_itself.begin(), of_itself.end(),
                     [&](const auto& each) { return each.second == next.name(); }));
}

TEST_CASE("all silos stop at once, and come back with everything") {
  small_cluster cluster{3};
  cluster.start_all();
  for (int number = 0; number < 20; ++number) {
    REQUIRE(small_cluster::put(cluster.primary(first), first, key_of(number), "v"));
  }
  for (const auto* name : {"a", "b", "c"}) {
    cluster.kill(name, false);
  }
  for (const auto* name : {"c", "b", "a"}) {
    cluster.start(name);
  }
  auto& primary = cluster.primary(first);
  CHECK(small_cluster::rows_of(primary, first).size() == 20);
  CHECK(small_cluster::put(primary, first, "k", "v"));
  REQUIRE(cluster.has_set_of(3));
  CHECK(primary.quarantines() == 0);
}

TEST_CASE("a snapshot that is cut short begins anew") {
  small_cluster cluster{2};
  cluster.start("a");
  REQUIRE(cluster.has_set_of(1));
  auto& a = cluster.at("a");
  const std::string value(10'000, 'x');
  for (int number = 0; number < 2000; ++number) {
    REQUIRE(small_cluster::put(a, first, key_of(number), value));
  }
  REQUIRE(cluster.reaches([&] { return a.rows().stats().checkpoint_lag_batches == 0; }));
  for (int times = 0; times < 3; ++times) {
    auto& b = cluster.start("b");
    REQUIRE(cluster.reaches([&] {
      return b.rows().stats().checkpoint_rows > 0 || cluster.record(first).in_sync.size() == 2 ||
             !small_cluster::rows_of(b, first).empty();
    }));
    cluster.kill("b");
  }
  auto& b = cluster.start("b");
  REQUIRE(cluster.has_set_of(2));
  CHECK(b.quarantines() == 0);
  CHECK(small_cluster::rows_of(b, first) == small_cluster::rows_of(a, first));
}

// Goal: no acknowledged row is lost, whatever silos do.
// Method: rows are put one after the other while one silo at a time dies, is cut off, or loses its
// disk. What is unknown may be there or not.
TEST_CASE("what is acknowledged stays, with one silo in trouble at a time") {
  small_cluster cluster{3};
  const std::array<std::string, 3> names{"a", "b", "c"};
  cluster.start_all();
  const auto* const wanted = std::getenv("MILLRACE_TROUBLES");
  const int troubles = wanted != nullptr ? std::atoi(wanted) : 4;
  rng random{7};
  std::set<std::string> acknowledged;
  int number = 0;
  const auto put_some = [&](int count) {
    for (int each = 0; each < count; ++each) {
      const auto key = key_of(++number);
      if (small_cluster::put(cluster.primary(first), first, key, "v")) {
        acknowledged.insert(key);
      }
    }
  };
  for (int trouble = 0; trouble < troubles; ++trouble) {
    put_some(20);
    const auto& name = names[random.next() % 3];
    const auto kind = random.next() % 4;
    if (kind == 0) {
      cluster.cut(name, true);
    } else {
      cluster.kill(name, kind != 1);
    }
    put_some(20);
    if (kind == 0) {
      cluster.cut(name, false);
    } else {
      if (kind == 3) {
        cluster.wipe(name);
      }
      cluster.start(name);
    }
    put_some(5);
    REQUIRE(cluster.has_set_of(3));
  }
  CHECK(acknowledged.size() > 40);
  for (const auto& name : names) {
    CHECK(cluster.reaches([&] {
      const auto rows = small_cluster::rows_of(cluster.at(name), first);
      return std::all_of(acknowledged.begin(), acknowledged.end(),
                         [&](const auto& key) { return rows.contains(key); });
    }));
  }
}

// Goal: what is said in a protocol that nobody knows is never taken for something else.
// Method: a backup, then the primary, suddenly says everything in a later version.
TEST_CASE("a silo of a later protocol is out of the sets until it speaks as the others do") {
  small_cluster cluster{3};
  cluster.start_all();
  std::map<std::string, std::string> expected;
  const auto put = [&](const std::string& key) {
    while (!small_cluster::put(cluster.primary(first), first, key, key)) {
    }
    expected[key] = key;
  };
  put("before");
  for (const std::string later : {"c", "a"}) {
    CAPTURE(later);
    cluster.speak_later_protocol(later, true);
    put("while " + later);
    CHECK(cluster.has_set_of(2));
    const auto told = cluster.at(later == "a" ? "b" : "a").unread();
    REQUIRE_FALSE(told.empty());
    CHECK(told.back().starts_with(later + ": failed_precondition: silo '" + later +
                                  "' says it in version 2 of the replica protocol"));
    cluster.speak_later_protocol(later, false);
    REQUIRE(cluster.has_set_of(3));
  }
  put("after");
  for (const auto* name : {"a", "b", "c"}) {
    CHECK(cluster.at(name).quarantines() == 0);
    CHECK(cluster.reaches(
        [&] { return small_cluster::rows_of(cluster.at(name), first) == expected; }));
  }
}

// Method: a silo that nobody has heard of before comes last; once it is told, so is all before it.
TEST_CASE("what cannot be read of a silo is told once a minute") {
  millrace::testing::hand_clock time;
  small_cluster cluster{1, &time};
  auto& a = cluster.start("a");
  std::vector<std::string> expected;
  const auto come = [&](std::initializer_list<const char*> all, const char* new_one) {
    for (const auto* from : all) {
      a.side().receive(from, "what is no frame");
    }
    a.side().receive(new_one, "what is no frame");
    expected.emplace_back(new_one);
    REQUIRE(cluster.reaches([&] {
      const auto told = a.unread();
      return !told.empty() && told.back().starts_with(new_one);
    }));
    std::vector<std::string> from;
    for (const auto& line : a.unread()) {
      CHECK(line.find(": invalid_argument: what silo ") != std::string::npos);
      from.push_back(line.substr(0, line.find(':')));
    }
    CHECK(from == expected);
  };
  come({}, "b");
  come({"b", "b"}, "c");
  time.move(std::chrono::minutes{1} - std::chrono::nanoseconds{1});
  come({"b", "c"}, "d");
  time.move(std::chrono::nanoseconds{1});
  expected.emplace_back("b");
  come({"b", "b", "d"}, "e");
}

}  // namespace
}  // namespace millrace::runtime
