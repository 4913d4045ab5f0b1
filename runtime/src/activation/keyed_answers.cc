// SPDX-License-Identifier: MIT
#include "activation/keyed_answers.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "activation/row_layout.h"

namespace millrace::runtime::detail {

namespace {

constexpr std::size_t few_rows = keyed_answers::first_rows - 1;

// A mark is written before there may be more than a few.
constexpr std::size_t rows_before_mark = few_rows / 2;

constexpr std::size_t prefix_bytes = actor_prefix_bytes + 1;
constexpr std::size_t head_bytes = 24;  // version, request hash, expiry

std::uint64_t hash_of(std::string_view key) noexcept {
  return XXH3_64bits(key.data(), key.size());
}

std::size_t bytes_of(std::string_view key, const stored_answer& what) noexcept {
  return entry_bytes + key.size() + what.results.size();
}

}  // namespace

const stored_answer* keyed_answers::find(std::string_view key, wall_time now) const {
  const auto found = unsaved_.find(key);
  return found != unsaved_.end() && found->second.what.expires > now ? &found->second.what
                                                                     : nullptr;
}

bool keyed_answers::may_have_row(std::string_view key) const noexcept {
  return !all_known_ || (any_ && known_.may_have(hash_of(key)));
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
  any_ = true;
  const auto hash = hash_of(key);
  if (all_known_) {
    known_.add(hash);
  }
  if (passing_) {
    passed_.add(hash);
    ++passed_rows_;
    passed_expiry_ = std::min(passed_expiry_, at->second.what.expires);
    if (++remembered_ >= page_rows / 2) {
      page_due_ = {};
    }
  }
}

void keyed_answers::saved(std::uint64_t commit) {
  durable_ = commit;
  if (!reading_) {
    forget_saved();
  }
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
  findings what;
  if (rows.empty()) {
    return what;
  }
  all_known_ = false;
  begin_pass({});
  const auto& first = rows.front();
  marked_ = first.key.substr(prefix_bytes) == mark_key && first.value.size() >= head_bytes;
  if (marked_) {
    marked_at_ = first.value.substr(head_bytes);
  }
  if (rows.size() <= few_rows) {
    take(rows, now, what);
    end_pass(now);
  } else if (marked_) {
    what.version = value_reader{first.value}.u64();
    begin_pass(marked_at_);
    any_ = true;
    rows_ = rows.size();
  } else {
    versions_known_ = false;
    take(rows, now, what);
    next_ = rows.back().key.substr(prefix_bytes) + '\0';
    page_due_ = {};
  }
  return what;
}

void keyed_answers::begin_pass(std::string from) {
  passing_ = true;
  wrapped_ = false;
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
  passing_ = false;
  known_ = std::exchange(passed_, {});
  rows_ = passed_rows_;
  any_ = rows_ > 0;
  all_known_ = versions_known_ = true;
  next_.clear();
  page_due_ = any_ ? std::max(passed_expiry_, now + pass_interval) : wall_time::max();
}

row_range keyed_answers::begin_page(const std::string& prefix) {
  if (!passing_) {
    begin_pass({});
  }
  reading_ = true;
  remembered_ = 0;
  row_range page;
  page.prefix = prefix;
  page.from = prefix + next_;
  if (wrapped_) {
    page.until = prefix + pass_began_;
  }
  page.limit = page_rows;
  page.value_bytes_max = head_bytes;
  return page;
}

keyed_answers::findings keyed_answers::take_page(const std::vector<row>& rows, wall_time now) {
  findings what;
  take(rows, now, what);
  reading_ = false;
  page_due_ = now + page_interval;
  if (rows.size() == page_rows) {
    next_ = rows.back().key.substr(prefix_bytes) + '\0';
  } else if (!wrapped_ && !pass_began_.empty()) {
    wrapped_ = true;
    next_.clear();
  } else {
    end_pass(now);
  }
  forget_saved();
  return what;
}

void keyed_answers::page_failed(wall_time now) {
  reading_ = false;
  page_due_ = now + pass_interval;
  forget_saved();
}

// An answer in memory is younger than that of the row, or the same.
void keyed_answers::take(const std::vector<row>& rows, wall_time now, findings& what) {
  for (const auto& each : rows) {
    const auto key = std::string_view{each.key}.substr(prefix_bytes);
    value_reader from{each.value};
    what.version = std::max(what.version, from.u64());
    static_cast<void>(from.u64());
    const wall_time expires{duration{from.i64()}};
    what.damaged = what.damaged || !from.ok();
    if (key == mark_key) {
      continue;
    }
    if (from.ok() && expires <= now) {
      if (!unsaved_.contains(key)) {
        what.expired.emplace_back(key);
      }
      continue;
    }
    passed_.add(hash_of(key));
    ++passed_rows_;
    if (from.ok()) {
      passed_expiry_ = std::min(passed_expiry_, expires);
    }
  }
}

// --- the mark ------------------------------------------------------------------------------------

bool keyed_answers::mark_due() const noexcept {
  return marked_ ? marked_at_ != next_ : rows_ > rows_before_mark;
}

std::string_view keyed_answers::take_mark() {
  marked_ = true;
  marked_at_ = next_;
  return marked_at_;
}

}  // namespace millrace::runtime::detail
