// SPDX-License-Identifier: MIT
#include "storage/unapplied_entries.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

TEST_CASE("entries are taken by number, and those before them go") {
  unapplied_entries held;
  CHECK(held.ends_at(4));
  held.push(5, "five");
  held.push(6, "six");
  held.push(7, "seven");
  CHECK(held.ends_at(7));
  CHECK_FALSE(held.take(4));
  CHECK(held.take(6) == "six");
  CHECK_FALSE(held.take(5));
  CHECK(held.take(7) == "seven");
  CHECK_FALSE(held.take(8));
}

TEST_CASE("what was cut is not taken for what came in its place") {
  unapplied_entries held;
  held.push(5, "five");
  held.push(6, "six");
  held.cut_above(5);
  CHECK(held.ends_at(5));
  held.push(6, "another");
  CHECK(held.take(5) == "five");
  CHECK(held.take(6) == "another");
}

TEST_CASE("a gap shows") {
  unapplied_entries held;
  held.push(5, "five");
  CHECK_FALSE(held.ends_at(7));
  held.clear();
  CHECK(held.ends_at(7));
  held.push(8, "eight");
  CHECK_FALSE(held.take(5));
  CHECK(held.take(8) == "eight");
}

}  // namespace
}  // namespace millrace::runtime
