// SPDX-License-Identifier: MIT
#include "millrace/actors/kept_logs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <tuple>
#include <utility>

#include "millrace/actors/run_id.h"
#include "pipeline/names.h"
#include "process/failure.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// What can be read of a folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator each{folder, failed}, end; !failed && each != end;
       each.increment(failed)) {
    found.push_back(each->path());
  }
  return found;
}

// `stem`: the token of an attempt.
void add(std::vector<kept_log>& found, std::string_view run, std::string_view stem,
         output_stream stream, const fs::path& file) {
  const auto parsed = parse_token(stem);
  struct stat status {};
  // Not through a link: a task can reach the files of what runs.
  if (!parsed || run_of(parsed->task_key) != run || ::lstat(file.c_str(), &status) != 0 ||
      !S_ISREG(status.st_mode) || status.st_size == 0) {
    return;
  }
  found.push_back({parsed->task_key.substr(run.size() + 1), parsed->attempt, stream, file});
}

}  // namespace

std::vector<kept_log> kept_logs(const fs::path& data_directory, std::string_view run) {
  std::vector<kept_log> found;
  if (!is_run_id(run)) {
    return found;
  }
  for (const auto& file : entries_of(data_directory / "logs" / run)) {
    for (const auto& [suffix, stream] : {std::pair{".stdout", output_stream::standard_output},
                                         {".stderr", output_stream::standard_error}}) {
      if (file.extension() == suffix) {
        add(found, run, file.stem().string(), stream, file);
      }
    }
  }
  for (const auto& attempt : entries_of(data_directory / "attempts")) {  // those that run
    const auto token = attempt.filename().string();
    add(found, run, token, output_stream::standard_output, attempt / "stdout");
    add(found, run, token, output_stream::standard_error, attempt / "stderr");
  }
  std::sort(found.begin(), found.end(), [](const kept_log& a, const kept_log& b) {
    return std::tie(a.task, a.attempt, a.stream) < std::tie(b.task, b.attempt, b.stream);
  });
  return found;
}

std::vector<std::string> kept_runs(const fs::path& data_directory) {
  std::set<std::string, std::greater<>> found;
  for (const auto* const folder : {"logs", "workspaces"}) {
    for (const auto& each : entries_of(data_directory / folder)) {
      if (auto name = each.filename().string(); is_run_id(name)) {
        found.insert(std::move(name));
      }
    }
  }
  for (const auto& attempt : entries_of(data_directory / "attempts")) {
    if (const auto parsed = parse_token(attempt.filename().string());
        parsed && is_run_id(run_of(parsed->task_key))) {
      found.insert(run_of(parsed->task_key));
    }
  }
  return {found.begin(), found.end()};
}

namespace {

result<runtime::unique_fd> open_file_of(const fs::path& file) {
  runtime::unique_fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!fd) {
    return errno == ENOENT ? error{errc::not_found, file.string() + " has gone"}
                           : process_detail::file_failure("cannot open a log", errno);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return error{errc::failed_precondition, file.string() + " is no file"};
  }
  return fd;
}

}  // namespace

result<log_file> open_kept(const kept_log& one) {
  auto log = open_file_of(one.file);
  if (!log) {
    return std::move(log).error();
  }
  auto times = open_file_of(one.file.string() + ".times");
  return log_file{*std::move(log), times ? *std::move(times) : runtime::unique_fd{}};
}

}  // namespace millrace::actors
