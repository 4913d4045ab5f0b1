// SPDX-License-Identifier: MIT
// Exit codes: as a definition names them, as rows hold them, as a shell tells them.
#pragma once

#include <capnp/list.h>

#include <cstdint>
#include <vector>

namespace millrace::actors {

/// Requires: as many places as codes.
inline void put_codes(capnp::List<std::uint8_t>::Builder into,
                      const std::vector<std::uint8_t>& codes) {
  for (unsigned at = 0; at < into.size(); ++at) {
    into.set(at, codes[at]);
  }
}

[[nodiscard]] inline std::vector<std::uint8_t> codes_of(capnp::List<std::uint8_t>::Reader codes) {
  std::vector<std::uint8_t> made;
  for (const auto each : codes) {
    made.push_back(each);
  }
  return made;
}

/// Whether a command that has exited with `exit_code` has succeeded: `codes` says when; empty: with
/// 0 alone.
[[nodiscard]] bool is_success(std::int32_t exit_code, const auto& codes) {
  for (const std::int32_t each : codes) {
    if (each == exit_code) {
      return true;
    }
  }
  return codes.size() == 0 && exit_code == 0;
}

/// 128 and the number of the signal that killed the command, if one did; else its exit code.
[[nodiscard]] inline std::int32_t shell_exit_code(std::int32_t exit_code, std::int32_t signal) {
  constexpr std::int32_t signalled = 128;
  return signal > 0 ? signalled + signal : exit_code;
}

}  // namespace millrace::actors
