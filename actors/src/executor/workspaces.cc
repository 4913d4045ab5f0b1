// SPDX-License-Identifier: MIT
#include "executor/workspaces.h"

#include <cerrno>

#include "process/failure.h"
#include "process/task_file.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using process_detail::is_empty_directory;
using process_detail::make_directory;
using process_detail::open_directory;
using runtime::errc;
using runtime::error;
using runtime::result;
using runtime::unique_fd;

namespace {

// Empty directories that are kept, named by number so that the next life finds them.
constexpr std::size_t spares_max = 64;

std::string spare_name(std::size_t number) {
  return ".spare-" + std::to_string(number);
}

// The name of the run, and that of the task if it has a workspace of its own.
struct parts {
  std::string run;
  std::string task;
};

parts parts_of(std::string_view name) {
  const auto slash = name.find('/');
  return {std::string{name.substr(0, slash)},
          slash == std::string_view::npos ? std::string{} : std::string{name.substr(slash + 1)}};
}

error in_its_place(const error& why) {
  return why.code() == errc::failed_precondition
             ? error{why.code(),
                     "the workspace " + why.text() + "; remove what a task has put in its place"}
             : why;
}

}  // namespace

workspaces::workspaces(fs::path path, unique_fd directory)
    : path_(std::move(path)), directory_(std::move(directory)) {
  for (std::size_t number = 0; number < spares_max; ++number) {
    ::unlinkat(directory_.get(), spare_name(number).c_str(), AT_REMOVEDIR);
  }
}

result<workspaces> workspaces::open(fs::path path) {
  auto directory = make_directory(AT_FDCWD, path.string());
  if (!directory) {
    return std::move(directory).error();
  }
  return workspaces{std::move(path), *std::move(directory)};
}

result<fs::path> workspaces::enter(std::string_view name) {
  const auto [run, task] = parts_of(name);
  if (!spares_.empty() && !entered_.contains(run) &&
      ::faccessat(directory_.get(), run.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
      ::renameat(directory_.get(), spares_.back().c_str(), directory_.get(), run.c_str()) == 0) {
    spares_.pop_back();
  }
  auto made = make_directory(directory_.get(), run);
  if (made && !task.empty()) {
    made = make_directory(made->get(), task);
  }
  if (!made) {
    return in_its_place(made.error());
  }
  ++entered_[run];
  return path_ / name;
}

void workspaces::leave(std::string_view name) {
  const auto [run, task] = parts_of(name);
  const auto found = entered_.find(run);
  const auto top = open_directory(directory_.get(), run);
  if (top && !task.empty()) {
    ::unlinkat(top->get(), task.c_str(), AT_REMOVEDIR);
  }
  if (--found->second > 0) {
    return;
  }
  entered_.erase(found);
  struct stat status {};
  if (!top || !is_empty_directory(top->get()) || ::fstat(top->get(), &status) != 0) {
    return;
  }
  constexpr mode_t as_made = S_IFDIR | 0700;
  const auto spare = spare_name(spares_.size());
  if (status.st_mode == as_made && spares_.size() < spares_max &&
      ::renameat(directory_.get(), run.c_str(), directory_.get(), spare.c_str()) == 0) {
    spares_.push_back(spare);
  } else {
    ::unlinkat(directory_.get(), run.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace millrace::actors
