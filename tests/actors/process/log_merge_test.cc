// SPDX-License-Identifier: MIT
#include "millrace/actors/log_merge.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "fixture.h"

namespace millrace::actors::testing {

namespace {

using runtime::unique_fd;
using runtime::wall_time;

wall_time at(std::int64_t ms) {
  return wall_time{std::chrono::milliseconds{ms}};
}

std::string taken(log_merge& from) {
  std::string text;
  while (const auto line = from.next_line()) {
    text += std::to_string(line->output) + line->text + ' ';
  }
  return text;
}

}  // namespace

TEST_CASE("lines of several outputs come in the order of their times") {
  log_merge merge;
  merge.add(at(10));
  merge.add(at(5));
  CHECK(merge.needs() == 1);
  merge.give(1, {0, 0, "a\nb\nc\n", 6}, {{2, at(5)}, {4, at(20)}, {6, at(40)}}, {});
  CHECK(taken(merge) == "1a ");
  CHECK(merge.needs() == 0);
  merge.give(0, {0, 0, "x\ny\n", 4}, {{2, at(20)}, {4, at(30)}}, {});
  CHECK(taken(merge) == "0x 1b 0y ");  // of the same time, that of the first output first
  CHECK(merge.needs() == 0);           // it may have more of the time 30
  merge.end(0);
  CHECK(taken(merge) == "1c ");
  CHECK(merge.needs() == 1);
  merge.end(1);
  CHECK_FALSE(merge.needs());
  CHECK_FALSE(merge.next_line());
}

TEST_CASE("a line goes on in the next piece, and has the time of its first byte") {
  log_merge merge;
  merge.add(at(0));
  merge.add(at(15));
  merge.give(0, {0, 0, "be", 2}, {{2, at(10)}}, {});
  CHECK_FALSE(merge.next_line());
  CHECK(merge.needs() == 0);
  merge.give(0, {0, 2, "gun\n", 6}, {{6, at(90)}}, {});
  const auto line = merge.next_line();
  REQUIRE(line);
  CHECK(line->text == "begun");
  CHECK(line->at == at(10));
  CHECK(merge.needs() == 0);
  merge.give(0, {0, 6, "no end", 12}, {}, at(95));
  CHECK(merge.needs() == 1);
  merge.end(1);
  merge.end(0);
  CHECK(taken(merge) == "0no end ");
}

TEST_CASE("what is dropped is told on a line of its own") {
  const auto told = dropped_text(7);
  const auto line = told.substr(1, told.size() - 2);
  log_merge merge;
  merge.add(at(0));
  merge.give(0, {0, 0, "he", 2}, {}, at(1));
  merge.give(0, {7, 9, "ad\nx\n", 14}, {}, at(2));
  merge.give(0, {7, 21, "y\n", 23}, {}, at(3));
  merge.end(0);
  CHECK(taken(merge) == "0he 0" + line + " 0ad 0x 0" + line + " 0y ");
}

TEST_CASE("a line without an end is told in parts, shorter ones where many are read") {
  log_merge merge;
  merge.add(at(0));
  const std::string part(merged_line_bytes_max, 'x');
  merge.give(0, {0, 0, part + "y\n" + part + "\n", 0}, {}, at(1));
  merge.end(0);
  CHECK(taken(merge) == "0" + part + " 0y 0" + part + " ");
}

TEST_CASE("what is held of outputs that write no newline is bounded for all together") {
  constexpr std::size_t many = 1'000;
  log_merge merge;
  for (std::size_t output = 0; output < many; ++output) {
    merge.add(at(0));
  }
  std::size_t given = 0;
  std::size_t told = 0;
  std::size_t most = 0;
  std::vector<std::uint64_t> offsets(many);
  for (int pieces = 0; pieces < 5'000; ++pieces) {
    const auto next = merge.needs();
    REQUIRE(next);
    const auto size = merge.piece_bytes_max();
    auto& offset = offsets[*next];
    merge.give(*next, {0, offset, std::string(size, 'x'), offset + size}, {}, at(pieces));
    offset += size;
    given += size;
    while (const auto line = merge.next_line()) {
      told += line->text.size();
    }
    most = std::max(most, given - told);
  }
  CHECK(most <= 4 * merged_bytes_max);
  CHECK(given > 8 * merged_bytes_max / 4);
}

// Each output is a list of lines with ascending times, given in pieces of any size.
TEST_CASE("any outputs in any pieces are merged as sorting would") {
  std::mt19937 random{7};
  const auto below = [&random](unsigned most) { return static_cast<unsigned>(random() % most); };
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    struct written {
      std::string bytes;
      std::vector<log_time> times;
      std::size_t given = 0;
    };
    struct expected_line {
      wall_time time;
      merged_output output;
      std::string text;
    };
    log_merge merge;
    std::vector<written> outputs(1 + below(5));
    std::vector<expected_line> expected;
    for (merged_output output = 0; output < outputs.size(); ++output) {
      auto& one = outputs[output];
      auto time = at(below(20));
      merge.add(time);
      for (auto lines = below(8); lines > 0; --lines) {
        time += std::chrono::milliseconds{below(10)};
        const std::string text(below(6), static_cast<char>('a' + below(26)));
        one.bytes += text + "\n";
        one.times.push_back({one.bytes.size(), time});
        expected.push_back({time, output, text});
      }
    }
    std::stable_sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) {
      return std::tie(a.time, a.output) < std::tie(b.time, b.output);
    });
    std::size_t told = 0;
    for (;;) {
      while (const auto line = merge.next_line()) {
        REQUIRE(told < expected.size());
        CHECK(line->output == expected[told].output);
        CHECK(line->text == expected[told].text);
        CHECK(line->at == expected[told].time);
        ++told;
      }
      const auto next = merge.needs();
      if (!next) {
        break;
      }
      auto& one = outputs[*next];
      const auto count = std::min<std::size_t>(1 + below(9), one.bytes.size() - one.given);
      if (count == 0) {
        merge.end(*next);
        continue;
      }
      const auto from = std::exchange(one.given, one.given + count);
      std::vector<log_time> times;
      for (const auto& each : one.times) {
        if (each.end > from && (times.empty() || times.back().end < one.given)) {
          times.push_back({std::min<std::uint64_t>(each.end, one.given), each.at});
        }
      }
      merge.give(*next, {0, from, one.bytes.substr(from, count), one.given}, times, {});
    }
    CHECK(told == expected.size());
  }
}

