// SPDX-License-Identifier: MIT
// Goal: every checkpoint keeps the same promises. Method: each case runs on memory and on LMDB.
#include <doctest/doctest.h>

#include <algorithm>

#include "storage/checkpoint.h"
#include "storage/lmdb_env.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

std::unique_ptr<checkpoint> open_checkpoint(const std::string& directory,
                                            std::size_t map_bytes = 64U << 20U) {
  auto opened = open_lmdb_checkpoint({directory, map_bytes});
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  return std::move(*opened);
}

void for_each_checkpoint(const std::function<void(checkpoint&)>& check) {
  check(*make_memory_checkpoint());
  const scratch_directory scratch;
  check(*open_checkpoint(scratch.data()));
}

checkpoint_change put_change(unsigned partition, std::string_view key, std::string_view value) {
  return {static_cast<partition_id>(partition), key, value, false};
}

checkpoint_change erase_change(unsigned partition, std::string_view key) {
  return {static_cast<partition_id>(partition), key, {}, true};
}

void write(checkpoint& to, const std::vector<checkpoint_change>& changes) {
  REQUIRE(to.write(changes, nullptr));
}

std::string text_of(checkpoint_snapshot& snapshot, unsigned partition, std::string_view prefix,
                    std::string_view from = {}) {
  std::string text;
  const std::array<key_range, 1> range{{{prefix, from}}};
  auto scanned = snapshot.scan(static_cast<partition_id>(partition), range,
                               [&](const key_range&, std::string_view key, std::string_view value) {
                                 text += std::string{key} + "=" + std::string{value} + " ";
                                 return true;
                               });
  return scanned ? text : scanned.error().to_string();
}

std::string text_of(checkpoint& rows, unsigned partition, std::string_view prefix,
                    std::string_view from = {}) {
  auto snapshot = rows.open_snapshot();
  REQUIRE(snapshot);
  REQUIRE((*snapshot)->renew());
  auto text = text_of(**snapshot, partition, prefix, from);
  (*snapshot)->release();
  return text;
}

TEST_CASE("rows are found by partition, prefix and start") {
  for_each_checkpoint([](checkpoint& rows) {
    write(rows, {put_change(1, "a", "1"), put_change(1, "b1", "2"), put_change(1, "b2", "3"),
                 put_change(2, "b1", "4"), put_change(258, "b1", "5")});
    CHECK(text_of(rows, 1, "") == "a=1 b1=2 b2=3 ");
    CHECK(text_of(rows, 1, "b") == "b1=2 b2=3 ");
    CHECK(text_of(rows, 1, "b", "b2") == "b2=3 ");
    CHECK(text_of(rows, 1, "b", "a") == "b1=2 b2=3 ");
    CHECK(text_of(rows, 1, "b", "c") == "");
    CHECK(text_of(rows, 2, "") == "b1=4 ");
    CHECK(text_of(rows, 3, "") == "");
    CHECK(text_of(rows, 258, "") == "b1=5 ");
  });
}

TEST_CASE("a write replaces and erases rows") {
  for_each_checkpoint([](checkpoint& rows) {
    write(rows, {put_change(0, "a", "1"), put_change(0, "b", "2"), put_change(0, "c", "3")});
    write(rows, {erase_change(0, "a"), put_change(0, "b", "longer"), erase_change(0, "x")});
    CHECK(text_of(rows, 0, "") == "b=longer c=3 ");
    write(rows, {});
    CHECK(text_of(rows, 0, "") == "b=longer c=3 ");
  });
}

TEST_CASE("progress is kept with the newest tail of every partition") {
  for_each_checkpoint([](checkpoint& rows) {
    const auto fresh = rows.progress();
    REQUIRE(fresh);
    CHECK(fresh->tails.empty());
    const checkpoint_progress first{
        {{partition_id{1}, {1, 5, 55}}, {partition_id{300}, {1, 2, 22}}}, std::nullopt};
    const checkpoint_progress second{{{partition_id{1}, {2, 6, 66}}}, std::nullopt};
    REQUIRE(rows.write({}, &first));
    REQUIRE(rows.write({}, &second));
    const auto stored = rows.progress();
    REQUIRE(stored);
    REQUIRE(stored->tails.size() == 2);
    CHECK(stored->tails[0].partition == partition_id{1});
    CHECK(stored->tails[0].tail == log_tail{2, 6, 66});
    CHECK(stored->tails[1].partition == partition_id{300});
    CHECK(stored->tails[1].tail == log_tail{1, 2, 22});
  });
}

