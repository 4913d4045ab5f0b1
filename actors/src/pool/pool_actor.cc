// SPDX-License-Identifier: MIT
#include "pool/pool_actor.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "pipeline/names.h"
#include "pool/wish_rows.h"

namespace millrace::actors {

using runtime::async;
using runtime::ref;

namespace {

constexpr unsigned ticket_digits = 20;
constexpr const char* lease_timer = "leases";
// Runs that one commit tells of a lost executor.
constexpr std::size_t runs_at_once = 1'000;

std::uint64_t number_of(std::string_view row) {
  std::uint64_t number = 0;
  std::from_chars(row.data(), row.data() + row.size(), number);
  return number;
}

constexpr unsigned reasons_at_once = 1'000;
// Of which a status tells: those that tasks wait for are whatever definitions say.
constexpr std::size_t pools_at_once = 1'000;

pool_ticket ticket_of(std::uint64_t number, schemas::PoolTicket::Reader row) {
  const auto since = [](std::int64_t at) { return runtime::wall_time{runtime::duration{at}}; };
  return {number,
          text_of(row.getTask()),
          row.getAttempt(),
          row.hasWish() ? row.getWish().getPriority() : row.getPriority(),
          text_of(row.getExecutor()),
          row.getShared(),
          wish_of(row.getWish()),
          since(row.getQueuedAt()),
          since(row.getGrantedAt()),
          row.getPromised(),
          row.getPreemptedFor()};
}

void waits_again(schemas::PoolTicket::Builder row) {
  row.setExecutor("");
  row.setGrantedAt(0);
  row.setPromised(false);
  row.setPreemptedFor(0);
}

// Where the ranks of the gangs are, once for all that are granted there.
void put_gangs(const std::vector<pool_grant>& granted,
               schemas::Executor::GrantParams::Builder into) {
  std::vector<const std::vector<std::string>*> gangs;  // those of one come one after the other
  auto grants = into.getGrants();
  for (unsigned at = 0; at < granted.size(); ++at) {
    const auto* hosts = granted[at].hosts.get();
    if (hosts == nullptr) {
      continue;
    }
    if (gangs.empty() || gangs.back() != hosts) {
      gangs.push_back(hosts);
    }
    grants[at].setGang(static_cast<unsigned>(gangs.size()));
  }
  auto list = into.initGangs(static_cast<unsigned>(gangs.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    std::string text;
    for (const auto& host : *gangs[at]) {
      text.append(text.empty() ? "" : ",").append(host);
    }
    list.set(at, text.c_str());
  }
}

}  // namespace

pool_actor::pool_actor(const runtime::clock& time, std::optional<lease_timing> timing,
                       pool_figures& figures)
    : time_(time), figures_(figures) {
  if (timing) {
    leases_.emplace(timing->lost_after());
  }
}

async<> pool_actor::on_activate() {
  restore_projects();
  runs_.for_each([this](std::string_view run, schemas::PoolRun::Reader record) {
    queue_.restore_run(run, text_of(record.getExecutor()));
    return true;
  });
  paused_.for_each([this](std::string_view run, schemas::PausedRun::Reader) {
    queue_.restore_pause(run);
    return true;
  });
  restore_tickets();
  executors_.for_each([this](std::string_view executor, schemas::PoolExecutor::Reader record) {
    queue_.restore_executor(executor, record.getIncarnation(), record.getSlots(),
                            amounts_of(record.getResources()), text_of(record.getHost()),
                            pools_of(record.getPools()));
    queue_.drain(executor, record.getDraining(), text_of(record.getRefusal()));
    if (!record.getLost()) {
      hear(executor);  // an earlier activation may just have
    }
    return true;
  });
  storage_.for_each([this](std::string_view row, schemas::PoolStorage::Reader record) {
    const auto slash = row.rfind('/');
    queue_.set_storage(row.substr(0, slash), row.substr(slash + 1), record.getBytes());
    return true;
  });
  watch();
  return {};
}

// In the order of their grants, by which projects have used what they have.
void pool_actor::restore_tickets() {
  std::vector<pool_ticket> all;
  tickets_.for_each([&](std::string_view row, schemas::PoolTicket::Reader ticket) {
    all.push_back(ticket_of(number_of(row), ticket));
    return true;
  });
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.granted_at < b.granted_at; });
  end(pool_queue::take_stranded(all), schemas::AttemptEnd::DROPPED);
  for (auto& each : all) {
    queue_.restore(std::move(each));
  }
}

