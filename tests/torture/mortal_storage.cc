// SPDX-License-Identifier: MIT
#include "torture/mortal_storage.h"

#include <vector>

namespace torture {

using namespace millrace::runtime;

namespace {

error gone() {
  return {errc::unavailable, "storage has stopped"};
}

}  // namespace

mortal_storage::mortal_storage(disk& rows, work_is_done how) : disk_(rows) {
  if (how == work_is_done::on_a_thread) {
    worker_ = std::thread{[this] { work(); }};
  }
}

void mortal_storage::die(unsigned last_commits) {
  const std::lock_guard lock{mutex_};
  for (auto& each : queue_) {
    const auto* one = std::get_if<std::unique_ptr<commit_request>>(&each);
    if (one != nullptr && last_commits > 0) {
      write(**one);
      --last_commits;
    }
  }
  dead_ = true;
}

void mortal_storage::write(const commit_request& one) {
  const auto done = row_ops::for_each(
      one.ops.encoded(),
      [&](std::string_view key, std::string_view value) {
        disk_.rows.insert_or_assign({one.partition, std::string{key}}, std::string{value});
      },
      [&](std::string_view key) {
        disk_.rows.erase({one.partition, std::string{key}});
      });
  MILLRACE_ASSERT(done.has_value());
}

// Requires: the lock.
void mortal_storage::collect(partition_id partition, const row_range& range,
                             std::vector<row>& found) const {
  auto at = disk_.rows.lower_bound({partition, std::max(range.prefix, range.from)});
  for (auto left = range.limit; left > 0 && at != disk_.rows.end(); --left, ++at) {
    const auto& [where, value] = *at;
    const auto& key = where.second;
    if (where.first != partition || !key.starts_with(range.prefix) ||
        (!range.until.empty() && key >= range.until)) {
      return;
    }
    found.push_back({key, value.substr(0, range.value_bytes_max)});
  }
}

void mortal_storage::add(job one) {
  std::unique_lock lock{mutex_};
  if (stopped_) {
    lock.unlock();
    std::visit([](auto& each) { each.release()->done(gone()); }, one);
    return;
  }
  queue_.push_back(std::move(one));
  more_.notify_one();
  while (hurried_ && !queue_.empty()) {
    do_first(lock);
  }
}

void mortal_storage::hurry() {
  {
    const std::lock_guard lock{mutex_};
    hurried_ = true;
  }
  while (do_one()) {
  }
}

void mortal_storage::commit(std::unique_ptr<commit_request> request) {
  add(std::move(request));
}

void mortal_storage::read(std::unique_ptr<read_request> request) {
  add(std::move(request));
}

void mortal_storage::work() {
  std::unique_lock lock{mutex_};
  for (;;) {
    more_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
    if (queue_.empty()) {
      return;
    }
    do_first(lock);
  }
}

bool mortal_storage::do_one() {
  std::unique_lock lock{mutex_};
  if (queue_.empty()) {
    return false;
  }
  do_first(lock);
  return true;
}

void mortal_storage::do_first(std::unique_lock<std::mutex>& lock) {
  auto one = std::move(queue_.front());
  queue_.pop_front();
  const auto dead = dead_;
  if (auto* change = std::get_if<std::unique_ptr<commit_request>>(&one)) {
    if (!dead) {
      write(**change);
    }
    lock.unlock();
    change->release()->done(dead ? result<void>{gone()} : result<void>{});
  } else {
    auto& question = std::get<std::unique_ptr<read_request>>(one);
    std::vector<row> found;
    for (auto range : question->ranges) {
      for (auto* part : {&range.prefix, &range.from, &range.until}) {
        if (part == &range.prefix || !part->empty()) {
          part->insert(0, question->prefix);
        }
      }
      collect(question->partition, range, found);
    }
    lock.unlock();
    question.release()->done(dead ? result<std::vector<row>>{gone()}
                                  : result<std::vector<row>>{std::move(found)});
  }
  lock.lock();
}

result<void> mortal_storage::scan(partition_id partition, std::string_view prefix,
                                  std::string_view from, std::size_t limit,
                                  const std::function<bool(const row&)>& visit) {
  const std::lock_guard lock{mutex_};
  for (auto at = disk_.rows.lower_bound({partition, std::string{from}});
       limit > 0 && at != disk_.rows.end() && at->first.first == partition &&
       at->first.second.starts_with(prefix);
       ++at, --limit) {
    if (!visit({at->first.second, at->second})) {
      break;
    }
  }
  return {};
}

void mortal_storage::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    more_.notify_one();
  }
  if (worker_.joinable()) {
    worker_.join();
  }
  while (do_one()) {
  }
}

}  // namespace torture
