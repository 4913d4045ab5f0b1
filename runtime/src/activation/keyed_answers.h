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
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "activation/key_filter.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime::detail {

/// The remembered outcome of a keyed call.
struct stored_answer {
  std::uint64_t request_hash = 0;
  wall_time expires{};
  std::string results;   ///< Flat; or why the outcome is not known.
  bool unknown = false;  ///< It has changed something and not ended well, as far as is known.
};

/// What the value of its row begins with; `results` follow.
struct answer_head {
  static constexpr std::size_t bytes = 24;
  std::uint64_t version = 0;
  std::uint64_t request_hash = 0;
  wall_time expires{};
};
void append_answer_head(std::string& value, const answer_head& head);
/// Nothing: the value is too short for one, or was written by a later program in another way.
[[nodiscard]] std::optional<answer_head> read_answer_head(std::string_view value);

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
  /// Rows of one page. Of rows whose values are large storage does not look at so many at a time,
  /// see `row_range::value_bytes_max`: then the next page begins at the first that comes empty.
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
  [[nodiscard]] bool any() const noexcept { return known_rows_ != rows_known::all || rows_ > 0; }

  /// It is in the commit of that number, in place of an earlier one.
  void remember(std::string_view key, stored_answer what, std::uint64_t commit);
  /// The commits up to that one are durable. Gives whether the next page has waited for it.
  bool saved(std::uint64_t commit);

  /// What rows have told.
  struct findings {
    std::vector<std::string> expired;  ///< Keys whose rows are to be erased.
    std::uint64_t version = 0;         ///< The highest.
    bool damaged = false;  ///< One that has to be known cannot be read: it may be higher.
  };
  /// Takes the first rows of an actor that is loaded, `first_rows` at most.
  [[nodiscard]] findings take_first(const std::vector<row>& rows, wall_time now);

  /// Whether no row has a version that is higher than those of all other rows of the actor, or it
  /// has been told. If not, no turn may begin before all pages are read.
  [[nodiscard]] bool versions_known() const noexcept { return known_rows_ != rows_known::some; }

  /// When the next page is to be read; never before the one that is being read is there, and what
  /// it has found to be erased is durable: so one commit has the erasures of one page.
  [[nodiscard]] wall_time page_due() const noexcept {
    return reading_ || erased_in_ > durable_ ? wall_time::max() : page_due_;
  }
  [[nodiscard]] bool reading() const noexcept { return reading_; }
  /// The page to read now. `prefix`: of the rows. Requires: none is being read.
  [[nodiscard]] row_range begin_page(const std::string& prefix);
  /// Takes it. `commit`: the number of the commit that will erase what has expired.
  [[nodiscard]] findings take_page(const std::vector<row>& rows, wall_time now,
                                   std::uint64_t commit);
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
  enum class rows_known : std::uint8_t {
    some,      ///< One that has not been read may have the actor's highest version.
    versions,  ///< None of those has it; any key may have one of them.
    all,       ///< `known_` has the keys of all.
  };
  enum class pass : std::uint8_t {
    none,
    to_last,     ///< From where it has begun.
    from_first,  ///< To where it has begun.
  };

  void begin_pass(std::string from);
  void end_pass(wall_time now);
  [[nodiscard]] bool take(const std::vector<row>& rows, wall_time now, findings& found);
  void forget_saved();

  std::map<std::string, unsaved_answer, std::less<>> unsaved_;
  std::uint64_t durable_ = 0;    // commits up to it are
  std::uint64_t erased_in_ = 0;  // the commit with what the last page has found to be erased
  std::size_t bytes_ = 0;        // of `unsaved_`

  key_filter known_;      // keys with a row
  key_filter passed_;     // those that the pass has found, and that were remembered since it began
  std::size_t rows_ = 0;  // about
  std::size_t passed_rows_ = 0;  // of `passed_`
  wall_time passed_expiry_ = wall_time::max();
  std::size_t remembered_ = 0;  // since the last page
  std::string pass_began_;
  std::string next_;       // where the next page begins
  std::string marked_at_;  // the same, as the mark has it
  wall_time page_due_ = wall_time::max();
  rows_known known_rows_ = rows_known::all;
  pass pass_ = pass::none;
  bool marked_ = false;
  bool reading_ = false;
};

}  // namespace millrace::runtime::detail
