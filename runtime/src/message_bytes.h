// SPDX-License-Identifier: MIT
// Cap'n Proto messages of our own wires and records as bytes, and back.
#pragma once

#include <capnp/serialize.h>
#include <kj/io.h>

#include <cstring>
#include <string>
#include <string_view>

namespace millrace::runtime {

[[nodiscard]] inline std::string text_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

[[nodiscard]] inline std::string_view view_of(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

/// The message with its table of segments, as `capnp::FlatArrayMessageReader` reads it.
[[nodiscard]] inline std::string framed_bytes(capnp::MessageBuilder& message) {
  struct text_stream final : kj::OutputStream {
    void write(const void* from, std::size_t size) override {
      text.append(static_cast<const char*>(from), size);
    }
    std::string text;
  } out;
  out.text.reserve(capnp::computeSerializedSizeInWords(message) * sizeof(capnp::word));
  capnp::writeMessage(out, message);
  return std::move(out.text);
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
