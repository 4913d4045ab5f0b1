// SPDX-License-Identifier: MIT
// The process executor against the contract, with real processes.
#include "executor/process_executor.h"

#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "actors/executor/conformance.h"
#include "executor/attempt_report.h"
#include "executor/worker.h"
#include "folders.h"

namespace millrace::actors::testing {
namespace {

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