TEST_CASE("a visitor ends the scan, and a snapshot is good for many scans and renewals") {
  for_each_checkpoint([](checkpoint& rows) {
    write(rows, {put_change(0, "a", "1"), put_change(0, "b", "2")});
    auto snapshot = rows.open_snapshot();
    REQUIRE(snapshot);
    for (int round = 0; round < 3; ++round) {
      REQUIRE((*snapshot)->renew());
      int seen = 0;
      const std::array<key_range, 1> all{};
      REQUIRE((*snapshot)->scan(partition_id{0}, all, [&](const auto&, auto, auto) {
        ++seen;
        return false;
      }));
      CHECK(seen == 1);
      CHECK(text_of(**snapshot, 0, "").starts_with("a=1 b="));
      (*snapshot)->release();
      write(rows, {put_change(0, "b", std::to_string(round))});
    }
    CHECK(text_of(rows, 0, "") == "a=1 b=2 ");
  });
}

TEST_CASE("large values and the longest keys are kept") {
  for_each_checkpoint([](checkpoint& rows) {
    const std::string key(row_key_bytes_max, 'k');
    const std::string value(row_value_bytes_max, 'v');
    write(rows, {put_change(0, key, value)});
    CHECK(text_of(rows, 0, key) == key + "=" + value + " ");
    const auto used = rows.bytes_used();
    REQUIRE(used);
    CHECK(*used >= row_value_bytes_max);
    CHECK(*used <= rows.bytes_used_at_most());
  });
}

TEST_CASE("an LMDB checkpoint that is opened again has its rows") {
  const scratch_directory scratch;
  write(*open_checkpoint(scratch.data()), {put_change(5, "a", "1")});
  CHECK(text_of(*open_checkpoint(scratch.data()), 5, "") == "a=1 ");
}

TEST_CASE("an LMDB checkpoint that is full changes nothing and goes on") {
  const scratch_directory scratch;
  auto rows = open_checkpoint(scratch.data(), 1U << 20U);
  write(*rows, {put_change(0, "a", "1")});
  const std::string large(2U << 20U, 'x');
  const std::array changes{put_change(0, "a", "2"), put_change(0, "b", large)};
  const checkpoint_progress progress{{{partition_id{0}, {1, 5, 55}}}, std::nullopt};
  const auto written = rows->write(changes, &progress);
  REQUIRE_FALSE(written);
  CHECK(written.error().code() == errc::out_of_space);
  CHECK(text_of(*rows, 0, "") == "a=1 ");
  CHECK(rows->progress()->tails.empty());
  write(*rows, {put_change(0, "a", "3")});
  CHECK(text_of(*rows, 0, "") == "a=3 ");
}

// Goal: a value that is found under another key than its own is not returned.
TEST_CASE("the checksum covers the key") {
  const scratch_directory scratch;
  write(*open_checkpoint(scratch.data()), {put_change(0, "a", "1"), put_change(0, "b", "2")});
  {
    auto env = lmdb_env::open({scratch.data(), 64U << 20U}, 0, 2);
    REQUIRE(env);
    auto dbi = (*env)->open_db("rows", 0);
    REQUIRE(dbi);
    auto txn = (*env)->begin_write();
    REQUIRE(txn);
    MDB_val a = to_val(std::string_view{"\0\0a", 3});
    MDB_val b = to_val(std::string_view{"\0\0b", 3});
    MDB_val data;
    REQUIRE(mdb_get(txn->get(), *dbi, &a, &data) == MDB_SUCCESS);
    std::string stored{to_view(data)};
    data = to_val(stored);
    REQUIRE(mdb_put(txn->get(), *dbi, &b, &data, 0) == MDB_SUCCESS);
    REQUIRE((*env)->commit(std::move(*txn), 0));
  }
  auto rows = open_checkpoint(scratch.data());
  CHECK(text_of(*rows, 0, "a") == "a=1 ");
  CHECK(text_of(*rows, 0, "b").starts_with("storage_failed"));
}

}  // namespace
}  // namespace millrace::runtime
