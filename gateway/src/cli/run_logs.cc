// SPDX-License-Identifier: MIT
#include "cli/run_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <optional>

#include "cli/terminal_text.h"
#include "millrace/actors/log_merge.h"
#include "millrace/runtime/rfc3339.h"

namespace millrace::gateway::cli {

namespace fs = std::filesystem;
using actors::output_stream;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t all_rows = std::numeric_limits<std::size_t>::max();
constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
constexpr std::size_t tail_bytes_max = std::size_t{8} << 20U;  // the server's

bool is_of(const std::string& instance, const std::string& task) {
  return task.empty() || instance == task ||
         (instance.starts_with(task) && instance[task.size()] == '[');
}

std::string shell_word(const std::string& text) {
  const auto plain = [](char each) {
    return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           (each >= '0' && each <= '9') ||
           std::string_view{"-_./@"}.find(each) != std::string::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) {
    return text;
  }
  std::string quoted = "'";
  for (const char each : text) {
    quoted += each == '\'' ? std::string{"'\\''"} : std::string(1, each);
  }
  return quoted + "'";
}

exit_code print_instance(log_source& from, const std::string& run, const log_request& what) {
  for (const auto stream : {output_stream::standard_output, output_stream::standard_error}) {
    if (what.only_errors && stream == output_stream::standard_output) {
      continue;
    }
    auto& out =
        stream == output_stream::standard_error && !what.only_errors ? std::cerr : std::cout;
    const line_filter::sink print = [&out](std::string_view text) {
      out << text << std::flush;
      return static_cast<bool>(out);
    };
    line_filter wanted{what.grep};
    const auto read = from.read(run, {what.task, what.attempt}, stream, what.tail,
                                [&](std::string_view piece) { return wanted.add(piece, print); });
    if (!read) {
      return report(read.error());
    }
    wanted.end(print);
  }
  return exit_code::ok;
}

std::string rfc3339(runtime::wall_time time) {
  std::string made;
  const auto known = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  runtime::append_rfc3339(made, std::chrono::nanoseconds{known}.count());
  return made;
}

std::string_view name_of(output_stream stream) {
  return stream == output_stream::standard_error ? "stderr" : "stdout";
}

// `is_one`: all is of one instance, so that no line needs to say whose it is.
exit_code print_lines(log_source& from, const std::string& run, const log_request& what,
                      bool is_one) {
  const auto longest = is_one ? result<std::size_t>{0} : from.columns(run, what);
  if (!longest) {
    return report(longest.error());
  }
  const auto columns = std::min(*longest, names_columns_max);
  line_filter wanted{what.grep};
  auto code = exit_code::ok;
  const auto read = from.lines(run, what, [&](const log_line& line) {
    if (!line.error.empty()) {
      code = report(
          error{errc::unavailable,
                fmt::format("the {} of '{}', attempt {}, cannot be read: {}", name_of(line.stream),
                            printable(line.task), line.attempt, printable(line.error))});
      return true;
    }
    auto& out = is_one && !what.only_errors && line.stream == output_stream::standard_error
                    ? std::cerr
                    : std::cout;
    auto prefix = what.timestamps ? line.time + ' ' : std::string{};
    if (!is_one) {
      prefix += fmt::format("{:<{}} | ", shown_name(line.task, line.attempt), columns);
    }
    return wanted.add(line.text + '\n', [&](std::string_view text) {
      out << prefix << text;
      return static_cast<bool>(out);
    });
  });
  std::cout.flush();
  return read ? code : report(read.error());
}

}  // namespace

std::string shown_name(const std::string& task, std::uint32_t attempt) {
  return printable(task) + (attempt > 1 ? fmt::format(" attempt {}", attempt) : std::string{});
}

// --- of a server ---------------------------------------------------------------------------------

result<std::string> remote_logs::run_of(const std::string& word) {
  return server_.run_of(word);
}

result<bool> remote_logs::is_instance(const std::string& run, const std::string& task) {
  const auto tasks = "/api/v1/runs/" + escaped(run) + "/tasks";
  const auto one = server_.ask(http::method::get, tasks + "/" + escaped(task));
  if (one || one.error().code() != errc::not_found) {
    return one ? result<bool>{true} : one.error();
  }
  auto has_several = false;
  const auto more =
      server_.for_each_row(tasks, "tasks", all_rows, [&](const ordered_json& row) -> result<void> {
        has_several |= row.value("name", "") == task;
        return {};
      });
  return more && has_several ? result<bool>{false} : one.error();
}

