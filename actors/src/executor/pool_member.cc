// SPDX-License-Identifier: MIT
#include "executor/pool_member.h"

#include <memory>

#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::AttemptEnd;

namespace {
// Tries to report what an earlier life left before a report that fails is put aside: 10 s.
constexpr unsigned recovery_tries_max = 50;
}  // namespace

// --- joining -------------------------------------------------------------------------------------

result<void> pool_member::join() {
  left_ = attempts_.adopt(*this);
  auto done = try_join(bad_report::ends_it);
  if (done) {
    joined();
  } else if (is_final(done.error())) {
    return done;
  } else {
    reports_.note(std::move(done).error());
    jobs_.post([this] { join_again(1); }, report_retry);
  }
  return {};
}

void pool_member::join_again(unsigned tries) {
  if (try_join(tries < recovery_tries_max ? bad_report::ends_it : bad_report::is_put_aside)) {
    reports_.note(std::nullopt);
    joined();
  } else {
    jobs_.post([this, tries] { join_again(tries + 1); }, report_retry);
  }
}

result<void> pool_member::try_join(bad_report bad) {
  const auto pool = ref<schemas::Pool>(std::string{default_pool});
  if (auto left = home_.call(pool.leave(id_)); !left) {
    return left;
  }
  for (; reported_ < left_.size(); ++reported_) {
    auto reported = report_left(left_[reported_]);
    if (!reported && bad == bad_report::ends_it) {
      return reported;
    }
    if (!reported) {
      put_aside(left_[reported_], reported.error());
    }
  }
  const auto answer = home_.call(pool.join(id_, attempts_.incarnation(), attempts_.slots(),
                                           put_aside_ > 0 ? 0 : attempts_.lineage()));
  if (!answer) {
    return answer.error();
  }
  end_of_strangers_ = answer->same_lineage() ? AttemptEnd::DROPPED : AttemptEnd::LOST;
  return {};
}

void pool_member::joined() {
  joined_ = true;
  left_.clear();
  for (const auto& job : std::exchange(early_, {})) {
    job();
  }
}

result<void> pool_member::report_left(const adopted_attempt& left) {
  if (!left.report) {
    return {};  // it runs on
  }
  if (const auto parsed = parse_token(left.token)) {
    if (auto stored = reports_.deliver_now(parsed->task_key, *left.report); !stored) {
      return stored;
    }
  }
  attempts_.acknowledge(left.token);
  return {};
}

void pool_member::put_aside(const adopted_attempt& left, const error& why) {
  reports_.warn("an attempt of an earlier life is put aside attempt=" + left.token +
                " error=" + why.text());
  ++put_aside_;
  reports_.deliver(
      parse_token(left.token)->task_key, std::make_shared<attempt_report>(left.report->read()),
      [this, token = left.token] { attempts_.acknowledge(token); }, report_retry_max);
}

void pool_member::when_joined(std::function<void()> job) {
  jobs_.post([this, job = std::move(job)]() mutable {
    if (joined_) {
      job();
    } else {
      early_.push_back(std::move(job));
    }
  });
}

// --- from the actors -----------------------------------------------------------------------------

void pool_member::start(runtime::message<schemas::AttemptSpec> attempt) {
  auto shared = std::make_shared<runtime::message<schemas::AttemptSpec>>(std::move(attempt));
  when_joined([this, shared] { pass_on(std::move(*shared)); });
}

// What is fenced has been told, or will be.
void pool_member::pass_on(runtime::message<schemas::AttemptSpec> attempt) {
  const auto token = text_of(attempt.read().getToken());
  const auto number = attempt.read().getNumber();
  const auto taken = attempts_.start(std::move(attempt));
  if (!taken && taken.error().code() == errc::failed_precondition) {
    // The pool may have told the task.
    reports_.deliver(parse_token(token)->task_key,
                     std::make_shared<attempt_report>(
                         unstarted_report(number, end_of_strangers_, {}, home_.time().wall())),
                     [] {});
  }
}

void pool_member::cancel(std::string_view token) {
  when_joined([this, text = std::string{token}] { attempts_.cancel(text); });
}

result<void> pool_member::remove_run(std::string_view run) {
  return attempts_.remove_run(run);
}

// --- from the executor ---------------------------------------------------------------------------

void pool_member::started(std::string_view token, runtime::wall_time at) {
  const auto parsed = parse_token(token);
  home_.tell(
      ref<schemas::Task>(parsed->task_key).attempt_started(parsed->attempt, nanoseconds(at)));
}

void pool_member::ended(std::string_view token, attempt_report report) {
  reports_.deliver(parse_token(token)->task_key,
                   std::make_shared<attempt_report>(std::move(report)),
                   [this, text = std::string{token}] { attempts_.acknowledge(text); });
}

}  // namespace millrace::actors
