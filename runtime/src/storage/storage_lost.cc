// SPDX-License-Identifier: MIT
#include "storage/storage_lost.h"

#include <unistd.h>

#include <cstdio>

namespace millrace::runtime {

void storage_lost(std::string_view why) noexcept {
  std::fprintf(stderr, "millrace: storage lost, stopping at once: %.*s\n",
               static_cast<int>(why.size()), why.data());
  std::fflush(stderr);
  ::_exit(storage_lost_status);
}

}  // namespace millrace::runtime
