// SPDX-License-Identifier: MIT
#include "access/audit_trail.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "access/principal.h"
#include "http/address_group.h"
#include "millrace/audit.capnp.actor.h"

namespace millrace::gateway {

using runtime::result;
using schemas::audit_interface;

namespace {

constexpr std::size_t append_max = 500;  // as the actor has it
constexpr std::size_t clients_share = 4;
constexpr std::chrono::minutes counted_for{1};
constexpr std::chrono::milliseconds collect_for{500};
constexpr std::chrono::milliseconds again_after{1'000};
constexpr std::chrono::seconds answer_within{10};
constexpr std::chrono::seconds end_within{1};

struct entry {
  std::int64_t at = 0;
  std::string who;
  std::string address;
  std::string method;
  std::string target;
  int status = 0;
  std::string made;
  std::string operation;
};

// What the same client does, or is refused, over and over for a minute.
struct repeated {
  runtime::steady_time ends_at;
  std::size_t stored = 0;  // entries of their own
  std::size_t count = 0;   // besides these
  entry last = {};
};
using repeats = std::map<std::string, repeated>;

std::string text(std::string_view from) {
  return std::string{from};
}

// Not what has no answer (499): it may have had an effect.
bool is_refused(int status) {
  return status >= 400 && status < http::client_left;
}

std::string client_of(const entry& from) {
  return from.who.empty() ? "address " + http::address_group(from.address) : "token " + from.who;
}

bool is_plain(char each) {
  return each > ' ' && each < 0x7f && each != '%' && each != '"' && each != '\\' && each != '?' &&
         each != '#';
}

}  // namespace

struct audit_trail::shared {
  std::mutex mutex;  // for all below
  std::condition_variable changed;
  const runtime::system_clock clock{};  // of this machine, whatever the silo's says
  runtime::steady_time ends_at = runtime::steady_time::max();
  std::deque<entry> waiting;                 // the oldest first
  std::map<std::string, std::size_t> waits;  // of each client
  repeats refused;                           // by client
  repeats done;                              // by client and operation
  std::size_t left_out = 0;
  std::optional<result<void>> answer;
  bool is_failing = false;

  [[nodiscard]] bool ends() const { return ends_at != runtime::steady_time::max(); }
  void add(entry made);
  void forget_first(std::size_t count);
  // Whether it is counted with what its client did, or was refused, before.
  bool count_repeated(entry& made);
  void end_repeated(repeats& these, runtime::steady_time now, const char* what);
  // False: its time was over first.
  bool wait_for_answer(std::unique_lock<std::mutex>& lock);
  // Counts what was stored; the line to tell if that has begun or ceased to fail.
  std::string take_answer(std::size_t count, std::int64_t now);
};

void audit_trail::shared::add(entry made) {
  const auto own = waits.find(client_of(made));
  const auto has_too_many = own != waits.end() && own->second >= entries_max / clients_share;
  if (waiting.size() >= entries_max || has_too_many) {
    ++left_out;
  } else {
    ++waits[client_of(made)];
    waiting.push_back(std::move(made));
  }
}

void audit_trail::shared::forget_first(std::size_t count) {
  for (; count > 0; --count) {
    if (const auto own = waits.find(client_of(waiting.front())); --own->second == 0) {
      waits.erase(own);
    }
    waiting.pop_front();
  }
}

bool audit_trail::shared::count_repeated(entry& made) {
  const auto now = clock.steady();
  const auto was_refused = is_refused(made.status);
  auto& among = was_refused ? refused : done;
  auto key = client_of(made);
  if (!was_refused) {
    // There are only so many tokens and operations; what is signed comes from anywhere.
    key = (made.who.empty() ? "strangers" : made.who) + " " + made.operation;
  } else if (refused.size() >= refused_max && !refused.contains(key)) {
    key.clear();
  }
  auto& found = among.try_emplace(key, repeated{now + counted_for}).first->second;
  if (found.stored < (was_refused ? 1 : same_max)) {
    ++found.stored;
    return false;
  }
  ++found.count;
  found.last = std::move(made);
  return true;
}

void audit_trail::shared::end_repeated(repeats& these, runtime::steady_time now, const char* what) {
  for (auto at = these.begin(); at != these.end();) {
    auto& [ends, stored, count, last] = at->second;
    if (ends > now) {
      ++at;
      continue;
    }
    if (count > 1) {
      last.target += " (the last of " + std::to_string(count) + what + " in a minute)";
    }
    if (count > 0) {
      add(std::move(last));
    }
    at = these.erase(at);
  }
}

bool audit_trail::shared::wait_for_answer(std::unique_lock<std::mutex>& lock) {
  while (!answer) {
    if (!ends()) {
      changed.wait(lock);
    } else if (const auto left = ends_at - clock.steady(); left > runtime::duration{}) {
      changed.wait_for(lock, left);
    } else {
      return false;
    }
  }
  return true;
}

std::string audit_trail::shared::take_answer(std::size_t count, std::int64_t now) {
  const auto stored = *std::exchange(answer, std::nullopt);
  if (!stored) {
    return std::exchange(is_failing, true)
               ? ""
               : "entries of the audit wait to be stored; the log has them why=" +
                     stored.error().to_string();
  }
  forget_first(count);
  if (left_out > 0) {
    entry note;
    note.at = now;
    note.target =
        std::to_string(std::exchange(left_out, 0)) + " entries are in the log of this server only";
    add(std::move(note));
  }
  return std::exchange(is_failing, false) ? "entries of the audit can be stored again" : "";
}

audit_trail::audit_trail(runtime::silo& here, std::function<void(const std::string&)> warn)
    : here_(here),
      warn_(std::move(warn)),
      shared_(std::make_shared<shared>()),
      thread_([this] { run(); }) {}

audit_trail::~audit_trail() {
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->ends_at = shared_->clock.steady() + end_within;
    shared_->changed.notify_all();
  }
  thread_.join();
}

std::string audit_target(const http::access_entry& what) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string made;
  const auto query = std::min(what.target.find('?'), what.target.size());
  for (const char each : what.path.empty() ? what.target.substr(0, query) : what.path) {
    if (is_plain(each)) {
      made += each;
    } else {
      const auto byte = static_cast<unsigned char>(each);
      made.append({'%', digits[byte >> 4U], digits[byte & 0xfU]});
    }
  }
  made += what.target.substr(query);
  if (made.size() > audit_target_max) {
    made.resize(audit_target_max);
  }
  return made;
}

