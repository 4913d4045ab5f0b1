// SPDX-License-Identifier: MIT
#include "coordination/shared_page.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstring>

#include "storage/files.h"

namespace millrace::runtime {
namespace {

constexpr std::uint64_t page_magic = 0x31'65'67'61'70'72'6d;  // "mrpage1"
constexpr std::size_t page_bytes = 4096;
constexpr std::size_t boot_id_bytes_max = 40;

// Whoever is first clears what is void: a commit of the disk.
constexpr int entry_wait_ms_max = 10'000;
constexpr int entry_poll_ms = 5;

// A waiter looks so often whether the holder is dead, or has left without waking anybody.
constexpr timespec look_interval{0, 50'000'000};
constexpr duration end_patience = std::chrono::seconds{1};

std::uint64_t word_of(const process_identity& process) {
  return (static_cast<std::uint64_t>(process.pid) << 32U) |
         static_cast<std::uint32_t>(process.start_ticks);
}

std::int32_t pid_of(std::uint64_t word) {
  return static_cast<std::int32_t>(word >> 32U);
}

// A futex is 32 bits wide: the half of the word that has the pid.
static_assert(std::endian::native == std::endian::little);
std::uint32_t* futex_of(std::atomic<std::uint64_t>& word) noexcept {
  return reinterpret_cast<std::uint32_t*>(&word) + 1;
}

void wait_a_moment() {
  ::poll(nullptr, 0, entry_poll_ms);
}

}  // namespace

// A page of zeros is one that nobody has written, so it needs no making.
struct shared_page::layout {
  struct session {
    std::atomic<std::uint64_t> incarnation;
    std::atomic<std::int64_t> expires_at;  // nanoseconds since boot; 0: it has ended
  };

  std::uint64_t magic;
  std::array<char, boot_id_bytes_max> boot_id;
  std::uint64_t pid_namespace;
  std::atomic<std::uint64_t> holder;    // 0: the lock is free
  std::atomic<std::uint32_t> releases;  // tells two holds of one process apart
  std::array<session, local_sessions_max> sessions;
};

std::string_view shared_file_system(std::uint64_t type) noexcept {
  struct row {
    std::uint64_t type;
    std::string_view name;
  };
  static constexpr std::array rows{
      row{0x6969, "NFS"},       row{0x517b, "SMB"},        row{0xff534d42, "CIFS"},
      row{0xfe534d42, "SMB2"},  row{0x00c36400, "Ceph"},   row{0x65735546, "FUSE"},
      row{0x01021997, "9P"},    row{0x5346414f, "AFS"},    row{0x01161970, "GFS2"},
      row{0x7461636f, "OCFS2"}, row{0x0bd00bd0, "Lustre"}, row{0x47504653, "GPFS"},
      row{0x73757245, "Coda"},  row{0x786f4256, "vboxsf"}, row{0x19830326, "BeeGFS"},
  };
  for (const auto& each : rows) {
    if (each.type == type) {
      return each.name;
    }
  }
  return {};
}

result<std::unique_ptr<shared_page>> shared_page::open(const std::string& directory,
                                                       const process_identity& self) {
  static_assert(sizeof(layout) <= page_bytes);
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  auto path = directory + "/LOCK";
  auto file = open_plain(path, O_RDWR | O_CREAT);
  if (!file) {
    return file.error();
  }
  std::unique_ptr<shared_page> page{new shared_page{std::move(path), *std::move(file), self}};
  struct statfs info {};
  if (::fstatfs(page->file_.get(), &info) != 0) {
    return file_error(errno, "cannot look at the file system of", page->path_);
  }
  if (const auto name = shared_file_system(static_cast<std::uint32_t>(info.f_type));
      !name.empty()) {
    return error{errc::failed_precondition,
                 "the local coordination store cannot lie on " + std::string{name} + " (" +
                     directory + "): it needs a file system of this machine; use etcd for several"};
  }
  if (auto entered = page->enter(); !entered) {
    return entered.error();
  }
  return page;
}

shared_page::~shared_page() {
  if (page_ != nullptr) {
    ::munmap(page_, page_bytes);
  }
}

result<void> shared_page::enter() {
  const mapped_section section{mapped_};
  is_first_ = ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
  if (!is_first_) {
    if (auto shared = share(); !shared) {
      return shared.error();
    }
  }
  // The page is there in full: the disk could not say so when it is written through the map.
  if (const int failed = ::posix_fallocate(file_.get(), 0, page_bytes); failed != 0) {
    return file_error(failed, "cannot write", path_);
  }
  void* at = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (at == MAP_FAILED) {
    return file_error(errno, "cannot map", path_);
  }
  page_ = static_cast<layout*>(at);
  self_word_ = word_of(self_);
  if (!is_first_) {
    return check_whose();
  }
  std::memset(at, 0, page_bytes);
  page_->magic = page_magic;
  self_.boot_id.copy(page_->boot_id.data(), boot_id_bytes_max - 1);
  page_->pid_namespace = self_.pid_namespace;
  return {};
}

// Who turns an exclusive lock into a shared one may lose it on the way to another first one.
result<void> shared_page::let_others_in() {
  if (!is_first_) {
    return {};
  }
  is_first_ = false;
  if (auto shared = share(); !shared) {
    return shared.error();
  }
  return check_whose();
}

result<void> shared_page::share() {
  for (int waited_ms = 0; ::flock(file_.get(), LOCK_SH | LOCK_NB) != 0;
       waited_ms += entry_poll_ms) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return file_error(errno, "cannot lock", path_);
    }
    if (waited_ms >= entry_wait_ms_max) {
      return error{errc::unavailable,
                   "another process prepares " + path_ + " and does not get done"};
    }
    wait_a_moment();
  }
  return {};
}

