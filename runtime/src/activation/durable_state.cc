// SPDX-License-Identifier: MIT
#include "activation/durable_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "block_pool.h"
#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

// Sends of one commit are told apart by the low bits of their numbers.
constexpr unsigned send_bits = 20;

// A root with this much more than twice its content is copied to get rid of what edits orphaned.
constexpr std::size_t root_garbage_bytes = 512;

constexpr std::size_t scratch_bytes_kept = std::size_t{64} << 10U;

// Memory that is kept from commit to commit, so that one of small state allocates nothing but what
// it hands over.
struct encode_scratch {
  std::string flat;
  std::string key;
  std::string value;

  void reset() {
    for (auto* each : {&flat, &key, &value}) {
      each->clear();
      if (each->capacity() > scratch_bytes_kept) {
        *each = {};
      }
    }
  }
};
thread_local encode_scratch scratch;

void append_time(std::string& out, wall_time when) {
  append_little(out, static_cast<std::uint64_t>(when.time_since_epoch().count()));
}

void append_send(std::string& out, const stored_send& what) {
  append_little(out, what.method);
  append_little(out, what.timeout_ms);
  append_id(out, what.type, what.key);
  append_little(out, static_cast<std::uint32_t>(what.params.size()));
  out += what.params;
}

}  // namespace

void durable_state::add_map(map_base& one) noexcept {
  one.next_map_ = maps_;
  maps_ = &one;
}

std::vector<durable_state::map_info> durable_state::maps() const {
  std::vector<map_info> all;
  for (const auto* map = maps_; map != nullptr; map = map->next_map_) {
    all.push_back({map->name_, map->schema_()});
  }
  std::reverse(all.begin(), all.end());
  all.insert(all.end(), paged_maps_.begin(), paged_maps_.end());
  return all;
}

durable_state::extras& durable_state::more() {
  if (!extras_) {
    extras_ = std::make_unique<extras>();
  }
  return *extras_;
}

// `part` of what it holds becomes `bytes`.
void durable_state::recount(std::size_t& part, std::size_t bytes) noexcept {
  bytes_ += bytes - part;
  part = bytes;
}

// --- what records hold ---------------------------------------------------------------------------

using edited_pool = block_pool<record_content, sizeof(record_content)>;

// Cap'n Proto's words follow it, and are read where they lie.
static_assert(sizeof(record_content) % alignof(capnp::word) == 0);

record_content* record_content::make(std::string_view flat, std::unique_ptr<message_body> body) {
  auto* block = body ? edited_pool::take() : ::operator new(sizeof(record_content) + flat.size());
  auto* one = new (block) record_content{flat.size(), std::move(body)};
  if (!flat.empty()) {
    std::memcpy(static_cast<void*>(one + 1), flat.data(), flat.size());
  }
  return one;
}

void record_content::destroy() noexcept {
  const auto pooled = body_ != nullptr;
  this->~record_content();
  pooled ? edited_pool::give(this) : ::operator delete(this);
}

// --- taking back ---------------------------------------------------------------------------------

void state_undo::clear() noexcept {
  used = root = false;
  if (root_words.capacity() > scratch_bytes_kept) {
    root_words = {};
  }
  maps.clear();
  records.clear();
  extras.reset();
  reminders.clear();
  sends.clear();
}

void durable_state::before_any_change() {
  if (!undo_->used) {
    undo_->used = true;
    undo_->dirty = dirty_;
    undo_->root_dirty = root_dirty_;
    undo_->erased = erased_;
    undo_->bytes = bytes_;
  }
}

void durable_state::before_extras_change() {
  if (undo_ == nullptr || undo_->extras) {
    return;
  }
  before_any_change();
  const auto& own = more();
  undo_->extras = {own.pending.encoded().size(), own.sends_in_commit, own.puts,
                   own.outbox_indexed,           own.duties,          own.strangers_erased};
}

void durable_state::before_reminder_change(std::string_view name) {
  if (undo_ == nullptr) {
    return;
  }
  before_extras_change();
  auto& kept = undo_->reminders;
  const auto is_kept = [name](const auto& each) { return each.name == name; };
  if (std::none_of(kept.begin(), kept.end(), is_kept)) {
    const auto* was = find_reminder(name);
    kept.push_back({std::string{name}, was != nullptr ? std::optional{*was} : std::nullopt});
  }
}

