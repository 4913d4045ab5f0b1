// SPDX-License-Identifier: MIT
// Spans that a silo has told of.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/trace.h"

namespace millrace::testing {

class spans_seen final : public runtime::span_sink {
public:
  void ended(runtime::span one) noexcept override {
    const std::lock_guard lock{mutex_};
    all_.push_back(std::move(one));
  }
  std::vector<runtime::span> take() {
    const std::lock_guard lock{mutex_};
    return std::exchange(all_, {});
  }

private:
  std::mutex mutex_;
  std::vector<runtime::span> all_;
};

/// The value of an attribute that is a text; `none` without.
inline std::string attribute(const runtime::span& of, std::string_view name) {
  const auto found = std::find_if(of.attributes.begin(), of.attributes.end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == of.attributes.end() ? "none" : std::get<std::string>(found->value);
}

}  // namespace millrace::testing
