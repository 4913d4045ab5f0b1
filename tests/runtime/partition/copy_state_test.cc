// SPDX-License-Identifier: MIT
#include "partition/copy_state.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

constexpr auto p3 = partition_id{3};

TEST_CASE("a copy's state decodes to what was encoded, for its partition only") {
  const copy_state state{mint_copy_id(), 2, 7, {6, 41, 0xfeed}};
  std::string bytes;
  append_copy_state(p3, state, bytes);
  REQUIRE(bytes.size() == copy_state_bytes);
  const auto decoded = decode_copy_state(p3, bytes);
  REQUIRE(decoded);
  CHECK(*decoded == state);
  CHECK_FALSE(decode_copy_state(partition_id{4}, bytes));
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    auto altered = bytes;
    altered[index] = static_cast<char>(altered[index] ^ 1);
    CHECK_FALSE(decode_copy_state(p3, altered));
    CHECK_FALSE(decode_copy_state(p3, bytes.substr(0, index)));
  }
}

TEST_CASE("no two copies are minted alike") {
  const auto one = mint_copy_id();
  CHECK(one != mint_copy_id());
  CHECK(to_text(one).size() == 32);
  CHECK(to_text({0, 255}) == "000000000000000000000000000000ff");
}

}  // namespace
}  // namespace millrace::runtime
