// SPDX-License-Identifier: MIT
// The processes of this machine, and their files in /proc.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "millrace/runtime/unique_fd.h"

namespace millrace::actors::process_detail {

/// Calls `visit(pid)` for every process until it returns false. Not by readdir, which allocates:
/// the guard was forked while other threads may have held that lock. Async-signal-safe if that is.
template <class Visit>
void each_pid(Visit visit) noexcept {
  struct entry {  // linux_dirent64, see getdents(2)
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
    char name[1];
  };
  const runtime::unique_fd directory{::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  alignas(entry) std::array<char, 8192> buffer;
  for (;;) {
    const auto size = ::syscall(SYS_getdents64, directory.get(), buffer.data(), buffer.size());
    if (size <= 0) {
      return;
    }
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      entry found{};
      std::memcpy(&found, buffer.data() + at, sizeof found);
      const auto* name = buffer.data() + at + offsetof(entry, name);
      const auto* last = name + std::strlen(name);
      pid_t pid = 0;
      if (std::from_chars(name, last, pid).ptr == last && pid > 0 && !visit(pid)) {
        return;
      }
      at += found.length;
    }
  }
}

/// `/proc/<pid>/<name>` in a buffer: neither allocates nor formats. Of a name of at most 20 bytes.
class proc_path {
public:
  proc_path(pid_t pid, std::string_view name) noexcept {
    auto* end = std::to_chars(text_.data() + 6, text_.data() + 18, pid).ptr;
    *end++ = '/';
    name.copy(end, name.size());
  }
  [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }

private:
  std::array<char, 40> text_{"/proc/"};
};

}  // namespace millrace::actors::process_detail
