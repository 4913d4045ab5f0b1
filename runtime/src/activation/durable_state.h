// SPDX-License-Identifier: MIT
// Durable state: what one activation keeps in rows, and which of it has changed.
//
// A core without I/O: it is filled from the rows that were read, changed by turns, and asked for
// the puts and deletes of the next commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "activation/keyed_answers.h"
#include "activation/record_words.h"
#include "activation/reminder_times.h"
#include "activation/row_layout.h"
#include "activation/state_undo.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/message.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/state_map.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime::detail {

inline constexpr std::size_t word_bytes = sizeof(capnp::word);

/// What is kept of the text of a failed delivery or keyed call. Texts of errors have some hundred
/// bytes; what is longer has content in it.
inline constexpr std::size_t failure_bytes_max = 4096;

/// A call in the outbox.
struct stored_send {
  std::string type;
  std::string key;
  std::uint16_t method = 0;
  std::uint32_t timeout_ms = 0;
  std::string params;  ///< Flat.
};

[[nodiscard]] stored_send read_send(value_reader& from);

/// A call that was given up.
struct stored_dead_letter {
  stored_send what;
  std::string error_text;
};

/// The last delivery from one sender that was handled.
struct received_mark {
  std::uint64_t number = 0;
  std::string failure;  ///< Why it failed, having changed something; empty: it did not.
};

[[nodiscard]] inline std::size_t bytes_of(const stored_send& what) {
  return entry_bytes + what.type.size() + what.key.size() + what.params.size();
}

/// Threading: as its activation.
class durable_state {
public:
  durable_state(std::string_view type, const std::string& key, const actor_hash& hash)
      : type_(type), key_(key), hash_(hash) {}

  void add_map(map_base& one) noexcept;

  /// A map that the class has.
  struct map_info {
    std::string name;
    capnp::StructSchema schema;
    bool paged = false;  ///< Its records are not read with the others.
  };
  /// For `paged_map`.
  void add_paged_map(map_info one) { paged_maps_.push_back(std::move(one)); }
  /// In the order in which they were added.
  [[nodiscard]] std::vector<map_info> maps() const;

  /// With which the keys of all rows begin.
  [[nodiscard]] std::string rows_prefix() const { return actor_prefix(hash_); }
  /// What `load` needs of what follows it: the same for all actors.
  [[nodiscard]] static std::span<const row_range> rows_to_load();
  /// Takes over what storage has. Unless `is_loaded()` then, pages of answers are to follow.
  /// Errors: `storage_failed` for a row that cannot be understood or belongs to an actor with
  /// another id and the same hash.
  [[nodiscard]] result<void> load(std::vector<row>&& rows, wall_time now);
  [[nodiscard]] bool is_loaded() const noexcept { return !answers_ || answers_->versions_known(); }

  /// From now on what is changed can be taken back. Requires: `undo` is empty.
  void begin_segment(state_undo& undo) noexcept { undo_ = &undo; }
  /// Ends that: what was changed is to be committed. `undo` still tells what it was.
  void keep_segment() noexcept;
  /// Ends that, and makes everything what it was when it began. `undo` still tells what it was.
  void take_back_segment();

  /// Whether an actor of this id has a row, as of the last commit.
  [[nodiscard]] bool stored() const noexcept { return stored_; }
  /// Versions begin above this. Requires: nothing is stored.
  void begin_at(std::uint64_t version) noexcept { version_ = version; }
  /// The same as to erase each record, also of maps that the class does not have any more, and make
  /// the root what it is by default.
  void erase_root_and_records();
  /// Whether the last commit leaves no row of the actor.
  [[nodiscard]] bool vanished() const noexcept { return vanished_; }

  /// Puts a record of a paged map. Errors, thrown: `too_large`.
  void put_paged(std::string_view map, std::string_view key, std::string_view flat);
  void erase_paged(std::string_view map, std::string_view key);

  // The root.
  [[nodiscard]] message_body* root() const noexcept { return root_.get(); }
  [[nodiscard]] message_body& edit_root();

