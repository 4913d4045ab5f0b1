// SPDX-License-Identifier: MIT
#include "coordination/local_environment.h"

#include <algorithm>
#include <utility>

#include "storage/files.h"

namespace millrace::runtime {
namespace {

// 65535 records of 2 KiB each, twice.
constexpr std::size_t map_bytes = std::size_t{256} << 20U;
// About what a transaction writes, so that a full disk is told from a broken one.
constexpr std::size_t commit_bytes = std::size_t{64} << 10U;
// Longer than it takes to kill who holds the lock.
constexpr duration open_patience = std::chrono::seconds{10};

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
  auto env = lmdb_env::open({.directory = directory, .map_bytes = map_bytes}, 0, 0);
  if (!env) {
    return env.error();
  }
  made->env_ = std::move(*env);
  if (auto prepared = made->prepare(); !prepared) {
    return prepared.error();
  }
  return made;
}

result<void> local_environment::prepare() {
  // LMDB's own lock is taken nowhere but behind ours.
  if (auto locked = page_->lock(clock_, clock_.steady() + open_patience, warn_); !locked) {
    return locked;
  }
  const auto table = env_->open_db(nullptr, 0);
  page_->unlock();
  if (!table) {
    return table.error();
  }
  table_ = *table;
  if (page_->is_first()) {
    if (auto cleared = clear_silos(); !cleared) {
      return cleared;
    }
  }
  return page_->let_others_in();
}

// Nobody has the store open, so nobody is in.
result<void> local_environment::clear_silos() {
  auto write = begin_write(clock_.steady() + open_patience);
  if (!write) {
    return write.error();
  }
  const auto rows = (*write)->rows();
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

result<std::unique_ptr<local_environment::reader>> local_environment::begin_read() const {
  auto made = std::make_unique<reader>(*this);
  if (auto begun = made->begin(); !begun) {
    return begun.error();
  }
  return made;
}

std::uint64_t local_environment::last_revision() const noexcept {
  const lmdb_section section{*env_};
  MDB_envinfo info{};
  mdb_env_info(env_->env(), &info);
  return info.me_last_txnid;
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

result<void> local_environment::reader::begin() {
  auto txn = of_.env_->begin_read();
  if (!txn) {
    return txn.error();
  }
  txn_ = std::move(*txn);
  return {};
}

}  // namespace millrace::runtime
