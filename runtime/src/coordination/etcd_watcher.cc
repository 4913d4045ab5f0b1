// SPDX-License-Identifier: MIT
#include "coordination/etcd_watcher.h"

#include <utility>

namespace millrace::runtime {
namespace {

constexpr duration read_patience = std::chrono::seconds{5};
constexpr duration pause_after_failure = std::chrono::seconds{1};

}  // namespace

etcd_watcher::etcd_watcher(etcd_client& client, const clock& clock,
                           const coordination_options& options, std::string key, std::string prefix)
    : client_(client),
      clock_(clock),
      options_(options),
      key_(std::move(key)),
      prefix_(std::move(prefix)),
      renewing_([this] { renew(); }),
      watching_([this] { watch(); }) {}

etcd_watcher::~etcd_watcher() {
  {
    const std::lock_guard lock{mutex_};
    is_stopping_ = true;
  }
  changed_.notify_all();
  client_.stop();
  renewing_.join();
  watching_.join();
}

void etcd_watcher::keep_alive(std::uint64_t lease, steady_time begun_at) {
  const std::lock_guard lock{mutex_};
  session_.emplace(session{lease, session_timer{options_.session_ttl, begun_at}, false});
  changed_.notify_all();
}

std::optional<std::uint64_t> etcd_watcher::give_up() {
  const std::lock_guard lock{mutex_};
  const auto given = std::exchange(session_, std::nullopt);
  return given ? std::optional{given->lease} : std::nullopt;
}

std::optional<std::uint64_t> etcd_watcher::lease() const {
  const std::lock_guard lock{mutex_};
  return session_ ? std::optional{session_->lease} : std::nullopt;
}

void etcd_watcher::renew() {
  std::unique_lock lock{mutex_};
  while (!is_stopping_) {
    const auto now = clock_.steady();
    if (!session_) {
      changed_.wait(lock);
    } else if (now < session_->timer.next_renewal()) {
      changed_.wait_for(lock, session_->timer.next_renewal() - now);
    } else {
      const auto lease = session_->lease;
      const auto deadline = session_->timer.renewal_deadline(now);
      lock.unlock();
      finish_renewal(lease, now, client_.keep_alive(lease, deadline));
      lock.lock();
    }
  }
}

void etcd_watcher::finish_renewal(std::uint64_t lease, steady_time sent_at,
                                  const result<etcd_lease>& answer) {
  bool has_ended = false;
  std::string warning;
  {
    const std::lock_guard lock{mutex_};
    if (!session_ || session_->lease != lease) {
      return;
    }
    if (answer && answer->ttl_seconds > 0) {
      session_->timer.renewed(sent_at);
      session_->was_warned_of = false;
    } else if (answer) {
      session_.reset();
      has_ended = true;
    } else {
      const auto now = clock_.steady();
      session_->timer.failed(now);
      if (now >= session_->timer.held_until() && !std::exchange(session_->was_warned_of, true)) {
        warning = "this silo's session may have ended, etcd does not keep it alive: " +
                  answer.error().to_string();
      }
    }
  }
  if (!warning.empty()) {
    options_.warn(warning);
  }
  if (has_ended) {
    options_.changed();  // its row is gone: who reads the store finds itself out
  }
}

void etcd_watcher::wait_for(duration time) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, time, [this] { return is_stopping_; });
}

void etcd_watcher::watch() {
  const etcd_transaction look{{}, {{etcd_step::kind::get, key_}}, {}};
  const auto stopping = [this] {
    const std::lock_guard lock{mutex_};
    return is_stopping_;
  };
  while (!stopping()) {
    const auto begun_at = clock_.steady();
    const auto state = client_.read(look, begun_at + read_patience);
    if (state) {
      options_.changed();
      static_cast<void>(client_.watch(prefix_, state->header.revision + 1,
                                      begun_at + hint_interval_max, options_.changed));
    }
    // One that has lasted may begin anew at once.
    if (clock_.steady() - begun_at < pause_after_failure) {
      wait_for(pause_after_failure);
    }
  }
}

}  // namespace millrace::runtime
