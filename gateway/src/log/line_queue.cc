// SPDX-License-Identifier: MIT
#include "log/line_queue.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace millrace::gateway {
namespace {

constexpr std::chrono::seconds end_within{1};
constexpr int look_ms = 1;  // between two looks at whether all is written

}  // namespace

struct line_queue::shared {
  shared(std::function<void(std::string_view)> writes,
         std::function<std::string(std::size_t)> tells_of)
      : write(std::move(writes)), dropped_line(std::move(tells_of)) {}

  const std::function<void(std::string_view)> write;
  const std::function<std::string(std::size_t)> dropped_line;

  std::mutex mutex;  // for all below
  std::condition_variable changed;
  struct line {
    std::string text;
    line_kind kind;
  };
  std::deque<line> waiting;
  std::size_t bytes = 0;                 // of these and of the one that is being written
  std::size_t ordinary_bytes = 0;        // of them those that are of that kind
  std::atomic<std::uint64_t> added = 0;  // these two are read without it as well
  std::atomic<std::uint64_t> written = 0;
  std::size_t dropped = 0;
  bool ends = false;
  bool has_ended = false;

  void run();
  line take() {
    auto taken = std::move(waiting.front());
    waiting.pop_front();
    return taken;
  }
};

void line_queue::shared::run() {
  ::pthread_setname_np(::pthread_self(), "log");
  std::unique_lock lock{mutex};
  for (;;) {
    changed.wait(lock, [this] { return ends || !waiting.empty() || dropped > 0; });
    if (waiting.empty() && dropped == 0) {
      break;
    }
    const auto lost = waiting.empty() ? std::exchange(dropped, 0) : 0;
    const auto next = lost > 0 ? line{} : take();
    lock.unlock();
    write(lost > 0 ? dropped_line(lost) : next.text);
    lock.lock();
    bytes -= next.text.size();
    ordinary_bytes -= next.kind == line_kind::ordinary ? next.text.size() : 0;
    written += lost > 0 ? 0 : 1;
    changed.notify_all();
  }
  has_ended = true;
  changed.notify_all();
}

void write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      pollfd room{file, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      return;  // there is nobody to tell
    }
  }
}

line_queue::line_queue(std::function<void(std::string_view)> write,
                       std::function<std::string(std::size_t)> dropped)
    : shared_(std::make_shared<shared>(std::move(write), std::move(dropped))),
      thread_([own = shared_] { own->run(); }) {}

line_queue::~line_queue() {
  {
    std::unique_lock lock{shared_->mutex};
    shared_->ends = true;
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, end_within, [this] { return shared_->has_ended; });
    if (!shared_->has_ended) {
      thread_.detach();  // nobody reads, and this must not keep the process
      return;
    }
  }
  thread_.join();
}

void line_queue::add(std::string line, line_kind kind) {
  const auto is_ordinary = kind == line_kind::ordinary;
  const std::lock_guard lock{shared_->mutex};
  if (shared_->bytes + line.size() > bytes_max ||
      (is_ordinary && shared_->ordinary_bytes + line.size() > ordinary_bytes_max)) {
    ++shared_->dropped;
    return;
  }
  shared_->bytes += line.size();
  shared_->ordinary_bytes += is_ordinary ? line.size() : 0;
  ++shared_->added;
  shared_->waiting.push_back({std::move(line), kind});
  if (shared_->waiting.size() == 1) {
    shared_->changed.notify_all();
  }
}

void line_queue::flush(std::chrono::milliseconds limit) {
  std::unique_lock lock{shared_->mutex};
  const auto until = shared_->added.load();
  shared_->changed.wait_for(lock, limit, [this, until] { return shared_->written >= until; });
}

// The thread that writes goes on meanwhile, unless it is the one that was stopped, or waits for it.
void line_queue::flush_at_once(std::chrono::milliseconds limit) noexcept {
  const auto until = shared_->added.load();
  for (auto left = limit.count(); left > 0 && shared_->written < until; left -= look_ms) {
    ::poll(nullptr, 0, look_ms);
  }
}

}  // namespace millrace::gateway
