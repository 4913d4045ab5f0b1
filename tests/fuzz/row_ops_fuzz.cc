// SPDX-License-Identifier: MIT
// The operations of a journal entry: what is well formed encodes to the same bytes again.
#include "fuzz/fuzz.h"
#include "millrace/runtime/storage.h"

using namespace millrace::runtime;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto encoded = millrace::testing::text_of(data, size);
  row_ops again;
  const auto read = row_ops::for_each(
      encoded, [&](std::string_view key, std::string_view value) { again.put(key, value); },
      [&](std::string_view key) { again.erase(key); });
  MILLRACE_ASSERT(encoded.starts_with(again.encoded()));
  MILLRACE_ASSERT(read.has_value() == (again.encoded().size() == encoded.size()));
  return 0;
}
