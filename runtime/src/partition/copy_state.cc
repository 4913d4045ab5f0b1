// SPDX-License-Identifier: MIT
#include "partition/copy_state.h"

#include <xxhash.h>

#include <array>
#include <cstdio>

#include "byte_order.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t covered_bytes = copy_state_bytes - 8;

std::uint64_t checksum_of(partition_id partition, std::string_view covered) {
  return XXH3_64bits_withSeed(covered.data(), covered.size(),
                              static_cast<std::uint64_t>(partition));
}

}  // namespace

copy_id mint_copy_id() {
  rng random;
  return {random.next(), random.next()};
}

std::string to_text(const copy_id& id) {
  std::array<char, 33> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx%016llx",
                static_cast<unsigned long long>(id.high), static_cast<unsigned long long>(id.low));
  return digits.data();
}

void append_copy_state(partition_id partition, const copy_state& state, std::string& out) {
  const auto begin = out.size();
  for (const auto word :
       {state.id.high, state.id.low, state.data_loss_no, state.promised_epoch,
        state.checkpointed.epoch, state.checkpointed.seq, state.checkpointed.digest}) {
    append_little(out, word);
  }
  append_little(out, checksum_of(partition, std::string_view{out}.substr(begin)));
}

result<copy_state> decode_copy_state(partition_id partition, std::string_view encoded) {
  const auto word = [&](std::size_t index) {
    return load_little<std::uint64_t>(encoded.data() + 8 * index);
  };
  if (encoded.size() != copy_state_bytes ||
      word(7) != checksum_of(partition, encoded.substr(0, covered_bytes))) {
    return error{errc::storage_failed, "the state of partition " +
                                           std::to_string(static_cast<unsigned>(partition)) +
                                           " does not match its checksum"};
  }
  copy_state state;
  state.id = {word(0), word(1)};
  state.data_loss_no = word(2);
  state.promised_epoch = word(3);
  state.checkpointed = {word(4), word(5), word(6)};
  return state;
}

}  // namespace millrace::runtime
