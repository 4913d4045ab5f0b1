// SPDX-License-Identifier: MIT
// Whether this machine has what a silo or a local run wants.
#pragma once

#include <sys/statvfs.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::gateway::cli {

enum class verdict : std::uint8_t {
  ok,
  warn,  ///< It works, but not as well, or not for long.
  fail,
};
[[nodiscard]] std::string_view to_string(verdict state) noexcept;

/// What a look has found.
struct finding {
  std::string check;
  verdict state = verdict::ok;
  std::string found;
  std::string remedy;  ///< May be empty.
};

/// A directory that exists, or could be made, as the option `option` names it.
[[nodiscard]] finding look_at_directory(const std::string& directory, std::string_view option);

/// A disk with so much room.
[[nodiscard]] finding look_at_room(const struct statvfs& disk);

/// The data directory `data`, its disk, and the limits of this process. Changes nothing.
[[nodiscard]] std::vector<finding> look_at_machine(const std::string& data);

}  // namespace millrace::gateway::cli
