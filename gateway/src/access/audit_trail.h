// SPDX-License-Identifier: MIT
// Audit trail: what this process's clients did, on its way to the actor that keeps it (`Audit`).
//
// What a token, or an address without one, is refused (4xx) is one entry for the first, and one for
// all others of a minute, which is the last of them and says how many: else who is refused often
// enough could push all else out.
//
// Entries are collected for a moment and stored together, so a second's requests cost one commit.
// What cannot be stored waits; past `entries_max` the newest are left out, and an entry says how
// many. Entries whose call lost its answer may be stored twice. The lines of
// the log have them all in any case.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "http/server.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Key of the one `Audit` actor.
inline constexpr const char* audit_key = "log";

/// Of a target, in entries and lines.
inline constexpr std::size_t audit_target_max = 200;

/// Threading: any. Cost of `add`: a short lock.
class audit_trail {
public:
  static constexpr std::size_t entries_max = 10'000;
  /// Tokens and addresses whose refusals of a minute are counted apart; the others share.
  static constexpr std::size_t refused_max = 1'000;

  /// `warn`: told when entries cannot be stored. Requires: `here` outlives it.
  audit_trail(runtime::silo& here, std::function<void(const std::string&)> warn);
  audit_trail(const audit_trail&) = delete;
  audit_trail& operator=(const audit_trail&) = delete;
  /// Stores what is left, for a second at most.
  ~audit_trail();

  void add(const http::access_entry& what);

private:
  struct shared;  // with answers that come when this has gone

  void run();

  runtime::silo& here_;
  const std::function<void(const std::string&)> warn_;
  const std::shared_ptr<shared> shared_;
  std::thread thread_;
};

}  // namespace millrace::gateway
