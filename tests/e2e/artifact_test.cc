// SPDX-License-Identifier: MIT
// Artifacts through the program: kept, taken by other tasks, listed and downloaded.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Counts again where something goes meanwhile.
std::size_t files_in(const fs::path& folder) {
  std::size_t files = 0;
  std::error_code gone;
  do {
    files = 0;
    gone.clear();
    if (!fs::exists(folder)) {
      return 0;
    }
    for (fs::recursive_directory_iterator each{folder, gone}, end; each != end;
         each.increment(gone)) {
      files += each->is_regular_file(gone) ? 1 : 0;
    }
  } while (gone);
  return files;
}

// Asks the server for the rest of a command, of a pipeline in a file.
class asking {
public:
  asking(std::string url, fs::path folder) : url_(std::move(url)), folder_(std::move(folder)) {}

  [[nodiscard]] finished_command ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", url_});
    return millrace(words);
  }
  [[nodiscard]] std::string log_of(const std::string& run, const std::string& task) const {
    const auto told = ask({"logs", run, task});
    CHECK_MESSAGE(told.status == 0, told.errors);
    return told.output;
  }
  void apply(const std::string& text) const {
    const auto file = folder_ / "pipeline.yaml";
    std::ofstream{file} << text;
    const auto applied = ask({"apply", file.string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }

private:
  const std::string url_;
  const fs::path folder_;
};

TEST_CASE("artifacts go from task to task, and to people, until their run goes") {
  temporary_folder folder;
  server_process server{folder.path / "data"};
  const asking server_at{server.url(), folder.path};
  server_at.apply(R"(
name: leaves
workspace: task
tasks:
  - name: make
    for_each: [one, two]
    run: mkdir "a b"; echo "$MILLRACE_ITEM" > "a b/$MILLRACE_ITEM"; chmod +x "a b/$MILLRACE_ITEM"
    artifacts: {text: "a b", none: {path: "*.none", optional: true}}
  - name: join
    needs: [{task: make, artifacts: true}]
    run: test -x "make/0/a b/one" && cat make/*/*/* > joined; cat joined
    artifacts: {all: joined}
  - name: each
    for_each: [one, two]
    needs: [{task: make, instances: same, artifacts: text}]
    env: {DIGEST: "${{ tasks.make.artifacts.text }}"}
    run: cat "a b"/*; test ! -e make; echo "digest=$DIGEST" >> "$MILLRACE_OUTPUT"
    outputs: [digest]
  - name: fails
    needs: [make]
    allow_failures: true
    run: echo nothing
    artifacts: {out: "*.xml"}
)");
  const auto waited = server_at.ask({"submit", "leaves", "--wait"});
  CHECK_MESSAGE(waited.status == 0, waited.errors);
  CHECK(server_at.log_of("@latest", "join") == "one\ntwo\n");
  CHECK(server_at.log_of("@latest", "each[1]") == "two\n");
  // Once more, now that the artifacts of all instances are known from the beginning.
  CHECK(server_at.ask({"retry", "@latest", "--from", "each"}).status == 0);
  CHECK(server_at.ask({"watch", "@latest"}).status == 0);
  CHECK(server_at.log_of("@latest", "each[0]") == "one\n");
  CHECK(server_at.ask({"get", "@latest", "fails"})
            .output.find("the artifact \"out\": no file of the workspace fits '*.xml'") !=
        std::string::npos);

  const auto listed = server_at.ask({"artifacts", "@latest", "--no-headers"});
  CHECK(listed.output.find("join     all") == 0);
  CHECK(listed.output.find("make[0]  text") != std::string::npos);
  CHECK(listed.output.find("none") == std::string::npos);
  CHECK(server_at.ask({"artifacts", "@latest", "make", "-o", "name"}).output == "text\ntext\n");
  CHECK(server_at.ask({"artifacts", "@latest", "each"}).status == 5);
  const auto out = folder.path / "out";
  const auto got = server_at.ask({"artifacts", "@latest", "--download", out.string()});
  CHECK_MESSAGE(got.status == 0, got.errors);
  CHECK(got.errors.starts_with("3 files, 16 bytes, in "));
  CHECK(content_of(out / "make/1/a b/two") == "two\n");
  struct stat status {};
  REQUIRE(::stat((out / "make/0/a b/one").c_str(), &status) == 0);
  CHECK((status.st_mode & S_IXUSR) != 0);
  CHECK(files_in(out) == 3);

  const auto kept = folder.path / "data/artifacts";
  CHECK(files_in(kept / "blobs") == 6);
  CHECK(server_at.ask({"delete", "run", "@latest"}).status == 0);
  CHECK(server_at.ask({"artifacts", "@latest"}).status == 5);
}

// Method: the executor is killed when the command has ended and its artifacts are being kept: the
// reader of a file that never ends. (A sparse file: it costs the disk only what was copied.)
TEST_CASE("an attempt whose silo is killed while its artifacts are kept starts again") {
  temporary_folder folder;
  const auto data = folder.path / "data";
  auto server = std::make_unique<server_process>(data);
  const auto mark = folder.path / "mark";
  asking{server->url(), folder.path}.apply(R"(
name: killed
workspace: task
tasks:
  - name: make
    run: |
      if test -e )" + mark.string() + R"(; then echo second > out; exit; fi
      truncate -s 900M out; touch )" + mark.string() +
                                           R"(
    artifacts: {out: out}
  - {name: show, needs: [{task: make, artifacts: true}], run: cat out}
)");
  const auto submitted = asking{server->url(), folder.path}.ask({"submit", "killed"});
  REQUIRE(submitted.status == 0);
  const auto incoming = data / "artifacts/incoming";
  while (!fs::exists(incoming) || fs::is_empty(incoming)) {
    REQUIRE(::kill(server->pid(), 0) == 0);
  }
  server->kill();
  server = std::make_unique<server_process>(data);
  const asking again{server->url(), folder.path};
  const auto watched = again.ask({"watch", "@latest"});
  CHECK_MESSAGE(watched.status == 0, watched.errors);
  CHECK(again.log_of("@latest", "show") == "second\n");
  CHECK(again.ask({"get", "@latest", "make", "-o", "json"})
            .output.find("its executor went away before its artifacts were kept") !=
        std::string::npos);
  CHECK(fs::is_empty(incoming));
  CHECK(files_in(data / "artifacts/blobs") == 2);
}

// A cluster of a silo that has the state, and two that only run tasks: `x`, which offers `first`,
// and `y`, which offers `second`.
class two_executors {
public:
  two_executors() {
    cluster_.read_until("silo a pid ");
    start("x");
    start("y");
    const auto& printed = cluster_.printed();
    const auto at = printed.find("http://");
    at_.emplace(printed.substr(at, printed.find(' ', at) - at), folder_.path);
    until([&] {  // as the gateway sees them, which hears of them a moment later
      const auto seen = at_->ask({"silos", "-o", "jsonl"}).output;
      std::size_t active = 0;
      for (auto found = seen.find(is_active); found != std::string::npos; ++active) {
        found = seen.find(is_active, found + 1);
      }
      return active == 4;
    });
  }
  void start(const std::string& name) {
    silos_[name] = std::make_unique<background_command>(std::vector<std::string>{
        "silo", "--name", name, "--roles", "execute", "--resources",
        std::string{name == "x" ? "first" : "second"} + "=1", "--coordination",
        "local:" + (folder_.path / "d/coordination").string(), "--data", data(name).string()});
    silos_[name]->read_until("silo is active");
  }
  void kill(const std::string& name) {
    silos_[name]->signal(SIGKILL);
    CHECK(silos_[name]->wait().status == 128 + SIGKILL);
  }
  [[nodiscard]] fs::path data(const std::string& name) const { return folder_.path / name; }
  const asking* operator->() const { return &*at_; }

private:
  static constexpr const char* is_active = R"("state":"active")";

  temporary_folder folder_;
  background_command cluster_{
      {"dev", "--silos", "1", "--listen", "127.0.0.1:0", "--data", (folder_.path / "d").string()}};
  std::map<std::string, std::unique_ptr<background_command>> silos_;
  std::optional<asking> at_;
};

constexpr const char* far = R"(
name: far
workspace: task
tasks:
  - name: make
    resources: {first: 1}
    run: |
      head -c 3000000 /dev/zero | tr '\\0' z > large
      echo small > small
      echo "$MILLRACE_RUN" > run
    artifacts: {large: large, small: small, run: run}
  - {name: gate, approval: Go on, needs: [make]}
  - name: take
    resources: {second: 1}
    needs: [gate, {task: make, artifacts: true}]
    run: wc -c < large; cat small
)";

TEST_CASE("a task takes artifacts from another silo") {
  two_executors cluster;
  cluster->apply(far);
  const auto submitted = cluster->ask({"submit", "far"});
  const auto run = submitted.output.substr(0, submitted.output.size() - 1);
  while (cluster->ask({"approve", run, "gate"}).status != 0) {
  }
  CHECK(cluster->ask({"watch", run}).status == 0);
  CHECK(cluster->log_of(run, "take") == "3000000\nsmall\n");
  CHECK(files_in(cluster.data("y") / "artifacts/blobs") == 6);
  const auto out = cluster.data("out");
  CHECK(cluster->ask({"artifacts", run, "--download", out.string()}).status == 0);
  CHECK(fs::file_size(out / "make/large") == 3'000'000);

  // What another executor has too is there for people while the first one is away.
  cluster.kill("x");
  fs::remove_all(out);
  const auto without = cluster->ask({"artifacts", run, "make", "--download", out.string()});
  CHECK_MESSAGE(without.status == 0, without.errors);
  CHECK(fs::file_size(out / "make/large") == 3'000'000);
  cluster.start("x");

  // Once the run goes, so do the copies of both.
  CHECK(cluster->ask({"delete", "run", run}).status == 0);
  for (const auto* name : {"x", "y"}) {
    while (files_in(cluster.data(name) / "artifacts") > 0) {
    }
  }
}

TEST_CASE("a task waits for a silo that comes back, and errs when its artifacts do not") {
  two_executors cluster;
  cluster->apply(far);
  const auto begin = [&] {
    const auto submitted = cluster->ask({"submit", "far"});
    auto run = submitted.output.substr(0, submitted.output.size() - 1);
    while (cluster->ask({"get", run, "make"}).output.find("succeeded") == std::string::npos) {
    }
    cluster.kill("x");
    CHECK(cluster->ask({"approve", run, "gate"}).status == 0);
    return run;
  };
  const auto first = begin();
  const auto why =
      "waits for the artifact \"large\" of 'make': the executor 'x' keeps it and does "
      "not answer";
  while (cluster->ask({"get", first, "take"}).output.find(why) == std::string::npos) {
  }
  cluster.start("x");
  CHECK(cluster->ask({"watch", first}).status == 0);
  CHECK(cluster->log_of(first, "take") == "3000000\nsmall\n");

  const auto second = begin();
  fs::remove_all(cluster.data("x") / "artifacts");
  cluster.start("x");
  CHECK(cluster->ask({"watch", second}).status == 1);
  const auto told = cluster->ask({"get", second, "take"}).output;
  CHECK_MESSAGE(told.find("could not start without what it needs: the artifact \"run\" of "
                          "'make': no executor has it any more") != std::string::npos,
                told);
  CHECK(cluster->ask({"retry", second, "--from", "make"}).status == 0);
  while (cluster->ask({"approve", second, "gate"}).status != 0) {
  }
  CHECK(cluster->ask({"watch", second}).status == 0);
}

constexpr const char* large = R"(
name: large
workspace: task
tasks:
  - name: make
    resources: {first: 1}
    run: |
      { printf 'big='; head -c 3000000 /dev/zero | tr '\0' z; echo; } >> "$MILLRACE_OUTPUT"
  - {name: gate, approval: Go on, needs: [make]}
  - name: take
    resources: {second: 1}
    needs: [gate, make]
    inputs: {big: "${{ tasks.make.outputs.big }}"}
    run: wc -c < "$MILLRACE_INPUTS"
)";

TEST_CASE("a task takes a large output from another silo, and errs when that does not come back") {
  two_executors cluster;
  cluster->apply(large);
  const auto begin = [&] {
    const auto submitted = cluster->ask({"submit", "large"});
    auto run = submitted.output.substr(0, submitted.output.size() - 1);
    while (cluster->ask({"get", run, "make"}).output.find("succeeded") == std::string::npos) {
    }
    return run;
  };
  const auto first = begin();
  CHECK(cluster->ask({"get", first, "make", "--text", "big"}).output ==
        std::string(3'000'000, 'z'));
  CHECK(cluster->ask({"get", first, "make", "--text", "none"}).status == 5);
  CHECK(cluster->ask({"describe", "task", first, "make"}).output.find("big = (3000000 bytes") !=
        std::string::npos);
  CHECK(cluster->ask({"approve", first, "gate"}).status == 0);
  CHECK(cluster->ask({"watch", first}).status == 0);
  CHECK(cluster->log_of(first, "take") == "3000010\n");
  CHECK(files_in(cluster.data("y") / "artifacts/blobs") == 1);

  // While its maker is away, who has fetched it has it for people.
  cluster.kill("x");
  CHECK(cluster->ask({"get", first, "make", "--text", "big"}).output.size() == 3'000'000);
  cluster.start("x");

  const auto second = begin();
  cluster.kill("x");
  CHECK(cluster->ask({"delete", "run", first}).status == 0);  // with the copy
  while (files_in(cluster.data("y") / "artifacts") > 0) {
  }
  CHECK(cluster->ask({"approve", second, "gate"}).status == 0);
  const auto why =
      "waits for the output \"big\" of 'make': the executor 'x' keeps it and does not answer";
  while (cluster->ask({"get", second, "take"}).output.find(why) == std::string::npos) {
  }
  fs::remove_all(cluster.data("x") / "artifacts");
  cluster.start("x");
  CHECK(cluster->ask({"watch", second}).status == 1);
  const auto told = cluster->ask({"get", second, "take"}).output;
  CHECK_MESSAGE(told.find("could not start without what it needs: the output \"big\" of 'make': no "
                          "executor has it any more") != std::string::npos,
                told);
}

TEST_CASE("a kept result is used again, through kill -9, and explained when it is not") {
  temporary_folder folder;
  const auto data = folder.path / "data";
  auto server = std::make_unique<server_process>(data);
  const auto starts = folder.path / "starts";
  const auto text = R"(
name: keeps
workspace: task
params: {day: {type: string, default: mon}}
tasks:
  - name: make
    cache: true
    run: echo "$MILLRACE_PARAM_DAY" | tee -a )" +
                    starts.string() + R"( > out
    artifacts: {out: out}
  - {name: show, needs: [{task: make, artifacts: true}], run: cat out}
)";
  const auto submit = [&](std::vector<std::string> more) {
    const asking at{server->url(), folder.path};
    more.insert(more.begin(), {"submit", "keeps", "--wait", "--logs"});
    const auto told = at.ask(more);
    CHECK_MESSAGE(told.status == 0, told.errors);
    return told;
  };
  asking{server->url(), folder.path}.apply(text);
  submit({});
  server->kill();
  server = std::make_unique<server_process>(data);
  const asking at{server->url(), folder.path};
  const auto second = submit({});
  CHECK(content_of(starts) == "mon\n");
  CHECK(second.output.find("mon\n") != std::string::npos);
  CHECK_MESSAGE(second.errors.find("2 tasks: 2 succeeded (1 cached)") != std::string::npos,
                second.errors);
  CHECK(at.ask({"list", "tasks", "@latest", "--no-headers"}).output.find("make  cached") == 0);
  CHECK(at.ask({"logs", "@latest"}).output.find("show") != std::string::npos);
  const auto log = at.ask({"logs", "@latest", "make"});
  CHECK(log.status != 0);
  CHECK_MESSAGE(log.errors.find("the task's command has not run: its result is that of run ") !=
                    std::string::npos,
                log.errors);
  submit({"-p", "day=tue"});
  CHECK(content_of(starts) == "mon\ntue\n");
  CHECK(at.ask({"get", "@latest", "make"}).output.find(": env MILLRACE_PARAM_DAY") !=
        std::string::npos);
  submit({"--no-cache"});
  CHECK(content_of(starts) == "mon\ntue\nmon\n");
  CHECK(at.ask({"cache", "list", "keeps", "-o", "jsonl"}).output.find("\"task\":\"make\"") !=
        std::string::npos);
  CHECK(at.ask({"cache", "clear", "keeps", "make"}).status == 0);
  while (!at.ask({"cache", "list", "keeps", "-o", "name"}).output.empty()) {
  }
  submit({});
  CHECK(content_of(starts) == "mon\ntue\nmon\nmon\n");
  CHECK(at.ask({"cache", "list", "none"}).status == 5);
  CHECK(at.ask({"cache", "list"}).status == 2);
  CHECK(at.ask({"cache", "list", "keeps", "make"}).status == 2);
}

TEST_CASE("a kept result whose files are on a silo that is away is made again") {
  two_executors cluster;
  cluster->apply(R"(
name: away
workspace: task
tasks:
  - name: make
    cache: {key: same}
    run: uname > out
    resources: {first: 1}
    artifacts: {out: out}
)");
  CHECK(cluster->ask({"submit", "away", "--wait"}).status == 0);
  CHECK(cluster->ask({"submit", "away", "--wait"}).status == 0);
  CHECK(cluster->ask({"list", "tasks", "@latest", "--no-headers"}).output.find("make  cached") ==
        0);
  cluster.kill("x");
  const auto submitted = cluster->ask({"submit", "away"});
  const auto run = submitted.output.substr(0, submitted.output.size() - 1);
  while (cluster->ask({"get", run, "make"}).output.find("cannot be had from executor x") ==
         std::string::npos) {
  }
  cluster.start("x");
  CHECK(cluster->ask({"watch", run}).status == 0);
}

}  // namespace
}  // namespace millrace::testing
