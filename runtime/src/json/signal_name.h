// SPDX-License-Identifier: MIT
// Signals by name. Numbers differ between architectures, so what leaves the process is a name.
#pragma once

#include <string>
#include <string_view>

namespace millrace::runtime {

/// `SIGKILL`, `SIGRTMIN+3`; `SIG` and the number for one that this system does not know.
[[nodiscard]] std::string signal_name(int number);

/// 0 for what is no name of a signal.
[[nodiscard]] int signal_number(std::string_view name);

}  // namespace millrace::runtime
