// SPDX-License-Identifier: MIT
// What the source tree promises a newcomer: the script `dev` and the README.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

// The first block of the README in that language.
std::string readme_block(const std::string& language) {
  const auto text = contents(MILLRACE_SOURCE "/README.md");
  const auto mark = "\n```" + language + "\n";
  const auto start = text.find(mark);
  REQUIRE(start != std::string::npos);
  const auto end = text.find("\n```\n", start + mark.size());
  return text.substr(start + mark.size(), end + 1 - start - mark.size());
}

TEST_CASE("the README's pipeline does what it says") {
  temporary_folder folder;
  const auto file = folder.path / "pipeline.yaml";
  std::ofstream{file} << readme_block("yaml");
  const auto input = folder.path / "input";
  fs::create_directory(input);
  std::ofstream{input / "a.txt"} << "one\n";
  std::ofstream{input / "b c.txt"} << "two\n";
  const auto data = (folder.path / "data").string();
  const auto run =
      millrace({"run", file.string(), "--data", data, "-p", "input=" + input.string()});
  CAPTURE(run.errors);
  CHECK(run.status == 0);
  CHECK(run.output.find("a.txt.gz\n") != std::string::npos);
  CHECK(run.output.find("b c.txt.gz\n") != std::string::npos);
  CHECK(run.errors.find("(4 tasks: 4 succeeded)") != std::string::npos);
  CHECK(millrace({"run", file.string(), "--data", data, "-p", "input=/no/such/place"}).status == 1);
  CHECK(millrace({"run", file.string(), "--data", data}).status == 2);
}

// Method: the script stands in a folder of its own, and the tools that it calls are stubs, of
// which the build fails.
TEST_CASE("`./dev bench` and `./dev run` show why a build fails") {
  temporary_folder folder;
  fs::copy(MILLRACE_SOURCE "/dev", folder.path / "dev");
  const auto tools = folder.path / "tools";
  fs::create_directory(tools);
  const auto stub = [&](const char* name, const char* body) {
    std::ofstream{tools / name} << "#!/bin/sh\n" << body;
    fs::permissions(tools / name, fs::perms::owner_all);
  };
  stub("dpkg-query", "echo install ok installed\n");
  stub("cmake", "case \"$*\" in *--build*) echo 'error: the cause' ; exit 1 ;; esac\n");
  stub("ninja", "echo '[1/1] error: the cause'; test \"$3\" = -n\n");
  for (const auto* command : {"bench", "run x.yaml"}) {
    CAPTURE(command);
    const auto printed = folder.path / "printed";
    const auto status =
        std::system(("PATH=" + tools.string() + ":$PATH " + (folder.path / "dev").string() + " " +
                     command + " >" + printed.string() + " 2>&1")
                        .c_str());
    CHECK(WEXITSTATUS(status) == 2);
    CHECK(contents(printed).find("error: the cause") != std::string::npos);
  }
}

}  // namespace
}  // namespace millrace::testing
