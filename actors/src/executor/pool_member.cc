// SPDX-License-Identifier: MIT
#include "executor/pool_member.h"

#include <algorithm>
#include <memory>

#include "millrace/secrets.capnp.actor.h"
#include "pipeline/names.h"
#include "pool/wish_rows.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::AttemptEnd;

namespace {
// Tries to report what an earlier life left before a report that fails is put aside: 10 s.
constexpr unsigned recovery_tries_max = 50;

// How long it waits before it asks a task again, at first and at most.
constexpr auto ask_retry = std::chrono::milliseconds{5};
constexpr runtime::duration ask_retry_max = std::chrono::seconds{10};

// How long an answer to the news of a start is waited for, and how long until it is told again, at
// first and at most: tasks count the time until then.
constexpr auto start_told_within = std::chrono::seconds{5};
constexpr runtime::duration start_retry_max = std::chrono::seconds{1};

// How often it looks whether the executor can start attempts.
constexpr runtime::duration room_interval = std::chrono::seconds{1};

// When it tells again what it holds on its disk, and could not.
constexpr runtime::duration storage_retry = std::chrono::seconds{10};
}  // namespace

// --- joining -------------------------------------------------------------------------------------

result<void> pool_member::join() {
  left_ = attempts_.adopt(*this);
  for (auto& each : left_) {
    if (each.report) {
      each.report->build().setExecutor(id_.c_str());
    }
  }
  jobs_.post([this] { watch_room(); }, room_interval);
  auto done = try_join(bad_report::ends_it);
  if (done) {
    joined();
  } else if (is_final(done.error())) {
    return done;
  } else {
    reports_.begins_to_wait(std::move(done).error());
    waits_ = true;
    jobs_.post([this] { join_again(1); }, report_retry);
  }
  return {};
}

void pool_member::join_again(unsigned tries) {
  if (try_join(tries < recovery_tries_max ? bad_report::ends_it : bad_report::is_put_aside)) {
    if (std::exchange(waits_, false)) {
      reports_.waits_no_longer();
    }
    joined();
  } else {
    jobs_.post([this, tries] { join_again(tries + 1); }, report_retry);
  }
}

