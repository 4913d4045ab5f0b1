// SPDX-License-Identifier: MIT
// errno turned into errors.
#pragma once

#include <string>

#include "millrace/runtime/error.h"

namespace millrace::actors::process_detail {

/// `subject: <what the system says>`, for a file or directory of ours. A full disk is
/// called so, with the remedy.
[[nodiscard]] runtime::error file_failure(const std::string& subject, int error_number);

/// The text of an errno value.
[[nodiscard]] std::string describe_errno(int error_number);

}  // namespace millrace::actors::process_detail
