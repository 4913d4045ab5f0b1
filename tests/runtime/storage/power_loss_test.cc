// SPDX-License-Identifier: MIT
// What is left on a disk when the power goes: what was flushed, and of the rest whatever it likes.
//
// This program has the calls by which LMDB writes for itself. In a child that asks for it they note
// what each sector held before a write that no flush has followed, and at a chosen write the power
// fails: each such sector keeps the new bytes or gets the old ones back, as chance will have it,
// and so do lengths of files. Names of files (rename, unlink) are not undone.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "endless_writers.h"
#include "millrace/runtime/clock.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they have these calls, too

namespace millrace::runtime::testing {
namespace {

constexpr std::size_t sector_bytes = 512;
constexpr int power_lost_status = 7;

enum class ending : std::uint8_t { power_loss, kill };  // a kill undoes nothing

// Threading: any thread.
class volatile_disk {
public:
  // From now on; the process ends so at the write or flush of that number.
  void arm(const std::string& directory, std::uint64_t fails_at, std::uint64_t seed,
           ending how = ending::power_loss) {
    directory_ = directory;
    fails_at_ = fails_at;
    random_ = rng{seed};
    how_ = how;
    armed_ = true;
  }
  [[nodiscard]] bool armed() const { return armed_; }

  // Notes what is there, writes, and forgets the note if the file is one whose writes are flushes.
  template <class Write>
  ssize_t write(int to, off_t at, std::size_t bytes, const Write& carry_out) {
    const std::lock_guard lock{mutex_};
    auto* const on = find(to);
    if (on == nullptr) {
      return carry_out();
    }
    if (++calls_ == fails_at_) {
      lose_power();
    }
    note(*on, at, bytes);
    const auto written = carry_out();
    if ((::fcntl(to, F_GETFL) & O_DSYNC) != 0) {
      keep(*on, at, bytes);
    }
    return written;
  }
  template <class Flush>
  int flush(int of, const Flush& carry_out) {
    const std::lock_guard lock{mutex_};
    auto* const on = find(of);
    if (on != nullptr && ++calls_ == fails_at_) {
      lose_power();
    }
    if (on != nullptr) {
      on->before.clear();
      on->length.reset();
    }
    return carry_out();
  }

private:
  struct file {
    int descriptor = -1;                  // of this, whoever closes his own
    std::map<off_t, std::string> before;  // sectors that were not flushed since
    std::optional<off_t> length;          // before the first write that was not
  };

  file* find(int descriptor) {
    struct stat info {};
    if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
      return nullptr;
    }
    const auto found = files_.find(info.st_ino);
    if (found != files_.end()) {
      return &found->second;
    }
    const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor));
    if (!path.string().starts_with(directory_)) {
      return nullptr;
    }
    auto& made = files_[info.st_ino];
    made.descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    return &made;
  }
  static off_t length_of(const file& one) {
    struct stat info {};
    ::fstat(one.descriptor, &info);
    return info.st_size;
  }
  static void note(file& one, off_t at, std::size_t bytes) {
    one.length = one.length.value_or(length_of(one));
    for_sectors(at, bytes, [&](off_t sector) {
      const auto [noted, is_new] = one.before.try_emplace(sector);
      if (is_new) {
        noted->second.resize(sector_bytes);
        (void)!::pread(one.descriptor, noted->second.data(), sector_bytes, sector);
      }
    });
  }
  // Just these bytes are flushed: what is around them in their sectors is not.
  static void keep(file& one, off_t at, std::size_t bytes) {
    for_sectors(at, bytes, [&](off_t sector) {
      auto& before = one.before.at(sector);
      const auto begin = std::max(at, sector);
      const auto end = std::min<off_t>(at + static_cast<off_t>(bytes),
                                       sector + static_cast<off_t>(sector_bytes));
      (void)!::pread(one.descriptor, before.data() + (begin - sector),
                     static_cast<std::size_t>(end - begin), begin);
    });
  }
  template <class Visit>
  static void for_sectors(off_t at, std::size_t bytes, const Visit& visit) {
    constexpr auto size = static_cast<off_t>(sector_bytes);
    for (auto sector = at / size * size; sector < at + static_cast<off_t>(bytes); sector += size) {
      visit(sector);
    }
  }
  // Nobody writes any more: the lock is never given back.
  [[noreturn]] void lose_power() {
    if (how_ == ending::kill) {
      files_.clear();
    }
    for (auto& [inode, one] : files_) {
      for (const auto& [sector, before] : one.before) {
        if (random_.next() % 2 == 0) {
          ::syscall(SYS_pwrite64, one.descriptor, before.data(), before.size(), sector);
        }
      }
      if (one.length && random_.next() % 2 == 0) {
        (void)!::ftruncate(one.descriptor, *one.length);
      }
    }
    ::_exit(power_lost_status);
  }

  bool armed_ = false;
  std::string directory_;
  std::mutex mutex_;
  std::map<ino_t, file> files_;
  std::uint64_t calls_ = 0;
  std::uint64_t fails_at_ = 0;
  rng random_{0};
  ending how_ = ending::power_loss;
};

volatile_disk& the_disk() {
  static volatile_disk disk;
  return disk;
}

}  // namespace
}  // namespace millrace::runtime::testing

