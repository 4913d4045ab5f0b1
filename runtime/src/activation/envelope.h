// SPDX-License-Identifier: MIT
// Envelopes: what lies in mailboxes.
//
// One object is a call on its way there, the turn that serves it, and the answer on its way back,
// so a call costs one allocation beside its messages. Whoever holds an envelope decides by its kind
// which fields mean something.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "activation/call_span.h"
#include "millrace/runtime/actor.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/storage.h"
#include "rare.h"
#include "routing/call_id.h"

namespace millrace::runtime::detail {

class activation;

enum class envelope_kind : std::uint8_t {
  call,        ///< Wants an answer.
  one_way,     ///< Wants none.
  timer,       ///< `text` names the timer.
  reminder,    ///< `text` names the reminder.
  activate,    ///< Runs `on_activate`.
  deactivate,  ///< Runs `on_deactivate`.
  answer,      ///< A call on its way back.
  wait,        ///< A coroutine that waits for the signal `text`; never travels.
  loaded,      ///< The rows have been read.
  answers,     ///< Rows of answers to keyed calls have been read.
  committed,   ///< A commit has ended.
  cancel,      ///< The caller of the call `parent` no longer waits for it.
  probe,       ///< Follows a chain of waits within the silo, see deadlock.cc.
  far_probe,   ///< The same over silos, see wait_probe.h.
  deadlock,    ///< The call `parent` waits, through others, for itself; `text` says how.
  alarm,       ///< The activation's alarm went off.
  wake,        ///< Loads an activation that has sends or reminders to see to.
  release,     ///< An external party asks the activation to end.
  lost,        ///< The silo no longer holds its partition.
  evict,       ///< The memory budget asks it to end if it is still idle.
  retry_dead,  ///< An operator wants the dead letter `number` to be sent again.
  drop_dead,   ///< An operator wants the dead letter `number` to be forgotten.
  offload,     ///< Work for another thread, on its way out.
  forget,      ///< A sender will never repeat its send `send->number`.
  span,        ///< Of what an actor has done, on its way out; see call_span.h.
};

/// Where answers go when the caller is not an activation.
class answer_sink {
public:
  answer_sink() = default;
  answer_sink(const answer_sink&) = delete;
  answer_sink& operator=(const answer_sink&) = delete;
  virtual ~answer_sink() = default;
  /// Called once, on whatever thread has the answer; must not block.
  virtual void answered(result<any_message> answer) noexcept = 0;
};

/// What makes a call a delivery from an outbox.
struct send_mark {
  actor_hash sender;
  std::uint64_t number;
  partition_id partition{};  ///< The sender's.
  std::uint64_t epoch = 0;   ///< In which that was led when it left; 0: by nobody else ever.
  bool again = false;        ///< An earlier activation of its sender may have sent it, too.
  bool settled = false;      ///< On its way back: the receiver remembers that it failed.
};

/// A place in the list of a caller's open calls and waits.
struct open_link {
  open_link* open_previous = nullptr;
  open_link* open_next = nullptr;
};

struct envelope;

/// What only some messages have.
struct envelope_extra {
  std::string text;
  /// A request's hash; the number of a timer, of a reminder's setting or of a dead letter.
  std::uint64_t number = 0;
  wall_time fired_at{};          ///< When a reminder was found to be due.
  envelope* same_key = nullptr;  ///< Keyed calls that wait for this one's outcome.
  /// Of a call that has begun and may have to begin elsewhere: its parameters, flat.
  std::optional<std::string> begun_with;
  call_id routed;                   ///< If it has left for another silo, or has come from one.
  std::uint64_t wait_number = 0;    ///< By which wait probes know it; 0: none has met it.
  std::unique_ptr<call_span> span;  ///< Of a sampled trace, while it is served.

  // Of calls between silos each has one, which dies on another thread.
  static void* operator new(std::size_t size);
  static void operator delete(void* block) noexcept;
};

struct envelope : turn_root, open_link {
  explicit envelope(envelope_kind kind_of) noexcept : kind(kind_of) {}
  envelope(const envelope&) = delete;
  envelope& operator=(const envelope&) = delete;
  virtual ~envelope();

  /// Plain ones come from a pool of blocks that threads hand each other.
  static void* operator new(std::size_t size);
  static void operator delete(void* block, std::size_t size) noexcept;

  // The fields that every message needs come first: 256 bytes, four lines of the cache.
  envelope* next = nullptr;  ///< In whatever one list it now lies.
  std::atomic<std::uint32_t> references{1};
  envelope_kind kind;
  bool is_wait = false;  ///< It never travels: `text` is a signal that its caller waits for.
  method_admission admission = method_admission::exclusive;  ///< While it is a turn.
  bool counted = false;                  ///< It took a place in a bounded mailbox.
  bool warned_stuck = false;             ///< While it is a turn.
  bool may_return = false;               ///< Its chain may come back to the caller's actor.
  bool changed_state = false;            ///< While it is a turn: before it suspended last.
  bool acted = false;                    ///< On others, or elsewhere before, as far as is known.
  bool left = false;                     ///< While its caller waits: it may have begun.
  std::uint16_t reentry_scopes = 0;      ///< While it is a turn: of `allow_reentry`, alive.
  std::atomic<std::uint16_t> worker{0};  ///< Which activation of a stateless actor has it.
  std::uint16_t method = 0;
  std::atomic<bool> abandoned{false};  ///< The caller no longer waits: do not begin it.

