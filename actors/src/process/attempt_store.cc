// SPDX-License-Identifier: MIT
#include "process/attempt_store.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "millrace/actors/process_outputs.h"
#include "process/failure.h"

namespace millrace::actors::process_detail {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

// What a spare directory and one to be removed are called; no token begins with a dot.
constexpr std::string_view spare_stem = ".spare-";
constexpr std::string_view removed_stem = ".removed-";

constexpr const char* output_name = "output";
constexpr const char* tmp_name = "tmp";
constexpr std::array<const char*, 2> stream_names{"stdout", "stderr"};
constexpr std::array<const char*, 2> times_names{"stdout.times", "stderr.times"};
constexpr mode_t private_file = 0600;
constexpr mode_t private_directory = 0700;

// Kept for the next attempts; more than ever run at a time are not made.
constexpr std::size_t spares_max = 256;

// Looked through at the start; a life leaves at most one for each attempt that ran.
constexpr std::size_t leftovers_max = 100'000;

std::string folder_of(std::string_view token) {
  return std::string{token.substr(0, token.find('.'))};
}

std::string log_name(std::string_view token, output_stream stream) {
  return std::string{token} + "." + stream_names[static_cast<std::size_t>(stream)];
}

std::string times_name(std::string_view token, output_stream stream) {
  return std::string{token} + "." + times_names[static_cast<std::size_t>(stream)];
}

result<unique_fd> make_file(int directory, const char* name) {
  constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  unique_fd made{::openat(directory, name, flags, private_file)};
  if (made && made.get() <= STDERR_FILENO) {
    made = unique_fd{::fcntl(made.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
  }
  if (!made) {
    return file_failure(std::string{"cannot make the file "} + name + " of an attempt", errno);
  }
  return made;
}

// Whether `name` still is the file behind `fd`, and as it was made.
bool is_untouched(int directory, const char* name, int fd) {
  struct stat ours {};
  struct stat found {};
  return fd >= 0 && ::fstat(fd, &ours) == 0 &&
         ::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         mark_of(ours) == mark_of(found) && ours.st_size == 0 && ours.st_nlink == 1 &&
         ours.st_mode == (S_IFREG | private_file);
}

bool is_private_directory(int directory, const char* name) {
  struct stat found {};
  return ::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         found.st_mode == (S_IFDIR | private_directory);
}

// Drops the files that cannot be used again and answers whether the rest can: nothing but what was
// made is there, and it is empty.
bool make_reusable(attempt_files& files) {
  const auto directory = files.directory.get();
  const auto renew = [&](const char* name, unique_fd& fd) {
    if (!is_untouched(directory, name, fd.get())) {
      fd.reset();
      return ::unlinkat(directory, name, 0) == 0 || errno == ENOENT;
    }
    return true;
  };
  ::unlinkat(directory, attempt_store::script_name, 0);
  ::unlinkat(directory, attempt_store::inputs_name, 0);
  ::unlinkat(directory, attempt_store::heartbeat_name, 0);
  for (std::size_t at = 0; at < times_names.size(); ++at) {
    ::unlinkat(directory, times_names[at], 0);
    files.times[at].reset();
  }
  if (!renew(output_name, files.output) || !renew(stream_names[0], files.streams[0]) ||
      !renew(stream_names[1], files.streams[1]) || !is_private_directory(directory, ".") ||
      !is_private_directory(directory, tmp_name)) {
    return false;
  }
  const auto tmp = open_directory(directory, tmp_name);
  constexpr std::size_t made = 4;
  for (const auto& each : entries_of(directory, made + 1)) {
    if (each != output_name && each != tmp_name && each != stream_names[0] &&
        each != stream_names[1]) {
      return false;
    }
  }
  return tmp && is_empty_directory(tmp->get());
}

// Makes what a reusable directory lacks.
result<void> complete(attempt_files& files) {
  const auto make = [&](const char* name, unique_fd& fd) -> result<void> {
    if (fd) {
      return {};
    }
    auto made = make_file(files.directory.get(), name);
    if (!made) {
      return std::move(made).error();
    }
    fd = *std::move(made);
    return {};
  };
  auto done = make(output_name, files.output);
  for (std::size_t at = 0; at < stream_names.size() && done; ++at) {
    done = make(stream_names[at], files.streams[at]);
  }
  return done;
}

std::string replaced(const std::string& by) {
  return "the output file was " + by + "; write to $MILLRACE_OUTPUT, do not replace it";
}

}  // namespace

attempt_store::attempt_store(std::filesystem::path attempts, unique_fd directory, unique_fd logs,
                             std::function<void(std::string_view)> warn)
    : path_(std::move(attempts)),
      attempts_(std::move(directory)),
      logs_(std::move(logs)),
      warn_(std::move(warn)),
      remover_([this] { remove_thrown_away(); }) {}

attempt_store::~attempt_store() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_one();
  }
  remover_.join();
}

