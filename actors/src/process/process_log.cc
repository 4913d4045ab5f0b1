// SPDX-License-Identifier: MIT
#include "millrace/actors/process_log.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "process/failure.h"
#include "process/task_file.h"

namespace millrace::actors {
namespace {

using process_detail::file_failure;
using runtime::result;
using runtime::wall_time;

// The length of the longest prefix of `text` that begins a well-formed sequence (Unicode 15,
// table 3-7), at least 1; `complete` tells whether it is a whole one.
struct sequence {
  std::size_t length;
  bool complete;
};

sequence next_sequence(std::string_view text) {
  const auto at = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned lead = at(0);
  if (lead < 0x80) {
    return {1, true};
  }
  if (lead < 0xc2 || lead > 0xf4) {
    return {1, false};
  }
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t index = 1; index < length; ++index) {
    if (index >= text.size() || at(index) < low || at(index) > high) {
      return {index, false};
    }
    low = 0x80;
    high = 0xbf;
  }
  return {length, true};
}

// How often a piece is read again because its middle was dropped meanwhile.
constexpr int reads_max = 8;

std::uint64_t size_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// The bytes at and after `offset` that are there, up to the next that are not. A file system that
// does not know of holes has all.
struct extent {
  std::uint64_t begin;
  std::uint64_t end;
};

extent extent_at(int fd, std::uint64_t offset, std::uint64_t size) {
  const auto begin = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (begin < 0) {
    return errno == ENXIO ? extent{size, size} : extent{offset, size};
  }
  const auto end = ::lseek(fd, begin, SEEK_HOLE);
  return {static_cast<std::uint64_t>(begin), end < 0 ? size : static_cast<std::uint64_t>(end)};
}

result<std::string> read_bytes(int fd, std::uint64_t offset, std::uint64_t count) {
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto got =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno != EINTR) {
      return file_failure("cannot read a log", errno);
    }
    if (got == 0) {
      break;  // cut off meanwhile
    }
    done += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  bytes.resize(done);
  return bytes;
}

// A line of a file of times.
constexpr std::size_t time_digits = 13;
constexpr std::size_t end_digits = 15;
constexpr std::size_t time_line_bytes = time_digits + 1 + end_digits + 1;
constexpr std::uint64_t time_max_ms = 9'000'000'000'000;  // in the year 2255: all that fits
// Of a piece of a log. A supervisor writes so many in half an hour.
constexpr std::size_t times_max = 8'192;

std::string padded(std::uint64_t number, std::size_t digits) {
  const auto text = std::to_string(number);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc{} && end == text.data() + text.size() ? std::optional{number}
                                                                   : std::nullopt;
}

// Nothing for what the task has made of it.
std::optional<log_time> time_in(std::string_view line) {
  const auto time = number_in(line.substr(0, time_digits));
  const auto end = number_in(line.substr(time_digits + 1, end_digits));
  return time && end && *time <= time_max_ms
             ? std::optional{log_time{*end, wall_time{std::chrono::milliseconds{*time}}}}
             : std::nullopt;
}

// The lines from that one on, at most `count`.
std::string time_lines(int fd, std::uint64_t index, std::size_t count) {
  auto bytes = read_bytes(fd, index * time_line_bytes, count * time_line_bytes);
  return bytes ? *std::move(bytes) : std::string{};
}

std::optional<log_time> time_at(int fd, std::uint64_t index) {
  const auto line = time_lines(fd, index, 1);
  return line.size() == time_line_bytes ? time_in(line) : std::nullopt;
}

