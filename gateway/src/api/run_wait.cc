// SPDX-License-Identifier: MIT
#include "api/run_wait.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "millrace/actors/duration_text.h"

namespace millrace::gateway {

using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::run_interface;

namespace {

// How long one look for events waits; below the call's own deadline.
constexpr std::chrono::milliseconds look_wait{20'000};

class run_waiter : public std::enable_shared_from_this<run_waiter> {
public:
  using outcome = std::function<void(const result<run_interface::status_results>&)>;

  run_waiter(runtime::silo& silo, std::string run, runtime::duration longest, outcome then)
      : silo_(silo),
        run_(std::move(run)),
        ends_at_(silo.time().steady() + longest),
        then_(std::move(then)) {}

  void begin(http::reply& answer, runtime::duration longest) {
    if (longest == runtime::duration{}) {
      tell();
      return;
    }
    answer.on_gone([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->is_gone_ = true;
      }
    });
    look();
  }

private:
  void look() {
    const auto left =
        std::chrono::floor<std::chrono::milliseconds>(ends_at_ - silo_.time().steady());
    if (is_gone_) {
      return;
    }
    if (left.count() <= 0) {
      tell();
      return;
    }
    const auto wait = static_cast<std::uint32_t>(std::min(left, look_wait).count());
    silo_.call_then<run_interface::events_results>(
        ref<schemas::Run>(run_).events(after_, wait, 0),
        [self = shared_from_this()](const auto& page) { self->take(page); });
  }

  void take(const result<run_interface::events_results>& page) {
    if (!page || page->ended()) {
      tell();
      return;
    }
    for (auto event : page->events()) {
      after_ = event.getSequence();
    }
    look();
  }

  void tell() {
    silo_.call_then<run_interface::status_results>(
        ref<schemas::Run>(run_).status(),
        [self = shared_from_this()](const auto& told) { self->then_(told); });
  }

  runtime::silo& silo_;
  const std::string run_;
  const runtime::steady_time ends_at_;
  const outcome then_;
  std::uint64_t after_ = 0;  // the last event that was seen
  std::atomic<bool> is_gone_{false};
};

}  // namespace

query_key run_wait_key() {
  return text_key("wait",
                  "Answer once the run has ended, at the latest after this time, such as `30s`; "
                  "`55s` is the most. The run's `state` says whether it has.");
}

result<runtime::duration> run_wait_in(const http::request& request) {
  const auto text = request.query("wait");
  if (!text) {
    return runtime::duration{};
  }
  const auto parsed = actors::parse_duration(*text);
  if (!parsed.length || *parsed.length > run_wait_max) {
    return error{errc::invalid_argument, "query parameter 'wait' must be a duration up to " +
                                             actors::format_duration(run_wait_max) +
                                             ", such as 30s"};
  }
  return *parsed.length;
}

void wait_for_run(runtime::silo& silo, std::string run, runtime::duration longest,
                  const std::shared_ptr<http::reply>& answer, run_waiter::outcome then) {
  std::make_shared<run_waiter>(silo, std::move(run), longest, std::move(then))
      ->begin(*answer, longest);
}

}  // namespace millrace::gateway
