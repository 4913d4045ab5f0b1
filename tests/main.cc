// SPDX-License-Identifier: MIT
// The entry of every test program. One that runs no test case has failed: a filter that matches
// nothing, or a source that was left out of the program, must not look like success. Nor must a
// test case that could not do its work here: it says MESSAGE("skipped: why"), and ctest shows the
// program as skipped; with MILLRACE_NO_SKIPS=1 in the environment it has failed. One that hangs is
// killed by ctest: what it has said by then is not lost, and each test case that takes long says
// that it does, and where it is. `addr2line -Cfie PROGRAM 0x...` tells the lines.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

// Half of what ctest gives most programs.
constexpr unsigned long_s = 150;

// What ctest takes for skipped, see CMakeLists.txt.
constexpr int skipped_status = 77;

unsigned cases = 0;
unsigned skips = 0;
const char* volatile running = "";

// The kernel gives the signal to the main thread, which runs the test case.
void say_where(int /*number*/) {
  const auto say = [](const char* text) {
    static_cast<void>(::write(STDERR_FILENO, text, std::strlen(text)) == 0);
  };
  say("takes long: ");
  say(running);
  say("\n");
  std::array<void*, 64> frames;
  const auto depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
  ::alarm(long_s);
}

void watch_for_hangs() {
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // what it needs is loaded now, not in the handler
  struct sigaction action {};
  action.sa_handler = say_where;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
}

struct case_counter final : doctest::IReporter {
  explicit case_counter(const doctest::ContextOptions& /*options*/) {}
  void report_query(const doctest::QueryData& /*query*/) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& /*stats*/) override {}
  void test_case_start(const doctest::TestCaseData& started) override {
    ++cases;
    running = started.m_name;
    ::alarm(long_s);
  }
  void test_case_reenter(const doctest::TestCaseData& /*again*/) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& /*stats*/) override { ::alarm(0); }
  void test_case_exception(const doctest::TestCaseException& /*thrown*/) override {}
  void subcase_start(const doctest::SubcaseSignature& /*started*/) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& /*data*/) override {}
  void log_message(const doctest::MessageData& message) override {
    skips += std::string_view{message.m_string.c_str()}.starts_with("skipped: ") ? 1 : 0;
  }
  void test_case_skipped(const doctest::TestCaseData& /*skipped*/) override {}
};

}  // namespace

REGISTER_LISTENER("case_counter", 1, case_counter);

int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  watch_for_hangs();
  doctest::Context context{count, arguments};
  const auto status = context.run();
  if (!context.shouldExit() && status == 0 && skips > 0) {
    const auto* const refused = std::getenv("MILLRACE_NO_SKIPS");
    std::fprintf(stderr, "%u test cases were skipped\n", skips);
    return refused != nullptr && *refused != '\0' ? 1 : skipped_status;
  }
  if (context.shouldExit() || status != 0 || cases > 0) {
    return status;
  }
  std::fputs("no test case ran\n", stderr);
  return 1;
}
