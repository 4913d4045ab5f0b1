// SPDX-License-Identifier: MIT
#include "cluster/cluster_book.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "candidates.h"
#include "cluster/placement.h"

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t count = 16;
constexpr std::uint16_t plenty = 256;
constexpr steady_time start{1h};

silo_row row(const std::string& name, std::uint64_t incarnation = 1,
             silo_state state = silo_state::active) {
  silo_row made;
  made.name = name;
  made.incarnation = incarnation;
  made.address = "127.0.0.1:1";
  made.roles.state = true;
  made.state = state;
  made.types = {"counter"};
  return made;
}

silo_row decommissioned(const std::string& name, std::uint64_t incarnation = 1) {
  auto made = row(name, incarnation, silo_state::draining);
  made.is_decommissioned = true;
  return made;
}

// Led by the first of `silos`, which are all in the set.
stored_partition record(std::uint16_t partition, std::uint64_t version, std::uint64_t epoch,
                        const std::vector<std::string>& silos,
                        partition_state state = partition_state::active) {
  stored_partition made;
  made.partition = partition_id{partition};
  made.version = version;
  made.epoch = epoch;
  made.state = state;
  for (const auto& each : silos) {
    made.in_sync.push_back({{1, hash_of(each, "copy").low}, each});
  }
  made.primary = made.in_sync.front().id;
  made.nonce = std::uint64_t{1} << life_shift;  // by the first life of its silo
  return made;
}

cluster_book book_of(const std::string& silo, bool has_state = true) {
  return cluster_book{{silo, 1, count, 2, has_state, 5s}};
}

struct reader {
  explicit reader(cluster_book& of) : book(of) {}
  cluster_effects operator()(const std::vector<silo_row>& rows,
                             const std::vector<stored_partition>& records = {},
                             steady_time now = start) {
    cluster_effects effects;
    book.read({++revision, rows, records}, now, effects);
    return effects;
  }
  cluster_book& book;
  std::uint64_t revision = 0;
};

// A partition for which silos are ranked so.
std::uint16_t ranked_as(const std::vector<std::string>& silos, std::uint16_t of = count) {
  for (std::uint16_t index = 0; index < of; ++index) {
    if (ranked_for(partition_id{index}, testing::plain(silos)) == silos) {
      return index;
    }
  }
  FAIL("no partition is ranked so");
  return 0;
}

// Whether a copy should be here from now on, if that has changed.
std::optional<bool> placed_here(const cluster_effects& effects, std::uint16_t partition) {
  const auto& all = effects.placed_copies;
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) {
    return each.partition == partition_id{partition};
  });
  return found == all.end() ? std::optional<bool>{} : std::optional{found->here};
}

std::string primary(const cluster_book& book, std::uint16_t partition) {
  const auto map = book.map();
  for (int key = 0;; ++key) {
    const auto name = std::to_string(key);
    if (partition_of("counter", name, "", count) == partition_id{partition}) {
      const interface_info interface {
        "counter", "counter", "", 0, actor_placement::partition, 0, "", {}
      };
      const auto host = map->host_of("?", interface, name);
      return host ? std::string{*host} : "";
    }
  }
}

TEST_CASE("silos that come and go are told once, with their lives") {
  auto book = book_of("a");
  reader read{book};
  auto told = read({row("a"), row("b")});
  REQUIRE(told.arrived.size() == 2);
  CHECK(told.map_changed);
  CHECK_FALSE(told.expelled);
  told = read({row("a"), row("b")});
  CHECK(told.arrived.empty());
  CHECK_FALSE(told.map_changed);

  told = read({row("a"), row("b", 7)});  // it was restarted
  REQUIRE(told.arrived.size() == 1);
  CHECK(told.arrived.front().incarnation == 7);
  REQUIRE(told.gone.size() == 1);
  CHECK(told.gone.front().incarnation == 1);

  told = read({row("a")});
  REQUIRE(told.gone.size() == 1);
  CHECK(told.gone.front().incarnation == 7);
  CHECK(told.log == std::vector<std::string>{"silo is gone silo=b incarnation=7 why=its session "
                                             "has ended"});
  CHECK(book.find("b") == nullptr);
}

TEST_CASE("a silo whose row is gone, or another life's, is out") {
  auto book = book_of("a");
  reader read{book};
  CHECK(read({row("b")}).expelled);
  CHECK_FALSE(read({row("a")}).expelled);
  CHECK(read({row("a", 2)}).expelled);
}

TEST_CASE("the most preferred silo founds a partition, until there is a record") {
  const auto of_a = ranked_as({"a", "b"});
  const auto of_b = ranked_as({"b", "a"});
  auto book = book_of("a");
  reader read{book};
  auto told = read({row("a"), row("b")});
  const auto founds = [&](std::uint16_t partition) {
    return std::count(told.founded.begin(), told.founded.end(), partition_id{partition}) == 1;
  };
  CHECK(founds(of_a));
  CHECK_FALSE(founds(of_b));
  told = read({row("a"), row("b")}, {}, start + 1s);
  CHECK_FALSE(founds(of_a));  // it has been asked for
  told = read({row("a")}, {record(of_a, 1, 1, {"a"})}, start + 3s);
  CHECK_FALSE(founds(of_a));
  CHECK(founds(of_b));  // nobody else is left

  auto gateway = book_of("a", false);
  reader read_gateway{gateway};
  CHECK(read_gateway({row("a"), row("b")}).founded.empty());
}

