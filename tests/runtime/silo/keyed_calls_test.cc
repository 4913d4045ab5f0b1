// SPDX-License-Identifier: MIT
// Keyed calls whose answers lie in rows: who waits for whom while a row is read, and what becomes
// of rows that earlier programs have left.
#include <deque>
#include <fstream>

#include "activation/keyed_answers.h"
#include "activation/row_layout.h"
#include "byte_order.h"
#include "fixture.h"
#include "folders.h"
#include "manual_silo.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

// More than are known when an actor is loaded, so that rows have to be read.
constexpr int many = 70;

// A silo of one counter, "a", whose storage works when it is told.
class slow_rows {
public:
  slow_rows() {
    for (int at = 0; at < many; ++at) {
      ask("old " + std::to_string(at), 1);
    }
    ask("k", 5);
    silo_.run_all();
    REQUIRE(totals() == many + 5);
    answers_.clear();
    end();
  }

  slow_rows(const slow_rows&) = delete;
  slow_rows& operator=(const slow_rows&) = delete;
  ~slow_rows() { silo_.disk->hurry(); }

  /// The next life of the silo, in which the counter is there, and the first page of rows is asked
  /// for.
  void begin() {
    silo_.start(manual_silo::storage_works::when_told);
    silo_.here->call_then<counter_interface::get_results>(ref<Counter>("a").get(),
                                                          [](const auto&) {});
    silo_.run_all();
    storage_works(1);
  }
  void end() {
    silo_.disk->hurry();
    silo_.here->stop();
  }
  /// Lets storage do so much.
  void storage_works(int times) {
    for (; times > 0; --times) {
      REQUIRE(silo_.disk->do_one());
      silo_.run_all();
    }
  }
  void everything() {
    while (silo_.disk->do_one()) {
      silo_.run_all();
    }
  }
  /// Asks for `add`; or for `slow_add`, which others may run beside, and which waits for `raise`.
  void ask(const std::string& key, std::int64_t amount) { ask(to_.add(amount).keyed(key)); }
  void ask_slow(const std::string& key, std::int64_t amount) {
    ask_slow(to_.slow_add(amount).keyed(key));
  }
  void ask_slow(call<void> what) {
    answers_.emplace_back();
    auto& told = answers_.back();
    silo_.here->call_then<void>(std::move(what), [&told](const auto& answer) {
      told = answer ? "done" : answer.error().to_string();
    });
  }
  template <class T>
  void ask(call<T> what) {
    answers_.emplace_back();
    auto& told = answers_.back();
    silo_.here->call_then<T>(std::move(what), [&told](const result<T>& answer) {
      told = answer ? std::to_string(answer->total()) : answer.error().to_string();
    });
  }
  template <class T>
  void tell(call<T> what) {
    silo_.here->tell(std::move(what));
  }
  void run() { silo_.run_all(); }
  /// What the call that was asked for so much later than the first of this life was told; empty:
  /// nothing yet.
  [[nodiscard]] std::string answer(std::size_t at) const { return answers_.at(at); }
  [[nodiscard]] std::int64_t totals() { return silo_.total("a"); }
  [[nodiscard]] manual_silo& silo() { return silo_; }
  [[nodiscard]] actor_ref<Counter> to() const { return to_; }

private:
  actor_ref<Counter> to_ = ref<Counter>("a");
  std::deque<std::string> answers_;
  manual_silo silo_;
};

std::string was_used(const std::string& key) {
  return "conflict: idempotency key '" + key + "' was used with other parameters; use a new key";
}

TEST_CASE("a key that is not in memory is looked for in its row") {
  slow_rows rows;
  rows.begin();
  rows.ask("k", 5);
  rows.ask("k", 6);
  rows.ask("new", 7);
  rows.run();
  CHECK(rows.answer(0).empty());
  rows.everything();
  CHECK(rows.answer(0) == "75");
  CHECK(rows.answer(1) == was_used("k"));
  CHECK(rows.answer(2) == "82");
  CHECK(rows.totals() == 82);
}

