// SPDX-License-Identifier: MIT
#include "millrace/actors/process_outputs.h"

#include <fcntl.h>

#include "fixture.h"

namespace millrace::actors::testing {
namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

runtime::error refusal_of(std::string_view text) {
  const auto parsed = parse_outputs(text);
  REQUIRE_FALSE(parsed);
  return parsed.error();
}

}  // namespace

TEST_CASE("outputs are key=value lines and marked blocks, taken literally") {
  const auto parsed =
      parse_outputs("a=1\n\nb_2-x= y = z \nempty=\nurl<<END\nfirst=\n\nlast\nEND\nc=<<x");
  REQUIRE(parsed);
  CHECK(*parsed == pairs{{"a", "1"},
                         {"b_2-x", " y = z "},
                         {"empty", ""},
                         {"url", "first=\n\nlast"},
                         {"c", "<<x"}});
  CHECK(parse_outputs("")->empty());
  CHECK(*parse_outputs("k<<E\nE\n") == pairs{{"k", ""}});
  CHECK(*parse_outputs("k<<E\n\nx\nE") == pairs{{"k", "\nx"}});
}

TEST_CASE("the last value of a key given twice counts") {
  CHECK(*parse_outputs("a=1\nb=2\na=3\n") == pairs{{"a", "3"}, {"b", "2"}});
}

TEST_CASE("malformed outputs are refused with their line") {
  CHECK(refusal_of("a=1\nnonsense\n").text() ==
        "line 2: \"nonsense\" is neither key=value nor key<<END; a value of several lines stands "
        "between key<<END and a line END");
  CHECK(refusal_of(std::string(41, 'x'))
            .text()
            .starts_with("line 1: \"" + std::string(40, 'x') + "...\" is neither"));
  CHECK(refusal_of("a=1\nb<<END\nx\n").text() ==
        "line 2: no later line is exactly the end marker \"END\"; write it on a line of its own");
  CHECK(refusal_of("b<<\n").text().starts_with("line 1: no end marker after <<;"));
  CHECK(refusal_of("\n=1").text().starts_with("line 2: \"\" is no key:"));
  CHECK(refusal_of("a b=1").text().starts_with("line 1: \"a b\" is no key:"));
  CHECK(refusal_of("1a=1").text().starts_with("line 1: \"1a\" is no key:"));
  CHECK(refusal_of("a=\xff").text() ==
        "line 1: the value of \"a\" is not UTF-8 text; encode it, for example with base64");
  CHECK(refusal_of(std::string_view{"a=\0", 3}).code() == errc::invalid_argument);
  CHECK(refusal_of(std::string(129, 'k') + "=1").code() == errc::invalid_argument);
}

TEST_CASE("outputs are bounded in bytes and keys") {
  CHECK(parse_outputs("a=" + std::string(output_bytes_max - 2, 'x')));
  const auto large = refusal_of("a=" + std::string(output_bytes_max - 1, 'x'));
  CHECK(large.code() == errc::too_large);
  CHECK(large.text() ==
        "more than 65536 bytes; leave what is larger in a file, and name it in the `artifacts` of "
        "the task");
  std::string many;
  for (std::size_t each = 0; each < output_keys_max; ++each) {
    many += "k" + std::to_string(each) + "=\n";
  }
  CHECK(parse_outputs(many)->size() == output_keys_max);
  CHECK(refusal_of(many + "one_more=").code() == errc::too_large);
}

// Goal: what fits as it always did stays where it was, and of more as little as need be goes.
TEST_CASE("the largest outputs are kept apart until the others fit") {
  const auto value = [](std::size_t bytes) { return std::string(bytes, 'x'); };
  const auto whole = output_bytes_max;
  CHECK(large_among({{"a", value(whole - 1)}}).empty());
  CHECK(large_among({{"a", value(whole)}}) == std::vector<std::size_t>{0});
  CHECK(large_among({{"a", value(1)}, {"b", value(whole / 2)}, {"c", value(whole / 2)}}) ==
        std::vector<std::size_t>{1});
  CHECK(large_among({{"a", value(whole)}, {"b", ""}, {"c", value(whole + 1)}}) ==
        std::vector<std::size_t>{2, 0});
  pairs most;
  for (std::size_t at = 0; at < output_keys_max; ++at) {
    auto key = std::to_string(at);
    key.insert(0, output_key_bytes_max - key.size(), 'k');
    most.emplace_back(key, value(128));
  }
  CHECK(large_among(most).empty());

  const auto refused =
      parse_outputs("a=" + value(large_output_bytes_max - 1), large_output_bytes_max);
  CHECK(parse_outputs("a=" + value(large_output_bytes_max - 2), large_output_bytes_max));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text().starts_with("more than 16777216 bytes; "));
  CHECK(check_output_value(value(large_output_bytes_max), large_output_bytes_max));
  CHECK_FALSE(check_output_value(value(large_output_bytes_max + 1), large_output_bytes_max));
}

TEST_CASE("a text that stands for itself is bounded as any other output") {
  CHECK(check_output_value(""));
  CHECK(check_output_value("ünïcode\nof two lines"));
  CHECK(check_output_value(std::string(output_bytes_max, 'x')));
  CHECK(check_output_value(std::string(output_bytes_max + 1, 'x')).error().code() ==
        errc::too_large);
  CHECK(check_output_value("\xff").error().text() ==
        "it is not UTF-8 text; encode it, for example with base64");
  CHECK(check_output_value(std::string_view{"a\0b", 3}).error().code() == errc::invalid_argument);
}

TEST_CASE("logs are read in pieces and from their end") {
  const scratch_directory directory;
  const auto file = directory.path() / "log";
  { std::ofstream{file} << "one\ntwo\nthree"; }
  const log_file log{unique_fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)}};
  auto chunk = log.read(0, 4);
  REQUIRE(chunk);
  CHECK(chunk->bytes == "one\n");
  CHECK(chunk->next_offset == 4);
  CHECK_FALSE(chunk->at_end);
  chunk = log.read(4, 100);
  CHECK(chunk->bytes == "two\nthree");
  CHECK(chunk->at_end);
  CHECK(log.read(99, 1)->at_end);
  CHECK(log.tail_bytes(3)->bytes == "ree");
  CHECK(log.tail_lines(2, 100)->bytes == "two\nthree");
  CHECK(log.tail_lines(9, 100)->bytes == "one\ntwo\nthree");
  CHECK(log.tail_lines(2, 7)->bytes == "o\nthree");
  CHECK(log.tail_lines(0, 100)->bytes.empty());
  CHECK(log.tail_lines(2, 100)->offset == 4);
  CHECK(log.size() == 13);
  CHECK(log.dropped() == 0);
}

TEST_CASE("each maximal ill-formed part becomes one replacement character") {
  const std::string bad = "\xef\xbf\xbd";
  CHECK(to_utf8("plain \xf0\x9f\x98\x80") == "plain \xf0\x9f\x98\x80");
  CHECK(to_utf8("\xc0\xaf") == bad + bad);                      // overlong
  CHECK(to_utf8("\xed\xa0\x80") == bad + bad + bad);            // surrogate
  CHECK(to_utf8("\xf0\x9f\x98x") == bad + "x");                 // cut short
  CHECK(to_utf8("\xf4\x90\x80\x80") == bad + bad + bad + bad);  // beyond U+10FFFF
}

}  // namespace millrace::actors::testing
