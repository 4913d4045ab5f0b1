// SPDX-License-Identifier: MIT
#include "api/if_match.h"

#include <charconv>

namespace millrace::gateway {

using runtime::errc;
using runtime::error;

std::int64_t version_in(std::string_view tag) {
  std::uint32_t version = 0;
  const auto* end = tag.data() + tag.size();
  const auto [after, failure] = std::from_chars(tag.data(), end, version);
  return failure == std::errc{} && after == end ? version : 0;
}

runtime::result<if_match> if_match_in(const http::request& received,
                                      std::int64_t (*number_in)(std::string_view)) {
  const auto tags = http::entity_tags_in(received.headers, "If-Match");
  if (!tags) {
    return tags.error();
  }
  if (tags->listed.size() > 1) {
    return error{errc::invalid_argument, "If-Match: name one ETag, or * for whatever is there"};
  }
  if_match made;
  made.any = tags->any;
  if (!tags->listed.empty()) {
    const auto& tag = tags->listed.front();
    made.number = tag.weak ? 0 : number_in(tag.text);
    made.never = made.number == 0;
  }
  return made;
}

http::response precondition_failed(const error& why, std::string_view etag) {
  auto made = http::problem_response({.status = 412, .cause = why, .instance = {}, .errors = {}});
  if (!etag.empty()) {
    made.headers.add("ETag", std::string{etag});
  }
  return made;
}

error unknown_tag() {
  return {errc::conflict,
          "If-Match: nothing here has this ETag; they are strong, and as they were told"};
}

}  // namespace millrace::gateway
