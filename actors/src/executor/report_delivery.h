// SPDX-License-Identifier: MIT
// Report delivery: makes a report of an ended attempt until its task has stored it.
//
// Only then may the executor forget the attempt. Results that cannot be stored for now, for example
// on a full disk, are said once, and once that they are stored again.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "executor/attempt_report.h"
#include "executor/worker.h"
#include "millrace/runtime/silo.h"

namespace millrace::actors {

/// How long a report waits before it is made again, at first and at most.
inline constexpr auto report_retry = std::chrono::milliseconds{200};
inline constexpr runtime::duration report_retry_max = std::chrono::seconds{10};

/// No repetition mends it.
[[nodiscard]] inline bool is_final(const runtime::error& failed) noexcept {
  return runtime::retry_of(failed.code()) == runtime::retry_class::never;
}

/// Threading: any, but for `deliver_now`. Requires: `home` and `jobs` outlive it.
class report_delivery {
public:
  /// Warnings go to `warn`; when it is unset, to standard error. `data_directory` is what a full
  /// disk is looked for under.
  report_delivery(runtime::silo& home, worker& jobs, std::filesystem::path data_directory,
                  std::function<void(std::string_view)> warn)
      : home_(home), jobs_(jobs), data_(std::move(data_directory)), warn_(std::move(warn)) {}

  /// Tells the task until it has stored the report or refuses it for good; `done` is then called as
  /// a job of the worker's.
  void deliver(const std::string& task, std::shared_ptr<const attempt_report> report,
               std::function<void()> done);

  /// The same of a report that has failed for long: seldom, and it is nobody's trouble any more.
  void deliver_aside(const std::string& task, std::shared_ptr<const attempt_report> report,
                     std::function<void()> done);

  /// The same once, and blocks for it. Errors: those that a repetition may mend.
  [[nodiscard]] runtime::result<void> deliver_now(const std::string& task,
                                                  const attempt_report& report);

  /// Something cannot be stored for now and will be tried again: each that begins to wait ends.
  void begins_to_wait(runtime::error why);
  void waits_no_longer();

  /// Why results cannot be stored at the moment; nothing while none of them waits to be.
  [[nodiscard]] std::optional<runtime::error> trouble() const;

  void warn(std::string_view line) const;

private:
  enum class waits : std::uint8_t { not_yet, counted, aside };
  struct delivery {
    std::string task;
    std::shared_ptr<const attempt_report> report;
    std::function<void()> done;
    runtime::duration retry = report_retry;
    waits standing = waits::not_yet;
  };
  void attempt(delivery one);
  void told(delivery one, runtime::result<void> stored);
  [[nodiscard]] runtime::error with_remedy(runtime::error refused) const;

  runtime::silo& home_;
  worker& jobs_;
  const std::filesystem::path data_;
  const std::function<void(std::string_view)> warn_;
  mutable std::mutex mutex_;
  std::optional<runtime::error> trouble_;  // of the first that waits
  std::size_t waiting_ = 0;
};

}  // namespace millrace::actors