void durable_state::before_change(map_base& map, map_base::record_map::iterator one, bool absent) {
  auto& record = one->second;
  if (undo_ == nullptr || record.touched) {
    return;
  }
  before_any_change();
  auto& maps = undo_->maps;
  const auto is_map = [&map](const auto& each) { return each.map == &map; };
  if (std::none_of(maps.begin(), maps.end(), is_map)) {
    maps.push_back({&map, map.dirty_.size(), map.live_});
  }
  record.touched = true;
  undo_->records.push_back({&map, one, absent, record.dirty, record.listed, record.erased,
                            record.version, record.edited});
}

void durable_state::keep_segment() noexcept {
  for (auto& each : std::exchange(undo_, nullptr)->records) {
    auto& record = each.at->second;
    record.touched = false;
#ifdef __SANITIZE_ADDRESS__  // so that it finds who has kept a builder
    if (record.edited) {
      record.edited = content_ref::of_body(record.edited->body()->copy());
    }
#endif
  }
#ifdef __SANITIZE_ADDRESS__  // the same, and a reader
  root_ = root_ ? root_->copy() : nullptr;
#endif
}

void durable_state::take_back_segment() {
  auto& undo = *std::exchange(undo_, nullptr);
  if (!undo.used) {
    return;
  }
  for (auto& each : undo.maps) {
    each.map->dirty_.erase(each.map->dirty_.begin() + static_cast<std::ptrdiff_t>(each.dirty),
                           each.map->dirty_.end());
    each.map->live_ = each.live;
  }
  for (auto& each : undo.records) {
    if (each.absent) {
      each.map->records_.erase(each.at);
      continue;
    }
    auto& record = each.at->second;
    record.edited = std::move(each.edited);
    record.version = each.version;
    record.dirty = each.dirty;
    record.listed = each.listed;
    record.erased = each.erased;
    record.touched = false;
  }
  if (undo.root) {
    root_ = undo.root_there ? message_body::from_flat(undo.root_words) : nullptr;
  }
  if (undo.extras) {
    auto& own = *extras_;
    own.pending.cut_back(undo.extras->pending_bytes);
    own.sends_in_commit = undo.extras->sends_in_commit;
    own.puts = undo.extras->puts;
    own.outbox_indexed = undo.extras->outbox_indexed;
    own.duties = undo.extras->duties;
    own.strangers_erased = undo.extras->strangers_erased;
  }
  for (const auto number : undo.sends) {
    extras_->outbox.erase(number);
  }
  for (const auto& [name, was] : undo.reminders) {
    if (was) {
      extras_->reminders[name] = *was;
    } else {
      extras_->reminders.erase(name);
    }
  }
  dirty_ = undo.dirty;
  root_dirty_ = undo.root_dirty;
  erased_ = undo.erased;
  bytes_ = undo.bytes;
}

// --- changes -------------------------------------------------------------------------------------

std::string durable_state::value_start(std::size_t more) const {
  std::string value;
  value.reserve(sizeof(version_) + more);
  append_little(value, version_ + 1);
  return value;
}

void durable_state::put(row_table table, std::string_view rest, std::string_view value) {
  more().pending.put(actor_row(hash_, table, rest), value);
  extras_->puts = true;
}

void durable_state::erase(row_table table, std::string_view rest) {
  more().pending.erase(actor_row(hash_, table, rest));
}

std::string durable_state::index_value() const {
  std::string value;
  append_id(value, type_, key_);
  return value;
}

message_body& durable_state::edit_root() {
  if (undo_ != nullptr && !undo_->root) {
    before_any_change();
    undo_->root = true;
    undo_->root_there = root_ != nullptr;
    if (root_) {
      root_->flat_into(undo_->root_words);
    }
  }
  if (!root_) {
    root_ = std::make_unique<message_body>();
  }
  root_dirty_ = true;
  dirty_ = true;
  return *root_;
}

void durable_state::erase_root_and_records() {
  for (auto* map = maps_; map != nullptr; map = map->next_map_) {
    map->erase_all();
  }
  erase_strangers();
  static_cast<void>(edit_root());
  root_.reset();
  erased_ = true;
}

// Without its root nothing would tell whose they are.
void durable_state::erase_strangers() {
  if (!extras_ || extras_->strangers.empty() || extras_->strangers_erased) {
    return;
  }
  before_extras_change();
  for (const auto& rest : extras_->strangers) {
    erase(row_table::map, rest);
    bytes_ -= entry_bytes + rest.size();
  }
  extras_->strangers_erased = true;
}

