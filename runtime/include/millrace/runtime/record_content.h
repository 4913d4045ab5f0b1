// SPDX-License-Identifier: MIT
// Record content: what one record of a map holds, kept alive by whoever reads it.
//
// The map replaces content and never changes what somebody else holds, so a reader sees the record
// as it was when it was got, over suspensions and after the record is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "millrace/runtime/message.h"

namespace millrace::runtime::detail {

/// Words as they were committed, or a message that is being edited.
///
/// Ownership: counted. Threading: as its activation, in whose turns all that hold it live and die.
class record_content {
public:
  /// Words, a copy of `flat`; of a message when `body` is not null. Counted once.
  [[nodiscard]] static record_content* make(std::string_view flat,
                                            std::unique_ptr<message_body> body);

  /// Null: it is words.
  [[nodiscard]] message_body* body() const noexcept { return body_.get(); }
  /// Requires: it is words.
  [[nodiscard]] std::string_view words() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), bytes_};
  }
  /// Whether others hold it beside the one who asks.
  [[nodiscard]] bool shared() const noexcept { return references_ > 1; }

  void keep() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) {
      destroy();
    }
  }

private:
  record_content(std::size_t bytes, std::unique_ptr<message_body> body) noexcept
      : bytes_(static_cast<std::uint32_t>(bytes)), body_(std::move(body)) {}
  ~record_content() = default;
  void destroy() noexcept;

  std::uint32_t references_ = 1;
  std::uint32_t bytes_;
  std::unique_ptr<message_body> body_;
};

/// Holds one, or none.
class content_ref {
public:
  content_ref() = default;
  [[nodiscard]] static content_ref of_words(std::string_view flat) {
    return content_ref{record_content::make(flat, nullptr)};
  }
  [[nodiscard]] static content_ref of_body(std::unique_ptr<message_body> body) {
    return content_ref{record_content::make({}, std::move(body))};
  }
  content_ref(const content_ref& other) noexcept : held_(other.held_) {
    if (held_ != nullptr) {
      held_->keep();
    }
  }
  content_ref(content_ref&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  content_ref& operator=(const content_ref& other) noexcept { return *this = content_ref{other}; }
  content_ref& operator=(content_ref&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~content_ref() {
    if (held_ != nullptr) {
      held_->release();
    }
  }

  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }
  [[nodiscard]] record_content* operator->() const noexcept { return held_; }
  void reset() noexcept { *this = content_ref{}; }

private:
  explicit content_ref(record_content* held) noexcept : held_(held) {}
  record_content* held_ = nullptr;
};

}  // namespace millrace::runtime::detail
