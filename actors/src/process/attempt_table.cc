// SPDX-License-Identifier: MIT
#include "process/attempt_table.h"

#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "process/failure.h"

namespace millrace::actors::process_detail {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

// SIGKILL takes effect within milliseconds unless the process waits for a device.
constexpr int fence_timeout_ms = 10'000;

// Changes with every change of `attempt_slot` or `header`.
constexpr std::uint64_t layout = 0x6d72'6174'7400'0002;

// Slots begin at this offset; they must not move when the header grows.
constexpr std::size_t header_bytes = 256;

struct header {
  std::uint64_t layout;
  std::uint64_t pid_namespace;  // inode of /proc/self/ns/pid
  std::uint32_t slot_count;
  std::array<char, 36> boot_id;
  std::uint64_t lineage;  // 0 in tables of a version that had none
};
static_assert(sizeof(header) <= header_bytes);

struct mapped {
  mapped(void* where, std::size_t size) : address(where), bytes(size) {}
  mapped(const mapped&) = delete;
  mapped& operator=(const mapped&) = delete;
  void* address;
  std::size_t bytes;
  ~mapped() { ::munmap(address, bytes); }
};

// Where and when the ids in a table mean something.
result<header> present_header(std::uint32_t slot_count) {
  header now{};
  now.layout = layout;
  now.slot_count = slot_count;
  struct stat space {};
  const auto boot_id = open_file("/proc/sys/kernel/random/boot_id", O_RDONLY);
  if (::stat("/proc/self/ns/pid", &space) != 0 || !boot_id || !read_proc_stat(::getpid()) ||
      ::read(boot_id.get(), now.boot_id.data(), now.boot_id.size()) !=
          static_cast<ssize_t>(now.boot_id.size())) {
    return error{errc::failed_precondition,
                 "starting processes needs /proc, which is not readable"};
  }
  now.pid_namespace = space.st_ino;
  return now;
}

// A file of at least `bytes`, all of them on the disk; one that is there is kept.
result<unique_fd> reserved_file(const std::string& path, std::size_t bytes) {
  auto file = open_file(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) {
    return file_failure("cannot create " + path, errno);
  }
  if (const auto failed = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes))) {
    ::unlink(path.c_str());
    return file_failure("cannot reserve " + path, failed);
  }
  return file;
}

recovered_attempt ended_attempt(const attempt_slot& slot) {
  recovered_attempt found;
  found.token = slot.name();
  found.found = recovered_attempt::state::ended;
  found.outcome = slot.outcome;
  if (slot.exit_code >= 0) {
    found.exit_code = slot.exit_code;
  }
  if (slot.signal != 0) {
    found.signal = slot.signal;
  }
  return found;
}

recovered_attempt examine(const attempt_slot& slot, bool ids_hold,
                          const std::function<void(std::string_view)>& warn) {
  if (slot.state == slot_state::ended) {
    return ended_attempt(slot);
  }
  recovered_attempt found;
  found.token = slot.name();
  if (slot.state == slot_state::running && ids_hold) {
    const auto identity = slot.identity();
    const auto outcome = fence_group(identity, fence_timeout_ms);
    if (outcome == fence_outcome::survived && warn) {
      // It waits for a device. It will not execute another instruction of its own, so that all the
      // others need not wait for it.
      warn("an attempt was killed but is stuck in the kernel attempt=" + found.token +
           " group=" + std::to_string(identity.group));
    }
    if (outcome != fence_outcome::gone) {
      found.found = recovered_attempt::state::fenced;
    }
  }
  return found;
}

// What is left of a life that has just been killed may not have let go of its lock yet.
constexpr int lock_patience_ms = 1'000;
constexpr int lock_poll_ms = 10;

bool lock_in_time(int file) {
  for (int waited_ms = 0; ::flock(file, LOCK_EX | LOCK_NB) != 0; waited_ms += lock_poll_ms) {
    if (waited_ms >= lock_patience_ms) {
      return false;
    }
    ::poll(nullptr, 0, lock_poll_ms);
  }
  return true;
}

}  // namespace

std::string_view attempt_slot::name() const {
  return {token, ::strnlen(token, sizeof token)};
}

group_identity attempt_slot::identity() const {
  return {group.load(std::memory_order_acquire),
          session,
          born_not_before,
          born_not_after,
          mark,
          name()};
}

