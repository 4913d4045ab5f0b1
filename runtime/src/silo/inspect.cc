// SPDX-License-Identifier: MIT
// Inspection of activations and of what is stored.
#include "millrace/runtime/inspect.h"

#include "activation/durable_state.h"
#include "activation/record_words.h"
#include "activation/row_layout.h"
#include "byte_order.h"
#include "millrace/runtime/json.h"
#include "silo/list_cursor.h"
#include "silo/silo_core.h"
#include "storage/replication.h"

namespace millrace::runtime {

std::string_view to_string(activation_phase phase) noexcept {
  switch (phase) {
    case activation_phase::loading:
      return "loading";
    case activation_phase::activating:
      return "activating";
    case activation_phase::active:
      return "active";
    case activation_phase::deactivating:
      return "deactivating";
    case activation_phase::failing:
      return "failing";
    case activation_phase::gone:
      return "gone";
  }
  return "unknown";
}

namespace detail {

namespace {

// Rows looked at for one page of stored actors.
constexpr std::size_t page_rows_max = 100'000;

// An actor with so many rows before its root is skipped by a new search.
constexpr std::size_t rows_skipped_max = 512;

// JSON of the records in one page of a map.
constexpr std::size_t page_bytes_max = 4U << 20U;

// Records may be large, so few are read at a time.
constexpr std::size_t records_read = 16;

actor_hash hash_from(std::string_view bytes) {
  return {load_big<std::uint64_t>(bytes.data()), load_big<std::uint64_t>(bytes.data() + 8)};
}

// The first key that follows every row of an actor.
std::string past_actor(const actor_hash& hash) {
  return actor_prefix(hash) + '\xff';
}

}  // namespace

result<const actor_type*> silo_core::hosted(std::string_view type) const {
  const auto* found = find_type(type);
  if (found == nullptr) {
    return error{errc::unimplemented, "no actor type '" + std::string{type} + "' on this silo"};
  }
  return found;
}

result<std::vector<std::string>> silo_core::hosts_of(const actor_id& actor) const {
  const auto known = hosted(actor.type);
  if (!known) {
    return known.error();
  }
  if (auto valid = validate_key(actor.key); !valid) {
    return std::move(valid).error();
  }
  return router_.joined() ? router_.hosts_of(*(*known)->interface, actor.key)
                          : std::vector{options_.name};
}

result<std::uint64_t> silo_core::epoch_of_led(const interface_info& interface,
                                              std::string_view key) const {
  if (interface.placement != actor_placement::partition) {
    return std::uint64_t{0};
  }
  const auto partition =
      partition_of(interface.group, key, interface.affinity, rows_->partition_count());
  const auto epoch = epoch_of(partition);
  if (epoch == 0) {
    return error{errc::not_primary, "silo '" + options_.name + "' does not lead partition " +
                                        std::to_string(static_cast<unsigned>(partition)) +
                                        ", in which " + std::string{interface.type} + "/" +
                                        std::string{key} + " lies"};
  }
  return epoch;
}

// --- activations ---------------------------------------------------------------------------------

result<activation_list> silo_core::activations(std::string_view type, const list_page& page) {
  const auto known = hosted(type);
  if (!known) {
    return known.error();
  }
  std::optional<actor_hash> after;
  if (!page.cursor.empty()) {
    const auto bytes = bytes_of(page.cursor, 16);
    if (!bytes) {
      return bytes.error();
    }
    after = hash_from(*bytes);
  }
  activation_list list;
  const auto now = time_.steady();
  const auto more = directory_.visit_page(
      after, std::max<std::size_t>(page.limit, 1),
      [&](const activation& one) {
        return &one.type() == *known && one.key().starts_with(page.prefix);
      },
      [&](const activation& one) {
        list.items.push_back(one.observe(now));
        after = one.hash();
      });
  if (more) {
    list.next = hex_of(hash_bytes(*after));
  }
  return list;
}

result<bool> silo_core::deactivate(const actor_id& actor) {
  const auto known = hosted(actor.type);
  if (!known) {
    return known.error();
  }
  if (auto valid = validate_key(actor.key); !valid) {
    return std::move(valid).error();
  }
  const auto& interface = *(*known)->interface;
  if (const auto led = epoch_of_led(interface, actor.key); !led) {
    return led.error();
  }
  const auto hash = hash_of(actor.type, actor.key);
  const auto pooled = interface.placement == actor_placement::stateless;
  const auto workers = pooled ? workers_of(interface) : std::uint16_t{1};
  auto any = false;
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    if (auto* found = directory_.find(hash_of_worker(hash, worker))) {
      found->post_or_drop(new envelope{envelope_kind::release});
      found->release();
      any = true;
    }
  }
  return any;
}

// --- what is stored ------------------------------------------------------------------------------

namespace {

constexpr std::string_view actors_prefix{"\0", 1};

// Collects the roots of one type, as rows pass by in their order.
class root_search {
public:
  root_search(const actor_type& type, const list_page& page, stored_list& into)
      : type_(type), page_(page), into_(into) {}

