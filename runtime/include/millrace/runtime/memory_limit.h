// SPDX-License-Identifier: MIT
// Memory limit: how much memory, and how much of the processors, this process can have at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace millrace::runtime {

/// The memory of the machine, or less where a cgroup (version 1 or 2) of this process or one above
/// it allows less; nothing when neither can be read. As of now: limits may be changed at any time.
///
/// `root`: where `proc` and `sys` are. Cost: reads a few small files.
[[nodiscard]] std::optional<std::size_t> memory_limit(const std::filesystem::path& root = "/");

/// How much of the processors a cgroup (version 1 or 2) of this process or one above it allows, in
/// thousandths of one; nothing where none says so. `root`, cost: as above.
[[nodiscard]] std::optional<std::uint64_t> processor_limit(const std::filesystem::path& root = "/");

}  // namespace millrace::runtime