// Tells the tasks that these attempts, whose tickets are gone, have ended. `why`: for a person.
void pool_actor::end(const std::vector<pool_ticket>& tickets, schemas::AttemptEnd end,
                     const std::string& why) {
  for (const auto& each : tickets) {
    tickets_.erase(padded(each.number, ticket_digits));
    if (!each.executor.empty()) {
      save_usage(each.wish.project);
    }
    schemas::task_interface::attempt_finished_params finished;
    auto report = finished.build().initReport();
    report.setNumber(each.attempt);
    report.setEnd(end);
    report.setText(why.c_str());
    send(ref<schemas::Task>(each.task).attempt_finished(std::move(finished)));
  }
}

// What an executor's earlier life had. When the executor has told what became of all that had
// started, the others never did, and wait again: that is no attempt that counts. One of a gang
// would wait for the others, which run.
void pool_actor::take_over(std::vector<pool_ticket> tickets, bool same_lineage) {
  if (!same_lineage) {
    end(tickets, schemas::AttemptEnd::LOST);
    return;
  }
  const auto alone = std::partition(tickets.begin(), tickets.end(),
                                    [](const auto& each) { return each.wish.gang.has_value(); });
  end({tickets.begin(), alone}, schemas::AttemptEnd::DROPPED);
  tickets.erase(tickets.begin(), alone);
  for (auto& each : tickets) {
    waits_again(tickets_.edit(padded(each.number, ticket_digits)));
    queue_.put_back(std::move(each));
  }
}

async<pool_actor::join_results> pool_actor::join(join_params params) {
  const std::string executor{params.executor()};
  const std::string formerly{params.formerly()};
  const auto& before = executors_.contains(formerly) ? formerly : executor;
  const auto record = executors_.get(before);
  // The executor has reported every attempt of its earlier life that it found in its table.
  const auto same_lineage =
      record && params.lineage() != 0 && record->getLineage() == params.lineage();
  if (before != executor) {
    for (const auto& run : queue_.runs_of(before, SIZE_MAX)) {
      runs_.edit(run).setExecutor(executor.c_str());
    }
    const auto stored = queue_.storage_of(before);
    take_over(queue_.remove(before, executor, now()), same_lineage);
    save_storage(before, stored);
    executors_.erase(before);
    if (leases_) {
      leases_->forget(before);
    }
  }
  take_over(
      queue_.join(executor, params.incarnation(), params.slots(), amounts_of(params.resources()),
                  now(), params.host(), pools_of(params.read().getPools())),
      same_lineage);
  auto joined = executors_.edit(executor);
  joined.setIncarnation(params.incarnation());
  joined.setSlots(params.slots());
  joined.setLineage(params.lineage());
  joined.setResources(params.resources());
  joined.setPools(params.read().getPools());
  joined.setHost(std::string{params.host()}.c_str());
  joined.setLost(false);
  set_drain(executor, params.draining(), params.refusal());
  hear(executor);
  watch();
  grant();
  co_return join_results{same_lineage};
}

async<> pool_actor::leave(leave_params params) {
  const std::string executor{params.executor()};
  if (executors_.contains(executor)) {
    auto record = executors_.edit(executor);
    record.setSlots(0);
    queue_.leave(executor);
    if (!record.getLost()) {
      hear(executor);
    }
    grant();
  }
  return {};
}

async<> pool_actor::drain(drain_params params) {
  const std::string executor{params.executor()};
  if (executors_.contains(executor)) {
    set_drain(executor, !params.undo(), params.refusal());
    grant();
  }
  return {};
}