  // False to end this pass: there is enough, or the rows of an actor are to be skipped.
  bool visit(const row& one) {
    const auto hash = std::string_view{one.key}.substr(1, 16);
    rows_of_actor_ = hash == last_ ? rows_of_actor_ + 1 : 0;
    last_ = hash;
    ++rows_;
    if (static_cast<row_table>(one.key[actor_prefix_bytes]) == row_table::root) {
      take(one);
      enough_ =
          into_.items.size() >= std::max<std::size_t>(page_.limit, 1) || rows_ >= page_rows_max;
      return !enough_;
    }
    if (rows_of_actor_ < rows_skipped_max) {
      return true;
    }
    const auto root = actor_row(hash_from(hash), row_table::root);
    skip_to_ = one.key < root ? root : past_actor(hash_from(hash));
    rows_of_actor_ = 0;
    return false;
  }

  [[nodiscard]] bool enough() const { return enough_; }
  // Of the actor that was looked at last.
  [[nodiscard]] const std::string& last() const { return last_; }
  // Where the next pass begins; empty: this one came to its end.
  [[nodiscard]] std::string take_skip() { return std::exchange(skip_to_, {}); }

private:
  void take(const row& one) {
    value_reader value{one.value};
    stored_actor found;
    found.version = value.u64() & ~compressed_flag;
    auto id = value.id();
    if (value.ok() && id.type == type_.interface->type && id.key.starts_with(page_.prefix) &&
        value.rest() != erased_mark) {
      found.key = std::move(id.key);
      found.state_bytes = value.rest().size();
      into_.items.push_back(std::move(found));
    }
  }

