// SPDX-License-Identifier: MIT
// From the text of a cron expression to its sets of numbers.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <span>
#include <vector>

#include "millrace/runtime/cron.h"

namespace millrace::runtime {

namespace {

constexpr std::array month_names{
    std::string_view{"JAN"}, std::string_view{"FEB"}, std::string_view{"MAR"},
    std::string_view{"APR"}, std::string_view{"MAY"}, std::string_view{"JUN"},
    std::string_view{"JUL"}, std::string_view{"AUG"}, std::string_view{"SEP"},
    std::string_view{"OCT"}, std::string_view{"NOV"}, std::string_view{"DEC"}};
constexpr std::array weekday_names{std::string_view{"SUN"}, std::string_view{"MON"},
                                   std::string_view{"TUE"}, std::string_view{"WED"},
                                   std::string_view{"THU"}, std::string_view{"FRI"},
                                   std::string_view{"SAT"}};

// One kind of field. The names stand for the numbers from `least` on.
struct field_kind {
  std::string_view name;
  unsigned least;
  unsigned most;
  unsigned star_most;  // The last number of `*`, which needs Sunday once.
  std::span<const std::string_view> names;
};

constexpr field_kind second_field{"second", 0, 59, 59, {}};
constexpr field_kind minute_field{"minute", 0, 59, 59, {}};
constexpr field_kind hour_field{"hour", 0, 23, 23, {}};
constexpr field_kind day_field{"day-of-month", 1, 31, 31, {}};
constexpr field_kind month_field{"month", 1, 12, 12, month_names};
constexpr field_kind weekday_field{"day-of-week", 0, 7, 6, weekday_names};

struct nickname {
  std::string_view word;
  std::string_view expression;
};

constexpr std::array nicknames{
    nickname{"@yearly", "0 0 1 1 *"},  nickname{"@annually", "0 0 1 1 *"},
    nickname{"@monthly", "0 0 1 * *"}, nickname{"@weekly", "0 0 * * 0"},
    nickname{"@daily", "0 0 * * *"},   nickname{"@midnight", "0 0 * * *"},
    nickname{"@hourly", "0 * * * *"}};

constexpr std::string_view blanks = " \t";

std::string in_backquotes(std::string_view text) {
  return "`" + std::string{text} + "`";
}

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// A piece of the expression and where it stands.
struct piece {
  std::string_view text;
  std::size_t column;  // From 1.
};

std::vector<piece> cut(piece whole, std::string_view separators) {
  std::vector<piece> pieces;
  const bool blank = separators == blanks;
  std::size_t from = 0;
  while (from <= whole.text.size()) {
    const auto end = std::min(whole.text.find_first_of(separators, from), whole.text.size());
    if (end > from || !blank) {
      pieces.push_back({whole.text.substr(from, end - from), whole.column + from});
    }
    from = end + 1;
  }
  return pieces;
}

}  // namespace

class cron_parser {
public:
  result<cron> parse(std::string_view text) {
    const auto begin = std::min(text.find_first_not_of(blanks), text.size());
    const auto end = text.find_last_not_of(blanks) + 1;
    const piece whole{text.substr(begin, end > begin ? end - begin : 0), begin + 1};
    if (text.size() > cron_bytes_max) {
      return error{errc::invalid_argument, "the cron expression is longer than " +
                                               std::to_string(cron_bytes_max) + " bytes"};
    }
    made_.text_ = std::string{whole.text};
    if (whole.text.starts_with('@')) {
      read_nickname(whole);
    } else {
      read_fields(whole);
    }
    if (!failure_.empty()) {
      return error{errc::invalid_argument, std::move(failure_)};
    }
    return std::move(made_);
  }

private:
  // Keeps the first failure. `field` may be empty.
  void fail(std::string_view field, std::size_t column, const std::string& what,
            const std::string& remedy) {
    if (failure_.empty()) {
      failure_ = "cron expression, column " + std::to_string(column) +
                 (field.empty() ? "" : ", " + std::string{field} + " field") + ": " + what + " (" +
                 remedy + ")";
    }
  }

  void read_nickname(piece whole) {
    for (const auto& each : nicknames) {
      if (same_word(whole.text, each.word)) {
        read_fields({each.expression, 1});
        return;
      }
    }
    if (same_word(whole.text, "@reboot")) {
      fail("", whole.column, "`@reboot` has no meaning in a cluster", "write times, or `@daily`");
      return;
    }
    fail("", whole.column, in_backquotes(whole.text.substr(0, 20)) + " is not known",
         "write `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`");
  }

  void read_fields(piece whole) {
    auto fields = cut(whole, blanks);
    if (fields.size() != 5 && fields.size() != 6) {
      fail("", whole.column,
           "expected 5 fields, or 6 with seconds, found " + std::to_string(fields.size()),
           "write `minute hour day-of-month month day-of-week`, as in `30 4 * * MON-FRI`");
      return;
    }
    made_.seconds_.set(0);
    if (fields.size() == 6) {
      made_.seconds_.reset();
      read_field(fields[0], second_field, made_.seconds_);
      fields.erase(fields.begin());
    }
    read_field(fields[0], minute_field, made_.minutes_);
    read_field(fields[1], hour_field, made_.hours_);
    read_field(fields[2], day_field, made_.days_);
    read_field(fields[3], month_field, made_.months_);
    std::bitset<8> weekdays;
    read_field(fields[4], weekday_field, weekdays);
    for (std::size_t each = 0; each < weekdays.size(); ++each) {
      if (weekdays[each]) {
        made_.weekdays_.set(each % 7);  // Sunday is 0 and 7
      }
    }
    const auto starred = [&](std::size_t field) { return fields[field].text.starts_with('*'); };
    made_.by_elapsed_ = starred(0) || starred(1);
    made_.either_day_ = !starred(2) && !starred(4);
    check_dates(fields[2]);
  }

