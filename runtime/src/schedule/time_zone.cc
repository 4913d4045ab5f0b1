// SPDX-License-Identifier: MIT
#include "millrace/runtime/time_zone.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "schedule/posix_rule.h"

namespace millrace::runtime {

namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

// A change of the offset: in force from `at`.
struct change {
  sys_seconds at;
  seconds offset;
};

// RFC 8536, section 3.2: what a local time type may be.
constexpr seconds offset_least{-89'999};
constexpr seconds offset_most{93'599};

// The years that the footer's rule is asked about; beyond, its last offset stays. The calendar of
// std::chrono ends in 32767.
constexpr int rule_year_least = 1800;
constexpr int rule_year_most = 9999;

// Bytes in order; past the end it gives zeros and remembers it.
class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) : left_(bytes) {}

  [[nodiscard]] bool good() const { return good_; }

  std::string_view take(std::size_t count) {
    if (count > left_.size()) {
      good_ = false;
      left_ = {};
      return {};
    }
    const auto taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }

  // Big-endian, two's complement. Requires: size is 1, 4 or 8.
  std::int64_t take_number(std::size_t size) {
    std::uint64_t number = 0;
    for (const char each : take(size)) {
      number = number << 8U | static_cast<unsigned char>(each);
    }
    return size == 4 ? static_cast<std::int32_t>(static_cast<std::uint32_t>(number))
                     : static_cast<std::int64_t>(number);
  }

  [[nodiscard]] std::string_view rest() const { return left_; }

private:
  std::string_view left_;
  bool good_ = true;
};

// The header of a data block (RFC 8536, section 3.1).
struct block_header {
  char version = 0;
  std::size_t isutcnt = 0;
  std::size_t isstdcnt = 0;
  std::size_t leapcnt = 0;
  std::size_t timecnt = 0;
  std::size_t typecnt = 0;
  std::size_t charcnt = 0;

  [[nodiscard]] std::size_t body_size(std::size_t time_size) const {
    return timecnt * (time_size + 1) + typecnt * 6 + charcnt + leapcnt * (time_size + 4) +
           isstdcnt + isutcnt;
  }
};

std::optional<block_header> read_header(byte_reader& in) {
  constexpr std::size_t count_max = time_zone_bytes_max;  // no count can be larger than the file
  if (in.take(4) != "TZif") {
    return std::nullopt;
  }
  block_header made;
  const auto version = in.take(1);
  made.version = version.empty() ? '\0' : version[0];
  in.take(15);
  for (auto* each : {&made.isutcnt, &made.isstdcnt, &made.leapcnt, &made.timecnt, &made.typecnt,
                     &made.charcnt}) {
    const auto count = in.take_number(4);
    if (count < 0 || static_cast<std::size_t>(count) > count_max) {
      return std::nullopt;
    }
    *each = static_cast<std::size_t>(count);
  }
  return in.good() ? std::optional{made} : std::nullopt;
}

}  // namespace

struct time_zone::table {
  std::string name;
  seconds first_offset{};       // Before the first change.
  std::vector<change> changes;  // Each to another offset than the one before.
  std::optional<posix_rule> rule;

  [[nodiscard]] static const char* read_block(byte_reader& in, const block_header& header,
                                              std::size_t time_size, table& into);
  void add(change next);
  [[nodiscard]] seconds last_offset() const {
    return changes.empty() ? first_offset : changes.back().offset;
  }
  // The rule's changes around `at`, in order, from the end of the table on.
  [[nodiscard]] std::vector<change> changes_near(sys_seconds at) const;
};

void time_zone::table::add(change next) {
  if (next.offset != last_offset()) {
    changes.push_back(next);
  }
}

// What is wrong, or nothing.
const char* time_zone::table::read_block(byte_reader& in, const block_header& header,
                                         std::size_t time_size, table& into) {
  if (header.leapcnt != 0) {
    return "it counts leap seconds";
  }
  byte_reader times{in.take(header.timecnt * time_size)};
  byte_reader indexes{in.take(header.timecnt)};
  std::vector<seconds> offsets;
  for (std::size_t each = 0; each < header.typecnt; ++each) {
    offsets.emplace_back(in.take_number(4));
    in.take(2);  // whether it is daylight saving time, and its abbreviation
    if (offsets.back() < offset_least || offsets.back() > offset_most) {
      return "an offset is too large";
    }
  }
  in.take(header.charcnt + header.isstdcnt + header.isutcnt);
  if (!in.good()) {
    return "it is cut off";
  }
  if (offsets.empty()) {
    return "it has no local time type";
  }
  into.first_offset = offsets[0];
  std::optional<sys_seconds> before;
  for (std::size_t each = 0; each < header.timecnt; ++each) {
    const sys_seconds at{seconds{times.take_number(time_size)}};
    const auto type = static_cast<std::size_t>(indexes.take_number(1));
    if (type >= offsets.size()) {
      return "a change has an unknown type";
    }
    if (before && *before >= at) {
      return "its changes are not in order";
    }
    before = at;
    into.add({at, offsets[type]});
  }
  return nullptr;
}

