// SPDX-License-Identifier: MIT
// One table: the states of partitions (u64 0, u16 partition) and behind them the entries (u64
// position, from 1), all numbers big endian.
#include <atomic>
#include <cerrno>

#include "byte_order.h"
#include "storage/files.h"
#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t position_bytes = 8;
constexpr std::size_t state_key_bytes = position_bytes + 2;

using position_key = std::array<char, position_bytes>;
using state_key = std::array<char, state_key_bytes>;

position_key key_of(std::uint64_t position) {
  position_key key;
  store_big(key.data(), position);
  return key;
}

state_key key_of(partition_id partition) {
  state_key key{};
  store_big(key.data() + position_bytes, static_cast<std::uint16_t>(partition));
  return key;
}

template <std::size_t Bytes>
MDB_val val_of(const std::array<char, Bytes>& key) {
  return to_val({key.data(), key.size()});
}

// 0 for what is no entry's key.
std::uint64_t position_in(const MDB_val& key) {
  return key.mv_size == position_bytes
             ? load_big<std::uint64_t>(static_cast<const char*>(key.mv_data))
             : 0;
}

class lmdb_journal final : public journal {
public:
  explicit lmdb_journal(std::unique_ptr<lmdb_env> env, MDB_dbi dbi)
      : env_(std::move(env)), dbi_(dbi) {}

  result<void> find_last();

  [[nodiscard]] std::uint64_t last() const noexcept override { return last_; }

