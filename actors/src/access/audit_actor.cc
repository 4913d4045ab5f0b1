// SPDX-License-Identifier: MIT
#include "access/audit_actor.h"

#include <algorithm>
#include <string>

namespace millrace::actors {

using runtime::async;
using runtime::errc;

namespace {

constexpr std::uint32_t page_default = 100;
constexpr std::uint32_t page_max = 1'000;

// Rows are in the order of their numbers.
std::string row_of(std::uint64_t number) {
  std::string digits(20, '0');
  for (auto at = digits.rbegin(); number > 0; ++at, number /= 10) {
    *at = static_cast<char>('0' + number % 10);
  }
  return digits;
}

}  // namespace

async<> audit_actor::append(append_params params) {
  const auto given = params.read().getEntries();
  if (given.size() > audit_append_max) {
    co_await runtime::fail({errc::invalid_argument, "at most " + std::to_string(audit_append_max) +
                                                        " entries are appended at once"});
  }
  auto next = std::max<std::uint64_t>(state().getNext(), 1);
  auto first = std::max<std::uint64_t>(state().getFirst(), 1);
  for (auto each : given) {
    runtime::message<schemas::AuditEntry> stored{each};
    stored.build().setNumber(next);
    entries_.put(row_of(next++), stored);
  }
  for (; next - first > audit_entries_max; ++first) {
    entries_.erase(row_of(first));
  }
  edit().setFirst(first);
  edit().setNext(next);
}

async<audit_actor::page_results> audit_actor::page(page_params params) {
  const auto first = state().getFirst();
  const auto next = state().getNext();
  const auto end = params.cursor() == 0 ? next : std::min(params.cursor(), next);
  const auto limit = params.limit() == 0 ? page_default : std::min(params.limit(), page_max);
  const auto begin = end > first + limit ? end - limit : first;
  page_results results;
  if (begin >= end) {
    co_return results;
  }
  auto read = co_await entries_.page(row_of(begin), static_cast<std::size_t>(end - begin));
  // The oldest may have made room meanwhile, and others stand behind.
  std::erase_if(read.entries,
                [end](const auto& each) { return each.content.read().getNumber() >= end; });
  auto list = results.build().initEntries(static_cast<unsigned>(read.entries.size()));
  auto at = list.size();
  for (const auto& each : read.entries) {
    list.setWithCaveats(--at, each.content.read());
  }
  results.build().setNextCursor(begin > first ? std::to_string(begin).c_str() : "");
  co_return results;
}

}  // namespace millrace::actors
