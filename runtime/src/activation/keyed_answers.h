// SPDX-License-Identifier: MIT
// Keyed answers: what an activation knows of the keyed calls that its actor has answered.
//
// The answers lie in rows, one a key, and stay there. Memory has those that no commit has made
// durable yet, and a filter of the keys that may have a row: of any other key it is known without a
// read that it is new. Rows that other activations have written are found by a pass, page by page
// and with no more than the head of each, which also finds those that have expired. A pass goes on
// where the one of the last activation has stopped, or lives that are short would never see the
// last rows.
//
// An actor with few rows is known when it is loaded. One with many has to know that none of them
// holds its highest version before it may believe that it knows its own: see docs/architecture/0058
// for the mark that tells so.
//
// Pure: rows and time come in, what is to be read and erased goes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "activation/key_filter.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime::detail {

/// What a record, a reminder, a send or a remembered answer takes beside its content: a node of a
/// map with its key.
inline constexpr std::size_t entry_bytes = 128;

/// The remembered outcome of a keyed call.
struct stored_answer {
  std::uint64_t request_hash = 0;
  wall_time expires{};
  std::string results;   ///< Flat; or why the outcome is not known.
  bool unknown = false;  ///< It has changed something and not ended well, as far as is known.
};

/// Keys are what follows `row_table::keyed` in those of the rows.
///
/// Threading: as its activation.
/// Time: that of the wall, which answers expire by.
class keyed_answers {
public:
  /// How many rows are asked for when an actor is loaded: one more than are taken for few.
  static constexpr std::size_t first_rows = 65;
  /// What is asked for of each: enough for a mark, with a key in it.
  static constexpr std::size_t first_bytes = 256;
  /// Rows of one page.
  static constexpr std::size_t page_rows = 512;
  /// Between two pages, unless more is remembered meanwhile than half a page.
  static constexpr duration page_interval = std::chrono::milliseconds{20};
  /// Between the end of a pass and the next.
  static constexpr duration pass_interval = std::chrono::hours{1};
  /// Above all other keys: no call has the key "".
  static constexpr std::string_view mark_key{"\0\0", 2};

  /// The answer of a key, if memory has it; else null.
  [[nodiscard]] const stored_answer* find(std::string_view key, wall_time now) const;
  /// Whether a key of which memory has no answer may have one in a row.
  [[nodiscard]] bool may_have_row(std::string_view key) const noexcept;
  /// Whether there may be any row but a mark.
  [[nodiscard]] bool any() const noexcept { return any_; }

  /// It is in the commit of that number, in place of an earlier one.
  void remember(std::string_view key, stored_answer what, std::uint64_t commit);
  /// The commits up to that one are durable.
  void saved(std::uint64_t commit);

  /// What rows have told.
  struct findings {
    std::vector<std::string> expired;  ///< Keys whose rows are to be erased.
    std::uint64_t version = 0;         ///< The highest.
    bool damaged = false;              ///< One cannot be read, so `version` is not certain.
  };
  /// Takes the first rows of an actor that is loaded, `first_rows` at most.
  [[nodiscard]] findings take_first(const std::vector<row>& rows, wall_time now);

  /// Whether no row has a version that is higher than those of all other rows of the actor, or it
  /// has been told. If not, no turn may begin before all pages are read.
  [[nodiscard]] bool versions_known() const noexcept { return versions_known_; }

  /// When the next page is to be read; never before the one that is being read is there.
  [[nodiscard]] wall_time page_due() const noexcept {
    return reading_ ? wall_time::max() : page_due_;
  }
  [[nodiscard]] bool reading() const noexcept { return reading_; }
  /// The page to read now. `prefix`: of the rows. Requires: none is being read.
  [[nodiscard]] row_range begin_page(const std::string& prefix);
  /// Takes it.
  [[nodiscard]] findings take_page(const std::vector<row>& rows, wall_time now);
  /// It cannot be read, and is asked for again after a while.
  void page_failed(wall_time now);

  /// Whether the mark is to be written, or written anew since the pass has come further.
  [[nodiscard]] bool mark_due() const noexcept;
  /// Where the next pass goes on, to be written into it.
  [[nodiscard]] std::string_view take_mark();
  /// Whether there is one in the rows.
  [[nodiscard]] bool marked() const noexcept { return marked_; }

  /// What it holds, about. Cost: none.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_ + known_.bytes() + passed_.bytes();
  }

private:
  struct unsaved_answer {
    stored_answer what;
    std::uint64_t commit;
  };

  void begin_pass(std::string from);
  void end_pass(wall_time now);
  void take(const std::vector<row>& rows, wall_time now, findings& what);
  void forget_saved();

  std::map<std::string, unsaved_answer, std::less<>> unsaved_;
  std::uint64_t durable_ = 0;  // commits up to it are
  std::size_t bytes_ = 0;      // of `unsaved_`

  key_filter known_;      // keys with a row; if `all_known_`, all of them
  key_filter passed_;     // those that the pass has found, and that were remembered since it began
  std::size_t rows_ = 0;  // about
  std::size_t passed_rows_ = 0;  // of `passed_`
  wall_time passed_expiry_ = wall_time::max();
  std::size_t remembered_ = 0;  // since the last page
  std::string pass_began_;
  std::string next_;       // where the next page begins
  std::string marked_at_;  // the same, as the mark has it
  wall_time page_due_ = wall_time::max();
  bool any_ = false;
  bool all_known_ = true;
  bool versions_known_ = true;
  bool marked_ = false;
  bool passing_ = false;
  bool wrapped_ = false;  // the pass has begun again at the first row
  bool reading_ = false;
};

}  // namespace millrace::runtime::detail
