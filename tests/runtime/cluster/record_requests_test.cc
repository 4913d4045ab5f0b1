// SPDX-License-Identifier: MIT
#include "cluster/record_requests.h"

#include <doctest/doctest.h>

namespace millrace::runtime::detail {
namespace {

stored_partition change_of(std::uint16_t partition, std::uint64_t nonce,
                           partition_state state = partition_state::active) {
  stored_partition made;
  made.partition = partition_id{partition};
  made.nonce = nonce;
  made.state = state;
  return made;
}

// Goal: a store that answers more slowly than it is asked does not fall behind for ever.
TEST_CASE("a partition that is asked about again waits once, for what is wanted now") {
  record_requests requests;
  CHECK(requests.want_change(change_of(3, 1)));
  CHECK_FALSE(requests.want_read(partition_id{3}));
  CHECK_FALSE(requests.want_change(change_of(3, 2)));
  CHECK(requests.want_read(partition_id{2}));

  const auto of_three = requests.take();
  CHECK(of_three.partition == partition_id{3});
  REQUIRE(of_three.change);
  CHECK(of_three.change->nonce == 2);
  CHECK(of_three.read);
  const auto of_two = requests.take();
  CHECK(of_two.partition == partition_id{2});
  CHECK_FALSE(of_two.change);
  CHECK(of_two.read);
}

// Goal: a read shows the record as it was asked for, or newer.
TEST_CASE("what is wanted after a request was taken is asked after it") {
  record_requests requests;
  CHECK(requests.want_read(partition_id{3}));
  CHECK(requests.take().read);
  CHECK(requests.want_read(partition_id{3}));
  CHECK(requests.take().read);
}

// Goal: of many takeovers at once the first are over soon, not all with the last one.
TEST_CASE("a partition that nobody leads goes before those that are led, what ends that first") {
  record_requests requests;
  CHECK(requests.want_change(change_of(1, 1)));
  CHECK(requests.want_change(change_of(2, 1)));
  CHECK(requests.want_change(change_of(3, 1, partition_state::recovering)));
  requests.learned(change_of(4, 1, partition_state::recovering));
  CHECK(requests.want_change(change_of(4, 2)));  // it becomes active
  CHECK_FALSE(requests.want_change(change_of(2, 2, partition_state::recovering)));
  for (const int next : {4, 2, 3, 1}) {
    CHECK(static_cast<int>(requests.take().partition) == next);
  }
  requests.learned(change_of(4, 2));
  CHECK(requests.want_read(partition_id{1}));
  CHECK(requests.want_read(partition_id{4}));
  CHECK(requests.take().partition == partition_id{1});
  CHECK(requests.take().partition == partition_id{4});
}

// Goal: where a silo goes, who writes does not wait until all sets are without it.
TEST_CASE("a change that writes wait for goes before others, as soon as they do") {
  record_requests requests;
  for (std::uint16_t each = 1; each < 4; ++each) {
    CHECK(requests.want_change(change_of(each, 1)));
  }
  CHECK(requests.want_change(change_of(4, 1), writes_wait::yes));
  CHECK_FALSE(requests.want_change(change_of(2, 1), writes_wait::yes));
  for (const int next : {2, 4, 1, 3}) {
    CHECK(static_cast<int>(requests.take().partition) == next);
  }
}

TEST_CASE("what can wait does not wait for ever") {
  record_requests requests;
  CHECK(requests.want_change(change_of(1, 1)));
  int takeovers = 0;
  for (std::uint16_t each = 2; each < 20; ++each) {
    CHECK(requests.want_change(change_of(each, 1, partition_state::recovering)));
  }
  while (requests.take().partition != partition_id{1}) {
    ++takeovers;
  }
  CHECK(takeovers == 3);
}

}  // namespace
}  // namespace millrace::runtime::detail
