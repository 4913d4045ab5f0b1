// SPDX-License-Identifier: MIT
#include "artifact/path_pattern.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "millrace/actors/artifact.h"

namespace millrace::actors {
namespace {

// Whether a path is meant, found as the workspace is gone through.
bool means(const std::vector<std::string>& patterns, std::string_view path) {
  const path_pattern pattern{patterns};
  auto at = pattern.begin();
  for (;;) {
    const auto name = path.substr(0, path.find('/'));
    const auto step = pattern.follow(at, name);
    if (step.is_taken || name.size() == path.size()) {
      return step.is_taken;
    }
    at = step.below;
    path.remove_prefix(name.size() + 1);
  }
}

TEST_CASE("a pattern means names, and directories with all in them") {
  CHECK(means({"out/a.txt"}, "out/a.txt"));
  CHECK_FALSE(means({"out/a.txt"}, "out/a.txt2"));
  CHECK_FALSE(means({"out/a.txt"}, "a.txt"));
  CHECK(means({"out"}, "out/deep/er/.hidden"));
  CHECK(means({"./out/"}, "out/a"));
  CHECK(means({"*.xml"}, "a.xml"));
  CHECK_FALSE(means({"*.xml"}, "a/b.xml"));
  CHECK_FALSE(means({"*"}, ".hidden"));
  CHECK(means({".*"}, ".hidden"));
  CHECK(means({"a?c"},
              "a\xc3\xa4"
              "c"));
  CHECK_FALSE(means({"a?c"}, "ac"));
  CHECK(means({"[x]"}, "[x]"));
  CHECK(means({"x", "y/*"}, "y/z"));
  CHECK_FALSE(means({"x", "y/*"}, "z"));
}

TEST_CASE("two stars mean any directories, also none") {
  CHECK(means({"**/a"}, "a"));
  CHECK(means({"**/a"}, "b/c/a"));
  CHECK(means({"**/a"}, "b/a/c"));
  CHECK(means({"x/**/a"}, "x/a"));
  CHECK(means({"x/**/**/a"}, "x/y/z/a"));
  CHECK_FALSE(means({"x/**/a"}, "y/a"));
  CHECK(means({"x/**"}, "x/y/z"));
  CHECK_FALSE(means({"**"}, ".git/config"));
  CHECK(means({"**/.git"}, "a/.git/config"));
  CHECK_FALSE(means({"**/a"}, ".b/a"));
}

// Method: a pattern on which a search that goes back at every star would take longer than a life.
TEST_CASE("stars cost no more than the name is long") {
  const std::string name(200, 'a');
  std::string pattern;
  for (int at = 0; at < 60; ++at) {
    pattern += "*a";
  }
  CHECK(matches(pattern, name));
  CHECK_FALSE(matches(pattern + "b", name));
  CHECK(matches("*", ""));
  CHECK(matches("a**", "a"));
}

// Goal: the places of a pattern grow with the pattern alone, however deep the workspace is, and so
// does the work at each name. Method: the longest pattern of nothing but stars and one name, down a
// tree of that name; every place is met at once.
TEST_CASE("a pattern of many stars costs no more at each name than it is long") {
  std::string stars;
  for (int at = 0; at < 200; ++at) {
    stars += "**/d/";
  }
  const path_pattern pattern{{stars + "*.x", stars + "y"}};
  auto at = pattern.begin();
  std::size_t most = 0;
  for (int depth = 0; depth < 1'000; ++depth) {
    const auto step = pattern.follow(at, "d");
    at = step.below;
    most = std::max(most, at.size());
    CHECK(step.work <= 4 * 2 * stars.size());
  }
  CHECK(most == 2 * 401);
  CHECK(pattern.follow(at, "a.x").is_taken);
  CHECK_FALSE(pattern.follow(at, "a.z").is_taken);
}

TEST_CASE("a pattern that leads out of the workspace is refused, and so are such paths") {
  CHECK(refusal_of_path_pattern("a/**/*.b").empty());
  CHECK(refusal_of_path_pattern("./a/").empty());
  CHECK(refusal_of_path_pattern("..") == "leads out of the workspace");
  CHECK(refusal_of_path_pattern("a/../b") == "leads out of the workspace");
  CHECK(refusal_of_path_pattern("/etc") == "is absolute: write it below the workspace");
  CHECK(refusal_of_path_pattern("") == "is empty");
  CHECK(refusal_of_path_pattern(std::string(1'025, 'a')) == "has more than 1024 bytes");
  CHECK(refusal_of_artifact_path("a\nb") == "has a control character in it");
  CHECK(refusal_of_artifact_path("a\xff") == "is no UTF-8");
  CHECK(refusal_of_artifact_path("a//b") == "has a part ``");
}

TEST_CASE("a list reads back as it was written, and nothing else is one") {
  const std::string digest(64, 'a');
  const std::vector<artifact_file> files{{"a b", 0, true, digest},
                                         {"c", 18'446'744'073'709'551'615U, false, digest}};
  const auto text = to_text(files);
  CHECK(text == digest + " 0 x a b\n" + digest + " 18446744073709551615 - c\n");
  const auto read = parse_artifact_list(text);
  REQUIRE(read);
  CHECK(*read == files);
  CHECK(parse_artifact_list("")->empty());
  for (const auto& wrong :
       {text + "x", digest + " 1 - ../a\n", digest + " 1 - /a\n", digest + " 1 y a\n",
        digest + " -1 - a\n", std::string{"ab 1 - a\n"}, text + text, digest + " 1 - \n"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_artifact_list(wrong));
  }
}

TEST_CASE("digests are SHA-256") {
  digest_of_stream sum;
  sum.add("a");
  sum.add("bc");
  CHECK(std::move(sum).hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace millrace::actors
