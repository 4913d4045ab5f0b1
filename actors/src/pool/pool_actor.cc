// SPDX-License-Identifier: MIT
#include "pool/pool_actor.h"

#include <charconv>

#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;
using runtime::ref;

namespace {

constexpr unsigned ticket_digits = 20;

std::uint64_t number_of(std::string_view row) {
  std::uint64_t number = 0;
  std::from_chars(row.data(), row.data() + row.size(), number);
  return number;
}

}  // namespace

async<> pool_actor::on_activate() {
  tickets_.for_each([this](std::string_view row, schemas::PoolTicket::Reader ticket) {
    queue_.restore({number_of(row), text_of(ticket.getTask()), ticket.getAttempt(),
                    ticket.getPriority(), text_of(ticket.getExecutor())});
    return true;
  });
  executors_.for_each([this](std::string_view executor, schemas::PoolExecutor::Reader record) {
    queue_.restore_executor(executor, record.getIncarnation(), record.getSlots());
    return true;
  });
  return {};
}

async<pool_actor::join_results> pool_actor::join(join_params params) {
  const std::string executor{params.executor()};
  const auto before = executors_.get(executor);
  // The executor has reported every attempt of its earlier life that it found in its table.
  const auto same_lineage =
      before && params.lineage() != 0 && before->getLineage() == params.lineage();
  for (const auto& lost : queue_.join(executor, params.incarnation(), params.slots())) {
    tickets_.erase(padded(lost.number, ticket_digits));
    schemas::task_interface::attempt_finished_params finished;
    auto report = finished.build().initReport();
    report.setNumber(lost.attempt);
    report.setEnd(same_lineage ? schemas::AttemptEnd::DROPPED : schemas::AttemptEnd::LOST);
    send(ref<schemas::Task>(lost.task).attempt_finished(std::move(finished)));
  }
  auto record = executors_.edit(executor);
  record.setIncarnation(params.incarnation());
  record.setSlots(params.slots());
  record.setLineage(params.lineage());
  grant();
  co_return join_results{same_lineage};
}

async<> pool_actor::leave(leave_params params) {
  const std::string executor{params.executor()};
  if (executors_.contains(executor)) {
    executors_.edit(executor).setSlots(0);
    queue_.leave(executor);
  }
  return {};
}

async<> pool_actor::enqueue(enqueue_params params) {
  const auto number = state().getTickets() + 1;
  const auto made = queue_.enqueue(number, params.task(), params.attempt(), params.priority());
  if (!made) {
    return {};
  }
  edit().setTickets(number);
  auto row = tickets_.edit(padded(number, ticket_digits));
  row.setTask(made->task.c_str());
  row.setAttempt(made->attempt);
  row.setPriority(made->priority);
  row.setQueuedAt(nanoseconds(now()));
  grant();
  return {};
}

async<> pool_actor::release(release_params params) {
  if (const auto gone = queue_.release(params.task(), params.attempt())) {
    tickets_.erase(padded(gone->number, ticket_digits));
    grant();
  }
  return {};
}

async<> pool_actor::remove_run(remove_run_params params) {
  executors_.for_each([&](std::string_view executor, schemas::PoolExecutor::Reader) {
    send(ref<schemas::Executor>(std::string{executor}).remove_run(params.run()));
    return true;
  });
  return {};
}

void pool_actor::grant() {
  for (const auto& [ticket, incarnation] : queue_.grant()) {
    tickets_.edit(padded(ticket.number, ticket_digits)).setExecutor(ticket.executor.c_str());
    send(ref<schemas::Task>(ticket.task).granted(ticket.attempt, ticket.executor, incarnation));
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
  co_return results;
}

}  // namespace millrace::actors