  void set_reminder(const std::string& name, stored_reminder what);
  void cancel_reminder(std::string_view name);
  [[nodiscard]] const stored_reminder* find_reminder(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, stored_reminder, std::less<>>& reminders()
      const noexcept;

  /// Whether it may have sends or reminders in the rows, so that it has to be loaded again if its
  /// activation fails.
  [[nodiscard]] bool has_duties() const noexcept { return extras_ && extras_->duties; }

  /// Gives it its number, higher than that of every earlier send of this actor.
  std::uint64_t add_send(stored_send what);
  /// It was answered, or is given up (then `error_text` says why and it becomes a dead letter).
  void end_send(std::uint64_t number, std::string_view error_text = {});
  [[nodiscard]] const std::map<std::uint64_t, stored_send>& outbox() const noexcept;
  /// Whether a send was found in the rows: not this activation made it.
  [[nodiscard]] bool was_loaded(std::uint64_t number) const noexcept;

  [[nodiscard]] const std::map<std::uint64_t, stored_dead_letter>& dead_letters() const noexcept;
  /// Requires: there is one of that number.
  void drop_dead_letter(std::uint64_t number);

  /// How a delivery with this number, or a later one, ended; null when it has not been handled.
  [[nodiscard]] const received_mark* find_received(const actor_hash& sender,
                                                   std::uint64_t number) const;
  void remember_received(const actor_hash& sender, received_mark what);
  void forget_received(const actor_hash& sender, std::uint64_t number);

  // Of a send that more than one activation of its sender has sent, a copy of an earlier one may
  // still be under way when the last one has said that its number can be forgotten. So of such a
  // send the epoch stays, one for all senders of a partition, and earlier ones are over
  // (docs/architecture/0038).
  [[nodiscard]] bool is_over(partition_id senders, std::uint64_t epoch) const noexcept;
  /// From now on earlier epochs are. Nothing is written that is known already.
  void end_epochs_before(partition_id senders, std::uint64_t epoch);

  // Answers of keyed calls; see `keyed_answers`.
  /// The answer, if memory has it; else null.
  [[nodiscard]] const stored_answer* find_answer(std::uint16_t method, std::string_view key,
                                                 wall_time now) const;
  /// Whether one that memory does not have may be in its row.
  [[nodiscard]] bool may_have_answer_row(std::uint16_t method, std::string_view key) const;
  [[nodiscard]] row_range answer_row(std::uint16_t method, std::string_view key) const;
  /// Of what was read of that: nothing when there is none, or none any more.
  [[nodiscard]] result<std::optional<stored_answer>> read_answer(const std::vector<row>& rows,
                                                                 wall_time now) const;
  /// `commit`: the number of the commit that it will be in.
  void remember_answer(std::uint16_t method, std::string_view key, stored_answer what,
                       std::uint64_t commit);
  /// Commits up to that number are durable. Gives whether the next page of rows has waited for it.
  [[nodiscard]] bool answers_saved(std::uint64_t commit) {
    return answers_ && answers_->saved(commit);
  }
  /// When a page of rows is to be read, to see which there are and to erase those that have
  /// expired.
  [[nodiscard]] wall_time answer_page_due() const noexcept {
    return answers_ ? answers_->page_due() : wall_time::max();
  }
  [[nodiscard]] bool reads_answers() const noexcept { return answers_ && answers_->reading(); }
  /// Requires: none is being read, and there are rows of answers.
  [[nodiscard]] row_range begin_answer_page();
  /// Takes it. `commit`: the number of the next one. Errors: as `load`, while it is not loaded;
  /// later a page that cannot be read is asked for again.
  [[nodiscard]] result<void> take_answer_page(const result<std::vector<row>>& rows, wall_time now,
                                              std::uint64_t commit);

  /// Something must be committed before what follows from it may leave.
  [[nodiscard]] bool dirty() const noexcept { return dirty_; }
  /// Something is worth a commit but nothing depends on it.
  [[nodiscard]] bool untidy() const noexcept { return untidy_; }
  /// Anything to be written by the next commit; also what alone would not be worth one.
  [[nodiscard]] bool changed() const noexcept {
    return dirty_ || untidy_ || leftover_ || (answers_ && answers_->mark_due());
  }

  /// How much the next commit will hold, about: what was changed several times counts several
  /// times. Cost: what was changed since the last call.
  [[nodiscard]] std::size_t change_bytes() noexcept;

  /// What it holds in memory as of the last commit, about. Cost: none; kept up to date.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_ + (answers_ ? answers_->bytes() : 0);
  }

  /// The version that the last commit has.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

