// SPDX-License-Identifier: MIT
#include "coordination/local_rows.h"

#include <xxhash.h>

#include "byte_order.h"

namespace millrace::runtime {
namespace {

constexpr char kind_settings = 's';
constexpr char kind_silo = 'n';
constexpr char kind_partition = 'p';
constexpr std::size_t number_bytes = sizeof(std::uint64_t);

std::string silo_key(std::string_view name) {
  return kind_silo + std::string{name};
}

std::string partition_key(partition_id partition) {
  std::string key{kind_partition};
  key.resize(1 + sizeof(std::uint16_t));
  store_big(key.data() + 1, static_cast<std::uint16_t>(partition));
  return key;
}

error cut_short() {
  return {errc::storage_failed, "a row of the coordination store is cut short"};
}

// What the record cannot know: where it stands, and what stands before it.
std::uint64_t digest_of_row(std::string key, std::string_view before) {
  key += before;
  return XXH3_64bits(key.data(), key.size());
}

result<local_silo> silo_in(std::string_view name, std::string_view value, std::uint32_t newest) {
  if (value.size() < 2 * number_bytes) {
    return cut_short();
  }
  auto row = decode_silo(name, value.substr(2 * number_bytes), newest,
                         digest_of_row(silo_key(name), value.substr(0, 2 * number_bytes)));
  if (!row) {
    return row.error();
  }
  row->incarnation = load_little<std::uint64_t>(value.data());
  return local_silo{std::move(*row), load_little<std::uint64_t>(value.data() + number_bytes)};
}

std::uint64_t version_of(std::string_view value) {
  return value.size() < number_bytes ? 0 : load_little<std::uint64_t>(value.data());
}

result<stored_partition> partition_in(partition_id partition, std::string_view value,
                                      std::uint32_t newest) {
  if (value.size() < number_bytes) {
    return cut_short();
  }
  auto record =
      decode_partition(partition, value.substr(number_bytes), newest,
                       digest_of_row(partition_key(partition), value.substr(0, number_bytes)));
  if (record) {
    record->version = version_of(value);
  }
  return record;
}

}  // namespace

result<std::optional<std::string_view>> local_rows::get(std::string_view key) const {
  auto at = to_val(key);
  MDB_val value;
  const int rc = mdb_get(txn_, table_, &at, &value);
  if (rc == MDB_NOTFOUND) {
    return std::optional<std::string_view>{};
  }
  if (rc != MDB_SUCCESS) {
    return env_.failure(rc, "cannot read");
  }
  return std::optional{to_view(value)};
}

result<void> local_rows::put(std::string_view key, std::string_view value) const {
  auto at = to_val(key);
  auto bytes = to_val(value);
  if (const int rc = mdb_put(txn_, table_, &at, &bytes, 0); rc != MDB_SUCCESS) {
    return env_.failure(rc, "cannot write to");
  }
  return {};
}

// Calls `each` with the rest of the key and the value of all rows of a kind, in order.
template <class Each>
result<void> local_rows::scan(char kind, Each each) const {
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn_, table_, &raw); rc != MDB_SUCCESS) {
    return env_.failure(rc, "cannot read");
  }
  const lmdb_cursor cursor{raw};
  MDB_val key{1, &kind};
  MDB_val value;
  int rc = mdb_cursor_get(raw, &key, &value, MDB_SET_RANGE);
  for (; rc == MDB_SUCCESS && to_view(key).front() == kind;
       rc = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
    if (auto taken = each(to_view(key).substr(1), to_view(value)); !taken) {
      return taken;
    }
  }
  if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
    return env_.failure(rc, "cannot read");
  }
  return {};
}

result<std::optional<cluster_settings>> local_rows::settings() const {
  const auto value = get({&kind_settings, 1});
  if (!value || !value->has_value()) {
    return value ? result<std::optional<cluster_settings>>{std::nullopt} : value.error();
  }
  auto settings = decode_settings(**value, newest_);
  return settings ? result{std::optional{*settings}} : env_.damage(settings.error());
}

result<std::optional<local_silo>> local_rows::silo(std::string_view name) const {
  const auto value = get(silo_key(name));
  if (!value || !value->has_value()) {
    return value ? result<std::optional<local_silo>>{std::nullopt} : value.error();
  }
  auto found = silo_in(name, **value, newest_);
  return found ? result{std::optional{*found}} : env_.damage(found.error());
}

result<std::vector<local_silo>> local_rows::silos() const {
  std::vector<local_silo> found;
  const auto scanned =
      scan(kind_silo, [&](std::string_view name, std::string_view value) -> result<void> {
        auto each = silo_in(name, value, newest_);
        if (!each) {
          return env_.damage(each.error());
        }
        found.push_back(std::move(*each));
        return {};
      });
  return scanned ? result{std::move(found)} : scanned.error();
}

result<std::optional<stored_partition>> local_rows::partition(partition_id partition) const {
  const auto value = get(partition_key(partition));
  if (!value || !value->has_value()) {
    return value ? result<std::optional<stored_partition>>{std::nullopt} : value.error();
  }
  auto record = partition_in(partition, **value, newest_);
  return record ? result{std::optional{*record}} : env_.damage(record.error());
}

result<std::vector<stored_partition>> local_rows::partitions(std::uint64_t above) const {
  std::vector<stored_partition> found;
  const auto scanned =
      scan(kind_partition, [&](std::string_view number, std::string_view value) -> result<void> {
        if (number.size() != sizeof(std::uint16_t)) {
          return env_.damage(cut_short());
        }
        if (version_of(value) <= above && value.size() >= number_bytes) {
          return {};
        }
        auto record =
            partition_in(partition_id{load_big<std::uint16_t>(number.data())}, value, newest_);
        if (!record) {
          return env_.damage(record.error());
        }
        found.push_back(std::move(*record));
        return {};
      });
  return scanned ? result{std::move(found)} : scanned.error();
}

result<void> local_rows::put(const cluster_settings& settings) const {
  return put({&kind_settings, 1}, encode(settings));
}

result<std::uint32_t> local_rows::protocol() const {
  const auto now = settings();
  return now ? result{*now ? (*now)->protocol : newest_} : now.error();
}

result<void> local_rows::put(const local_silo& silo) const {
  const auto version = protocol();
  if (!version) {
    return version.error();
  }
  std::string value;
  append_little<std::uint64_t>(value, silo.row.incarnation);
  append_little<std::uint64_t>(value, silo.slot);
  const auto key = silo_key(silo.row.name);
  const auto digest = digest_of_row(key, value);
  return put(key, value + encode(silo.row, *version, digest));
}

result<void> local_rows::put(const stored_partition& record) const {
  const auto version = protocol();
  if (!version) {
    return version.error();
  }
  std::string value;
  append_little<std::uint64_t>(value, record.version);
  const auto key = partition_key(record.partition);
  const auto digest = digest_of_row(key, value);
  return put(key, value + encode(record, *version, digest));
}

result<void> local_rows::erase_silo(std::string_view name) const {
  const auto key = silo_key(name);
  auto at = to_val(key);
  if (const int rc = mdb_del(txn_, table_, &at, nullptr); rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
    return env_.failure(rc, "cannot write to");
  }
  return {};
}

}  // namespace millrace::runtime