TEST_CASE("a cluster that begins with what one silo has is begun by that one alone") {
  const auto founded_by = [](founding begins) {
    cluster_book book{{"a", 1, count, 2, true, 5s, 5min, begins}};
    reader read{book};
    return read({row("a"), row("b")}).founded.size();
  };
  CHECK(founded_by(founding::all) == count);
  CHECK(founded_by(founding::none) == 0);
}

TEST_CASE("copies are where the ranking says, and where the record says") {
  const auto of_bc = ranked_as({"b", "c", "a"});
  auto book = book_of("a");
  reader read{book};
  const auto placed = [&](const cluster_effects& told) {
    std::vector<bool> found;
    for (const auto& each : told.placed_copies) {
      if (each.partition == partition_id{of_bc}) {
        found.push_back(each.here);
      }
    }
    return found;
  };
  const std::vector<silo_row> all{row("a"), row("b"), row("c")};
  CHECK(placed(read(all)).empty());
  CHECK(placed(read(all, {record(of_bc, 1, 1, {"b", "a"})})) == std::vector{true});
  CHECK(placed(read(all, {record(of_bc, 2, 1, {"b", "c"})})) == std::vector{false});
  CHECK(placed(read({row("a"), row("b"), row("c", 1, silo_state::draining)})).empty());
  CHECK(placed(read({row("a"), row("b"), decommissioned("c")})) == std::vector{true});
  CHECK(placed(read({row("a"), row("b")})).empty());
  CHECK(placed(read({row("a"), row("b"), row("c", 2, silo_state::joining)})).empty());
}

TEST_CASE("the map names who leads by the store, and of this silo what it leads itself") {
  auto book = book_of("a");
  reader read{book};
  const std::vector<silo_row> all{row("a"), row("b")};
  read(all, {record(3, 1, 1, {"b", "a"}), record(4, 1, 1, {"a", "b"}),
             record(5, 1, 1, {"b", "a"}, partition_state::recovering)});
  CHECK(primary(book, 3) == "b");
  CHECK(primary(book, 4).empty());  // its storage has not said so
  CHECK(primary(book, 5).empty());  // it does not answer yet

  cluster_effects told;
  book.leads(partition_id{4}, 1, start, told);
  CHECK(told.map_changed);
  CHECK(primary(book, 4) == "a");
  told = {};
  book.learn(record(4, 9, 2, {"b", "a"}), start, told);
  CHECK(primary(book, 4) == "a");  // until its storage says so
  book.lost(partition_id{4}, start, told);
  CHECK(told.map_changed);
  CHECK(primary(book, 4) == "b");
  told = {};
  book.learn(record(4, 8, 1, {"a", "b"}), start, told);  // an older one
  CHECK_FALSE(told.map_changed);

  told = {};
  book.died("b", 2, start, told);  // another life
  CHECK(primary(book, 3) == "b");
  book.died("b", 1, start, told);
  CHECK(told.map_changed);
  CHECK(primary(book, 3).empty());
  CHECK(book.find("b") != nullptr);
  auto of_second_life = record(3, 9, 2, {"b", "a"});
  of_second_life.nonce = std::uint64_t{2} << life_shift;
  read({row("a"), row("b", 2)});
  CHECK(primary(book, 3).empty());  // its new life may have nothing of what the old one led
  CHECK(book.leader(partition_id{3}).empty());
  CHECK_FALSE(book.view().partitions[3].is_active);
  read({row("a"), row("b", 2)}, {of_second_life});
  CHECK(primary(book, 3) == "b");
  CHECK(book.view().partitions[3].is_active);
}

// Goal: calls find the primary while the store cannot be read, if it has been heard of.
TEST_CASE("who says that he leads is called, until there is a record as new") {
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b"), row("c")}, {record(3, 1, 1, {"a", "b", "c"})});
  const auto host = [&] { return primary(book, 3); };
  CHECK(host().empty());  // its own record, and it does not lead
  book.follows(partition_id{3}, 2, "b", start, told);
  CHECK(told.map_changed);
  CHECK(host() == "b");
  book.follows(partition_id{3}, 1, "c", start, told);
  CHECK(host() == "b");
  book.learn(record(3, 2, 2, {"c", "a", "b"}), start, told);
  CHECK(host() == "c");
}

TEST_CASE("why a silo leads is in the log") {
  auto book = book_of("a");
  reader read{book};
  read({row("a"), row("b")}, {record(3, 1, 4, {"b", "a"})});
  cluster_effects told;
  book.leads(partition_id{3}, 5, start, told);
  CHECK(told.log.back() == "leads partition=3 epoch=5 why=silo b has handed it over, or is slow");
  book.learn(record(3, 2, 5, {"a"}), start, told);
  book.lost(partition_id{3}, start, told);
  CHECK(told.log.back() == "leads no more partition=3 primary=a epoch=5");
  read({row("a")});
  book.leads(partition_id{3}, 5, start, told);
  CHECK(told.log.back() == "leads partition=3 epoch=5 why=silo b is gone");
  book.leads(partition_id{2}, 1, start, told);
  CHECK(told.log.back() == "leads partition=2 epoch=1 why=no other silo has led it since");
}