using millrace::runtime::testing::the_disk;

extern "C" {

ssize_t pwrite(int to, const void* bytes, size_t count, off_t at) {
  const auto carry_out = [&] { return ::syscall(SYS_pwrite64, to, bytes, count, at); };
  return the_disk().armed() ? the_disk().write(to, at, count, carry_out) : carry_out();
}

ssize_t writev(int to, const struct iovec* parts, int count) {
  const auto carry_out = [&] { return ::syscall(SYS_writev, to, parts, count); };
  if (!the_disk().armed()) {
    return carry_out();
  }
  std::size_t bytes = 0;
  for (int part = 0; part < count; ++part) {
    bytes += parts[part].iov_len;
  }
  return the_disk().write(to, ::lseek(to, 0, SEEK_CUR), bytes, carry_out);
}

ssize_t write(int to, const void* bytes, size_t count) {
  const auto carry_out = [&] { return ::syscall(SYS_write, to, bytes, count); };
  return the_disk().armed() ? the_disk().write(to, ::lseek(to, 0, SEEK_CUR), count, carry_out)
                            : carry_out();
}

int fdatasync(int of) {
  const auto carry_out = [&] { return static_cast<int>(::syscall(SYS_fdatasync, of)); };
  return the_disk().armed() ? the_disk().flush(of, carry_out) : carry_out();
}

int fsync(int of) {
  const auto carry_out = [&] { return static_cast<int>(::syscall(SYS_fsync, of)); };
  return the_disk().armed() ? the_disk().flush(of, carry_out) : carry_out();
}
}

namespace millrace::runtime::testing {
namespace {

// Goal: what was acknowledged is on the disk, not only with the kernel.
// Method: a child writes under load until the power fails at some write or flush, each time another
// one; the next child goes on with what the disk has. The flushes of opening are among them.
// MILLRACE_POWER_LOSSES sets the number of lives.
TEST_CASE("every acknowledged commit survives the loss of power under load, wholly and in order") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_bytes = 32U << 10U;
  options.checkpoint_interval_ms = 5;
  options.commit_bytes_max = 16U << 10U;
  const auto* wanted = std::getenv("MILLRACE_POWER_LOSSES");
  const int lives = wanted == nullptr ? 30 : std::atoi(wanted);
  REQUIRE(open_storage(options));
  writer_numbers acknowledged{};
  rng random{42};
  std::uint64_t total = 0;
  for (int life = 0; life < lives; ++life) {
    CAPTURE(life);
    const auto fails_at = 1 + random.next() % (life % 4 == 0 ? 20 : 2000);
    const auto chance = random.next();
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      the_disk().arm(options.directory, fails_at, chance);
      write_for_ever(options, pipe[1], acknowledged);
    }
    ::close(pipe[1]);
    while (const auto some = read_acknowledged(pipe[0], acknowledged)) {
      total += some;
    }
    ::close(pipe[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == power_lost_status);
    const auto opened = open_storage(options);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
    check_survivors(**opened, acknowledged);
  }
  CHECK(total > static_cast<std::uint64_t>(lives));
  MESSAGE(lives << " losses of power, " << total << " acknowledged commits");
}

// What the directories hold that older builds have written (damage_test.cc).
struct old_directory {
  std::string name;
  std::string twos;    // of partition 2
  std::string threes;  // of partition 3
};
const std::array<old_directory, 2> old_directories{
    {{"format_1", "row-2=newer than the checkpoint row-22=value 22 row-26=value 26",
      "row-31=value 31 row-35=value 35 row-39=value 39"},
     {"format_2", "row-2=newer than the checkpoint row-22=value 22 row-26=value 26 row-2b=newest",
      "row-3=value 3 row-31=value 31 row-35=value 35 row-39=value 39 row-3x=also newer"}}};

// Whether the process got through; otherwise its end came first.
bool open_until(const storage_options& options, std::uint64_t fails_at, ending how) {
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    the_disk().arm(options.directory, fails_at, fails_at, how);
    ::_exit(open_storage(options) ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE((WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == power_lost_status));
  return WEXITSTATUS(status) == 0;
}

// Method: a process that opens an old directory is killed, or loses its power, at each of its
// writes and flushes in turn; the next one has to find all rows.
TEST_CASE("a conversion of an old directory that is cut short is begun again, or done") {
  for (const auto& old : old_directories) {
    for (const auto how : {ending::kill, ending::power_loss}) {
      CAPTURE(old.name);
      std::uint64_t at = 0;
      for (bool done = false; !done;) {
        ++at;
        CAPTURE(at);
        const scratch_directory scratch;
        std::filesystem::copy(
            std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/runtime/storage/" + old.name,
            scratch.data(), std::filesystem::copy_options::recursive);
        const auto options = small_options(scratch.data());
        done = open_until(options, at, how);
        const auto opened = open_storage(options);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
        REQUIRE(rows_text(read_now(**opened, 2, "row-2")) == old.twos);
        REQUIRE(rows_text(read_now(**opened, 3, "row-3")) == old.threes);
      }
      CHECK(at > 5);
    }
  }
}

}  // namespace
}  // namespace millrace::runtime::testing

#endif