void pool_actor::set_drain(const std::string& executor, bool drains, std::string_view why) {
  const std::string refusal{why};
  auto record = executors_.edit(executor);
  record.setDraining(drains);
  record.setRefusal(refusal.c_str());
  queue_.drain(executor, drains, refusal);
}

// --- leases --------------------------------------------------------------------------------------

void pool_actor::hear(std::string_view executor) {
  if (leases_) {
    leases_->heard(executor, time_.steady());
  }
}

void pool_actor::watch() {
  const auto next = leases_ ? leases_->next() : std::nullopt;
  if (next) {
    set_timer(lease_timer, std::max(*next - time_.steady(), runtime::duration{1}));
  }
}

async<> pool_actor::on_timer(std::string) {
  for (const auto& executor : leases_->take_lost(time_.steady())) {
    lose(executor);
  }
  watch();
  grant();
  return {};
}

void pool_actor::lose(const std::string& executor) {
  auto record = executors_.edit(executor);
  record.setSlots(0);
  record.setLost(true);
  const auto stored = queue_.storage_of(executor);
  end(queue_.lose(executor, now()), schemas::AttemptEnd::LOST);
  save_storage(executor, stored);
  lose_runs(executor);
}

// Tells the runs that it had, so many a commit. Each of them is held until it has thought about it.
void pool_actor::lose_runs(const std::string& executor) {
  const auto runs = queue_.runs_of(executor, runs_at_once);
  for (const auto& run : runs) {
    queue_.hold_run(run);
    runs_.edit(run).setExecutor("");
    send(ref<schemas::Run>(run).workspace_lost(executor));
  }
  if (runs.size() == runs_at_once) {
    send(ref<schemas::Pool>(key()).lose_more(executor));
  }
}

// One that has come back meanwhile has the files of the others.
async<> pool_actor::lose_more(lose_more_params params) {
  const std::string executor{params.executor()};
  const auto record = executors_.get(executor);
  if (record && record->getLost()) {
    lose_runs(executor);
    grant();
  }
  return {};
}

async<> pool_actor::pause_run(pause_run_params params) {
  const std::string run{params.run()};
  queue_.pause_run(run, params.paused());
  if (params.paused()) {
    paused_.edit(run).setSince(nanoseconds(now()));
  } else {
    paused_.erase(run);
  }
  grant();  // what it kept may be another's
  return {};
}

async<> pool_actor::resume_run(resume_run_params params) {
  const std::string run{params.run()};
  const auto record = runs_.get(run);
  if (record && record->getExecutor().size() == 0) {
    runs_.erase(run);
    queue_.forget_run(run);
    grant();
  }
  return {};
}

async<pool_actor::renew_results> pool_actor::renew(renew_params params) {
  const auto record = executors_.get(std::string{params.executor()});
  const auto held = record && record->getIncarnation() == params.incarnation() &&
                    record->getSlots() > 0 && !record->getLost();
  if (held) {
    hear(params.executor());
  }
  co_return renew_results{held};
}

// --- tickets -------------------------------------------------------------------------------------

// One that asks for more than its project may ever have gets no ticket. To tell it once is enough:
// the send waits for a task that has not begun, and one that has gone on wants the attempt no more.
// What waits already waits on when the quota becomes less.
template <class Entry>
void pool_actor::add(Entry entry) {
  const auto number = state().getTickets() + 1;
  const auto priority = entry.hasWish() ? entry.getWish().getPriority() : entry.getPriority();
  auto wish = wish_of(entry.getWish());
  if (const auto why = queue_.refusal(wish);
      !why.empty() && queue_.find(text_of(entry.getTask()), entry.getAttempt()) == nullptr) {
    pool_ticket none;
    none.task = text_of(entry.getTask());
    none.attempt = entry.getAttempt();
    end({none}, schemas::AttemptEnd::NOT_STARTED, why);
    return;
  }
  const auto made = queue_.enqueue(number, text_of(entry.getTask()), entry.getAttempt(), priority,
                                   entry.getShared(), std::move(wish), now());
  if (!made) {
    return;
  }
  edit().setTickets(number);
  auto row = tickets_.edit(padded(number, ticket_digits));
  row.setTask(made->task.c_str());
  row.setAttempt(made->attempt);
  row.setPriority(old_priority(made->priority));
  row.setShared(made->shared);
  row.setQueuedAt(nanoseconds(made->queued_at));
  if (entry.hasWish()) {
    row.setWish(entry.getWish());
    row.getWish().setPriority(made->priority);
  }
}