TEST_CASE("one that looks for its row keeps its place, and those that run beside it theirs") {
  slow_rows rows;
  rows.begin();
  rows.ask("new", 7);
  rows.ask(rows.to().add(1));
  rows.ask_slow("slow", 1'000);
  rows.ask(rows.to().get());
  rows.run();
  CHECK(rows.answer(1).empty());  // behind the first
  rows.everything();
  CHECK(rows.answer(0) == "82");
  CHECK(rows.answer(1) == "83");
  CHECK(rows.answer(3) == "83");
}

TEST_CASE("a call that may run beside others holds up nobody while its row is read") {
  slow_rows rows;
  rows.begin();
  rows.ask_slow("slow", 1'000);
  rows.ask(rows.to().get());
  rows.run();
  CHECK(rows.answer(0).empty());
  CHECK(rows.answer(1) == "75");
  rows.everything();
  rows.tell(rows.to().raise());
  rows.run();
  rows.everything();
  CHECK(rows.answer(0) == "done");
  CHECK(rows.totals() == 1'075);
}

// Goal: two of one key that come while its row is read are one.
TEST_CASE("who comes with the key of a call that looks for its row waits for it") {
  slow_rows rows;
  rows.begin();
  rows.ask_slow("slow", 1'000);
  rows.ask_slow("slow", 1'000);
  rows.ask_slow("slow", 2'000);
  rows.run();
  rows.storage_works(1);  // the page
  CHECK(rows.answer(2).empty());
  rows.storage_works(1);  // the row, which is not there
  CHECK(rows.answer(2) == was_used("slow"));
  rows.ask_slow("slow", 1'000);
  rows.ask_slow("slow", 3'000);
  rows.tell(rows.to().raise());
  rows.run();
  CHECK(rows.answer(4) == was_used("slow"));
  rows.everything();
  for (const auto at : {0U, 1U, 3U}) {
    CHECK(rows.answer(at) == "done");
  }
  CHECK(rows.totals() == 1'075);
}

TEST_CASE("each who has waited for a row is held to its own request") {
  slow_rows rows;
  rows.begin();
  rows.ask_slow("slow", 1'000);
  rows.run();
  rows.everything();
  rows.tell(rows.to().raise());
  rows.run();
  rows.everything();
  rows.end();
  rows.begin();
  rows.ask_slow("slow", 2'000);
  rows.ask_slow("slow", 1'000);
  rows.ask_slow("slow", 2'000);
  rows.run();
  rows.everything();
  CHECK(rows.answer(1) == was_used("slow"));
  CHECK(rows.answer(2) == "done");
  CHECK(rows.answer(3) == was_used("slow"));
  CHECK(rows.totals() == 1'075);
}

TEST_CASE("who is given up while its row is read does nothing") {
  slow_rows rows;
  rows.begin();
  rows.ask(rows.to().add(1'000).keyed("late").timeout(1s));
  auto cancelled = rows.silo().here->start_call(
      std::move(rows.to().add(2'000).keyed("cancelled").spec()), [](auto) {});
  rows.run();
  rows.silo().time.move(2s);
  rows.silo().here->time_changed();
  cancelled.cancel();
  rows.run();
  rows.everything();
  CHECK(rows.answer(0).starts_with("deadline_exceeded"));
  CHECK(rows.totals() == 75);
}

TEST_CASE("a key whose first caller gives up while its row is read is good for the next") {
  slow_rows rows;
  rows.begin();
  rows.ask_slow(rows.to().slow_add(1'000).keyed("late").timeout(1s));
  rows.ask_slow("late", 7);
  rows.ask_slow("late", 8);
  rows.ask_slow("late", 7);
  rows.run();
  rows.silo().time.move(2s);
  rows.silo().here->time_changed();
  rows.run();
  rows.everything();
  CHECK(rows.answer(0).starts_with("deadline_exceeded"));
  CHECK(rows.answer(2) == was_used("late"));
  rows.tell(rows.to().raise());
  rows.run();
  rows.everything();
  CHECK(rows.answer(1) == "done");
  CHECK(rows.answer(3) == "done");
  CHECK(rows.totals() == 82);
}

TEST_CASE("who looks for a row when the activation ends begins on the next before who came later") {
  slow_rows rows;
  rows.begin();
  rows.silo().rows->hold_commits();
  rows.ask(rows.to().add(1'000));
  rows.run();
  rows.ask("new", 7);
  rows.ask("newer", 8);
  rows.ask(rows.to().add(1));
  rows.run();
  rows.silo().rows->fail_held({errc::storage_failed, "planned"});
  rows.run();
  rows.everything();
  CHECK(rows.answer(0) == "storage_failed: planned");
  CHECK(rows.answer(1) == "82");
  CHECK(rows.answer(2) == "90");
  CHECK(rows.answer(3) == "91");
}

TEST_CASE("a row that cannot be read is an error to who needs it, and to nobody else") {
  slow_rows rows;
  rows.begin();
  rows.silo().rows->fail_reads({errc::storage_failed, "planned"});
  rows.ask("k", 5);
  rows.ask(rows.to().add(1));
  rows.run();
  rows.everything();
  CHECK(rows.answer(0) == "storage_failed: planned");
  CHECK(rows.answer(1) == "76");
  rows.ask("k", 5);
  rows.run();
  rows.everything();
  CHECK(rows.answer(2) == "75");
}

TEST_CASE("who looks for a row when the activation ends goes to the next") {
  slow_rows rows;
  rows.begin();
  rows.ask_slow("slow", 1'000);
  rows.ask_slow("slow", 1'000);
  rows.run();
  rows.tell(rows.to().throw_it());
  rows.run();
  REQUIRE_FALSE(rows.silo().warnings.empty());
  CHECK(rows.silo().warnings.front().starts_with("activation ended "));
  rows.everything();
  rows.tell(rows.to().raise());
  rows.run();
  rows.everything();
  CHECK(rows.answer(0) == "done");
  CHECK(rows.answer(1) == "done");
  CHECK(rows.totals() == 1'075);
}

TEST_CASE("when all rows have been seen a new key is known without a read") {
  slow_rows rows;
  rows.begin();
  rows.storage_works(1);  // the page, which is all
  rows.silo().rows->fail_reads({errc::storage_failed, "planned"}, 1'000);
  rows.ask("new", 7);
  rows.run();
  rows.everything();
  CHECK(rows.answer(0) == "82");
  rows.ask("k", 5);
  rows.run();
  CHECK(rows.answer(1) == "storage_failed: planned");
}

// --- rows of earlier programs --------------------------------------------------------------------

constexpr auto only = partition_id{0};

class write_done final : public commit_request {
public:
  void done(result<void> outcome) override {
    CHECK(outcome);
    delete this;
  }
};

// As a program writes them that keeps all answers in memory: nothing else tells their version.
void write_answers(test_silo& silo, const actor_hash& of, int count, std::uint64_t version,
                   wall_time expires, const std::string& results) {
  auto request = std::make_unique<write_done>();
  request->partition = only;
  for (int at = 0; at < count; ++at) {
    std::string value;
    runtime::detail::append_answer_head(value, {version, 1, expires});
    value += results;
    request->ops.put(
        runtime::detail::actor_row(of, runtime::detail::row_table::keyed,
                                   std::string{"\0\0", 2} + "theirs " + std::to_string(at)),
        value);
  }
  silo.rows().commit(std::move(request));
  silo.settle();
}

// The root of a counter that was erased.
void write_erased(test_silo& silo, const std::string& key) {
  auto request = std::make_unique<write_done>();
  request->partition = only;
  std::string value;
  append_little(value, std::uint64_t{1});
  runtime::detail::append_id(value, "counter", key);
  value += runtime::detail::erased_mark;
  request->ops.put(
      runtime::detail::actor_row(hash_of("counter", key), runtime::detail::row_table::root), value);
  silo.rows().commit(std::move(request));
  silo.settle();
}

std::size_t rows_of_actors(test_silo& silo) {
  std::size_t count = 0;
  REQUIRE(silo.rows().scan(only, {}, {}, SIZE_MAX, [&](const row& one) {
    count += one.key.starts_with(runtime::detail::version_floor_row) ? 0U : 1U;
    return true;
  }));
  return count;
}

// The next version of a counter's state.
std::uint64_t next_version(counter_silo& silo) {
  for (std::uint64_t version = 0; version < 5'000; ++version) {
    if (const auto added = silo.call(ref<Counter>("a").add_if(1, version))) {
      return added->version();
    }
  }
  return 0;
}

TEST_CASE("no version is used again that only an answer of an earlier program has") {
  for (const int count : {3, 500, 2'000}) {
    CAPTURE(count);
    counter_silo silo{make_memory_storage(1)};
    REQUIRE(silo.call(ref<Counter>("a").add(1)));
    silo.stop();
    silo.start();
    write_answers(silo, hash_of("counter", "a"), count, 900, silo.clock().wall() + 1h, {});
    CHECK(next_version(silo) == 901);
    CHECK(silo.call(ref<Counter>("a").add(1).keyed("theirs 2")).error().code() == errc::conflict);
    silo.restart();
    CHECK(next_version(silo) == 902);
  }
}

TEST_CASE("an erased actor with the answers of an earlier program is loaded, and remembers them") {
  for (const int count : {3, 100, 2'000}) {
    CAPTURE(count);
    counter_silo silo{make_memory_storage(1)};
    write_erased(silo, "a");
    write_answers(silo, hash_of("counter", "a"), count, 900, silo.clock().wall() + 1h, {});
    for (int life = 0; life < 2; ++life) {
      CHECK(silo.total("a") == 0);
      CHECK(silo.call(ref<Counter>("a").add(1).keyed("theirs 2")).error().code() == errc::conflict);
      silo.restart();
    }
    CHECK(next_version(silo) > 900);
  }
}

// Method: of one of the numbers the last page that is read is empty.
TEST_CASE("an erased actor is forgotten by the pass that finds no answer left") {
  using runtime::detail::keyed_answers;
  constexpr int full = keyed_answers::first_rows + keyed_answers::page_rows;
  for (const int count : {3, 100, full, 2'000}) {
    CAPTURE(count);
    counter_silo silo{make_memory_storage(1)};
    write_erased(silo, "a");
    write_answers(silo, hash_of("counter", "a"), count, 900, silo.clock().wall() - 1h, {});
    CHECK(silo.total("a") == 0);
    CHECK(rows_of_actors(silo) == 0);
  }
}

// Goal: no commit erases more than a page has, however long the one before it takes.
TEST_CASE("pages wait for the commit of what the last one has found to be erased") {
  counter_silo silo{make_memory_storage(1)};
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  silo.restart();
  SUBCASE("while the actor is loaded") {
    write_answers(silo, hash_of("counter", "a"), 2'000, 900, silo.clock().wall() - 1h, {});
    silo.rows().hold_commits();
    auto asked = silo.begin(ref<Counter>("a").get());
    CHECK_FALSE(asked.answered());
  }
  SUBCASE("while it is active") {
    for (int at = 0; at < 2'000; ++at) {
      REQUIRE(silo.call(ref<Counter>("a").add(1).keyed(std::to_string(at))));
    }
    silo.stop();
    silo.clock().move(25h);
    silo.start();
    silo.rows().hold_commits();
    auto asked = silo.begin(ref<Counter>("a").get());
    silo.advance(1s);
  }
  const auto before = silo.rows().commits();
  silo.rows().release_commits();
  silo.settle();
  silo.advance(1s);
  CHECK(silo.rows().commits() >= before + 3);
  CHECK(rows_of_actors(silo) < 5);
}

TEST_CASE("an answer that cannot be read and may have the highest version keeps the actor away") {
  counter_silo silo{make_memory_storage(1)};
  REQUIRE(silo.call(ref<Counter>("a").add(1)));
  silo.restart();
  auto request = std::make_unique<write_done>();
  request->partition = only;
  request->ops.put(
      runtime::detail::actor_row(hash_of("counter", "a"), runtime::detail::row_table::keyed, "12x"),
      "short");
  silo.rows().commit(std::move(request));
  silo.settle();
  const auto refused = silo.call(ref<Counter>("a").get());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::storage_failed);
  CHECK(refused.error().text().find("a stored answer of counter/a cannot be read") == 0);
}

// Goal: all are found, although storage looks at few of them at a time.
TEST_CASE("answers that are large are found, and erased when they have expired") {
  const temporary_folder data;
  const auto open_rows = [&data] {
    auto rows = open_storage({.directory = data.path,
                              .partition_count = 1,
                              .map_bytes = std::size_t{256} << 20U,
                              .checkpoint_interval_ms = 1});
    REQUIRE(rows);
    return *std::move(rows);
  };
  const auto note_of = [](counter_silo& silo, int at) {
    return silo.call(ref<Counter>("a").get_note().keyed("order/" + std::to_string(at)));
  };
  const std::string note(100'000, 'n');
  for (const int count : {30, 100}) {
    CAPTURE(count);
    {
      counter_silo silo{open_rows()};
      REQUIRE(silo.call(ref<Counter>("a").set_note(note)));
      for (int at = 0; at < count; ++at) {
        REQUIRE(note_of(silo, at));
      }
      REQUIRE(silo.call(ref<Counter>("a").set_note("another")));
      const auto written = silo.rows().stats().checkpoint_transactions;
      while (silo.rows().stats().checkpoint_transactions < written + 3) {
        REQUIRE(silo.call(ref<Counter>("b").add(1)));
      }
    }
    counter_silo silo{open_rows()};
    for (int at = 0; at < count; ++at) {
      REQUIRE(note_of(silo, at)->note().size() == note.size());
    }
    silo.advance(5s);  // the pass is over
    CHECK(note_of(silo, count - 1)->note().size() == note.size());
    CHECK(note_of(silo, 10'000)->note() == "another");
    silo.advance(25h);
    REQUIRE(silo.call(ref<Counter>("a").get()));
    silo.advance(1min);
    CHECK(rows_of_actors(silo) < 10);
  }
}

// Method: the damaged answer is the only place in the files that has a certain text.
TEST_CASE("an answer is found beside one that is damaged on the disk") {
  const temporary_folder data;
  const std::string needle = "a needle that is nowhere else in the file of an environment, 7391";
  const auto open_rows = [&data] {
    auto rows = open_storage({.directory = data.path,
                              .partition_count = 1,
                              .map_bytes = std::size_t{64} << 20U,
                              .checkpoint_interval_ms = 1});
    REQUIRE(rows);
    return *std::move(rows);
  };
  const auto note = [](counter_silo& silo, const std::string& key) {
    return silo.call(ref<Counter>("a").get_note().keyed(key));
  };
  {
    counter_silo silo{open_rows()};
    for (int at = 0; at < many; ++at) {
      REQUIRE(silo.call(ref<Counter>("a").add(1).keyed("order/" + std::to_string(at))));
    }
    for (const auto& [text, key] : {std::pair{std::string{"one"}, "b/1"}, {needle, "b/10"}}) {
      REQUIRE(silo.call(ref<Counter>("a").set_note(text)));
      REQUIRE(note(silo, key));
    }
    const auto written = silo.rows().stats().checkpoint_transactions;
    while (silo.rows().stats().checkpoint_transactions < written + 3) {
      REQUIRE(silo.call(ref<Counter>("a").set_note("another")));
    }
  }
  const auto file = data.path / "checkpoint/data.mdb";
  std::string bytes;
  {
    std::ifstream in{file, std::ios::binary};
    bytes.assign(std::istreambuf_iterator<char>{in}, {});
  }
  REQUIRE(bytes.find(needle) != std::string::npos);
  for (auto at = bytes.find(needle); at != std::string::npos; at = bytes.find(needle, at)) {
    bytes[at] = 'A';
  }
  std::ofstream{file, std::ios::binary} << bytes;
  counter_silo silo{open_rows()};
  for (int round = 0; round < 2; ++round) {
    CHECK(note(silo, "b/1")->note() == "one");
    CHECK(note(silo, "b/10").error().code() == errc::storage_failed);
    CHECK(silo.call(ref<Counter>("a").add(1).keyed("order/7"))->total() == 8);
    CHECK(note(silo, "new")->note() == "another");
    silo.advance(5s);  // the pass is over
  }
}

}  // namespace
}  // namespace millrace::testing