result<std::size_t> remote_logs::columns(const std::string& run, const log_request& what) {
  std::size_t longest = 0;
  const auto more = server_.for_each_row(
      "/api/v1/runs/" + escaped(run) + "/tasks", "tasks", all_rows,
      [&](const ordered_json& row) -> result<void> {
        const auto name = row.value("id", "");
        const auto latest = row.value("attempt", 0U);
        if (latest > 0 && is_of(name, what.task)) {
          const auto attempt = what.attempt == 0 ? latest : std::min(latest, what.attempt);
          longest = std::max(longest, shown_name(name, attempt).size());
        }
        return {};
      });
  return more ? result<std::size_t>{longest} : more.error();
}

result<void> remote_logs::lines(const std::string& run, const log_request& what,
                                const line_sink& to) {
  auto target = fmt::format("/api/v1/runs/{}/logs?attempt={}", escaped(run), what.attempt);
  target += what.task.empty() ? "" : "&task=" + escaped(what.task);
  target += what.only_errors ? "&stream=stderr" : "";
  target += what.tail > 0 ? fmt::format("&tail={}", what.tail) : "";
  target += what.since ? "&since=" + escaped(rfc3339(*what.since)) : "";
  std::string rest;
  const auto answer =
      server_.client().stream(http::method::get, target, {}, {}, [&](std::string_view piece) {
        rest += piece;
        std::size_t begin = 0;
        for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
          const auto line = ordered_json::parse(rest.substr(begin, end - begin), nullptr, false);
          begin = end + 1;
          if (line.is_object() &&
              !to({line.value("task", ""), line.value("attempt", 0U),
                   line.value("stream", "") == name_of(output_stream::standard_error)
                       ? output_stream::standard_error
                       : output_stream::standard_output,
                   line.value("time", ""), line.value("text", ""), line.value("error", "")})) {
            return http::flow::stop;
          }
        }
        rest.erase(0, begin);
        return http::flow::more;
      });
  if (!answer) {
    return answer.error();
  }
  return answer->status >= 400 ? result<void>{server_.problem_of(*answer)} : result<void>{};
}

result<void> remote_logs::read(const std::string& run, const attempt_output& whose,
                               output_stream stream, std::uint32_t tail, const sink& to) {
  auto target =
      fmt::format("/api/v1/runs/{}/tasks/{}/logs?stream={}", escaped(run), escaped(whose.task),
                  stream == output_stream::standard_error ? "stderr" : "stdout");
  target += tail > 0 ? fmt::format("&tail={}", tail) : "";
  target += whose.attempt > 0 ? fmt::format("&attempt={}", whose.attempt) : "";
  const auto answer = server_.client().download(target, [&to](std::string_view piece) {
    return to(piece) ? http::flow::more : http::flow::stop;
  });
  if (!answer) {
    return answer.error();
  }
  return answer->status >= 400 ? result<void>{server_.problem_of(*answer)} : result<void>{};
}

// --- of a data directory -------------------------------------------------------------------------

result<std::string> directory_logs::run_of(const std::string& word) {
  std::error_code unknown;
  if (!fs::is_directory(data_, unknown)) {
    return error{errc::not_found, "there is no data directory '" + data_.string() + "'"};
  }
  std::vector<named_run> runs;
  for (auto& each : actors::kept_runs(data_)) {
    runs.push_back({std::move(each)});
  }
  return run_among(runs, word, "in '" + data_.string() + "'");
}

const std::vector<actors::kept_log>& directory_logs::kept(const std::string& run) {
  if (std::exchange(listed_, run) != run) {
    kept_ = actors::kept_logs(data_, run);
  }
  return kept_;
}

result<bool> directory_logs::is_instance(const std::string& run, const std::string& task) {
  auto has_several = false;
  for (const auto& each : kept(run)) {
    if (each.task == task) {
      return true;
    }
    has_several |= is_of(each.task, task);
  }
  if (!has_several) {
    return error{errc::not_found, fmt::format("no task '{}' of run {} has written anything in '{}'",
                                              task, run, data_.string())};
  }
  return false;
}

result<std::size_t> directory_logs::columns(const std::string& run, const log_request& what) {
  std::size_t longest = 0;
  for (const auto& each : kept(run)) {
    if (is_of(each.task, what.task) && (what.attempt == 0 || what.attempt == each.attempt)) {
      longest = std::max(longest, shown_name(each.task, each.attempt).size());
    }
  }
  return longest;
}

