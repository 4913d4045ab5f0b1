// SPDX-License-Identifier: MIT
// Open answer: what is known of a call that a test has made.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "millrace/runtime/silo.h"
#include "millrace/testing/open_call.h"

namespace millrace::testing::detail {

struct open_answer {
  std::string target;
  std::mutex mutex;
  std::optional<runtime::result<runtime::any_message>> content;
  std::optional<runtime::call_handle> handle;

  /// Calls an actor from a silo.
  [[nodiscard]] static std::shared_ptr<open_answer> begin(runtime::silo& from,
                                                          runtime::call_spec spec);
  [[nodiscard]] bool is_there();
  /// Once. Throws when it is not there.
  [[nodiscard]] runtime::result<runtime::any_message> take();
};

}  // namespace millrace::testing::detail
