// SPDX-License-Identifier: MIT
// Time zones: what clocks on the wall show, from the TZif files of the system (RFC 8536).
//
// A zone is a sequence of spans of time, each with one offset from UTC; they touch, and together
// cover all of time. That view is enough for calendars: between two changes local time goes like
// UTC, at a change it leaps. A leap forward skips local times, a leap back repeats them.
//
// The file's table ends in some year; its footer, a rule like that of POSIX TZ ("second Sunday in
// March"), goes on for ever. Leap seconds are not counted, as in POSIX time.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// The largest TZif file that is read; the largest of tzdata has less than 4 KiB.
inline constexpr std::size_t time_zone_bytes_max = 65'536;

/// A span of time in which a zone's offset stays the same.
struct offset_span {
  std::chrono::sys_seconds begin;  ///< First instant; `sys_seconds::min()` for the first span.
  std::chrono::sys_seconds end;    ///< First instant after; `sys_seconds::max()` for the last.
  std::chrono::seconds offset;     ///< Local time less UTC.

  friend bool operator==(const offset_span&, const offset_span&) = default;
};

/// The rules of one place. Immutable; copies share the table.
///
/// Threading: any thread.
class time_zone {
public:
  /// UTC, without a file.
  time_zone();

  /// Reads the bytes of a TZif file of version 1 to 4. Pure.
  ///
  /// Errors: `invalid_argument` when the bytes are no such file, are cut off, contradict themselves
  /// or count leap seconds (the `right/` zones).
  [[nodiscard]] static result<time_zone> parse(std::string_view name, std::string_view bytes);

  /// As it was asked for: `Europe/Berlin`.
  [[nodiscard]] const std::string& name() const noexcept;

  /// The span that holds `at`; its neighbours have another offset. Cost: O(log changes).
  [[nodiscard]] offset_span span_at(std::chrono::sys_seconds at) const;

  /// Local time at an instant.
  [[nodiscard]] std::chrono::local_seconds to_local(std::chrono::sys_seconds at) const;

private:
  struct table;
  explicit time_zone(std::shared_ptr<const table> rules);

  std::shared_ptr<const table> rules_;
};

/// Reads a zone by its IANA name from the system's files (package tzdata). `UTC` needs no file.
///
/// The only function here that touches the disk. Errors: `invalid_argument` for a name that is no
/// name (`..`, a leading `/`) or a file that `time_zone::parse` refuses, `not_found` when there is
/// no such zone or no tzdata, `storage_failed` when the file cannot be read.
[[nodiscard]] result<time_zone> load_time_zone(
    std::string_view name, const std::string& directory = "/usr/share/zoneinfo");

/// The names under which there are files of zones, in no order; for suggestions. Empty without
/// tzdata.
[[nodiscard]] std::vector<std::string> time_zone_names(
    const std::string& directory = "/usr/share/zoneinfo");

}  // namespace millrace::runtime
