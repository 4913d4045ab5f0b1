// SPDX-License-Identifier: MIT
// What a client may send: requests are read or refused, within the limits, and the same ones
// however the network cut the bytes. Only when a faulty one is refused may differ: a header that
// came in pieces is looked at once it is whole.
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

struct outcome {
  std::vector<std::string> requests;
  request_reader::progress end;
  int status = 0;  // when refused
};

outcome read_in_pieces(std::string_view bytes, std::size_t piece_bytes) {
  outcome made{{}, request_reader::progress::nothing, 0};
  request_reader reader{limits()};
  auto& in = reader.input();
  while (true) {
    made.end = reader.read();
    if (made.end == request_reader::progress::finished) {
      const auto& seen = reader.request();
      check(seen);
      made.requests.push_back(std::string{to_string(seen.method)} + " " +
                              std::string{seen.target()} + " " + seen.body +
                              (reader.keeps_alive() ? " more" : " last"));
      if (!reader.keeps_alive()) {
        return made;
      }
      reader.next();
      continue;
    }
    if (made.end != request_reader::progress::refused) {
      if (bytes.empty()) {
        return made;
      }
      if (in.make_room()) {
        const auto taken = millrace::testing::take(bytes, std::min(in.room_size(), piece_bytes));
        std::memcpy(in.room(), taken.data(), taken.size());
        in.added(taken.size());
        continue;
      }
      reader.refuse_oversize();
      made.end = reader.state();
    }
    MILLRACE_ASSERT(made.end == request_reader::progress::refused);
    MILLRACE_ASSERT(reader.status() >= 400 && !reader.reason().empty());
    made.status = reader.status();
    return made;
  }
}

// A faulty part that may yet become whole is waited for.
bool may_differ(request_reader::progress a, request_reader::progress b) {
  return a == request_reader::progress::refused && b != request_reader::progress::nothing;
}

// Beast counts a header that comes in pieces three bytes longer: one may be refused as too long
// where the other was read.
bool is_over_limit(const outcome& refused, const outcome& other) {
  return (refused.status == 414 || refused.status == 431) &&
         refused.requests.size() <= other.requests.size() &&
         std::equal(refused.requests.begin(), refused.requests.end(), other.requests.begin());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = millrace::testing::text_of(data, size);
  const auto cut = millrace::testing::take(text, 1);
  if (cut.empty()) {
    return 0;
  }
  const auto whole = read_in_pieces(text, std::max<std::size_t>(text.size(), 1));
  const auto pieces =
      read_in_pieces(text, std::max<std::size_t>(static_cast<unsigned char>(cut[0]), 1));
  if (is_over_limit(whole, pieces) || is_over_limit(pieces, whole)) {
    return 0;
  }
  MILLRACE_ASSERT(whole.requests == pieces.requests);
  MILLRACE_ASSERT(whole.end == pieces.end || may_differ(whole.end, pieces.end) ||
                  may_differ(pieces.end, whole.end));
  return 0;
}
