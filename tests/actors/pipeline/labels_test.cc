// SPDX-License-Identifier: MIT
// Labels: which a run has, and which runs they find.
#include "millrace/actors/submission.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fixture.h"

namespace millrace::actors {

using runtime::ref;
using schemas::RunState;

namespace {

using labels = std::vector<std::pair<std::string, std::string>>;

labels labels_of(capnp::List<schemas::Label>::Reader given) {
  labels made;
  for (const auto each : given) {
    made.emplace_back(each.getName().cStr(), each.getValue().cStr());
  }
  return made;
}

struct labelled_pipeline {
  temporary_folder data;
  node here{data.path};

  void apply(const std::string& head) {
    const auto made = load_definition(head + "\ntasks: [{name: t, run: 'true'}]\n", "p.yaml");
    REQUIRE(made);
    REQUIRE(here.silo->call(ref<schemas::Pipeline>("default/p")
                                .apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY)));
  }

  runtime::result<std::string> submit(const labels& given) {
    schemas::pipeline_interface::submit_params params;
    params.build().setParams("{}");
    auto list = params.build().initLabels(static_cast<unsigned>(given.size()));
    for (unsigned at = 0; at < given.size(); ++at) {
      list[at].setName(given[at].first.c_str());
      list[at].setValue(given[at].second.c_str());
    }
    const auto run = here.silo->call(ref<schemas::Pipeline>("default/p").submit(std::move(params)));
    return run ? runtime::result<std::string>{std::string{run->run()}} : run.error();
  }

  std::set<std::string> found(const std::string& label, const std::string& state = {}) {
    std::set<std::string> ids;
    std::string before;
    do {
      const auto page =
          here.silo->call(ref<schemas::Pipeline>("default/p").runs(before, 2, state, label));
      REQUIRE(page);
      CHECK(page->runs().size() <= 2);
      for (const auto each : page->runs()) {
        ids.insert(each.getId().cStr());
      }
      before = std::string{page->next_cursor()};
    } while (!before.empty());
    return ids;
  }
};

TEST_CASE("a run has the labels of its pipeline, and over them its own") {
  labelled_pipeline p;
  p.apply("name: p\nlabels: {team: data, kind: nightly}");
  const auto plain = p.submit({});
  const auto own = p.submit({{"team", "ops"}, {"ticket", "7"}});
  REQUIRE(plain);
  REQUIRE(own);
  const auto labels_of_run = [&](const std::string& run) {
    CHECK(p.here.wait(run) == RunState::SUCCEEDED);
    const auto status = p.here.silo->call(ref<schemas::Run>(run).status());
    REQUIRE(status);
    return labels_of(status->run().getLabels());
  };
  CHECK(labels_of_run(*plain) == labels{{"kind", "nightly"}, {"team", "data"}});
  CHECK(labels_of_run(*own) == labels{{"team", "ops"}, {"ticket", "7"}, {"kind", "nightly"}});
}

// Goal: those that go on and those that have ended, over pages, whatever became of them meanwhile.
TEST_CASE("runs are found by their labels") {
  labelled_pipeline p;
  p.apply("name: p\nlabels: {team: data}");
  std::set<std::string> all;
  std::set<std::string> odd;
  std::set<std::string> seventh;
  for (int number = 0; number < 10; ++number) {
    const auto run =
        p.submit(number % 2 == 0 ? labels{{"even", ""}} : labels{{"n", std::to_string(number)}});
    REQUIRE(run);
    all.insert(*run);
    if (number % 2 != 0) {
      odd.insert(*run);
    }
    if (number == 7) {
      seventh.insert(*run);
    }
  }
  const auto check_all = [&] {
    CHECK(p.found("") == all);
    CHECK(p.found("team=data") == all);
    CHECK(p.found("n") == odd);
    CHECK(p.found("n=7") == seventh);
    CHECK(p.found("n=7,team") == seventh);
    CHECK(p.found("even=").size() == 5);
    CHECK(p.found("n=7,even").empty());
    CHECK(p.found("team=ops").empty());
    CHECK(p.found("Team").empty());
  };
  check_all();
  for (const auto& run : all) {
    CHECK(p.here.wait(run) == RunState::SUCCEEDED);
  }
  node::eventually([&] { return p.found("", "succeeded") == all; });
  check_all();
  CHECK(p.found("n", "succeeded") == odd);
  CHECK(p.found("n", "failed").empty());

  // A run that is taken up again keeps them.
  REQUIRE(p.here.silo->call(ref<schemas::Run>(*seventh.begin()).retry_from("t", false)));
  CHECK(p.found("n=7") == seventh);
  CHECK(p.here.wait(*seventh.begin()) == RunState::SUCCEEDED);
  node::eventually([&] { return p.found("n=7", "succeeded") == seventh; });
}

TEST_CASE("a run has as many labels as there is room for, its own first") {
  labelled_pipeline p;
  p.apply("name: p\nlabels: {b: of pipeline, a: of pipeline, l3: of pipeline}");
  labels many;
  for (unsigned at = 0; at + 1 < submission_labels_max; ++at) {
    many.emplace_back("l" + std::to_string(at), "");
  }
  const auto run = p.submit(many);
  REQUIRE(run);
  auto all = many;
  all.emplace_back("a", "of pipeline");
  CHECK(p.here.wait(*run) == RunState::SUCCEEDED);
  CHECK(labels_of(p.here.silo->call(ref<schemas::Run>(*run).status())->run().getLabels()) == all);
  CHECK(p.found("l3=") == std::set{*run});
}

TEST_CASE("labels that are too much are refused") {
  labelled_pipeline p;
  p.apply("name: p");
  const auto refusal = [&](const labels& given) {
    const auto refused = p.submit(given);
    REQUIRE_FALSE(refused);
    return refused.error();
  };
  labels many;
  for (unsigned at = 0; at <= submission_labels_max; ++at) {
    many.emplace_back("l" + std::to_string(at), "");
  }
  CHECK(refusal(many).code() == runtime::errc::too_large);
  CHECK(refusal(many).text() == "the submission has 65 labels; at most 64 are allowed");
  CHECK(refusal({{"team", "a"}, {"team", "b"}}).text() == "label 'team' is given twice");
  const std::string long_value(1'000, 'x');
  const auto in_all = refusal({{"a", long_value},
                               {"b", long_value},
                               {"c", long_value},
                               {"d", long_value},
                               {"e", long_value}});
  CHECK(in_all.code() == runtime::errc::too_large);
  CHECK(in_all.text() == "what the labels say has 5005 bytes; at most 4096 are allowed");
  for (const auto* name : {"a=b", "a,b"}) {
    CHECK(refusal({{name, ""}}).text().find("by which labels are looked for") != std::string::npos);
  }
}

TEST_CASE("what is looked for is read strictly") {
  const auto refusal = [](std::string_view text) {
    const auto wanted = parse_label_filter(text);
    REQUIRE_FALSE(wanted);
    return wanted.error().text();
  };
  CHECK(parse_label_filter("")->empty());
  CHECK(*parse_label_filter("a=b=c,d") == label_filter{{"a", "b=c"}, {"d", std::nullopt}});
  CHECK(*parse_label_filter("a=") == label_filter{{"a", ""}});
  for (const auto* text : {"=b", ",", "a,,b"}) {
    CHECK(refusal(text).starts_with("a label to look for has no name"));
  }
  CHECK(refusal("a=1,a=2") == "the label 'a' is to be looked for twice");
}

}  // namespace
}  // namespace millrace::actors