result<std::unique_ptr<attempt_store>> attempt_store::open(
    const std::filesystem::path& attempts, const std::filesystem::path& logs,
    std::function<void(std::string_view)> warn) {
  const auto open_one = [](const std::filesystem::path& path) -> result<unique_fd> {
    std::error_code ignored;  // opening tells
    std::filesystem::create_directories(path.parent_path(), ignored);
    auto made = make_directory(AT_FDCWD, path.string());
    return made;
  };
  auto directory = open_one(attempts);
  if (!directory) {
    return std::move(directory).error();
  }
  auto kept = open_one(logs);
  if (!kept) {
    return std::move(kept).error();
  }
  return std::unique_ptr<attempt_store>{
      new attempt_store{attempts, *std::move(directory), *std::move(kept), std::move(warn)}};
}

std::set<std::string, std::less<>> attempt_store::unknown(
    const std::vector<std::string>& known) const {
  std::set<std::string, std::less<>> found;
  for (auto& each : entries_of(attempts_.get(), leftovers_max)) {
    if (each.front() != '.') {
      found.insert(std::move(each));
    }
  }
  for (const auto& each : known) {
    found.erase(each);
  }
  return found;
}

void attempt_store::tidy(const std::vector<std::string>& known) {
  const std::set<std::string_view> kept{known.begin(), known.end()};
  for (const auto& each : entries_of(attempts_.get(), leftovers_max)) {
    if (kept.contains(each)) {
      continue;
    }
    if (each.front() != '.') {
      keep_logs(reopen(each, {}), each);  // of a table that is gone
    }
    throw_away(each);
  }
}

std::string attempt_store::fresh_name(std::string_view stem) {
  const std::lock_guard lock{mutex_};
  return std::string{stem} + std::to_string(::getpid()) + "-" + std::to_string(++names_);
}

result<attempt_store::spare> attempt_store::make_spare() {
  spare made{fresh_name(spare_stem), {}};
  auto directory = make_directory(attempts_.get(), made.name);
  if (!directory) {
    return std::move(directory).error();
  }
  made.files.directory = *std::move(directory);
  if (const auto tmp = make_directory(made.files.directory.get(), tmp_name); !tmp) {
    return tmp.error();
  }
  return made;
}

result<attempt_files> attempt_store::take(const std::string& token) {
  spare taken;
  {
    const std::lock_guard lock{mutex_};
    if (!spares_.empty()) {
      taken = std::move(spares_.back());
      spares_.pop_back();
    }
  }
  if (!taken.files.directory) {
    auto made = make_spare();
    if (!made) {
      return std::move(made).error();
    }
    taken = *std::move(made);
  }
  auto done = complete(taken.files);
  if (done &&
      ::renameat(attempts_.get(), taken.name.c_str(), attempts_.get(), token.c_str()) != 0) {
    // Something else has the name: a task made it, or an attempt of that token ran before.
    throw_away(token);
    if (::renameat(attempts_.get(), taken.name.c_str(), attempts_.get(), token.c_str()) != 0) {
      done = file_failure("cannot make the directory " + path_of(token).string(), errno);
    }
  }
  if (!done) {
    throw_away(taken.name);
    return std::move(done).error();
  }
  return std::move(taken.files);
}

attempt_files attempt_store::reopen(const std::string& token, const attempt_marks& marks) const {
  attempt_files files;
  auto directory = open_directory(attempts_.get(), token);
  if (!directory) {
    return files;
  }
  files.directory = *std::move(directory);
  const auto open_one = [&](const char* name, std::uint64_t inode) {
    auto opened = open_regular(files.directory.get(), name, O_RDONLY);
    struct stat status {};
    if (!opened || ::fstat(opened->get(), &status) != 0 || (inode != 0 && status.st_ino != inode)) {
      return unique_fd{};
    }
    return *std::move(opened);
  };
  files.output = open_one(output_name, marks.output);
  for (std::size_t at = 0; at < stream_names.size(); ++at) {
    files.streams[at] = open_one(stream_names[at], marks.streams[at]);
    files.times[at] = open_one(times_names[at], 0);
  }
  return files;
}