attempt_table::attempt_table(attempt_table&& other) noexcept
    : file_(std::move(other.file_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(other.mapping_bytes_),
      slots_(std::exchange(other.slots_, nullptr)),
      slot_count_(other.slot_count_),
      lineage_(other.lineage_),
      recovered_(std::move(other.recovered_)),
      recovered_files_(std::move(other.recovered_files_)) {}

attempt_table::~attempt_table() {
  if (mapping_ != nullptr) {
    ::munmap(mapping_, mapping_bytes_);
  }
}

result<attempt_table> attempt_table::open(const std::filesystem::path& directory,
                                          std::uint32_t slot_count, std::uint64_t lineage,
                                          const std::function<void(std::string_view)>& warn) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  const auto path = directory / "attempts";
  // The lock is on a file of its own: the table is replaced under it.
  auto lock = open_file((directory / "attempts.lock").c_str(), O_RDWR | O_CREAT, 0600);
  if (!lock) {
    return file_failure("cannot open " + path.string() + ".lock", errno);
  }
  if (!lock_in_time(lock.get())) {
    return error{errc::conflict, "another supervisor uses " + directory.string()};
  }
  attempt_table table;
  table.file_ = std::move(lock);
  table.lineage_ = lineage;
  if (const auto old = open_regular(AT_FDCWD, path.string(), O_RDONLY)) {
    if (auto done = table.recover(path, old->get(), warn); !done) {
      return std::move(done).error();
    }
  } else if (old.error().code() != errc::not_found) {
    return old.error();
  }
  const auto carried = static_cast<std::uint32_t>(table.recovered_.size());
  if (auto done = table.create(path, slot_count + carried); !done) {
    return std::move(done).error();
  }
  return table;
}

// Every attempt of the old table, fenced.
result<void> attempt_table::recover(const std::filesystem::path& file, int fd,
                                    const std::function<void(std::string_view)>& warn) {
  struct stat status {};
  const auto now = present_header(0);
  if (!now) {
    return now.error();
  }
  if (::fstat(fd, &status) != 0) {
    return file_failure("cannot read " + file.string(), errno);
  }
  const auto bytes = static_cast<std::size_t>(status.st_size);
  const error damaged{errc::storage_failed,
                      file.string() +
                          " is not an attempt table of this version: see that "
                          "no attempt runs, then remove it"};
  if (bytes < header_bytes) {
    return damaged;
  }
  auto* address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) {
    return file_failure("cannot map " + file.string(), errno);
  }
  const mapped old{address, bytes};
  header then{};
  std::memcpy(&then, address, sizeof then);
  if (then.layout != layout || (bytes - header_bytes) / sizeof(attempt_slot) < then.slot_count) {
    return damaged;
  }
  const auto same_boot = then.boot_id == now->boot_id;
  const auto ids_hold = same_boot && then.pid_namespace == now->pid_namespace;
  if (same_boot && then.lineage != 0) {
    lineage_ = then.lineage;  // what was stored into its pages is there
  }
  const auto* slots =
      reinterpret_cast<const attempt_slot*>(static_cast<char*>(address) + header_bytes);
  for (std::uint32_t index = 0; index < then.slot_count; ++index) {
    if (slots[index].state == slot_state::free) {
      continue;
    }
    recovered_.push_back(examine(slots[index], ids_hold, warn));
    recovered_files_.push_back(slots[index].files);
  }
  return {};
}

// Blocks are reserved at once, so that no later store into the mapping meets a full disk.
result<void> attempt_table::create(const std::filesystem::path& file, std::uint32_t slot_count) {
  auto now = present_header(slot_count);
  if (!now) {
    return now.error();
  }
  now->lineage = lineage_;
  const auto fresh = file.string() + ".new";
  mapping_bytes_ = header_bytes + slot_count * sizeof(attempt_slot);
  ::unlink(fresh.c_str());
  auto created = reserved_file(fresh, mapping_bytes_);
  // On a full disk the last start has left room for this one.
  const auto spare = file.string() + ".spare";
  if (!created && created.error().code() == errc::out_of_space &&
      ::rename(spare.c_str(), fresh.c_str()) == 0) {
    created = reserved_file(fresh, mapping_bytes_);
  }
  if (!created) {
    return std::move(created).error();
  }
  auto* address =
      ::mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, created->get(), 0);
  if (address == MAP_FAILED) {
    return file_failure("cannot map " + fresh, errno);
  }
  mapping_ = address;
  slot_count_ = slot_count;
  slots_ = reinterpret_cast<attempt_slot*>(static_cast<char*>(address) + header_bytes);
  std::uninitialized_value_construct_n(slots_, slot_count);
  for (std::uint32_t index = 0; index < recovered_.size(); ++index) {
    const auto& from = recovered_[index];
    auto& into = slots_[index];
    from.token.copy(into.token, sizeof into.token);
    into.outcome = from.outcome;
    into.exit_code = from.exit_code.value_or(-1);
    into.signal = from.signal.value_or(0);
    into.files = recovered_files_[index];
    into.state =
        from.found == recovered_attempt::state::ended ? slot_state::ended : slot_state::lost;
  }
  std::memcpy(address, &*now, sizeof *now);
  if (::rename(fresh.c_str(), file.c_str()) != 0) {
    return file_failure("cannot rename " + fresh, errno);
  }
  // The next table has as many slots, and all of this one's attempts at most.
  static_cast<void>(reserved_file(spare, mapping_bytes_ + slot_count * sizeof(attempt_slot)));
  return {};
}

}  // namespace millrace::actors::process_detail
