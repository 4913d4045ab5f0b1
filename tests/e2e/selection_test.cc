// SPDX-License-Identifier: MIT
// Runs of some tasks of a pipeline alone, as a user asks for them.
#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {
namespace {

TEST_CASE("only some tasks are run, planned and submitted, and repeated so") {
  temporary_folder folder;
  const auto file = folder.path / "parts.yaml";
  std::ofstream{file} << R"(name: parts
tasks:
  - {name: fetch, run: echo fetched}
  - {name: build, needs: [fetch], run: echo built}
  - {name: test, needs: [build], run: exit 1}
  - {name: gate, approval: "Really?"}
finally: echo tidied
)";
  const auto ran = millrace({"run", file.string(), "--only", "build", "--data",
                             (folder.path / "data").string(), "--progress", "plain"});
  CHECK(ran.status == 0);
  CHECK(ran.output == "built\n");  // a hook speaks of others
  CHECK(ran.errors.find("succeeded        finally") != std::string::npos);
  CHECK(ran.errors.find("skipped          test: not asked for (`only`)") != std::string::npos);
  CHECK(millrace({"run", file.string(), "--only", "biuld"}).errors ==
        "millrace: `only`: the pipeline has no task `biuld`; did you mean `build`?\n");
  CHECK(millrace({"run", file.string(), "--only", "a,,b"}).status == 2);
  CHECK(millrace({"run", file.string(), "--only", "test,gate"}).status == 2);

  const auto planned = millrace({"plan", file.string(), "--offline", "--only", "build,fetch"});
  CHECK(planned.output ==
        "pipeline parts\n  fetch\n  build  needs fetch\n  finally  follows the run\n"
        "skipped, since --only does not ask for them: test, gate\n");

  server_process server{folder.path / "server"};
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  REQUIRE(at_server({"apply", file.string()}).status == 0);
  CHECK(at_server({"submit", "parts", "--only", "nothing"}).status == 2);
  const auto logs = at_server({"submit", "parts", "--only", "fetch", "--only", "build", "--logs"});
  CHECK(logs.status == 0);
  CHECK(logs.output == "built\n");
  const auto again = at_server({"rerun", "@latest", "--wait", "-o", "json"});
  CHECK(again.status == 0);
  CHECK(again.output.find("\"only\": [\n    \"fetch\",\n    \"build\"\n  ]") != std::string::npos);

  // What a run was not asked for does not start again either.
  const auto refused = at_server({"retry", "@latest", "--from", "test"});
  CHECK(refused.status == 6);
  CHECK(refused.errors ==
        "millrace: the run was not asked for the task 'test'; `millrace submit parts --only test` "
        "starts a run that does\n");
  CHECK(at_server({"submit", "parts", "--batch", "-", "--only", "build"}).status == 2);
  const auto lines = folder.path / "lines.jsonl";
  std::ofstream{lines} << R"({"only": ["fetch"]})" << '\n' << R"({"only": ["finally"]})" << '\n';
  const auto batch = at_server({"submit", "parts", "--batch", lines.string()});
  CHECK(batch.status == 2);
  CHECK(batch.errors.find("`only`: `finally` is a hook, which follows what it belongs to") !=
        std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