result<void> directory_logs::lines(const std::string& run, const log_request& what,
                                   const line_sink& to) {
  struct source {
    const actors::kept_log* kept;
    std::uint64_t offset = 0;
  };
  std::vector<source> sources;
  actors::log_merge merge;
  for (const auto& each : kept(run)) {
    const auto is_wanted = is_of(each.task, what.task) &&
                           (what.attempt == 0 || what.attempt == each.attempt) &&
                           (!what.only_errors || each.stream == output_stream::standard_error);
    if (is_wanted) {
      const auto log = actors::open_kept(each);
      merge.add(log ? log->times(0, 1).front().at : runtime::wall_time{});
      sources.push_back({&each, 0});
    }
  }
  if (sources.empty() && what.attempt != 0) {
    const auto who = what.task.empty()
                         ? std::string{"no task"}
                         : fmt::format("no instance of task '{}'", printable(what.task));
    return error{errc::not_found, fmt::format("{} has had attempt {}", who, what.attempt)};
  }
  for (;;) {
    while (const auto line = merge.next_line()) {
      const auto& of = *sources[line->output].kept;
      if (what.since && line->at < *what.since) {
        continue;
      }
      if (!to({of.task, of.attempt, of.stream, rfc3339(line->at), line->text, {}})) {
        return {};
      }
    }
    const auto next = merge.needs();
    if (!next) {
      return {};
    }
    auto& from = sources[*next];
    // Opened for each piece: thousands may have begun.
    const auto log = actors::open_kept(*from.kept);
    const auto piece = !log ? result<actors::log_chunk>{log.error()}
                       : from.offset == 0 && what.tail > 0
                           ? log->tail_lines(what.tail, tail_bytes_max)
                           : log->read(from.offset, merge.piece_bytes_max());
    if (!piece) {
      const auto& of = *from.kept;
      merge.end(*next);
      if (!to({of.task, of.attempt, of.stream, {}, {}, piece.error().text()})) {
        return {};
      }
    } else if (piece->bytes.empty() && piece->dropped == 0) {
      merge.end(*next);
    } else {
      merge.give(*next, *piece, log->times(piece->offset, piece->next_offset), {});
      from.offset = piece->next_offset;
    }
  }
}

result<void> directory_logs::read(const std::string& run, const attempt_output& whose,
                                  output_stream stream, std::uint32_t tail, const sink& to) {
  const auto& kept = this->kept(run);
  auto attempt = whose.attempt;
  for (const auto& each : kept) {
    if (whose.attempt == 0 && each.task == whose.task) {
      attempt = std::max(attempt, each.attempt);
    }
  }
  const auto found = std::find_if(kept.begin(), kept.end(), [&](const auto& each) {
    return each.task == whose.task && each.attempt == attempt && each.stream == stream;
  });
  const auto log = found == kept.end() ? result<actors::log_file>{error{errc::not_found, ""}}
                                       : actors::open_kept(*found);
  if (!log) {
    return log.error().code() == errc::not_found ? result<void>{} : log.error();
  }
  std::uint64_t offset = 0;
  if (tail > 0) {
    const auto end = log->tail_lines(tail, tail_bytes_max);
    if (!end) {
      return end.error();
    }
    offset = end->offset;
  }
  for (;;) {
    const auto chunk = log->read(offset, chunk_bytes);
    if (!chunk) {
      return chunk.error();
    }
    if (chunk->bytes.empty() && chunk->dropped == 0) {
      return {};
    }
    offset = chunk->next_offset;
    if (!to((chunk->dropped > 0 ? actors::dropped_text(chunk->dropped) : std::string{}) +
            chunk->bytes)) {
      return {};
    }
  }
}

// --- of either -----------------------------------------------------------------------------------

exit_code print_logs(log_source& from, const log_request& what) {
  const auto run = from.run_of(what.run);
  if (!run) {
    return report(run.error());
  }
  const auto is_one = what.task.empty() ? result<bool>{false} : from.is_instance(*run, what.task);
  if (!is_one) {
    return report(is_one.error());
  }
  return *is_one && !what.timestamps && !what.since ? print_instance(from, *run, what)
                                                    : print_lines(from, *run, what, *is_one);
}

std::string logs_command(const std::string& run, const std::string& task, std::uint32_t attempt,
                         const std::string& data) {
  return fmt::format("millrace logs {} {}{}{}", run, shell_word(task),
                     attempt > 1 ? fmt::format(" --attempt {}", attempt) : std::string{},
                     data.empty() ? "" : " --data " + shell_word(data));
}

}  // namespace millrace::gateway::cli
