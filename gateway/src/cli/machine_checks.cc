// SPDX-License-Identifier: MIT
#include "cli/machine_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "cli/terminal_text.h"
#include "http/server.h"
#include "millrace/actors/process.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t room_wanted = std::uint64_t{2} << 30U;  // some days of logs and artifacts
constexpr std::uint64_t files_wanted = 10'000;                  // several for each attempt
// A silo by itself, and then a shell with a pipe of two for each slot.
constexpr std::uint64_t processes_besides = 100;
constexpr std::uint64_t processes_of_slot = 4;
constexpr std::uint64_t descriptors_least = 256;
constexpr std::uint64_t descriptors_besides = 500;  // of the clients of a server

// The file systems that a machine has from another one.
std::string_view foreign_name(std::uint64_t type) {
  constexpr std::array known{std::pair{0x6969ULL, "NFS"}, std::pair{0x517bULL, "SMB"},
                             std::pair{0xff534d42ULL, "CIFS"}, std::pair{0xfe534d42ULL, "SMB2"}};
  for (const auto& [each, name] : known) {
    if (each == type) {
      return name;
    }
  }
  return {};
}

// That, or the nearest above it that is there.
fs::path existing(const std::string& directory) {
  std::error_code failed;
  auto at = fs::absolute(directory, failed).lexically_normal();
  while (!at.empty() && at != at.parent_path() && !fs::exists(at, failed)) {
    at = at.parent_path();
  }
  return at;
}

// The process that holds a data directory; 0: none, or nobody may know.
pid_t holder_of(const std::string& directory) {
  const runtime::unique_fd lock{
      ::open((directory + "/state/LOCK").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct flock wanted {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  if (lock.get() < 0 || ::fcntl(lock.get(), F_OFD_GETLK, &wanted) != 0 ||
      wanted.l_type == F_UNLCK) {
    return 0;
  }
  pid_t holder = 0;
  std::ifstream{directory + "/state/LOCK"} >> holder;
  return holder;
}

finding look_at_data(const std::string& data) {
  auto found = look_at_directory(data, "--data");
  found.check = "data directory";
  struct stat seen {};
  if (found.state != verdict::ok || ::stat(data.c_str(), &seen) != 0) {
    return found;
  }
  if (const auto holder = holder_of(data); holder > 0) {
    found.found += fmt::format(", in use by process {}", holder);
  }
  if ((seen.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    found.state = verdict::warn;
    found.found += ", and others than its owner may enter it";
    found.remedy = "chmod 700 it: it holds what tasks wrote";
  }
  return found;
}

finding look_at_disk(const std::string& data) {
  const auto at = existing(data);
  struct statvfs disk {};
  if (::statvfs(at.c_str(), &disk) != 0) {
    return {"disk", verdict::fail,
            fmt::format("cannot look at the disk of {}: {}", at.string(), std::strerror(errno)),
            ""};
  }
  return look_at_room(disk);
}

finding look_at_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto wanted = http::server_options{}.connections_max + descriptors_besides;
  if (limit.rlim_cur >= wanted) {
    return {"open files", verdict::ok, fmt::format("up to {}", limit.rlim_cur), ""};
  }
  const auto is_few = limit.rlim_cur < descriptors_least;
  return {"open files", is_few ? verdict::fail : verdict::warn,
          fmt::format("up to {}: a server takes fewer connections than {} at a time",
                      limit.rlim_cur, http::server_options{}.connections_max),
          fmt::format("raise the limit to {}, with `ulimit -n` or LimitNOFILE=", wanted)};
}

// What the cgroups of this process, and those above them, let it have of processes.
std::optional<std::uint64_t> pids_limit() {
  std::optional<std::uint64_t> least;
  std::ifstream groups{"/proc/self/cgroup"};
  for (std::string line; std::getline(groups, line);) {  // 0::/a/b, or 5:pids:/a/b
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const auto kind = line.substr(first + 1, second - first - 1);
    if (!kind.empty() && kind != "pids") {
      continue;
    }
    const fs::path root = kind.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
    for (auto at = fs::path{line.substr(second + 1)};; at = at.parent_path()) {
      std::ifstream file{root / at.relative_path() / "pids.max"};
      std::uint64_t most = 0;
      if (file >> most) {  // not `max`
        least = std::min(least.value_or(most), most);
      }
      if (at == at.parent_path()) {
        break;
      }
    }
  }
  return least;
}

finding look_at_processes() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NPROC, &limit);
  auto most = pids_limit();
  if (limit.rlim_cur != RLIM_INFINITY && ::geteuid() != 0) {  // root is not bound by it
    most = std::min<std::uint64_t>(most.value_or(limit.rlim_cur), limit.rlim_cur);
  }
  const auto slots = std::max<std::uint64_t>(std::thread::hardware_concurrency(), 1);
  const auto wanted = processes_besides + processes_of_slot * slots;
  const auto text = most ? fmt::format("up to {}", *most) : std::string{"without a limit"};
  if (!most || *most >= wanted) {
    return {"processes", verdict::ok, text, ""};
  }
  return {"processes", verdict::warn, fmt::format("{}, for {} slots", text, slots),
          fmt::format("raise the limit to {}, with `ulimit -u`, TasksMax= or the container's, or "
                      "lower --slots",
                      wanted)};
}

}  // namespace

