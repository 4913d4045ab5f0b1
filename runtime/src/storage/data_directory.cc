// SPDX-License-Identifier: MIT
#include "storage/data_directory.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <utility>

#include "millrace/runtime/clock.h"
#include "storage/files.h"

namespace millrace::runtime {
namespace {

constexpr std::string_view format_magic = "millrace-data";
constexpr std::size_t format_bytes_max = 4096;
// LMDB maps its lock file, and a page of it that a full disk cannot provide is a SIGBUS.
constexpr std::uint64_t new_directory_bytes_min = 1U << 20U;
constexpr std::size_t allocation_id_digits = 32;
// For the lock of a dead owner: far above the milliseconds from a fork to its exec on a busy
// machine.
constexpr int lock_wait_ms_max = 5'000;
constexpr int lock_poll_ms = 5;

// Whether `pid`, in decimal digits, names no process. It may name a stranger: then it is not dead.
bool is_dead(std::string_view pid) {
  int number = 0;
  const auto read = std::from_chars(pid.data(), pid.data() + pid.size(), number);
  return read.ec == std::errc{} && number > 0 && ::kill(number, 0) != 0 && errno == ESRCH;
}

error not_ours(std::string what) {
  return error{errc::failed_precondition, std::move(what)};
}

}  // namespace

std::string mint_allocation_id() {
  rng random;
  std::array<char, allocation_id_digits + 1> digits{};
  const auto high = static_cast<unsigned long long>(random.next());
  const auto low = static_cast<unsigned long long>(random.next());
  std::snprintf(digits.data(), digits.size(), "%016llx%016llx", high, low);
  return digits.data();
}

std::string to_text(const data_format& format) {
  std::string text{format_magic};
  text += "\nversion " + std::to_string(data_format_version);
  text += "\npartition_count " + std::to_string(format.partition_count);
  text += "\nallocation_id " + format.allocation_id + "\n";
  return text;
}

result<data_format> parse_data_format(const std::string& text) {
  std::istringstream in{text};
  std::string magic;
  std::string name;
  unsigned version = 0;
  if (!(in >> magic) || magic != format_magic) {
    return not_ours("FORMAT is not that of a millrace data directory");
  }
  if (!(in >> name >> version) || name != "version") {
    return not_ours("FORMAT names no version");
  }
  if (version < data_format_version_min || version > data_format_version) {
    return not_ours("its format version is " + std::to_string(version) + ", this build uses " +
                    std::to_string(data_format_version) +
                    "; use the build that made it, or another directory");
  }
  data_format format;
  format.version = version;
  unsigned partition_count = 0;
  if (!(in >> name >> partition_count) || name != "partition_count" || partition_count == 0 ||
      partition_count > UINT16_MAX) {
    return not_ours("FORMAT names no partition count from 1 to 65535");
  }
  format.partition_count = static_cast<std::uint16_t>(partition_count);
  if (!(in >> name >> format.allocation_id) || name != "allocation_id" ||
      format.allocation_id.size() != allocation_id_digits ||
      format.allocation_id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return not_ours("FORMAT names no allocation id of 32 hexadecimal digits");
  }
  return format;
}

result<data_directory> data_directory::open(const std::string& path,
                                            std::uint16_t partition_count) {
  if (path.empty() || partition_count == 0) {
    return error{errc::invalid_argument, "a data directory needs a name and a partition"};
  }
  // LMDB would get its number, and whatever is printed would overwrite the data.
  for (const int standard : {0, 1, 2}) {
    if (::fcntl(standard, F_GETFD) == -1) {
      return error{
          errc::failed_precondition,
          "descriptor " + std::to_string(standard) + " (standard " +
              (standard == 0   ? "input"
               : standard == 1 ? "output"
                               : "error") +
              ") is closed, so that a data file could get its number; open it on /dev/null"};
    }
  }
  if (auto made = make_directory(path); !made) {
    return made.error();
  }
  const auto lock_path = path + "/LOCK";
  auto lock = open_plain(lock_path, O_RDWR | O_CREAT);
  if (!lock) {
    return lock.error();
  }
  data_directory directory{path, *std::move(lock)};
  if (auto locked = directory.take_lock(); !locked) {
    return locked.error();
  }
  if (auto read = directory.read_format(partition_count); !read) {
    return error{read.error().code(), path + ": " + read.error().text()};
  }
  auto mark = read_cluster_mark(path);
  if (!mark) {
    return mark.error();
  }
  directory.mark_ = *std::move(mark);
  return directory;
}

result<void> data_directory::take_lock() {
  struct flock request {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  for (int waited_ms = 0; ::fcntl(lock_.get(), F_OFD_SETLK, &request) != 0;
       waited_ms += lock_poll_ms) {
    if (errno == EINTR) {
      continue;
    }
    if (errno != EAGAIN && errno != EACCES) {
      return file_error(errno, "cannot lock", path_ + "/LOCK");
    }
    auto holder = read_file(path_ + "/LOCK", 32);
    const auto pid = holder ? holder->substr(0, holder->find('\n')) : std::string{};
    // A dead owner's lock lives on for a moment in what was just forked from it and has not yet
    // closed the files it inherited.
    if (is_dead(pid) && waited_ms < lock_wait_ms_max) {
      ::poll(nullptr, 0, lock_poll_ms);
      continue;
    }
    return error{errc::conflict, path_ + " is in use by process " + (pid.empty() ? "?" : pid) +
                                     "; stop it or name another directory"};
  }
  // The pid is for the error text above; on a full disk it may be missing.
  const auto pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock_.get(), 0) == 0) {
    [[maybe_unused]] const auto written = ::pwrite(lock_.get(), pid.data(), pid.size(), 0);
  }
  return {};
}

