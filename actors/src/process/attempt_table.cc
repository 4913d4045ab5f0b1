// SPDX-License-Identifier: MIT
#include "process/attempt_table.h"

#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "process/failure.h"

namespace millrace::actors::process_detail {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

// Changes with every change of `slot_record` or `header`.
constexpr std::uint64_t layout = 0x6d72'6174'7400'0003;

struct header {
  std::uint64_t layout;
  std::uint64_t pid_namespace;  // inode of /proc/self/ns/pid
  std::uint32_t slot_count;
  std::array<char, 36> boot_id;
  std::uint64_t lineage;
  std::uint64_t checksum;  // of all before it
};

// Of a slot as it stands in the file. None crosses a page: the kernel copies each page whole, also
// for a process that is being killed.
struct alignas(256) slot_record {
  std::array<char, sizeof(attempt_slot)> slot;
  std::uint64_t checksum;  // of the slot and its index
};
static_assert(sizeof(slot_record) == 256);

// The records begin at this offset; they must not move when the header grows.
constexpr std::size_t header_bytes = sizeof(slot_record);
static_assert(sizeof(header) <= header_bytes);

// A file that claims more is none of ours.
constexpr std::uint32_t slots_max = std::uint32_t{1} << 20U;

// FNV-1a (fnvlib, Fowler, Noll, Vo): it finds mistakes, not intent.
std::uint64_t checksum_of(const char* bytes, std::size_t count, std::uint64_t seed) noexcept {
  auto sum = 0xcbf2'9ce4'8422'2325U ^ seed;
  for (std::size_t at = 0; at < count; ++at) {
    sum = (sum ^ static_cast<unsigned char>(bytes[at])) * 0x100'0000'01b3U;
  }
  return sum;
}

std::uint64_t checksum_of(const header& one) noexcept {
  return checksum_of(reinterpret_cast<const char*>(&one), offsetof(header, checksum), 0);
}

std::uint64_t checksum_of(const slot_record& one, std::uint32_t index) noexcept {
  return checksum_of(one.slot.data(), one.slot.size(), std::uint64_t{index} + 1);
}

slot_record record_of(const attempt_slot& slot, std::uint32_t index) noexcept {
  slot_record record{};
  std::memcpy(record.slot.data(), static_cast<const void*>(&slot), sizeof slot);
  record.checksum = checksum_of(record, index);
  return record;
}

off_t offset_of(std::uint32_t index) noexcept {
  return static_cast<off_t>(header_bytes + index * sizeof(slot_record));
}

// Answers an errno.
int write_at(int file, const void* bytes, std::size_t count, off_t offset) noexcept {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const auto written = ::pwrite(file, next, count, offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return written < 0 ? errno : ENOSPC;
    }
    next += written;
    offset += written;
    count -= static_cast<std::size_t>(written);
  }
  return 0;
}

// How many bytes of `count` are there.
std::size_t read_at(int file, void* bytes, std::size_t count, off_t offset) {
  std::size_t done = 0;
  while (done < count) {
    const auto got = ::pread(file, static_cast<char*>(bytes) + done, count - done,
                             offset + static_cast<off_t>(done));
    if (got == 0 || (got < 0 && errno != EINTR)) {
      break;
    }
    done += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  return done;
}

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

std::size_t bytes_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

// A file of at least `bytes`, all of them on the disk; one that is there is kept, also where it
// cannot grow.
result<unique_fd> reserved_file(const std::string& path, std::size_t bytes) {
  auto file = open_file(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) {
    return file_failure("cannot create " + path, errno);
  }
  const auto had = bytes_of(file.get());
  if (const auto failed = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes))) {
    if (had == 0) {
      ::unlink(path.c_str());
    } else {
      static_cast<void>(::ftruncate(file.get(), static_cast<off_t>(had)));
    }
    return file_failure("cannot reserve " + path, failed);
  }
  return file;
}

// Where what a task has put in the place of a file of ours, or has damaged, is kept.
std::string aside_of(const std::filesystem::path& file) {
  return file.string() + ".damaged";
}

