// SPDX-License-Identifier: MIT
// History: what the clients of a system have asked, and what they were told, in the order of time.
//
// A line of JSON an event: `{"t": ns, "process": n, "type": "invoke"|"ok"|"fail"|"info", "f": ...,
// "key": ..., "value": ...}`. A process does one thing at a time: what it begins by `invoke` ends
// by the next event of it. `ok`: it has happened; `fail`: it has not, and never will; `info`, or no
// end: nobody knows, and it may still happen at any time.
#pragma once

#include <cstdint>
#include <istream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace chaos {

using nlohmann::json;

enum class event_type : std::uint8_t { invoke, ok, fail, info };

struct event {
  std::int64_t t = 0;         ///< Nanoseconds of one clock.
  std::uint64_t process = 0;  ///< Of the client.
  event_type type = event_type::invoke;
  std::string f;    ///< What is asked, such as `write`.
  std::string key;  ///< Of whom.
  json value;       ///< Of an invocation what it is asked with, of an end what is answered.
};

using history = std::vector<event>;

/// One line, without its end.
[[nodiscard]] std::string line_of(const event& one);
/// Nothing for a line that is no event.
[[nodiscard]] std::optional<event> event_of(const std::string& line);
/// Errors: throws `std::runtime_error` with the number of a line that is no event.
[[nodiscard]] history read_history(std::istream& from);

/// An invocation and its end.
struct operation {
  static constexpr std::size_t never = SIZE_MAX;

  std::string f;
  std::string key;
  json asked;
  json answered;            ///< Of one that is `ok`.
  std::size_t begin = 0;    ///< Place in the history.
  std::size_t end = never;  ///< The same; `never` if nobody knows whether it has happened.
  [[nodiscard]] bool is_known() const noexcept { return end != never; }
};

/// The operations of a history that may have happened, by their begin. `mistake` becomes what is
/// wrong with a history that is none, such as an end of what has not begun.
[[nodiscard]] std::vector<operation> operations_of(const history& events, std::string& mistake);

}  // namespace chaos
