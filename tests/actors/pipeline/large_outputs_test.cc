// SPDX-License-Identifier: MIT
// Outputs that are too large for a row: kept by the executor, and given to others by reference.
#include <fstream>

#include "actors/pipeline/several_executors.h"
#include "executor/attempt_report.h"
#include "millrace/actors/artifact.h"
#include "millrace/actors/process_outputs.h"

namespace millrace::actors {
namespace {

using schemas::RunState;
using schemas::TaskState;
using testing::several_executors;

schemas::run_interface::task_results row_of(const several_executors& lab, const std::string& run,
                                            const std::string& task) {
  auto answer = lab.silo->call(runtime::ref<schemas::Run>(run).task(task));
  REQUIRE(answer);
  return *std::move(answer);
}

std::string digest_of(const std::string& text) {
  digest_of_stream sum;
  sum.add(text);
  return std::move(sum).hex();
}

// What the executor keeps of an output.
std::string kept_text(const several_executors& lab, const std::string& run,
                      schemas::Variable::Reader output) {
  std::string text;
  const auto kept = output.getKept();
  while (text.size() < kept.getSize()) {
    const auto piece = lab.silo->call(runtime::ref<schemas::Executor>(text_of(kept.getExecutor()))
                                          .blob(run, text_of(kept.getDigest()), text.size()));
    REQUIRE(piece);
    text.append(reinterpret_cast<const char*>(piece->bytes().begin()), piece->bytes().size());
  }
  return text;
}

std::size_t blobs_of(const several_executors& lab, const std::string& name) {
  std::size_t files = 0;
  for (const auto& each :
       std::filesystem::directory_iterator{lab.folder.path / name / "artifacts/blobs"}) {
    files += each.is_regular_file() ? 1 : 0;
  }
  return files;
}

// Writes outputs of so many bytes, by name; and reads them again from its inputs.
std::string writes(const std::vector<std::pair<std::string, std::size_t>>& outputs) {
  std::string text = "{ ";
  for (const auto& [name, bytes] : outputs) {
    text += "printf " + name + "=; head -c " + std::to_string(bytes) +
            " /dev/zero | tr '\\\\0' x; echo; ";
  }
  return text + R"(} >> $MILLRACE_OUTPUT)";
}

constexpr const char* reads =
    "    shell: [python3, -c]\n"
    "    stdout: told\n"
    "    run: |\n"
    "      import json, os\n"
    "      made = json.load(open(os.environ['MILLRACE_INPUTS']))\n"
    "      print(*(f'{name}:{len(text)}:{text[:1]}' for name, text in sorted(made.items())))\n";

TEST_CASE("large outputs go by reference to a command on another executor") {
  several_executors lab{{"a", "b"}, 1};
  const auto run = lab.submit(
      "name: p\nworkspace: task\ntasks:\n"
      "  - {name: make, run: \"" +
      writes({{"big", 5'242'880}, {"edge", 65'537}, {"small", 3}}) +
      "\"}\n"
      "  - {name: gate, approval: Go on, needs: [make]}\n"
      "  - name: take\n    needs: [make, gate]\n    inputs:\n"
      "      big: \"${{ tasks.make.outputs.big }}\"\n"
      "      edge: \"${{ tasks.make.outputs.edge }}\"\n"
      "      small: \"${{ tasks.make.outputs.small }}\"\n" +
      reads);
  lab.wait_until(run, "make", TaskState::SUCCEEDED);
  const auto told = row_of(lab, run, "make");
  const auto outputs = told.task().getOutputs();
  REQUIRE(outputs.size() == 3);
  CHECK(outputs[0].getValue().size() == 0);
  CHECK(outputs[0].getKept().getSize() == 5'242'880);
  CHECK(outputs[0].getKept().getDigest() == digest_of(std::string(5'242'880, 'x')).c_str());
  CHECK(outputs[1].getKept().getSize() == 65'537);
  CHECK_FALSE(outputs[2].hasKept());
  CHECK(outputs[2].getValue() == "xxx");
  CHECK(kept_text(lab, run, outputs[1]) == std::string(65'537, 'x'));

  const std::string maker = outputs[0].getKept().getExecutor().cStr();
  const std::string other = maker == "silo/a" ? "b" : "a";
  CHECK(blobs_of(lab, other) == 0);
  REQUIRE(lab.silo->call(
      runtime::ref<schemas::Pool>(std::string{pool_key}).drain(maker, false, "for a test")));
  REQUIRE(lab.silo->call(runtime::ref<schemas::Run>(run).decide("gate", true, "", "me")));
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(row_of(lab, run, "take").task().getOutputs()[0].getValue() ==
        "big:5242880:x edge:65537:x small:3:x");
  CHECK(blobs_of(lab, other) == 2);

  // They go with the run, at both.
  REQUIRE(lab.silo->call(runtime::ref<schemas::Run>(run).remove()));
  node::eventually([&] { return blobs_of(lab, "a") + blobs_of(lab, "b") == 0; });
}

TEST_CASE("standard output may be a large output, and what the run reads it has as text") {
  several_executors lab{{"a"}};
  const auto run = lab.submit(R"(name: p
outputs: {told: "${{ tasks.list.outputs.lines }}"}
tasks:
  - {name: list, run: "seq -f item-%012.0f 5000", stdout: lines}
  - {name: large, run: "head -c 65537 /dev/zero | tr '\\0' y", stdout: text}
  - name: first
    needs: [list, large]
    for_each: ["${{ extract(tasks.list.outputs.lines, 'item-0+5000') }}"]
    when: ${{ contains(tasks.list.outputs.lines, 'item-000000000042') }}
    inputs: {text: "${{ tasks.large.outputs.text }}", lines: "${{ tasks.list.outputs.lines }}"}
    run: echo "$MILLRACE_ITEM"; test $(wc -c < "$MILLRACE_INPUTS") -gt 150000
    stdout: item
)");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  const auto first = row_of(lab, run, "first[0]");
  CHECK(first.task().getOutputs()[0].getValue() == "item-000000005000");
  const auto list = row_of(lab, run, "list");  // not told twice
  CHECK(list.task().getOutputs()[0].getValue().size() == 0);
  CHECK(list.task().getOutputs()[0].getKept().getSize() == 89'999);
  CHECK(row_of(lab, run, "large").task().getOutputs()[0].getKept().getSize() == 65'537);
  const auto status = lab.silo->call(runtime::ref<schemas::Run>(run).status());
  REQUIRE(status);
  CHECK(status->run().getOutputs()[0].getValue().size() == 89'999);
}

TEST_CASE("sixteen mebibytes of outputs are kept, and a byte more fails for good") {
  several_executors lab{{"a"}};
  const auto run = lab.submit("name: p\ntasks:\n  - {name: fits, run: \"" +
                              writes({{"k", large_output_bytes_max - 3}}) +
                              "\"}\n  - {name: large, retry: 3, run: \"" +
                              writes({{"k", large_output_bytes_max - 2}}) + "\"}\n");
  CHECK(lab.wait(run) == RunState::FAILED);
  CHECK(row_of(lab, run, "fits").task().getOutputs()[0].getKept().getSize() ==
        large_output_bytes_max - 3);
  const auto large = lab.task(run, "large");
  CHECK(large.attempts().size() == 1);
  CHECK(large.reason().starts_with(
      "$MILLRACE_OUTPUT: more than 16777216 bytes; leave what is larger in a file"));
  CHECK(blobs_of(lab, "a") == 1);
}

TEST_CASE("a large output that is kept nowhere any more is told, and never read as nothing") {
  several_executors lab{{"a"}};
  const auto run = lab.submit(
      "name: p\ntasks:\n"
      "  - {name: make, run: \"" +
      writes({{"big", 70'000}}) +
      "\"}\n"
      "  - {name: gate, approval: Go on, needs: [make]}\n"
      "  - name: take\n    needs: [make, gate]\n"
      "    inputs: {big: \"${{ tasks.make.outputs.big }}\"}\n    run: \"false\"\n");
  lab.wait_until(run, "make", TaskState::SUCCEEDED);
  for (const auto* part : {"blobs", "runs"}) {
    for (const auto& each :
         std::filesystem::directory_iterator{lab.folder.path / "a/artifacts" / part}) {
      std::filesystem::remove_all(each.path());
    }
  }
  REQUIRE(lab.silo->call(runtime::ref<schemas::Run>(run).decide("gate", true, "", "me")));
  CHECK(lab.wait(run) == RunState::FAILED);
  const auto take = lab.task(run, "take");
  CHECK(take.state() == TaskState::ERRORED);
  CHECK(take.reason().find(
            "could not start without what it needs: the output \"big\" of 'make': no executor has "
            "it any more") != std::string_view::npos);
}

// Method: the token of a callback is the secret, since a command that is given one is masked.
TEST_CASE("what is masked in outputs is masked in large ones") {
  several_executors lab{{"a"}};
  const auto run = lab.submit(R"(name: p
tasks:
  - name: make
    env: {TOKEN: "${{ tasks.waits.callback }}"}
    run: |
      { printf 'k='; head -c 70000 /dev/zero | tr '\0' x; echo "$TOKEN"; } >> "$MILLRACE_OUTPUT"
  - {name: waits, callback: {}, needs: [make]}
)");
  lab.wait_until(run, "make", TaskState::SUCCEEDED);
  const auto text = kept_text(lab, run, row_of(lab, run, "make").task().getOutputs()[0]);
  CHECK(text.starts_with(std::string(70'000, 'x')));
  CHECK(text.ends_with("***"));
  CHECK(text.find(run) == std::string::npos);  // with which a token begins
}

// Goal: an executor that dies between the end of a command and the report loses nothing in silence.
TEST_CASE("an attempt whose large outputs were not kept before its executor died starts again") {
  const auto report = [](std::size_t bytes) {
    recovered_attempt left;
    left.found = recovered_attempt::state::ended;
    left.exit_code = 0;
    left.output = "k=" + std::string(bytes, 'x');
    return report_of(left, 1, {}, "");
  };
  CHECK_FALSE(report(output_bytes_max - 2).read().getOutputsUnkept());
  CHECK(report(output_bytes_max - 1).read().getOutputsUnkept());

  several_executors lab{{"a"}, 1};
  const auto folder = lab.folder.path.string();
  const auto run = lab.submit("name: p\ntasks:\n  - {name: t, run: \"echo x >> " + folder +
                              "/starts; until test -e " + folder + "/go; do sleep 0.02; done\"}\n");
  lab.wait_until(run, "t", TaskState::RUNNING);
  schemas::task_interface::attempt_finished_params told;
  told.build().setReport(report(output_bytes_max).read());
  REQUIRE(
      lab.silo->call(runtime::ref<schemas::Task>(run + "/t").attempt_finished(std::move(told))));
  const auto again = lab.task(run, "t");
  REQUIRE(again.attempts().size() == 2);
  CHECK(again.attempts()[0].getEnd() == schemas::AttemptEnd::LOST);
  CHECK(again.attempts()[0].getText() ==
        "its executor went away before its large outputs were kept");
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
}

}  // namespace
}  // namespace millrace::actors