  const actor_type& type_;
  const list_page& page_;
  stored_list& into_;
  std::size_t rows_ = 0;
  std::size_t rows_of_actor_ = 0;
  bool enough_ = false;
  std::string last_;
  std::string skip_to_;
};

}  // namespace

result<stored_list> silo_core::stored_actors(std::string_view type, const list_page& page) {
  const auto known = hosted(type);
  if (!known) {
    return known.error();
  }
  std::uint16_t partition = 0;
  std::string from{actors_prefix};
  if (!page.cursor.empty()) {
    const auto place = bytes_of(page.cursor, 18);  // the partition, the hash of the last actor
    if (!place) {
      return place.error();
    }
    partition = load_big<std::uint16_t>(place->data());
    from = past_actor(hash_from(place->substr(2)));
  }
  stored_list list;
  root_search search{**known, page, list};
  while (partition < rows_->partition_count() && !search.enough()) {
    const auto is_here = epoch_of(partition_id{partition}) != 0;  // others list what they lead
    auto read = is_here ? rows_->scan(partition_id{partition}, actors_prefix, from, SIZE_MAX,
                                      [&](const row& one) { return search.visit(one); })
                        : result<void>{};
    if (!read) {
      return std::move(read).error();
    }
    from = search.take_skip();
    if (search.enough()) {
      std::string place(2, '\0');
      store_big(place.data(), partition);
      list.next = hex_of(place + search.last());
    } else if (from.empty()) {
      from = actors_prefix;
      ++partition;
    }
  }
  for (auto& each : list.items) {
    if (auto* one = directory_.find(hash_of(type, each.key))) {
      each.active = true;
      one->release();
    }
  }
  return list;
}

// --- one actor's state ---------------------------------------------------------------------------

namespace {

// The JSON of the words that a value ends with; `version` is what it starts with. False for what
// cannot be read.
bool append_json(std::uint64_t version, const value_reader& value, capnp::StructSchema schema,
                 std::string& out) {
  std::optional<std::string> words{std::in_place,
                                   value.rest() == erased_mark ? std::string_view{} : value.rest()};
  if ((version & compressed_flag) != 0) {
    words = decompress_words(value.rest());
  }
  if (!value.ok() || !words || words->size() % sizeof(capnp::word) != 0) {
    return false;
  }
  to_json(schema, any_message::from_flat(*words), out, json_secrets::masked);
  return true;
}

error unreadable(const actor_id& actor) {
  return {errc::storage_failed, "a stored row of " + actor.to_string() + " cannot be read"};
}

}  // namespace

result<std::vector<durable_state::map_info>> silo_core::maps_of(const actor_type& type,
                                                                const actor_id& actor) {
  auto* const specimen = make(type, actor.key, hash_of(actor.type, actor.key));
  const auto failure = specimen->make_object();
  auto maps = specimen->state().maps();
  specimen->release();
  if (failure) {
    return error{errc::internal, "making an actor of type " + actor.type + " failed: " + *failure};
  }
  return maps;
}

result<std::string> silo_core::root_json(const actor_type& type, const actor_id& actor,
                                         partition_id partition) {
  auto found = false;
  auto readable = true;
  std::string json;
  const auto key = actor_row(hash_of(actor.type, actor.key), row_table::root);
  auto read = rows_->scan(partition, key, key, 1, [&](const row& one) {
    found = true;
    value_reader value{one.value};
    const auto version = value.u64();
    readable = value.id() == actor &&
               (type.state == nullptr || append_json(version, value, type.state(), json));
    return false;
  });
  if (!read) {
    return std::move(read).error();
  }
  if (!found) {
    return error{errc::not_found, actor.to_string() + " has nothing stored"};
  }
  return readable ? result{std::move(json)} : unreadable(actor);
}

result<map_state> silo_core::read_map(const durable_state::map_info& map, const actor_id& actor,
                                      partition_id partition, const state_request& wanted) {
  const auto hash = hash_of(actor.type, actor.key);
  const auto prefix = map.paged ? paged_row(hash, map.name, {})
                                : actor_row(hash, row_table::map, map_row_rest(map.name, {}));
  map_state into{map.name, {}, false};
  std::size_t bytes = 0;
  auto readable = true;
  const auto visit = [&](const row& one) {
    if (into.records.size() >= std::max<std::size_t>(wanted.limit, 1) || bytes >= page_bytes_max) {
      into.more = true;
      return false;
    }
    value_reader value{one.value};
    const auto version = value.u64();
    auto& record = into.records.emplace_back(map_state::record{one.key.substr(prefix.size()), {}});
    readable = append_json(version, value, map.schema, record.json);
    bytes += record.json.size();
    return readable;
  };
  auto from = prefix + wanted.after + (wanted.after.empty() ? "" : std::string(1, '\0'));
  for (auto again = true; again;) {
    std::size_t seen = 0;
    auto read = rows_->scan(partition, prefix, from, records_read, [&](const row& one) {
      ++seen;
      from = one.key + '\0';
      return visit(one);
    });
    if (!read) {
      return std::move(read).error();
    }
    again = seen == records_read && readable && !into.more;
  }
  return readable ? result{std::move(into)} : unreadable(actor);
}

result<actor_state> silo_core::read_state(const actor_type& type, const actor_id& actor,
                                          partition_id partition, const state_request& wanted) {
  actor_state state;
  auto root = root_json(type, actor, partition);
  auto maps = root ? maps_of(type, actor) : root.error();
  if (!maps) {
    return std::move(maps).error();
  }
  std::string names;
  for (const auto& map : *maps) {
    names += (names.empty() ? "" : ", ") + map.name;
    if (wanted.map.empty() || wanted.map == map.name) {
      auto read = read_map(map, actor, partition, wanted);
      if (!read) {
        return std::move(read).error();
      }
      state.maps.push_back(*std::move(read));
    }
  }
  if (!wanted.map.empty() && state.maps.empty()) {
    return error{errc::not_found, "actor type '" + actor.type + "' has no map '" + wanted.map +
                                      "'; it has: " + (names.empty() ? "none" : names)};
  }
  if (wanted.map.empty()) {
    state.root_json = *std::move(root);
  }
  return state;
}

// Rows are read first: a lease that is good afterwards, in the epoch from before, says that nobody
// else can have changed them by then. That there are none counts no less.
result<actor_state> silo_core::state_of(const actor_id& actor, const state_request& wanted) {
  const auto known = hosted(actor.type);
  if (!known) {
    return known.error();
  }
  const auto& type = **known;
  if (auto valid = validate_key(actor.key); !valid) {
    return std::move(valid).error();
  }
  if (wanted.after.size() > map_key_bytes_max) {
    return error{errc::invalid_argument,
                 "no record has a key of " + std::to_string(wanted.after.size()) + " bytes"};
  }
  const auto epoch = epoch_of_led(*type.interface, actor.key);
  if (!epoch) {
    return epoch.error();
  }
  const auto partition = partition_of(type.interface->group, actor.key, type.interface->affinity,
                                      rows_->partition_count());
  auto state = read_state(type, actor, partition, wanted);
  const auto* right = *epoch != 0 ? lease(partition) : nullptr;
  if (right != nullptr && !right->allows(*epoch, time().steady())) {
    return error{errc::unavailable,
                 "silo '" + options_.name + "' cannot be sure that it still leads partition " +
                     std::to_string(static_cast<unsigned>(partition)) + ", in which " +
                     actor.to_string() + " lies: it has not heard of the other copies; try again",
                 std::chrono::milliseconds{500}};
  }
  return state;
}

}  // namespace detail

}  // namespace millrace::runtime
