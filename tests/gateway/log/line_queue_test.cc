// SPDX-License-Identifier: MIT
#include "log/line_queue.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
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
    queue.add(line + "\n", line_kind::kept);
  }
  queue.add("short, and too much as well\n", line_kind::kept);
  reads.set_value();
  REQUIRE(has_told.get_future().wait_for(std::chrono::minutes{1}) == std::future_status::ready);
  CHECK(all.size() == line_queue::bytes_max + told(4).size());
  CHECK(all.ends_with("x\n4 dropped\n"));
}

// Goal: who floods the log does not hide what he did. Method: the first line is kept waiting.
TEST_CASE("ordinary lines leave room for those that are kept") {
  std::promise<void> reads;
  std::string all;
  {
    line_queue queue{[&, until = reads.get_future().share()](std::string_view line) {
                       until.wait();
                       all += line;
                     },
                     told};
    const std::string line(line_queue::bytes_max / 8 - 1, 'x');
    for (int at = 0; at < 9; ++at) {
      queue.add(line + "\n");
    }
    queue.add("who=a\n", line_kind::kept);
    reads.set_value();
  }
  CHECK(all.find("who=a\n") == line_queue::ordinary_bytes_max);
  CHECK(all.ends_with("5 dropped\n"));
}

TEST_CASE("whoever ends the process waits until what was added is written, and not for ever") {
  std::promise<void> reads;
  std::atomic<bool> is_written{false};
  line_queue queue{[&, until = reads.get_future().share()](std::string_view) {
                     until.wait();
                     is_written = true;
                   },
                   told};
  queue.add("last words\n");
  queue.flush(std::chrono::milliseconds{1});
  CHECK_FALSE(is_written);
  reads.set_value();
  queue.flush(std::chrono::minutes{1});
  CHECK(is_written);
}

TEST_CASE("a sudden end waits likewise, without what other threads may hold") {
  std::promise<void> reads;
  std::promise<void> begins;
  std::atomic<bool> is_written{false};
  line_queue queue{[&, until = reads.get_future().share()](std::string_view) {
                     begins.set_value();
                     until.wait();
                     is_written = true;
                   },
                   told};
  queue.add("last words\n");
  begins.get_future().wait();
  queue.flush_at_once(std::chrono::milliseconds{1});
  CHECK_FALSE(is_written);
  reads.set_value();
  queue.flush_at_once(std::chrono::minutes{1});
  CHECK(is_written);
}

// Method: a pipe that takes no more than the half of it until it is read.
TEST_CASE("a line is written whole where the file does not wait") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  const auto held = ::fcntl(ends[1], F_GETPIPE_SZ);
  REQUIRE(held > 0);
  const std::string line(static_cast<std::size_t>(held) * 2, 'x');
  auto writes = std::async(std::launch::async, [&] {
    write_whole(ends[1], line);
    ::close(ends[1]);
  });
  std::string all;
  std::array<char, 4096> part{};
  for (;;) {
    const auto count = ::read(ends[0], part.data(), part.size());
    if (count == 0) {
      break;
    }
    if (count > 0) {
      all.append(part.data(), static_cast<std::size_t>(count));
    } else {
      pollfd more{ends[0], POLLIN, 0};
      ::poll(&more, 1, -1);
    }
  }
  ::close(ends[0]);
  CHECK(all == line);
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