result<void> data_directory::read_format(std::uint16_t partition_count) {
  auto text = read_file(path_ + "/FORMAT", format_bytes_max);
  if (!text) {
    return text.error().code() == errc::not_found ? begin_new(partition_count)
                                                  : result<void>{text.error()};
  }
  auto format = parse_data_format(*text);
  if (!format) {
    return format.error();
  }
  format_ = std::move(*format);
  return {};
}

// Only an empty directory becomes ours, or one where FORMAT.tmp says that making it was cut short.
result<void> data_directory::begin_new(std::uint16_t partition_count) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const bool cut_short = fs::exists(path_ + "/FORMAT.tmp", failed);
  for (fs::directory_iterator each{path_, failed}, end; !failed && each != end;
       each.increment(failed)) {
    const auto name = each->path().filename().string();
    const bool ours = name == "FORMAT.tmp" || name == "journal" || name == "checkpoint";
    if (name != "LOCK" && !(cut_short && ours)) {
      return not_ours("not empty and without FORMAT, so not a data directory; name another one");
    }
  }
  if (!failed) {
    fs::remove_all(journal_path(), failed);
  }
  if (!failed) {
    fs::remove_all(checkpoint_path(), failed);
  }
  if (failed) {
    return file_error(failed.value(), "cannot clear", path_);
  }
  if (disk_bytes_available(path_) < new_directory_bytes_min) {
    return error{errc::out_of_space, "less than 1 MiB is left on its disk; make room first"};
  }
  format_.partition_count = partition_count;
  format_.allocation_id = mint_allocation_id();
  is_new_ = true;
  if (auto written = write_file(path_ + "/FORMAT.tmp", to_text(format_)); !written) {
    return written;
  }
  return sync_directory(path_);
}

result<void> data_directory::set_mark(const cluster_mark& mark) {
  if (mark_ == mark) {
    return {};
  }
  auto written = write_cluster_mark(path_, mark);
  if (written) {
    mark_ = mark;
  }
  return written;
}

result<void> data_directory::finish() {
  if (!is_new_ && !needs_conversion()) {
    return {};
  }
  if (!is_new_) {
    if (auto written = write_file(path_ + "/FORMAT.tmp", to_text(format_)); !written) {
      return written;
    }
    format_.version = data_format_version;
  }
  if (auto synced = sync_directory(path_); !synced) {
    return synced;
  }
  if (::rename((path_ + "/FORMAT.tmp").c_str(), (path_ + "/FORMAT").c_str()) != 0) {
    return file_error(errno, "cannot name", path_ + "/FORMAT");
  }
  is_new_ = false;
  if (auto synced = sync_directory(path_); !synced) {
    return synced;
  }
  const auto parent = std::filesystem::path{path_}.parent_path().string();
  return sync_directory(parent.empty() ? "." : parent);
}

}  // namespace millrace::runtime
