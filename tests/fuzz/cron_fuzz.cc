// SPDX-License-Identifier: MIT
// A cron expression behind eight bytes of time and one that picks a zone: it is refused, or it is
// due at whole seconds that only go forwards, the same ones from wherever they are looked for.
#include "millrace/runtime/cron.h"

#include <array>
#include <cstring>

#include "fuzz/fuzz.h"

using namespace millrace::runtime;

namespace {

// Of ordinary changes, of one by half an hour, of one that skipped a day, and of none.
const time_zone& zone_of(unsigned char pick) {
  static const std::array zones{time_zone{}, *load_time_zone("Europe/Berlin"),
                                *load_time_zone("Australia/Lord_Howe"),
                                *load_time_zone("Pacific/Apia")};
  return zones[pick % zones.size()];
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int walked = 8;
  auto text = millrace::testing::text_of(data, size);
  const auto time = millrace::testing::take(text, sizeof(std::int64_t));
  const auto pick = millrace::testing::take(text, 1);
  if (pick.empty()) {
    return 0;
  }
  std::int64_t nanoseconds = 0;
  std::memcpy(&nanoseconds, time.data(), sizeof nanoseconds);
  const auto parsed = cron::parse(text);
  if (!parsed) {
    MILLRACE_ASSERT(parsed.error().code() == errc::invalid_argument);
    MILLRACE_ASSERT(!parsed.error().text().empty());
    return 0;
  }
  const auto again = cron::parse(parsed->text());
  MILLRACE_ASSERT(again && *again == *parsed);
  const auto& zone = zone_of(static_cast<unsigned char>(pick[0]));
  wall_time at{duration{nanoseconds}};
  for (int each = 0; each < walked; ++each) {
    const auto next = parsed->next(at, zone);
    if (!next) {
      break;
    }
    MILLRACE_ASSERT(*next > at);
    MILLRACE_ASSERT(next->time_since_epoch() % std::chrono::seconds{1} == duration{});
    const auto between = at.time_since_epoch() / 2 + next->time_since_epoch() / 2;
    for (const auto from : {wall_time{between}, *next - duration{1}}) {
      MILLRACE_ASSERT(from < at || from >= *next || parsed->next(from, zone) == next);
    }
    at = *next;
  }
  return 0;
}
