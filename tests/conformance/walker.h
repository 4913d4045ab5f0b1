// SPDX-License-Identifier: MIT
// An actor that does what it is told, step by step (`Walker` in probe.capnp says which there are).
#pragma once

#include "conformance/probe.h"

namespace millrace::conformance {

using steps = std::vector<std::string>;

class walker final : public walker_base<> {
public:
  explicit walker(stage& on) : stage_(on) {}

  async<> walk(walk_params params) override { return go(steps_of(params)); }
  async<> walk_reading(walk_reading_params params) override { return go(steps_of(params)); }
  async<> walk_beside(walk_beside_params params) override { return go(steps_of(params)); }
  async<> raise(raise_params params) override {
    notify(params.name());
    return {};
  }

  /// The call that does `to_do`, of which the first says by whom: "call K", "read K" (by
  /// `walk_reading`) or "free K" (by `walk_beside`).
  static call<void> call_of(const steps& to_do) {
    const auto filled = [&](auto params) {
      auto rest = params.build().initSteps(static_cast<unsigned>(to_do.size() - 1));
      for (unsigned at = 0; at < rest.size(); ++at) {
        rest.set(at, to_do[at + 1].c_str());
      }
      return params;
    };
    const auto whom = ref<Walker>(to_do[0].substr(5));
    if (to_do[0].starts_with("read ")) {
      return whom.walk_reading(filled(walker_interface::walk_reading_params{}));
    }
    return to_do[0].starts_with("free ")
               ? whom.walk_beside(filled(walker_interface::walk_beside_params{}))
               : whom.walk(filled(walker_interface::walk_params{}));
  }

private:
  template <class Params>
  static steps steps_of(const Params& params) {
    steps all;
    for (const auto each : params.read().getSteps()) {
      all.emplace_back(each.cStr());
    }
    return all;
  }

  async<> go(steps to_do) {
    while (!to_do.empty()) {
      const auto step = to_do.front();
      const steps rest{to_do.begin() + 1, to_do.end()};
      const auto what = step.substr(std::min(step.size(), std::size_t{5}));
      if (step == "scope") {
        const auto scope = allow_reentry();
        co_await go(rest);
        co_return;
      }
      if (step == "both") {
        const auto middle = std::find(rest.begin(), rest.end(), "|");
        std::vector<call<void>> calls;
        calls.push_back(call_of({rest.begin(), middle}));
        calls.push_back(call_of({middle + 1, rest.end()}));
        for (const auto& each : co_await all(std::move(calls))) {
          if (!each) {
            co_await fail(each.error());
          }
        }
        co_return;
      }
      if (step.starts_with("call ") || step.starts_with("read ") || step.starts_with("free ")) {
        co_await call_of(to_do);
        co_return;
      }
      if (step.starts_with("say ")) {
        stage_.events.write(step.substr(4));
      } else if (step == "block") {
        stage_.events.write("blocks");
        stage_.opened.wait();
      } else {
        co_await wait(what, 1h);
      }
      to_do = rest;
    }
  }

  stage& stage_;
};

}  // namespace millrace::conformance
