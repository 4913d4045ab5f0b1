// SPDX-License-Identifier: MIT
// What another silo sends about calls: one byte for the kind of frame, then its body. What is taken
// can be sent on, and is the same then.
#include "routing/call_frame.h"

#include "fuzz/fuzz.h"

using namespace millrace::runtime;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto body = millrace::testing::text_of(data, size);
  const auto kind = millrace::testing::take(body, 1);
  const auto decoded = decode_frame(kind.empty() ? 0 : static_cast<unsigned char>(kind[0]), body);
  if (!decoded) {
    return 0;
  }
  if (const auto* call = std::get_if<call_frame>(&*decoded)) {
    const auto again = decode_frame(static_cast<std::uint16_t>(frame_kind::call),
                                    encoded_frame{*call, call->params}.bytes());
    MILLRACE_ASSERT(again.has_value());
    const auto& same = std::get<call_frame>(*again);
    MILLRACE_ASSERT(same.id == call->id && same.type == call->type && same.key == call->key);
    MILLRACE_ASSERT(same.context == call->context && same.chain.size() == call->chain.size());
  } else if (const auto* answer = std::get_if<answer_frame>(&*decoded)) {
    MILLRACE_ASSERT(!answer->outcome || answer->outcome->flat().size() % 8 == 0);
  } else if (const auto* probe = std::get_if<probe_frame>(&*decoded)) {
    const auto again =
        decode_frame(static_cast<std::uint16_t>(frame_kind::cancel), encoded_frame{*probe}.bytes());
    MILLRACE_ASSERT(again.has_value());
    const auto& same = std::get<probe_frame>(*again);
    MILLRACE_ASSERT(same.call == probe->call && same.probe.turn == probe->probe.turn);
    MILLRACE_ASSERT(same.probe.path == probe->probe.path && same.probe.left == probe->probe.left);
  }
  return 0;
}
