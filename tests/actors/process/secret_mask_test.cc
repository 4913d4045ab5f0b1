// SPDX-License-Identifier: MIT
// What a mask hides, and that it makes no difference where the stream is cut.
#include "process/secret_mask.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <random>

namespace millrace::actors::process_detail {
namespace {

secret_mask mask_of(const std::vector<std::string>& values) {
  return secret_mask{std::make_shared<const secret_words>(values)};
}

std::string masked(const std::vector<std::string>& values, const std::string& text,
                   std::size_t piece = std::string::npos) {
  auto mask = mask_of(values);
  std::string made;
  for (std::size_t at = 0; at < text.size(); at += std::min(piece, text.size())) {
    made += mask.add(std::string_view{text}.substr(at, piece));
  }
  return made + mask.finish();
}

TEST_CASE("a secret is replaced wherever the stream is cut") {
  const std::string text = "a hunter2! b hunter2!hunter2! hunter hunter2 end hunter2!";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    CAPTURE(piece);
    CHECK(masked({"hunter2!"}, text, piece) == "a *** b *** hunter hunter2 end ***");
  }
}

TEST_CASE("what may be the begin of a secret is held back, and no more") {
  auto mask = mask_of({"hunter2!"});
  CHECK(mask.add("see hunt") == "see ");
  CHECK(mask.add("ing") == "hunting");
  CHECK(mask.add("hun") == "");
  CHECK(mask.add("hunter2!") == "hun***");
  CHECK(mask.add("x") == "x");
  CHECK(mask.finish() == "");
}

TEST_CASE("a secret that is cut off by the end of the stream is masked") {
  CHECK(masked({"hunter2!"}, "see hunter2") == "see ***");
  CHECK(masked({"hunter2!"}, "see hun") == "see hun");
}

TEST_CASE("secrets that overlap, or are part of each other, leave nothing") {
  CHECK(masked({"abcdef", "defghi"}, "-abcdefghi-") == "-***-");
  CHECK(masked({"abcd", "abcdefgh"}, "-abcdefgh-abcdef-") == "-***-***ef-");
  CHECK(masked({"aaaa"}, "-aaaaa-aaa-") == "-***-aaa-");
  CHECK(masked({"abcabcabd"}, "abcabcabcabd") == "abc***");
}

TEST_CASE("a secret of several lines is masked line by line, but for short ones") {
  const std::string key = "-----BEGIN-----\r\nMIIEvQIBADAN\r\nabc\n-----END-----\n";
  CHECK(masked({key}, "x -----BEGIN-----\n>MIIEvQIBADAN\nabc\n") == "x ***\n>***\nabc\n");
  CHECK(masked({"line one\nline two"}, "line one\nline two\n") == "***\n***\n");
}

// The digits at its edges that hold bits of what stands beside it say less than a byte of it.
TEST_CASE("the base64 of a secret is masked, whatever stands before and after it") {
  // printf '%s' hunter2! | base64, and with one and two letters in front.
  CHECK(masked({"hunter2!"}, "aHVudGVyMiE=") == "***E=");
  CHECK(masked({"hunter2!"}, "eGh1bnRlcjIh") == "eG***");
  CHECK(masked({"hunter2!"}, "eHhodW50ZXIyIQ==") == "eHh***Q==");
  CHECK(masked({"\xff\xfe\xfd\xfc\xfb\xfa"}, "//79/Pv6 __79_Pv6") == "*** ***");
}

TEST_CASE("bytes of any kind go through, and no secrets mask nothing") {
  std::string all;
  for (int each = 0; each < 256; ++each) {
    all += static_cast<char>(each);
  }
  CHECK(masked({"hunter2!"}, all, 7) == all);
  CHECK(masked({}, all, 7) == all);
}

// Goal: the automaton finds what a plain search finds. Method: few letters, so that much overlaps.
TEST_CASE("random texts are masked as by a plain search") {
  std::mt19937 rng{7};
  const auto random_text = [&](std::size_t length) {
    std::string made;
    for (std::size_t at = 0; at < length; ++at) {
      made += static_cast<char>('a' + rng() % 2);
    }
    return made;
  };
  for (int round = 0; round < 500; ++round) {
    const std::vector<std::string> values{random_text(4 + rng() % 4), random_text(4 + rng() % 8)};
    const auto text = "-" + random_text(60) + "-";  // so that no begin stands at the end
    std::string hidden(text.size(), '\0');
    for (const auto& value : values) {
      for (auto at = text.find(value); at != std::string::npos; at = text.find(value, at + 1)) {
        hidden.replace(at, value.size(), value.size(), '\1');
      }
    }
    std::string expected;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (hidden[at] == 0) {
        expected += text[at];
      } else if (hidden[at - 1] == 0) {
        expected += "***";
      }
    }
    CAPTURE(text);
    CHECK(masked(values, text, 1 + rng() % 9) == expected);
  }
}

// Goal: the cost is that of the bytes, however long a value is.
// Method: at each byte a word ends, a short one and a long one, and the time of the thread is
// taken.
TEST_CASE("a long value of one letter costs no more than a short one") {
  const std::string text(std::size_t{2} << 20U, 'a');
  const auto time_with = [&text](std::size_t bytes) {
    auto mask = mask_of({std::string(bytes, 'a')});
    const auto begin = std::clock();
    CHECK(mask.add(text) + mask.finish() == "***");
    return std::clock() - begin;
  };
  const auto short_one = std::min({time_with(4096), time_with(4096), time_with(4096)});
  const auto long_one = std::min({time_with(65'536), time_with(65'536), time_with(65'536)});
  CHECK(long_one < 4 * short_one);
}

}  // namespace
}  // namespace millrace::actors::process_detail