void audit_trail::add(const http::access_entry& what, std::string_view operation) {
  entry made{.at = here_.time().wall().time_since_epoch().count(),
             .who = what.by != nullptr ? what.by->name : std::string{},
             .address = text(what.from),
             .method = text(what.method),
             .target = audit_target(what),
             .status = what.status,
             .made = text(what.location),
             .operation = text(operation)};
  const std::lock_guard lock{shared_->mutex};
  if (shared_->count_repeated(made)) {
    return;
  }
  shared_->add(std::move(made));
  if (shared_->waiting.size() == 1 || shared_->waiting.size() == append_max) {
    shared_->changed.notify_all();
  }
}

namespace {

audit_interface::append_params params_of(const std::deque<entry>& waiting, std::size_t count,
                                         const std::string& server) {
  audit_interface::append_params params;
  auto list = params.build().initEntries(static_cast<unsigned>(count));
  for (unsigned at = 0; at < count; ++at) {
    const auto& from = waiting[at];
    auto to = list[at];
    to.setAt(from.at);
    to.setWho(from.who.c_str());
    to.setAddress(from.address.c_str());
    to.setMethod(from.method.c_str());
    to.setTarget(from.target.c_str());
    to.setStatus(static_cast<std::uint16_t>(from.status));
    to.setMade(from.made.c_str());
    to.setServer(server.c_str());
    to.setOperation(from.operation.c_str());
  }
  return params;
}

}  // namespace

// Entries stay in the queue until they are stored; nobody else takes them out.
void audit_trail::run() {
  auto& own = *shared_;
  std::unique_lock lock{own.mutex};
  for (;;) {
    const auto ends = [&own] { return own.ends(); };
    const auto has_work = [&] { return ends() || !own.waiting.empty(); };
    const auto is_due = [&] {
      return ends() || (!own.is_failing && own.waiting.size() >= append_max);
    };
    if (own.refused.empty() && own.done.empty()) {
      own.changed.wait(lock, has_work);
    } else {
      own.changed.wait_for(lock, counted_for, has_work);
    }
    own.changed.wait_for(lock, own.is_failing ? again_after : collect_for, is_due);
    const auto now = ends() ? runtime::steady_time::max() : own.clock.steady();
    own.end_repeated(own.refused, now, " that were refused");
    own.end_repeated(own.done, now, "");
    const auto count = std::min(own.waiting.size(), append_max);
    if (count == 0 && ends()) {
      return;
    }
    if (count == 0) {
      continue;
    }
    auto params = params_of(own.waiting, count, here_.name());
    lock.unlock();
    here_.call_then<void>(
        runtime::ref<schemas::Audit>(audit_key).append(std::move(params)).timeout(answer_within),
        [to = shared_](result<void> answer) {
          const std::lock_guard held{to->mutex};
          to->answer.emplace(std::move(answer));
          to->changed.notify_all();
        });
    lock.lock();
    if (!own.wait_for_answer(lock)) {
      return;
    }
    const auto line = own.take_answer(count, here_.time().wall().time_since_epoch().count());
    if (!line.empty()) {
      lock.unlock();
      warn_(line);
      lock.lock();
    }
    if (own.is_failing && own.ends()) {
      return;
    }
  }
}

}  // namespace millrace::gateway
