// SPDX-License-Identifier: MIT
#include "executor/report_delivery.h"

#include <algorithm>
#include <cstdio>

#include "millrace/pipeline.capnp.actor.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

namespace {

// With less free than this, a refusal for want of room is the disk's and not the quota's.
constexpr std::uintmax_t disk_full_bytes = std::uintmax_t{16} << 20U;

runtime::call<void> telling(const std::string& task, const attempt_report& report) {
  schemas::task_interface::attempt_finished_params params;
  params.build().setReport(report.read());
  return ref<schemas::Task>(task).attempt_finished(std::move(params));
}

}  // namespace

void report_delivery::deliver(const std::string& task, std::shared_ptr<const attempt_report> report,
                              std::function<void()> done, runtime::duration retry) {
  home_.call_then<void>(telling(task, *report), [this, task, report, done = std::move(done),
                                                 retry](result<void> stored) mutable {
    if (stored || is_final(stored.error())) {
      note(std::nullopt);
      jobs_.post(std::move(done));
      return;
    }
    note(std::move(stored).error());
    const auto longer = std::min<runtime::duration>(2 * retry, report_retry_max);
    jobs_.post([this, task, report, done = std::move(done),
                longer] { deliver(task, report, done, longer); },
               retry);
  });
}

result<void> report_delivery::deliver_now(const std::string& task, const attempt_report& report) {
  auto stored = home_.call(telling(task, report));
  if (!stored && is_final(stored.error())) {
    return {};
  }
  return stored;
}

// Storage refuses both for its quota and for a full disk.
error report_delivery::with_remedy(error refused) const {
  std::error_code unknown;
  const auto free = std::filesystem::space(data_, unknown).available;
  if (refused.code() != errc::out_of_space || unknown || free > disk_full_bytes) {
    return refused;
  }
  return {refused.code(),
          "disk full: " + std::to_string(free >> 10U) + " KiB are free for " + data_.string() +
              "; make room there",
          refused.retry_after()};
}

void report_delivery::note(std::optional<error> trouble) {
  std::string line = "the results of attempts are stored again";
  {
    const std::lock_guard lock{mutex_};
    if (trouble.has_value() == trouble_.has_value() || jobs_.stopping()) {
      return;
    }
    if (trouble) {
      trouble = with_remedy(*std::move(trouble));
      line = "the results of attempts cannot be stored, will try again error=" + trouble->text();
    }
    trouble_ = std::move(trouble);
  }
  warn(line);
}

std::optional<error> report_delivery::trouble() const {
  const std::lock_guard lock{mutex_};
  return trouble_;
}

void report_delivery::warn(std::string_view line) const {
  if (warn_) {
    warn_(line);
  } else {
    std::fprintf(stderr, "millrace: %.*s\n", static_cast<int>(line.size()), line.data());
  }
}

}  // namespace millrace::actors
