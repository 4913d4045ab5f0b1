// SPDX-License-Identifier: MIT
#include "activation/send_lanes.h"

#include <algorithm>

namespace millrace::runtime::detail {

namespace {

constexpr duration retry_first = std::chrono::milliseconds{10};
constexpr duration retry_last = std::chrono::seconds{5};

// What a receiver does not take by its own fault waits so many steps longer.
constexpr std::uint32_t refusal_steps = 4;

duration retry_delay(std::uint32_t failures) {
  return std::min(retry_last, retry_first * (1U << std::min(failures, 16U)));
}

}  // namespace

std::size_t send_lanes::size() const noexcept {
  std::size_t all = 0;
  for (const auto& [target, one] : lanes_) {
    all += one.items.size();
  }
  return all;
}

void send_lanes::add(std::string target, std::uint64_t number, std::uint64_t after_commit) {
  auto& items = lanes_[target].items;
  items.push_back({number, after_commit});
  if (items.size() == 1) {
    after_commit_.emplace_back(after_commit, std::move(target));
  }
}

std::optional<due_send> send_lanes::start(const std::string& target, lane& one,
                                          std::uint64_t durable, steady_time now) {
  if (one.in_flight || one.items.empty() || one.retry_at > now) {
    return std::nullopt;
  }
  const auto& first = one.items.front();
  if (first.after_commit > durable) {
    after_commit_.emplace_back(first.after_commit, target);
    return std::nullopt;
  }
  one.in_flight = true;
  return due_send{&target, first.number};
}

std::optional<due_send> send_lanes::next_durable(std::uint64_t durable, steady_time now) {
  while (!after_commit_.empty() && after_commit_.front().first <= durable) {
    const auto found = lanes_.find(after_commit_.front().second);
    after_commit_.pop_front();
    if (found != lanes_.end()) {
      if (auto due = start(found->first, found->second, durable, now)) {
        return due;
      }
    }
  }
  return std::nullopt;
}

std::optional<due_send> send_lanes::next_of(const std::string& target, std::uint64_t durable,
                                            steady_time now) {
  const auto found = lanes_.find(target);
  return found != lanes_.end() ? start(found->first, found->second, durable, now) : std::nullopt;
}

// Sets the time of the next try, unless there is to be none.
void send_lanes::put_off(lane& one, const error& failure, steady_time now, duration retry_max,
                         send_verdict& verdict) {
  const auto not_its_fault =
      retry_of(failure.code()) != retry_class::never && failure.code() != errc::internal;
  const auto failing_for = now - one.failing_since;
  if (not_its_fault && failing_for < retry_max) {
    one.retry_at = now + retry_delay(one.failures);
    if (failing_for >= warn_of_failing_after && !std::exchange(one.warned, true)) {
      verdict.warn_of = one.items.size();
    }
  } else if (!not_its_fault && ++one.refusals < failures_max) {
    one.retry_at = now + retry_delay(one.failures + refusal_steps);
  }
}

send_verdict send_lanes::answered(const std::string& target, const error* failure, bool settled,
                                  steady_time now, duration retry_max) {
  const auto found = lanes_.find(target);
  if (found == lanes_.end() || !found->second.in_flight) {
    return {};
  }
  auto& own = found->second;
  own.in_flight = false;
  send_verdict verdict;
  if (failure != nullptr && !settled) {
    if (own.failures++ == 0) {
      own.failing_since = now;
      ++failing_;
    }
    put_off(own, *failure, now, retry_max, verdict);
    if (own.retry_at > now) {
      verdict.what = send_verdict::step::again;
      verdict.retry_at = own.retry_at;
      return verdict;
    }
  }
  verdict.what = failure != nullptr ? send_verdict::step::dead : send_verdict::step::ended;
  failing_ -= own.failures > 0 ? 1 : 0;
  own.failures = own.refusals = 0;
  own.warned = false;
  own.retry_at = {};
  own.items.pop_front();
  if (own.items.empty()) {
    lanes_.erase(found);
  }
  return verdict;
}

}  // namespace millrace::runtime::detail
