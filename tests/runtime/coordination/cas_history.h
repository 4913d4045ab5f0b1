// SPDX-License-Identifier: MIT
// Whether what compare-and-sets were told is what became of them.
//
// Each one adds its nonce to a list in the record that it changes, so that the record at the end
// tells which of them happened.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "coordination/coordination_store.h"

namespace millrace::testing {

enum class told : char { nothing = '?', done = 'd', conflict = 'c', unknown = 'u' };

/// One client that adds to one partition's list again and again. What it says, line by line, is
/// what `cas_history` reads; each attempt is said before it is sent.
class appender {
public:
  appender(runtime::coordination_store& store, runtime::partition_id partition)
      : store_(store), partition_(partition) {}

  /// False when the store did not answer.
  template <class Say>
  bool step(Say&& say, runtime::duration patience, const runtime::clock& clock) {
    const auto found = store_.read_partition(partition_, clock.steady() + patience);
    if (!found) {
      return false;
    }
    if (pending_) {
      resolve(say, *found);
    }
    auto wanted = *found ? **found : fresh();
    if (wanted.eligible.size() >= list_max) {
      partition_ = runtime::partition_id{
          static_cast<std::uint16_t>(static_cast<unsigned>(partition_) + partitions_apart)};
      return true;
    }
    wanted.nonce = runtime::mint_nonce();
    wanted.eligible.push_back({{0, wanted.nonce}, ""});
    say(std::string{static_cast<char>(told::nothing)} + " " + std::to_string(wanted.nonce));
    const auto outcome = store_.compare_and_set(wanted, clock.steady() + patience);
    const auto what = std::holds_alternative<runtime::cas_done>(outcome)       ? told::done
                      : std::holds_alternative<runtime::cas_conflict>(outcome) ? told::conflict
                                                                               : told::unknown;
    say(std::string{static_cast<char>(what)} + " " + std::to_string(wanted.nonce));
    if (what == told::unknown) {
      pending_ = wanted;
    }
    return what != told::unknown;
  }

private:
  // What is known of the one before, now that the record was read again.
  template <class Say>
  void resolve(Say&& say, const std::optional<runtime::stored_partition>& found) {
    if (fate_of(*pending_, found) == runtime::cas_fate::succeeded) {
      say(std::string{static_cast<char>(told::done)} + " " + std::to_string(pending_->nonce));
    }
    pending_.reset();
  }
  [[nodiscard]] runtime::stored_partition fresh() const {
    runtime::stored_partition record;
    record.partition = partition_;
    return record;
  }

  // A full list is left, and another begun.
  static constexpr std::size_t list_max = 1000;
  static constexpr unsigned partitions_apart = 16;

  runtime::coordination_store& store_;
  runtime::partition_id partition_;
  std::optional<runtime::stored_partition> pending_;
};

class cas_history {
public:
  void add(const std::string& line) {
    std::istringstream words{line};
    char what = 0;
    std::uint64_t nonce = 0;
    REQUIRE(static_cast<bool>(words >> what >> nonce));
    told_[nonce] = static_cast<told>(what);
  }

  [[nodiscard]] std::size_t count(told what) const {
    std::size_t found = 0;
    for (const auto& [nonce, is] : told_) {
      found += is == what ? 1U : 0U;
    }
    return found;
  }

  /// Fails the test when somebody was told what is not so. `records`: as they are at the end.
  void check(const std::vector<runtime::stored_partition>& records) const {
    std::set<std::uint64_t> happened;
    for (const auto& record : records) {
      for (const auto& copy : record.eligible) {
        CHECK(happened.insert(copy.id.low).second);
        CHECK(told_.contains(copy.id.low));
      }
    }
    for (const auto& [nonce, what] : told_) {
      CAPTURE(nonce);
      if (what == told::done) {
        CHECK(happened.contains(nonce));
      } else if (what == told::conflict) {
        CHECK_FALSE(happened.contains(nonce));
      }
    }
  }

private:
  std::map<std::uint64_t, told> told_;
};

}  // namespace millrace::testing