// Goal: partitions spread when a silo has come, but not before it has proven itself, nor at once.
TEST_CASE("a partition is handed over to the silo that it prefers, once that is in its set") {
  const auto of_b = ranked_as({"b", "a"});
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b")}, {record(of_b, 1, 1, {"a"})});
  book.leads(partition_id{of_b}, 1, start, told);
  const auto handed = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.hand_overs.size();
  };
  CHECK(handed(start + 10s) == 0);
  book.learn(record(of_b, 2, 1, {"a", "b"}), start, told);
  CHECK(handed(start + 20s) == 0);
  CHECK(handed(start + 25s - 1ns) == 0);
  CHECK(handed(start + 25s) == 1);
  CHECK(handed(start + 26s) == 0);
  CHECK(handed(start + 27s) == 1);  // nothing has come of it: again
  book.lost(partition_id{of_b}, start, told);
  CHECK(handed(start + 40s) == 0);
}

// A silo that is cut off from the store cannot take over, and looks like any other.
TEST_CASE("a silo that has not taken over what it was handed is handed nothing for a while") {
  const auto of_b = ranked_as({"b", "a"});
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b")}, {record(of_b, 1, 1, {"a", "b"})});
  book.leads(partition_id{of_b}, 1, start, told);
  const auto handed = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.hand_overs.size();
  };
  handed(start);
  CHECK(handed(start + 5s) == 1);
  const auto lose_and_lead = [&](std::uint64_t epoch, const std::vector<std::string>& set) {
    book.lost(partition_id{of_b}, start, told);
    book.learn(record(of_b, epoch, epoch, set), start, told);
    told = {};
    book.leads(partition_id{of_b}, epoch, start + 7s, told);
  };
  SUBCASE("and it may be that later") {
    lose_and_lead(2, {"a", "b"});
    CHECK(told.log.front() ==
          "silo is handed nothing for a while silo=b why=it has not taken over "
          "partition=" +
              std::to_string(of_b));
    handed(start + 8s);
    CHECK(handed(start + 36s) == 0);
    CHECK(handed(start + 37s) == 0);
    CHECK(handed(start + 41s) == 0);
    CHECK(handed(start + 42s) == 1);
  }
  SUBCASE("but by who leaves, if there is no other") {
    lose_and_lead(2, {"a", "b"});
    book.take_part(presence::leaving);
    CHECK_FALSE(book.has_drained());
    cluster_effects ticked;
    book.tick(start + 8s, ticked);
    CHECK(ticked.hand_overs.size() == 1);
    CHECK(ticked.stranded.empty());
  }
  SUBCASE("nor is a later life of it to blame") {
    lose_and_lead(2, {"a", "b"});
    read({row("a"), row("b", 2)});
    handed(start + 8s);
    CHECK(handed(start + 13s) == 1);
  }
  SUBCASE("but if it has left the set before, it is not to blame") {
    book.learn(record(of_b, 2, 1, {"a"}), start, told);
    handed(start + 6s);
    lose_and_lead(3, {"a", "b"});
    handed(start + 8s);
    CHECK(handed(start + 13s) == 1);
  }
  SUBCASE("but if it has, and is led here again later") {
    book.lost(partition_id{of_b}, start, told);
    book.learn(record(of_b, 2, 2, {"b", "a"}), start, told);
    lose_and_lead(3, {"a", "b"});
    handed(start + 8s);
    CHECK(handed(start + 13s) == 1);
  }
}

// Goal: where the store is slow, few partitions wait for it at a time; the others are led
// meanwhile.
TEST_CASE("four partitions are handed over at once to balance, more to leave") {
  constexpr std::uint16_t many = 40;
  cluster_book book{{"a", 1, many, 2, true, 5s}};
  reader read{book};
  std::vector<stored_partition> records;
  std::size_t of_b = 0;
  cluster_effects told;
  for (std::uint16_t each = 0; each < many; ++each) {
    records.push_back(record(each, 1, 1, {"a", "b"}));
    book.leads(partition_id{each}, 1, start, told);
    of_b += ranked_for(partition_id{each}, testing::plain({"a", "b"})).front() == "b" ? 1 : 0;
  }
  REQUIRE(of_b > 8);
  read({row("a"), row("b")}, records);
  std::vector<partition_id> handed;
  const auto tick = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    for (const auto& each : ticked.hand_overs) {
      handed.push_back(each.partition);
    }
    return ticked.hand_overs.size();
  };
  const auto is_led_by_b = [&](partition_id which, steady_time now) {
    book.learn(record(static_cast<std::uint16_t>(which), 2, 2, {"b", "a"}), now, told);
  };
  CHECK(tick(start) == 0);
  CHECK(tick(start + 6s) == 4);
  CHECK(tick(start + 6100ms) == 0);
  book.lost(handed[0], start + 6100ms, told);
  book.lost(handed[1], start + 6100ms, told);
  CHECK(tick(start + 6190ms) == 0);
  is_led_by_b(handed[0], start + 6190ms);
  CHECK(tick(start + 6190ms) == 1);
  CHECK(tick(start + 6200ms) == 2);  // the other two have not begun, and are not waited for
  CHECK(tick(start + 8100ms) == 4);  // those two are asked for again, with two others

  book.take_part(presence::leaving);
  CHECK_FALSE(book.has_drained());
  handed.clear();
  auto now = start + 20s;
  CHECK(tick(now) == 16);
  for (std::size_t each = 0; each < handed.size(); ++each) {
    CHECK(tick(now) == 0);
    CHECK_FALSE(book.has_drained());
    book.lost(handed[each], now, told);
    CHECK(tick(now) == 0);
    is_led_by_b(handed[each], now);
    CHECK(tick(now) == (each + 16 < many - 2 ? 1 : 0));
  }
  CHECK(book.has_drained());
}

