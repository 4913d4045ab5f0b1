// SPDX-License-Identifier: MIT
#include "routing/call_book.h"

#include "routing/router_rules.h"

namespace millrace::runtime::detail {

// Envelopes come from a pool of blocks, one after the other.
std::size_t call_book::part_number(const envelope& one) noexcept {
  return (reinterpret_cast<std::uintptr_t>(&one) / sizeof(envelope)) % part_count;
}

void call_book::clear() {
  std::vector<envelope*> kept;
  for (auto& each : parts_) {
    for (const auto& [number, call] : std::exchange(each.open, {})) {
      kept.push_back(call.call);
    }
    for (const auto& [id, call] : std::exchange(each.served, {})) {
      kept.push_back(call);
    }
  }
  sends_.clear();
  for (auto* each : kept) {
    drop(each);  // the end of a call looks for it here
  }
}

// --- open calls ----------------------------------------------------------------------------------

call_id call_book::next_id(const envelope& one) noexcept {
  const auto count = calls_.fetch_add(1, std::memory_order_relaxed) + 1;
  return {incarnation_, count << part_bits | part_number(one)};
}

bool call_book::open(envelope& one, const call_id& id, std::string silo, sent_before before,
                     std::unique_ptr<call_span> span) {
  std::unique_lock<std::mutex> sends;
  if (one.send) {
    sends = std::unique_lock{sends_mutex_};  // until it is known there, or has ended
  }
  if (is_of_ended(one)) {
    return false;
  }
  keep(one);
  {
    auto& here = part_of(one);
    const std::lock_guard lock{here.mutex};
    one.extra().routed = id;
    here.open.emplace(id.number, open_call{&one, std::move(silo), before, std::move(span)});
  }
  if (one.send) {
    sends_[{one.send->sender, one.send->number}] = id.number;
  }
  return true;
}

std::optional<open_call> call_book::close(const call_id& id, std::string_view silo) {
  std::optional<open_call> closed;
  auto& here = part_of(id.number);
  {
    const std::lock_guard lock{here.mutex};
    const auto found = here.open.find(id.number);
    if (id.origin != incarnation_ || found == here.open.end() || found->second.silo != silo) {
      return std::nullopt;
    }
    closed = std::move(found->second);
    here.open.erase(found);
  }
  forget_send(*closed->call, id.number);
  return closed;
}

// Meanwhile it is in `sends_` and not open, which is as good as in neither.
void call_book::forget_send(const envelope& closed, std::uint64_t number) {
  if (!closed.send) {
    return;
  }
  const std::lock_guard lock{sends_mutex_};
  const auto known = sends_.find({closed.send->sender, closed.send->number});
  if (known != sends_.end() && known->second == number) {
    sends_.erase(known);
  }
}

std::size_t call_book::open_count() const {
  std::size_t count = 0;
  for (const auto& each : parts_) {
    const std::lock_guard lock{each.mutex};
    count += each.open.size();
  }
  return count;
}

bool call_book::stand_in(envelope& one) {
  envelope* before = nullptr;
  {
    const std::lock_guard sends{sends_mutex_};
    const auto known = sends_.find({one.send->sender, one.send->number});
    if (known == sends_.end()) {
      return false;
    }
    // Its id lies under the lock of its own part, and has to be there before it can be answered.
    set_id(one, {incarnation_, known->second});
    auto& there = part_of(known->second);
    const std::lock_guard lock{there.mutex};
    const auto found = there.open.find(known->second);
    if (found != there.open.end() && found->second.call->send->epoch == one.send->epoch) {
      before = std::exchange(found->second.call, &one);
    }
  }
  if (before == nullptr) {
    set_id(one, {});
    return false;
  }
  drop(before);
  return true;
}

std::optional<std::pair<std::string, call_id>> call_book::whereabouts(const envelope& call) {
  const auto id = id_of(call);
  auto& there = part_of(id.number);
  const std::lock_guard lock{there.mutex};
  const auto found = there.open.find(id.number);
  if (id.origin != incarnation_ || found == there.open.end() || found->second.call != &call) {
    return std::nullopt;
  }
  return std::pair{found->second.silo, id};
}

call_id call_book::id_of(const envelope& call) const {
  const std::lock_guard lock{part_of(call).mutex};
  return call.routed();
}

void call_book::forget_id(envelope& call) {
  if (call.routed()) {
    set_id(call, {});
  }
}

// Another thread may ask for the id of a call above one that is sent again.
std::uint64_t call_book::wait_number_of(envelope& one) {
  const std::lock_guard lock{part_of(one).mutex};
  auto& number = one.extra().wait_number;
  if (number == 0) {
    number = wait_numbers_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  return number;
}

void call_book::set_id(envelope& call, const call_id& id) {
  const std::lock_guard lock{part_of(call).mutex};
  call.extra().routed = id;
}

// --- served calls --------------------------------------------------------------------------------

void call_book::serve(envelope& one, const call_id& id) {
  one.extra().routed = id;  // nobody else has it yet
  auto& there = part_of(id.number);
  const std::lock_guard lock{there.mutex};
  if (there.served.emplace(id, &one).second) {
    keep(one);
  }
}

envelope* call_book::end_serving(const call_id& id) {
  auto& there = part_of(id.number);
  const std::lock_guard lock{there.mutex};
  const auto found = there.served.find(id);
  if (found == there.served.end()) {
    return nullptr;
  }
  auto* const one = found->second;
  there.served.erase(found);
  return one;
}

envelope* call_book::served(const call_id& id) {
  auto& there = part_of(id.number);
  const std::lock_guard lock{there.mutex};
  const auto found = there.served.find(id);
  if (found == there.served.end()) {
    return nullptr;
  }
  keep(*found->second);
  return found->second;
}

envelope* call_book::find(const call_id& id) {
  if (!id) {
    return nullptr;
  }
  if (id.origin != incarnation_) {
    return served(id);
  }
  auto& there = part_of(id.number);
  const std::lock_guard lock{there.mutex};
  const auto found = there.open.find(id.number);
  if (found == there.open.end()) {
    return nullptr;
  }
  keep(*found->second.call);
  return found->second.call;
}

}  // namespace millrace::runtime::detail
