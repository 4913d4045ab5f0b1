// SPDX-License-Identifier: MIT
#include <atomic>
#include <cerrno>

#include "byte_order.h"
#include "storage/files.h"
#include "storage/journal.h"
#include "storage/lmdb_env.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

using position_key = std::array<char, 8>;

position_key key_of(std::uint64_t position) {
  position_key key;
  store_big(key.data(), position);
  return key;
}

MDB_val val_of(const position_key& key) {
  return to_val({key.data(), key.size()});
}

class lmdb_journal final : public journal {
public:
  explicit lmdb_journal(std::unique_ptr<lmdb_env> env, MDB_dbi dbi)
      : env_(std::move(env)), dbi_(dbi) {}

  result<void> find_ends();

  [[nodiscard]] std::uint64_t first() const noexcept override { return first_; }
  [[nodiscard]] std::uint64_t last() const noexcept override { return last_; }

  result<void> append(std::span<const std::string_view> entries, const journal_trim& trim) override;
  result<void> scan(
      std::uint64_t from,
      const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const override;

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
  result<void> append_in_transaction(std::span<const std::string_view> entries,
                                     const journal_trim& trim);
  // Deletes up to the position it returns.
  result<std::uint64_t> delete_front(MDB_cursor* cursor, const journal_trim& trim);

  std::unique_ptr<lmdb_env> env_;
  MDB_dbi dbi_;
  std::uint64_t first_ = 1;
  std::uint64_t last_ = 0;
};

result<void> lmdb_journal::find_ends() {
  const lmdb_section section{*env_};
  auto txn = env_->begin_read();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn->get(), dbi_, &raw); rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read");
  }
  const lmdb_cursor cursor{raw};
  MDB_val key;
  MDB_val data;
  int rc = mdb_cursor_get(raw, &key, &data, MDB_FIRST);
  if (rc == MDB_NOTFOUND) {
    return {};
  }
  if (rc == MDB_SUCCESS && key.mv_size == sizeof first_) {
    first_ = load_big<std::uint64_t>(static_cast<const char*>(key.mv_data));
    rc = mdb_cursor_get(raw, &key, &data, MDB_LAST);
    if (rc == MDB_SUCCESS && key.mv_size == sizeof last_) {
      last_ = load_big<std::uint64_t>(static_cast<const char*>(key.mv_data));
    }
  }
  if (rc != MDB_SUCCESS || last_ < first_ || first_ == 0) {
    return env_->failure(rc == MDB_SUCCESS ? MDB_CORRUPTED : rc, "cannot read");
  }
  return {};
}

result<std::uint64_t> lmdb_journal::delete_front(MDB_cursor* cursor, const journal_trim& trim) {
  auto first = first_;
  const auto end = std::min<std::uint64_t>(trim.before, last_);  // the newest entry stays
  for (std::size_t count = 0; first < end && count < trim.entries_max; ++count) {
    MDB_val key;
    MDB_val data;
    int rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    if (rc == MDB_SUCCESS) {
      rc = mdb_cursor_del(cursor, 0);
    }
    if (rc != MDB_SUCCESS) {
      return env_->failure(rc, "cannot trim");
    }
    ++first;
  }
  return first;
}

result<void> lmdb_journal::append(std::span<const std::string_view> entries,
                                  const journal_trim& trim) {
  const lmdb_section section{*env_};
  auto appended = append_in_transaction(entries, trim);
  if (!appended) {
    env_->give_back_unused();
  }
  return appended;
}

result<void> lmdb_journal::append_in_transaction(std::span<const std::string_view> entries,
                                                 const journal_trim& trim) {
  auto txn = env_->begin_write();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* cursor = nullptr;  // closed by LMDB with its write transaction
  if (const int rc = mdb_cursor_open(txn->get(), dbi_, &cursor); rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot write to");
  }
  auto first = delete_front(cursor, trim);
  if (!first) {
    return first.error();
  }
  auto position = last_;
  std::size_t bytes = 0;
  for (const auto entry : entries) {
    const auto key = key_of(++position);
    auto key_val = val_of(key);
    auto data = to_val(entry);
    const int rc = mdb_cursor_put(cursor, &key_val, &data, MDB_APPEND);
    if (rc != MDB_SUCCESS) {
      return env_->failure(rc, "cannot append to");
    }
    bytes += entry.size();
  }
  if (auto done = env_->commit(std::move(*txn), bytes); !done) {
    return done.error();
  }
  first_ = *first;
  last_ = position;
  return {};
}

result<void> lmdb_journal::scan(
    std::uint64_t from,
    const std::function<result<void>(std::uint64_t, std::string_view)>& visit) const {
  const lmdb_section section{*env_};
  auto txn = env_->begin_read();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn->get(), dbi_, &raw); rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot read");
  }
  const lmdb_cursor cursor{raw};
  auto expected = std::max(from, first_);
  const auto start = key_of(expected);
  auto key = val_of(start);
  MDB_val data;
  int rc = mdb_cursor_get(raw, &key, &data, MDB_SET_RANGE);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(raw, &key, &data, MDB_NEXT)) {
    if (key.mv_size != start.size() ||
        load_big<std::uint64_t>(static_cast<const char*>(key.mv_data)) != expected) {
      return error{errc::storage_failed, "the journal " + env_->directory() + " lacks entry " +
                                             std::to_string(expected) + "; " +
                                             std::string{damage_remedy}};
    }
    if (auto visited = visit(expected, to_view(data)); !visited) {
      return visited;
    }
    ++expected;
  }
  if (rc != MDB_NOTFOUND) {
    return env_->failure(rc, "cannot read");
  }
  return {};
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
  if (auto found = opened->find_ends(); !found) {
    return found.error();
  }
  return std::unique_ptr<journal>{std::move(opened)};
}

}  // namespace millrace::runtime
