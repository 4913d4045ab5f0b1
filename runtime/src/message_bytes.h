// SPDX-License-Identifier: MIT
// Cap'n Proto messages of our own wires and records as bytes, and back.
#pragma once

#include <capnp/serialize.h>

#include <cstring>
#include <string>
#include <string_view>

namespace millrace::runtime {

[[nodiscard]] inline std::string text_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

/// The message with its table of segments, as `capnp::FlatArrayMessageReader` reads it.
[[nodiscard]] inline std::string framed_bytes(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asChars();
  return {bytes.begin(), bytes.size()};
}

/// A copy where words may lie. What is less than a word at the end is left out.
[[nodiscard]] inline kj::Array<capnp::word> words_of(std::string_view bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  if (words.size() > 0) {
    std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
  }
  return words;
}

}  // namespace millrace::runtime
