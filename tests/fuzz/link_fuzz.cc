// SPDX-License-Identifier: MIT
// What a peer may send: an end takes it, or ends the connection with a reason, however it is cut.
//
// Input: one byte says at which end (even: it accepted, and its peer's hello was in order; odd: it
// connects, and the hello is in the input), one how the rest is cut; the rest is what comes.
#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "link/frame.h"
#include "link/link_session.h"

using namespace millrace::runtime;

namespace {

const steady_time start{std::chrono::seconds{1}};

link_identity named(const char* name) {
  return {.cluster_id = "c", .name = {link_role::silo, name}};
}

void begin(link_session& session, bool connects) {
  if (connects) {
    session.connected(1, start);
    return;
  }
  link_effects effects;
  link_hello said{.from = named("a"), .connection = 1};
  MILLRACE_ASSERT(session.accepted(said, 1, start, effects));
}

// What an end does with what has come; true when it goes on.
bool feed(link_session& session, std::string& unread, std::size_t& taken_bytes) {
  link_effects effects;
  const auto taken = session.receive(unread, start, effects);
  MILLRACE_ASSERT(taken <= unread.size());
  for (const auto& each : effects.messages) {
    MILLRACE_ASSERT(each.body().size() <= link_limits{}.message_bytes_max);
    taken_bytes += each.body().size();
    session.release(each.receipt);
  }
  unread.erase(0, taken);
  MILLRACE_ASSERT(effects.closed || unread.size() < frame_bytes_max);
  MILLRACE_ASSERT(!effects.closed || !session.is_up());
  std::string out;
  session.output(out, start);
  frame first;
  MILLRACE_ASSERT(out.empty() || *read_frame(out, first) > 0);
  return !effects.closed;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = millrace::testing::text_of(data, size);
  if (text.size() < 2) {
    return 0;
  }
  const auto mode = millrace::testing::take(text, 1)[0];
  const auto cut = static_cast<unsigned char>(millrace::testing::take(text, 1)[0]);
  link_session session{
      named(mode % 2 == 0 ? "b" : "a"), {link_role::silo, mode % 2 == 0 ? "a" : "b"}, {}};
  begin(session, mode % 2 != 0);
  for (int number = 0; number < 3; ++number) {  // something for progress to be about
    static_cast<void>(session.send(link_lane::call, 1, "sent"));
  }
  std::string unread;
  std::size_t taken_bytes = 0;
  bool goes_on = true;
  while (goes_on && !text.empty()) {
    unread += millrace::testing::take(text, cut == 0 ? text.size() : cut);
    goes_on = feed(session, unread, taken_bytes);
  }
  MILLRACE_ASSERT(taken_bytes <= size);
  return 0;
}
