// SPDX-License-Identifier: MIT
#include "http/stream_queue.h"

#include <tuple>
#include <utility>

#include "http/connection.h"

namespace millrace::gateway::http {

namespace {

// What a quiet stream has queued for a moment is not counted.
constexpr std::size_t quick_bytes = 4096;

}  // namespace

stream_queue::stream_queue(std::shared_ptr<io_loop> loop, std::weak_ptr<connection> owner,
                           std::string client)
    : loop_(std::move(loop)), owner_(std::move(owner)), client_(std::move(client)) {}

stream_queue::~stream_queue() {
  if (counted_ > 0) {
    loop_->core->answers.give_back(client_, counted_);
  }
}

// False: the memory for answers has no room for so many.
bool stream_queue::count(std::size_t bytes) {
  auto& answers = loop_->core->answers;
  const auto wanted = bytes > quick_bytes ? bytes : 0;
  // Whoever reads as fast as it is written has one piece at a time, also where others of his do
  // not read and have taken all that is his.
  const auto more = wanted > counted_ ? wanted - counted_ : 0;
  if (more > 0 && !answers.take(client_, counted_, more) &&
      !(wanted <= piece_bytes_max && answers.take_of_all(client_, more))) {
    loop_->core->answers_refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  if (wanted < counted_) {
    answers.give_back(client_, counted_ - wanted);
  }
  counted_ = wanted;
  return true;
}

write_status stream_queue::write(std::string_view piece) {
  std::unique_lock lock{mutex_};
  if (ended_ || closed_) {
    return write_status::closed;
  }
  const auto bound = loop_->core->options.stream_bytes_max;
  if (queued_ + piece.size() > bound || !count(queued_ + piece.size())) {
    lock.unlock();
    end();
    loop_->post([owner = owner_] {
      if (const auto held = owner.lock()) {
        held->cut();
      }
    });
    return write_status::closed;
  }
  pending_ += piece;
  queued_ += piece.size();
  const bool full = queued_ > bound / 2 || (counted_ > 0 && loop_->core->answers.is_short(client_));
  was_full_ = was_full_ || full;
  wake(lock);
  return full ? write_status::full : write_status::ok;
}

void stream_queue::close() {
  std::unique_lock lock{mutex_};
  if (!ended_ && !closed_) {
    closed_ = true;
    wake(lock);
  }
}

void stream_queue::cut() {
  {
    const std::lock_guard lock{mutex_};
    is_cut_ = !closed_;
  }
  close();
}

// One posted wake-up covers all writes until the loop comes round, so a burst of small events
// leaves as one chunk. Always posted, also on the loop's own thread: a writer may hold a lock
// that its callbacks take.
void stream_queue::wake(std::unique_lock<std::mutex>& lock) {
  if (std::exchange(waking_, true)) {
    return;
  }
  lock.unlock();
  loop_->post([owner = owner_] {
    if (const auto held = owner.lock()) {
      held->pump_soon();
    }
  });
}

void stream_queue::on_closed(task callback) {
  {
    const std::lock_guard lock{mutex_};
    if (!ended_) {
      on_closed_ = std::move(callback);
      return;
    }
  }
  loop_->post(std::move(callback));
}

void stream_queue::on_drained(std::function<void()> callback) {
  const std::lock_guard lock{mutex_};
  on_drained_ = std::move(callback);
}

stream_queue::rest stream_queue::take(std::string& into) {
  const std::lock_guard lock{mutex_};
  waking_ = false;
  if (pending_begin_ == 0 && pending_.size() <= piece_bytes_max) {
    std::swap(pending_, into);
  } else {
    into.assign(pending_, pending_begin_, piece_bytes_max);
    pending_begin_ += into.size();
    if (pending_begin_ < pending_.size()) {
      if (pending_begin_ > pending_.size() / 2) {  // else what was taken would stay for ever
        pending_.erase(0, std::exchange(pending_begin_, 0));
      }
      return rest::more;
    }
    std::string{}.swap(pending_);
    pending_begin_ = 0;
  }
  return closed_ && !is_cut_ ? rest::end : closed_ || ended_ ? rest::cut_short : rest::more;
}

void stream_queue::sent(std::size_t bytes) {
  std::function<void()> drained;
  {
    const std::lock_guard lock{mutex_};
    queued_ -= bytes;
    std::ignore = count(queued_);  // which is less
    if (was_full_ && queued_ == 0 && !closed_) {
      was_full_ = false;
      drained = on_drained_;
    }
  }
  if (drained) {
    drained();
  }
}

// What the callbacks captured (often the stream itself) is let go outside the lock.
void stream_queue::end() {
  std::function<void()> drained;
  task gone;
  bool wanted = false;
  {
    const std::lock_guard lock{mutex_};
    if (std::exchange(ended_, true)) {
      return;
    }
    wanted = !closed_ && static_cast<bool>(on_closed_);
    gone = std::move(on_closed_);
    drained = std::move(on_drained_);
    on_drained_ = nullptr;
  }
  if (wanted) {
    loop_->post(std::move(gone));
  }
}

}  // namespace millrace::gateway::http
