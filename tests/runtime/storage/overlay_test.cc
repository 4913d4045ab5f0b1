// SPDX-License-Identifier: MIT
#include "storage/overlay.h"

#include <doctest/doctest.h>

#include <string>

#include "millrace/runtime/storage.h"

namespace millrace::runtime {
namespace {

constexpr partition_id here{1};

class small_overlay {
public:
  void put(std::string_view key, std::string_view value) {
    row_ops ops;
    ops.put(key, value);
    rows_.apply(here, ops.encoded());
  }
  void erase(std::string_view key) {
    row_ops ops;
    ops.erase(key);
    rows_.apply(here, ops.encoded());
  }
  // Empty for one that is absent, "erased" for one that was erased.
  std::string value(std::string_view key) {
    overlay_generation::range_rows found;
    const std::array<key_range, 1> range{{{key, {}}}};
    rows_.collect(here, range, found);
    const auto at = found.find(key);
    return at == found.end() ? "" : at->second.value_or("erased");
  }
  std::size_t bytes() const { return rows_.bytes(); }
  const overlay_generation& rows() const { return rows_; }

private:
  overlay_generation rows_{2};
};

// Goal: an actor that grows and is written again and again does not fill the overlay.
// Method: what is abandoned stays in the arena, so without room to grow it would take the sum of
// all sizes, 128 times the last one here.
TEST_CASE("a row that grows with every write takes a few times its size") {
  small_overlay rows;
  std::string value;
  for (int writes = 0; writes < 256; ++writes) {
    value += std::string(64, static_cast<char>('a' + writes % 26));
    rows.put("grows", value);
    REQUIRE(rows.value("grows") == value);
  }
  CHECK(rows.bytes() >= value.size());
  CHECK(rows.bytes() <= 5 * value.size());
}

TEST_CASE("a row takes nothing more for values that are no larger than one before") {
  small_overlay rows;
  rows.put("same", std::string(1'000, 'a'));
  const auto first = rows.bytes();
  CHECK(first < 1'200);  // the first value has no room to spare
  for (char letter = 'b'; letter <= 'z'; ++letter) {
    const std::string value(letter % 2 == 0 ? 1'000 : 10, letter);
    rows.put("same", value);
    REQUIRE(rows.value("same") == value);
  }
  rows.erase("same");
  CHECK(rows.value("same") == "erased");
  rows.put("same", std::string(1'000, 'A'));
  CHECK(rows.value("same") == std::string(1'000, 'A'));
  CHECK(rows.bytes() == first);
}

TEST_CASE("rows beside one that grows keep their values") {
  small_overlay rows;
  for (int writes = 1; writes <= 100; ++writes) {
    rows.put("b grows", std::string(static_cast<std::size_t>(writes) * 10, 'b'));
    rows.put("a" + std::to_string(writes), "left");
    rows.put("c" + std::to_string(writes), "");
  }
  const auto changes = rows.rows().changes();
  REQUIRE(changes.size() == 201);
  for (const auto& each : changes) {
    CHECK(each.partition == here);
    CHECK(each.value == (each.key[0] == 'a'   ? std::string{"left"}
                         : each.key[0] == 'b' ? std::string(1'000, 'b')
                                              : std::string{}));
  }
}

}  // namespace
}  // namespace millrace::runtime