std::vector<change> time_zone::table::changes_near(sys_seconds at) const {
  std::vector<change> found;
  if (!rule || !rule->has_saving || rule->saving == rule->standard) {
    return found;
  }
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const int year = day < std::chrono::sys_days{std::chrono::year{rule_year_least} / 1 / 1}
                       ? rule_year_least
                   : day > std::chrono::sys_days{std::chrono::year{rule_year_most} / 1 / 1}
                       ? rule_year_most
                       : static_cast<int>(std::chrono::year_month_day{day}.year());
  std::vector<change> all;
  for (int each = year - 1; each <= year + 1; ++each) {
    const std::chrono::year which{each};
    // `saving_ends` first: where both fall on one instant, as in a rule for permanent daylight
    // saving time, the stable sort keeps the new year's beginning last.
    all.push_back({sys_seconds{rule->saving_ends.in(which).time_since_epoch() - rule->saving},
                   rule->standard});
    all.push_back({sys_seconds{rule->saving_begins.in(which).time_since_epoch() - rule->standard},
                   rule->saving});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const change& a, const change& b) { return a.at < b.at; });
  for (std::size_t each = 0; each < all.size(); ++each) {
    const bool replaced = each + 1 < all.size() && all[each + 1].at == all[each].at;
    const bool in_table = !changes.empty() && all[each].at <= changes.back().at;
    if (!replaced && !in_table) {
      found.push_back(all[each]);
    }
  }
  return found;
}

time_zone::time_zone() {
  auto made = std::make_shared<table>();
  made->name = "UTC";
  rules_ = std::move(made);
}

time_zone::time_zone(std::shared_ptr<const table> rules) : rules_(std::move(rules)) {}

result<time_zone> time_zone::parse(std::string_view name, std::string_view bytes) {
  const auto refuse = [&](std::string_view why) {
    return error{errc::invalid_argument, "the file of the time zone `" + std::string{name} +
                                             "` is broken: " + std::string{why}};
  };
  if (bytes.size() > time_zone_bytes_max) {
    return refuse("it is larger than 64 KiB");
  }
  byte_reader in{bytes};
  auto header = read_header(in);
  if (!header) {
    return refuse("it has no TZif header");
  }
  auto made = std::make_shared<table>();
  made->name = std::string{name};
  std::size_t time_size = 4;
  if (header->version != '\0') {  // the first block is for readers of 32 bits
    in.take(header->body_size(time_size));
    header = read_header(in);
    time_size = 8;
    if (!header) {
      return refuse("it has no header of 64 bits");
    }
  }
  if (const auto* why = table::read_block(in, *header, time_size, *made)) {
    return refuse(why);
  }
  if (time_size == 8) {
    const auto footer = in.rest();
    if (footer.size() < 2 || footer.front() != '\n' || footer.find('\n', 1) == footer.npos) {
      return refuse("it has no footer");
    }
    const auto text = footer.substr(1, footer.find('\n', 1) - 1);
    if (!text.empty()) {
      made->rule = parse_posix_rule(text);
      if (!made->rule) {
        return refuse("its rule `" + std::string{text.substr(0, 60)} + "` cannot be read");
      }
    }
  }
  return time_zone{std::move(made)};
}

const std::string& time_zone::name() const noexcept {
  return rules_->name;
}

offset_span time_zone::span_at(sys_seconds at) const {
  const auto& all = rules_->changes;
  const auto later = [](sys_seconds when, const change& each) { return when < each.at; };
  offset_span made{sys_seconds::min(), sys_seconds::max(), rules_->first_offset};
  const auto next = std::upper_bound(all.begin(), all.end(), at, later);
  if (next != all.begin()) {
    made.begin = std::prev(next)->at;
    made.offset = std::prev(next)->offset;
  }
  if (next != all.end()) {
    made.end = next->at;
    return made;
  }
  if (!rules_->rule) {
    return made;
  }
  if (all.empty() && !rules_->rule->has_saving) {
    made.offset = rules_->rule->standard;
    return made;
  }
  for (const auto& each : rules_->changes_near(at)) {
    if (each.offset == made.offset) {
      continue;  // what the table, or the change before, has said already
    }
    if (each.at > at) {
      made.end = each.at;
      break;
    }
    made.begin = each.at;
    made.offset = each.offset;
  }
  return made;
}

std::chrono::local_seconds time_zone::to_local(sys_seconds at) const {
  return std::chrono::local_seconds{at.time_since_epoch() + span_at(at).offset};
}

result<time_zone> load_time_zone(std::string_view name, const std::string& directory) {
  constexpr std::size_t name_bytes_max = 255;
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '/';
  };
  if (name.empty() || name.size() > name_bytes_max || name.front() == '/' || name.back() == '/' ||
      !std::all_of(name.begin(), name.end(), good)) {
    return error{errc::invalid_argument, "`" + std::string{name.substr(0, 60)} +
                                             "` is no name of a time zone (write it like "
                                             "`Europe/Berlin`)"};
  }
  if (name == "UTC") {
    return time_zone{};
  }
  const auto file = std::filesystem::path{directory} / name;
  std::error_code failure;
  if (!std::filesystem::is_regular_file(file, failure)) {
    const bool any = std::filesystem::is_directory(directory, failure);
    return error{errc::not_found,
                 "there is no time zone `" + std::string{name} + "`" +
                     (any ? " (write it like `Europe/Berlin`)" : " (install the package tzdata)")};
  }
  std::ifstream in{file, std::ios::binary};
  std::string bytes(time_zone_bytes_max + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (in.bad() || !in.eof()) {
    return in.bad() || !in.good()
               ? result<time_zone>{error{errc::storage_failed, "cannot read " + file.string()}}
               : time_zone::parse(name, bytes);
  }
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return time_zone::parse(name, bytes);
}

std::vector<std::string> time_zone_names(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code failure;
  for (std::filesystem::recursive_directory_iterator at{directory, failure}, end;
       !failure && at != end; at.increment(failure)) {
    auto name = at->path().lexically_relative(directory).string();
    // What is called like `zone.tab`, `localtime` and `right` is about zones, or zones once more.
    if (name[0] < 'A' || name[0] > 'Z') {
      at.disable_recursion_pending();
    } else if (at->is_regular_file(failure)) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

}  // namespace millrace::runtime