result<void> pool_member::try_join(bad_report bad) {
  const auto pool = ref<schemas::Pool>(std::string{pool_key});
  for (const auto& name : {name_.formerly(), id_}) {
    if (auto left = home_.call(pool.leave(name)); !left) {
      return left;
    }
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
  look_at_room();
  asked_at_ = home_.time().steady();
  const auto refusal = told_refusal();
  schemas::pool_interface::join_params params;
  auto offer = params.build();
  offer.setExecutor(id_.c_str());
  offer.setIncarnation(attempts_.incarnation());
  offer.setSlots(attempts_.slots());
  offer.setLineage(put_aside_ > 0 ? 0 : attempts_.lineage());
  offer.setFormerly(name_.formerly().c_str());
  offer.setDraining(takes_nothing());
  offer.setRefusal(refusal.c_str());
  put_amounts(resources_, [&](unsigned size) { return offer.initResources(size); });
  offer.setHost(host_.c_str());
  put_names(pools_, [&](unsigned size) { return offer.initPools(size); });
  const auto answer = home_.call(pool.join(std::move(params)));
  if (!answer) {
    return answer.error();
  }
  strangers_are_lost_ = !answer->same_lineage();
  return {};
}

void pool_member::joined() {
  joined_ = true;
  name_.keep(id_);
  left_.clear();
  reported_ = 0;
  put_aside_ = 0;
  told_storage_.reset();
  hold_lease(asked_at_);
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
  reports_.deliver_aside(parse_token(left.token)->task_key,
                         std::make_shared<attempt_report>(left.report->read()),
                         [this, token = left.token] { attempts_.acknowledge(token); });
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

// --- the lease -----------------------------------------------------------------------------------

void pool_member::hold_lease(runtime::steady_time asked_at) {
  if (timing_) {
    lease_.emplace(timing_->length);
    lease_->renewed(asked_at);
    renew(attempts_.incarnation());
    check_lease(attempts_.incarnation());
  }
}

// Each renewal begins on time, whether those before were answered or not.
void pool_member::renew(std::uint64_t incarnation) {
  if (!joined_ || incarnation != attempts_.incarnation()) {
    return;
  }
  jobs_.post([this, incarnation] { renew(incarnation); }, timing_->renewed_every);
  const auto sent = home_.time().steady();
  home_.call_then<schemas::pool_interface::renew_results>(
      ref<schemas::Pool>(std::string{pool_key}).renew(id_, incarnation).timeout(timing_->length),
      [this, incarnation, sent](auto answer) {
        if (!answer) {
          return;
        }
        jobs_.post([this, incarnation, sent, held = answer->held()] {
          if (!joined_ || incarnation != attempts_.incarnation()) {
            return;
          }
          if (held) {
            lease_->renewed(sent);
          } else {
            lose_lease("its pool counts on it no more");
          }
        });
      });
}

void pool_member::check_lease(std::uint64_t incarnation) {
  if (!joined_ || incarnation != attempts_.incarnation()) {
    return;
  }
  const auto now = home_.time().steady();
  if (lease_->over(now)) {
    lose_lease("its lease is over: its pool could not be reached");
  } else {
    jobs_.post([this, incarnation] { check_lease(incarnation); }, lease_->deadline() - now);
  }
}

void pool_member::lose_lease(std::string_view why) {
  joined_ = false;
  attempts_.fence();
  reports_.warn("the executor ends what it runs and joins anew executor=" + id_ +
                " why=" + std::string{why});
  home_.tell(ref<schemas::Pool>(std::string{pool_key}).leave(id_));
  join_when_all_is_told();
}

// The pool calls dropped what it has granted and no report tells of, so the reports come first.
void pool_member::join_when_all_is_told() {
  if (attempts_.list().empty()) {
    join_again(1);
  } else {
    jobs_.post([this] { join_when_all_is_told(); }, report_retry);
  }
}

// --- draining ------------------------------------------------------------------------------------

void pool_member::drain(bool drains) {
  when_joined([this, drains] {
    drains_ = drains;
    tell_drain();
  });
}

void pool_member::tell_drain() {
  const auto pool = ref<schemas::Pool>(std::string{pool_key});
  home_.call_then<void>(pool.drain(id_, !takes_nothing(), told_refusal()),
                        [this, drained = drains_, refusal = refusal_](result<void> done) {
                          if (!done && !is_final(done.error())) {
                            jobs_.post(
                                [this, drained, refusal] {
                                  if (joined_ && drains_ == drained && refusal_ == refusal) {
                                    tell_drain();
                                  }
                                },
                                report_retry);
                          }
                        });
}

// One whose disk is full would draw work to itself, since what it cannot start ends at once.
void pool_member::watch_room() {
  jobs_.post([this] { watch_room(); }, room_interval);
  if (look_at_room() && joined_) {
    tell_drain();
  }
  tell_storage();
}

// What has changed since the pool was told, or all of it. One of an older version does not know the
// call, and is told all when another has taken its place.
void pool_member::tell_storage() {
  const auto now = home_.time().steady();
  if (!joined_ || tells_storage_ || now < tells_storage_from_) {
    return;
  }
  auto held = attempts_.storage();
  if (!held || held == told_storage_) {
    return;
  }
  const auto whole = !told_storage_.has_value();
  auto changed = *held;
  for (const auto& [project, bytes] : told_storage_.value_or(storage_by_project{})) {
    if (const auto at = changed.try_emplace(project, 0).first; at->second == bytes) {
      changed.erase(at);
    }
  }
  schemas::pool_interface::storage_params params;
  auto told = params.build();
  told.setExecutor(id_.c_str());
  told.setWhole(whole);
  auto list = told.initProjects(static_cast<unsigned>(changed.size()));
  unsigned at = 0;
  for (const auto& [project, bytes] : changed) {
    list[at].setProject(project.c_str());
    list[at++].setBytes(bytes);
  }
  tells_storage_ = true;
  home_.call_then<void>(
      ref<schemas::Pool>(std::string{pool_key}).storage(std::move(params)),
      [this, held = std::move(*held), life = attempts_.incarnation()](result<void> stored) {
        jobs_.post([this, held, life, is_stored = stored.has_value()] {
          tells_storage_ = false;
          if (!is_stored) {
            told_storage_.reset();
            tells_storage_from_ = home_.time().steady() + storage_retry;
          } else if (life == attempts_.incarnation()) {
            told_storage_ = held;
          }
        });
      });
}

// Whether it is otherwise than before.
bool pool_member::look_at_room() {
  auto now = attempts_.refusal();
  if (now == refusal_) {
    return false;
  }
  reports_.warn(now.empty() ? "the executor takes attempts again executor=" + id_
                            : "the executor takes no attempts executor=" + id_ + " why=" + now);
  refusal_ = std::move(now);
  return true;
}

// --- from the actors -----------------------------------------------------------------------------

void pool_member::granted(granted_attempt attempt) {
  when_joined([this, attempt = std::move(attempt)] { take(attempt); });
}

// What is fenced has been told, or will be.
void pool_member::take(const granted_attempt& attempt) {
  const auto token = attempt_token(attempt.task, attempt.number);
  const auto taken = attempts_.take({token, attempt.incarnation, attempt.grant, attempt.priority});
  if (taken) {
    if (attempt.hosts) {
      keep_slot_(token);
    }
    ask(attempt, ask_retry);
  } else if (taken.error().code() == errc::failed_precondition) {
    if (strangers_are_lost_) {
      end_unstarted(attempt, AttemptEnd::LOST, {});  // the pool may have told the task
    }                                                // else it waits again for a slot
  } else if (taken.error().code() == errc::invalid_argument) {
    end_unstarted(attempt, AttemptEnd::NOT_STARTED, "could not start: " + taken.error().text());
  }
}

void pool_member::end_unstarted(const granted_attempt& attempt, AttemptEnd end,
                                std::string_view why) {
  reports_.deliver(attempt.task,
                   std::make_shared<attempt_report>(
                       unstarted_report(attempt.number, end, why, home_.time().wall())),
                   [] {});
}

void pool_member::ask(const granted_attempt& attempt, runtime::duration retry) {
  home_.call_then<attempt_spec_results>(
      ref<schemas::Task>(attempt.task).attempt_spec(attempt.number),
      [this, attempt, retry](result<attempt_spec_results> spec) {
        if (spec) {
          add_sealed(
              attempt, retry,
              std::make_shared<runtime::message<schemas::AttemptSpec>>(spec->read().getAttempt()));
        } else {
          jobs_.post([this, attempt, retry, why = std::move(spec).error()] {
            not_told(attempt, why, retry);
          });
        }
      });
}

// Starts it, once it has what its project has stored of its secrets. What it lacks then, the
// executor says.
void pool_member::add_sealed(const granted_attempt& attempt, runtime::duration retry,
                             attempt_spec spec) {
  if (attempt.hosts) {
    spec->build().setHosts(attempt.hosts->c_str());
  }
  std::vector<std::string> names;
  std::string project;
  for (auto each : spec->read().getSecrets()) {
    if (each.getFrom() == schemas::SecretSource::PROJECT) {
      names.push_back(text_of(each.getKey()));
      project = text_of(each.getProject());
    }
  }
  if (names.empty()) {
    // Refused when it has been cancelled meanwhile.
    static_cast<void>(attempts_.start(std::move(*spec)));
    return;
  }
  schemas::secrets_interface::sealed_params params;
  auto wanted = params.build().initNames(static_cast<unsigned>(names.size()));
  for (unsigned at = 0; at < wanted.size(); ++at) {
    wanted.set(at, names[at].c_str());
  }
  home_.call_then<schemas::secrets_interface::sealed_results>(
      ref<schemas::Secrets>(project).sealed(std::move(params)),
      [this, attempt, retry, spec](result<schemas::secrets_interface::sealed_results> told) {
        if (!told) {
          jobs_.post([this, attempt, retry] { ask_later(attempt, retry); });
          return;
        }
        for (auto each : spec->build().getSecrets()) {
          for (auto stored : told->read().getSecrets()) {
            if (each.getFrom() == schemas::SecretSource::PROJECT &&
                each.getKey() == stored.getName()) {
              each.setSealed(stored.getSealed());
            }
          }
        }
        static_cast<void>(attempts_.start(std::move(*spec)));
      });
}

void pool_member::ask_later(const granted_attempt& attempt, runtime::duration retry) {
  if (is_taken(attempt_token(attempt.task, attempt.number))) {
    const auto longer = std::min<runtime::duration>(2 * retry, ask_retry_max);
    jobs_.post([this, attempt, longer] { ask(attempt, longer); }, retry);
  }
}

// A task that is not found is being begun: its run asks the pool at the same time. One that is gone
// for good has had its tickets taken back, which cancels them here.
void pool_member::not_told(const granted_attempt& attempt, const error& why,
                           runtime::duration retry) {
  const auto token = attempt_token(attempt.task, attempt.number);
  if (why.code() == errc::failed_precondition) {
    attempts_.cancel(token);
    give_back(attempt);
  } else {
    ask_later(attempt, retry);
  }
}

bool pool_member::is_taken(std::string_view token) const {
  return is_at(token, attempt_stage::taken);
}

bool pool_member::is_at(std::string_view token, attempt_stage stage) const {
  const auto all = attempts_.list();
  return std::any_of(all.begin(), all.end(), [token, stage](const auto& each) {
    return each.token == token && each.stage == stage;
  });
}

// The task wants it no more, and may have been told to end before the pool knew of it.
void pool_member::give_back(const granted_attempt& attempt) {
  home_.call_then<void>(
      ref<schemas::Pool>(std::string{pool_key}).release(attempt.task, attempt.number),
      [this, attempt](result<void> released) {
        if (!released && !is_final(released.error())) {
          jobs_.post([this, attempt] { give_back(attempt); }, report_retry);
        }
      });
}

void pool_member::cancel(std::string_view token) {
  when_joined([this, text = std::string{token}] { attempts_.cancel(text); });
}

result<void> pool_member::remove_run(std::string_view run) {
  return attempts_.remove_run(run);
}

// Whether it has ended is asked first, so that nothing is written after what is read.
result<log_piece> pool_member::read_log(const log_wish& wish) const {
  constexpr std::size_t tail_bytes_max = std::size_t{8} << 20U;
  const auto all = attempts_.list();
  const auto ended = std::none_of(all.begin(), all.end(), [&](const auto& each) {
    return each.token == wish.token && each.stage != attempt_stage::ended;
  });
  const auto log = attempts_.open_log(wish.token, wish.stream);
  if (!log && log.error().code() == errc::not_found && wish.offset == 0) {  // nothing was written
    return log_piece{{.offset = wish.offset, .bytes = {}, .next_offset = wish.offset}, ended};
  }
  auto from = wish.offset;
  if (log && wish.tail_lines) {
    const auto tail = log->tail_lines(*wish.tail_lines, tail_bytes_max);
    if (!tail) {
      return tail.error();
    }
    from = tail->offset;
  }
  auto chunk = log ? log->read(from, wish.bytes_max) : log.error();
  if (!chunk) {
    return std::move(chunk).error();
  }
  const auto all_read = ended && chunk->next_offset >= log->size();
  auto times =
      wish.wants_times ? log->times(chunk->offset, chunk->next_offset) : std::vector<log_time>{};
  return log_piece{*std::move(chunk), all_read, std::move(times)};
}

result<log_waiter_id> pool_member::watch_log(const log_wish& wish, const std::string& id,
                                             std::uint64_t waiter) {
  return attempts_.watch_log(wish.token, wish.stream, wish.offset, [this, id, waiter](log_event) {
    home_.tell(ref<schemas::Executor>(id).log_changed(waiter));
  });
}

void pool_member::forget_waiter(log_waiter_id waiter) {
  attempts_.forget_waiter(waiter);
}

// --- from the executor ---------------------------------------------------------------------------

void pool_member::started(std::string_view token, runtime::wall_time at) {
  tell_start(std::string{token}, at, report_retry);
}

// Until the task has stored it, or the attempt has ended, of which the report tells: that does not
// wait for this, and what comes after it has no effect.
void pool_member::tell_start(const std::string& token, runtime::wall_time at,
                             runtime::duration retry) {
  const auto parsed = parse_token(token);
  home_.call_then<void>(ref<schemas::Task>(parsed->task_key)
                            .attempt_started(parsed->attempt, nanoseconds(at), id_)
                            .timeout(start_told_within),
                        [this, token, at, retry](result<void> stored) {
                          if (stored || is_final(stored.error())) {
                            return;
                          }
                          jobs_.post(
                              [this, token, at, retry] {
                                if (is_at(token, attempt_stage::running)) {
                                  tell_start(token, at, std::min(2 * retry, start_retry_max));
                                }
                              },
                              retry);
                        });
}

void pool_member::waits(std::string_view token, std::string_view why) {
  const auto parsed = parse_token(token);
  home_.tell(ref<schemas::Task>(parsed->task_key).attempt_waits(parsed->attempt, std::string{why}));
}

void pool_member::ended(std::string_view token, attempt_report report) {
  report.build().setExecutor(id_.c_str());
  reports_.deliver(parse_token(token)->task_key,
                   std::make_shared<attempt_report>(std::move(report)),
                   [this, text = std::string{token}] { attempts_.acknowledge(text); });
}

}  // namespace millrace::actors
