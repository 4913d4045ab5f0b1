// SPDX-License-Identifier: MIT
// JSON to call: whatever text arrives is read or refused, and what was read is written as JSON that
// reads as the same. The first byte chooses the message.
#include <array>
#include <string>

#include "fuzz/fuzz.h"
#include "millrace/runtime/json.h"
#include "runtime/json/shapes.capnp.h"

using namespace millrace::runtime;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using millrace::testing::Point;
  using millrace::testing::Shapes;
  static const std::array<capnp::StructSchema, 2> schemas{capnp::Schema::from<Shapes>(),
                                                          capnp::Schema::from<Point>()};
  auto text = millrace::testing::text_of(data, size);
  const auto choice = millrace::testing::take(text, 1);
  if (choice.empty()) {
    return 0;
  }
  const auto schema = schemas[static_cast<unsigned char>(choice[0]) % schemas.size()];
  const auto read = from_json(schema, text);
  if (!read) {
    MILLRACE_ASSERT(read.error().code() == errc::invalid_argument);
    return 0;
  }
  std::string written;
  to_json(schema, *read, written);
  const auto again = from_json(schema, written);
  MILLRACE_ASSERT(again.has_value());
  std::string written_again;
  to_json(schema, *again, written_again);
  MILLRACE_ASSERT(written == written_again);
  return 0;
}
