// SPDX-License-Identifier: MIT
// The process executor against the contract, with real processes.
#include "executor/process_executor.h"

#include <memory>

#include "actors/executor/conformance.h"
#include "executor/worker.h"

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

}  // namespace
}  // namespace millrace::actors::testing