  /// Appends the changes since the last call to `ops` and counts the version up.
  /// Requires: changed(). Errors: `too_large`, naming it, for a record over `record_bytes_max` and
  /// for changes over `commit_bytes_limit`; the activation must be given up then.
  [[nodiscard]] result<void> encode(row_ops& ops);

  /// A record is about to change. `absent`: it was made for that. Called by its map.
  void before_change(map_base& map, map_base::record_map::iterator one, bool absent);
  void map_changed() noexcept { dirty_ = true; }

private:
  // What few actors have.
  struct extras {
    std::map<std::string, stored_reminder, std::less<>> reminders;
    std::uint64_t reminders_set = 0;
    std::map<std::uint64_t, stored_send> outbox;
    std::map<std::uint64_t, stored_dead_letter> dead;
    std::map<std::string, received_mark> inbox;  // by the sender's hash bytes
    std::map<partition_id, std::uint64_t> sender_epochs;
    std::uint64_t loaded_version = 0;  // 0: there was nothing of this

    row_ops pending;    // of everything but the root and the maps
    bool puts = false;  // among `pending`, a row that tells the version, and is not erased with it
    std::uint32_t sends_in_commit = 0;
    bool outbox_indexed = false;
    bool duties = false;  // it has or had reminders or sends

    // Rows of maps that the class does not have, by what follows `row_table::map` in their keys.
    std::vector<std::string> strangers;
    bool strangers_erased = false;  // by the next commit
  };

  [[nodiscard]] extras& more();
  // Called before the first change of a kind: keep what it was, if it may be taken back.
  void before_any_change();
  void before_extras_change();
  void before_reminder_change(std::string_view name);
  [[nodiscard]] result<void> check_size(std::size_t bytes, std::string_view what) const;
  void recount(std::size_t& part, std::size_t bytes) noexcept;
  /// What a value begins with, and room for `more` bytes.
  [[nodiscard]] std::string value_start(std::size_t more = 0) const;
  void put(row_table table, std::string_view rest, std::string_view value);
  void erase(row_table table, std::string_view rest);
  [[nodiscard]] std::string index_value() const;
  void erase_strangers();
  [[nodiscard]] keyed_answers& answers();
  [[nodiscard]] result<void> take_findings(const keyed_answers::findings& found);
  void put_answer_mark(row_ops& ops);

  // state_loading.cc: `rest` of a row's key and what is left of its value; false when it cannot be
  // understood.
  [[nodiscard]] bool load_row(row_table table, std::string_view rest, std::string_view value);
  [[nodiscard]] bool load_root(value_reader& from, bool compressed);
  [[nodiscard]] bool load_record(std::string_view rest, std::string_view stored, bool compressed,
                                 std::uint64_t row_version);
  [[nodiscard]] bool load_reminder(std::string_view rest, value_reader& from);
  [[nodiscard]] bool load_send(row_table table, std::string_view rest, value_reader& from);
  [[nodiscard]] bool load_received(std::string_view rest, value_reader& from);
  [[nodiscard]] result<void> load_answers(const std::vector<row>& rows, wall_time now);
  [[nodiscard]] bool has_state() const noexcept;
  [[nodiscard]] bool may_vanish() const noexcept;
  [[nodiscard]] result<void> encode_root(row_ops& ops);
  [[nodiscard]] result<void> encode_map(map_base& one, row_ops& ops);

  std::string_view type_;
  const std::string& key_;
  actor_hash hash_;
  std::unique_ptr<message_body> root_;
  map_base* maps_ = nullptr;
  std::vector<map_info> paged_maps_;
  std::unique_ptr<extras> extras_;
  std::unique_ptr<keyed_answers> answers_;  // null: there are none
  state_undo* undo_ = nullptr;              // while code of the actor runs
  std::uint64_t version_ = 0;
  std::size_t bytes_ = 0;
  std::size_t map_change_bytes_ = 0;
  std::size_t root_counted_ = 0;  // the root's part of it
  std::size_t root_bytes_ = 0;    // when it was last free of garbage
  bool dirty_ = false;
  bool untidy_ = false;
  bool leftover_ = false;
  bool root_dirty_ = false;
  bool stored_ = false;  // a root row exists
  bool erased_ = false;  // its state was, and it has got no other since
  bool vanished_ = false;
};

}  // namespace millrace::runtime::detail
