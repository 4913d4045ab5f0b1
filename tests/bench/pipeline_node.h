// SPDX-License-Identifier: MIT
// What the pipeline benchmarks share: a silo with its pipeline host, and how to run something on
// it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "millrace/actors/definition.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::bench {

inline double now() {
  static const runtime::system_clock clock;
  return static_cast<double>(clock.steady().time_since_epoch().count()) * 1e-9;
}

inline void require(bool holds, const std::string& what) {
  if (!holds) {
    std::fprintf(stderr, "bench: %s\n", what.c_str());
    std::exit(1);
  }
}

// A field of /proc/self/status, in MB.
inline double memory_mb(const std::string& field) {
  std::ifstream status{"/proc/self/status"};
  for (std::string word; status >> word;) {
    if (word == field + ":") {
      double kib = 0;
      status >> kib;
      return kib * 1024 / 1e6;
    }
  }
  return 0;
}

class node {
public:
  explicit node(const std::string& directory) {
    auto rows = runtime::open_storage({.directory = directory + "/state"});
    require(rows.has_value(), "open_storage");
    silo = std::make_unique<runtime::silo>(*std::move(rows));
    auto opened = actors::pipeline_host::open({.data_directory = directory, .slots = 8}, *silo);
    require(opened.has_value(), "pipeline_host");
    host = *std::move(opened);
    require(silo->start().has_value() && host->join().has_value(), "start");
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  ~node() {
    host->stop();
    silo->stop();
  }

  void apply(const std::string& text) {
    const auto made = actors::load_definition(text, "");
    require(made.definition.has_value(), "definition");
    pipeline = "default/" + made.definition->name;
    require(silo->call(runtime::ref<schemas::Pipeline>(pipeline).apply(
                           actors::to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY))
                .has_value(),
            "apply");
  }
  std::string submit() {
    schemas::pipeline_interface::submit_params params;
    params.build().setParams("{}");
    auto answer = silo->call(runtime::ref<schemas::Pipeline>(pipeline).submit(std::move(params)));
    require(answer.has_value(), "submit");
    return std::string{answer->run()};
  }
  void wait(const std::string& run) {
    std::uint64_t after = 0;
    for (;;) {
      const auto page = silo->call(runtime::ref<schemas::Run>(run).events(after, 10'000, 0));
      if (!page) {
        continue;
      }
      for (auto event : page->events()) {
        after = event.getSequence();
      }
      if (page->ended()) {
        break;
      }
    }
    const auto status = silo->call(runtime::ref<schemas::Run>(run).status());
    require(status && status->run().getState() == schemas::RunState::SUCCEEDED, "run succeeded");
  }

  std::unique_ptr<runtime::silo> silo;
  std::unique_ptr<actors::pipeline_host> host;
  std::string pipeline;
};

}  // namespace millrace::bench
