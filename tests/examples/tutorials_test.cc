// SPDX-License-Identifier: MIT
// The tutorials say what the examples do.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

const fs::path source{MILLRACE_SOURCE};

std::string content_of(const fs::path& path) {
  std::ifstream file{path};
  REQUIRE_MESSAGE(file, path.string() << " cannot be read");
  return {std::istreambuf_iterator<char>{file}, {}};
}

struct code_block {
  std::string language;
  std::string text;
};

std::vector<code_block> blocks_of(const fs::path& page) {
  std::vector<code_block> blocks;
  std::ifstream file{page};
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      if (!inside) {
        blocks.push_back({line.substr(3), {}});
      }
      inside = !inside;
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  CHECK_FALSE(inside);
  return blocks;
}

// Goal: a tutorial never shows code that does not exist.
// Method: whatever is not a terminal's session has to stand in the example of the page's name, in
// its test, or in the file that builds the examples, line by line.
TEST_CASE("every code block of a tutorial stands in its example") {
  unsigned checked = 0;
  for (const auto& page : fs::directory_iterator{source / "docs" / "tutorials"}) {
    const auto example = source / "examples" / page.path().stem();
    CAPTURE(page.path().filename().string());
    std::string sources = content_of(source / "examples" / "CMakeLists.txt");
    const auto test = source / "tests/examples" / (page.path().stem().string() + "_test.cc");
    if (fs::exists(test)) {
      sources += content_of(test);
    }
    for (const auto& file : fs::directory_iterator{example}) {
      sources += content_of(file.path());
    }
    for (const auto& block : blocks_of(page.path())) {
      if (block.language == "console") {
        continue;
      }
      CAPTURE(block.text);
      CHECK_FALSE(block.language.empty());
      CHECK(sources.find("\n" + block.text) != std::string::npos);
      ++checked;
    }
  }
  CHECK(checked > 10);
}

TEST_CASE("every example program has a tutorial, and the README links it") {
  const auto readme = content_of(source / "README.md");
  int programs = 0;
  for (const auto& entry : fs::directory_iterator{source / "examples"}) {
    const auto example = entry.path().filename().string();
    if (fs::exists(entry.path() / (example + ".cc"))) {
      const auto name = "docs/tutorials/" + example + ".md";
      CAPTURE(name);
      CHECK(fs::exists(source / name));
      CHECK(readme.find("(" + name + ")") != std::string::npos);
      ++programs;
    }
  }
  CHECK(programs >= 3);
}

}  // namespace
}  // namespace millrace::testing
