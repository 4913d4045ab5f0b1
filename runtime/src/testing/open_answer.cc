// SPDX-License-Identifier: MIT
#include "testing/open_answer.h"

#include <stdexcept>

namespace millrace::testing::detail {

std::shared_ptr<open_answer> open_answer::begin(runtime::silo& from, runtime::call_spec spec) {
  auto of = std::make_shared<open_answer>();
  of->target = std::string{spec.interface->type} + "/" + spec.key;
  auto handle =
      from.start_call(std::move(spec), [of](runtime::result<runtime::any_message> answer) {
        const std::lock_guard lock{of->mutex};
        of->content = std::move(answer);
      });
  of->handle = std::move(handle);
  return of;
}

bool open_answer::is_there() {
  const std::lock_guard lock{mutex};
  return content.has_value();
}

runtime::result<runtime::any_message> open_answer::take() {
  const std::lock_guard lock{mutex};
  if (!content) {
    throw std::runtime_error{
        "a call has no answer, though everything has settled; it waits for time, for a signal, for "
        "another call or for a commit that is held: " +
        target};
  }
  return *std::move(content);
}

}  // namespace millrace::testing::detail
