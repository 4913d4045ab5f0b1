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
