// SPDX-License-Identifier: MIT
#include "storage/lmdb_env.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "storage/files.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// Enough reader slots for the reader thread, start-up scans and tools.
constexpr unsigned readers_max = 126;

// A commit also writes branch pages and the list of free pages.
constexpr std::uint64_t commit_slack_bytes = 1U << 20U;

// Mapped pages are let go whenever so much has been written: what a file's growth adds to the
// process stays about as small, and mapping again what is in use costs 1 ms for it.
constexpr std::size_t written_bytes_max = std::size_t{16} << 20U;

// More than the commits of a large delete write, copies of the pages on their way included; small
// beside any disk. Renewed when half of it is used.
constexpr std::uint64_t reserve_bytes = 4U << 20U;

// A real EIO on a disk that also happens to be full is taken for a full disk: nothing was
// acknowledged, and the next commit will meet it again.
bool disk_is_full(const std::string& directory, std::uint64_t bytes) {
  return disk_bytes_available(directory) < 2 * bytes + commit_slack_bytes;
}

// LMDB's own checks: it would abort after this.
void on_lmdb_assert(MDB_env* env, const char* text) {
  const char* directory = "";
  mdb_env_get_path(env, &directory);
  storage_lost(std::string{directory} + "/data.mdb is damaged: LMDB says \"" + text + "\"; " +
               (mapped_file_in_use != nullptr ? mapped_file_in_use->remedy : damage_remedy.data()));
}

}  // namespace

result<std::unique_ptr<lmdb_pages>> open_lmdb_pages(const lmdb_options& options) {
  auto pages = lmdb_pages::open(options.directory, options.remedy);
  if (!pages && pages.error().code() == errc::not_found) {
    if (options.must_exist) {
      return error{errc::storage_failed, pages.error().text()};
    }
    return std::unique_ptr<lmdb_pages>{};
  }
  return pages;
}

error lmdb_error(int rc, std::string_view doing, const std::string& directory) {
  auto code = errc::storage_failed;
  if (rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL) {
    code = errc::out_of_space;
  } else if (rc == EACCES || rc == EPERM || rc == EROFS) {
    code = errc::permission_denied;
  }
  return error{code, std::string{doing} + " " + directory + ": " + mdb_strerror(rc)};
}

result<std::unique_ptr<lmdb_env>> lmdb_env::open(const lmdb_options& options, unsigned flags,
                                                 unsigned dbs_max) {
  if (auto made = make_directory(options.directory); !made) {
    return made.error();
  }
  MDB_env* raw = nullptr;
  if (const int rc = mdb_env_create(&raw); rc != MDB_SUCCESS) {
    return lmdb_error(rc, "cannot prepare", options.directory);
  }
  std::unique_ptr<lmdb_env> env{new lmdb_env{options, raw}};
  const lmdb_section section{*env};
  mdb_env_set_assert(raw, on_lmdb_assert);
  int rc = mdb_env_set_mapsize(raw, options.map_bytes);
  if (rc == MDB_SUCCESS) {
    rc = mdb_env_set_maxreaders(raw, readers_max);
  }
  if (rc == MDB_SUCCESS && dbs_max > 0) {
    rc = mdb_env_set_maxdbs(raw, dbs_max);
  }
  if (rc == MDB_SUCCESS) {
    rc = mdb_env_open(raw, options.directory.c_str(), flags | MDB_NOTLS, 0600);
  }
  MDB_stat stat{};
  if (rc == MDB_SUCCESS) {
    rc = mdb_env_stat(raw, &stat);
  }
  if (rc == ENOMEM) {
    return error{errc::failed_precondition,
                 "cannot map " + options.directory +
                     ": the process may not have that much address "
                     "space; raise its limit (`ulimit -v`) or give the storage a smaller quota"};
  }
  if (rc != MDB_SUCCESS) {
    return lmdb_error(rc, "cannot open", options.directory);
  }
  env->page_bytes_ = stat.ms_psize;
  env->check_readers();
  env->find_map();
  env->reserve();
  if (auto synced = sync_directory(options.directory); !synced) {
    return synced.error();
  }
  return env;
}

lmdb_env::~lmdb_env() {
  const lmdb_section section{*this};
  mdb_env_close(env_);
}

result<lmdb_txn> lmdb_env::begin_write() {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, 0, &txn); rc != MDB_SUCCESS) {
    return failure(rc, "cannot begin a write in");
  }
  return lmdb_txn{txn};
}

result<lmdb_txn> lmdb_env::begin_read() const {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn); rc != MDB_SUCCESS) {
    return failure(rc, "cannot begin a read in");
  }
  return lmdb_txn{txn};
}

result<void> lmdb_env::commit(lmdb_txn txn, std::size_t bytes) {
  int rc = mdb_txn_commit(txn.release());
  if (rc == EIO && disk_is_full(directory_, bytes)) {
    rc = ENOSPC;
  }
  if (rc != MDB_SUCCESS) {
    return failure(rc, "cannot commit to");
  }
  written_ += bytes;
  if (written_ >= written_bytes_max) {
    written_ = 0;
    let_go_of_pages();
  }
  reserve();
  return {};
}

