// SPDX-License-Identifier: MIT
// The twin of a device: what it last reported, what it should be set to, and whether it is there.
#pragma once

#include <chrono>
#include <string>

#include "device_twin.capnp.actor.h"
#include "millrace/runtime/silo.h"
#include "millrace/runtime/state_map.h"

namespace demo {

using namespace millrace::runtime;

/// A device that is silent for so long counts as offline.
inline constexpr duration silence_max = std::chrono::minutes{1};

/// The longest that a device waits for an answer about its configuration.
inline constexpr duration poll_max = std::chrono::seconds{30};

class device_twin final : public device_twin_base<DeviceState> {
  async<> report(report_params params) override {
    const auto at = now().time_since_epoch().count();
    auto entry = reported_.edit(params.name());
    entry.setValue(params.read().getValue());
    entry.setAt(at);
    edit().setLastSeen(at);
    edit().setOnline(true);
    set_reminder("silent", now() + silence_max);  // in place of the one that was set
    co_return;
  }

  async<> on_reminder(std::string) override {
    edit().setOnline(false);
    co_return;
  }

  async<describe_results> describe() override {
    describe_results results;
    auto into = results.build();
    into.setOnline(state().getOnline());
    into.setLastSeen(state().getLastSeen());
    into.setDesired(state().getDesired());
    into.setVersion(state().getDesiredVersion());
    auto list = into.initReported(static_cast<unsigned>(reported_.size()));
    unsigned at = 0;
    reported_.for_each([&](std::string_view name, ReportedValue::Reader entry) {
      list[at].setName(std::string{name});
      list[at++].setValue(entry.getValue());
      return true;
    });
    co_return results;
  }

  async<configure_results> configure(configure_params params) override {
    edit().setDesired(params.read().getDesired());
    edit().setDesiredVersion(state().getDesiredVersion() + 1);
    notify("desired");
    co_return configure_results{state().getDesiredVersion()};
  }

  async<await_config_results> await_config(await_config_params params) override {
    if (state().getDesiredVersion() <= params.known()) {
      co_await wait("desired", poll_max);
    }
    const auto desired = state().getDesired();
    co_return await_config_results{std::string_view{desired.begin(), desired.size()},
                                   state().getDesiredVersion()};
  }

  state_map<ReportedValue> reported_{*this, "reported"};
};

}  // namespace demo
