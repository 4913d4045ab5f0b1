// SPDX-License-Identifier: MIT
#include "coordination/local_environment.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "storage/files.h"
#include "storage/lmdb_pages.h"

namespace millrace::runtime {
namespace {

// 65535 records of 2 KiB each, twice.
constexpr std::size_t map_bytes = std::size_t{256} << 20U;
// About what a transaction writes, so that a full disk is told from a broken one.
constexpr std::size_t commit_bytes = std::size_t{64} << 10U;
// Longer than it takes to kill who holds the lock.
constexpr duration open_patience = std::chrono::seconds{10};
// What operators do, see docs/operations.md.
constexpr const char* remedy =
    "stop its silos, then put back a copy of the directory, or move it away and begin the cluster "
    "anew (`millrace silo --found-anew`, \"When the coordination store is lost\" in operations.md)";
// Places among LMDB's readers that a process takes at once: its watcher's, and that of who asks.
constexpr std::size_t reads_at_first = 2;

// LMDB checks no page itself. Behind the writer's lock nobody changes one.
result<void> prove(const lmdb_options& options) {
  std::error_code unknown;
  if (std::filesystem::file_size(options.directory + "/data.mdb", unknown) == 0) {
    return {};  // who was making it has died
  }
  const auto pages = open_lmdb_pages(options);
  if (!pages || *pages == nullptr) {
    return pages ? result<void>{} : pages.error();
  }
  const auto seen = [](std::string_view, std::string_view) { return result<void>{}; };
  const auto walked = (*pages)->walk((*pages)->main(), {}, seen);
  return walked ? result<void>{} : walked.error();
}

}  // namespace

result<std::unique_ptr<local_environment>> local_environment::open(
    const std::string& directory, const process_identity& self, const clock& clock,
    std::function<void(std::string_view)> warn) {
  std::unique_ptr<local_environment> made{new local_environment{clock, std::move(warn)}};
  if (auto there = make_directory(directory); !there) {
    return there.error();
  }
  auto page = shared_page::open(directory, self);
  if (!page) {
    return page.error();
  }
  made->page_ = std::move(*page);
  // LMDB's own locks are taken nowhere but behind ours: who is stopped with one of them is killed.
  if (auto locked = made->page_->lock(clock, clock.steady() + open_patience, made->warn_);
      !locked) {
    return locked.error();
  }
  auto opened = made->open_lmdb(directory);
  made->page_->unlock();
  if (opened) {
    opened = made->prepare();
  }
  return opened ? result{std::move(made)} : opened.error();
}

result<void> local_environment::look_at(const std::string& directory, const process_identity& self,
                                        const clock& clock,
                                        const std::function<void(const local_rows&)>& look) {
  std::error_code unknown;
  if (!std::filesystem::exists(directory + "/data.mdb", unknown)) {
    return error{errc::not_found,
                 directory + " is no coordination store of one machine: it has no data.mdb"};
  }
  local_environment made{clock, [](std::string_view) {}};
  auto page = shared_page::open(directory, self);
  if (!page) {
    return page.error();
  }
  made.page_ = std::move(*page);
  if (auto locked = made.page_->lock(clock, clock.steady() + open_patience, made.warn_); !locked) {
    return locked;
  }
  auto opened = made.open_lmdb(directory);
  if (opened) {
    const auto read = made.begin_read(clock.steady() + open_patience);
    if (read) {
      look((*read)->rows(coordination_protocol));
    } else {
      opened = read.error();
    }
  }
  made.page_->unlock();
  return opened;
}

result<void> local_environment::open_lmdb(const std::string& directory) {
  const lmdb_options options{
      .directory = directory, .map_bytes = map_bytes, .must_exist = false, .remedy = remedy};
  if (auto proven = prove(options); !proven) {
    return proven;
  }
  auto env = lmdb_env::open(options, 0, 0);
  if (!env) {
    return env.error();
  }
  env_ = std::move(*env);
  const auto table = env_->open_db(nullptr, 0);
  if (!table) {
    return table.error();
  }
  table_ = *table;
  while (reads_.size() < reads_at_first) {
    auto read = env_->begin_read();
    if (!read) {
      return read.error();
    }
    keep(std::move(*read));
  }
  return {};
}

result<void> local_environment::prepare() {
  if (page_->is_first()) {
    if (auto cleared = clear_silos(); !cleared) {
      return cleared;
    }
  }
  return page_->let_others_in();
}

// Nobody has the store open, so nobody is in, of whatever version his row may be.
result<void> local_environment::clear_silos() {
  auto write = begin_write(clock_.steady() + open_patience);
  if (!write) {
    return write.error();
  }
  const auto rows = (*write)->rows(UINT32_MAX);
  const auto silos = rows.silos();
  if (!silos) {
    return silos.error();
  }
  for (const auto& silo : *silos) {
    if (auto erased = rows.erase_silo(silo.row.name); !erased) {
      return erased;
    }
  }
  return silos->empty() ? result<void>{} : (*write)->commit();
}

result<std::unique_ptr<local_environment::writer>> local_environment::begin_write(
    steady_time deadline) {
  std::unique_lock turn{turn_, std::max(deadline - clock_.steady(), duration::zero())};
  if (!turn) {
    return error{errc::deadline_exceeded,
                 "another thread of this process writes to the coordination store"};
  }
  if (auto locked = page_->lock(clock_, deadline, warn_); !locked) {
    return locked.error();
  }
  auto made = std::make_unique<writer>(*this, std::move(turn));
  if (auto begun = made->begin(); !begun) {
    return begun.error();
  }
  return made;
}

result<std::unique_ptr<local_environment::reader>> local_environment::begin_read(
    steady_time deadline) {
  auto txn = take_read(deadline);
  if (!txn) {
    return txn.error();
  }
  return std::make_unique<reader>(*this, std::move(*txn));
}

// LMDB gives a place among its readers behind a mutex that has no deadline. One that has been had
// is therefore kept, and another one is taken behind our lock.
result<lmdb_txn> local_environment::take_read(steady_time deadline) {
  const lmdb_section section{*env_};
  lmdb_txn kept;
  {
    const std::lock_guard lock{reads_mutex_};
    if (!reads_.empty()) {
      kept = std::move(reads_.back());
      reads_.pop_back();
    }
  }
  if (kept) {
    const int rc = mdb_txn_renew(kept.get());
    return rc == MDB_SUCCESS ? result{std::move(kept)} : env_->failure(rc, "cannot read");
  }
  const std::unique_lock turn{turn_, std::max(deadline - clock_.steady(), duration::zero())};
  if (!turn) {
    return error{errc::deadline_exceeded,
                 "another thread of this process writes to the coordination store"};
  }
  if (auto locked = page_->lock(clock_, deadline, warn_); !locked) {
    return locked.error();
  }
  auto fresh = env_->begin_read();
  page_->unlock();
  return fresh;
}

void local_environment::keep(lmdb_txn ended) noexcept {
  mdb_txn_reset(ended.get());
  const std::lock_guard lock{reads_mutex_};
  reads_.push_back(std::move(ended));
}

// What LMDB tells of the environment is ahead of reads: there a transaction counts from when its
// page is written, and while that is flushed a read does not have it yet.
std::optional<std::uint64_t> local_environment::last_revision() {
  const auto read = begin_read(clock_.steady());
  return read ? std::optional{(*read)->revision()} : std::nullopt;
}

local_environment::writer::~writer() {
  txn_.reset();
  of_.page_->unlock();
}

result<void> local_environment::writer::begin() {
  auto txn = of_.env_->begin_write();
  if (!txn) {
    return txn.error();
  }
  txn_ = std::move(*txn);
  return {};
}

result<void> local_environment::writer::commit() {
  return of_.env_->commit(std::move(txn_), commit_bytes);
}

}  // namespace millrace::runtime
