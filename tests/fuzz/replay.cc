// SPDX-License-Identifier: MIT
// Runs a fuzzer once over each file of the folders and files named.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"

namespace {

void replay(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int count, char** arguments) {
  unsigned files = 0;
  for (const auto& each : std::vector<std::string>(arguments + 1, arguments + count)) {
    if (!std::filesystem::is_directory(each)) {
      replay(each);
      ++files;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator{each}) {
      if (entry.is_regular_file()) {
        replay(entry.path());
        ++files;
      }
    }
  }
  std::printf("%u inputs\n", files);
  return files > 0 ? 0 : 1;
}
