// SPDX-License-Identifier: MIT
// Tables: `rows` (u16 partition, big endian, then the row key) and `meta` ("applied" -> u64
// position; "tail" and u16 partition, big endian -> epoch, seq, digest). Every value starts with
// its checksum.
#include <xxhash.h>

#include <array>
#include <cerrno>

#include "storage/byte_order.h"
#include "storage/checkpoint.h"
#include "storage/lmdb_env.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t partition_bytes = 2;
constexpr std::size_t stored_key_bytes_max = 511;  // LMDB's default limit
constexpr std::string_view applied_key = "applied";
constexpr std::string_view tail_prefix = "tail";

// Covers the key too, so that a value that turns up under another key is found.
std::uint64_t checksum_of(std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

// A row key with its partition in front.
class stored_key {
public:
  stored_key(partition_id partition, std::string_view key) : size_(partition_bytes + key.size()) {
    MILLRACE_ASSERT(size_ <= bytes_.size());
    store_big(bytes_.data(), static_cast<std::uint16_t>(partition));
    if (!key.empty()) {
      std::memcpy(bytes_.data() + partition_bytes, key.data(), key.size());
    }
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
  std::array<char, stored_key_bytes_max> bytes_;
  std::size_t size_;
};

// The value without its checksum. Errors: `storage_failed`.
result<std::string_view> verified(std::string_view key, std::string_view stored,
                                  const std::string& directory) {
  if (stored.size() >= checksum_bytes) {
    const auto value = stored.substr(checksum_bytes);
    if (load_little<std::uint64_t>(stored.data()) == checksum_of(key, value)) {
      return value;
    }
  }
  return error{errc::storage_failed, "a value in " + directory + " does not match its checksum"};
}

int put(MDB_cursor* cursor, std::string_view key, std::string_view value) {
  auto key_val = to_val(key);
  MDB_val data{checksum_bytes + value.size(), nullptr};
  const int rc = mdb_cursor_put(cursor, &key_val, &data, MDB_RESERVE);
  if (rc == MDB_SUCCESS) {
    auto* at = static_cast<char*>(data.mv_data);
    store_little(at, checksum_of(key, value));
    if (!value.empty()) {
      std::memcpy(at + checksum_bytes, value.data(), value.size());
    }
  }
  return rc;
}

int erase(MDB_cursor* cursor, std::string_view key) {
  auto key_val = to_val(key);
  const int rc = mdb_cursor_get(cursor, &key_val, nullptr, MDB_SET);
  if (rc == MDB_NOTFOUND) {
    return MDB_SUCCESS;
  }
  return rc == MDB_SUCCESS ? mdb_cursor_del(cursor, 0) : rc;
}

class lmdb_snapshot final : public checkpoint_snapshot {
public:
  lmdb_snapshot(const lmdb_env& env, MDB_dbi rows) : env_(env), rows_(rows) {}

  result<void> renew() override;
  void release() override { mdb_txn_reset(txn_.get()); }
  result<void> scan(partition_id partition, std::string_view prefix, std::string_view from,
                    const std::function<bool(std::string_view, std::string_view)>& visit) override;

private:
  const lmdb_env& env_;
  MDB_dbi rows_;
  lmdb_txn txn_;
  lmdb_cursor cursor_;  // closed before the transaction
};

result<void> lmdb_snapshot::renew() {
  if (txn_ == nullptr) {
    auto txn = env_.begin_read();
    if (!txn) {
      return txn.error();
    }
    txn_ = std::move(*txn);
    MDB_cursor* cursor = nullptr;
    if (const int rc = mdb_cursor_open(txn_.get(), rows_, &cursor); rc != MDB_SUCCESS) {
      return env_.failure(rc, "cannot read");
    }
    cursor_.reset(cursor);
    return {};
  }
  int rc = mdb_txn_renew(txn_.get());
  if (rc == MDB_SUCCESS) {
    rc = mdb_cursor_renew(txn_.get(), cursor_.get());
  }
  if (rc != MDB_SUCCESS) {
    return env_.failure(rc, "cannot begin a read in");
  }
  return {};
}

result<void> lmdb_snapshot::scan(
    partition_id partition, std::string_view prefix, std::string_view from,
    const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (prefix.size() > stored_key_bytes_max - partition_bytes ||
      from.size() > stored_key_bytes_max - partition_bytes) {
    return {};  // no key is that long, or sorts behind it and shares the prefix
  }
  const stored_key stored_prefix{partition, prefix};
  const stored_key start{partition, std::max(prefix, from)};
  auto key = to_val(start.view());
  MDB_val data;
  int rc = mdb_cursor_get(cursor_.get(), &key, &data, MDB_SET_RANGE);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(cursor_.get(), &key, &data, MDB_NEXT)) {
    const auto found = to_view(key);
    if (!found.starts_with(stored_prefix.view())) {
      return {};
    }
    auto value = verified(found, to_view(data), env_.directory());
    if (!value) {
      return value.error();
    }
    if (!visit(found.substr(partition_bytes), *value)) {
      return {};
    }
  }
  if (rc != MDB_NOTFOUND) {
    return env_.failure(rc, "cannot read");
  }
  return {};
}

class lmdb_checkpoint final : public checkpoint {
public:
  lmdb_checkpoint(std::unique_ptr<lmdb_env> env, MDB_dbi rows, MDB_dbi meta)
      : env_(std::move(env)), rows_(rows), meta_(meta) {}

  [[nodiscard]] result<checkpoint_progress> progress() const override;
  result<void> write(std::span<const checkpoint_change> changes,
                     const checkpoint_progress* progress) override;
  [[nodiscard]] result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() override {
    return std::unique_ptr<checkpoint_snapshot>{std::make_unique<lmdb_snapshot>(*env_, rows_)};
  }
  void tidy() override { env_->check_readers(); }
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return env_->bytes_used(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override {
    return env_->bytes_used_at_most();
  }

private:
  result<void> write_in_transaction(std::span<const checkpoint_change> changes,
                                    const checkpoint_progress* progress);
  int write_progress(MDB_txn* txn, const checkpoint_progress& progress);

  std::unique_ptr<lmdb_env> env_;
  MDB_dbi rows_;
  MDB_dbi meta_;
};

// Takes one row of `meta` into `progress`; false when it is none of ours.
bool take_meta(std::string_view key, std::string_view value, checkpoint_progress& progress) {
  if (key == applied_key && value.size() == 8) {
    progress.applied = load_little<std::uint64_t>(value.data());
    return true;
  }
  if (key.starts_with(tail_prefix) && key.size() == tail_prefix.size() + 2 && value.size() == 24) {
    partition_tail stored;
    stored.partition = static_cast<partition_id>(load_big<std::uint16_t>(key.data() + 4));
    stored.tail.epoch = load_little<std::uint64_t>(value.data());
    stored.tail.seq = load_little<std::uint64_t>(value.data() + 8);
    stored.tail.digest = load_little<std::uint64_t>(value.data() + 16);
    progress.tails.push_back(stored);
    return true;
  }
  return false;
}

result<checkpoint_progress> lmdb_checkpoint::progress() const {
  auto txn = env_->begin_read();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn->get(), meta_, &raw); rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read");
  }
  const lmdb_cursor cursor{raw};
  checkpoint_progress progress;
  MDB_val key;
  MDB_val data;
  int rc = mdb_cursor_get(raw, &key, &data, MDB_FIRST);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(raw, &key, &data, MDB_NEXT)) {
    auto value = verified(to_view(key), to_view(data), env_->directory());
    if (!value) {
      return value.error();
    }
    if (!take_meta(to_view(key), *value, progress)) {
      return error{errc::storage_failed, env_->directory() + " holds an unknown record"};
    }
  }
  if (rc != MDB_NOTFOUND) {
    return env_->failure(rc, "cannot read");
  }
  return progress;
}

