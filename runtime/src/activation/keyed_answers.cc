// SPDX-License-Identifier: MIT
#include "activation/keyed_answers.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "activation/record_words.h"
#include "activation/row_layout.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

constexpr std::size_t few_rows = keyed_answers::first_rows - 1;

// A mark is written before there may be more than a few.
constexpr std::size_t rows_before_mark = few_rows / 2;

constexpr std::size_t prefix_bytes = actor_prefix_bytes + 1;

std::uint64_t hash_of(std::string_view key) noexcept {
  return XXH3_64bits(key.data(), key.size());
}

std::size_t bytes_of(std::string_view key, const stored_answer& what) noexcept {
  return entry_bytes + key.size() + what.results.size();
}

}  // namespace

void append_answer_head(std::string& value, const answer_head& head) {
  append_little(value, head.version);
  append_little(value, head.request_hash);
  append_little(value, static_cast<std::uint64_t>(head.expires.time_since_epoch().count()));
}

// No program so far compresses what follows.
std::optional<answer_head> read_answer_head(std::string_view value) {
  value_reader from{value};
  answer_head head;
  head.version = from.u64();
  head.request_hash = from.u64();
  head.expires = wall_time{duration{from.i64()}};
  return from.ok() && (head.version & compressed_flag) == 0 ? std::optional{head} : std::nullopt;
}

const stored_answer* keyed_answers::find(std::string_view key, wall_time now) const {
  const auto found = unsaved_.find(key);
  return found != unsaved_.end() && found->second.what.expires > now ? &found->second.what
                                                                     : nullptr;
}

bool keyed_answers::may_have_row(std::string_view key) const noexcept {
  return known_rows_ != rows_known::all || known_.may_have(hash_of(key));
}

void keyed_answers::remember(std::string_view key, stored_answer what, std::uint64_t commit) {
  if (page_due_ == wall_time::max()) {
    page_due_ = what.expires;
  }
  auto at = unsaved_.lower_bound(key);
  if (at != unsaved_.end() && at->first == key) {
    bytes_ -= bytes_of(key, at->second.what);
  } else {
    at = unsaved_.emplace_hint(at, key, unsaved_answer{});
    ++rows_;
  }
  bytes_ += bytes_of(key, what);
  at->second = {std::move(what), commit};
  const auto hash = hash_of(key);
  if (known_rows_ == rows_known::all) {
    known_.add(hash);
  }
  if (pass_ != pass::none) {
    passed_.add(hash);
    ++passed_rows_;
    passed_expiry_ = std::min(passed_expiry_, at->second.what.expires);
    if (++remembered_ >= page_rows / 2) {
      page_due_ = {};
    }
  }
}

bool keyed_answers::saved(std::uint64_t commit) {
  const auto page_waits = erased_in_ > durable_;
  durable_ = commit;
  if (!reading_) {
    forget_saved();
  }
  return page_waits && erased_in_ <= durable_;
}

// Not while a page is being read, which has perhaps an earlier answer of the same key.
void keyed_answers::forget_saved() {
  std::erase_if(unsaved_, [this](const auto& each) {
    const auto& [key, answer] = each;
    if (answer.commit > durable_) {
      return false;
    }
    bytes_ -= bytes_of(key, answer.what);
    return true;
  });
}

// --- passes --------------------------------------------------------------------------------------

keyed_answers::findings keyed_answers::take_first(const std::vector<row>& rows, wall_time now) {
  findings found;
  if (rows.empty()) {
    return found;
  }
  const auto& first = rows.front();
  const auto head = read_answer_head(first.value);
  marked_ = head && first.key.substr(prefix_bytes) == mark_key;
  if (marked_) {
    marked_at_ = first.value.substr(answer_head::bytes);
  }
  if (marked_ && rows.size() > few_rows) {
    known_rows_ = rows_known::versions;
    found.version = head->version;
    begin_pass(marked_at_);
    return found;
  }
  known_rows_ = rows_known::some;
  begin_pass({});
  if (take(rows, now, found) && rows.size() <= few_rows) {
    end_pass(now);
  }
  return found;
}

void keyed_answers::begin_pass(std::string from) {
  pass_ = pass::to_last;
  pass_began_ = from;
  next_ = std::move(from);
  page_due_ = {};
  passed_ = {};
  passed_rows_ = unsaved_.size();
  passed_expiry_ = wall_time::max();
  for (const auto& [key, answer] : unsaved_) {
    passed_.add(hash_of(key));
    passed_expiry_ = std::min(passed_expiry_, answer.what.expires);
  }
}

void keyed_answers::end_pass(wall_time now) {
  pass_ = pass::none;
  known_ = std::exchange(passed_, {});
  known_rows_ = rows_known::all;
  rows_ = passed_rows_;
  next_.clear();
  page_due_ = any() ? std::max(passed_expiry_, now + pass_interval) : wall_time::max();
}

row_range keyed_answers::begin_page(const std::string& prefix) {
  if (pass_ == pass::none) {
    begin_pass({});
  }
  reading_ = true;
  remembered_ = 0;
  row_range page;
  page.prefix = prefix;
  page.from = prefix + next_;
  if (pass_ == pass::from_first) {
    page.until = prefix + pass_began_;
  }
  page.limit = page_rows;
  page.value_bytes_max = answer_head::bytes;
  return page;
}

keyed_answers::findings keyed_answers::take_page(const std::vector<row>& rows, wall_time now,
                                                 std::uint64_t commit) {
  findings found;
  const auto whole = take(rows, now, found);
  if (!found.expired.empty()) {
    erased_in_ = commit;
  }
  reading_ = false;
  page_due_ = versions_known() ? now + page_interval : wall_time{};
  if (whole && rows.size() < page_rows) {
    if (pass_ == pass::to_last && !pass_began_.empty()) {
      pass_ = pass::from_first;
      next_.clear();
    } else {
      end_pass(now);
    }
  }
  forget_saved();
  return found;
}

void keyed_answers::page_failed(wall_time now) {
  reading_ = false;
  page_due_ = now + pass_interval;
  forget_saved();
}

// Whether it has taken all; else the next page begins with the first that storage has not looked
// at. One that comes empty although the page began with its key is damaged.
// An answer in memory is younger than that of the row, or the same.
bool keyed_answers::take(const std::vector<row>& rows, wall_time now, findings& found) {
  for (const auto& each : rows) {
    const auto key = std::string_view{each.key}.substr(prefix_bytes);
    if (each.value.empty() && key != next_) {
      next_ = key;
      return false;
    }
    const auto head = read_answer_head(each.value);
    found.version = std::max(found.version, head ? head->version : 0);
    found.damaged = found.damaged || !(head || marked_ || versions_known());
    if (key == mark_key) {
      continue;
    }
    if (head && head->expires <= now) {
      if (!unsaved_.contains(key)) {
        found.expired.emplace_back(key);
      }
      continue;
    }
    passed_.add(hash_of(key));
    ++passed_rows_;
    if (head) {
      passed_expiry_ = std::min(passed_expiry_, head->expires);
    }
  }
  if (!rows.empty()) {
    next_ = rows.back().key.substr(prefix_bytes) + '\0';
  }
  return true;
}

// --- the mark ------------------------------------------------------------------------------------

bool keyed_answers::mark_due() const noexcept {
  return versions_known() && (marked_ ? marked_at_ != next_ : rows_ > rows_before_mark);
}

std::string_view keyed_answers::take_mark() {
  marked_ = true;
  marked_at_ = next_;
  return marked_at_;
}

}  // namespace millrace::runtime::detail
