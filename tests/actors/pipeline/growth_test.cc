// SPDX-License-Identifier: MIT
// What is left of what has ended, was removed, or never was: in memory, in rows, in lists.
#include "actors/pipeline/fixture.h"
#include "millrace/actors/submission.h"
#include "pipeline/names.h"

namespace millrace::actors {
namespace {

using runtime::errc;
using runtime::ref;
using schemas::RunState;

constexpr const char* simple = "name: simple\ntasks: [{name: t, command: [/bin/true]}]\n";

// Pool, pipeline, project and executor.
constexpr std::size_t lasting = 4;

// Rows of actors. (Section 4 has one row a partition.) What a receiver remembers of a sender that
// is done goes with the receiver's next commit, so those rows are a few at any time, and not
// counted.
std::size_t rows_of(node& here) {
  std::size_t count = 0;
  auto& rows = here.silo->rows();
  for (std::uint16_t index = 0; index < rows.partition_count(); ++index) {
    REQUIRE(rows.scan(runtime::partition_id{index}, {}, {}, SIZE_MAX, [&](const auto& one) {
      const auto of_actor = one.key[0] == 0;
      const auto inbox = of_actor && one.key.size() > 17 && one.key[17] == 'I';
      count += one.key[0] == 4 || inbox ? 0 : 1;
      return true;
    }));
  }
  return count;
}

std::size_t stored(node& here, std::string_view type) {
  const auto list = here.silo->stored_actors(type, {.limit = 1'000});
  REQUIRE(list);
  return list->items.size();
}

schemas::pipeline_interface::submit_params submission(const std::string& run) {
  schemas::pipeline_interface::submit_params params;
  params.build().setRun(run.c_str());
  params.build().setParams("{}");
  return params;
}

std::vector<std::string> runs_in(node& here, const std::string& pipeline,
                                 const std::string& state = "", std::uint32_t limit = 0) {
  std::vector<std::string> ids;
  std::string before;
  do {
    const auto page =
        here.silo->call(ref<schemas::Pipeline>(pipeline).runs(before, limit, state, ""));
    REQUIRE(page);
    for (auto each : page->runs()) {
      ids.push_back(text_of(each.getId()));
    }
    before = std::string{page->next_cursor()};
  } while (!before.empty());
  return ids;
}

TEST_CASE("a run that has ended leaves memory within seconds, and answers as before") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(simple);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  node::eventually([&] { return here.silo->stats().activations <= lasting; });
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.silo->call(ref<schemas::Task>(run + "/t").describe()));
  CHECK(runs_in(here, "default/simple") == std::vector{run});
}

// Goal: of many versions a pipeline holds the latest in memory, and knows all of them.
TEST_CASE("older versions of a definition are read when somebody asks, and not kept") {
  constexpr std::size_t script_bytes = 100'000;
  constexpr std::uint32_t versions = 20;
  temporary_folder data;
  node here{data.path, {}, {.memory_budget_bytes = std::size_t{1} << 30U}};  // it counts then
  const auto pipeline = ref<schemas::Pipeline>("default/many");
  for (std::uint32_t version = 1; version <= versions; ++version) {
    const auto made =
        load_definition("name: many\ntasks: [{name: t, run: \"echo " + std::to_string(version) +
                            " " + std::string(script_bytes, 'x') + "\"}]\n",
                        "p.yaml");
    REQUIRE(made);
    const auto applied = here.silo->call(
        pipeline.apply(to_json(*made.definition), version - 1, schemas::ApplyOnlyIf::ANY));
    REQUIRE(applied);
    CHECK(applied->version() == version);
  }
  // It tells what it holds at the end of its turns.
  node::eventually([&] {
    const auto loaded = here.silo->activations("pipeline", {.limit = 1});
    REQUIRE(loaded);
    REQUIRE(loaded->items.size() == 1);
    const auto bytes = loaded->items.front().bytes;
    return bytes > script_bytes && bytes < 5 * script_bytes;
  });
  for (std::uint32_t version = 1; version <= versions; ++version) {
    const auto described = here.silo->call(pipeline.describe(version));
    REQUIRE(described);
    CHECK(described->version() == version);
    CHECK(std::string{described->definition()}.find("echo " + std::to_string(version) + " x") !=
          std::string::npos);
  }
  const auto next = here.silo->call(pipeline.describe(versions + 1));
  REQUIRE_FALSE(next);
  CHECK(next.error().code() == errc::not_found);
}

TEST_CASE("asking for what does not exist leaves nothing") {
  temporary_folder data;
  node here{data.path};
  CHECK(here.wait(here.submit(simple)) == RunState::SUCCEEDED);
  node::eventually([&] { return here.silo->stats().activations <= lasting; });
  node::eventually([&] { return here.silo->metrics().totals.sends_pending == 0; });
  const auto rows = rows_of(here);
  for (int at = 0; at < 100; ++at) {
    const auto id = make_run_id(here.silo->time().wall(), here.random);
    CHECK(here.silo->call(ref<schemas::Run>(id).status()).error().code() == errc::not_found);
    CHECK(here.silo->call(ref<schemas::Run>(id).tasks({}, 0, {})).error().code() ==
          errc::not_found);
    CHECK(here.silo->call(ref<schemas::Run>(id).cancel({}, false)).error().code() ==
          errc::not_found);
    CHECK(here.silo->call(ref<schemas::Task>(id + "/t").describe()).error().code() ==
          errc::not_found);
    CHECK(here.silo->call(ref<schemas::Pipeline>("default/" + id).describe(0)).error().code() ==
          errc::not_found);
    CHECK(here.silo->call(ref<schemas::Pipeline>("default/" + id).submit(submission("")))
              .error()
              .code() == errc::not_found);
    CHECK(here.silo->call(ref<schemas::Project>(id).pipelines({}, 0)));
  }
  CHECK(here.silo->stats().activations <= lasting + 50);  // the last ones may be on their way out
  CHECK(rows_of(here) <= rows);  // what was there before may be tidied up meanwhile
}

// Goal: what a run has left anywhere goes with it, also a task that a retry forgot.
// Method: two instances fail one after the other; of the retry only the first starts again.
TEST_CASE("a deleted run leaves no row") {
  temporary_folder data;
  node here{data.path};
  const auto remove = [&](const std::string& run) {
    REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
    node::eventually([&] { return stored(here, "run") == 0 && stored(here, "task") == 0; });
    node::eventually([&] { return here.silo->stats().activations <= lasting; });
  };
  const auto first = here.submit(simple);
  CHECK(here.wait(first) == RunState::SUCCEEDED);
  remove(first);
  const auto rows = rows_of(here);
  const auto second = here.submit(simple);
  CHECK(here.wait(second) == RunState::SUCCEEDED);
  remove(second);
  node::eventually([&] { return rows_of(here) <= rows; });  // sends are tidied up a moment later

  const auto forgetful = here.submit(R"yaml(name: simple
tasks:
  - name: c
    for_each: [a, b]
    max_parallel: 1
    fail_fast: false
    run: |
      test -e again && sleep 60
      test "$MILLRACE_INDEX" = 1 && touch again
      exit 1
)yaml");
  CHECK(here.wait(forgetful) == RunState::FAILED);
  REQUIRE(here.silo->call(ref<schemas::Run>(forgetful).retry()));
  here.wait_until_running(forgetful, "c[0]");
  REQUIRE(here.silo->call(ref<schemas::Run>(forgetful).cancel({}, true)));
  CHECK(here.wait(forgetful) == RunState::CANCELLED);
  remove(forgetful);
  // And the second version of the pipeline.
  node::eventually([&] { return rows_of(here) <= rows + 1; });
}

TEST_CASE("the id of a run that is being removed may be used again") {
  temporary_folder data;
  node here{data.path};
  std::string wide = "name: wide\ntasks:\n  - name: t\n    command: [/bin/true]\n    when: false\n";
  wide += "    for_each: [0";
  for (int at = 1; at < 2'500; ++at) {
    wide += "," + std::to_string(at);
  }
  const auto run = here.submit(wide + "]\n");
  static_cast<void>(here.wait(run));
  for (int round = 0; round < 3; ++round) {
    REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
    node::eventually([&] { return runs_in(here, "default/wide").empty(); });
    REQUIRE(here.silo->call(ref<schemas::Pipeline>("default/wide").submit(submission(run))));
    CHECK(here.wait(run) == RunState::SUCCEEDED);
    CHECK(runs_in(here, "default/wide") == std::vector{run});
  }
}

TEST_CASE("a run that was just submitted can be asked and cancelled") {
  temporary_folder data;
  node here{data.path};
  CHECK(here.wait(here.submit(simple)) == RunState::SUCCEEDED);
  const auto pipeline = ref<schemas::Pipeline>("default/simple");
  for (int round = 0; round < 50; ++round) {
    const auto made = here.silo->call(pipeline.submit(submission("")));
    REQUIRE(made);
    const auto run = ref<schemas::Run>(std::string{made->run()});
    CHECK(here.silo->call(run.status()));
    const auto cancelled = here.silo->call(run.cancel({}, false));
    CHECK((cancelled || cancelled.error().code() == errc::failed_precondition));
  }
}

TEST_CASE("the id of another pipeline's run is refused, of one's own it is that run") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(simple);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.wait(here.submit("name: other\ntasks: [{name: t, command: [/bin/true]}]\n")) ==
        RunState::SUCCEEDED);
  const auto own =
      here.silo->call(ref<schemas::Pipeline>("default/simple").submit(submission(run)));
  REQUIRE(own);
  CHECK(own->run() == run);
  const auto refused =
      here.silo->call(ref<schemas::Pipeline>("default/other").submit(submission(run)));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::conflict);
  CHECK(runs_in(here, "default/other").size() == 1);
  CHECK(runs_in(here, "default/other", "running").empty());
}