  result<void> write(const journal_write& changes) override;
  result<void> scan(
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const override;
  result<void> read(std::uint64_t position,
                    const std::function<result<void>(std::string_view)>& visit) const override;
  result<void> scan_states(
      const std::function<result<void>(partition_id, std::string_view)>& visit) const override;

  void rest() noexcept override { env_->let_go_of_pages(); }
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return env_->bytes_used(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override {
    return env_->bytes_used_at_most();
  }
  [[nodiscard]] std::uint64_t bytes_reserved() const noexcept override {
    return env_->bytes_reserved();
  }
  [[nodiscard]] std::uint64_t bytes_available() const noexcept override {
    return disk_bytes_available(env_->directory());
  }

private:
  struct reading {
    lmdb_txn txn;
    lmdb_cursor cursor;  // closed before the transaction
  };
  [[nodiscard]] result<reading> begin_reading() const;
  result<void> write_in_transaction(const journal_write& changes);
  result<void> erase(MDB_cursor* cursor, std::span<const std::uint64_t> positions);

  std::unique_ptr<lmdb_env> env_;
  MDB_dbi dbi_;
  std::uint64_t last_ = 0;
};

result<lmdb_journal::reading> lmdb_journal::begin_reading() const {
  auto txn = env_->begin_read();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* cursor = nullptr;
  if (const int rc = mdb_cursor_open(txn->get(), dbi_, &cursor); rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read");
  }
  return reading{std::move(*txn), lmdb_cursor{cursor}};
}

result<void> lmdb_journal::find_last() {
  const lmdb_section section{*env_};
  auto open = begin_reading();
  if (!open) {
    return open.error();
  }
  MDB_val key;
  MDB_val data;
  const int rc = mdb_cursor_get(open->cursor.get(), &key, &data, MDB_LAST);
  if (rc == MDB_NOTFOUND) {
    return {};
  }
  if (rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read");
  }
  last_ = position_in(key);
  return {};
}

// Entries that go lie beside each other as a rule, so after each the next one is looked at first.
result<void> lmdb_journal::erase(MDB_cursor* cursor, std::span<const std::uint64_t> positions) {
  bool is_placed = false;
  for (const auto position : positions) {
    MDB_val key;
    MDB_val data;
    int rc = is_placed ? mdb_cursor_get(cursor, &key, &data, MDB_NEXT) : MDB_NOTFOUND;
    if (rc != MDB_SUCCESS || position_in(key) != position) {
      const auto wanted = key_of(position);
      key = val_of(wanted);
      rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_KEY);
    }
    if (rc == MDB_SUCCESS) {
      rc = mdb_cursor_del(cursor, 0);
      is_placed = true;
    }
    if (rc != MDB_SUCCESS) {
      return env_->failure(rc, "cannot trim");
    }
  }
  return {};
}

result<void> lmdb_journal::write(const journal_write& changes) {
  const lmdb_section section{*env_};
  auto written = write_in_transaction(changes);
  if (!written) {
    env_->give_back_unused();
  }
  return written;
}

result<void> lmdb_journal::write_in_transaction(const journal_write& changes) {
  auto txn = env_->begin_write();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* cursor = nullptr;  // closed by LMDB with its write transaction
  int rc = mdb_cursor_open(txn->get(), dbi_, &cursor);
  if (rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot write to");
  }
  if (auto erased = erase(cursor, changes.erased); !erased) {
    return erased;
  }
  std::size_t bytes = 0;
  for (const auto& each : changes.states) {
    const auto key = key_of(each.partition);
    auto key_val = val_of(key);
    auto data = to_val(each.bytes);
    if (rc = mdb_cursor_put(cursor, &key_val, &data, 0); rc != MDB_SUCCESS) {
      return env_->failure(rc, "cannot write to");
    }
    bytes += each.bytes.size();
  }
  auto position = last_;
  for (const auto entry : changes.entries) {
    const auto key = key_of(++position);
    auto key_val = val_of(key);
    auto data = to_val(entry);
    if (rc = mdb_cursor_put(cursor, &key_val, &data, MDB_APPEND); rc != MDB_SUCCESS) {
      return env_->failure(rc, "cannot append to");
    }
    bytes += entry.size();
  }
  if (auto done = env_->commit(std::move(*txn), bytes); !done) {
    return done.error();
  }
  last_ = position;
  return {};
}

result<void> lmdb_journal::scan(
    const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const {
  const lmdb_section section{*env_};
  auto open = begin_reading();
  if (!open) {
    return open.error();
  }
  const auto start = key_of(1);
  auto key = val_of(start);
  MDB_val data;
  auto* const cursor = open->cursor.get();
  int rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
    const auto position = position_in(key);
    if (position == 0) {
      return env_->failure(MDB_CORRUPTED, "cannot read");
    }
    if (auto visited = visit(position, to_view(data)); !visited) {
      return visited;
    }
  }
  return rc == MDB_NOTFOUND ? result<void>{} : env_->failure(rc, "cannot read");
}

result<void> lmdb_journal::read(std::uint64_t position,
                                const std::function<result<void>(std::string_view)>& visit) const {
  const lmdb_section section{*env_};
  auto open = begin_reading();
  if (!open) {
    return open.error();
  }
  const auto wanted = key_of(position);
  auto key = val_of(wanted);
  MDB_val data;
  if (const int rc = mdb_cursor_get(open->cursor.get(), &key, &data, MDB_SET_KEY);
      rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read entry " + std::to_string(position) + " of");
  }
  return visit(to_view(data));
}

result<void> lmdb_journal::scan_states(
    const std::function<result<void>(partition_id, std::string_view)>& visit) const {
  const lmdb_section section{*env_};
  auto open = begin_reading();
  if (!open) {
    return open.error();
  }
  MDB_val key;
  MDB_val data;
  auto* const cursor = open->cursor.get();
  int rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
    if (key.mv_size != state_key_bytes) {
      return {};
    }
    const auto number =
        load_big<std::uint16_t>(static_cast<const char*>(key.mv_data) + position_bytes);
    if (auto visited = visit(partition_id{number}, to_view(data)); !visited) {
      return visited;
    }
  }
  return rc == MDB_NOTFOUND ? result<void>{} : env_->failure(rc, "cannot read");
}

}  // namespace

result<std::unique_ptr<journal>> open_lmdb_journal(const lmdb_options& options) {
  auto pages = open_lmdb_pages(options);
  if (!pages) {
    return pages.error();
  }
  if (*pages) {
    auto walked = (*pages)->walk((*pages)->main(), {},
                                 [](std::string_view, std::string_view) { return result<void>{}; });
    if (!walked) {
      return walked.error();
    }
  }
  auto env = lmdb_env::open(options, 0, 0);
  if (!env) {
    return env.error();
  }
  auto dbi = (*env)->open_db(nullptr, 0);
  if (!dbi) {
    return dbi.error();
  }
  auto opened = std::make_unique<lmdb_journal>(std::move(*env), *dbi);
  if (auto found = opened->find_last(); !found) {
    return found.error();
  }
  return std::unique_ptr<journal>{std::move(opened)};
}

}  // namespace millrace::runtime
