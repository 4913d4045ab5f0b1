// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <malloc.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/cli.h"
#include "millrace/runtime/memory_limit.h"
#include "millrace/runtime/storage.h"

// A descriptor of 0 to 2 that is closed would be given to the next file that is opened, and what is
// printed would go into a data file. They get one whose use fails, as if they were closed.
static void hold_standard_descriptors() {
  for (const int each : {0, 1, 2}) {
    if (::fcntl(each, F_GETFD) == -1 &&
        ::open("/dev/null", each == 0 ? O_WRONLY : O_RDONLY) != each) {
      std::_Exit(static_cast<int>(millrace::gateway::cli::exit_code::run_failed));
    }
  }
}

// The allocator gives threads up to eight heaps a processor, and each keeps what is free in it:
// with 64 MiB on two processors that is 4 MiB, on more of them more. Two are enough for what such a
// server does.
static void share_heaps() {
  constexpr std::size_t scarce_bytes = std::size_t{256} << 20U;
  if (millrace::runtime::memory_limit().value_or(scarce_bytes) < scarce_bytes) {
    ::mallopt(M_ARENA_MAX, 2);
  }
}

int main(int count, char** arguments) {
  hold_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // `millrace list | head` ends by the failed write
  millrace::runtime::watch_storage_signals();
  try {
    share_heaps();
    return static_cast<int>(
        millrace::gateway::cli::run(std::vector<std::string>(arguments + 1, arguments + count)));
  } catch (const std::exception& unforeseen) {
    std::cerr << "millrace: unexpected error: " << unforeseen.what() << '\n';
    return static_cast<int>(millrace::gateway::cli::exit_code::run_failed);
  }
}
