// SPDX-License-Identifier: MIT
#include "process/memory_use.h"

#include <algorithm>
#include <unordered_map>

#include "process/each_process.h"

namespace millrace::actors::process_detail {
namespace {

// The text of a file of a process, as far as the buffer goes: a list of groups may be long.
class process_text {
public:
  process_text(pid_t pid, std::string_view name) {
    const runtime::unique_fd file{::open(proc_path{pid, name}.c_str(), O_RDONLY | O_CLOEXEC)};
    const auto got = file ? ::read(file.get(), text_.data(), text_.size()) : -1;
    size_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  // Of the line that begins with the key.
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key) const noexcept {
    const std::string_view text{text_.data(), size_};
    const auto found = text.find(key);
    if (found == std::string_view::npos) {
      return std::nullopt;
    }
    const auto digits = text.find_first_not_of(" \t", found + key.size());
    std::uint64_t value = 0;
    const auto* first = text.data() + std::min(digits, text.size());
    const auto parsed = std::from_chars(first, text.data() + text.size(), value);
    return parsed.ec == std::errc{} ? std::optional{value} : std::nullopt;
  }

private:
  std::array<char, 16'384> text_;
  std::size_t size_ = 0;
};

struct member {
  pid_t pid = 0;
  pid_t parent = 0;
  std::uint64_t mapped_kib = 0;
  std::uint64_t own_kib = 0;   // with what it shares
  std::uint64_t huge_kib = 0;  // of that
};

// Nothing of one that is gone or dead. Where the kernel does not tell the pages of files apart,
// they count.
std::optional<member> read_member(pid_t pid) {
  const process_text status{pid, "status"};
  const auto parent = status.number("\nPPid:");
  const auto mapped = status.number("\nVmSize:");
  const auto resident = status.number("\nVmRSS:");
  if (!parent || !mapped || !resident) {
    return std::nullopt;
  }
  const auto anonymous = status.number("\nRssAnon:");
  const auto own = anonymous ? *anonymous + status.number("\nRssShmem:").value_or(0) : *resident;
  const auto huge = status.number("\nHugetlbPages:").value_or(0);
  return member{pid, static_cast<pid_t>(*parent), *mapped,
                own + huge + status.number("\nVmSwap:").value_or(0), huge};
}

// A file that only we and root may read: of one that has changed its user the sum counts.
std::uint64_t exact_kib(const member& of) {
  const process_text rollup{of.pid, "smaps_rollup"};
  const auto anonymous = rollup.number("\nPss_Anon:");
  if (!anonymous) {
    return of.own_kib;
  }
  const auto parts = *anonymous + rollup.number("\nPss_Shmem:").value_or(0) +
                     rollup.number("\nSwapPss:").value_or(0) + of.huge_kib;
  return std::min(parts, of.own_kib);
}

// Whether it may be on the memory of its parent. Requires: in the order of their numbers.
bool is_as_its_parent(const member& one, const std::vector<member>& all) {
  const auto parent =
      std::lower_bound(all.begin(), all.end(), one.parent,
                       [](const member& each, pid_t wanted) { return each.pid < wanted; });
  return parent != all.end() && parent->pid == one.parent && parent->mapped_kib == one.mapped_kib &&
         parent->own_kib == one.own_kib;
}

void count(memory_use& use, std::vector<member> members) {
  std::sort(members.begin(), members.end(),
            [](const member& left, const member& right) { return left.pid < right.pid; });
  const auto before = std::move(use.known);
  use.known.clear();
  use.known.reserve(members.size());
  std::vector<member> counted;
  counted.reserve(members.size());
  std::uint64_t kib = 0;
  for (const auto& each : members) {
    use.known.push_back(each.pid);
    if (std::binary_search(before.begin(), before.end(), each.pid) ||
        !is_as_its_parent(each, members)) {
      counted.push_back(each);
      kib += each.own_kib;
    }
  }
  use.is_settled = counted.size() == members.size();
  const auto limit_kib = use.limit >> 10U;
  if (kib > limit_kib && !use.is_exact) {
    use.bytes.reset();
    return;
  }
  if (kib > limit_kib) {
    kib = 0;
    for (auto each = counted.begin(); each != counted.end() && kib <= limit_kib; ++each) {
      kib += exact_kib(*each);
    }
  }
  use.bytes = kib << 10U;
}

}  // namespace

void measure_memory(std::span<memory_use> uses) {
  std::unordered_map<pid_t, std::size_t> groups;
  std::unordered_map<process_mark, std::size_t> marks;
  for (std::size_t at = 0; at < uses.size(); ++at) {
    groups.emplace(uses[at].group, at);
    if (uses[at].mark != 0) {
      marks.emplace(uses[at].mark, at);
    }
  }
  std::vector<std::vector<member>> members(uses.size());
  each_pid([&](pid_t pid) {
    std::optional<std::size_t> of;
    if (const auto found = groups.find(::getpgid(pid)); found != groups.end()) {
      of = found->second;
    } else {
      const auto borne = marks_of(pid);
      for (const auto mark : {borne.outer, borne.inner}) {
        const auto marked = marks.find(mark);
        of = marked != marks.end() ? marked->second : of;
      }
    }
    if (const auto one = of ? read_member(pid) : std::nullopt) {
      members[*of].push_back(*one);
    }
    return true;
  });
  for (std::size_t at = 0; at < uses.size(); ++at) {
    count(uses[at], std::move(members[at]));
  }
}

}  // namespace millrace::actors::process_detail