// LMDB tells where its map is only when it was asked for a fixed place.
void lmdb_env::find_map() {
  mdb_filehandle_t file{};
  struct stat info {};
  if (mdb_env_get_fd(env_, &file) != MDB_SUCCESS || ::fstat(file, &info) != 0) {
    return;
  }
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    void* begin = nullptr;
    void* end = nullptr;
    unsigned major_number = 0;
    unsigned minor_number = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%p-%p %*s %*s %x:%x %lu", &begin, &end, &major_number,
                    &minor_number, &inode) == 5 &&
        inode == info.st_ino && makedev(major_number, minor_number) == info.st_dev) {
      map_ = begin;
      map_bytes_ = static_cast<std::size_t>(static_cast<char*>(end) - static_cast<char*>(begin));
      return;
    }
  }
}

// The map is shared and backed by the file: what is let go is read from the system's cache again.
void lmdb_env::let_go_of_pages() const noexcept {
  if (map_ != nullptr) {
    ::madvise(map_, map_bytes_, MADV_DONTNEED);
  }
}

std::uint64_t lmdb_env::bytes_reserved() const noexcept {
  const auto end = reserved_end_.load(std::memory_order_relaxed);
  const auto used = bytes_used_at_most();
  return end > used ? end - used : 0;
}

// Where the file system cannot promise space, or has none, there is no reserve.
void lmdb_env::reserve() noexcept {
  const auto used = bytes_used_at_most();
  if (reserved_end_.load(std::memory_order_relaxed) >= used + reserve_bytes / 2) {
    return;
  }
  mdb_filehandle_t file{};
  struct stat info {};
  if (mdb_env_get_fd(env_, &file) != MDB_SUCCESS) {
    return;
  }
  if (::fallocate(file, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(used), reserve_bytes) == 0) {
    reserved_end_.store(used + reserve_bytes, std::memory_order_relaxed);
  } else if (::fstat(file, &info) == 0) {
    // What an earlier reserve has left. A block of 512 bytes is what `stat` counts in.
    reserved_end_.store(static_cast<std::uint64_t>(info.st_blocks) * 512,
                        std::memory_order_relaxed);
  }
}

result<MDB_dbi> lmdb_env::open_db(const char* name, unsigned flags) {
  const lmdb_section section{*this};
  auto txn = begin_write();
  if (!txn) {
    return txn.error();
  }
  MDB_dbi dbi = 0;
  if (const int rc = mdb_dbi_open(txn->get(), name, flags, &dbi); rc != MDB_SUCCESS) {
    return failure(rc, "cannot open a table of");
  }
  if (auto done = commit(std::move(*txn), 0); !done) {
    return done.error();
  }
  return dbi;
}

// The free list is database 0: transaction id -> count and page numbers (as mdb_stat -f reads it).
result<std::uint64_t> lmdb_env::bytes_used() const {
  const lmdb_section section{*this};
  auto txn = begin_read();
  if (!txn) {
    return txn.error();
  }
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn->get(), 0, &raw); rc != MDB_SUCCESS) {
    return failure(rc, "cannot read the free list of");
  }
  const lmdb_cursor cursor{raw};
  std::uint64_t free_pages = 0;
  MDB_val key;
  MDB_val data;
  int rc = mdb_cursor_get(raw, &key, &data, MDB_FIRST);
  for (; rc == MDB_SUCCESS; rc = mdb_cursor_get(raw, &key, &data, MDB_NEXT)) {
    std::size_t count = 0;
    std::memcpy(&count, data.mv_data, sizeof count);
    free_pages += count;
  }
  if (rc != MDB_NOTFOUND) {
    return failure(rc, "cannot read the free list of");
  }
  const auto all = bytes_used_at_most();
  const auto unused = free_pages * page_bytes_;
  return all > unused ? all - unused : 0;
}

std::uint64_t lmdb_env::bytes_used_at_most() const noexcept {
  const lmdb_section section{*this};
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  return (static_cast<std::uint64_t>(info.me_last_pgno) + 1) * page_bytes_;
}

// No snapshot refers to pages behind the newest commit's last one, so nobody reads what goes.
void lmdb_env::give_back_unused() noexcept {
  mdb_filehandle_t file{};
  struct stat info {};
  const auto size = static_cast<off_t>(bytes_used_at_most());
  if (mdb_env_get_fd(env_, &file) == MDB_SUCCESS && ::fstat(file, &info) == 0 &&
      info.st_size > size) {
    [[maybe_unused]] const int cut = ::ftruncate(file, size);
    reserved_end_.store(0, std::memory_order_relaxed);
    reserve();
  }
}

void lmdb_env::check_readers() noexcept {
  int dead = 0;
  mdb_reader_check(env_, &dead);
}

}  // namespace millrace::runtime