// The attempt takes the place of one that has made way; if that has none any more, a new one.
bool pool_actor::requeue(schemas::Pool::EnqueueParams::Reader wanted) {
  const auto rule = wanted.getWish().getPreemptible();
  const auto made = queue_.requeue(text_of(wanted.getTask()), wanted.getInPlaceOf(),
                                   wanted.getAttempt(), makes_way(rule), now());
  if (!made) {
    return false;
  }
  auto row = tickets_.edit(padded(made->number, ticket_digits));
  row.setAttempt(made->attempt);
  row.getWish().setPreemptible(rule);
  waits_again(row);
  save_usage(made->wish.project);
  return true;
}

async<> pool_actor::enqueue(enqueue_params params) {
  if (params.in_place_of() == 0 || !requeue(params.read())) {
    add(params.read());
  }
  grant();
  return {};
}

async<> pool_actor::enqueue_all(enqueue_all_params params) {
  for (auto each : params.read().getEntries()) {
    add(each);
  }
  grant();
  return {};
}

// In the commit that gives the slot back.
void pool_actor::take_back(std::string_view task, std::uint32_t attempt) {
  if (const auto gone = queue_.release(task, attempt, now())) {
    tickets_.erase(padded(gone->number, ticket_digits));
    if (!gone->executor.empty()) {
      save_usage(gone->wish.project);
    }
  }
}

async<> pool_actor::release(release_params params) {
  take_back(params.task(), params.attempt());
  grant();
  return {};
}

// An attempt without a ticket was lost with its executor, or its run's wish for one is on the way:
// whoever gets it then asks the task, which wants it no more. Of one that is promised to an
// executor that has not been told.
async<> pool_actor::cancel(cancel_params params) {
  const auto* ticket = queue_.find(params.task(), params.attempt());
  if (ticket != nullptr && !ticket->executor.empty() && !ticket->promised) {
    send(ref<schemas::Executor>(ticket->executor)
             .cancel(attempt_token(params.task(), params.attempt())));
    return {};
  }
  pool_ticket gone;
  gone.task = params.task();
  gone.attempt = params.attempt();
  take_back(params.task(), params.attempt());
  end({gone}, schemas::AttemptEnd::CANCELLED);
  grant();  // what it was promised may be another's
  return {};
}

async<> pool_actor::remove_run(remove_run_params params) {
  for (const auto& each : queue_.of_tasks(std::string{params.run()} + "/")) {
    if (!each.executor.empty() && !each.promised) {
      send(ref<schemas::Executor>(each.executor).cancel(attempt_token(each.task, each.attempt)));
    }
    take_back(each.task, each.attempt);
  }
  queue_.forget_run(params.run());
  runs_.erase(params.run());
  queue_.pause_run(params.run(), false);
  paused_.erase(params.run());
  executors_.for_each([&](std::string_view executor, schemas::PoolExecutor::Reader) {
    send(ref<schemas::Executor>(std::string{executor}).remove_run(params.run()));
    return true;
  });
  grant();
  return {};
}

// The task of what makes way knows whether its attempt has ended already, and has it ended.
void pool_actor::store_news() {
  const auto news = queue_.take_news();
  for (const auto& each : news.changed) {
    auto row = tickets_.edit(padded(each.number, ticket_digits));
    row.setExecutor(each.executor.c_str());
    row.setGrantedAt(nanoseconds(each.granted_at));
    row.setPromised(each.promised);
  }
  for (const auto& each : news.preempted) {
    tickets_.edit(padded(each.ends.number, ticket_digits)).setPreemptedFor(each.ends.preempted_for);
    send(ref<schemas::Task>(each.ends.task).preempt(each.ends.attempt, each.reason));
  }
  figures_.preemptions += news.preempted.size();
}