  // Every weekday comes to every date in the 400 years of the calendar, so that only months that
  // are too short can keep an expression from being due.
  void check_dates(piece day) {
    constexpr std::array<unsigned, 13> longest{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!failure_.empty() || made_.either_day_ || made_.last_day_) {
      return;
    }
    for (unsigned month = 1; month < longest.size(); ++month) {
      for (unsigned each = 1; made_.months_[month] && each <= longest[month]; ++each) {
        if (made_.days_[each]) {
          return;
        }
      }
    }
    fail(day_field.name, day.column,
         "no month of this expression has a day " + in_backquotes(day.text),
         "write a day that it has, or `L` for the last one");
  }

  template <std::size_t Size>
  void read_field(piece field, const field_kind& kind, std::bitset<Size>& into) {
    for (const auto& item : cut(field, ",")) {
      if (failure_.empty()) {
        read_item(item, kind, into);
      }
    }
  }

  template <std::size_t Size>
  void read_item(piece item, const field_kind& kind, std::bitset<Size>& into) {
    if (item.text.empty()) {
      fail(kind.name, item.column, "an element of the list is empty", "remove the comma");
      return;
    }
    if (same_word(item.text, "L") && kind.name == day_field.name) {
      made_.last_day_ = true;
      return;
    }
    const auto slash = item.text.find('/');
    const piece range{item.text.substr(0, slash), item.column};
    unsigned low = kind.least;
    unsigned high = kind.star_most;
    const bool single = range.text != "*" && range.text.find('-') == std::string_view::npos;
    if (range.text != "*" && !read_range(range, kind, low, high)) {
      return;
    }
    unsigned step = 1;
    if (slash != std::string_view::npos) {
      const piece part{item.text.substr(slash + 1), item.column + slash + 1};
      if (single) {
        fail(kind.name, item.column, "a step needs a range, found " + in_backquotes(item.text),
             "write " +
                 in_backquotes(std::string{range.text} + "-" + std::to_string(kind.star_most) +
                               "/" + std::string{part.text}));
        return;
      }
      if (!read_step(part, kind, high - low, step)) {
        return;
      }
    }
    for (auto each = low; each <= high; each += step) {
      into.set(each);
    }
  }

  bool read_range(piece range, const field_kind& kind, unsigned& low, unsigned& high) {
    const auto dash = range.text.find('-');
    const auto first = read_value({range.text.substr(0, dash), range.column}, kind);
    if (!first) {
      return false;
    }
    low = high = *first;
    if (dash == std::string_view::npos) {
      return true;
    }
    const piece end{range.text.substr(dash + 1), range.column + dash + 1};
    const auto last = read_value(end, kind);
    if (!last) {
      return false;
    }
    high = *last == 0 && low > 0 && kind.most == 7 ? 7 : *last;  // `FRI-SUN`
    if (high < low) {
      fail(kind.name, range.column,
           "the range " + in_backquotes(range.text) + " ends before it begins",
           "write it as two: " +
               in_backquotes(std::string{range.text.substr(0, dash)} + "-" +
                             std::to_string(kind.star_most) + "," + std::to_string(kind.least) +
                             "-" + std::string{end.text}));
      return false;
    }
    return true;
  }

  bool read_step(piece part, const field_kind& kind, unsigned width, unsigned& step) {
    const auto number = number_in(part.text);
    if (!number || *number == 0) {
      fail(kind.name, part.column, in_backquotes(part.text.substr(0, 20)) + " is no step",
           "write a number from 1, as in `*/5`");
      return false;
    }
    if (*number > width) {
      fail(kind.name, part.column,
           "a step of " + std::to_string(*number) + " is longer than the range",
           "leave the step out, and write the first number alone");
      return false;
    }
    step = *number;
    return true;
  }

  static std::optional<unsigned> number_in(std::string_view text) {
    unsigned number = 0;
    const auto [after, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc{} && after == text.data() + text.size() ? std::optional{number}
                                                                        : std::nullopt;
  }

  std::optional<unsigned> read_value(piece value, const field_kind& kind) {
    if (const auto number = number_in(value.text)) {
      if (*number >= kind.least && *number <= kind.most) {
        return number;
      }
    }
    for (std::size_t each = 0; each < kind.names.size(); ++each) {
      if (same_word(value.text, kind.names[each])) {
        return kind.least + static_cast<unsigned>(each);
      }
    }
    std::string remedy = "write " + std::to_string(kind.least) + " to " + std::to_string(kind.most);
    if (!kind.names.empty()) {
      remedy += " or " + std::string{kind.names.front()} + " to " + std::string{kind.names.back()};
    }
    if (value.text == "?") {
      remedy = "write `*`";
    }
    fail(kind.name, value.column,
         value.text.empty() ? "a number is missing"
                            : in_backquotes(value.text.substr(0, 20)) + " is not allowed",
         remedy);
    return std::nullopt;
  }

  cron made_;
  std::string failure_;
};

result<cron> cron::parse(std::string_view text) {
  return cron_parser{}.parse(text);
}

}  // namespace millrace::runtime