std::string_view to_string(verdict state) noexcept {
  switch (state) {
    case verdict::ok:
      return "ok";
    case verdict::warn:
      return "warn";
    case verdict::fail:
      break;
  }
  return "fail";
}

finding look_at_directory(const std::string& directory, std::string_view option) {
  const auto at = existing(directory);
  struct stat seen {};
  const auto other = fmt::format("name another with {}", option);
  if (::stat(at.c_str(), &seen) != 0 || !S_ISDIR(seen.st_mode)) {
    return {"directory", verdict::fail, at.string() + " is not a directory", other};
  }
  if (::access(at.c_str(), R_OK | W_OK | X_OK) != 0) {
    return {"directory", verdict::fail, fmt::format("{}: {}", at.string(), std::strerror(errno)),
            "have its owner be who runs millrace, or " + other};
  }
  struct statfs disk {};
  if (::statfs(at.c_str(), &disk) == 0) {
    const auto name = foreign_name(static_cast<std::uint32_t>(disk.f_type));
    if (!name.empty()) {
      return {"directory", verdict::fail, fmt::format("{} lies on {}", at.string(), name),
              "name a directory on a disk of this machine with " + std::string{option}};
    }
  }
  std::error_code failed;
  const auto whole = fs::absolute(directory, failed).lexically_normal();
  return {"directory", verdict::ok,
          whole.string() + (fs::exists(whole, failed) ? "" : " is made when it is needed"), ""};
}

finding look_at_room(const struct statvfs& disk) {
  const auto free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const auto all = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  const auto counts_files = disk.f_files > 0;
  const auto has_files = !counts_files || disk.f_favail >= files_wanted;
  finding found{"disk", verdict::ok,
                fmt::format("{} of {} are free", bytes_text(static_cast<double>(free)),
                            bytes_text(static_cast<double>(all))),
                ""};
  if (!has_files) {
    found.found += fmt::format(", and {} more files fit", disk.f_favail);
  }
  const auto reserve =
      std::min(actors::disk_reserve_bytes_default, all / actors::disk_reserve_part);
  if (free < reserve || (counts_files && disk.f_favail == 0)) {  // nothing writes then
    found.state = verdict::fail;
  } else if (free < std::min(room_wanted, all / 10) || !has_files) {
    found.state = verdict::warn;
  }
  if (found.state != verdict::ok) {
    found.remedy = "make room there, or name another disk with --data";
  }
  return found;
}

std::vector<finding> look_at_machine(const std::string& data) {
  return {look_at_data(data), look_at_disk(data), look_at_descriptors(), look_at_processes()};
}

}  // namespace millrace::gateway::cli
