// SPDX-License-Identifier: MIT
#include "millrace/actors/process_log.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "process/failure.h"
#include "process/unique_fd.h"

namespace millrace::actors {
namespace {

using process_detail::file_failure;
using process_detail::open_file;
using runtime::result;

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

result<log_chunk> read_range(const std::filesystem::path& file, std::uint64_t offset,
                             std::size_t limit, bool from_end) {
  const auto opened = open_file(file.c_str(), O_RDONLY);
  struct stat status {};
  if (!opened || ::fstat(opened.get(), &status) != 0) {
    return file_failure("cannot read " + file.string(), errno);
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (from_end) {
    offset = size - std::min<std::uint64_t>(size, limit);
  }
  log_chunk chunk;
  chunk.bytes.resize(offset < size ? std::min<std::uint64_t>(limit, size - offset) : 0);
  std::size_t done = 0;
  while (done < chunk.bytes.size()) {
    const auto got = ::pread(opened.get(), chunk.bytes.data() + done, chunk.bytes.size() - done,
                             static_cast<off_t>(offset + done));
    if (got < 0 && errno != EINTR) {
      return file_failure("cannot read " + file.string(), errno);
    }
    if (got == 0) {
      break;
    }
    done += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  chunk.bytes.resize(done);
  chunk.next_offset = offset + done;
  chunk.at_end = chunk.next_offset >= size;
  return chunk;
}

}  // namespace

result<log_chunk> read_log(const std::filesystem::path& file, std::uint64_t offset,
                           std::size_t limit) {
  return read_range(file, offset, limit, false);
}

result<log_chunk> tail_log_bytes(const std::filesystem::path& file, std::size_t limit) {
  return read_range(file, 0, limit, true);
}

result<log_chunk> tail_log_lines(const std::filesystem::path& file, std::size_t lines,
                                 std::size_t limit) {
  auto chunk = tail_log_bytes(file, limit);
  if (!chunk) {
    return chunk;
  }
  auto& bytes = chunk->bytes;
  if (lines == 0) {
    bytes.clear();
    return chunk;
  }
  auto start = bytes.size();
  if (start > 0 && bytes.back() == '\n') {
    --start;
  }
  for (; start > 0; --start) {
    if (bytes[start - 1] == '\n' && --lines == 0) {
      break;
    }
  }
  bytes.erase(0, start);
  return chunk;
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
