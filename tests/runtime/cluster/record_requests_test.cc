// SPDX-License-Identifier: MIT
#include "cluster/record_requests.h"

#include <doctest/doctest.h>

namespace millrace::runtime::detail {
namespace {

stored_partition change_of(std::uint16_t partition, std::uint64_t nonce) {
  stored_partition made;
  made.partition = partition_id{partition};
  made.nonce = nonce;
  return made;
}

// Goal: a store that answers more slowly than it is asked does not fall behind for ever.
TEST_CASE("a partition that is asked about again waits once, for what is wanted now") {
  record_requests requests;
  CHECK(requests.want_change(change_of(3, 1)));
  CHECK_FALSE(requests.want_read(partition_id{3}));
  CHECK_FALSE(requests.want_change(change_of(3, 2)));
  CHECK(requests.want_read(partition_id{4}));

  const auto of_three = requests.take(partition_id{3});
  REQUIRE(of_three.change);
  CHECK(of_three.change->nonce == 2);
  CHECK(of_three.read);
  const auto of_four = requests.take(partition_id{4});
  CHECK_FALSE(of_four.change);
  CHECK(of_four.read);
}

// Goal: a read shows the record as it was asked for, or newer.
TEST_CASE("what is wanted after a request was taken is asked after it") {
  record_requests requests;
  CHECK(requests.want_read(partition_id{3}));
  CHECK(requests.take(partition_id{3}).read);
  CHECK(requests.want_read(partition_id{3}));
  CHECK(requests.take(partition_id{3}).read);
  CHECK_FALSE(requests.take(partition_id{3}).read);
}

}  // namespace
}  // namespace millrace::runtime::detail
