// SPDX-License-Identifier: MIT
// Attempts with secrets: what real commands write of them never stands in a file.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <sstream>

#include "fixture.h"
#include "millrace/actors/process_outputs.h"
#include "process/masked_pipes.h"

namespace millrace::actors::testing {
namespace {

namespace fs = std::filesystem;

const std::string secret = "correct-horse-battery-staple";

// The files under `top` that have `text` in them.
std::vector<std::string> files_with(const fs::path& top, const std::string& text) {
  std::vector<std::string> found;
  for (const auto& each : fs::recursive_directory_iterator{top}) {
    if (each.is_regular_file()) {
      std::ostringstream content;
      content << std::ifstream{each.path(), std::ios::binary}.rdbuf();
      if (content.str().find(text) != std::string::npos) {
        found.push_back(each.path());
      }
    }
  }
  return found;
}

void check_nowhere(const fs::path& top) {
  CHECK(files_with(top, secret) == std::vector<std::string>{});
  CHECK(files_with(top, secret.substr(0, secret.size() / 2)) == std::vector<std::string>{});
  CHECK(files_with(top, secret.substr(secret.size() / 2)) == std::vector<std::string>{});
}

long peak_kib() {
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  return own.ru_maxrss;
}

process_spec with_secret(process_spec made) {
  made.environment.push_back("SECRET=" + secret);
  made.secrets = {secret};
  return made;
}

TEST_CASE("a secret is masked in both streams and in the output") {
  fixture f;
  const auto report = f.run(
      with_secret(f.shell("a1",
                          "echo \"out $SECRET\"; echo \"err $SECRET\" >&2; "
                          "echo \"k=$SECRET\" >> \"$MILLRACE_OUTPUT\"; printf 'l=%s\\n' end >> "
                          "\"$MILLRACE_OUTPUT\"; exit 0")));
  CHECK(report.outcome == process_outcome::exited);
  CHECK(report.exit_code == 0);
  CHECK(report.standard_output.tail == "out ***\n");
  CHECK(report.standard_error.tail == "err ***\n");
  REQUIRE(report.output);
  CHECK(*report.output == "k=***\nl=end\n");
  CHECK(f.log("a1").tail_bytes(100)->bytes == "out ***\n");
  check_nowhere(f.directory.path());
}

TEST_CASE("a secret that is written in pieces is masked") {
  fixture f;
  const auto report = f.run(with_secret(f.shell(
      "a1",
      "for i in 1 2 3; do printf correct-horse-; sleep 0; printf 'battery-staple\\n'; done")));
  CHECK(report.standard_output.tail == "***\n***\n***\n");
  check_nowhere(f.directory.path());
}

TEST_CASE("much output of an attempt with secrets arrives whole") {
  fixture f;
  const auto report = f.run(with_secret(
      f.shell("a1",
              "i=0; while [ $i -lt 30000 ]; do echo \"line $i $SECRET of many\"; i=$((i+1)); "
              "done; echo done >&2")));
  CHECK(report.exit_code == 0);
  std::string expected;
  for (int at = 0; at < 30'000; ++at) {
    expected += "line " + std::to_string(at) + " *** of many\n";
  }
  CHECK(report.standard_output.bytes == expected.size());
  CHECK(f.log("a1").read(0, expected.size() + 1)->bytes == expected);
}

TEST_CASE("the log of an attempt with secrets can be followed") {
  fixture f;
  auto started = f.start(with_secret(f.shell("a1", "echo \"$SECRET\"; exec sleep 1000")));
  CHECK(f.read_growing("a1", 4) == "***\n");
  REQUIRE(f.supervisor->cancel("a1"));
  CHECK(await(std::move(started)).outcome == process_outcome::cancelled);
}

// Goal: what is in a pipe, or held back, when the silo dies is lost, not written.
TEST_CASE("a next life finds no secret, whatever the command was at") {
  fixture f;
  auto started = f.start(with_secret(f.shell(
      "a1",
      "echo \"k=$SECRET\" >> \"$MILLRACE_OUTPUT\"; echo \"$SECRET\"; printf correct-horse-; "
      "printf x >&2; exec sleep 1000")));
  CHECK(f.read_growing("a1", 4) == "***\n");
  check_nowhere(f.directory.path());  // as a silo that was killed just now would leave it
  f.supervisor->stop();
  check_nowhere(f.directory.path());
  f.open();
  check_nowhere(f.directory.path());
}

TEST_CASE("an output pipe that was removed or replaced is told") {
  struct row {
    const char* does;
    const char* told;
  };
  constexpr std::array rows{row{"rm \"$MILLRACE_OUTPUT\"", "the output pipe was removed"},
                            row{"rm \"$MILLRACE_OUTPUT\"; echo k=v > \"$MILLRACE_OUTPUT\"",
                                "the output pipe was replaced by a file"},
                            row{"rm \"$MILLRACE_OUTPUT\"; mkfifo \"$MILLRACE_OUTPUT\"",
                                "the output pipe was replaced by a pipe"}};
  fixture f;
  int number = 0;
  for (const auto& each : rows) {
    CAPTURE(each.does);
    const auto token = "a" + std::to_string(++number);
    const auto report = f.run(with_secret(f.shell(token, each.does)));
    REQUIRE_FALSE(report.output);
    CHECK(report.output.error().text().starts_with(each.told));
    REQUIRE(f.supervisor->acknowledge(token));
  }
  CHECK(f.run(f.shell("b1", "echo fresh")).standard_output.tail == "fresh\n");
}

TEST_CASE("an output of an attempt with secrets that is too long is bounded") {
  fixture f;
  const auto report = f.run(
      with_secret(f.shell("a1", "head -c 20000000 /dev/zero | tr '\\0' a > \"$MILLRACE_OUTPUT\"")));
  CHECK(report.exit_code == 0);
  REQUIRE(report.output);
  CHECK(report.output->size() == large_output_bytes_max + 1);
}

TEST_CASE("an attempt that has secrets and may be outlived is refused") {
  fixture f;
  auto spec = with_secret(f.shell("a1", "true"));
  spec.detach = detach_policy::allowed;
  CHECK(f.refusal(spec).code() == errc::invalid_argument);
}

TEST_CASE("secrets that no command can be given are refused before they are masked") {
  fixture f;
  auto spec = f.shell("a1", "true");
  for (int at = 0; at < 100; ++at) {
    spec.secrets.push_back(std::string(65'536, static_cast<char>('A' + at % 50)));
    spec.environment.push_back("S" + std::to_string(at) + "=" + spec.secrets.back());
  }
  const auto before = peak_kib();
  const auto refused = f.refusal(spec);
  CHECK(refused.code() == errc::too_large);
  CHECK(refused.text().find("more than the system takes") != std::string::npos);
  CHECK(peak_kib() - before < 50'000);  // twice what the values have, a quarter of the mask
}

// Goal: what is still in the pipes at the end is not lost without a word.
TEST_CASE("pipes that end on a full disk tell") {
  const scratch_directory directory;
  process_detail::attempt_files files;
  files.directory = unique_fd{::open(directory.path().c_str(), O_DIRECTORY | O_CLOEXEC)};
  files.output = unique_fd{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  for (auto& each : files.streams) {
    each = unique_fd{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  }
  for (const bool is_held : {false, true}) {
    CAPTURE(is_held);
    fs::remove(directory.path() / process_detail::masked_pipes::output_name);
    const auto pipes = process_detail::masked_pipes::open(files, {secret});
    REQUIRE(pipes);
    const std::string text = is_held ? "correct" : "of no secret\n";
    const auto end = (*pipes)->writing_end(output_stream::standard_output);
    REQUIRE(::write(end, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    (*pipes)->close_writing_ends();
    if (is_held) {
      CHECK((*pipes)->pass_on(0) == process_detail::masked_pipes::flow::goes_on);
    }
    const auto finished = (*pipes)->finish();
    REQUIRE_FALSE(finished);
    CHECK(finished.error().code() == errc::out_of_space);
  }
}

}  // namespace
}  // namespace millrace::actors::testing
