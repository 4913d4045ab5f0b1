// SPDX-License-Identifier: MIT
// Durable state: the rows of answers to keyed calls, see keyed_answers.h.
#include <algorithm>
#include <utility>

#include "activation/durable_state.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);

// Of the text that a call which failed leaves.
constexpr std::size_t failure_bytes_max = 4096;

// What follows `row_table::keyed` in the key of its row.
std::string key_of(std::uint16_t method, std::string_view key) {
  std::string rest;
  rest.reserve(sizeof(method) + key.size());
  rest.resize(sizeof(method));
  store_big(rest.data(), method);
  rest += key;
  return rest;
}

// Words are whole; one byte over tells that these are none.
void append_unknown(std::string& out, std::string_view text) {
  out += text;
  out.append((word_bytes + 1 - text.size() % word_bytes) % word_bytes, '\0');
}

void append_head(std::string& out, std::uint64_t request_hash, wall_time expires) {
  append_little(out, request_hash);
  append_little(out, static_cast<std::uint64_t>(expires.time_since_epoch().count()));
}

}  // namespace

keyed_answers& durable_state::answers() {
  if (!answers_) {
    answers_ = std::make_unique<keyed_answers>();
  }
  return *answers_;
}

const stored_answer* durable_state::find_answer(std::uint16_t method, std::string_view key,
                                                wall_time now) const {
  return answers_ ? answers_->find(key_of(method, key), now) : nullptr;
}

bool durable_state::may_have_answer_row(std::uint16_t method, std::string_view key) const {
  return answers_ && answers_->may_have_row(key_of(method, key));
}

row_range durable_state::answer_row(std::uint16_t method, std::string_view key) const {
  return row_range::one(actor_row(hash_, row_table::keyed, key_of(method, key)));
}

result<std::optional<stored_answer>> durable_state::read_answer(const std::vector<row>& rows,
                                                                wall_time now) const {
  if (rows.empty()) {
    return std::optional<stored_answer>{};
  }
  value_reader from{rows.front().value};
  static_cast<void>(from.u64());  // its version
  stored_answer what;
  what.request_hash = from.u64();
  what.expires = wall_time{duration{from.i64()}};
  what.results = from.rest();
  if (!from.ok()) {
    return error{errc::storage_failed, "the stored answer of a keyed call of " +
                                           std::string{type_} + "/" + key_ + " cannot be read"};
  }
  if (what.expires <= now) {
    return std::optional<stored_answer>{};
  }
  what.unknown = what.results.size() % word_bytes != 0;  // see append_unknown
  if (what.unknown) {
    what.results.resize(what.results.find_last_not_of('\0') + 1);
  }
  return std::optional{std::move(what)};
}

// Not with `put`: an activation need not read them all, so their versions have to be told by
// another row as well.
void durable_state::remember_answer(std::uint16_t method, std::string_view key, stored_answer what,
                                    std::uint64_t commit) {
  auto value = value_start(2 * sizeof(std::uint64_t) + what.results.size());
  append_head(value, what.request_hash, what.expires);
  if (what.unknown) {
    what.results.resize(std::min(what.results.size(), failure_bytes_max));
    append_unknown(value, what.results);
  } else {
    value += what.results;
  }
  const auto rest = key_of(method, key);
  more().pending.put(actor_row(hash_, row_table::keyed, rest), value);
  answers().remember(rest, std::move(what), commit);
  put_answer_mark();
  dirty_ = true;
}

// To programs that do not know it, the answer of a key that there is not, which has expired.
void durable_state::put_answer_mark() {
  if (!answers().mark_due()) {
    return;
  }
  const auto next = answers_->take_mark();
  auto value = value_start(2 * sizeof(std::uint64_t) + next.size());
  append_head(value, 0, {});
  value += next;
  more().pending.put(actor_row(hash_, row_table::keyed, keyed_answers::mark_key), value);
  leftover_ = true;
}

row_range durable_state::begin_answer_page() {
  return answers_->begin_page(actor_row(hash_, row_table::keyed));
}

result<void> durable_state::take_answer_page(const result<std::vector<row>>& rows, wall_time now) {
  if (!rows) {
    answers_->page_failed(now);
    return is_loaded() ? result<void>{} : result<void>{rows.error()};
  }
  const auto was_loaded = is_loaded();
  auto found = answers_->take_page(*rows, now);
  found.damaged = found.damaged && !was_loaded;
  auto taken = take_found(found);
  if (taken) {
    put_answer_mark();
  }
  return taken;
}

result<void> durable_state::load_answers(const std::vector<row>& rows, wall_time now) {
  if (rows.empty()) {
    return {};
  }
  auto found = answers().take_first(rows, now);
  found.damaged = found.damaged && !answers_->marked();
  return take_found(found);
}

result<void> durable_state::take_found(const keyed_answers::findings& what) {
  if (what.damaged) {
    return error{errc::storage_failed, "a stored answer of " + std::string{type_} + "/" + key_ +
                                           " cannot be read; `millrace check` says what else, "
                                           "`millrace restore` puts back a backup"};
  }
  version_ = std::max(version_, what.version);
  for (const auto& each : what.expired) {
    erase(row_table::keyed, each);
  }
  untidy_ = untidy_ || !what.expired.empty();
  return {};
}

}  // namespace millrace::runtime::detail
