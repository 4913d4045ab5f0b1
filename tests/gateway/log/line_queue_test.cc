// SPDX-License-Identifier: MIT
#include "log/line_queue.h"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>

namespace millrace::gateway {
namespace {

std::string told(std::size_t count) {
  return std::to_string(count) + " dropped\n";
}

}  // namespace

TEST_CASE("lines are written in their order, and all of them before the end") {
  const auto all = std::make_shared<std::string>();
  {
    line_queue queue{[all](std::string_view line) { *all += line; }, told};
    for (int at = 0; at < 100; ++at) {
      queue.add(std::to_string(at) + "\n");
    }
  }
  CHECK(all->starts_with("0\n1\n2\n"));
  CHECK(all->ends_with("98\n99\n"));
}

// Goal: a reader that has stopped stops nobody who logs.
// Method: the first line is kept waiting.
TEST_CASE("what does not fit while nobody reads is dropped, and a line says how much") {
  std::promise<void> reads;
  std::promise<void> has_told;
  std::string all;
  const auto write = [&, until = reads.get_future().share()](std::string_view line) {
    until.wait();
    all += line;
    if (line.ends_with("dropped\n")) {
      has_told.set_value();
    }
  };
  line_queue queue{write, told};
  const std::string line(line_queue::bytes_max / 4 - 1, 'x');
  for (int at = 0; at < 7; ++at) {
    queue.add(line + "\n");
  }
  queue.add("short, and too much as well\n");
  reads.set_value();
  REQUIRE(has_told.get_future().wait_for(std::chrono::minutes{1}) == std::future_status::ready);
  CHECK(all.size() == line_queue::bytes_max + told(4).size());
  CHECK(all.ends_with("x\n4 dropped\n"));
}

TEST_CASE("a line that is never written does not keep the process") {
  std::promise<void> never;
  {
    line_queue queue{[until = never.get_future().share()](std::string_view) { until.wait(); },
                     told};
    queue.add("stuck\n");
  }
  never.set_value();  // its thread ends
}

}  // namespace millrace::gateway