TEST_CASE("a silo that nobody can follow has drained at once") {
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  book.leads(partition_id{0}, 1, start, told);
  read({row("a")}, {record(0, 1, 1, {"a"})});
  book.take_part(presence::leaving);
  CHECK(book.has_drained());
  cluster_effects ticked;
  book.tick(start + 20s, ticked);
  CHECK(ticked.hand_overs.empty());
}

// Goal: no write is refused for want of copies since silos stop or are started one after another.
TEST_CASE("a set that would be too small without a silo keeps it while another one is on its way") {
  const std::vector<std::string> all{"a", "b", "c"};
  const auto of_b = ranked_as({"b", "a", "c"});
  cluster_book book{{"a", 1, count, 3, true, 5s}};
  reader read{book};
  std::uint64_t version = 0;
  const auto becomes = [&](const std::vector<std::string>& set, std::size_t least = 2) {
    auto made = record(of_b, ++version, 1, set);
    made.in_sync_min = least;
    cluster_effects told;
    book.learn(made, start, told);
  };
  const auto handed = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.hand_overs.size();
  };
  const auto lead = [&] {
    cluster_effects told;
    book.leads(partition_id{of_b}, 1, start, told);
  };
  read({row("a"), row("b"), row("c")});

  SUBCASE("that leads it and stops") {
    becomes({"a", "b"});
    lead();
    book.take_part(presence::leaving, start + 5s);
    CHECK(handed(start) == 0);
    CHECK_FALSE(book.has_drained());
    SUBCASE("until the other one is there") {
      becomes({"a", "b", "c"});
      CHECK(handed(start + 1s) == 1);
    }
    SUBCASE("until the other one stops too") {
      read({row("a"), row("b"), row("c", 1, silo_state::draining)});
      CHECK(handed(start + 1s) == 1);
    }
    SUBCASE("until the other one has gone") {
      read({row("a"), row("b")});
      CHECK(handed(start + 1s) == 1);
    }
    SUBCASE("until it can wait no longer") {
      CHECK(handed(start + 4s) == 0);
      CHECK(handed(start + 5s) == 1);
    }
  }
  SUBCASE("that leads it, and a member has gone") {
    becomes(all);
    lead();
    cluster_effects told;
    book.died("b", 1, start, told);
    book.take_part(presence::leaving, start + 5s);
    CHECK(handed(start) == 1);  // nobody is on his way

    read({row("a"), row("b", 2), row("c")});
    becomes({"a", "c"});
    CHECK(handed(start + 1s) == 0);
  }
  SUBCASE("that follows and stops") {
    becomes({"b", "a"});
    book.take_part(presence::leaving, start + 5s);
    CHECK_FALSE(book.has_drained());
    becomes({"b", "a", "c"});
    CHECK(book.has_drained());
    becomes({"b", "c"});
    CHECK(book.has_drained());
  }
  SUBCASE("that leads it and is not preferred") {
    becomes({"a", "b"});
    lead();
    CHECK(handed(start) == 0);
    CHECK(handed(start + 9s) == 0);
    becomes({"a", "b", "c"});
    CHECK(handed(start + 9s) == 1);
    becomes({"a", "b"}, 1);
    CHECK(handed(start + 20s) == 1);
    becomes({"a", "b", "c"});
    cluster_effects told;
    book.died("c", 1, start + 20s, told);
    CHECK(handed(start + 30s) == 0);
  }
  SUBCASE("but one that drains, whose disk may be full, hands it over") {
    becomes({"a", "b"});
    lead();
    book.take_part(presence::draining);
    CHECK(handed(start) == 1);
  }
}

// Goal: a silo that drains is asked for nothing more, by itself and by others; its copies stay.
TEST_CASE("a silo that drains is nobody's choice to lead, and keeps its copies") {
  const auto of_b = ranked_as({"b", "a"});
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b", 1, silo_state::draining)}, {record(of_b, 1, 1, {"a", "b"})});
  book.leads(partition_id{of_b}, 1, start, told);
  cluster_effects ticked;
  book.tick(start + 60s, ticked);
  book.tick(start + 120s, ticked);
  CHECK(ticked.hand_overs.empty());
  read({row("a"), row("b")});
  book.tick(start + 180s, ticked);
  book.tick(start + 190s, ticked);
  CHECK(ticked.hand_overs.size() == 1);

  auto own = book_of("b");
  reader read_own{own};
  auto seen = read_own({row("a"), row("b")}, {record(of_b, 1, 1, {"b", "a"})});
  CHECK(std::count(seen.founded.begin(), seen.founded.end(), partition_id{ranked_as({"b", "a"})}) ==
        0);
  own.leads(partition_id{of_b}, 1, start, told);
  own.take_part(presence::draining);
  ticked = {};
  own.tick(start, ticked);
  CHECK(ticked.hand_overs.size() == 1);
  CHECK(ticked.founded.empty());
  CHECK(ticked.placed_copies.empty());
  CHECK(ticked.stranded.empty());
  CHECK_FALSE(own.has_drained());
  own.lost(partition_id{of_b}, start, told);
  CHECK(own.has_drained());
  own.take_part(presence::active);
  ticked = {};
  own.tick(start + 10s, ticked);
  CHECK_FALSE(ticked.founded.empty());  // again
  own.take_part(presence::leaving);
  own.take_part(presence::active);
  CHECK(own.takes_part() == presence::leaving);
}

