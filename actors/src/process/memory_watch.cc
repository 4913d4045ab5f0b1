// SPDX-License-Identifier: MIT
#include "process/memory_watch.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace millrace::actors::process_detail {
namespace {

constexpr auto interval = std::chrono::milliseconds{250};
// After telling apart what is shared, which is not over the limit: that took the kernel's time.
constexpr auto exact_interval = std::chrono::seconds{1};
constexpr int exact_part = 20;  // of the time at most one in so many

}  // namespace

memory_watch::memory_watch(const runtime::clock& clock,
                           std::function<void(const std::string&)> on_over)
    : clock_(clock), on_over_(std::move(on_over)) {}

memory_watch::~memory_watch() = default;

void memory_watch::add(const std::string& token, memory_use use) {
  const std::lock_guard lock{mutex_};
  watched_.insert_or_assign(token, watched{std::move(use)});
  if (thread_.joinable()) {
    changed_.notify_all();
    return;
  }
  // Signals of the host are for the host's threads.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::jthread{[this](const std::stop_token& stopping) { loop(stopping); }};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::uint64_t memory_watch::remove(const std::string& token) {
  const std::lock_guard lock{mutex_};
  const auto found = watched_.find(token);
  return found != watched_.end() ? watched_.extract(found).mapped().most : 0;
}

void memory_watch::loop(const std::stop_token& stopping) {
  ::pthread_setname_np(::pthread_self(), "memory");
  while (!stopping.stop_requested()) {
    look();
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, stopping, interval, [] { return false; });
    changed_.wait(lock, stopping, [this] { return !watched_.empty(); });
  }
}

void memory_watch::look() {
  const auto began = clock_.steady();
  std::vector<std::string> tokens;
  std::vector<memory_use> uses;
  {
    const std::lock_guard lock{mutex_};
    tokens.reserve(watched_.size());
    uses.reserve(watched_.size());
    for (auto& [token, one] : watched_) {
      one.use.is_exact = began >= one.next_exact;
      tokens.push_back(token);
      uses.push_back(one.use);
    }
  }
  measure_memory(uses);
  const auto now = clock_.steady();
  std::vector<std::string> over;
  {
    const std::lock_guard lock{mutex_};
    for (std::size_t at = 0; at < uses.size(); ++at) {
      const auto found = watched_.find(tokens[at]);
      if (found == watched_.end()) {
        continue;
      }
      auto& one = found->second;
      one.use = std::move(uses[at]);
      one.most = std::max(one.most, one.use.bytes.value_or(0));
      if (one.use.bytes.value_or(0) > one.use.limit) {
        over.push_back(tokens[at]);
      } else if (one.use.is_exact) {
        const auto rest = one.use.is_settled ? exact_interval : exact_interval.zero();
        one.next_exact = now + std::max<runtime::duration>(rest, (now - began) * exact_part);
      }
    }
  }
  for (const auto& each : over) {
    on_over_(each);
  }
}

}  // namespace millrace::actors::process_detail
