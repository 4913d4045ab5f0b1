// SPDX-License-Identifier: MIT
#include "millrace/testing/test_silo.h"

#include <stdexcept>
#include <thread>

#include "silo/silo_access.h"
#include "testing/lent_storage.h"
#include "testing/open_answer.h"

namespace millrace::testing {

using runtime::duration;
using runtime::result;

namespace {

runtime::detail::silo_core& core_of(runtime::silo& one) {
  return runtime::detail::silo_access::core(one);
}

constexpr duration settle_limit = std::chrono::seconds{30};

}  // namespace

test_silo::test_silo(setup prepare, runtime::silo_options options,
                     std::unique_ptr<runtime::storage> rows)
    : prepare_(std::move(prepare)),
      options_(std::move(options)),
      also_warn_(std::exchange(options_.warn, [this](std::string_view line) { warn(line); })),
      stored_(std::move(rows)) {
  if (options_.threads == 0) {
    options_.threads = 1;
    options_.spare_threads_max = 0;  // what waits for a thread that the test holds waits
  }
  start();
}

test_silo::~test_silo() = default;

void test_silo::warn(std::string_view line) {
  {
    const std::lock_guard lock{mutex_};
    if (crashed_) {
      return;  // a process that is gone says nothing
    }
    warnings_.emplace_back(line);
  }
  if (also_warn_) {
    also_warn_(line);
  }
}

std::vector<std::string> test_silo::warnings() const {
  const std::lock_guard lock{mutex_};
  return warnings_;
}

// --- its life ------------------------------------------------------------------------------------

void test_silo::start() {
  MILLRACE_ASSERT(!here_);
  auto lent = std::make_unique<detail::lent_storage>(*stored_);
  lent_ = lent.get();
  auto rows = std::make_unique<faulty_storage>(std::move(lent));
  rows_ = rows.get();
  crashed_ = false;
  here_.emplace(std::move(rows), options_, clock_);
  prepare_(*here_);
  if (auto started = here_->start(); !started) {
    here_.reset();
    throw std::runtime_error{"the silo does not start: " + started.error().to_string()};
  }
  settle();
}

void test_silo::stop() {
  here().stop();
  here_.reset();
}

void test_silo::crash() {
  settle();
  {
    const std::lock_guard lock{mutex_};
    crashed_ = true;
  }
  rows_->lose_held();
  core_of(here()).abandon();
  here_.reset();
}

void test_silo::restart() {
  stop();
  start();
}

void test_silo::discard(runtime::partition_id partition) {
  core_of(here()).discard(partition);
  settle();
}

result<void> test_silo::take_over(runtime::partition_id partition) {
  auto taken = core_of(here()).take_over(partition, runtime::detail::epoch_alone);
  settle();
  return taken;
}

runtime::silo& test_silo::here() {
  MILLRACE_ASSERT(here_.has_value());
  return *here_;
}

faulty_storage& test_silo::rows() {
  MILLRACE_ASSERT(here_.has_value());
  return *rows_;
}

// --- settling ------------------------------------------------------------------------------------

// The order proves it: while no turn has run between the first look and the last, only what is
// looked at between could have woken somebody, and that was idle before the mailboxes were seen.
std::string test_silo::busy_with() {
  auto& core = core_of(*here_);
  const auto turns = core.watch().turns_if_idle();
  if (!turns) {
    return "a turn";
  }
  if (!lent_->idle()) {
    return "storage";
  }
  if (core.offload_threads().busy()) {
    return "an offloaded function";
  }
  if (const auto due = core.timers().next_due(); due && *due <= clock_.steady()) {
    return "a timer";
  }
  if (auto awake = core.name_of_awake(); !awake.empty()) {
    return awake;
  }
  return core.watch().turns_if_idle() == turns ? "" : "a turn";
}

void test_silo::settle() {
  const runtime::system_clock real;
  const auto limit = real.steady() + settle_limit;
  while (here_) {
    here_->time_changed();
    while (options_.by_hand && here_->run_one()) {
    }
    const auto busy = busy_with();
    if (busy.empty()) {
      return;
    }
    if (real.steady() > limit) {
      throw std::runtime_error{"the silo does not settle, still busy: " + busy};
    }
    std::this_thread::yield();
  }
}

void test_silo::advance(duration by) {
  settle();
  const auto end = clock_.steady() + by;
  while (here_) {
    const auto due = core_of(*here_).timers().next_due();
    if (!due || *due > end) {
      break;
    }
    clock_.move(*due - clock_.steady());
    settle();
  }
  clock_.move(end - clock_.steady());
  settle();
}

// --- calls ---------------------------------------------------------------------------------------

std::shared_ptr<detail::open_answer> test_silo::begin_spec(runtime::call_spec spec) {
  auto of = detail::open_answer::begin(here(), std::move(spec));
  settle();
  return of;
}

bool test_silo::has_answer(detail::open_answer& of) {
  settle();
  return of.is_there();
}

result<runtime::any_message> test_silo::take_answer(detail::open_answer& of) {
  settle();
  return of.take();
}

void test_silo::cancel(detail::open_answer& of) {
  of.handle->cancel();
  settle();
}

}  // namespace millrace::testing