// Goal: copies move a few at a time, and not for a silo that has only just come.
TEST_CASE("a copy moves off a silo when another one that is preferred has come to stay") {
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  std::vector<stored_partition> records;
  std::size_t of_d = 0;
  for (std::uint16_t each = 0; each < count; ++each) {
    records.push_back(record(each, 1, 1, {"a", "z"}));
    book.leads(partition_id{each}, 1, start, told);
    const auto ranked = ranked_for(partition_id{each}, testing::plain({"a", "d", "z"}));
    of_d += ranked.back() == "z" ? 1 : 0;
  }
  REQUIRE(of_d > 4);
  read({row("a"), row("z")}, records);
  const auto moved = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.moves;
  };
  CHECK(moved(start + 60s).empty());
  read({row("a"), row("z"), row("d")});
  CHECK(moved(start + 60s).empty());
  const auto first = moved(start + 65s);
  REQUIRE(first.size() == 4);
  CHECK(first[0].to == "z");
  CHECK(moved(start + 90s).empty());  // those first
  auto done = record(static_cast<std::uint16_t>(first[0].partition), 2, 1, {"a", "d"});
  book.learn(done, start + 90s, told);
  const auto next = moved(start + 91s);
  REQUIRE(next.size() == 2);
  CHECK(next[0].to.empty());
  CHECK(next[1].to == "z");
  read({row("a"), row("z")});  // d is gone again
  CHECK(moved(start + 92s).size() == 4);
  CHECK(moved(start + 99s).empty());
}

TEST_CASE("what a silo leads when all go is stranded, what it may write alone is not") {
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  auto short_of_copies = record(5, 1, 1, {"a"});
  short_of_copies.in_sync_min = 2;
  read({row("a"), row("b")},
       {record(3, 1, 1, {"a", "b"}), record(4, 1, 1, {"a"}), short_of_copies});
  for (const auto led : {3, 4, 5}) {
    book.leads(static_cast<partition_id>(led), 1, start, told);
  }
  book.take_part(presence::leaving);
  cluster_effects ticked;
  book.tick(start, ticked);
  CHECK(ticked.stranded.empty());  // b is to have it
  CHECK(ticked.hopeless.empty());  // b may yet be the second
  CHECK(book.has_company());
  book.lost(partition_id{3}, start, told);
  CHECK_FALSE(book.has_drained());  // that it can lead 4, too, is waited for
  book.leads(partition_id{3}, 1, start, told);
  auto gateway = row("g");
  gateway.roles = {.gateway = true};  // brings no copies
  read({row("a", 1, silo_state::draining), row("b", 1, silo_state::draining), gateway});
  ticked = {};
  book.tick(start + 1s, ticked);
  CHECK(ticked.stranded == std::vector{partition_id{3}});
  CHECK(ticked.hopeless == std::vector{partition_id{5}});
  CHECK(book.has_drained());
}

TEST_CASE("changes of sets are told by who leads, those alike in a line, and counted") {
  auto book = book_of("a");
  reader read{book};
  read({row("a"), row("b"), row("c")},
       {record(3, 1, 1, {"a", "b"}), record(4, 1, 1, {"a", "b"}), record(5, 1, 1, {"c", "b"})});
  auto told = read({row("a"), row("b"), row("c")},
                   {record(3, 2, 1, {"a"}), record(4, 2, 1, {"a"}), record(5, 2, 1, {"c"})});
  CHECK(told.log == std::vector<std::string>{
                        "copies have left their in-sync set silo=b in_sync=a why=it did not answer "
                        "in time, or could not write count=2 partitions=3,4"});
  CHECK(book.counts().ejections == 2);
  cluster_effects died;
  book.died("b", 1, start, died);
  told = read({row("a"), row("c")}, {record(4, 3, 2, {"a", "c"})});
  CHECK(told.log.back() ==
        "copies have joined their in-sync set silo=c in_sync=a,c why=they have caught up count=1 "
        "partitions=4");
  CHECK(book.counts().joins == 1);
  CHECK(book.counts().epoch_changes == 1);
}

