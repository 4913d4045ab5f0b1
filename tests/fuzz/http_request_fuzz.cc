// SPDX-License-Identifier: MIT
// What a client may send: requests are read or refused, within the limits, and how the network cut
// the bytes changes nothing about it.
//
// Input: one byte says how the second reading is cut; the rest is what comes.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/fuzz.h"
#include "http/request_reader.h"

using namespace millrace::gateway::http;

namespace {

// Small, so that short inputs reach them.
const server_options& limits() {
  static const server_options made = [] {
    server_options options;
    options.header_bytes_max = 512;
    options.body_bytes_max = 256;
    return options;
  }();
  return made;
}

void check(const request& seen) {
  MILLRACE_ASSERT(seen.body.size() <= limits().body_bytes_max);
  MILLRACE_ASSERT(!seen.target().empty());
  MILLRACE_ASSERT(seen.target().size() <= limits().header_bytes_max);
  for (std::size_t at = 0; at < seen.headers.size(); ++at) {
    const auto [name, value] = seen.headers.at(at);
    MILLRACE_ASSERT(!name.empty());
    MILLRACE_ASSERT((std::string{name} += value).find_first_of(std::string_view{"\r\n\0", 3}) ==
                    std::string::npos);
  }
}

// What a reader made of it: each request, then how it stands.
std::vector<std::string> read_in_pieces(std::string_view bytes, std::size_t piece_bytes) {
  std::vector<std::string> made;
  request_reader reader{limits()};
  auto& in = reader.input();
  while (true) {
    const auto now = reader.read();
    if (now == request_reader::progress::finished) {
      const auto& seen = reader.request();
      check(seen);
      made.push_back(std::string{to_string(seen.method)} + " " + std::string{seen.target()} + " " +
                     seen.body + (reader.keeps_alive() ? " more" : " last"));
      if (!reader.keeps_alive()) {
        return made;
      }
      reader.next();
      continue;
    }
    if (now == request_reader::progress::refused) {
      MILLRACE_ASSERT(reader.status() >= 400 && !reader.reason().empty());
      made.push_back(std::to_string(reader.status()));
      return made;
    }
    if (bytes.empty()) {
      made.push_back("waits " + std::to_string(static_cast<int>(now)));
      return made;
    }
    if (!in.make_room()) {
      reader.refuse_oversize();
      MILLRACE_ASSERT(reader.state() == request_reader::progress::refused);
      made.push_back(std::to_string(reader.status()));
      return made;
    }
    const auto taken = millrace::testing::take(
        bytes, std::min(in.room_size(), std::max<std::size_t>(piece_bytes, 1)));
    std::memcpy(in.room(), taken.data(), taken.size());
    in.added(taken.size());
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = millrace::testing::text_of(data, size);
  const auto cut = millrace::testing::take(text, 1);
  if (cut.empty()) {
    return 0;
  }
  const auto whole = read_in_pieces(text, text.size());
  MILLRACE_ASSERT(whole == read_in_pieces(text, static_cast<unsigned char>(cut[0])));
  return 0;
}
