// SPDX-License-Identifier: MIT
// Embeds the pipeline layer: the host of pipelines makes their actors known to a silo.
#include <millrace/actors/pipeline_host.h>

#include <cstdio>
#include <filesystem>

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: pipelines DIRECTORY\n");
    return 2;
  }
  std::filesystem::create_directories(arguments[1]);
  millrace::runtime::silo here{millrace::runtime::make_memory_storage()};
  auto host = millrace::actors::pipeline_host::open({.data_directory = arguments[1]}, here);
  if (!host) {
    std::fprintf(stderr, "%s\n", host.error().text().c_str());
    return 1;
  }
  const bool known = here.find_type("pipeline") != nullptr;
  here.stop();
  return known ? 0 : 1;
}