// Goal: an operator is told once, by one line, and not while a cluster begins or stops.
TEST_CASE(
    "a silo that is left with the only copy of what it leads says so, and when that is over") {
  auto book = book_of("a");
  reader read{book};
  auto now = start;
  const auto warnings_of_ticks = [&](int ticks) {
    cluster_effects effects;
    for (int each = 0; each < ticks; ++each) {
      book.tick(now += 100ms, effects);
    }
    return effects.warnings;
  };
  const std::vector<silo_row> both{row("a"), row("b")};
  cluster_effects effects;
  for (const std::uint16_t index : {std::uint16_t{3}, std::uint16_t{4}}) {
    book.leads(partition_id{index}, 1, now, effects);
  }
  read(both, {record(3, 1, 1, {"a"}), record(4, 1, 1, {"a"})});
  CHECK(warnings_of_ticks(5).empty());  // nobody else has had it yet
  read(both, {record(3, 2, 1, {"a", "b"}), record(4, 2, 1, {"a", "b"})});
  CHECK(warnings_of_ticks(5).empty());
  read(both, {record(3, 3, 1, {"a"})});
  CHECK(warnings_of_ticks(1).empty());  // more may follow
  read(both, {record(4, 3, 1, {"a"})});
  CHECK(warnings_of_ticks(5) ==
        std::vector<std::string>{
            "single copy: what is acknowledged is on the disk of this silo only; bring another "
            "one back, or start one silo=a count=2 partitions=3,4"});
  read(both, {record(3, 4, 1, {"a", "b"})});
  CHECK(warnings_of_ticks(5).empty());
  read(both, {record(4, 4, 1, {"a", "b"})});
  effects = {};
  book.tick(now += 100ms, effects);
  book.tick(now += 100ms, effects);
  CHECK(effects.log == std::vector<std::string>{"no single copy any more silo=a"});
  book.take_part(presence::leaving);
  read({row("a")}, {record(3, 5, 1, {"a"}), record(4, 5, 1, {"a"})});
  CHECK(warnings_of_ticks(5).empty());

  cluster_book alone{{"a", 1, count, 1, true, 5s}};  // one copy is what was asked for
  reader read_alone{alone};
  alone.leads(partition_id{3}, 1, now, effects);
  read_alone(both, {record(3, 1, 1, {"a", "b"})});
  read_alone(both, {record(3, 2, 1, {"a"})});
  effects = {};
  alone.tick(now, effects);
  alone.tick(now, effects);
  CHECK(effects.warnings.empty());
}

TEST_CASE("how long a partition had no leader is counted once it has one") {
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b")}, {record(3, 1, 1, {"b", "a"})});
  CHECK(book.leader(partition_id{3}) == "b");
  book.died("b", 1, start + 1s, told);
  CHECK(book.leader(partition_id{3}).empty());
  CHECK(book.counts().leaderless.count() == 0);
  book.leads(partition_id{3}, 2, start + 1250ms, told);
  CHECK(book.leader(partition_id{3}) == "a");
  CHECK(book.counts().leaderless.count() == 1);
  CHECK(book.counts().leaderless.sum == 250ms);
  CHECK(book.counts().takeovers == 1);
  book.lost(partition_id{3}, start + 2s, told);
  CHECK(book.counts().hand_overs == 1);
}

TEST_CASE("a gateway calls and is not called, and a silo that joins takes no calls") {
  auto gateway = row("g");
  gateway.roles = {.gateway = true};
  auto book = book_of("a");
  reader read{book};
  read({row("a"), gateway, row("b", 1, silo_state::joining)});
  CHECK(book.map()->members().size() == 1);
  auto own = book_of("g", false);
  reader read_own{own};
  read_own({row("a"), gateway});
  CHECK(own.map()->find("g") != nullptr);
}

TEST_CASE("who has what is seen by silo and by partition") {
  auto book = book_of("a");
  reader read{book};
  read({row("a"), row("b")}, {record(3, 1, 4, {"b", "a"}), record(4, 1, 1, {"a"})});
  const auto seen = book.view();
  REQUIRE(seen.silos.size() == 2);
  CHECK(seen.silos[0].name == "a");
  CHECK(seen.silos[0].partitions_primary == 1);
  CHECK(seen.silos[0].partitions_total == 2);
  CHECK(seen.silos[1].partitions_primary == 1);
  CHECK(seen.silos[1].partitions_total == 1);
  REQUIRE(seen.partitions.size() == count);
  CHECK(seen.partitions[3].primary == "b");
  CHECK(seen.partitions[3].epoch == 4);
  CHECK(seen.partitions[3].is_active);
  CHECK(seen.partitions[3].in_sync == std::vector<std::string>{"b", "a"});
  CHECK(seen.partitions[5].epoch == 0);
}

