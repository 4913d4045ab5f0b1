// SPDX-License-Identifier: MIT
#include "millrace/actors/log_merge.h"

#include <algorithm>
#include <string_view>

namespace millrace::actors {

using runtime::wall_time;

merged_output log_merge::add(wall_time begins) {
  outputs_.emplace_back().front = begins;
  order_.emplace(begins, outputs_.size() - 1);
  return outputs_.size() - 1;
}

std::optional<merged_output> log_merge::needs() const {
  if (order_.empty()) {
    return std::nullopt;
  }
  const auto which = order_.begin()->second;
  return line_bytes(outputs_[which]) ? std::nullopt : std::optional{which};
}

void log_merge::give(merged_output which, const log_chunk& piece,
                     const std::vector<log_time>& times, wall_time at) {
  auto& to = outputs_[which];
  open_ += std::exchange(to.begun, true) ? 0 : 1;
  to.looked = line_bytes(to) ? 0 : to.text.size() - to.taken;
  to.text.erase(0, std::exchange(to.taken, 0));
  if (piece.dropped > 0) {
    const auto text = dropped_text(piece.dropped);
    const auto is_in_line =
        !to.text.empty() && to.text.back() != '\n';  // else it would leave an empty one
    append(to, std::string_view{text}.substr(is_in_line ? 0 : 1),
           times.empty() ? at : times.front().at);
  }
  std::string_view rest{piece.bytes};
  auto offset = piece.offset;
  for (const auto& each : times) {
    const auto count = std::min<std::uint64_t>(each.end - std::min(each.end, offset), rest.size());
    append(to, rest.substr(0, count), each.at);
    rest.remove_prefix(count);
    offset += count;
  }
  append(to, rest, times.empty() ? at : times.back().at);
  place(which);
}

void log_merge::end(merged_output which) {
  auto& one = outputs_[which];
  open_ -= one.begun && !one.ended ? 1 : 0;
  one.ended = true;
  place(which);
}

std::optional<merged_line> log_merge::next_line() {
  if (order_.empty()) {
    return std::nullopt;
  }
  const auto which = order_.begin()->second;
  auto& from = outputs_[which];
  const auto bytes = line_bytes(from);
  if (!bytes) {
    return std::nullopt;
  }
  merged_line line{which, from.front, from.text.substr(from.taken, *bytes)};
  if (line.text.ends_with('\n')) {
    line.text.pop_back();
  }
  from.taken += *bytes;
  for (auto left = *bytes; left > 0;) {
    auto& first = from.spans.front();
    const auto count = std::min(first.bytes, left);
    left -= count;
    first.bytes -= count;
    if (first.bytes == 0) {
      from.spans.pop_front();
    }
  }
  place(which);
  return line;
}

std::size_t log_merge::piece_bytes_max() const {
  return share(std::size_t{64} << 10U);
}

// Of what all may have.
std::size_t log_merge::share(std::size_t most) const {
  constexpr std::size_t least = std::size_t{4} << 10U;
  return std::clamp(merged_bytes_max / (open_ + 1), least, most);
}

// Of the next line; nothing if its end is not known yet.
std::optional<std::size_t> log_merge::line_bytes(const output& of) const {
  const auto most = share(merged_line_bytes_max);
  const auto newline = of.text.find('\n', std::max(of.looked, of.taken));
  const auto there = of.text.size() - of.taken;
  if (newline != std::string::npos && newline - of.taken <= most) {
    return newline + 1 - of.taken;
  }
  if (there >= most) {
    return most;
  }
  return of.ended && there > 0 ? std::optional{there} : std::nullopt;
}

void log_merge::append(output& to, std::string_view text, wall_time at) {
  if (text.empty()) {
    return;
  }
  to.text += text;
  to.spans.push_back({text.size(), at});
}

// Where it stands among the others.
void log_merge::place(merged_output which) {
  auto& one = outputs_[which];
  order_.erase({one.front, which});
  if (!one.spans.empty()) {
    one.front = std::max(one.front, one.spans.front().at);
  } else if (one.ended) {
    one = output{};  // its memory goes
    one.ended = true;
    return;
  }
  order_.emplace(one.front, which);
}

}  // namespace millrace::actors
