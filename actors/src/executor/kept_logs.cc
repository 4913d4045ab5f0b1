// SPDX-License-Identifier: MIT
#include "millrace/actors/kept_logs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "millrace/actors/run_id.h"
#include "pipeline/names.h"
#include "process/task_file.h"

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
  std::error_code unknown;
  // Not through a link: a task can reach the files of what runs, and their folders.
  if (!parsed || run_of(parsed->task_key) != run || ::lstat(file.c_str(), &status) != 0 ||
      !S_ISREG(status.st_mode) || status.st_size == 0 ||
      fs::is_symlink(file.parent_path(), unknown)) {
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

result<log_file> open_kept(const kept_log& one) {
  const auto folder = process_detail::open_directory(AT_FDCWD, one.file.parent_path().string());
  const auto name = one.file.filename().string();
  auto file = folder ? process_detail::open_regular(folder->get(), name, O_RDONLY)
                     : result<runtime::unique_fd>{folder.error()};
  if (!file) {
    return file.error().code() == errc::not_found
               ? error{errc::not_found, one.file.string() + " has gone"}
               : error{file.error().code(), one.file.string() + ": " + file.error().text()};
  }
  auto times = process_detail::open_regular(folder->get(), name + ".times", O_RDONLY);
  return log_file{*std::move(file), times ? *std::move(times) : runtime::unique_fd{}};
}

}  // namespace millrace::actors