// Renames `from`, which stood or stands at `file`, to where damaged files are kept.
result<void> set_aside(const std::filesystem::path& file, const std::filesystem::path& from) {
  const auto aside = aside_of(file);
  const unique_fd directory = open_file(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY);
  static_cast<void>(remove_tree(directory.get(), std::filesystem::path{aside}.filename().string()));
  if (::rename(from.c_str(), aside.c_str()) != 0) {
    return file_failure("cannot rename " + from.string() + " to " + aside, errno);
  }
  return {};
}

result<unique_fd> open_lock(const std::string& path) {
  const auto open = [&path] {
    return open_file(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
  };
  auto lock = open();
  const auto is_no_file = !lock && (errno == ELOOP || errno == EISDIR || errno == ENXIO);
  if (is_no_file && set_aside(path, path)) {
    lock = open();
  }
  if (!lock) {
    return file_failure("cannot open " + path, errno);
  }
  return lock;
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
    : lock_(std::move(other.lock_)),
      file_(std::move(other.file_)),
      slots_(std::exchange(other.slots_, nullptr)),
      slot_count_(other.slot_count_),
      lineage_(other.lineage_),
      recovered_(std::move(other.recovered_)),
      recovered_files_(std::move(other.recovered_files_)) {}

attempt_table::~attempt_table() {
  if (slots_ != nullptr) {
    ::munmap(slots_, slot_count_ * sizeof(attempt_slot));
  }
}

result<attempt_table> attempt_table::open(const std::filesystem::path& directory,
                                          std::uint32_t slot_count, std::uint64_t lineage,
                                          const std::function<void(std::string_view)>& warn) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  const auto path = directory / "attempts";
  attempt_table table;
  // The lock is on a file of its own: the table is replaced under it.
  auto lock = open_lock(path.string() + ".lock");
  if (!lock) {
    return std::move(lock).error();
  }
  table.lock_ = *std::move(lock);
  if (!lock_in_time(table.lock_.get())) {
    return error{errc::conflict, "another supervisor uses " + directory.string()};
  }
  table.lineage_ = lineage;
  std::string wrong;
  if (const auto old = open_regular(AT_FDCWD, path.string(), O_RDONLY)) {
    auto found = table.recover(old->get(), warn);
    if (!found) {
      return std::move(found).error();
    }
    wrong = *std::move(found);
  } else if (old.error().code() == errc::overloaded) {
    return old.error();  // of descriptors
  } else if (old.error().code() != errc::not_found) {
    wrong = old.error().text();
  }
  const auto carried = static_cast<std::uint32_t>(table.recovered_.size());
  if (auto done = table.create(path, slot_count + carried, !wrong.empty()); !done) {
    return std::move(done).error();
  }
  if (!wrong.empty() && warn) {
    warn(
        "the attempt table was set aside: attempts that it alone knew count as lost, and those "
        "of their processes that still run are found by their environment file=" +
        path.string() + " aside=" + aside_of(path) + " why=" + wrong);
  }
  return table;
}

int attempt_table::save(std::uint32_t index) const noexcept {
  const auto record = record_of(slots_[index], index);
  return write_at(file_.get(), &record, sizeof record, offset_of(index));
}

// Every attempt of the old table, fenced. Answers what is wrong with the table; nothing: empty.
result<std::string> attempt_table::recover(int fd,
                                           const std::function<void(std::string_view)>& warn) {
  const auto now = present_header(0);
  if (!now) {
    return now.error();
  }
  header then{};
  if (read_at(fd, &then, sizeof then, 0) != sizeof then || then.layout != layout) {
    return std::string{"it is not an attempt table of this version"};
  }
  if (then.checksum != checksum_of(then) || then.slot_count > slots_max) {
    return std::string{"its header does not match its checksum"};
  }
  const auto same_boot = then.boot_id == now->boot_id;
  const auto ids_hold = same_boot && then.pid_namespace == now->pid_namespace;
  std::vector<slot_record> records(then.slot_count);
  const auto bytes = read_at(fd, records.data(), records.size() * sizeof(slot_record),
                             static_cast<off_t>(header_bytes));
  std::uint32_t bad = 0;
  for (std::uint32_t index = 0; index < then.slot_count; ++index) {
    const auto& record = records[index];
    attempt_slot slot{};
    std::memcpy(static_cast<void*>(&slot), record.slot.data(), sizeof slot);
    if ((index + 1) * sizeof record > bytes || record.checksum != checksum_of(record, index) ||
        (slot.state != slot_state::free && !is_attempt_token(slot.name()))) {
      ++bad;
    } else if (slot.state != slot_state::free) {
      recovered_.push_back(examine(slot, ids_hold, warn));
      recovered_files_.push_back(slot.files);
    }
  }
  if (bad > 0) {
    return std::to_string(bad) + " of its " + std::to_string(then.slot_count) +
           " slots do not match their checksums";
  }
  if (same_boot) {
    lineage_ = then.lineage;  // what was written to its pages is there
  }
  return std::string{};
}

// Blocks are reserved at once, so that no later write of a slot meets a full disk.
result<void> attempt_table::create(const std::filesystem::path& file, std::uint32_t slot_count,
                                   bool is_damaged) {
  const auto bytes_for = [](std::uint32_t slots) {
    return header_bytes + slots * sizeof(slot_record);
  };
  const auto fresh = file.string() + ".new";
  if (::unlink(fresh.c_str()) != 0 && errno == EISDIR) {
    static_cast<void>(set_aside(fresh, fresh));
  }
  auto created = reserved_file(fresh, bytes_for(slot_count));
  // On a full disk the last start has left room for this one.
  const auto spare = file.string() + ".spare";
  const auto is_spare = !created && created.error().code() == errc::out_of_space &&
                        ::rename(spare.c_str(), fresh.c_str()) == 0;
  if (is_spare) {
    created = reserved_file(fresh, bytes_for(slot_count));
    if (!created) {  // room for all that are known will do, until there is more
      created = reserved_file(fresh, bytes_for(static_cast<std::uint32_t>(recovered_.size())));
      const auto slots = created ? (bytes_of(created->get()) - header_bytes) / sizeof(slot_record)
                                 : std::size_t{0};
      slot_count = static_cast<std::uint32_t>(std::min<std::size_t>(slot_count, slots));
    }
  }
  if (!created) {
    if (is_spare) {
      ::rename(fresh.c_str(), spare.c_str());
    }
    return std::move(created).error();
  }
  auto now = present_header(slot_count);
  if (!now) {
    return now.error();
  }
  now->lineage = lineage_;
  now->checksum = checksum_of(*now);
  file_ = *std::move(created);
  auto* address = ::mmap(nullptr, slot_count * sizeof(attempt_slot), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return file_failure("cannot map the attempt table", errno);
  }
  slot_count_ = slot_count;
  slots_ = static_cast<attempt_slot*>(address);
  std::uninitialized_value_construct_n(slots_, recovered_.size());
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
  std::vector<slot_record> records(slot_count);
  const attempt_slot unused{};
  for (std::uint32_t index = 0; index < slot_count; ++index) {
    records[index] = record_of(index < recovered_.size() ? slots_[index] : unused, index);
  }
  auto failed = write_at(file_.get(), &*now, sizeof *now, 0);
  if (failed == 0) {
    failed = write_at(file_.get(), records.data(), slot_count * sizeof(slot_record), offset_of(0));
  }
  if (failed != 0) {
    return file_failure("cannot write " + fresh, failed);
  }
  // The old table is there until the new one is: a damaged one has slots that are good.
  const auto is_old_kept = is_spare || is_damaged;
  if (is_old_kept &&
      ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, file.c_str(), RENAME_EXCHANGE) == 0) {
    if (is_damaged) {
      static_cast<void>(set_aside(file, fresh));
    } else {  // room for the next start, which would be others' once it was given back
      ::rename(fresh.c_str(), spare.c_str());
      return {};
    }
  } else {
    if (is_damaged) {
      static_cast<void>(set_aside(file, file));  // a file system that cannot exchange
    }
    if (::rename(fresh.c_str(), file.c_str()) != 0) {
      return file_failure("cannot rename " + fresh, errno);
    }
  }
  // The next table has as many slots, and all of this one's attempts at most.
  static_cast<void>(reserved_file(spare, bytes_for(2 * slot_count)));
  return {};
}

}  // namespace millrace::actors::process_detail
