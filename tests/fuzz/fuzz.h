// SPDX-License-Identifier: MIT
// What every fuzzer here is: one function over bytes. libFuzzer drives it in the `fuzz` preset; in
// the others `replay.cc` gives it the files of its corpus.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/unique_fd.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace millrace::testing {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes `size` bytes, or what is left, from the front.
inline std::string_view take(std::string_view& from, std::size_t size) {
  const auto taken = from.substr(0, size);
  from.remove_prefix(taken.size());
  return taken;
}

/// A length in one byte, then as many bytes.
inline std::string_view take_counted(std::string_view& from) {
  const auto size = take(from, 1);
  return take(from, size.empty() ? 0 : static_cast<unsigned char>(size[0]));
}

/// A file that only this process sees, as its owner's alone, for what is read by name.
class memory_file {
public:
  explicit memory_file(std::string_view text) : fd_{::memfd_create("fuzz", MFD_CLOEXEC)} {
    const auto written = ::write(fd_.get(), text.data(), text.size());
    MILLRACE_ASSERT(written == static_cast<ssize_t>(text.size()));
    const auto changed = ::fchmod(fd_.get(), 0600);
    MILLRACE_ASSERT(changed == 0);
  }

  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

private:
  runtime::unique_fd fd_;
};

}  // namespace millrace::testing