void durable_state::put_paged(std::string_view map, std::string_view key, std::string_view flat) {
  if (auto fits = check_size(flat.size(),
                             "record '" + std::string{key} + "' of map '" + std::string{map} + "'");
      !fits) {
    throw error{std::move(fits).error()};
  }
  if (!root_) {
    static_cast<void>(edit_root());  // or nothing would tell that the actor has rows
  }
  before_extras_change();
  auto value = value_start(flat.size());
  append_words(value, flat);
  more().pending.put(paged_row(hash_, map, key), value);
  dirty_ = true;
}

void durable_state::erase_paged(std::string_view map, std::string_view key) {
  before_extras_change();
  more().pending.erase(paged_row(hash_, map, key));
  dirty_ = true;
}

void durable_state::set_reminder(const std::string& name, stored_reminder what) {
  before_reminder_change(name);
  cancel_reminder(name);
  auto value = value_start();
  append_time(value, what.due);
  append_little(value, static_cast<std::uint64_t>(what.every.count()));
  append_little(value, static_cast<std::uint16_t>(what.catch_up));
  append_little(value, static_cast<std::uint16_t>(what.time_zone.size()));
  value += what.time_zone;
  value += what.cron;
  more().pending.put(actor_row(hash_, row_table::reminder, name), value);  // may be erased again
  extras_->pending.put(reminder_index_row(hash_, what.due, name), index_value());
  what.number = ++extras_->reminders_set;
  bytes_ += entry_bytes;
  extras_->reminders[name] = std::move(what);
  extras_->duties = true;
  dirty_ = true;
}

void durable_state::cancel_reminder(std::string_view name) {
  if (!extras_) {
    return;
  }
  const auto found = extras_->reminders.find(name);
  if (found == extras_->reminders.end()) {
    return;
  }
  before_reminder_change(name);
  erase(row_table::reminder, name);
  extras_->pending.erase(reminder_index_row(hash_, found->second.due, name));
  extras_->reminders.erase(found);
  bytes_ -= entry_bytes;
  dirty_ = true;
}

const stored_reminder* durable_state::find_reminder(std::string_view name) const {
  if (!extras_) {
    return nullptr;
  }
  const auto found = extras_->reminders.find(name);
  return found != extras_->reminders.end() ? &found->second : nullptr;
}

std::uint64_t durable_state::add_send(stored_send what) {
  before_extras_change();
  auto& own = more();
  if (own.sends_in_commit == 1U << send_bits) {
    throw error{errc::too_large, "one commit holds at most " + std::to_string(1U << send_bits) +
                                     " sends; send some after the next co_await"};
  }
  const auto number = ((version_ + 1) << send_bits) | own.sends_in_commit++;
  auto value = value_start();
  append_send(value, what);
  put(row_table::outbox, number_bytes(number), value);
  if (!own.outbox_indexed) {
    own.pending.put(outbox_index_row(hash_), index_value());
    own.outbox_indexed = true;
  }
  bytes_ += bytes_of(what);
  own.outbox.emplace(number, std::move(what));
  own.duties = true;
  dirty_ = true;
  if (undo_ != nullptr) {
    undo_->sends.push_back(number);
  }
  return number;
}

void durable_state::end_send(std::uint64_t number, std::string_view error_text) {
  auto& own = more();
  const auto found = own.outbox.find(number);
  if (found == own.outbox.end()) {
    return;
  }
  if (!error_text.empty()) {
    auto value = value_start();
    append_send(value, found->second);
    value += error_text.substr(0, row_value_bytes_max - value.size());
    own.pending.put(actor_row(hash_, row_table::dead, number_bytes(number)), value);
    own.pending.put(dead_index_row(hash_, number), index_value());
    bytes_ += bytes_of(found->second);
    own.dead.emplace(number, stored_dead_letter{found->second, std::string{error_text}});
  }
  erase(row_table::outbox, number_bytes(number));
  bytes_ -= bytes_of(found->second);
  own.outbox.erase(found);
  if (own.outbox.empty()) {
    own.pending.erase(outbox_index_row(hash_));
    own.outbox_indexed = false;
  }
  untidy_ = true;
}

const std::map<std::string, stored_reminder, std::less<>>& durable_state::reminders()
    const noexcept {
  static const std::map<std::string, stored_reminder, std::less<>> none;
  return extras_ ? extras_->reminders : none;
}

