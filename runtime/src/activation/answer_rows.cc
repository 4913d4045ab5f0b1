// SPDX-License-Identifier: MIT
// Durable state: the rows of answers to keyed calls, see keyed_answers.h.
#include <algorithm>
#include <utility>

#include "activation/durable_state.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

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
  const auto& value = rows.front().value;
  const auto head = read_answer_head(value);
  if (!head) {
    return error{errc::storage_failed, "the stored answer of a keyed call of " +
                                           std::string{type_} + "/" + key_ + " cannot be read"};
  }
  if (head->expires <= now) {
    return std::optional<stored_answer>{};
  }
  stored_answer what{head->request_hash, head->expires, value.substr(answer_head::bytes)};
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
  std::string value;
  value.reserve(answer_head::bytes + what.results.size() + word_bytes);
  append_answer_head(value, {version_ + 1, what.request_hash, what.expires});
  if (what.unknown) {
    what.results.resize(std::min(what.results.size(), failure_bytes_max));
    append_unknown(value, what.results);
  } else {
    value += what.results;
  }
  const auto rest = key_of(method, key);
  more().pending.put(actor_row(hash_, row_table::keyed, rest), value);
  answers().remember(rest, std::move(what), commit);
  dirty_ = true;
}

// To programs that do not know it, the answer of a key that there is not, which has expired.
void durable_state::put_answer_mark(row_ops& ops) {
  std::string value;
  append_answer_head(value, {.version = version_ + 1});
  value += answers_->take_mark();
  ops.put(actor_row(hash_, row_table::keyed, keyed_answers::mark_key), value);
}

row_range durable_state::begin_answer_page() {
  return answers_->begin_page(actor_row(hash_, row_table::keyed));
}

result<void> durable_state::take_answer_page(const result<std::vector<row>>& rows, wall_time now,
                                             std::uint64_t commit) {
  if (!rows) {
    answers_->page_failed(now);
    return is_loaded() ? result<void>{} : result<void>{rows.error()};
  }
  auto taken = take_findings(answers_->take_page(*rows, now, commit));
  untidy_ = untidy_ || may_vanish();
  return taken;
}

result<void> durable_state::load_answers(const std::vector<row>& rows, wall_time now) {
  return rows.empty() ? result<void>{} : take_findings(answers().take_first(rows, now));
}

result<void> durable_state::take_findings(const keyed_answers::findings& found) {
  if (found.damaged) {
    return error{errc::storage_failed, "a stored answer of " + std::string{type_} + "/" + key_ +
                                           " cannot be read; `millrace check` says what else, "
                                           "`millrace restore` puts back a backup"};
  }
  version_ = std::max(version_, found.version);
  for (const auto& each : found.expired) {
    erase(row_table::keyed, each);
  }
  untidy_ = untidy_ || !found.expired.empty();
  return {};
}

}  // namespace millrace::runtime::detail
