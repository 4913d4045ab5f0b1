// SPDX-License-Identifier: MIT
#include "process/task_file.h"

#include <dirent.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "process/failure.h"

namespace millrace::actors::process_detail {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

constexpr mode_t private_directory = 0700;

// How often a directory is gone through while a task's last processes may still be filling it.
constexpr int passes_max = 16;

unique_fd above_standard(int fd) {
  unique_fd file{fd};
  if (file && file.get() <= STDERR_FILENO) {
    return unique_fd{::fcntl(file.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
  }
  return file;
}

std::string own_name(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

using entry_list = std::unique_ptr<DIR, int (*)(DIR*)>;

// Of a directory, from its begin.
entry_list list_of(int directory) {
  const auto again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  entry_list list{again >= 0 ? ::fdopendir(again) : nullptr, &::closedir};
  if (!list && again >= 0) {
    ::close(again);
  }
  return list;
}

const char* next_name(const entry_list& list) {
  while (const auto* entry = list ? ::readdir(list.get()) : nullptr) {
    const std::string_view name{entry->d_name};
    if (name != "." && name != "..") {
      return entry->d_name;
    }
  }
  return nullptr;
}

// Takes one tree apart. Directories that are not empty are moved up beside the first one, so that
// neither the stack nor open descriptors grow with their depth.
class tree_removal {
public:
  explicit tree_removal(int top) : top_(top) {}

  void remove(std::string name) {
    waiting_.push_back(std::move(name));
    while (!waiting_.empty()) {
      const auto next = std::move(waiting_.back());
      waiting_.pop_back();
      take_apart(next);
    }
  }

  [[nodiscard]] result<void> done() && {
    return failed_ ? result<void>{*std::move(failed_)} : result<void>{};
  }

private:
  void take_apart(const std::string& name) {
    if (::unlinkat(top_, name.c_str(), 0) == 0 || errno == ENOENT) {
      return;
    }
    const auto why = errno;
    if (::unlinkat(top_, name.c_str(), AT_REMOVEDIR) == 0) {
      return;
    }
    // What may not be entered or changed becomes so. (glibc does not follow a link here.)
    ::fchmodat(top_, name.c_str(), private_directory, AT_SYMLINK_NOFOLLOW);
    const unique_fd directory{
        ::openat(top_, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!directory) {
      errno = errno == ENOTDIR ? why : errno;
      note(name);
      return;
    }
    for (int pass = 0; pass < passes_max; ++pass) {
      empty(directory.get());
      if (::unlinkat(top_, name.c_str(), AT_REMOVEDIR) == 0) {
        return;
      }
      if (errno != ENOTEMPTY || stuck_) {
        break;
      }
    }
    note(name);
  }

  void empty(int directory) {
    const auto list = list_of(directory);
    while (const auto* name = next_name(list)) {
      if (::unlinkat(directory, name, 0) == 0 || ::unlinkat(directory, name, AT_REMOVEDIR) == 0) {
        continue;
      }
      ::fchmodat(directory, name, private_directory, AT_SYMLINK_NOFOLLOW);
      static std::atomic<std::uint64_t> moved{0};
      auto beside = ".deep-" + std::to_string(::getpid()) + "-" + std::to_string(++moved);
      if (::renameat(directory, name, top_, beside.c_str()) == 0) {
        waiting_.push_back(std::move(beside));
      } else if (errno != ENOENT) {
        note(name);
        stuck_ = true;
      }
    }
  }

  void note(const std::string& name) {
    if (!failed_) {
      failed_ =
          error{errc::failed_precondition, "cannot remove " + name + ": " + describe_errno(errno)};
    }
  }

  int top_;
  std::vector<std::string> waiting_;
  std::optional<error> failed_;
  bool stuck_ = false;
};

error not_regular(const std::string& name, mode_t mode) {
  return {errc::failed_precondition, name + " is " + kind_of(mode) + ", not a file"};
}

}  // namespace

std::string kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFDIR:
      return "a directory";
    case S_IFLNK:
      return "a symbolic link";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    default:
      return "a file";
  }
}

unique_fd open_file(const char* path, int flags, mode_t mode) {
  return above_standard(::open(path, flags | O_CLOEXEC, mode));
}

result<unique_fd> open_regular(int directory, const std::string& name, int flags) {
  const unique_fd found{::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
  struct stat status {};
  if (!found || ::fstat(found.get(), &status) != 0) {
    return file_failure("cannot open " + name, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return not_regular(name, status.st_mode);
  }
  auto opened = above_standard(
      ::open(own_name(found.get()).c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!opened) {
    return file_failure("cannot open " + name, errno);
  }
  return opened;
}

result<unique_fd> open_directory(int directory, const std::string& name) {
  auto opened = above_standard(
      ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (opened) {
    return opened;
  }
  const auto failed = errno;
  struct stat status {};
  if ((failed == ENOTDIR || failed == ELOOP) &&
      ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    return error{errc::failed_precondition,
                 name + " is " + kind_of(status.st_mode) + ", not a directory"};
  }
  return file_failure("cannot open " + name, failed);
}

result<unique_fd> make_directory(int directory, const std::string& name) {
  if (::mkdirat(directory, name.c_str(), private_directory) != 0 && errno != EEXIST) {
    return file_failure("cannot make " + name, errno);
  }
  return open_directory(directory, name);
}

result<void> remove_tree(int directory, const std::string& name) {
  tree_removal removal{directory};
  removal.remove(name);
  return std::move(removal).done();
}

bool is_empty_directory(int directory) {
  const auto list = list_of(directory);
  return list && next_name(list) == nullptr;
}

std::vector<std::string> entries_of(int directory, std::size_t limit) {
  std::vector<std::string> names;
  const auto list = list_of(directory);
  while (const auto* name = names.size() < limit ? next_name(list) : nullptr) {
    names.emplace_back(name);
  }
  return names;
}

}  // namespace millrace::actors::process_detail
