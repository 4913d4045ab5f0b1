// SPDX-License-Identifier: MIT
#include "coordination/local_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace::runtime {
namespace {

constexpr int poll_interval_ms = 50;
// For what this process does by itself; then it tries again.
constexpr duration own_patience = std::chrono::seconds{1};

}  // namespace

result<void> local_watcher::start() {
  wake_ = unique_fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!wake_) {
    return error{errc::unavailable, std::string{"no eventfd: "} + std::strerror(errno)};
  }
  thread_ = std::thread{[this] { run(); }};
  return {};
}

local_watcher::~local_watcher() {
  if (thread_.joinable()) {
    stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
    thread_.join();
  }
}

void local_watcher::keep_alive(std::string name, std::uint64_t incarnation, std::size_t slot,
                               steady_time begun_at) {
  const std::lock_guard lock{mutex_};
  session_.emplace(
      session{std::move(name), incarnation, slot, session_timer{options_.session_ttl, begun_at}});
}

std::optional<local_watcher::session> local_watcher::give_up() {
  const std::lock_guard lock{mutex_};
  return std::exchange(session_, std::nullopt);
}

void local_watcher::run() {
  hinted_at_ = clock_.steady();
  while (!stopping_) {
    const auto now = clock_.steady();
    renew(now);
    take_out_ended(now);
    const auto revision = environment_.last_revision();
    // Where not even that can be read, the reason is told.
    if (revision != read_revision_ && read_silos() && revision) {
      read_revision_ = *revision;
    }
    if ((revision && std::exchange(seen_revision_, *revision) != *revision) ||
        now - hinted_at_ >= hint_interval_max) {
      hint(now);
    }
    wait();
  }
}

void local_watcher::hint(steady_time now) {
  hinted_at_ = now;
  options_.changed();
}

// Until it is time to look again, or a silo's process has ended, or the store is closed.
void local_watcher::wait() {
  std::vector<pollfd> ends{{wake_.get(), POLLIN, 0}};
  for (const auto& silo : silos_) {
    if (silo.process && !silo.has_ended) {
      ends.push_back({silo.process->fd(), POLLIN, 0});
    }
  }
  ::poll(ends.data(), ends.size(), poll_interval_ms);
}

// False when they could not be read: whoever is new is not watched yet.
bool local_watcher::read_silos() {
  const auto reader = environment_.begin_read(clock_.steady() + own_patience);
  auto found = reader ? (*reader)->rows(options_.protocol).silos()
                      : result<std::vector<local_silo>>{reader.error()};
  if (!found) {
    if (!std::exchange(is_unread_told_, true)) {
      options_.warn(found.error().to_string());
    }
    return false;
  }
  is_unread_told_ = false;
  std::vector<watched> silos;
  for (const auto& each : *found) {
    const auto& row = each.row;
    const auto known = std::find_if(silos_.begin(), silos_.end(), [&](const watched& one) {
      return one.incarnation == row.incarnation;
    });
    if (known != silos_.end()) {
      silos.push_back(std::move(*known));
      continue;
    }
    watched silo{row.name, row.incarnation, each.slot, std::nullopt, false};
    if (auto process = process_handle::open(row.process.pid, row.process.start_ticks); process) {
      silo.has_ended = !process->has_value();
      silo.process = std::move(*process);
    }
    silos.push_back(std::move(silo));
  }
  silos_ = std::move(silos);
  return true;
}

void local_watcher::renew(steady_time now) {
  const std::lock_guard lock{mutex_};
  if (!session_ || now < session_->timer.next_renewal()) {
    return;
  }
  if (environment_.page().renew_session(session_->slot, session_->incarnation, now,
                                        options_.session_ttl)) {
    session_->timer.renewed(now);
  } else {
    session_.reset();  // its row goes like any other's; who reads the store finds itself out
  }
}

// Several processes may find the same: the first one takes it out, the others find nothing to do.
void local_watcher::take_out_ended(steady_time now) {
  auto& page = environment_.page();
  bool any = false;
  for (auto& silo : silos_) {
    silo.has_ended = silo.has_ended || (silo.process && silo.process->has_ended({})) ||
                     page.end_session_if_expired(silo.slot, silo.incarnation, now);
    any = any || silo.has_ended;
  }
  if (!any) {
    return;
  }
  const auto writer = environment_.begin_write(now + own_patience);
  if (!writer) {
    return;
  }
  const auto rows = (*writer)->rows(options_.protocol);
  for (const auto& silo : silos_) {
    const auto found = rows.silo(silo.name);
    if (silo.has_ended && found && *found && (*found)->row.incarnation == silo.incarnation) {
      page.end_session(silo.slot, silo.incarnation);
      if (!rows.erase_silo(silo.name)) {
        return;
      }
    }
  }
  environment_.clear_dead_readers();
  if (auto done = (*writer)->commit(); !done) {
    options_.warn("silos that have ended stay in: " + done.error().to_string());
  }
}

}  // namespace millrace::runtime