// Of the parts that end behind `from`, the first.
std::uint64_t first_time_after(int fd, std::uint64_t from) {
  std::uint64_t low = 0;
  auto high = size_of(fd) / time_line_bytes;
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    const auto found = time_at(fd, middle);
    if (found && found->end <= from) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

result<log_chunk> log_file::read(std::uint64_t offset, std::size_t limit) const {
  const auto size = size_of(fd_.get());
  log_chunk chunk;
  chunk.offset = offset;
  chunk.next_offset = offset;
  chunk.at_end = offset >= size;
  for (int tries = 0; !chunk.at_end && tries < reads_max; ++tries) {
    const auto there = extent_at(fd_.get(), offset, size);
    const auto count = std::min<std::uint64_t>(limit, std::min(there.end, size) - there.begin);
    auto bytes = read_bytes(fd_.get(), there.begin, count);
    if (!bytes) {
      return std::move(bytes).error();
    }
    chunk.dropped = there.begin - offset;
    chunk.offset = there.begin;
    chunk.bytes = std::move(bytes).value();
    chunk.next_offset = chunk.offset + chunk.bytes.size();
    chunk.at_end = chunk.next_offset >= size;
    const auto still = extent_at(fd_.get(), there.begin, size);
    if (still.begin == there.begin && still.end >= chunk.next_offset) {
      break;  // no zeros were read in place of what was being dropped
    }
  }
  return chunk;
}

result<log_chunk> log_file::tail_bytes(std::size_t limit) const {
  const auto size = size_of(fd_.get());
  return read(size - std::min<std::uint64_t>(size, limit), limit);
}

result<log_chunk> log_file::tail_lines(std::size_t lines, std::size_t limit) const {
  auto chunk = tail_bytes(limit);
  if (!chunk) {
    return chunk;
  }
  auto& bytes = chunk->bytes;
  auto start = bytes.size();
  if (start > 0 && lines > 0 && bytes.back() == '\n') {
    --start;
  }
  while (lines > 0 && start > 0 && (bytes[start - 1] != '\n' || --lines > 0)) {
    --start;
  }
  bytes.erase(0, start);
  chunk->offset += start;
  return chunk;
}

std::vector<log_time> log_file::times(std::uint64_t from, std::uint64_t to) const {
  std::vector<log_time> found;
  const auto end = [&] { return found.empty() ? from : found.back().end; };
  const auto add = [&](log_time one) {
    if (!found.empty()) {
      one.at = std::max(one.at, found.back().at);  // a clock that was set back
    }
    found.push_back(one);
  };
  if (times_ && from < to) {
    const auto lines = time_lines(times_.get(), first_time_after(times_.get(), from), times_max);
    for (std::size_t at = 0; at + time_line_bytes <= lines.size() && end() < to;
         at += time_line_bytes) {
      const auto one = time_in(std::string_view{lines}.substr(at, time_line_bytes));
      if (!one || one->end <= end()) {
        break;
      }
      add({std::min(one->end, to), one->at});
    }
  }
  if (end() < to) {
    add({to, written_at()});
  }
  return found;
}

wall_time log_file::written_at() const {
  struct stat status {};
  return ::fstat(fd_.get(), &status) == 0 ? process_detail::time_of(status.st_mtim) : wall_time{};
}

std::string time_line(const log_time& time) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.at.time_since_epoch());
  return padded(static_cast<std::uint64_t>(std::max<std::int64_t>(since.count(), 0)), time_digits)
      .append(" ")
      .append(padded(time.end, end_digits))
      .append("\n");
}

std::uint64_t log_file::size() const {
  return size_of(fd_.get());
}

std::uint64_t log_file::dropped() const {
  // We leave one hole; a task that has made more is told of the first ones.
  constexpr int holes_max = 64;
  const auto total = size();
  std::uint64_t sum = 0;
  std::uint64_t at = 0;
  for (int hole = 0; at < total && hole < holes_max; ++hole) {
    const auto there = extent_at(fd_.get(), at, total);
    sum += there.begin - at;
    at = std::max(there.end, at + 1);
  }
  return sum;
}

std::string dropped_text(std::uint64_t bytes) {
  return "\n[millrace: " + std::to_string(bytes) +
         " bytes are dropped here: a log keeps its first and its last part]\n";
}

std::string to_utf8(std::string_view bytes) {
  constexpr std::string_view replacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto next = next_sequence(bytes);
    out += next.complete ? bytes.substr(0, next.length) : replacement;
    bytes.remove_prefix(next.length);
  }
  return out;
}

}  // namespace millrace::actors
