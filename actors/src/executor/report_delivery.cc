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
                              std::function<void()> done) {
  attempt({task, std::move(report), std::move(done)});
}

void report_delivery::deliver_aside(const std::string& task,
                                    std::shared_ptr<const attempt_report> report,
                                    std::function<void()> done) {
  attempt({task, std::move(report), std::move(done), report_retry_max, waits::aside});
}

void report_delivery::attempt(delivery one) {
  auto telling_it = telling(one.task, *one.report);
  home_.call_then<void>(std::move(telling_it),
                        [this, one = std::move(one)](result<void> stored) mutable {
                          told(std::move(one), std::move(stored));
                        });
}

void report_delivery::told(delivery one, result<void> stored) {
  if (stored || is_final(stored.error())) {
    if (one.standing == waits::counted) {
      waits_no_longer();
    }
    jobs_.post(std::move(one.done));
    return;
  }
  if (one.standing == waits::not_yet) {
    begins_to_wait(std::move(stored).error());
    one.standing = waits::counted;
  }
  const auto wait = one.retry;
  one.retry = std::min<runtime::duration>(2 * one.retry, report_retry_max);
  jobs_.post([this, one = std::move(one)] { attempt(one); }, wait);
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

void report_delivery::begins_to_wait(error why) {
  std::string line;
  {
    const std::lock_guard lock{mutex_};
    if (++waiting_ > 1 || jobs_.stopping()) {
      return;
    }
    trouble_ = with_remedy(std::move(why));
    line = "the results of attempts cannot be stored, will try again error=" + trouble_->text();
  }
  warn(line);
}

void report_delivery::waits_no_longer() {
  {
    const std::lock_guard lock{mutex_};
    if (--waiting_ > 0 || !trouble_ || jobs_.stopping()) {
      return;
    }
    trouble_.reset();
  }
  warn("the results of attempts are stored again");
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
