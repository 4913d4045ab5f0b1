// SPDX-License-Identifier: MIT
// A test of somebody else's actor: no file, no waiting.
#include <millrace/testing/test_silo.h>

#include <chrono>
#include <cstdio>

#include "tally.h"

using namespace std::chrono_literals;
using millrace::runtime::ref;

int main() {
  millrace::testing::test_silo silo{[](auto& here) { here.template add<shop::tally>(); }};
  const auto total = [&] { return silo.call(ref<shop::Tally>("apples").get())->total(); };
  bool holds = silo.call(ref<shop::Tally>("apples").add(5)).has_value() && total() == 5;

  silo.advance(1h);  // it is collected, and comes back
  holds = holds && silo.here().stats().activations == 0 && total() == 5;

  silo.rows().hold_commits();
  auto lost = silo.begin(ref<shop::Tally>("apples").add(1));
  silo.crash();
  silo.start();
  holds = holds && !lost.answer() && total() == 5;
  std::puts(holds ? "tally_test: everything holds" : "tally_test: something does not hold");
  return holds ? 0 : 1;
}
