// SPDX-License-Identifier: MIT
// What the storage of another silo sends. What is taken can be sent on, and is the same then.
#include "storage/replica_frame.h"

#include "fuzz/fuzz.h"

using namespace millrace::runtime;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto decoded = decode_replica_frame(millrace::testing::text_of(data, size), "other");
  if (!decoded) {
    return 0;
  }
  const auto frame = encode(*decoded);
  const auto again = decode_replica_frame(frame, "other");
  MILLRACE_ASSERT(again.has_value() && again->size() == decoded->size());
  for (std::size_t at = 0; at < decoded->size(); ++at) {
    const auto& one = (*decoded)[at];
    const auto& same = (*again)[at];
    MILLRACE_ASSERT(same.partition == one.partition && same.to == one.to);
    MILLRACE_ASSERT(same.message.index() == one.message.index());
  }
  MILLRACE_ASSERT(encode(*again) == frame);
  return 0;
}
