// SPDX-License-Identifier: MIT
#include "executor/storage_meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/run_id.h"
#include "process/task_file.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using process_detail::entries_of;
using process_detail::make_directory;
using process_detail::open_directory;
using runtime::result;
using runtime::unique_fd;

namespace {

// After a look it rests for so many times as long.
constexpr int rest_factor = 9;
constexpr std::uint64_t block_bytes = 512;  // of st_blocks, whatever the file system
constexpr std::size_t link_bytes_max = 255;
constexpr const char* new_link = "new";  // while it takes the place of another

std::uint64_t bytes_of(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_blocks) * block_bytes;
}

std::string read_link(int directory, const std::string& name) {
  std::array<char, link_bytes_max> text{};
  const auto size = ::readlinkat(directory, name.c_str(), text.data(), text.size());
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

// Calls `see(directory, name, status)` of each entry while it returns true.
template <class See>
void for_each_entry(int directory, const See& see) {
  const auto again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) {
    return;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> list{::fdopendir(again), &::closedir};
  if (!list) {
    ::close(again);
    return;
  }
  while (const auto* entry = ::readdir(list.get())) {
    const std::string_view name{entry->d_name};
    struct stat status {};
    if (name != "." && name != ".." &&
        ::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        !see(entry->d_name, status)) {
      return;
    }
  }
}

// What lies below a directory, without following links. A file of several names counts once.
class tree_size {
public:
  explicit tree_size(const worker& looks) : looks_(looks) {}

  void add(int directory, unsigned depth = 0) {
    for_each_entry(directory, [&](const char* name, const auto& status) {
      if (++files_ > counted_files_max || looks_.stopping()) {
        return false;
      }
      const auto is_directory = S_ISDIR(status.st_mode);
      if (is_directory || status.st_nlink == 1 || linked_.insert(status.st_ino).second) {
        bytes_ += bytes_of(status);
      }
      if (is_directory && depth < counted_depth_max) {
        if (const auto below = open_directory(directory, name)) {
          add(below->get(), depth + 1);
        }
      }
      return true;
    });
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

private:
  const worker& looks_;
  std::uint64_t bytes_ = 0;
  std::size_t files_ = 0;
  std::set<ino_t> linked_;
};

}  // namespace

storage_meter::storage_meter(fs::path data, unique_fd projects, const runtime::clock& time)
    : data_(std::move(data)), projects_(std::move(projects)), time_(time), looks_(time) {
  for (const auto& run : entries_of(projects_.get(), std::numeric_limits<std::size_t>::max())) {
    const auto text = read_link(projects_.get(), run);
    const auto colon = std::min(text.find(':'), text.size());
    owned_run of{text.substr(0, colon), {}, text};
    std::from_chars(text.data() + std::min(colon + 1, text.size()), text.data() + text.size(),
                    of.held.own);
    if (!is_run_id(run) || !check_name("project", of.project, name_rule::thing)) {
      ::unlinkat(projects_.get(), run.c_str(), 0);
      continue;
    }
    charge(of);
    runs_.emplace(run, std::move(of));
    left_.insert(run);
  }
  plan();
  looks_.run();
}

result<std::unique_ptr<storage_meter>> storage_meter::open(fs::path data_directory,
                                                           const runtime::clock& time) {
  auto projects = make_directory(AT_FDCWD, (data_directory / "projects").string());
  if (!projects) {
    return std::move(projects).error();
  }
  return std::unique_ptr<storage_meter>{
      new storage_meter{std::move(data_directory), *std::move(projects), time}};
}

void storage_meter::own(std::string_view run, std::string_view project) {
  if (!is_run_id(run) || !check_name("project", project, name_rule::thing)) {
    return;
  }
  const std::lock_guard lock{mutex_};
  const auto [at, is_new] = runs_.try_emplace(std::string{run}, owned_run{std::string{project}});
  if (is_new) {
    link(at->first, at->second);
  }
  ++at->second.users;
}

void storage_meter::leave(std::string_view run) {
  const std::lock_guard lock{mutex_};
  const auto at = runs_.find(run);
  if (at == runs_.end()) {
    return;
  }
  at->second.users -= at->second.users > 0 ? 1 : 0;  // what an earlier life had begun has no user
  due_.emplace(run);
  plan();
}

std::size_t storage_meter::known() const {
  const std::lock_guard lock{mutex_};
  return runs_.size();
}

void storage_meter::look_at(std::string_view run) {
  const std::lock_guard lock{mutex_};
  if (runs_.contains(run)) {
    due_.emplace(run);
    plan();
  }
}

void storage_meter::forget(std::string_view run) {
  const std::lock_guard lock{mutex_};
  if (const auto at = runs_.find(run); at != runs_.end()) {
    credit(at->second);
    ::unlinkat(projects_.get(), at->first.c_str(), 0);
    runs_.erase(at);
  }
}

storage_by_project storage_meter::by_project() const {
  const std::lock_guard lock{mutex_};
  storage_by_project made;
  for (const auto& [project, one] : accounts_) {
    if (one.bytes > 0) {
      made.emplace(project, one.bytes);
    }
  }
  return made;
}

// --- looking -------------------------------------------------------------------------------------

// The next look, if there is something to look at. Under the mutex, as the next two.
void storage_meter::plan() {
  if ((!due_.empty() || !left_.empty()) && !std::exchange(will_look_, true)) {
    looks_.post([this] { look(); }, rests_until_ - time_.steady());
  }
}

// One of each kind, so that neither waits for the whole of the other.
std::vector<std::string> storage_meter::next() {
  std::vector<std::string> runs;
  if (!due_.empty()) {
    const auto after = due_.upper_bound(latest_due_);
    runs.push_back(std::move(due_.extract(after != due_.end() ? after : due_.begin()).value()));
    latest_due_ = runs.back();
    left_.erase(latest_due_);
  }
  if (!left_.empty()) {
    runs.push_back(std::move(left_.extract(left_.begin()).value()));
  }
  return runs;
}

// What several runs have is shared by them in what is stored. Where there is no room for the link
// this life knows it, and the next look tries again.
void storage_meter::link(const std::string& run, owned_run& of) {
  auto bytes = of.held.own;
  for (const auto& each : of.held.blobs) {
    bytes += each.bytes / accounts_.at(of.project).blobs.at(each.inode).runs;
  }
  const auto text = of.project + ":" + std::to_string(bytes);
  if (text == of.link) {
    return;
  }
  ::unlinkat(projects_.get(), new_link, 0);  // of one that could not be renamed
  if (::symlinkat(text.c_str(), projects_.get(), new_link) == 0 &&
      ::renameat(projects_.get(), new_link, projects_.get(), run.c_str()) == 0) {
    of.link = text;
  }
}

void storage_meter::look() {
  const auto since = time_.steady();
  std::vector<std::string> runs;
  {
    const std::lock_guard lock{mutex_};
    runs = next();
  }
  for (const auto& run : runs) {
    auto held = measure(run);
    if (looks_.stopping()) {
      return;
    }
    const std::lock_guard lock{mutex_};
    if (const auto at = runs_.find(run); at != runs_.end()) {  // it may have been removed meanwhile
      credit(at->second);
      at->second.held = std::move(held);
      charge(at->second);
      if (is_nothing(run, at->second)) {
        ::unlinkat(projects_.get(), run.c_str(), 0);
        runs_.erase(at);
      } else {
        link(run, at->second);
      }
    }
  }
  const std::lock_guard lock{mutex_};
  const auto now = time_.steady();
  rests_until_ = now + rest_factor * (now - since);
  will_look_ = false;
  plan();
}

// Who used it since the look has it looked at once more.
bool storage_meter::is_nothing(const std::string& run, const owned_run& of) const {
  return of.users == 0 && of.held.own == 0 && of.held.blobs.empty() && !due_.contains(run);
}

storage_meter::holding storage_meter::measure(const std::string& run) const {
  holding held;
  tree_size own{looks_};
  for (const auto* folder : {"logs", "workspaces"}) {
    if (const auto directory = open_directory(AT_FDCWD, (data_ / folder / run).string())) {
      own.add(directory->get());
    }
  }
  held.own = own.bytes();
  const auto artifacts = open_directory(AT_FDCWD, (data_ / "artifacts" / "runs" / run).string());
  if (artifacts) {
    std::size_t files = 0;
    for_each_entry(artifacts->get(), [&](const char*, const auto& status) {
      if (held.blobs.size() < shared_files_max) {
        held.blobs.push_back({status.st_ino, bytes_of(status)});
      } else {
        held.own += bytes_of(status);
      }
      return ++files < counted_files_max && !looks_.stopping();
    });
  }
  return held;
}

void storage_meter::charge(const owned_run& run) {
  auto& to = accounts_[run.project];
  to.bytes += run.held.own;
  for (const auto& each : run.held.blobs) {
    auto& shared = to.blobs[each.inode];
    to.bytes += each.bytes - shared.bytes;  // as it is now
    shared = {each.bytes, shared.runs + 1};
  }
}

void storage_meter::credit(const owned_run& run) {
  const auto from = accounts_.find(run.project);
  if (from == accounts_.end()) {
    return;  // nothing of it has been looked at
  }
  from->second.bytes -= run.held.own;
  for (const auto& each : run.held.blobs) {
    const auto shared = from->second.blobs.find(each.inode);
    if (--shared->second.runs == 0) {
      from->second.bytes -= shared->second.bytes;
      from->second.blobs.erase(shared);
    }
  }
}

}  // namespace millrace::actors