TEST_CASE("a file of times says when each byte was written") {
  const scratch_directory directory;
  const auto file = directory.path() / "log";
  { std::ofstream{file} << "one\ntwo\nthree\n"; }
  const timespec written[] = {{50, 0}, {50, 0}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), written, 0) == 0);
  const auto with = [&](const std::string& times) {
    const auto beside = directory.path() / "log.times";
    { std::ofstream{beside} << times; }
    return log_file{unique_fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)},
                    unique_fd{::open(beside.c_str(), O_RDONLY | O_CLOEXEC)}};
  };
  const auto told = [](const log_file& log, std::uint64_t from, std::uint64_t to) {
    std::string text;
    for (const auto& each : log.times(from, to)) {
      text += std::to_string(each.end) + "@" +
              std::to_string(each.at.time_since_epoch() / std::chrono::milliseconds{1}) + " ";
    }
    return text;
  };
  const auto two = time_line({4, at(10'000)}) + time_line({8, at(20'500)});
  CHECK(two == "0000000010000 000000000000004\n0000000020500 000000000000008\n");
  CHECK(told(with(two), 0, 14) == "4@10000 8@20500 14@50000 ");
  CHECK(told(with(two), 4, 6) == "6@20500 ");
  CHECK(told(with(two), 3, 5) == "4@10000 5@20500 ");
  CHECK(told(with(two), 9, 10) == "10@50000 ");
  CHECK(told(with(two), 4, 4).empty());
  CHECK(told(with(""), 0, 14) == "14@50000 ");
  CHECK(told(with(time_line({4, at(99'000)})), 0, 14) == "4@99000 14@99000 ");  // a clock set back
  SUBCASE("a task may have written into it") {
    CHECK(told(with("nonsense"), 0, 14) == "14@50000 ");
    CHECK(told(with(std::string(300, 'x')), 0, 14) == "14@50000 ");
    CHECK(told(with(two + two), 0, 14) == "4@10000 8@20500 14@50000 ");
    CHECK(told(with(time_line({999'999, at(5)})), 0, 14) == "14@5 ");
    CHECK(told(with("9999999999999 000000000000004\n"), 0, 14) == "14@50000 ");
  }
  SUBCASE("the first of many is found") {
    std::string many;
    std::ofstream log{file, std::ios::app};
    for (std::uint64_t each = 1; each <= 1'000; ++each) {
      log << "line\n";
      many += time_line({14 + 5 * each, at(static_cast<std::int64_t>(100'000 + each))});
    }
    log.close();
    CHECK(told(with(many), 14 + 5 * 700, 14 + 5 * 701) == "3519@100701 ");
  }
}

TEST_CASE("while an attempt writes it is noted when, and kept with what it wrote") {
  const fixture f;
  // It is looked at four times a second.
  const auto ended = f.run(f.shell("r.1",
                                   "d=$(dirname \"$MILLRACE_OUTPUT\"); echo one; "
                                   "until [ -s \"$d/stdout.times\" ]; do sleep 0.01; done; "
                                   "echo two; echo err >&2"));
  CHECK(ended.exit_code == 0);
  const auto log = f.log("r.1");
  const auto times = log.times(0, 8);
  REQUIRE(times.size() == 2);
  CHECK(times[0].end == 4);
  CHECK(times[0].at >= ended.started_at - 20ms);  // the clock of files is behind the others
  CHECK(times[1].at > times[0].at);
  CHECK(times[1].at == log.written_at());
  CHECK(std::filesystem::exists(f.directory.path() / "state" / "logs" / "r" / "r.1.stdout.times"));
  CHECK(f.log("r.1", output_stream::standard_error).times(0, 4).size() == 1);
  CHECK(f.run(f.shell("r.2", "true")).exit_code == 0);  // in the same directory
  CHECK_FALSE(
      std::filesystem::exists(f.directory.path() / "state" / "logs" / "r" / "r.2.stdout.times"));
}

TEST_CASE("an attempt that puts something in the place of the times loses them alone") {
  const fixture f;
  const auto ended =
      f.run(f.shell("r.2",
                    "d=$(dirname \"$MILLRACE_OUTPUT\"); "
                    "mkfifo \"$d/stdout.times\"; echo one; read go < \"$d/stdout.times\" & "
                    "kill $!; wait; echo two"));
  CHECK(ended.outcome == process_outcome::exited);
  CHECK(f.log("r.2").read(0, 100)->bytes == "one\ntwo\n");
  CHECK(f.log("r.2").times(0, 8).size() == 1);
}

}  // namespace millrace::actors::testing
