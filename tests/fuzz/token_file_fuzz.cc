// SPDX-License-Identifier: MIT
// What a file of a token may hold: it is refused by its name, without a word of what it holds, or
// it is a token that a header can carry.
#include <algorithm>
#include <string>

#include "access/token.h"
#include "fuzz/fuzz.h"

using namespace millrace::gateway;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = millrace::testing::text_of(data, size);
  const millrace::testing::memory_file file{text};
  const auto token = read_token(file.path());
  if (!token) {
    const auto said = token.error().text();
    MILLRACE_ASSERT(said == "the token file " + file.path() +
                                ": a token is one line of 32 to 512 characters without spaces");
    return 0;
  }
  MILLRACE_ASSERT(text.starts_with(*token) && token->size() >= 32 && token->size() <= 512);
  MILLRACE_ASSERT(text.find_first_not_of("\r\n", token->size()) == std::string_view::npos);
  MILLRACE_ASSERT(std::all_of(token->begin(), token->end(),
                              [](char each) { return each > ' ' && each < '\x7f'; }));
  MILLRACE_ASSERT(digest_of(*token).size() == 32);
  return 0;
}