// One send for each executor, so that what it is granted arrives in one piece and in order.
void pool_actor::grant() {
  std::map<std::string, std::vector<pool_grant>> grants;
  for (auto& each : queue_.grant(now())) {
    grants[each.ticket.executor].push_back(std::move(each));
  }
  store_news();
  auto number = state().getGrants();
  for (const auto& [executor, granted] : grants) {
    schemas::executor_interface::grant_params params;
    auto made = params.build();
    made.setIncarnation(granted.front().incarnation);
    auto list = made.initGrants(static_cast<unsigned>(granted.size()));
    put_gangs(granted, made);
    unsigned at = 0;
    for (const auto& each : granted) {
      auto row = tickets_.edit(padded(each.ticket.number, ticket_digits));
      row.setExecutor(executor.c_str());
      row.setGrantedAt(nanoseconds(each.ticket.granted_at));
      row.setPromised(false);
      if (each.pins) {
        runs_.edit(run_of(each.ticket.task)).setExecutor(executor.c_str());
      }
      list[at].setTask(each.ticket.task.c_str());
      list[at].setAttempt(each.ticket.attempt);
      list[at].setPriority(old_priority(each.ticket.priority));
      list[at].setLevel(each.ticket.priority);
      list[at++].setNumber(++number);
    }
    send(ref<schemas::Executor>(executor).grant(std::move(params)));
  }
  if (number != state().getGrants()) {
    edit().setGrants(number);
  }
}

async<pool_actor::status_results> pool_actor::status() {
  status_results results;
  auto made = results.build();
  auto list = made.initExecutors(static_cast<unsigned>(executors_.size()));
  unsigned at = 0;
  executors_.for_each([&](std::string_view executor, schemas::PoolExecutor::Reader) {
    list.set(at++, std::string{executor}.c_str());
    return true;
  });
  made.setSlots(queue_.slots());
  made.setRunning(static_cast<std::uint32_t>(queue_.running()));
  made.setWaiting(static_cast<std::uint32_t>(queue_.waiting()));
  made.setWaitingReason(queue_.waiting_reason().c_str());
  made.setPreempting(static_cast<std::uint32_t>(queue_.preempting()));
  put_shares(made);
  put_offers(made);
  put_pools(made);
  co_return results;
}

void pool_actor::put_offers(schemas::Pool::StatusResults::Builder into) const {
  const auto offers = queue_.offers_made();
  auto list = into.initOffers(static_cast<unsigned>(offers.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    const auto& each = offers[at];
    list[at].setExecutor(each.executor.c_str());
    list[at].setSlots(each.slots);
    list[at].setGranted(each.granted);
    list[at].setTakesNothing(each.takes_nothing.c_str());
    put_amounts(each.offered, [&](unsigned size) { return list[at].initResources(size); });
    resource_amounts free;
    for (const auto& [name, amount] : each.offered) {
      free[name] = left_of(each.offered, each.taken, name);
    }
    put_amounts(free, [&](unsigned size) { return list[at].initFree(size); });
    put_names(each.pools, [&](unsigned size) { return list[at].initPools(size); });
  }
}

void pool_actor::put_pools(schemas::Pool::StatusResults::Builder into) const {
  const auto pools = queue_.pools(pools_at_once);
  auto list = into.initPools(static_cast<unsigned>(pools.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    const auto& each = pools[at];
    list[at].setName(each.pool.c_str());
    list[at].setExecutors(each.executors);
    list[at].setSlots(each.slots);
    list[at].setTaken(each.taken);
    list[at].setWaiting(static_cast<std::uint32_t>(each.waiting));
  }
}

async<pool_actor::reasons_results> pool_actor::reasons(reasons_params params) {
  const auto tasks = params.read().getTasks();
  reasons_results results;
  auto list = results.build().initReasons(std::min(tasks.size(), reasons_at_once));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.set(at, queue_.reason(text_of(tasks[at]), now()).c_str());
  }
  co_return results;
}

}  // namespace millrace::actors
