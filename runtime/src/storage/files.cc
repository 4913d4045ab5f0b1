// SPDX-License-Identifier: MIT
#include "storage/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::runtime {

error file_error(int number, std::string_view doing, const std::string& path) {
  auto code = errc::storage_failed;
  if (number == ENOSPC || number == EDQUOT) {
    code = errc::out_of_space;
  } else if (number == EACCES || number == EPERM || number == EROFS) {
    code = errc::permission_denied;
  }
  return error{code, std::string{doing} + " " + path + ": " + std::strerror(number)};
}

result<unique_fd> open_plain(const std::string& path, int flags, links through) {
  const auto no_file = [&](const char* what) {
    return error{errc::failed_precondition, path + " is " + what + "; move it away"};
  };
  flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (through == links::refused ? O_NOFOLLOW : 0);
  unique_fd file{::open(path.c_str(), flags, 0600)};
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) {
    const int number = errno;
    if (number == ENOENT) {
      return error{errc::not_found, path + " does not exist"};
    }
    if (number == ELOOP) {
      return no_file("a symbolic link, not a file");
    }
    if (number == ENXIO || number == EISDIR) {  // a pipe or socket that nobody has; a directory
      return no_file("not a file");
    }
    return file_error(number, "cannot open", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return no_file("not a file");
  }
  return file;
}

result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    return {};
  }
  const int number = errno;
  struct stat info {};
  if (number == EEXIST && ::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return {};
    }
    return error{errc::failed_precondition, path + " is not a directory; name another one"};
  }
  if (number == ENOTDIR) {
    return error{errc::failed_precondition,
                 path + " lies below something that is not a directory; name another one"};
  }
  return file_error(number, "cannot make the directory", path);
}

std::uint64_t disk_bytes_available(const std::string& path) noexcept {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) {
    return UINT64_MAX;
  }
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

result<void> sync_directory(const std::string& path) {
  const unique_fd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
    return file_error(errno, "cannot sync the directory", path);
  }
  return {};
}

result<void> write_file(const std::string& path, std::string_view contents) {
  const auto opened = open_plain(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!opened) {
    return opened.error();
  }
  const auto& file = *opened;
  while (!contents.empty()) {
    const auto count = ::write(file.get(), contents.data(), contents.size());
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return file_error(errno, "cannot write", path);
    }
    contents.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(file.get()) != 0) {
    return file_error(errno, "cannot sync", path);
  }
  return {};
}

result<std::string> read_file(const std::string& path, std::size_t bytes_max, links through) {
  const auto opened = open_plain(path, O_RDONLY, through);
  if (!opened) {
    return opened.error();
  }
  const auto& file = *opened;
  std::string contents(bytes_max, '\0');
  std::size_t size = 0;
  while (size < contents.size()) {
    const auto count = ::read(file.get(), contents.data() + size, contents.size() - size);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return file_error(errno, "cannot read", path);
    }
    if (count == 0) {
      break;
    }
    size += static_cast<std::size_t>(count);
  }
  contents.resize(size);
  return contents;
}

}  // namespace millrace::runtime
