// SPDX-License-Identifier: MIT
// A program whose actors are called by the tasks of a pipeline: `stock DIRECTORY DEFINITION`. It
// fills two shelves, runs the definition once, and prints what the orders have come to.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "millrace/actors/definition.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/silo.h"
#include "stock.capnp.actor.h"

using namespace millrace;
using runtime::async;
using runtime::errc;
using runtime::ref;
using runtime::result;

class shelf final : public demo::shelf_base<demo::ShelfState> {
  async<put_results> put(put_params params) override {
    edit().setPieces(state().getPieces() + params.pieces());
    co_return put_results{state().getPieces()};
  }

  async<take_results> take(take_params params) override {
    if (params.pieces() > state().getPieces()) {
      co_return runtime::error{errc::failed_precondition,
                               "there are only " + std::to_string(state().getPieces()) + " left"};
    }
    edit().setPieces(state().getPieces() - params.pieces());
    co_return take_results{params.pieces(), state().getPieces()};
  }
};

namespace {

constexpr std::uint32_t delivered = 10;
constexpr std::uint32_t wait_ms = 10'000;

// A delivery for each start of the program.
result<void> fill_shelves(runtime::silo& here) {
  for (const auto* article : {"tea", "cups"}) {
    const auto put = here.call(ref<demo::Shelf>(article).put(delivered));
    if (!put) {
      return put.error();
    }
  }
  return {};
}

// Applies the definition, and starts a run of it. Answers the id of the run.
result<std::string> submit(runtime::silo& here, const std::string& file) {
  std::ifstream in{file};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  const auto read = actors::load_definition(text, file);
  if (!read) {
    return runtime::error{errc::invalid_argument, to_string(read.diagnostics.front())};
  }
  const auto orders = ref<schemas::Pipeline>("default/" + read.definition->name);
  const auto applied =
      here.call(orders.apply(actors::to_json(*read.definition), 0, schemas::ApplyOnlyIf::ANY));
  if (!applied) {
    return applied.error();
  }
  schemas::pipeline_interface::submit_params wanted;
  wanted.build().setParams("{}");
  const auto run = here.call(orders.submit(std::move(wanted)));
  return run ? result<std::string>{std::string{run->run()}} : run.error();
}

// Waits for its end.
result<void> follow(runtime::silo& here, const std::string& run) {
  std::uint64_t after = 0;
  for (;;) {
    const auto page = here.call(ref<schemas::Run>(run).events(after, wait_ms, 0));
    if (!page) {
      return page.error();
    }
    for (const auto each : page->events()) {
      after = each.getSequence();
    }
    if (page->ended()) {
      return {};
    }
  }
}

result<bool> print_tasks(runtime::silo& here, const std::string& run) {
  const auto told = here.call(ref<schemas::Run>(run).tasks("", 0, ""));
  if (!told) {
    return told.error();
  }
  auto all_well = true;
  for (const auto each : told->tasks()) {
    all_well = all_well && each.getState() == schemas::TaskState::SUCCEEDED;
    std::printf("%s:%s%s", each.getName().cStr(), each.hasReason() ? " " : "",
                each.getReason().cStr());
    for (const auto output : each.getOutputs()) {
      std::printf(" %s=%s", output.getName().cStr(), output.getValue().cStr());
    }
    std::printf("\n");
  }
  return all_well;
}

int failed(const runtime::error& why) {
  std::fprintf(stderr, "stock: %s\n", why.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: stock DIRECTORY DEFINITION\n");
    return 2;
  }
  const auto data = std::filesystem::absolute(argv[1]);
  std::filesystem::create_directories(data);
  auto rows = runtime::open_storage({.directory = (data / "rows").string()});
  if (!rows) {
    return failed(rows.error());
  }
  runtime::silo here{*std::move(rows)};
  here.add<shelf>();
  auto host =
      actors::pipeline_host::open({.data_directory = data, .callable_types = {"shelf"}}, here);
  if (!host) {
    return failed(host.error());
  }
  if (auto started = here.start(); !started) {
    return failed(started.error());
  }
  if (auto joined = (*host)->join(); !joined) {
    return failed(joined.error());
  }
  auto done = fill_shelves(here);
  const auto run = done ? submit(here, argv[2]) : done.error();
  done = run ? follow(here, *run) : run.error();
  const auto told = done ? print_tasks(here, *run) : done.error();
  (*host)->stop();
  here.stop();
  return told ? (*told ? 0 : 1) : failed(told.error());
}
