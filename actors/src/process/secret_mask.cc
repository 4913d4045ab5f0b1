// SPDX-License-Identifier: MIT
#include "process/secret_mask.h"

#include <algorithm>

namespace millrace::actors::process_detail {

namespace {

constexpr std::string_view mask = "***";
constexpr std::string_view standard_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Longer values are looked for as they are only.
constexpr std::size_t encoded_bytes_max = 4096;
// Fewer digits say little of a value and may stand anywhere.
constexpr std::size_t digits_min = 6;

// The base64 digits that `value` alone decides when `before` bytes stand before it in a group of
// three; what comes after it is not known either.
std::string base64_inside(std::string_view value, std::size_t before, std::string_view digits) {
  std::string made;
  const auto first = (8 * before + 5) / 6;  // its first bit begins a byte of the value, or is in it
  for (auto digit = first; 6 * (digit + 1) <= 8 * (before + value.size()); ++digit) {
    unsigned bits = 0;
    for (auto bit = 6 * digit; bit < 6 * (digit + 1); ++bit) {
      const auto byte = static_cast<unsigned char>(value[bit / 8 - before]);
      bits = bits << 1U | (byte >> (7 - bit % 8) & 1U);
    }
    made += digits[bits];
  }
  return made;
}

}  // namespace

secret_words::secret_words(const std::vector<std::string>& values) {
  std::size_t nodes = 1;
  for (const auto& value : values) {
    // Six kinds of base64, of four digits for three bytes.
    nodes += value.size() * (value.size() <= encoded_bytes_max ? 1 + 6 * 4 / 3 : 1);
  }
  nodes_.reserve(nodes);  // to grow would take half as much again
  for (const std::string_view value : values) {
    for (std::size_t begin = 0; begin <= value.size();) {
      const auto end = std::min(value.find('\n', begin), value.size());
      auto line = value.substr(begin, end - begin);
      if (line.ends_with('\r')) {
        line.remove_suffix(1);
      }
      if (line.size() >= masked_bytes_min) {
        add(line);
      }
      begin = end + 1;
    }
    for (std::size_t before = 0; before < 3 && value.size() <= encoded_bytes_max; ++before) {
      for (const auto digits : {standard_digits, url_digits}) {
        if (const auto encoded = base64_inside(value, before, digits);
            encoded.size() >= digits_min) {
          add(encoded);
        }
      }
    }
  }
  link();
}

secret_words::state secret_words::child_of(state parent, unsigned char byte) const {
  if (parent == 0) {
    return from_root_[byte];
  }
  auto child = nodes_[parent].child;
  while (child != 0 && nodes_[child].byte != byte) {
    child = nodes_[child].sibling;
  }
  return child;
}

void secret_words::add(std::string_view word) {
  state here = 0;
  for (const auto each : word) {
    const auto byte = static_cast<unsigned char>(each);
    auto there = child_of(here, byte);
    if (there == 0) {
      there = static_cast<state>(nodes_.size());
      nodes_.push_back({0, nodes_[here].child, 0, nodes_[here].depth + 1, 0, byte});
      nodes_[here].child = there;
      if (here == 0) {
        from_root_[byte] = there;
      }
    }
    here = there;
  }
  nodes_[here].found = nodes_[here].depth;
}

// By depth, so that what a node falls back to is linked before it.
void secret_words::link() {
  std::vector<state> order{0};
  for (std::size_t at = 0; at < order.size(); ++at) {
    const auto parent = order[at];
    for (auto child = nodes_[parent].child; child != 0; child = nodes_[child].sibling) {
      auto& one = nodes_[child];
      one.fall_back = parent == 0 ? 0 : next(nodes_[parent].fall_back, one.byte);
      one.found = std::max(one.found, nodes_[one.fall_back].found);
      order.push_back(child);
    }
  }
}

secret_words::state secret_words::next(state from, unsigned char byte) const {
  for (;;) {
    const auto child = child_of(from, byte);
    if (child != 0 || from == 0) {
      return child;
    }
    from = nodes_[from].fall_back;
  }
}

// Of the last `count` bytes, those that have not been let go of; what has was masked. A range takes
// in those before it that it meets, so the cost does not depend on how long the words are.
void secret_mask::hide(std::size_t count) {
  if (count == 0) {
    return;
  }
  const auto to = passed_ + held_.size();
  auto from = to - std::min(count, held_.size());
  while (!hidden_.empty() && hidden_.back().to >= from) {
    from = std::min(from, hidden_.back().from);
    hidden_.pop_back();
  }
  hidden_.push_back({from, to});
}

// Lets go of the first `count` held bytes.
void secret_mask::emit(std::size_t count, std::string& into) {
  const auto end = passed_ + count;
  for (auto at = passed_; at < end;) {
    const bool is_hidden = !hidden_.empty() && hidden_.front().from <= at;
    const auto next = is_hidden ? hidden_.front().to : hidden_.empty() ? end : hidden_.front().from;
    const auto to = std::min(next, end);
    if (!is_hidden) {
      into.append(held_, at - passed_, to - at);
    } else if (!masking_) {
      into += mask;
    }
    if (is_hidden && to == next) {
      hidden_.pop_front();
    }
    masking_ = is_hidden;
    at = to;
  }
  held_.erase(0, count);
  passed_ = end;
}

std::string secret_mask::add(std::string_view bytes) {
  std::string certain;
  certain.reserve(bytes.size());
  for (const auto each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    if (at_ == 0 && !words_->begins(byte)) {
      certain += each;
      masking_ = false;
      continue;
    }
    at_ = words_->next(at_, byte);
    held_ += each;
    hide(words_->found(at_));
    if (at_ == 0) {
      emit(held_.size(), certain);
    }
  }
  const auto begun = std::min(words_->begun(at_), held_.size());
  emit(held_.size() - begun, certain);
  if (!hidden_.empty() && hidden_.front().from <= passed_) {
    emit(hidden_.front().to - passed_, certain);  // more can only be hidden, too
  }
  return certain;
}

std::string secret_mask::finish() {
  std::string rest;
  if (const auto begun = words_->begun(at_); begun >= masked_bytes_min) {
    hide(begun);
  }
  emit(held_.size(), rest);
  at_ = 0;
  masking_ = false;
  return rest;
}

}  // namespace millrace::actors::process_detail
