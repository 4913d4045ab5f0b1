// SPDX-License-Identifier: MIT
// Tables: `rows` (u16 partition, big endian, then the row key) and `meta` ("tail" and u16
// partition, big endian -> epoch, seq, digest; "rows" and u16 partition, big endian -> count and
// sum of a `row_digest`, absent for no rows; from before version 3, "applied" -> u64 position in
// the journal). Every value starts with its checksum, which covers the stored key too; a row's is
// what its partition's digest adds up.
#include <xxhash.h>

#include <array>
#include <map>
#include <vector>

#include "byte_order.h"
#include "storage/checkpoint.h"
#include "storage/lmdb_env.h"
#include "storage/lmdb_pages.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t partition_bytes = 2;
constexpr std::size_t stored_key_bytes_max = 511;  // LMDB's default limit
constexpr std::string_view applied_key = "applied";
constexpr std::string_view tail_prefix = "tail";
constexpr std::string_view digest_prefix = "rows";

// Covers the key too, so that a value that turns up under another key is found.
std::uint64_t checksum_of(std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

// A row key with its partition in front.
class stored_key {
public:
  stored_key(partition_id partition, std::string_view base, std::string_view rest = {})
      : size_(partition_bytes + base.size() + rest.size()) {
    MILLRACE_ASSERT(size_ <= bytes_.size());
    store_big(bytes_.data(), static_cast<std::uint16_t>(partition));
    auto* at = std::copy(base.begin(), base.end(), bytes_.data() + partition_bytes);
    std::copy(rest.begin(), rest.end(), at);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
  std::array<char, stored_key_bytes_max> bytes_;
  std::size_t size_;
};

std::uint64_t stored_checksum(std::string_view stored) {
  return stored.size() < checksum_bytes ? 0 : load_little<std::uint64_t>(stored.data());
}

bool is_sound(std::string_view key, std::string_view stored) {
  return stored.size() >= checksum_bytes &&
         stored_checksum(stored) == checksum_of(key, stored.substr(checksum_bytes));
}

// The value without its checksum. Errors: `storage_failed`.
result<std::string_view> verified(std::string_view key, std::string_view stored,
                                  const std::string& directory) {
  if (is_sound(key, stored)) {
    return stored.substr(checksum_bytes);
  }
  return error{errc::storage_failed, "a value in " + directory +
                                         "/data.mdb does not match its checksum; " +
                                         std::string{damage_remedy}};
}

// A meta key: a prefix of four letters, then a partition.
std::array<char, 6> partition_key(std::string_view prefix, std::size_t partition) {
  std::array<char, 6> key{};
  std::copy_n(prefix.data(), 4, key.data());
  store_big(key.data() + 4, static_cast<std::uint16_t>(partition));
  return key;
}

// Puts `value` behind its checksum at the place that LMDB found or made for `key`.
void fill(const MDB_val& place, std::uint64_t checksum, std::string_view value) {
  auto* at = static_cast<char*>(place.mv_data);
  store_little(at, checksum);
  if (!value.empty()) {
    std::memcpy(at + checksum_bytes, value.data(), value.size());
  }
}

int put_meta(MDB_cursor* cursor, std::string_view key, std::string_view value) {
  auto key_val = to_val(key);
  MDB_val data{checksum_bytes + value.size(), nullptr};
  const int rc = mdb_cursor_put(cursor, &key_val, &data, MDB_RESERVE);
  if (rc == MDB_SUCCESS) {
    fill(data, checksum_of(key, value), value);
  }
  return rc;
}

// A row that is there already is found by the first put, in whose page the second one starts.
int put_row(MDB_cursor* cursor, std::string_view key, std::string_view value, row_digest& digest) {
  auto key_val = to_val(key);
  MDB_val data{checksum_bytes + value.size(), nullptr};
  int rc = mdb_cursor_put(cursor, &key_val, &data, MDB_RESERVE | MDB_NOOVERWRITE);
  if (rc == MDB_KEYEXIST) {
    digest.remove(stored_checksum(to_view(data)));
    data = {checksum_bytes + value.size(), nullptr};
    rc = mdb_cursor_put(cursor, &key_val, &data, MDB_RESERVE);
  }
  if (rc == MDB_SUCCESS) {
    const auto checksum = checksum_of(key, value);
    fill(data, checksum, value);
    digest.add(checksum);
  }
  return rc;
}

int erase_row(MDB_cursor* cursor, std::string_view key, row_digest& digest) {
  auto key_val = to_val(key);
  MDB_val data;
  const int rc = mdb_cursor_get(cursor, &key_val, &data, MDB_SET_KEY);
  if (rc == MDB_NOTFOUND) {
    return MDB_SUCCESS;
  }
  if (rc == MDB_SUCCESS) {
    digest.remove(stored_checksum(to_view(data)));
    return mdb_cursor_del(cursor, 0);
  }
  return rc;
}

// The digests of all partitions, by partition.
class digest_table {
public:
  [[nodiscard]] row_digest of(std::size_t partition) const noexcept {
    return partition < digests_.size() ? digests_[partition] : row_digest{};
  }
  row_digest& at(std::size_t partition) {
    if (partition >= digests_.size()) {
      digests_.resize(partition + 1);
    }
    return digests_[partition];
  }

private:
  std::vector<row_digest> digests_;
};

class lmdb_snapshot final : public checkpoint_snapshot {
public:
  lmdb_snapshot(const lmdb_env& env, MDB_dbi rows) : env_(env), rows_(rows) {}

  result<void> renew() override;
  void release() override {
    const lmdb_section section{env_};
    mdb_txn_reset(txn_.get());
  }
  result<void> scan(partition_id partition, std::span<const key_range> ranges,
                    const row_visit& visit) override;
  result<void> scan_keys(partition_id partition,
                         const std::function<bool(std::string_view)>& visit) override;
  void rest() noexcept override { env_.let_go_of_pages(); }

private:
  template <class Use>
  result<void> walk(partition_id partition, std::span<const key_range> ranges, Use&& use);

  const lmdb_env& env_;
  MDB_dbi rows_;
  lmdb_txn txn_;
  lmdb_cursor cursor_;  // closed before the transaction
};

result<void> lmdb_snapshot::renew() {
  const lmdb_section section{env_};
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

result<void> lmdb_snapshot::scan(partition_id partition, std::span<const key_range> ranges,
                                 const row_visit& visit) {
  std::size_t cut_bytes = 0;
  return walk(
      partition, ranges,
      [&](const key_range& range, std::string_view key, std::string_view stored) -> result<bool> {
        const auto row_key = key.substr(partition_bytes);
        const auto is_cut = range.value_bytes_max != SIZE_MAX;
        if (is_cut && cut_bytes >= cut_scan_bytes_max) {
          return visit(range, row_key, {});
        }
        auto value = verified(key, stored, env_.directory());
        if (is_cut) {
          cut_bytes += stored.size();
          return visit(range, row_key, value ? *value : std::string_view{});
        }
        return value ? result<bool>{visit(range, row_key, *value)} : value.error();
      });
}

result<void> lmdb_snapshot::scan_keys(partition_id partition,
                                      const std::function<bool(std::string_view)>& visit) {
  const std::array<key_range, 1> all{};
  return walk(partition, all,
              [&](const key_range&, std::string_view key, std::string_view) -> result<bool> {
                return visit(key.substr(partition_bytes));
              });
}

// Calls `use` with keys and values as they are stored, of each range until it answers false.
template <class Use>
result<void> lmdb_snapshot::walk(partition_id partition, std::span<const key_range> ranges,
                                 Use&& use) {
  const lmdb_section section{env_};
  constexpr auto key_bytes_max = stored_key_bytes_max - partition_bytes;
  const auto base = ranges.front().base;
  if (base.size() > key_bytes_max) {
    return {};  // no key is that long
  }
  const stored_key own{partition, base};
  MDB_val key{};
  MDB_val data{};
  int rc = MDB_SUCCESS;
  std::string_view at;                        // the cursor's key; empty: it has none yet
  std::string_view rest;                      // of it, behind the base
  const auto move = [&](MDB_cursor_op how) {  // whether it is below the base
    rc = mdb_cursor_get(cursor_.get(), &key, &data, how);
    at = to_view(key);
    const bool is_below = rc == MDB_SUCCESS && at.starts_with(own.view());
    rest = is_below ? at.substr(own.view().size()) : std::string_view{};
    return is_below;
  };
  bool is_below = true;
  for (auto range = ranges.begin(); is_below && range != ranges.end(); ++range) {
    if (base.size() + range->first().size() > key_bytes_max) {
      continue;  // no key is that long, or sorts behind it and shares the prefix
    }
    if (at.empty() || rest < range->first()) {
      const stored_key start{partition, base, range->first()};
      key = to_val(start.view());
      is_below = move(MDB_SET_RANGE);
    }
    while (is_below && range->holds(rest)) {
      auto goes_on = use(*range, at, to_view(data));
      if (!goes_on) {
        return goes_on.error();
      }
      if (!*goes_on) {
        break;
      }
      is_below = move(MDB_NEXT);
    }
  }
  return rc == MDB_SUCCESS || rc == MDB_NOTFOUND ? result<void>{} : env_.failure(rc, "cannot read");
}

class lmdb_checkpoint final : public checkpoint {
public:
  explicit lmdb_checkpoint(std::unique_ptr<lmdb_pages> pages) : pages_(std::move(pages)) {}

  result<void> open(const lmdb_options& options);

  [[nodiscard]] result<checkpoint_progress> progress() const override;
  [[nodiscard]] result<proven_rows> prove(partition_id partition) const override;
  [[nodiscard]] std::uint64_t row_count() const noexcept override { return row_tree_.entries; }
  result<void> adopt() override;
  [[nodiscard]] row_digest digest_of(partition_id partition) const override {
    return digests_.of(static_cast<std::size_t>(partition));
  }
  result<void> write(std::span<const checkpoint_change> changes,
                     const checkpoint_progress* progress) override;
  [[nodiscard]] result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() override {
    return std::unique_ptr<checkpoint_snapshot>{std::make_unique<lmdb_snapshot>(*env_, rows_)};
  }
  void tidy() override { env_->check_readers(); }
  void rest() noexcept override { env_->let_go_of_pages(); }
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return env_->bytes_used(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override {
    return env_->bytes_used_at_most();
  }
  [[nodiscard]] std::uint64_t bytes_reserved() const noexcept override {
    return env_->bytes_reserved();
  }

private:
  result<void> read_meta();
  bool take_meta(std::string_view key, std::string_view value);
  result<void> write_in_transaction(std::span<const checkpoint_change> changes,
                                    const checkpoint_progress* progress);
  int write_progress(MDB_cursor* meta, const checkpoint_progress& progress);
  int write_digests(MDB_cursor* meta, const std::map<std::size_t, row_digest>& digests);

  std::unique_ptr<lmdb_pages> pages_;  // null for a new environment
  std::unique_ptr<lmdb_env> env_;
  MDB_dbi rows_ = 0;
  MDB_dbi meta_ = 0;
  lmdb_tree row_tree_;  // as it was opened
  std::optional<std::uint64_t> position_;
  std::map<partition_id, log_tail> tails_;
  digest_table digests_;
};

result<void> lmdb_checkpoint::open(const lmdb_options& options) {
  if (pages_) {
    if (auto read = read_meta(); !read) {
      return read;
    }
  }
  // No read-ahead: rows are read one actor at a time, from anywhere.
  auto env = lmdb_env::open(options, MDB_NORDAHEAD, 2);
  if (!env) {
    return env.error();
  }
  env_ = std::move(*env);
  auto rows = env_->open_db("rows", MDB_CREATE);
  if (!rows) {
    return rows.error();
  }
  auto meta = env_->open_db("meta", MDB_CREATE);
  if (!meta) {
    return meta.error();
  }
  rows_ = *rows;
  meta_ = *meta;
  return {};
}

result<void> lmdb_checkpoint::read_meta() {
  const auto rows = pages_->find("rows");
  if (!rows) {
    return rows.error();
  }
  const auto meta = pages_->find("meta");
  if (!meta) {
    return meta.error();
  }
  // A new directory is one only once both are there.
  if (!*rows || !*meta || (*rows)->flags != 0 || (*meta)->flags != 0) {
    return pages_->damaged(pages_->main().root, "it lacks one of the tables `rows` and `meta`");
  }
  row_tree_ = **rows;
  auto walked =
      pages_->walk(**meta, {}, [&](std::string_view key, std::string_view stored) -> result<void> {
        if (!is_sound(key, stored)) {
          return pages_->damaged((*meta)->root, "a value does not match its checksum");
        }
        if (!take_meta(key, stored.substr(checksum_bytes))) {
          return error{errc::failed_precondition,
                       pages_->file() +
                           " holds a record of an unknown kind; a newer version of "
                           "this program wrote it, use that one"};
        }
        return {};
      });
  return walked ? result<void>{} : walked.error();
}

result<checkpoint_progress> lmdb_checkpoint::progress() const {
  checkpoint_progress progress;
  progress.position = position_;
  for (const auto& [partition, tail] : tails_) {
    progress.tails.push_back({partition, tail});
  }
  return progress;
}

// False when it is none of ours.
bool lmdb_checkpoint::take_meta(std::string_view key, std::string_view value) {
  if (key == applied_key && value.size() == 8) {
    position_ = load_little<std::uint64_t>(value.data());
    return true;
  }
  if (key.size() != 6) {
    return false;
  }
  const auto partition = load_big<std::uint16_t>(key.data() + 4);
  if (key.starts_with(tail_prefix) && value.size() == 24) {
    auto& tail = tails_[static_cast<partition_id>(partition)];
    tail.epoch = load_little<std::uint64_t>(value.data());
    tail.seq = load_little<std::uint64_t>(value.data() + 8);
    tail.digest = load_little<std::uint64_t>(value.data() + 16);
    return true;
  }
  if (key.starts_with(digest_prefix) && value.size() == 16) {
    digests_.at(partition) = {load_little<std::uint64_t>(value.data()),
                              load_little<std::uint64_t>(value.data() + 8)};
    return true;
  }
  return false;
}

// Rows whose value is damaged are told apart from rows that are not the right ones: as long as
// everything that the digest promises is there, only those are lost whose checksum fails, and they
// are refused one by one. A checksum that is damaged itself counts as what it should be.
result<proven_rows> lmdb_checkpoint::prove(partition_id partition) const {
  const auto index = static_cast<std::size_t>(partition);
  proven_rows found;
  if (!pages_) {
    return found;
  }
  row_digest as_stored;
  row_digest as_computed;
  const stored_key from{partition, {}};
  const auto next = partition_key("....", index + 1);
  const bool is_last = index == UINT16_MAX;
  auto walked = pages_->walk(
      row_tree_, {from.view(), is_last ? std::string_view{} : std::string_view{next.data() + 4, 2}},
      [&](std::string_view key, std::string_view stored) -> result<void> {
        as_stored.add(stored_checksum(stored));
        as_computed.add(
            stored.size() < checksum_bytes ? 0 : checksum_of(key, stored.substr(checksum_bytes)));
        found.damaged += is_sound(key, stored) ? 0 : 1;
        found.bytes += key.size() + stored.size();
        return {};
      });
  if (!walked) {
    return walked.error();
  }
  found.count = *walked;
  const auto expected = digests_.of(index);
  if (expected != as_stored && expected != as_computed) {
    return error{errc::storage_failed, pages_->file() + " is damaged: partition " +
                                           std::to_string(index) + " has " +
                                           std::to_string(found.count) + " rows that are not the " +
                                           std::to_string(expected.count) + " written last; " +
                                           std::string{damage_remedy}};
  }
  return found;
}

result<void> lmdb_checkpoint::adopt() {
  std::map<std::size_t, row_digest> counted;
  if (pages_) {
    auto walked = pages_->walk(
        row_tree_, {}, [&](std::string_view key, std::string_view stored) -> result<void> {
          if (key.size() < partition_bytes || !is_sound(key, stored)) {
            return pages_->damaged(row_tree_.root, "a value does not match its checksum");
          }
          counted[load_big<std::uint16_t>(key.data())].add(stored_checksum(stored));
          return {};
        });
    if (!walked) {
      return walked.error();
    }
  }
  const lmdb_section section{*env_};
  auto txn = env_->begin_write();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* meta = nullptr;
  int rc = mdb_cursor_open(txn->get(), meta_, &meta);
  if (rc == MDB_SUCCESS) {
    rc = write_digests(meta, counted);
  }
  if (rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot write to");
  }
  if (auto done = env_->commit(std::move(*txn), counted.size() * sizeof(row_digest)); !done) {
    return done;
  }
  // What was read before the write is no longer what the file says.
  auto pages = lmdb_pages::open(env_->directory());
  if (!pages) {
    return pages.error();
  }
  pages_ = std::move(*pages);
  return read_meta();
}

int lmdb_checkpoint::write_progress(MDB_cursor* meta, const checkpoint_progress& progress) {
  std::string value;
  int rc = MDB_SUCCESS;
  for (const auto& [partition, tail] : progress.tails) {
    if (rc != MDB_SUCCESS) {
      break;
    }
    const auto key = partition_key(tail_prefix, static_cast<std::size_t>(partition));
    value.clear();
    append_little(value, tail.epoch);
    append_little(value, tail.seq);
    append_little(value, tail.digest);
    rc = put_meta(meta, {key.data(), key.size()}, value);
  }
  return rc;
}

int lmdb_checkpoint::write_digests(MDB_cursor* meta,
                                   const std::map<std::size_t, row_digest>& digests) {
  int rc = MDB_SUCCESS;
  std::string value;
  for (const auto& [partition, digest] : digests) {
    if (rc != MDB_SUCCESS) {
      break;
    }
    const auto key = partition_key(digest_prefix, partition);
    value.clear();
    append_little(value, digest.count);
    append_little(value, digest.sum);
    rc = put_meta(meta, {key.data(), key.size()}, value);
  }
  return rc;
}

result<void> lmdb_checkpoint::write(std::span<const checkpoint_change> changes,
                                    const checkpoint_progress* progress) {
  pages_.reset();  // no longer what the file says
  const lmdb_section section{*env_};
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
  std::map<std::size_t, row_digest> touched;
  row_digest* digest = nullptr;  // of the partition that the changes have come to
  auto partition = SIZE_MAX;
  for (const auto& change : changes) {
    if (rc != MDB_SUCCESS) {
      break;
    }
    if (const auto index = static_cast<std::size_t>(change.partition); index != partition) {
      partition = index;
      digest = &touched.emplace_hint(touched.end(), index, digests_.of(index))->second;
    }
    const stored_key key{change.partition, change.key};
    rc = change.erased ? erase_row(cursor, key.view(), *digest)
                       : put_row(cursor, key.view(), change.value, *digest);
    bytes += change.value.size() + 4096;  // scattered rows cost about a page each
  }
  MDB_cursor* meta = nullptr;
  if (rc == MDB_SUCCESS) {
    rc = mdb_cursor_open(txn->get(), meta_, &meta);
  }
  if (rc == MDB_SUCCESS) {
    rc = write_digests(meta, touched);
  }
  if (rc == MDB_SUCCESS && progress != nullptr) {
    rc = write_progress(meta, *progress);
  }
  if (rc != MDB_SUCCESS) {
    return env_->failure(rc, "cannot write to");
  }
  if (auto done = env_->commit(std::move(*txn), bytes); !done) {
    return done;
  }
  for (const auto& [index, value] : touched) {
    digests_.at(index) = value;
  }
  if (progress != nullptr) {
    for (const auto& [changed, tail] : progress->tails) {
      tails_[changed] = tail;
    }
  }
  return {};
}

}  // namespace

result<std::unique_ptr<checkpoint>> open_lmdb_checkpoint(const lmdb_options& options) {
  auto pages = open_lmdb_pages(options);
  if (!pages) {
    return pages.error();
  }
  auto opened = std::make_unique<lmdb_checkpoint>(std::move(*pages));
  if (auto done = opened->open(options); !done) {
    return done.error();
  }
  return std::unique_ptr<checkpoint>{std::move(opened)};
}

}  // namespace millrace::runtime