// Goal: what two pipelines were given at the same time ends up with one of them.
// Method: the other's message arrives by hand, as if it had been on its way.
TEST_CASE("a run tells a pipeline that has sent it off too that it is another's") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(simple);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  schemas::run_interface::begin_params begin;
  auto made = begin.build();
  made.setProject("default");
  made.setPipeline("other");
  made.setDefinition(simple);
  made.setParams("{}");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).begin(std::move(begin))));
  CHECK(here.silo->call(ref<schemas::Run>(run).status())->run().getPipeline() == "simple");
}

TEST_CASE("a run whose definition cannot be used fails, says why and can be removed") {
  temporary_folder data;
  node here{data.path};
  const auto run = make_run_id(here.silo->time().wall(), here.random);
  const auto begin = [&] {
    schemas::run_interface::begin_params params;
    auto made = params.build();
    made.setProject("default");
    made.setPipeline("broken");
    made.setDefinition(R"({"name": "broken", "tasks": [{"name": "t", "runs": "x"}]})");
    made.setParams("{}");
    return here.silo->call(ref<schemas::Run>(run).begin(std::move(params)));
  };
  CHECK(begin());
  CHECK(begin());  // as a send that is repeated
  CHECK(here.wait(run) == RunState::FAILED);
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(text_of(status->run().getReason()).find("cannot be used") != std::string::npos);
  CHECK(here.silo->call(ref<schemas::Run>(run).tasks({}, 0, {})).error().code() ==
        errc::failed_precondition);
  CHECK(here.silo->call(ref<schemas::Run>(run).retry()).error().code() ==
        errc::failed_precondition);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
  node::eventually([&] { return stored(here, "run") == 0; });
}

