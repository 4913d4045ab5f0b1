// SPDX-License-Identifier: MIT
// Audit trail: what this process's clients did, on its way to the actor that keeps it (`Audit`).
//
// What a token, or an address without one, is refused (4xx) is one entry for the first, and one for
// all others of a minute, which is the last of them and says how many: else who is refused often
// enough could push all else out.
//
// Likewise what a token does over and over: of one operation `same_max` a minute are entries of
// their own, and the last of the others is one for them all. So there is room for what others do,
// here and in the actor, which keeps the newest.
//
// Entries are collected for a moment and stored together, so a second's requests cost one commit;
// where there are many, the next are stored at once. What cannot be stored waits; past
// `entries_max`, and of one client past a quarter of that, the newest are left out, and an entry
// says how many. Entries whose call lost its answer may be stored twice. The lines of the log have
// them all, as far as somebody reads these (line_queue.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "http/server.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Key of the one `Audit` actor.
inline constexpr const char* audit_key = "log";

/// Of a target, in entries and lines: what can be asked for has less.
inline constexpr std::size_t audit_target_max = 1'024;

/// What was asked for, so that it can be read: the path as routes see it, with what is no plain
/// ASCII as `%XX`, and the query as it came; cut at `audit_target_max`.
[[nodiscard]] std::string audit_target(const http::access_entry& what);

/// Threading: any. Cost of `add`: a short lock.
class audit_trail {
public:
  static constexpr std::size_t entries_max = 10'000;
  /// Tokens and addresses whose refusals of a minute are counted apart; the others share.
  static constexpr std::size_t refused_max = 1'000;
  static constexpr std::size_t same_max = 500;

  /// `warn`: told when entries cannot be stored. Requires: `here` outlives it.
  audit_trail(runtime::silo& here, std::function<void(const std::string&)> warn);
  audit_trail(const audit_trail&) = delete;
  audit_trail& operator=(const audit_trail&) = delete;
  /// Stores what is left, for a second at most.
  ~audit_trail();

  /// `operation`: as /openapi.json calls it.
  void add(const http::access_entry& what, std::string_view operation);

private:
  struct shared;  // with answers that come when this has gone

  void run();

  runtime::silo& here_;
  const std::function<void(const std::string&)> warn_;
  const std::shared_ptr<shared> shared_;
  std::thread thread_;
};

}  // namespace millrace::gateway
