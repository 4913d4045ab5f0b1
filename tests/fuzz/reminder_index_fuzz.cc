// SPDX-License-Identifier: MIT
// Keys and values of the rows that are read when a silo starts.
#include <string>

#include "activation/row_layout.h"
#include "fuzz/fuzz.h"

using namespace millrace::runtime;
using namespace millrace::runtime::detail;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = millrace::testing::text_of(data, size);
  const auto key = millrace::testing::take_counted(text);
  if (const auto parsed = parse_reminder_index(key)) {
    const actor_hash hash{1, 2};
    const auto made = reminder_index_row(hash, parsed->due, parsed->name);
    const auto again = parse_reminder_index(made);
    MILLRACE_ASSERT(again && again->due == parsed->due && again->name == parsed->name);
    MILLRACE_ASSERT(made.size() == key.size());
  }
  value_reader value{text};
  const auto id = value.id();
  if (value.ok()) {
    std::string again;
    append_id(again, id.type, id.key);
    MILLRACE_ASSERT(text.starts_with(again));
    MILLRACE_ASSERT(again.size() + value.rest().size() == text.size());
  } else {
    MILLRACE_ASSERT(value.rest().empty());
  }
  return 0;
}
