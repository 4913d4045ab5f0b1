// SPDX-License-Identifier: MIT
#include "executor/offered_resources.h"

#include <algorithm>
#include <thread>

#include "millrace/runtime/memory_limit.h"

namespace millrace::actors {

resource_amounts offered_resources(const resource_amounts& given,
                                   const std::filesystem::path& root) {
  constexpr std::uint64_t cpu_unit = 1'000;
  const std::uint64_t processors = std::max(1U, std::thread::hardware_concurrency()) * cpu_unit;
  auto made = given;
  made.emplace("cpu", std::min(processors, runtime::processor_limit(root).value_or(processors)));
  if (const auto memory = runtime::memory_limit(root)) {
    made.emplace("memory", *memory);
  }
  std::erase_if(made, [](const auto& each) { return each.second == 0; });
  return made;
}

}  // namespace millrace::actors
