// SPDX-License-Identifier: MIT
#include "pipeline/pool_actor.h"

#include <charconv>
#include <vector>

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
    const auto number = number_of(row);
    by_attempt_[{text_of(ticket.getTask()), ticket.getAttempt()}] = number;
    const auto executor = text_of(ticket.getExecutor());
    if (executor.empty()) {
      waiting_.insert(place_of(ticket, number));
    } else {
      ++used_[executor];
    }
    return true;
  });
  return {};
}

async<> pool_actor::join(join_params params) {
  const std::string executor{params.executor()};
  const auto known = executors_.get(executor);
  if (known && known->getIncarnation() != params.incarnation()) {
    // What the earlier life had is lost; its tasks decide what follows.
    std::vector<std::uint64_t> lost;
    tickets_.for_each([&](std::string_view row, schemas::PoolTicket::Reader ticket) {
      if (text_of(ticket.getExecutor()) == executor) {
        lost.push_back(number_of(row));
      }
      return true;
    });
    for (const auto number : lost) {
      const auto row = padded(number, ticket_digits);
      const auto ticket = *tickets_.get(row);
      schemas::task_interface::attempt_finished_params finished;
      auto report = finished.build().initReport();
      report.setNumber(ticket.getAttempt());
      report.setEnd(schemas::AttemptEnd::LOST);
      const auto task = text_of(ticket.getTask());
      by_attempt_.erase({task, ticket.getAttempt()});
      tickets_.erase(row);
      send(ref<schemas::Task>(task).attempt_finished(std::move(finished)));
    }
    used_.erase(executor);
  }
  auto record = executors_.edit(executor);
  record.setIncarnation(params.incarnation());
  record.setSlots(params.slots());
  grant();
  return {};
}

async<> pool_actor::enqueue(enqueue_params params) {
  const attempt_key attempt{std::string{params.task()}, params.attempt()};
  if (by_attempt_.contains(attempt)) {
    return {};
  }
  auto root = edit();
  const auto number = root.getTickets() + 1;
  root.setTickets(number);
  auto ticket = tickets_.edit(padded(number, ticket_digits));
  ticket.setTask(attempt.first.c_str());
  ticket.setAttempt(attempt.second);
  ticket.setPriority(params.priority());
  ticket.setQueuedAt(nanoseconds(now()));
  by_attempt_[attempt] = number;
  waiting_.insert(place_of(ticket.asReader(), number));
  grant();
  return {};
}

async<> pool_actor::release(release_params params) {
  const auto found = by_attempt_.find({std::string{params.task()}, params.attempt()});
  if (found == by_attempt_.end()) {
    return {};
  }
  const auto row = padded(found->second, ticket_digits);
  const auto ticket = *tickets_.get(row);
  const auto executor = text_of(ticket.getExecutor());
  if (executor.empty()) {
    waiting_.erase(place_of(ticket, found->second));
  } else if (const auto used = used_.find(executor); used != used_.end() && used->second > 0) {
    --used->second;
  }
  by_attempt_.erase(found);
  tickets_.erase(row);
  grant();
  return {};
}

void pool_actor::grant() {
  executors_.for_each([this](std::string_view executor, schemas::PoolExecutor::Reader record) {
    auto& used = used_[std::string{executor}];
    while (used < record.getSlots() && !waiting_.empty()) {
      const auto number = waiting_.begin()->second;
      waiting_.erase(waiting_.begin());
      ++used;
      auto ticket = tickets_.edit(padded(number, ticket_digits));
      ticket.setExecutor(std::string{executor}.c_str());
      send(ref<schemas::Task>(text_of(ticket.getTask()))
               .granted(ticket.getAttempt(), executor, record.getIncarnation()));
    }
    return !waiting_.empty();
  });
}

async<pool_actor::status_results> pool_actor::status() {
  status_results results;
  auto made = results.build();
  std::vector<std::string> names;
  std::uint32_t slots = 0;
  executors_.for_each([&](std::string_view executor, schemas::PoolExecutor::Reader record) {
    names.emplace_back(executor);
    slots += record.getSlots();
    return true;
  });
  auto list = made.initExecutors(static_cast<unsigned>(names.size()));
  for (unsigned at = 0; at < names.size(); ++at) {
    list.set(at, names[at].c_str());
  }
  made.setSlots(slots);
  made.setRunning(static_cast<std::uint32_t>(tickets_.size() - waiting_.size()));
  made.setWaiting(static_cast<std::uint32_t>(waiting_.size()));
  co_return results;
}

}  // namespace millrace::actors
