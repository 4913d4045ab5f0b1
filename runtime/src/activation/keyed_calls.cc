// SPDX-License-Identifier: MIT
// Keyed calls: who has asked the same before, and what it was answered (docs/architecture/0058).
//
// A call whose answer may lie in a row has begun its turn when the row is read. So whoever comes
// with its key meanwhile finds it there and waits for it, and nobody else can begin what it may
// turn out to have to do.
#include <capnp/any.h>
#include <xxhash.h>

#include <algorithm>

#include "activation/activation.h"
#include "millrace/runtime/idempotency_key.h"

namespace millrace::runtime::detail {

namespace {

// How long the outcome of a keyed call is remembered.
constexpr duration keyed_ttl = std::chrono::hours{24};

// Of the canonical form: a caller whose parameters have grown since asks the same.
std::uint64_t hash_of_request(const envelope& call) {
  if (!call.content) {
    return XXH3_64bits_withSeed(nullptr, 0, call.method);
  }
  const auto root = call.content.body()->getRoot<capnp::AnyPointer>().asReader();
  const auto canonical = root.getAs<capnp::AnyStruct>().canonicalize();
  const auto bytes = canonical.asBytes();
  return XXH3_64bits_withSeed(bytes.begin(), bytes.size(), call.method);
}

struct answers_envelope final : envelope {
  answers_envelope(envelope* turn_of, result<std::vector<row>> what)
      : envelope(envelope_kind::answers), turn(turn_of), rows(std::move(what)) {}
  answers_envelope(const answers_envelope&) = delete;
  answers_envelope& operator=(const answers_envelope&) = delete;
  ~answers_envelope() override { drop(turn); }
  envelope* turn;  // that waits for it; null: a page
  result<std::vector<row>> rows;
};

struct read_answers final : read_request {
  // Takes over a reference of the turn.
  read_answers(activation& one, envelope* turn_of, partition_id where, row_range what)
      : owner(one), turn(turn_of), wanted(std::move(what)) {
    owner.keep();
    partition = where;
    ranges = {&wanted, 1};
  }
  read_answers(const read_answers&) = delete;
  read_answers& operator=(const read_answers&) = delete;
  ~read_answers() override {
    drop(turn);
    owner.release();
  }
  void done(result<std::vector<row>> rows) override {
    owner.post_or_drop(new answers_envelope{std::exchange(turn, nullptr), std::move(rows)});
    delete this;
  }
  activation& owner;
  envelope* turn;
  const row_range wanted;
};

void wait_for_same_key(envelope& turn, envelope* one) {
  one->extra().same_key = std::exchange(turn.extra().same_key, one);
}

// The oldest first. Gives their references to the caller.
std::vector<envelope*> take_same_key(envelope& turn) {
  std::vector<envelope*> all;
  while (auto* one = turn.take_same_key()) {
    all.push_back(one);
  }
  std::reverse(all.begin(), all.end());
  return all;
}

}  // namespace

// Whether it has been answered, or waits for another one.
bool activation::answered_by_key(envelope* one) {
  if (!is_durable()) {
    answer(one, error{errc::failed_precondition,
                      "actors of type " + std::string{interface().type} +
                          " remember no idempotency keys: they have no durable state"});
    return true;
  }
  one->extra().number = hash_of_request(*one);
  for (auto* turn : turns_.running()) {
    if (turn->kind == envelope_kind::call && turn->method == one->method &&
        turn->text() == one->text()) {
      if (looks_up(*turn) || turn->number() == one->number()) {
        wait_for_same_key(*turn, one);
      } else {
        refuse_other_request(one);
      }
      return true;
    }
  }
  if (const auto* stored = state_.find_answer(one->method, one->text(), home_.time().wall())) {
    answer_as_stored(one, *stored);
    return true;
  }
  return false;
}

void activation::refuse_other_request(envelope* one) {
  answer(one, other_request(one->text()));
}

void activation::answer_as_stored(envelope* one, const stored_answer& stored) {
  if (stored.request_hash != one->number()) {
    refuse_other_request(one);
  } else if (stored.unknown) {
    answer(one, error{errc::outcome_unknown, stored.results});
  } else {
    answer(one, any_message::from_flat(stored.results));
  }
}

void activation::look_up(envelope& turn) {
  detail::keep(turn);
  home_.rows().read(std::make_unique<read_answers>(*this, &turn, partition_,
                                                   state_.answer_row(turn.method, turn.text())));
  if (turn.admission != method_admission::reentrant) {
    need_alarm(time_after(turn.begun, home_.options().stuck_after));
  }
}

void activation::looked_up(envelope& turn, const result<std::vector<row>>& rows) {
  const auto stored = rows ? state_.read_answer(*rows, home_.time().wall())
                           : result<std::optional<stored_answer>>{rows.error()};
  const auto same = take_same_key(turn);
  const auto is_new = stored && !*stored;
  if (is_new && !turn.abandoned.load(std::memory_order_relaxed) && turn.deadline > now_) {
    for (auto* one : same) {
      if (one->number() == turn.number()) {
        wait_for_same_key(turn, one);
      } else {
        refuse_other_request(one);
      }
    }
    run_begun(turn);
    return;
  }
  leave_turns(turn);
  last_used_.store(now_, std::memory_order_relaxed);
  if (is_new) {
    begin_in_place_of(turn, same);
    return;
  }
  const auto tell = [&](envelope* one) {
    if (stored) {
      answer_as_stored(one, **stored);
    } else {
      answer(one, stored.error());
    }
  };
  tell(&turn);
  std::for_each(same.begin(), same.end(), tell);
}

// Nobody has used the key, and who was to use it has given up. So the first of those that have
// waited for it takes its place, and the others wait for that one.
void activation::begin_in_place_of(envelope& turn, const std::vector<envelope*>& same) {
  const auto runs = take_up(&turn);
  MILLRACE_ASSERT(!runs);
  for (auto* one : same) {
    if (phase_ == phase::active) {
      begin(one);
    } else {
      turns_.wait(one);  // the one before has ended the activation
    }
  }
}

// The activation ends: they have done nothing, and begin again on the next one, before those that
// came later.
void activation::give_up_lookups() {
  envelope_list first;
  const auto running = turns_.running();
  for (auto* turn : running) {
    if (!looks_up(*turn)) {
      continue;
    }
    turns_.end(*turn);
    first.push(turn);
    for (auto* same : take_same_key(*turn)) {
      first.push(same);
    }
  }
  turns_.wait_first(std::move(first));
}

void activation::finish_keyed(envelope& turn, const result<any_message>& outcome) {
  const auto now = home_.time().wall();
  stored_answer what{turn.number(), now + keyed_ttl, {}, !outcome};
  what.results = outcome ? outcome->flat()
                         : "the call of " + actor_name() + " with the key '" + turn.text() +
                               "' has changed state and failed; look before you use a new key: " +
                               outcome.error().text();
  state_.remember_answer(turn.method, turn.text(), std::move(what), gate_.next_commit());
  tend_answers(now);
}

// --- pages of rows -------------------------------------------------------------------------------

void activation::tend_answers(wall_time now) {
  const auto due = state_.answer_page_due();
  const auto reads = phase_ == phase::loading || (phase_ == phase::active && !releasing_);
  if (due == wall_time::max() || !reads) {
    return;
  }
  if (due <= now) {
    home_.rows().read(
        std::make_unique<read_answers>(*this, nullptr, partition_, state_.begin_answer_page()));
  } else {
    need_alarm(time_after(now_, due - now));
  }
}

void activation::answers_read(envelope* one) {
  auto& read = static_cast<answers_envelope&>(*one);
  if (read.turn != nullptr) {
    if (turns_.runs(read.turn)) {
      looked_up(*read.turn, read.rows);
    }
  } else if (phase_ != phase::failing && phase_ != phase::gone) {
    const auto now = home_.time().wall();
    const auto is_loading = phase_ == phase::loading;
    if (lost_) {
      read.rows = lost_partition(partition_);
    }
    if (auto taken = state_.take_answer_page(read.rows, now, gate_.next_commit()); !taken) {
      crash(taken.error());
    } else if (is_loading && state_.is_loaded()) {
      begin_activating();
    } else {
      tend_answers(now);
    }
  }
  drop(one);
}

}  // namespace millrace::runtime::detail