const std::map<std::uint64_t, stored_send>& durable_state::outbox() const noexcept {
  static const std::map<std::uint64_t, stored_send> none;
  return extras_ ? extras_->outbox : none;
}

bool durable_state::was_loaded(std::uint64_t number) const noexcept {
  return extras_ && number >> send_bits <= extras_->loaded_version;
}

const std::map<std::uint64_t, stored_dead_letter>& durable_state::dead_letters() const noexcept {
  static const std::map<std::uint64_t, stored_dead_letter> none;
  return extras_ ? extras_->dead : none;
}

void durable_state::drop_dead_letter(std::uint64_t number) {
  erase(row_table::dead, number_bytes(number));
  extras_->pending.erase(dead_index_row(hash_, number));
  const auto found = extras_->dead.find(number);
  bytes_ -= bytes_of(found->second.what);
  extras_->dead.erase(found);
  dirty_ = true;
}

const received_mark* durable_state::find_received(const actor_hash& sender,
                                                  std::uint64_t number) const {
  if (!extras_) {
    return nullptr;
  }
  const auto found = extras_->inbox.find(hash_bytes(sender));
  return found != extras_->inbox.end() && found->second.number >= number ? &found->second : nullptr;
}

void durable_state::remember_received(const actor_hash& sender, received_mark what) {
  const auto bytes = hash_bytes(sender);
  what.failure.resize(std::min(what.failure.size(), failure_bytes_max));
  auto value = value_start();
  append_little(value, what.number);
  value += what.failure;
  put(row_table::inbox, bytes, value);
  const auto [at, fresh] = more().inbox.try_emplace(bytes);
  bytes_ += (fresh ? entry_bytes : 0) + what.failure.size() - at->second.failure.size();
  at->second = std::move(what);
  dirty_ = true;
}

void durable_state::forget_received(const actor_hash& sender, std::uint64_t number) {
  if (!extras_) {
    return;
  }
  const auto found = extras_->inbox.find(hash_bytes(sender));
  if (found != extras_->inbox.end() && found->second.number <= number) {
    erase(row_table::inbox, found->first);
    bytes_ -= entry_bytes + found->second.failure.size();
    extras_->inbox.erase(found);
    leftover_ = true;
  }
}

bool durable_state::is_over(partition_id senders, std::uint64_t epoch) const noexcept {
  if (!extras_ || epoch == 0) {
    return false;
  }
  const auto found = extras_->sender_epochs.find(senders);
  return found != extras_->sender_epochs.end() && epoch < found->second;
}

void durable_state::end_epochs_before(partition_id senders, std::uint64_t epoch) {
  const auto [at, fresh] = more().sender_epochs.try_emplace(senders);
  if (epoch <= at->second) {
    return;
  }
  bytes_ += fresh ? entry_bytes : 0;
  at->second = epoch;
  auto value = value_start();
  append_little(value, epoch);
  put(row_table::inbox, partition_bytes(senders), value);
  dirty_ = true;
}

// --- committing ----------------------------------------------------------------------------------

result<void> durable_state::check_size(std::size_t bytes, std::string_view what) const {
  if (bytes > record_bytes_max) {
    return error{errc::too_large,
                 std::string{what} + " of " + std::string{type_} + "/" + key_ + " has " +
                     std::to_string(bytes) + " bytes; one record holds at most " +
                     std::to_string(record_bytes_max) + "; split it over several records of a map"};
  }
  return {};
}

result<void> durable_state::encode_root(row_ops& ops) {
  auto& [flat, key, value] = scratch;
  scratch.reset();
  if (root_) {
    root_->flat_into(flat);
    if (flat.size() > 2 * root_bytes_ + root_garbage_bytes) {
      root_ = root_->copy();
      root_->flat_into(flat);
      root_bytes_ = flat.size();
    }
    if (auto fits = check_size(flat.size(), "the state"); !fits) {
      return fits;
    }
    recount(root_counted_, sizeof(message_body) + flat.size());
  } else {
    recount(root_counted_, 0);
    root_bytes_ = 0;
  }
  append_actor_row(key, hash_, row_table::root);
  append_little(value, version_ + 1);
  append_id(value, type_, key_);
  if (erased_) {
    value += erased_mark;
  } else {
    append_words(value, flat);
  }
  ops.put(key, value);
  stored_ = true;
  root_dirty_ = false;
  return {};
}

