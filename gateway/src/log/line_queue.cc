// SPDX-License-Identifier: MIT
#include "log/line_queue.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace millrace::gateway {
namespace {

constexpr std::chrono::seconds end_within{1};

}  // namespace

struct line_queue::shared {
  shared(std::function<void(std::string_view)> writes,
         std::function<std::string(std::size_t)> tells_of)
      : write(std::move(writes)), dropped_line(std::move(tells_of)) {}

  const std::function<void(std::string_view)> write;
  const std::function<std::string(std::size_t)> dropped_line;

  std::mutex mutex;  // for all below
  std::condition_variable changed;
  std::deque<std::string> waiting;
  std::size_t bytes = 0;  // of these and of the one that is being written
  std::size_t dropped = 0;
  bool ends = false;
  bool has_ended = false;

  void run();
  std::string take() {
    auto line = std::move(waiting.front());
    waiting.pop_front();
    return line;
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
    const auto line = lost > 0 ? std::string{} : take();
    lock.unlock();
    write(lost > 0 ? dropped_line(lost) : line);
    lock.lock();
    bytes -= line.size();
  }
  has_ended = true;
  changed.notify_all();
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

void line_queue::add(std::string line) {
  const std::lock_guard lock{shared_->mutex};
  if (shared_->bytes + line.size() > bytes_max) {
    ++shared_->dropped;
    return;
  }
  shared_->bytes += line.size();
  shared_->waiting.push_back(std::move(line));
  if (shared_->waiting.size() == 1) {
    shared_->changed.notify_all();
  }
}

}  // namespace millrace::gateway
