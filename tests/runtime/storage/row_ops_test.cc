// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "millrace/runtime/storage.h"

namespace millrace::runtime {
namespace {

std::string text_of(std::string_view encoded) {
  std::string text;
  auto decoded = row_ops::for_each(
      encoded,
      [&](std::string_view key, std::string_view value) {
        text += "+" + std::string{key} + "=" + std::string{value} + " ";
      },
      [&](std::string_view key) { text += "-" + std::string{key} + " "; });
  return decoded ? text : text + "!" + std::string{to_string(decoded.error().code())};
}

TEST_CASE("operations decode in the order in which they were added") {
  row_ops ops;
  CHECK(ops.empty());
  ops.put("a", "1");
  ops.erase("b");
  ops.put("", "");
  std::copy_n("xyz", 3, ops.put_uninitialized("c", 3));
  CHECK(text_of(ops.encoded()) == "+a=1 -b += +c=xyz ");
  ops.clear();
  CHECK(ops.empty());
}

TEST_CASE("the encoding is the one in the disk contract") {
  row_ops ops;
  ops.put("k", "vw");
  ops.erase("e");
  CHECK(ops.encoded() == std::string{"\1\1\0\2\0\0\0kvw\2\1\0\0\0\0\0e", 18});
}

TEST_CASE("an encoding that is cut short or altered is refused at the first bad byte") {
  row_ops ops;
  ops.put("a", "1");
  ops.put("b", "2");
  const auto whole = ops.encoded();
  CHECK(text_of(whole.substr(0, whole.size() - 1)) == "+a=1 !storage_failed");
  CHECK(text_of(whole + "\1") == "+a=1 +b=2 !storage_failed");
  auto wrong_kind = whole;
  wrong_kind[0] = 3;
  CHECK(text_of(wrong_kind) == "!storage_failed");
  auto long_key = whole;
  long_key[2] = 2;  // 513 bytes
  CHECK(text_of(long_key) == "!storage_failed");
}

}  // namespace
}  // namespace millrace::runtime