result<void> shared_page::check_whose() const {
  const mapped_section section{mapped_};
  if (page_->magic != page_magic) {
    return error{errc::failed_precondition,
                 path_ + " is in use by another version of millrace: stop its silos first"};
  }
  if (std::string_view{page_->boot_id.data()} != self_.boot_id ||
      page_->pid_namespace != self_.pid_namespace) {
    return error{errc::failed_precondition,
                 path_ + " is in use by processes of another machine or PID namespace: the local " +
                     "coordination store is for the silos of one; use etcd for several"};
  }
  return {};
}

result<void> shared_page::lock(const clock& clock, steady_time deadline,
                               const std::function<void(std::string_view)>& warn) {
  const mapped_section section{mapped_};
  for (;;) {
    std::uint64_t holder = 0;
    if (page_->holder.compare_exchange_strong(holder, self_word_)) {
      return {};
    }
    if (clock.steady() >= deadline) {
      return error{errc::deadline_exceeded, "process " + std::to_string(pid_of(holder)) +
                                                " holds the lock of the coordination store"};
    }
    const auto process = process_handle::open(pid_of(holder), holder);
    if (process && !process->has_value()) {
      if (page_->holder.compare_exchange_strong(holder, self_word_)) {
        return {};
      }
      continue;
    }
    const auto releases = page_->releases.load();
    if (has_waited_in_vain(holder) && watch_.is_too_long(holder, releases) && process &&
        page_->holder.load() == holder && page_->releases.load() == releases &&
        (*process)->kill()) {
      warn("killed process " + std::to_string(pid_of(holder)) +
           ", which kept the lock of the coordination store for 2 s");
      static_cast<void>((*process)->has_ended(end_patience));
    }
  }
}

// A wake-up that never comes, since who was to give it was killed, costs one interval.
bool shared_page::has_waited_in_vain(std::uint64_t holder) noexcept {
  auto* pid_half = futex_of(page_->holder);
  return ::syscall(SYS_futex, pid_half, FUTEX_WAIT, static_cast<std::uint32_t>(pid_of(holder)),
                   &look_interval, nullptr, 0) != 0 &&
         errno == ETIMEDOUT;
}

void shared_page::unlock() noexcept {
  const mapped_section section{mapped_};
  page_->releases.fetch_add(1);
  // Whoever was taken for dead wrongly has lost it, and must not free another's.
  auto self = self_word_;
  page_->holder.compare_exchange_strong(self, 0);
  auto* pid_half = futex_of(page_->holder);
  ::syscall(SYS_futex, pid_half, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void shared_page::begin_session(std::size_t slot, std::uint64_t incarnation,
                                steady_time expires_at) noexcept {
  const mapped_section section{mapped_};
  auto& session = page_->sessions[slot];
  session.expires_at.store(0);
  session.incarnation.store(incarnation);
  session.expires_at.store(expires_at.time_since_epoch().count());
}

bool shared_page::renew_session(std::size_t slot, std::uint64_t incarnation, steady_time now,
                                duration ttl) noexcept {
  const mapped_section section{mapped_};
  auto& session = page_->sessions[slot];
  auto expires_at = session.expires_at.load();
  if (session.incarnation.load() != incarnation || now.time_since_epoch().count() >= expires_at) {
    return false;
  }
  return session.expires_at.compare_exchange_strong(expires_at,
                                                    (now + ttl).time_since_epoch().count());
}

bool shared_page::end_session_if_expired(std::size_t slot, std::uint64_t incarnation,
                                         steady_time now) noexcept {
  const mapped_section section{mapped_};
  auto& session = page_->sessions[slot];
  auto expires_at = session.expires_at.load();
  if (session.incarnation.load() != incarnation || expires_at == 0) {
    return true;
  }
  return now.time_since_epoch().count() >= expires_at &&
         session.expires_at.compare_exchange_strong(expires_at, 0);
}

void shared_page::end_session(std::size_t slot, std::uint64_t incarnation) noexcept {
  const mapped_section section{mapped_};
  auto& session = page_->sessions[slot];
  if (session.incarnation.load() == incarnation) {
    session.expires_at.store(0);
  }
}

}  // namespace millrace::runtime