std::size_t durable_state::change_bytes() noexcept {
  for (auto* map = maps_; map != nullptr; map = map->next_map_) {
    for (; map->counted_ < map->dirty_.size(); ++map->counted_) {
      auto& [key, record] = *map->dirty_[map->counted_];
      record.listed = false;
      map_change_bytes_ += entry_bytes + key.size();
      if (record.edited && !record.erased) {
        map_change_bytes_ += record.edited->body()->sizeInWords() * word_bytes;
      }
    }
  }
  return map_change_bytes_ + (extras_ ? extras_->pending.encoded().size() : 0) +
         (root_dirty_ && root_ ? root_->sizeInWords() * word_bytes : 0);
}

bool durable_state::has_state() const noexcept {
  for (const auto* map = maps_; map != nullptr; map = map->next_map_) {
    if (map->live_ > 0) {
      return true;
    }
  }
  return root_ || !reminders().empty();
}

// Whether it was erased, and there is nothing left that others may ask for.
bool durable_state::may_vanish() const noexcept {
  const auto is_remembered =
      (answers_ && answers_->any()) ||
      (extras_ && !(extras_->outbox.empty() && extras_->dead.empty() && extras_->inbox.empty() &&
                    extras_->sender_epochs.empty()));
  return erased_ && stored_ && !is_remembered && !has_state();
}

result<void> durable_state::encode_map(map_base& one, row_ops& ops) {
  std::vector<map_base::record_map::iterator> erased;
  for (const auto found : one.dirty_) {
    const auto& key = found->first;
    auto& record = found->second;
    record.listed = false;
    if (!std::exchange(record.dirty, false)) {
      continue;
    }
    const auto row_key = actor_row(hash_, row_table::map, map_row_rest(one.name_, key));
    if (record.erased) {
      ops.erase(row_key);
      recount(record.counted, 0);
      erased.push_back(found);
      continue;
    }
    const auto flat = record.edited->body()->copy()->flat();
    record.committed = flat.empty() ? content_ref{} : content_ref::of_words(flat);
    record.edited.reset();
    record.version = version_ + 1;
    recount(record.counted, entry_bytes + key.size() + flat.size());
    if (auto fits = check_size(flat.size(), "record '" + key + "' of map '" + one.name_ + "'");
        !fits) {
      return fits;
    }
    auto value = value_start(flat.size());
    append_words(value, flat);
    ops.put(row_key, value);
  }
  one.dirty_.clear();
  one.counted_ = 0;
  for (const auto each : erased) {
    one.records_.erase(each);
  }
  return {};
}

result<void> durable_state::encode(row_ops& ops) {
  bool puts = false;
  if (extras_) {
    std::swap(ops, extras_->pending);
    puts = std::exchange(extras_->puts, false);
    extras_->sends_in_commit = 0;
    if (std::exchange(extras_->strangers_erased, false)) {
      extras_->strangers.clear();
    }
  }
  for (auto* map = maps_; map != nullptr; map = map->next_map_) {
    puts = puts || std::any_of(map->dirty_.begin(), map->dirty_.end(),
                               [](const auto& each) { return !each->second.erased; });
    if (auto done = encode_map(*map, ops); !done) {
      return done;
    }
  }
  erased_ = erased_ && !has_state();
  vanished_ = may_vanish();
  if (vanished_) {
    ops.erase(actor_row(hash_, row_table::root));
    ops.erase(actor_row(hash_, row_table::version));
    if (answers_ && answers_->marked()) {
      ops.erase(actor_row(hash_, row_table::keyed, keyed_answers::mark_key));
    }
    answers_.reset();
    recount(root_counted_, 0);
    stored_ = erased_ = root_dirty_ = false;
  } else if (root_dirty_ || !stored_) {
    if (auto done = encode_root(ops); !done) {
      return done;
    }
  } else if (!puts) {
    ops.put(actor_row(hash_, row_table::version), value_start());
  }
  if (answers_ && answers_->mark_due()) {
    put_answer_mark(ops);
  }
  if (const auto bytes = ops.encoded().size(); bytes > commit_bytes_limit) {
    return error{errc::too_large, "the changes of " + std::string{type_} + "/" + key_ + " have " +
                                      std::to_string(bytes) + " bytes; one commit holds at most " +
                                      std::to_string(commit_bytes_limit) +
                                      "; change less at a time"};
  }
  dirty_ = untidy_ = leftover_ = false;
  map_change_bytes_ = 0;
  ++version_;
  return {};
}

}  // namespace millrace::runtime::detail
