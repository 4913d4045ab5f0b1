// SPDX-License-Identifier: MIT
#include "cli/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>

#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway::cli {

namespace {

std::string taken(const char* variable) {
  const auto* const value = std::getenv(variable);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(variable);
  return text;
}

// 0 for what is no number.
std::uint64_t number_in(const std::string& text) {
  std::uint64_t number = 0;
  const auto [after, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc{} && after == text.data() + text.size() ? number : 0;
}

}  // namespace

service_manager::service_manager() : socket_(taken("NOTIFY_SOCKET")) {
  const auto watched = taken("WATCHDOG_PID");
  const std::chrono::microseconds limit{number_in(taken("WATCHDOG_USEC"))};
  if (limit.count() > 0 &&
      (watched.empty() || number_in(watched) == static_cast<std::uint64_t>(::getpid()))) {
    watchdog_interval_ = std::chrono::ceil<std::chrono::milliseconds>(limit / 2);
  }
}

void service_manager::tell(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A path, or after an @ a name that is in no directory.
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) {
    return;
  }
  std::copy(socket_.begin(), socket_.end(), address.sun_path);
  if (socket_.front() == '@') {
    address.sun_path[0] = '\0';
  }
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const runtime::unique_fd sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  static_cast<void>(::sendto(sender.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), length));
}

runtime::duration commit_watch::waiting(const runtime::storage_stats& rows,
                                        runtime::steady_time now) {
  if (rows.journal_backlog_bytes == 0) {
    since_.reset();
  } else if (!since_ || rows.group_commits != written_) {
    since_ = now;
  }
  written_ = rows.group_commits;
  return since_ ? now - *since_ : runtime::duration{};
}

}  // namespace millrace::gateway::cli
