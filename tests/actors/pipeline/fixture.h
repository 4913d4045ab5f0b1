// SPDX-License-Identifier: MIT
// A silo that runs pipelines in a temporary folder, for the tests of this folder.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "folders.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/actors/run_id.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::actors {

using testing::temporary_folder;

// Applies a definition; answers its pipeline.
inline runtime::actor_ref<schemas::Pipeline> apply_to(runtime::silo& silo,
                                                      const std::string& text) {
  const auto made = load_definition(text, "p.yaml");
  for (const auto& each : made.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(made);
  const auto pipeline = runtime::ref<schemas::Pipeline>("default/" + made.definition->name);
  const auto applied =
      silo.call(pipeline.apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY));
  REQUIRE(applied);
  return pipeline;
}

// The same, and submits a run of it; answers its id.
inline std::string submit_to(runtime::silo& silo, runtime::rng& random, const std::string& text,
                             const std::string& params = "{}") {
  const auto pipeline = apply_to(silo, text);
  const auto run = make_run_id(silo.time().wall(), random);
  schemas::pipeline_interface::submit_params submission;
  submission.build().setRun(run.c_str());
  submission.build().setParams(params.c_str());
  const auto answer = silo.call(pipeline.submit(std::move(submission)));
  REQUIRE(answer);
  return run;
}

// A task that has begun, with its attempts.
inline schemas::task_interface::describe_results attempts_of(runtime::silo& silo,
                                                             const std::string& run,
                                                             const std::string& task) {
  auto answer = silo.call(runtime::ref<schemas::Task>(run + "/" + task).describe());
  REQUIRE(answer);
  return *std::move(answer);
}

// A silo with a pipeline host, as `millrace dev` has it but without HTTP.
class node {
public:
  explicit node(const std::filesystem::path& data, pipeline_host_options options = {},
                runtime::silo_options how = {},
                const std::function<void(runtime::silo&)>& add_types = {}) {
    options.data_directory = data;
    options.slots = options.slots == 0 ? 4 : options.slots;
    auto rows = runtime::open_storage(
        {.directory = (data / "rows").string(), .map_bytes = std::size_t{1} << 30U});
    REQUIRE_MESSAGE(rows, (rows ? std::string{} : rows.error().to_string()));
    silo = std::make_unique<runtime::silo>(*std::move(rows), std::move(how));
    if (add_types) {
      add_types(*silo);
    }
    auto opened = pipeline_host::open(std::move(options), *silo);
    REQUIRE_MESSAGE(opened, (opened ? std::string{} : opened.error().to_string()));
    host = *std::move(opened);
    REQUIRE(silo->start());
    REQUIRE(host->join());
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  ~node() { stop(); }
  void stop() {
    host->stop();
    silo->stop();
  }

  runtime::actor_ref<schemas::Pipeline> apply(const std::string& text) {
    return apply_to(*silo, text);
  }
  std::string submit(const std::string& text, const std::string& params = "{}") {
    return submit_to(*silo, random, text, params);
  }

  // Reads the run's events until one is as wanted; false when the run ends without, or none comes
  // for longer than anything takes.
  bool follow(const std::string& run,
              const std::function<bool(schemas::RunEvent::Reader)>& wanted) {
    std::uint64_t after = 0;
    for (auto limit = patience_ends(); std::chrono::steady_clock::now() < limit;) {
      const auto page = silo->call(runtime::ref<schemas::Run>(run).events(after, 10'000, 0));
      if (!page) {
        const auto code = page.error().code();  // its begin is on the way, or its disk was full
        CHECK((code == runtime::errc::not_found || code == runtime::errc::out_of_space));
        continue;
      }
      for (auto event : page->events()) {
        limit = patience_ends();
        after = event.getSequence();
        if (wanted(event)) {
          return true;
        }
      }
      if (page->ended()) {
        return false;
      }
    }
    MESSAGE("run " << run << " does not get on");
    return false;
  }

  void wait_until_running(const std::string& run, const std::string& task) {
    REQUIRE(follow(run, [&](auto event) {
      return event.getName() == task.c_str() && event.getState() == schemas::TaskState::RUNNING;
    }));
  }

  // Waits on the run's events until it has ended.
  schemas::RunState wait(const std::string& run) {
    CHECK_FALSE(follow(run, [](auto) { return false; }));
    const auto status = silo->call(runtime::ref<schemas::Run>(run).status());
    REQUIRE(status);
    return status->run().getState();
  }

  // Asks until it is so, for what arrives by sends that nobody can wait for.
  static void eventually(const std::function<bool()>& is_so) {
    const auto limit = patience_ends();
    while (!is_so() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    REQUIRE(is_so());
  }
  // Enough on a machine that does much else; what takes longer has come to a standstill.
  static std::chrono::steady_clock::time_point patience_ends() {
    return std::chrono::steady_clock::now() + std::chrono::seconds{60};
  }

  schemas::run_interface::task_results task(const std::string& run, const std::string& name) {
    auto answer = silo->call(runtime::ref<schemas::Run>(run).task(name));
    REQUIRE(answer);
    return *std::move(answer);
  }

  runtime::rng random;
  std::unique_ptr<runtime::silo> silo;
  std::unique_ptr<pipeline_host> host;
};

}  // namespace millrace::actors