  const interface_info* interface = nullptr;
  std::string key;      ///< Of the target.
  any_message content;  ///< Parameters; then the answer.
  steady_time deadline = steady_time::max();
  steady_time made{};  ///< When its caller made it; the epoch: it is not measured.

  // The way back. `caller` is counted; `where` belongs to the caller's turns.
  activation* caller = nullptr;
  std::unique_ptr<answer_sink> sink;
  waiter* where = nullptr;

  envelope* parent = nullptr;  ///< The call in whose turn this was made; counted.
  std::shared_ptr<const request_context> context;  ///< Null: empty.
  rare<error> failure;
  rare<send_mark> send;  ///< Set for deliveries.

  // The turn.
  /// Set from arrival in the target until the answer leaves. Others only compare it.
  std::atomic<activation*> serving{nullptr};
  std::optional<pending_method> running;
  steady_time begun{};
  // The output gate: leaves when this commit of the activation is durable. Of a turn that has
  // changed state and suspended: the commit with its first change.
  std::uint64_t after_commit = 0;

  /// A name; or the idempotency key.
  [[nodiscard]] const std::string& text() const noexcept {
    static const std::string none;
    return extra_ ? extra_->text : none;
  }
  void set_text(std::string text) {
    if (!text.empty()) {
      extra().text = std::move(text);
    }
  }
  [[nodiscard]] std::uint64_t number() const noexcept { return extra_ ? extra_->number : 0; }
  [[nodiscard]] wall_time fired_at() const noexcept {
    return extra_ ? extra_->fired_at : wall_time{};
  }
  [[nodiscard]] const std::string* begun_with() const noexcept {
    return extra_ && extra_->begun_with ? &*extra_->begun_with : nullptr;
  }
  [[nodiscard]] call_id routed() const noexcept { return extra_ ? extra_->routed : call_id{}; }
  [[nodiscard]] bool has_span() const noexcept { return extra_ && extra_->span; }
  [[nodiscard]] bool has_same_key() const noexcept { return extra_ && extra_->same_key != nullptr; }
  /// One of the keyed calls that wait for this one's outcome, if there is one.
  [[nodiscard]] envelope* take_same_key() noexcept {
    if (!has_same_key()) {
      return nullptr;
    }
    auto* same = std::exchange(extra_->same_key, nullptr);
    extra_->same_key = same->extra_ ? std::exchange(same->extra_->same_key, nullptr) : nullptr;
    return same;
  }
  [[nodiscard]] envelope_extra& extra() { return extra_.make(); }

private:
  rare<envelope_extra> extra_;
};

static_assert(sizeof(envelope) == 256);

/// A call that is to have its effect once for its key.
[[nodiscard]] inline bool is_keyed(const envelope& one) noexcept {
  return one.kind == envelope_kind::call && !one.send && !one.text().empty();
}

/// Whether a turn has not begun what it is to do: it waits for the row that may have its answer.
[[nodiscard]] inline bool looks_up(const envelope& turn) noexcept {
  return !turn.running;
}

/// What it holds in a mailbox, about.
[[nodiscard]] inline std::int64_t bytes_of(const envelope& one) {
  auto* body = one.content.body();
  const auto words = body != nullptr ? body->sizeInWords() : 0;
  return static_cast<std::int64_t>(sizeof(envelope) + words * sizeof(capnp::word));
}

inline void keep(envelope& one) noexcept {
  one.references.fetch_add(1, std::memory_order_relaxed);
}
inline void drop(envelope* one) noexcept {
  if (one != nullptr && one->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete one;
  }
}

/// A first-in-first-out list of envelopes through `next`; owns one reference of each.
class envelope_list {
public:
  envelope_list() = default;
  envelope_list(const envelope_list&) = delete;
  envelope_list& operator=(const envelope_list&) = delete;
  envelope_list(envelope_list&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), last_(std::exchange(other.last_, nullptr)) {}
  envelope_list& operator=(envelope_list&& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    return *this;
  }
  ~envelope_list() {
    while (auto* one = pop()) {
      drop(one);
    }
  }

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] envelope* front() const noexcept { return first_; }

  void push(envelope* one) noexcept {
    one->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = one;
    last_ = one;
  }
  [[nodiscard]] envelope* pop() noexcept {
    auto* one = first_;
    if (one != nullptr) {
      first_ = one->next;
      if (first_ == nullptr) {
        last_ = nullptr;
      }
      one->next = nullptr;
    }
    return one;
  }
  void append(envelope_list&& other) noexcept {
    while (auto* one = other.pop()) {
      push(one);
    }
  }

private:
  envelope* first_ = nullptr;
  envelope* last_ = nullptr;
};

}  // namespace millrace::runtime::detail