TEST_CASE("labels and parameters of a submission are bounded, and the refusal says the limit") {
  temporary_folder data;
  node here{data.path};
  CHECK(here.wait(here.submit(simple)) == RunState::SUCCEEDED);
  const auto refusal = [&](unsigned labels, const std::string& name, const std::string& text,
                           const std::string& params) {
    auto made = submission("");
    auto list = made.build().initLabels(labels);
    for (unsigned at = 0; at < labels; ++at) {
      list[at].setName((name + (at == 0 ? "" : std::to_string(at))).c_str());
      list[at].setValue(text.c_str());
    }
    made.build().setParams(params.c_str());
    const auto answer =
        here.silo->call(ref<schemas::Pipeline>("default/simple").submit(std::move(made)));
    return answer ? std::string{} : answer.error().to_string();
  };
  CHECK(refusal(64, "n", std::string(61, 'x'), "{}").empty());
  CHECK(refusal(64, "n", std::string(62, 'x'), "{}").find("4149 bytes; at most 4096") !=
        std::string::npos);
  CHECK(refusal(1, "n", std::string(1'024, 'x'), "{}").empty());
  CHECK(refusal(65, "n", "x", "{}").find("65 labels; at most 64") != std::string::npos);
  CHECK(refusal(1, std::string(63, 'n'), "x", "{}").empty());
  CHECK(refusal(1, std::string(64, 'n'), "x", "{}").find("64 bytes; at most 63") !=
        std::string::npos);
  CHECK(refusal(1, "n", std::string(1'025, 'x'), "{}").find("1025 bytes; at most 1024") !=
        std::string::npos);
  CHECK(refusal(1, "", "x", "{}").find("no name") != std::string::npos);
  CHECK(refusal(0, "", "", "{\"a\":\"" + std::string(512U << 10U, 'x') + "\"}")
            .find("at most 524288") != std::string::npos);
}

TEST_CASE("runs are listed by page and by state, those that have ended and those that have not") {
  temporary_folder data;
  node here{data.path};
  std::vector<std::string> all;
  for (int at = 0; at < 5; ++at) {
    all.push_back(here.submit("name: mixed\ntasks: [{name: t, run: sleep 60}]\n"));
    std::this_thread::sleep_for(std::chrono::milliseconds{2});  // ids sort by milliseconds
  }
  std::reverse(all.begin(), all.end());
  for (const auto at : {1, 3}) {
    REQUIRE(here.silo->call(ref<schemas::Run>(all[static_cast<std::size_t>(at)]).cancel({}, true)));
    CHECK(here.wait(all[static_cast<std::size_t>(at)]) == RunState::CANCELLED);
  }
  node::eventually([&] { return runs_in(here, "default/mixed", "cancelled").size() == 2; });
  for (const auto limit : {0U, 1U, 2U, 3U, 5U}) {
    CAPTURE(limit);
    CHECK(runs_in(here, "default/mixed", "", limit) == all);
    CHECK(runs_in(here, "default/mixed", "running", limit) == std::vector{all[0], all[2], all[4]});
    CHECK(runs_in(here, "default/mixed", "cancelled", limit) == std::vector{all[1], all[3]});
    CHECK(runs_in(here, "default/mixed", "failed", limit).empty());
  }
  REQUIRE(here.silo->call(ref<schemas::Run>(all[1]).retry()));
  node::eventually([&] { return runs_in(here, "default/mixed", "cancelled").size() == 1; });
  CHECK(runs_in(here, "default/mixed", "running").size() == 4);
}

TEST_CASE("runs past the limits of their definition are removed, the longest ended first") {
  temporary_folder data;
  node here{data.path};
  std::vector<std::string> all;
  for (int at = 0; at < 8; ++at) {
    all.push_back(here.submit(
        "name: kept\nretention: {runs: 3}\ntasks: [{name: t, command: [/bin/true]}]\n"));
    CHECK(here.wait(all.back()) == RunState::SUCCEEDED);
  }
  node::eventually([&] { return runs_in(here, "default/kept").size() == 3; });
  const std::vector<std::string> last{all.rbegin(), all.rbegin() + 3};
  auto listed = runs_in(here, "default/kept");
  std::sort(listed.begin(), listed.end(), std::greater<>{});
  CHECK(listed == last);
  node::eventually([&] { return stored(here, "run") == 3; });
}

TEST_CASE("a server's own limits count where the definition has none") {
  temporary_folder data;
  pipeline_host_options options;
  options.retention.age = std::chrono::seconds{1};
  node here{data.path, std::move(options)};
  here.submit(simple);
  node::eventually([&] { return runs_in(here, "default/simple").empty(); });
  node::eventually([&] { return stored(here, "run") == 0; });
}

}  // namespace
}  // namespace millrace::actors
