// SPDX-License-Identifier: MIT
// The entry of every test program. One that runs no test case has failed: a filter that matches
// nothing, or a source that was left out of the program, must not look like success.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

namespace {

unsigned cases = 0;

struct case_counter final : doctest::IReporter {
  explicit case_counter(const doctest::ContextOptions& /*options*/) {}
  void report_query(const doctest::QueryData& /*query*/) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& /*stats*/) override {}
  void test_case_start(const doctest::TestCaseData& /*started*/) override { ++cases; }
  void test_case_reenter(const doctest::TestCaseData& /*again*/) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& /*stats*/) override {}
  void test_case_exception(const doctest::TestCaseException& /*thrown*/) override {}
  void subcase_start(const doctest::SubcaseSignature& /*started*/) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& /*data*/) override {}
  void log_message(const doctest::MessageData& /*message*/) override {}
  void test_case_skipped(const doctest::TestCaseData& /*skipped*/) override {}
};

}  // namespace

REGISTER_LISTENER("case_counter", 1, case_counter);

int main(int count, char** arguments) {
  doctest::Context context{count, arguments};
  const auto status = context.run();
  if (context.shouldExit() || status != 0 || cases > 0) {
    return status;
  }
  std::fputs("no test case ran\n", stderr);
  return 1;
}
