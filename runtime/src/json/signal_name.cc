// SPDX-License-Identifier: MIT
#include "json/signal_name.h"

#include <csignal>
#include <cstring>

namespace millrace::runtime {

std::string signal_name(int number) {
  if (const auto* known = ::sigabbrev_np(number)) {
    return "SIG" + std::string{known};
  }
  if (number >= SIGRTMIN && number <= SIGRTMAX) {
    return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  }
  return "SIG" + std::to_string(number);
}

int signal_number(std::string_view name) {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (signal_name(number) == name) {
      return number;
    }
  }
  return 0;
}

}  // namespace millrace::runtime