// Goal: a silo that is started again finds its partitions as they were, with copies that lack
// little; only one that stays away is replaced. Method: of a, b and c, which are ranked so, a and b
// have the copies; b dies. What c should have is looked at before and after the time is over.
TEST_CASE("the copies of a silo that died are made elsewhere once it has been away for long") {
  const auto wanted = ranked_as({"a", "b", "c"});
  auto book = book_of("c");
  reader read{book};
  const auto both = record(wanted, 1, 1, {"a", "b"});
  read({row("a", 1), row("b", 2), row("c", 1)}, {both});
  const auto is_here = [&](const cluster_effects& effects) { return placed_here(effects, wanted); };
  const auto alone = record(wanted, 2, 1, {"a"});
  cluster_effects effects;

  SUBCASE("its process has ended, and then its session") {
    book.died("b", 2, start, effects);
    book.tick(start + 5min - 1ns, effects);
    CHECK_FALSE(is_here(effects));
    effects = read({row("a", 1), row("c", 1)}, {alone}, start + 5min - 1ns);
    CHECK_FALSE(is_here(effects));
    book.tick(start + 5min, effects);
    CHECK(is_here(effects) == true);
  }
  SUBCASE("its session has ended") {
    effects = read({row("a", 1), row("c", 1)}, {alone});
    book.tick(start + 5min - 1ns, effects);
    CHECK_FALSE(is_here(effects));
    book.tick(start + 5min, effects);
    CHECK(is_here(effects) == true);
  }
  SUBCASE("it is back in time") {
    read({row("a", 1), row("c", 1)}, {alone});
    read({row("a", 1), row("b", 3), row("c", 1)}, {}, start + 4min);
    book.tick(start + 6min, effects);
    CHECK_FALSE(is_here(effects));
    effects = read({row("a", 1), row("c", 1)}, {}, start + 7min);  // counts anew
    book.tick(start + 12min - 1ns, effects);
    CHECK_FALSE(is_here(effects));
  }
  SUBCASE("it joins before anybody has seen it go") {
    const auto joining = row("b", 3, silo_state::joining);
    CHECK_FALSE(is_here(read({row("a", 1), joining, row("c", 1)}, {alone})));
    CHECK_FALSE(is_here(read({row("a", 1), row("b", 3), row("c", 1)}, {}, start + 1min)));
  }
  SUBCASE("it joins") {
    read({row("a", 1), row("c", 1)}, {alone});
    const auto joining = row("b", 3, silo_state::joining);
    CHECK_FALSE(is_here(read({row("a", 1), joining, row("c", 1)}, {}, start + 1min)));
    SUBCASE("and is there") {
      effects = read({row("a", 1), row("b", 3), row("c", 1)}, {}, start + 2min);
      book.tick(start + 9min, effects);
      CHECK_FALSE(is_here(effects));
    }
    SUBCASE("and dies again, and again") {
      book.died("b", 3, start + 2min, effects);
      CHECK_FALSE(is_here(effects));
      CHECK_FALSE(is_here(read({row("a", 1), row("c", 1)}, {}, start + 2min)));
      const auto again = row("b", 4, silo_state::joining);
      effects = read({row("a", 1), again, row("c", 1)}, {}, start + 3min);
      book.tick(start + 5min - 1ns, effects);
      CHECK_FALSE(is_here(effects));
      book.tick(start + 5min, effects);
      CHECK(is_here(effects) == true);
    }
  }
  SUBCASE("it has stopped in good order") {
    read({row("a", 1), row("b", 2, silo_state::draining), row("c", 1)});
    CHECK_FALSE(is_here(read({row("a", 1), row("c", 1)}, {alone})));
    SUBCASE("and is back") {
      read({row("a", 1), row("b", 3), row("c", 1)}, {}, start + 4min);
      book.tick(start + 6min, effects);
      CHECK_FALSE(is_here(effects));
    }
    SUBCASE("and stays away") {
      book.tick(start + 5min - 1ns, effects);
      CHECK_FALSE(is_here(effects));
      book.tick(start + 5min, effects);
      CHECK(is_here(effects) == true);
    }
  }
  SUBCASE("it is to go for good, and has died before it had a successor") {
    const auto going = decommissioned("b", 2);
    CHECK(is_here(read({row("a", 1), going, row("c", 1)})) == true);
    CHECK_FALSE(is_here(read({row("a", 1), row("c", 1)}, {alone})));  // it stays so
  }
  SUBCASE("nothing can be written without") {
    auto refused = alone;
    refused.in_sync_min = 2;
    CHECK(is_here(read({row("a", 1), row("c", 1)}, {refused})) == true);
  }
}

// Method: of a, b, c and d, which are ranked so, the first two have all, c died, and one more goes.
TEST_CASE("who stops is followed by a copy in the place of a silo that is awaited") {
  const auto wanted = ranked_as({"a", "b", "c", "d"}, plenty);
  auto both = record(wanted, 1, 1, {"a", "b"});
  both.in_sync_min = 2;
  const auto draining = row("b", 1, silo_state::draining);
  cluster_effects told;

  cluster_book spare{{"d", 1, plenty, 3, true, 5s}};
  reader read_spare{spare};
  CHECK_FALSE(placed_here(read_spare({row("a"), row("b"), row("c"), row("d")}, {both}), wanted));
  CHECK_FALSE(placed_here(read_spare({row("a"), row("b"), row("d")}), wanted));
  CHECK(placed_here(read_spare({row("a"), draining, row("d")}), wanted) == true);

  cluster_book own{{"b", 1, plenty, 3, true, 5s}};
  reader read{own};
  read({row("a"), row("b"), row("c"), row("d")}, {both});
  own.died("c", 1, start, told);
  own.take_part(presence::leaving, start + 5s);
  CHECK_FALSE(own.has_drained());  // though the others have not heard of it yet
  auto three = record(wanted, 2, 1, {"a", "b", "d"});
  three.in_sync_min = 2;
  read({row("a"), draining, row("d")}, {three});
  CHECK(own.has_drained());
}

