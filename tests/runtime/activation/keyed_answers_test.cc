// SPDX-License-Identifier: MIT
// What an activation knows of keyed calls, against rows in a map and against programs that keep all
// answers in memory and know no mark.
#include "activation/keyed_answers.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "activation/row_layout.h"
#include "byte_order.h"

namespace millrace::runtime::detail {
namespace {

using std::chrono::hours;

const wall_time start{hours{500'000}};
constexpr duration day = hours{24};
const std::string prefix = actor_row({1, 2}, row_table::keyed);

std::string key_of(std::size_t number) {
  return std::string{"\0\3", 2} + "key " + std::to_string(number);
}

stored_answer answer_until(wall_time when) {
  return {7, when, std::string(16, 'r')};
}

// The rows of keyed calls of one actor, and the version that its other rows tell.
struct actor_rows {
  std::map<std::string, std::string> rows;
  std::uint64_t version = 1;
  std::size_t looked_at = SIZE_MAX;  // rows of a range, by a storage that finds them large

  void put(const std::string& key, std::uint64_t of_version, wall_time expires,
           std::string_view rest = "results") {
    std::string value;
    append_answer_head(value, {of_version, 7, expires});
    value += rest;
    rows[prefix + key] = value;
  }
  [[nodiscard]] std::vector<row> read(const row_range& what) const {
    std::vector<row> found;
    for (auto at = rows.lower_bound(std::max(what.prefix, what.from));
         at != rows.end() && found.size() < what.limit && at->first.starts_with(what.prefix) &&
         (what.until.empty() || at->first < what.until);
         ++at) {
      found.push_back({at->first, found.size() < looked_at
                                      ? at->second.substr(0, what.value_bytes_max)
                                      : std::string{}});
    }
    return found;
  }
  [[nodiscard]] std::vector<row> first() const {
    row_range range;
    range.prefix = prefix;
    range.limit = keyed_answers::first_rows;
    range.value_bytes_max = keyed_answers::first_bytes;
    return read(range);
  }
  [[nodiscard]] std::uint64_t highest() const {
    auto highest = version;
    for (const auto& [key, value] : rows) {
      highest = std::max(highest, value_reader{value}.u64());
    }
    return highest;
  }
  void erase(const std::vector<std::string>& keys) {
    for (const auto& each : keys) {
      rows.erase(prefix + each);
    }
  }
  [[nodiscard]] bool has_mark() const {
    return rows.contains(prefix + std::string{keyed_answers::mark_key});
  }
};

// One life of an actor under this program; its commits are durable at once.
struct life {
  explicit life(actor_rows& of, wall_time at) : own(of), now(at), version(of.version) {
    take(known.take_first(own.first(), now));
    while (!known.versions_known()) {
      read_page();
      ++pages_before_it_began;
    }
  }
  void take(const keyed_answers::findings& what) {
    version = std::max(version, what.version);
    own.erase(what.expired);
    swept += what.expired.size();
  }
  void read_page() {
    const auto page = known.begin_page(prefix);
    take(known.take_page(own.read(page), now, ++commits));
    put_mark();
    static_cast<void>(known.saved(commits));
  }
  void put_mark() {
    if (known.mark_due()) {
      own.put(std::string{keyed_answers::mark_key}, version + 1, {}, known.take_mark());
    }
  }
  void remember(const std::string& key) {
    own.put(key, ++version, now + day);
    own.version = version;
    known.remember(key, answer_until(now + day), ++commits);
    put_mark();
    static_cast<void>(known.saved(commits));
  }
  void end_pass() {
    while (known.page_due() <= now + keyed_answers::page_interval) {
      now = std::max(now, known.page_due());
      read_page();
    }
  }

  actor_rows& own;
  wall_time now;
  std::uint64_t version;
  keyed_answers known;
  std::uint64_t commits = 0;
  std::size_t swept = 0;
  std::size_t pages_before_it_began = 0;
};

TEST_CASE("a key filter has what was added, and little of what was not") {
  key_filter keys;
  std::mt19937_64 random{5};
  std::vector<std::uint64_t> added(100'000);
  for (auto& each : added) {
    each = random();
    keys.add(each);
  }
  CHECK(std::all_of(added.begin(), added.end(), [&](auto each) { return keys.may_have(each); }));
  int taken = 0;
  for (int at = 0; at < 100'000; ++at) {
    taken += keys.may_have(random()) ? 1 : 0;
  }
  CHECK(taken < 2'000);
  CHECK(keys.bytes() < 700'000);
}

TEST_CASE("a key filter does not grow for ever, and forgets nothing then") {
  key_filter keys;
  std::mt19937_64 random{6};
  for (int at = 0; at < 4'000'000; ++at) {
    keys.add(random());
  }
  CHECK(keys.bytes() < key_filter::bytes_max + (std::size_t{1} << 20U));
  std::mt19937_64 again{6};
  auto all = true;
  for (int at = 0; at < 4'000'000; ++at) {
    all = all && keys.may_have(again());
  }
  CHECK(all);
}

TEST_CASE("memory has an answer until its commit is durable; then its row has to be read") {
  keyed_answers known;
  CHECK_FALSE(known.any());
  known.remember(key_of(1), answer_until(start + day), 4);
  known.remember(key_of(2), answer_until(start + day), 5);
  static_cast<void>(known.saved(3));
  REQUIRE(known.find(key_of(1), start) != nullptr);
  CHECK(known.find(key_of(1), start)->request_hash == 7);
  CHECK(known.find(key_of(1), start + day) == nullptr);
  static_cast<void>(known.saved(4));
  CHECK(known.find(key_of(1), start) == nullptr);
  CHECK(known.may_have_row(key_of(1)));
  CHECK(known.find(key_of(2), start) != nullptr);
  CHECK_FALSE(known.may_have_row(key_of(3)));
  CHECK(known.any());
}

TEST_CASE("an answer that replaces another waits for its own commit") {
  keyed_answers known;
  known.remember(key_of(1), answer_until(start + day), 4);
  known.remember(key_of(1), answer_until(start + day), 5);
  static_cast<void>(known.saved(4));
  CHECK(known.find(key_of(1), start) != nullptr);
  static_cast<void>(known.saved(5));
  CHECK(known.find(key_of(1), start) == nullptr);
}

TEST_CASE("a day of 100,000 answers leaves a filter in memory") {
  actor_rows own;
  life one{own, start};
  for (std::size_t at = 0; at < 100'000; ++at) {
    one.remember(key_of(at));
  }
  CHECK(one.known.bytes() < 700'000);
  CHECK(own.has_mark());
  life next{own, start};
  CHECK(next.pages_before_it_began == 0);
  CHECK(next.known.bytes() == 0);
  next.end_pass();
  CHECK(next.known.bytes() < 700'000);
  std::size_t taken = 0;
  auto missed = false;
  for (std::size_t at = 0; at < 100'000; ++at) {
    missed = missed || !next.known.may_have_row(key_of(at));
    taken += next.known.may_have_row(key_of(1'000'000 + at)) ? 1U : 0U;
  }
  CHECK_FALSE(missed);
  CHECK(taken < 2'000);
}

TEST_CASE("until a pass has seen all rows any key may have one") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 2'000; ++at) {
      one.remember(key_of(at));
    }
  }
  life next{own, start};
  CHECK(next.known.may_have_row(key_of(99'999)));
  next.read_page();
  CHECK(next.known.may_have_row(key_of(99'999)));
  next.end_pass();
  int taken = 0;
  for (std::size_t at = 0; at < 1'000; ++at) {
    taken += next.known.may_have_row(key_of(99'000 + at)) ? 1 : 0;
  }
  CHECK(taken < 30);
}

// Method: the page that its row would be in is read before its commit has ended.
TEST_CASE("what was remembered before a pass and is saved behind it is known after it") {
  actor_rows own;
  for (std::size_t at = 0; at < 60; ++at) {
    own.put(key_of(at), 3, start + day);
  }
  keyed_answers known;
  static_cast<void>(known.take_first(own.first(), start));
  known.remember(key_of(5'000), answer_until(start + day), 9);
  const auto rows = own.read(known.begin_page(prefix));
  static_cast<void>(known.saved(9));
  static_cast<void>(known.take_page(rows, start, 10));
  CHECK(known.page_due() > start + hours{1});  // that was the pass
  CHECK_FALSE(known.may_have_row(key_of(6'000)));
  CHECK(known.may_have_row(key_of(5'000)));
}

TEST_CASE("a pass that begins in the middle has seen all rows when it is over") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 3'000; ++at) {
      one.remember(key_of(at));
    }
  }
  {
    life one{own, start};
    one.read_page();
    one.read_page();
  }
  life last{own, start};
  const auto rows = own.read(last.known.begin_page(prefix));
  CHECK(rows.front().key > prefix + key_of(1));
  last.take(last.known.take_page(rows, start, 10));
  last.end_pass();
  auto missed = false;
  for (std::size_t at = 0; at < 3'000; ++at) {
    missed = missed || !last.known.may_have_row(key_of(at));
  }
  CHECK_FALSE(missed);
}

TEST_CASE("there is no mark before all versions are known") {
  actor_rows own;
  for (std::size_t at = 0; at < 1'000; ++at) {
    own.put(key_of(at), 3, start + day);
  }
  keyed_answers known;
  static_cast<void>(known.take_first(own.first(), start));
  CHECK_FALSE(known.versions_known());
  CHECK_FALSE(known.mark_due());
  while (!known.versions_known()) {
    const auto page = known.begin_page(prefix);
    static_cast<void>(known.take_page(own.read(page), start, 1));
  }
  CHECK(known.mark_due());
  CHECK(known.take_mark().empty());
  CHECK_FALSE(known.mark_due());
}

TEST_CASE("of few rows those that have expired go when the actor is loaded") {
  actor_rows own;
  for (std::size_t at = 0; at < 60; ++at) {
    own.put(key_of(at), 3, at < 50 ? start : start + day);
  }
  life one{own, start};
  CHECK(one.swept == 50);
  CHECK(one.known.any());
  CHECK(one.known.may_have_row(key_of(55)));
  CHECK_FALSE(one.known.may_have_row(key_of(5)));
  life last{own, start + day};
  CHECK(last.swept == 10);
  CHECK_FALSE(last.known.any());
  CHECK(own.rows.empty());
}

// Method: a life reads one page; the rows are some pages and all but the last have not expired.
TEST_CASE("lives that are short see all rows in the end") {
  actor_rows own;
  {
    life one{own, start - day};
    for (std::size_t at = 0; at < 3'000; ++at) {
      one.remember(key_of(at));
    }
  }
  std::string middle;
  std::size_t at = 0;
  for (auto& [key, value] : own.rows) {
    if (++at == 1'500) {
      middle = key;
    }
  }
  for (auto& [key, value] : own.rows) {
    if (key < middle && key.substr(prefix.size()) != keyed_answers::mark_key) {
      own.put(key.substr(prefix.size()), 4, start + day);
    }
  }
  std::size_t swept = 0;
  for (int lives = 0; lives < 8; ++lives) {
    life one{own, start};
    one.read_page();
    swept += one.swept;
  }
  CHECK(swept == 3'000 - 1'498);
}

TEST_CASE("an answer that is given while a page is read is not swept for the one before it") {
  actor_rows own;
  own.put(key_of(1), 2, start + day);
  keyed_answers known;
  static_cast<void>(known.take_first(own.first(), start));
  const auto page = known.begin_page(prefix);
  const auto rows = own.read(page);
  known.remember(key_of(1), answer_until(start + 3 * day), 6);
  static_cast<void>(known.saved(6));
  CHECK(known.take_page(rows, start + 2 * day, 7).expired.empty());
  CHECK(known.may_have_row(key_of(1)));
  CHECK(known.find(key_of(1), start + 2 * day) == nullptr);  // it is durable
}

TEST_CASE("a pass begins when rows have expired, and not for those that are left before an hour") {
  actor_rows own;
  life one{own, start};
  one.remember(key_of(1));
  CHECK(one.known.page_due() == start + day);
  one.now = start + hours{1};
  one.remember(key_of(2));
  one.now = start + day;
  one.end_pass();
  CHECK(one.swept == 1);
  CHECK(one.known.page_due() >= start + day + hours{1});
  CHECK(one.known.page_due() <= start + day + hours{2});
  one.now = start + day + hours{2};
  one.end_pass();
  CHECK(one.swept == 2);
  CHECK_FALSE(one.known.any());
  CHECK(one.known.page_due() == wall_time::max());
}

TEST_CASE("while much is remembered pages follow each other at once") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 5'000; ++at) {
      one.remember(key_of(at));
    }
  }
  life next{own, start};
  next.read_page();
  CHECK(next.known.page_due() > next.now);
  for (std::size_t at = 0; at < keyed_answers::page_rows / 2; ++at) {
    next.remember(key_of(10'000 + at));
  }
  CHECK(next.known.page_due() <= next.now);
}

TEST_CASE("a page that cannot be read is asked for again after a while") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 2'000; ++at) {
      one.remember(key_of(at));
    }
  }
  life next{own, start};
  static_cast<void>(next.known.begin_page(prefix));
  CHECK(next.known.page_due() == wall_time::max());
  next.known.page_failed(start);
  CHECK(next.known.page_due() == start + keyed_answers::pass_interval);
  next.now = next.known.page_due();
  next.end_pass();
  CHECK_FALSE(next.known.may_have_row(key_of(9'999)));
}

// Goal: nothing is taken for certain of an actor that has been read in part.
TEST_CASE("until all versions are known there may be any row, though none that was read is left") {
  actor_rows own;
  for (std::size_t at = 0; at < 100; ++at) {
    own.put(key_of(at), 3, at < 80 ? start : start + day);
  }
  keyed_answers known;
  CHECK(known.take_first(own.first(), start).expired.size() > 40);
  REQUIRE_FALSE(known.versions_known());
  CHECK(known.any());
  CHECK(known.may_have_row(key_of(1'000)));
}

TEST_CASE("no page is asked for before what the last one has found to be erased is durable") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 2'000; ++at) {
      one.remember(key_of(at));
    }
  }
  keyed_answers known;
  static_cast<void>(known.take_first(own.first(), start + day));
  const auto page = known.begin_page(prefix);
  CHECK(known.take_page(own.read(page), start + day, 4).expired.size() > 500);
  CHECK(known.page_due() == wall_time::max());
  CHECK_FALSE(known.saved(3));
  CHECK(known.page_due() == wall_time::max());
  CHECK(known.saved(4));
  CHECK(known.page_due() == start + day + keyed_answers::page_interval);
  CHECK_FALSE(known.saved(5));
}

TEST_CASE("a damaged row hides no other, and its key may have an answer") {
  actor_rows own;
  {
    life one{own, start};
    for (std::size_t at = 0; at < 200; ++at) {
      one.remember(key_of(at));
    }
  }
  for (const std::size_t at : {0U, 7U, 8U, 199U}) {
    own.rows[prefix + key_of(at)].clear();
  }
  life next{own, start};
  CHECK(next.pages_before_it_began == 0);
  next.end_pass();
  CHECK_FALSE(next.known.may_have_row(key_of(99'999)));
  auto missed = false;
  for (std::size_t at = 0; at < 200; ++at) {
    missed = missed || !next.known.may_have_row(key_of(at));
  }
  CHECK_FALSE(missed);
}

TEST_CASE("a damaged row is one that comes empty although a page begins with its key") {
  actor_rows own;
  for (std::size_t at = 0; at < 3; ++at) {
    own.put(key_of(at), 3, start + day);
  }
  own.rows[prefix + key_of(1)].clear();
  keyed_answers known;
  CHECK_FALSE(known.take_first(own.first(), start).damaged);
  CHECK_FALSE(known.versions_known());
  const auto page = known.begin_page(prefix);
  CHECK(page.from == prefix + key_of(1));
  CHECK(known.take_page(own.read(page), start, 1).damaged);
}

TEST_CASE("rows that are large are read in shorter pages, and all of them") {
  for (const std::size_t count : {40U, 600U}) {
    CAPTURE(count);
    actor_rows own;
    own.looked_at = 10;
    for (std::size_t at = 0; at < count; ++at) {
      own.put(key_of(at), 3 + at, at % 2 == 0 ? start : start + day);
    }
    const auto highest = own.highest();
    life one{own, start};
    CHECK(one.pages_before_it_began >= count / 10 - 1);
    CHECK(one.version == highest);
    CHECK(one.swept == count / 2);
    CHECK(one.known.may_have_row(key_of(1)));
    CHECK_FALSE(one.known.may_have_row(key_of(2)));
    CHECK(own.has_mark() == (count > keyed_answers::first_rows));
    own.looked_at = 3;
    life next{own, start};
    CHECK(next.version == own.highest());
    next.end_pass();
    CHECK(next.known.may_have_row(key_of(count - 1)));
    CHECK_FALSE(next.known.may_have_row(key_of(2)));
  }
}

// A later program may compress answers as this one does records.
TEST_CASE("the head of a row in another way than this program's is not taken for a version") {
  constexpr auto flag = std::uint64_t{1} << 63U;
  actor_rows own;
  own.put(key_of(1), 3 | flag, start + day);
  keyed_answers known;
  const auto found = known.take_first(own.first(), start);
  CHECK(found.damaged);
  CHECK(found.version == 0);
  CHECK_FALSE(read_answer_head(own.rows.begin()->second));
  own.put(key_of(1), 3, start + day);
  const auto head = read_answer_head(own.rows.begin()->second);
  REQUIRE(head);
  CHECK(head->version == 3);
  CHECK(head->request_hash == 7);
  CHECK(head->expires == start + day);
}

// What the program before this one does with an actor: it loads all, sweeps when it remembers one
// more than 64 and then than twice what was left, and tells a version by its answers alone.
void live_as_before(actor_rows& own, std::mt19937& random, wall_time now, std::size_t calls) {
  auto version = own.highest();
  std::size_t sweep_at = 64;
  for (; calls > 0; --calls) {
    if (own.rows.size() >= sweep_at) {
      std::erase_if(own.rows, [now](const auto& each) {
        value_reader from{each.second};
        static_cast<void>(from.u64());
        static_cast<void>(from.u64());
        return wall_time{duration{from.i64()}} <= now;
      });
      sweep_at = 2 * own.rows.size() + 64;
    }
    own.put(key_of(random() % 400), ++version, now + day);
    if (random() % 3 == 0) {
      own.version = version;
    }
  }
}

// Goal: however builds alternate, an actor never takes a version for its highest that is not, and
// never takes a key for new that has a row.
// Method: lives of random programs and lengths. What a life of this program knows when it begins is
// held against all rows.
TEST_CASE("programs that know no mark may alternate with this one") {
  std::size_t had_to_read_all = 0;
  std::size_t believed_the_mark = 0;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    std::mt19937 random{seed};
    actor_rows own;
    auto now = start;
    for (int lives = 0; lives < 20; ++lives) {
      now += hours{random() % 4 == 0 ? random() % 30 : 0};
      const auto calls = random() % 3 == 0 ? random() % 150 : random() % 8;
      if (random() % 2 == 0) {
        live_as_before(own, random, now, calls);
        continue;
      }
      const auto highest = own.highest();
      const auto many = own.rows.size() >= keyed_answers::first_rows;
      life one{own, now};
      REQUIRE_MESSAGE(one.version >= highest, "seed " << seed);
      had_to_read_all += one.pages_before_it_began > 0 ? 1U : 0U;
      believed_the_mark += many && one.pages_before_it_began == 0 ? 1U : 0U;
      for (auto left = calls; left > 0; --left) {
        one.remember(key_of(random() % 400));
        if (random() % 50 == 0) {
          one.read_page();
        }
      }
      for (const auto& [key, value] : own.rows) {
        const auto rest = key.substr(prefix.size());
        REQUIRE_MESSAGE((rest == keyed_answers::mark_key || one.known.may_have_row(rest)),
                        "seed " << seed);
      }
    }
  }
  CHECK(had_to_read_all > 100);
  CHECK(believed_the_mark > 100);
}

}  // namespace
}  // namespace millrace::runtime::detail
