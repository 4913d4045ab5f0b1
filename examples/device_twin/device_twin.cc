// SPDX-License-Identifier: MIT
// A device and its operator, who meet at the device's twin: `device_twin [DIRECTORY]`.
#include "device_twin.h"

#include <cstdio>
#include <future>

using namespace demo;

namespace {

int failed(const error& why) {
  std::fprintf(stderr, "device_twin: %s\n", why.to_string().c_str());
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  auto rows = open_storage({.directory = count > 1 ? arguments[1] : "device-data"});
  if (!rows) {
    return failed(rows.error());
  }
  silo here{*std::move(rows)};
  here.add<device_twin>();
  if (auto started = here.start(); !started) {
    return failed(started.error());
  }
  const auto twin = ref<DeviceTwin>("boiler-7");

  // The device reports, and asks for a configuration newer than the one it has.
  const auto reported = here.call(twin.report("temperature", "61.5"));
  const auto present = here.call(twin.describe());
  if (!reported || !present) {
    return failed(reported ? present.error() : reported.error());
  }
  using answer = result<device_twin_interface::await_config_results>;
  std::promise<answer> told;
  here.call_then<device_twin_interface::await_config_results>(
      twin.await_config(present->version()),
      [&told](answer config) { told.set_value(std::move(config)); });

  // The operator sets one, which lets the device know at once.
  const auto set = here.call(twin.configure("target=55"));
  const auto config = told.get_future().get();
  const auto seen = here.call(twin.describe());
  if (!set || !config || !seen) {
    return failed(!set ? set.error() : !config ? config.error() : seen.error());
  }
  std::printf("the device is to have '%s', version %llu\n", std::string{config->desired()}.c_str(),
              static_cast<unsigned long long>(config->version()));
  for (const auto each : seen->read().getReported()) {
    std::printf("it reported %s = %s\n", each.getName().cStr(), each.getValue().cStr());
  }
  here.stop();
}
