// SPDX-License-Identifier: MIT
// The process executor against the contract, with real processes.
#include "executor/process_executor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "actors/executor/conformance.h"
#include "executor/attempt_report.h"
#include "executor/executor_name.h"
#include "executor/worker.h"
#include "folders.h"
#include "millrace/actors/kept_logs.h"

namespace millrace::actors::testing {
namespace {

namespace fs = std::filesystem;

class process_lab final : public executor_lab {
public:
  ~process_lab() override { end_life(); }
  [[nodiscard]] process_executor& processes() { return *processes_; }

protected:
  executor& open() override {
    processes_.reset();
    jobs_ = std::make_unique<worker>(clock_);
    auto opened = process_executor::open({.data_directory = directory() / "data", .slots = 2},
                                         clock_, *jobs_);
    REQUIRE_MESSAGE(opened, (opened ? std::string{} : opened.error().to_string()));
    processes_ = *std::move(opened);
    return *processes_;
  }
  void go() override { jobs_->run(); }
  void close() override {
    jobs_->stop();
    processes_->stop();
  }

private:
  runtime::system_clock clock_;
  std::unique_ptr<worker> jobs_;
  std::unique_ptr<process_executor> processes_;
};

MILLRACE_EXECUTOR_CONFORMS(process_lab);

// Goal: attempts that were granted together start together, whatever is ready first.
// Method: the command of one comes late, or it is withdrawn before; another one is ready meanwhile.
TEST_CASE("an attempt that a slot is kept for has it until it is withdrawn") {
  process_lab lab;
  lab.begin_life();
  REQUIRE(lab.life().slots() == 2);
  for (const auto* rank : {"early", "late"}) {
    REQUIRE(lab.life().take(lab.ticket(rank, 1, 1)));
    lab.processes().keep_slot(lab.token(rank, 1));
  }
  const auto early = lab.token("early", 1);
  const auto late = lab.token("late", 1);
  const auto until_freed = "while ! test -e \"$LAB/free\"; do sleep 0.01; done";
  REQUIRE(lab.life().start(lab.spec("early", 1, until_freed)));
  lab.heard().wait_for_start(early);
  const auto urgent = lab.start("urgent", "exit 0", 9);
  std::vector<std::string> wanted{early};
  const auto withdraws = [&](auto&& end) {
    end();
    lab.heard().wait_for_end(late);
    lab.heard().wait_for_end(urgent);
    wanted.push_back(urgent);
  };
  SUBCASE("its command comes") {
    REQUIRE(lab.life().start(lab.spec("late", 1, until_freed)));
    lab.heard().wait_for_start(late);
    CHECK(lab.stage(urgent) == attempt_stage::waiting);
    lab.free_slots();
    lab.heard().wait_for_end(urgent);
    wanted.insert(wanted.end(), {late, urgent});
  }
  SUBCASE("it is cancelled") {
    withdraws([&] { lab.life().cancel(late); });
  }
  SUBCASE("it cannot start") {
    auto wrong = lab.spec("late", 1, "");
    wrong.build().initArgv(1).set(0, "/nowhere/program");
    withdraws([&] { REQUIRE(lab.life().start(std::move(wrong))); });
  }
  CHECK(lab.heard().starts() == wanted);
  lab.free_slots();
  lab.heard().wait_for_end(early);
}

// Method: a pipe that nobody writes to, a link to a file with a name, and the file it is kept by.
TEST_CASE("what a task puts in the place of the executor's name is neither waited for nor read") {
  const millrace::testing::temporary_folder folder;
  const auto file = folder.path / "name";
  std::ofstream{folder.path / "secret"} << "secret\n";
  SUBCASE("a pipe") {
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  }
  SUBCASE("a link") {
    fs::create_symlink(folder.path / "secret", file);
  }
  SUBCASE("nothing, and a pipe for the next name") {
    REQUIRE(::mkfifo((file.string() + ".new").c_str(), 0600) == 0);
  }
  SUBCASE("nothing, and a link for the next name") {
    fs::create_symlink(folder.path / "secret", file.string() + ".new");
  }
  executor_name name{folder.path};
  CHECK(name.formerly() == "local");
  name.keep("east");
  CHECK(executor_name{folder.path}.formerly() == "east");
  std::string kept;
  std::getline(std::ifstream{folder.path / "secret"}, kept);
  CHECK(kept == "secret");
}

TEST_CASE("kept logs are read through no link, and a pipe among them is not waited for") {
  const millrace::testing::temporary_folder folder;
  const auto run = [](char digit) {
    return "00000000-0000-0000-0000-00000000000" + std::string(1, digit);
  };
  const auto log = [&](char digit, const char* stream) {
    return folder.path / "logs" / run(digit) / (run(digit) + ".one.A1." + stream);
  };
  const auto outside = folder.path / "outside";
  fs::create_directories(log('1', "").parent_path());
  fs::create_directory(outside);
  fs::create_directory(folder.path / "attempts");
  for (const auto& file :
       {log('1', "stdout"), outside / log('2', "stdout").filename(), outside / "stdout"}) {
    std::ofstream{file} << "said\n";
  }
  REQUIRE(::mkfifo(log('1', "stderr").c_str(), 0600) == 0);
  fs::create_directory_symlink(outside, log('2', "").parent_path());
  fs::create_directory_symlink(outside, folder.path / "attempts" / (run('3') + ".one.A1"));
  auto found = kept_logs(folder.path, run('1'));
  REQUIRE(found.size() == 1);
  CHECK(open_kept(found[0]));
  CHECK(kept_logs(folder.path, run('2')).empty());
  CHECK(kept_logs(folder.path, run('3')).empty());

  // As if they had come between the list and the opening.
  const auto refusal = [&found](const fs::path& file) {
    found[0].file = file;
    const auto opened = open_kept(found[0]);
    REQUIRE_FALSE(opened);
    return opened.error().text();
  };
  CHECK(refusal(log('1', "stderr")).ends_with(" is a pipe, not a file"));
  CHECK(refusal(log('2', "stdout")).ends_with(" is a symbolic link, not a directory"));
  CHECK(refusal(log('1', "gone")).ends_with(".gone has gone"));
}

// Method: logs that hold other than was written, as a full disk or a limit of logs leaves them.
TEST_CASE("standard output that was not kept as a whole is refused as an output") {
  const millrace::testing::temporary_folder folder;
  const auto told = [&](std::uint64_t written, const std::function<void(int)>& fill) {
    runtime::unique_fd file{::open(folder.path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    REQUIRE(file);
    fill(file.get());
    attempt_report report;
    report.build().setEnd(schemas::AttemptEnd::EXITED);
    report.build().setStdoutBytes(written);
    add_stdout(report, log_file{std::move(file)});
    CHECK(report.read().hasStdoutText() == (report.read().getStdoutRefusal().size() == 0));
    return report;
  };
  const auto writes = [](const std::string& text, off_t at = 0) {
    return [=](int fd) { REQUIRE(::pwrite(fd, text.data(), text.size(), at) >= 0); };
  };
  CHECK(told(5, writes("text\n")).read().getStdoutText() == "text");
  CHECK(told(0, writes("")).read().getStdoutText() == "");
  CHECK(told(9, writes("text\n")).read().getStdoutRefusal() == "5 of its 9 bytes could be kept");
  CHECK(told(5, writes("")).read().getStdoutRefusal() == "0 of its 5 bytes could be kept");
  CHECK(told(32'770, writes("x\n", 32'768)).read().getStdoutRefusal() ==
        "a part of it was not kept");
  CHECK(told(32'770,
             [&](int fd) {
               writes("first\n")(fd);
               writes("x\n", 32'768)(fd);
             })
            .read()
            .getStdoutRefusal() == "a part of it was not kept");

  const auto unkept = [](std::uint64_t written) {
    attempt_report report;
    report.build().setEnd(schemas::AttemptEnd::EXITED);
    report.build().setStdoutBytes(written);
    add_stdout(report, runtime::error{runtime::errc::not_found, "there is none"});
    return report;
  };
  CHECK(unkept(0).read().hasStdoutText());
  CHECK(unkept(7).read().getStdoutRefusal() == "its 7 bytes could not be kept");
}

}  // namespace
}  // namespace millrace::actors::testing
