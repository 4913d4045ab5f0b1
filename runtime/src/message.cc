// SPDX-License-Identifier: MIT
#include "millrace/runtime/message.h"

#include <algorithm>

#include "block_pool.h"

namespace millrace::runtime {

namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);

// What a message from a flat form gets beyond its content, so that small edits need no new segment.
constexpr std::size_t spare_words = 16;

std::unique_ptr<capnp::word[]> zeroed(std::size_t words) {
  return std::make_unique<capnp::word[]>(words);
}

}  // namespace

using body_pool = detail::block_pool<message_body, sizeof(message_body)>;

void* message_body::operator new(std::size_t) {
  return body_pool::take();
}
void message_body::operator delete(void* block) noexcept {
  body_pool::give(block);
}

kj::ArrayPtr<capnp::word> message_body::allocateSegment(unsigned minimum_words) {
  if (!inline_used_ && minimum_words <= inline_words) {
    inline_used_ = true;
    return {inline_, inline_words};
  }
  inline_used_ = true;
  const auto words = std::max<std::size_t>(minimum_words, heap_words_ * 2);
  heap_words_ = words;
  heap_.push_back(zeroed(words));
  return {heap_.back().get(), words};
}

// The base wants its first segment before our members exist: it only keeps the address, so the
// content is copied once they do.
message_body::message_body(std::string_view flat, std::unique_ptr<capnp::word[]> memory,
                           std::size_t words, SegmentInit first)
    : capnp::MessageBuilder(kj::arrayPtr(
          &(first = {{memory ? memory.get() : inline_, words}, flat.size() / word_bytes}), 1)),
      inline_used_(true),
      heap_words_(words) {
  if (memory) {
    heap_.push_back(std::move(memory));
  }
  std::memcpy(static_cast<void*>(first.space.begin()), flat.data(), flat.size());
}

std::unique_ptr<message_body> message_body::from_flat(std::string_view flat) {
  if (flat.empty()) {
    return std::make_unique<message_body>();
  }
  MILLRACE_ASSERT(flat.size() % word_bytes == 0);
  const auto used = flat.size() / word_bytes;
  const auto fits = used <= inline_words;
  const auto words = fits ? inline_words : used + spare_words;
  return std::unique_ptr<message_body>(
      new message_body(flat, fits ? nullptr : zeroed(words), words));
}

std::unique_ptr<message_body> message_body::copy() {
  auto made = std::make_unique<message_body>();
  made->setRoot(getRoot<capnp::AnyPointer>().asReader());
  return made;
}

std::string message_body::flat() {
  std::string made;
  flat_into(made);
  return made;
}

void message_body::flat_into(std::string& flat) {
  const auto segments = getSegmentsForOutput();
  if (segments.size() == 0) {
    flat.clear();
    return;
  }
  if (segments.size() == 1) {
    const auto bytes = segments[0].asBytes();
    flat.assign(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    return;
  }
  const auto root = getRoot<capnp::AnyPointer>().asReader();
  const auto words = root.targetSize().wordCount + 1;
  capnp::MallocMessageBuilder whole{static_cast<unsigned>(words)};
  whole.setRoot(root);
  const auto one = whole.getSegmentsForOutput();
  MILLRACE_ASSERT(one.size() == 1);
  const auto bytes = one[0].asBytes();
  flat.assign(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

}  // namespace millrace::runtime