unique_fd attempt_store::make_times(const attempt_files& files, output_stream which) {
  auto made = make_file(files.directory.get(), times_names[static_cast<std::size_t>(which)]);
  return made ? *std::move(made) : unique_fd{};
}

result<void> attempt_store::write_file(const attempt_files& files, const char* name,
                                       std::string_view text) {
  const auto made = make_file(files.directory.get(), name);
  if (!made) {
    return made.error();
  }
  while (!text.empty()) {
    const auto wrote = ::write(made->get(), text.data(), text.size());
    if (wrote < 0 && errno != EINTR) {
      return file_failure("cannot write the " + std::string{name} + " of an attempt", errno);
    }
    text.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
  }
  return {};
}

std::optional<runtime::wall_time> attempt_store::last_beat(const attempt_files& files) {
  struct stat found {};
  if (::fstatat(files.directory.get(), heartbeat_name, &found, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISREG(found.st_mode)) {
    return std::nullopt;
  }
  return time_of(found.st_ctim);
}

result<std::string> attempt_store::read_output(const attempt_files& files, std::size_t bytes_max) {
  struct stat ours {};
  struct stat found {};
  const auto refuse = [](const std::string& text) {
    return error{errc::failed_precondition, text};
  };
  if (::fstatat(files.directory.get(), output_name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return refuse("the output file was removed; write to $MILLRACE_OUTPUT, do not remove it");
  }
  if (!S_ISREG(found.st_mode)) {
    return refuse(replaced("replaced by " + kind_of(found.st_mode)));
  }
  if (!files.output || ::fstat(files.output.get(), &ours) != 0 || mark_of(ours) != mark_of(found)) {
    return refuse(replaced("replaced by another file"));
  }
  std::string text(std::min<std::uint64_t>(static_cast<std::uint64_t>(ours.st_size), bytes_max + 1),
                   '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const auto got = ::pread(files.output.get(), text.data() + done, text.size() - done,
                             static_cast<off_t>(done));
    if (got < 0 && errno != EINTR) {
      return file_failure("cannot read the output file", errno);
    }
    if (got == 0) {
      break;
    }
    done += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  text.resize(done);
  return text;
}

void attempt_store::keep_logs(const attempt_files& files, const std::string& token) {
  for (const auto which : {output_stream::standard_output, output_stream::standard_error}) {
    struct stat status {};
    const auto fd = files.stream(which);
    if (fd < 0 || ::fstat(fd, &status) != 0 || status.st_size == 0) {
      continue;
    }
    if (const auto kept = keep_log(files, which, token); !kept) {
      warn("a log is lost attempt=" + token + " error=" + kept.error().text());
    }
  }
}

// Only of a stream that is the one they tell of.
void attempt_store::keep_times(const attempt_files& files, output_stream which, int folder,
                               const std::string& token) {
  const auto index = static_cast<std::size_t>(which);
  struct stat ours {};
  struct stat found {};
  if (const auto& fd = files.times[index];
      fd && ::fstat(fd.get(), &ours) == 0 &&
      ::fstatat(files.directory.get(), times_names[index], &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      mark_of(ours) == mark_of(found)) {
    ::fchmod(fd.get(), private_file);
    ::renameat(files.directory.get(), times_names[index], folder, times_name(token, which).c_str());
  }
}

// By its name, which the task may have given to something else; then what was written is copied.
result<void> attempt_store::keep_log(const attempt_files& files, output_stream which,
                                     const std::string& token) {
  const auto folder = make_directory(logs_.get(), folder_of(token));
  if (!folder) {
    return folder.error();
  }
  const auto name = log_name(token, which);
  const auto* stream = stream_names[static_cast<std::size_t>(which)];
  struct stat ours {};
  struct stat found {};
  if (::fstat(files.stream(which), &ours) == 0 &&
      ::fstatat(files.directory.get(), stream, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      mark_of(ours) == mark_of(found) &&
      ::renameat(files.directory.get(), stream, folder->get(), name.c_str()) == 0) {
    ::fchmod(files.stream(which), private_file);
    keep_times(files, which, folder->get(), token);
    return {};
  }
  if (auto cleared = remove_tree(folder->get(), name); !cleared) {
    return cleared;
  }
  const auto copy = make_file(folder->get(), name.c_str());
  if (!copy) {
    return copy.error();
  }
  unique_fd source{::fcntl(files.stream(which), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
  const log_file reader{std::move(source)};
  constexpr std::size_t piece = std::size_t{1} << 20U;
  std::uint64_t left = log_bytes_default;
  for (std::uint64_t offset = 0; left > 0;) {
    const auto chunk = reader.read(offset, std::min<std::uint64_t>(piece, left));
    if (!chunk) {
      return chunk.error();
    }
    if (chunk->bytes.empty()) {
      break;
    }
    if (::write(copy->get(), chunk->bytes.data(), chunk->bytes.size()) < 0) {
      return file_failure("cannot write " + name, errno);
    }
    offset = chunk->next_offset;
    left -= chunk->bytes.size();
  }
  return {};
}

void attempt_store::give_back(attempt_files files, const std::string& token, reuse allowed) {
  if (allowed == reuse::yes && files.directory && make_reusable(files)) {
    spare kept{fresh_name(spare_stem), std::move(files)};
    const std::lock_guard lock{mutex_};
    if (spares_.size() < spares_max &&
        ::renameat(attempts_.get(), token.c_str(), attempts_.get(), kept.name.c_str()) == 0) {
      spares_.push_back(std::move(kept));
      return;
    }
  }
  throw_away(token);
}

void attempt_store::discard(const std::string& token, reuse allowed) {
  attempt_files files;
  if (auto directory = open_directory(attempts_.get(), token)) {
    files.directory = *std::move(directory);
  }
  give_back(std::move(files), token, allowed);
}

// Aside first, so that it is gone from where people look and `tidy` finds it after a crash.
result<void> attempt_store::remove(const std::filesystem::path& tree) {
  const auto away = fresh_name(removed_stem);
  const auto refuse = [&](const error& why) {
    return error{errc::failed_precondition, tree.string() + ": " + why.text()};
  };
  if (::renameat(AT_FDCWD, tree.c_str(), attempts_.get(), away.c_str()) != 0) {
    if (errno == ENOENT) {
      return {};
    }
    return refuse(file_failure("cannot remove it", errno));
  }
  if (const auto removed = remove_tree(attempts_.get(), away); !removed) {
    ::renameat(attempts_.get(), away.c_str(), AT_FDCWD, tree.c_str());
    return refuse(removed.error());
  }
  return {};
}

result<log_file> attempt_store::open_log(std::string_view token, output_stream stream) const {
  const auto folder = open_directory(logs_.get(), folder_of(token));
  if (!folder) {
    return folder.error();
  }
  auto opened = open_regular(folder->get(), log_name(token, stream), O_RDONLY);
  if (!opened) {
    return std::move(opened).error();
  }
  auto times = open_regular(folder->get(), times_name(token, stream), O_RDONLY);
  return log_file{*std::move(opened), times ? *std::move(times) : unique_fd{}};
}

attempt_marks attempt_store::marks(const attempt_files& files) {
  const auto inode = [](const unique_fd& fd) -> std::uint64_t {
    struct stat status {};
    return fd && ::fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
  };
  return {inode(files.output), {inode(files.streams[0]), inode(files.streams[1])}};
}

std::filesystem::path attempt_store::path_of(std::string_view token) const {
  return path_ / token;
}

void attempt_store::warn(const std::string& line) const {
  if (warn_) {
    warn_(line);
  }
}

void attempt_store::throw_away(const std::string& name) {
  auto away = fresh_name(removed_stem);
  if (::renameat(attempts_.get(), name.c_str(), attempts_.get(), away.c_str()) != 0) {
    if (errno == ENOENT) {
      return;
    }
    away = name;
  }
  const std::lock_guard lock{mutex_};
  thrown_away_.push_back(std::move(away));
  changed_.notify_one();
}

void attempt_store::remove_thrown_away() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !thrown_away_.empty(); });
    if (stopping_) {
      return;  // the next life removes what is left
    }
    const auto name = std::move(thrown_away_.front());
    thrown_away_.pop_front();
    lock.unlock();
    if (const auto removed = remove_tree(attempts_.get(), name); !removed) {
      warn("cannot tidy up after an attempt error=" + removed.error().text());
    }
    lock.lock();
  }
}

}  // namespace millrace::actors::process_detail