// Goal: who goes for good has no copies any more before it stops. Method: of a, b and c, which are
// ranked so, a leads, and b, which has the other copy, is to go.
TEST_CASE("the copies of a silo that is to go for good move to others, if there are enough") {
  const auto wanted = ranked_as({"a", "b", "c"});
  const std::vector<silo_row> going{row("a"), decommissioned("b"), row("c")};
  auto book = book_of("a");
  reader read{book};
  cluster_effects told;
  const auto moved = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.moves;
  };
  read({row("a"), row("b"), row("c")}, {record(wanted, 1, 1, {"a", "b"})});
  book.leads(partition_id{wanted}, 1, start, told);
  SUBCASE("another one takes its place") {
    read(going);
    CHECK(moved(start + 1s).empty());
    const auto moves = moved(start + 6s);
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].partition == partition_id{wanted});
    CHECK(moves[0].to == "b");
    auto next = book_of("c");
    reader read_next{next};
    CHECK(placed_here(read_next(going, {record(wanted, 1, 1, {"a", "b"})}), wanted) == true);
    auto own = book_of("b");
    reader read_own{own};
    CHECK(placed_here(read_own(going, {record(wanted, 1, 1, {"a", "b"})}), wanted) == true);
    CHECK_FALSE(placed_here(read_own(going, {record(wanted, 2, 2, {"a"})}), wanted));  // it led
    CHECK(placed_here(read_own(going, {record(wanted, 3, 2, {"a", "c"})}), wanted) == false);
  }
  SUBCASE("there are as many silos as copies") {
    read({row("a"), decommissioned("b")});
    CHECK(moved(start + 5min).empty());
    CHECK(moved(start + 5min + 6s).empty());  // nor is c awaited any more
  }
  SUBCASE("it is undone") {
    read(going);
    CHECK(moved(start + 1s).empty());
    read({row("a"), row("b"), row("c")});
    CHECK(moved(start + 6s).empty());
  }
}

// Method: of a, b, c and d, which are ranked so, a and d have the two copies; b died.
TEST_CASE("no copy moves to a silo that is not there") {
  const auto wanted = ranked_as({"a", "b", "c", "d"}, plenty);
  cluster_book book{{"a", 1, plenty, 2, true, 5s}};
  reader read{book};
  cluster_effects told;
  read({row("a"), row("b"), row("c"), row("d")}, {record(wanted, 1, 1, {"a", "d"})});
  book.leads(partition_id{wanted}, 1, start, told);
  book.died("b", 1, start, told);
  const auto moved = [&](steady_time now) {
    cluster_effects ticked;
    book.tick(now, ticked);
    return ticked.moves.size();
  };
  CHECK(moved(start + 1s) == 0);
  CHECK(moved(start + 7s) == 0);
  CHECK(moved(start + 5min) == 0);
  CHECK(moved(start + 5min + 5s) == 1);  // to c
}

// Goal: copies do not move to other zones and back while the last silo that names none is started
// again. Method: b is the last of the ranking, and the only silo of its zone.
TEST_CASE("zones count once the last silo that named none was away for long, or names one") {
  const auto wanted = ranked_as({"a", "c", "b"});
  const auto in_zone = [](const std::string& name, const std::string& zone) {
    auto made = row(name);
    made.zone = zone;
    return made;
  };
  const std::vector<silo_row> named{in_zone("a", "x"), in_zone("b", "y"), in_zone("c", "x")};
  const auto and_also = [&](const silo_row& one) {
    auto all = named;
    all.push_back(one);
    return all;
  };
  auto book = book_of("b");
  reader read{book};
  CHECK_FALSE(placed_here(read(and_also(row("u")), {record(wanted, 1, 1, {"a", "c"})}), wanted));
  SUBCASE("or goes for good") {
    CHECK(placed_here(read(and_also(decommissioned("u"))), wanted) == true);
    CHECK_FALSE(placed_here(read(named), wanted));  // it stays so
    return;
  }
  CHECK_FALSE(placed_here(read(and_also(row("u", 1, silo_state::draining))), wanted));
  auto told = read(named);
  book.tick(start + 5min - 1ns, told);
  CHECK_FALSE(placed_here(told, wanted));
  SUBCASE("it was away for long") {
    book.tick(start + 5min, told);
  }
  SUBCASE("it names one") {
    told = read(and_also(in_zone("u", "x")), {}, start + 4min);
  }
  CHECK(placed_here(told, wanted) == true);
}

// Goal: after all silos were without power the first to be back do not share what the others have.
// Method: a, b and c have copies; c is the last to be back.
TEST_CASE("members that are not there when a silo starts are awaited, like those that die") {
  const auto wanted = ranked_as({"a", "b", "c", "d"}, plenty);
  const auto is_here = [&](const cluster_effects& told) {
    return placed_here(told, wanted) == true;
  };
  cluster_book book{{"d", 1, plenty, 3, true, 5s}};
  reader read{book};
  auto all = record(wanted, 1, 1, {"a", "b", "c"});
  all.in_sync_min = 2;
  SUBCASE("for as long") {
    auto told = read({row("a"), row("b"), row("d")}, {all});
    CHECK_FALSE(is_here(told));
    auto pair = record(wanted, 2, 1, {"a", "b"});
    pair.in_sync_min = 2;
    told = read({row("a"), row("b"), row("d")}, {pair});
    book.tick(start + 5min - 1ns, told);
    CHECK_FALSE(is_here(told));
    book.tick(start + 5min, told);
    CHECK(is_here(told));
  }
  SUBCASE("but where nothing can be written without") {
    CHECK(is_here(read({row("a"), row("d")}, {all})));
  }
}

}  // namespace
}  // namespace millrace::runtime
