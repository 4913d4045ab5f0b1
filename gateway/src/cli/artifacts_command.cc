// SPDX-License-Identifier: MIT
// `artifacts`: what the tasks of a run have left in files, listed or downloaded.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/terminal_text.h"
#include "millrace/actors/artifact.h"

namespace millrace::gateway::cli {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr auto all_rows = std::numeric_limits<std::size_t>::max();

bool is_of(const std::string& instance, const std::string& task) {
  return task.empty() || instance == task || instance.starts_with(task + "[");
}

// Where an instance's files go: as in a workspace that takes those of a fan-out.
std::string folder_of(const std::string& instance) {
  const auto bracket = instance.find('[');
  return bracket == std::string::npos
             ? instance
             : instance.substr(0, bracket) + "/" +
                   instance.substr(bracket + 1, instance.size() - bracket - 2);
}

// What a server says is no path until it was looked at.
result<fs::path> path_below(const fs::path& top, const std::string& path) {
  const auto why = actors::refusal_of_artifact_path(path);
  return why.empty() ? result<fs::path>{top / path}
                     : error{errc::invalid_argument, "the server tells of a path that " + why};
}

error cannot_write(const fs::path& path) {
  return {errc::storage_failed, "cannot write '" + printable(path.string()) + "'"};
}

// Into a file beside its place first, so that what stands there is whole.
result<void> download(remote& server, const std::string& target, const ordered_json& file,
                      const fs::path& to) {
  std::error_code failed;
  fs::create_directories(to.parent_path(), failed);
  const fs::path part = to.string() + ".part";
  std::ofstream out{part, std::ios::binary | std::ios::trunc};
  actors::digest_of_stream sum;
  const auto answer = server.client().download(target, [&](std::string_view piece) {
    sum.add(piece);
    out << piece;
    return out ? http::flow::more : http::flow::stop;
  });
  out.close();
  const auto give_up = [&](error why) {
    fs::remove(part, failed);
    return why;
  };
  if (!answer || answer->status >= 400) {
    return give_up(answer ? server.problem_of(*answer) : answer.error());
  }
  if (!out) {
    return give_up(cannot_write(part));
  }
  if (std::move(sum).hex() != file.value("digest", "")) {
    return give_up({errc::storage_failed,
                    "'" + printable(to.string()) + "' did not come as it was kept; try again"});
  }
  if (file.value("executable", false)) {
    fs::permissions(part, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                    fs::perm_options::add, failed);
  }
  fs::rename(part, to, failed);
  return failed ? result<void>{give_up(cannot_write(to))} : result<void>{};
}

void add_options(po::options_description& options) {
  add_server_option(options);
  add_project_option(options);
  add_rows_options(options);
  options.add_options()("download", po::value<std::string>()->value_name("DIR"),
                        "write the files to DIR/TASK/, those of an instance to DIR/TASK/INDEX/");
}

exit_code download_all(remote& server, const std::string& run, const ordered_json& rows,
                       const fs::path& top) {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  for (const auto& row : rows) {
    const auto task = row.value("task", "");
    const auto target = fmt::format("/api/v1/runs/{}/tasks/{}/artifacts/{}", escaped(run),
                                    escaped(task), escaped(row.value("id", "")));
    const auto done = server.for_each_row(
        target, "files", all_rows, [&](const ordered_json& file) -> result<void> {
          const auto path = file.value("id", "");
          const auto to = path_below(top, folder_of(task) + "/" + path);
          if (!to) {
            return to.error();
          }
          ++files;
          bytes += file.value("size", std::uint64_t{0});
          return download(server, target + "/content?path=" + escaped(path), file, *to);
        });
    if (!done) {
      return report(done.error());
    }
  }
  std::cerr << fmt::format("{} file{}, {} bytes, in {}\n", files, files == 1 ? "" : "s", bytes,
                           printable(top.string()));
  return exit_code::ok;
}

exit_code run_artifacts(const option_values& options, const std::vector<std::string>& words) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto run = server->run_of(words[0]);
  if (!run) {
    return report(run.error());
  }
  const auto task = words.size() > 1 ? words[1] : std::string{};
  auto rows = ordered_json::array();
  const auto listed =
      server->for_each_row("/api/v1/runs/" + escaped(*run) + "/artifacts", "artifacts", all_rows,
                           [&](const ordered_json& row) -> result<void> {
                             if (is_of(row.value("task", ""), task)) {
                               rows.push_back(row);
                             }
                             return {};
                           });
  if (!listed) {
    return report(listed.error());
  }
  if (rows.empty() && !task.empty()) {
    return report(exit_code::not_found,
                  "the task '" + printable(task) + "' of the run has left no artifacts");
  }
  if (options.count("download") > 0) {
    return download_all(*server, *run, rows, options["download"].as<std::string>());
  }
  print_rows(server->style(), rows, {"task", "id", "files", "bytes", "executor", "digest"});
  return exit_code::ok;
}

}  // namespace

command artifacts_command() {
  return {"artifacts",
          "RUN [TASK] [--download DIR]",
          "list or download the files that the tasks of a run have left",
          "  millrace artifacts @latest\n"
          "  millrace artifacts RUN build -o json\n"
          "  millrace artifacts RUN build --download out\n",
          1,
          2,
          add_options,
          run_artifacts};
}

}  // namespace millrace::gateway::cli