int lmdb_checkpoint::write_progress(MDB_txn* txn, const checkpoint_progress& progress) {
  MDB_cursor* cursor = nullptr;
  int rc = mdb_cursor_open(txn, meta_, &cursor);
  std::string value;
  if (rc == MDB_SUCCESS) {
    append_little(value, progress.applied);
    rc = put(cursor, applied_key, value);
  }
  for (const auto& [partition, tail] : progress.tails) {
    if (rc != MDB_SUCCESS) {
      break;
    }
    std::array<char, 6> key{'t', 'a', 'i', 'l'};
    store_big(key.data() + 4, static_cast<std::uint16_t>(partition));
    value.clear();
    append_little(value, tail.epoch);
    append_little(value, tail.seq);
    append_little(value, tail.digest);
    rc = put(cursor, {key.data(), key.size()}, value);
  }
  return rc;
}

result<void> lmdb_checkpoint::write(std::span<const checkpoint_change> changes,
                                    const checkpoint_progress* progress) {
  auto written = write_in_transaction(changes, progress);
  if (!written) {
    env_->give_back_unused();
  }
  return written;
}

result<void> lmdb_checkpoint::write_in_transaction(std::span<const checkpoint_change> changes,
                                                   const checkpoint_progress* progress) {
  auto txn = env_->begin_write();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* cursor = nullptr;  // closed by LMDB with its write transaction
  int rc = mdb_cursor_open(txn->get(), rows_, &cursor);
  std::size_t bytes = 0;
  for (const auto& change : changes) {
    if (rc != MDB_SUCCESS) {
      break;
    }
    const stored_key key{change.partition, change.key};
    rc = change.erased ? erase(cursor, key.view()) : put(cursor, key.view(), change.value);
    bytes += change.value.size() + 4096;  // scattered rows cost about a page each
  }
  if (rc == MDB_SUCCESS && progress != nullptr) {
    rc = write_progress(txn->get(), *progress);
  }
  if (rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot write to");
  }
  return env_->commit(std::move(*txn), bytes);
}

}  // namespace

result<std::unique_ptr<checkpoint>> open_lmdb_checkpoint(const lmdb_options& options) {
  // No read-ahead: rows are read one actor at a time, from anywhere.
  auto env = lmdb_env::open(options, MDB_NORDAHEAD, 2);
  if (!env) {
    return env.error();
  }
  auto rows = (*env)->open_db("rows", MDB_CREATE);
  if (!rows) {
    return rows.error();
  }
  auto meta = (*env)->open_db("meta", MDB_CREATE);
  if (!meta) {
    return meta.error();
  }
  return std::unique_ptr<checkpoint>{
      std::make_unique<lmdb_checkpoint>(std::move(*env), *rows, *meta)};
}

}  // namespace millrace::runtime
