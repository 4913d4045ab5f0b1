// SPDX-License-Identifier: MIT
#include "executor/attempt_ledger.h"

#include "millrace/actors/process.h"
#include "millrace/runtime/assert.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

void attempt_ledger::restore(std::string_view token, attempt_stage stage) {
  listed_[std::string{token}] = {{std::string{token}}, stage};
}

result<void> attempt_ledger::take(const attempt_ticket& ticket) {
  if (!is_attempt_token(ticket.token) || !parse_token(ticket.token) || ticket.grant == 0) {
    return error{errc::invalid_argument, "'" + ticket.token + "' with grant " +
                                             std::to_string(ticket.grant) +
                                             " is no ticket of an attempt"};
  }
  if (ticket.incarnation != incarnation_) {
    return error{errc::failed_precondition,
                 "attempt " + ticket.token + " was granted to another life of the executor"};
  }
  if (ticket.grant <= last_grant_ || listed_.contains(ticket.token)) {
    return error{errc::conflict, "attempt " + ticket.token + " was taken before, or a later one"};
  }
  last_grant_ = ticket.grant;
  listed_.emplace(ticket.token, entry{ticket, attempt_stage::taken});
  return {};
}

result<attempt_ticket> attempt_ledger::give(std::string_view token) {
  const auto found = listed_.find(token);
  if (found == listed_.end()) {
    return error{errc::not_found, "attempt " + std::string{token} + " was not taken"};
  }
  if (found->second.stage != attempt_stage::taken) {
    return error{errc::conflict, "attempt " + std::string{token} + " was started before"};
  }
  found->second.stage = attempt_stage::waiting;
  return found->second.ticket;
}

void attempt_ledger::run(std::string_view token) {
  const auto found = listed_.find(token);
  MILLRACE_ASSERT(found != listed_.end() && (found->second.stage == attempt_stage::waiting ||
                                             found->second.stage == attempt_stage::running));
  found->second.stage = attempt_stage::running;
}

bool attempt_ledger::end(std::string_view token) {
  const auto found = listed_.find(token);
  if (found == listed_.end() || found->second.stage == attempt_stage::ended) {
    return false;
  }
  found->second.stage = attempt_stage::ended;
  return true;
}

bool attempt_ledger::acknowledge(std::string_view token) {
  const auto found = listed_.find(token);
  if (found == listed_.end() || found->second.stage != attempt_stage::ended) {
    return false;
  }
  listed_.erase(found);
  return true;
}

bool attempt_ledger::is_of_this_life(std::string_view token) const {
  const auto found = listed_.find(token);
  return found != listed_.end() && found->second.ticket.incarnation == incarnation_;
}

std::optional<attempt_stage> attempt_ledger::stage_of(std::string_view token) const {
  const auto found = listed_.find(token);
  return found != listed_.end() ? std::optional{found->second.stage} : std::nullopt;
}

std::vector<listed_attempt> attempt_ledger::list() const {
  std::vector<listed_attempt> all;
  all.reserve(listed_.size());
  for (const auto& [token, each] : listed_) {
    all.push_back({token, each.stage});
  }
  return all;
}

}  // namespace millrace::actors
