// SPDX-License-Identifier: MIT
#include "cli/run_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <limits>

#include "cli/terminal_text.h"

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
constexpr std::size_t names_columns_max = 32;  // longer names stand out of their column

// Writes lines that each begin with a prefix.
class prefixed_lines {
public:
  explicit prefixed_lines(std::string prefix) : prefix_(std::move(prefix)) {}

  void add(std::string_view text) {
    while (!text.empty()) {
      if (std::exchange(at_start_, false)) {
        std::cout << prefix_;
      }
      const auto end = std::min(text.find('\n'), text.size() - 1) + 1;
      std::cout << text.substr(0, end);
      at_start_ = text[end - 1] == '\n';
      text.remove_prefix(end);
    }
  }

  // The next one's lines begin on one of their own.
  void end() {
    if (!std::exchange(at_start_, true)) {
      std::cout << '\n';
    }
  }

private:
  std::string prefix_;
  bool at_start_ = true;
};

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

exit_code print_several(log_source& from, const std::string& run, const log_request& what) {
  auto found = from.attempts(run, what.task);
  if (!found) {
    return report(found.error());
  }
  if (what.attempt != 0) {
    std::erase_if(*found, [&](const auto& each) { return each.attempt != what.attempt; });
    if (found->empty()) {
      return report(exit_code::not_found,
                    (what.task.empty() ? std::string{"no task"}
                                       : "no instance of task '" + printable(what.task) + "'") +
                        fmt::format(" has had attempt {}", what.attempt));
    }
  }
  const auto name_of = [](const attempt_output& one) {
    return printable(one.task) +
           (one.attempt > 1 ? fmt::format(" attempt {}", one.attempt) : std::string{});
  };
  std::size_t columns = 0;
  for (const auto& each : *found) {
    columns = std::max(columns, std::min(name_of(each).size(), names_columns_max));
  }
  for (const auto& each : *found) {
    prefixed_lines lines{fmt::format("{:<{}} | ", name_of(each), columns)};
    for (const auto stream : {output_stream::standard_output, output_stream::standard_error}) {
      if (what.only_errors && stream == output_stream::standard_output) {
        continue;
      }
      const line_filter::sink print = [&lines](std::string_view text) {
        lines.add(text);
        return static_cast<bool>(std::cout);
      };
      line_filter wanted{what.grep};
      const auto read = from.read(run, each, stream, what.tail,
                                  [&](std::string_view piece) { return wanted.add(piece, print); });
      if (!read) {
        return report(read.error());
      }
      wanted.end(print);
      lines.end();
    }
    std::cout.flush();
  }
  return exit_code::ok;
}

}  // namespace

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

result<std::vector<attempt_output>> remote_logs::attempts(const std::string& run,
                                                          const std::string& task) {
  struct ended_attempt {
    std::string end;  // as RFC 3339, which sorts by time; empty: it runs
    attempt_output one;
  };
  std::vector<ended_attempt> found;
  const auto end_in = [](const ordered_json& row) {
    const auto at = row.find("finished_at");
    return at != row.end() && at->is_string() ? at->get<std::string>() : std::string{};
  };
  const auto tasks = "/api/v1/runs/" + escaped(run) + "/tasks";
  const auto more =
      server_.for_each_row(tasks, "tasks", all_rows, [&](const ordered_json& row) -> result<void> {
        const auto name = row.value("id", "");
        const auto latest = row.value("attempt", 0U);
        const auto state = row.value("state", "");
        if (latest == 0 || !is_of(name, task)) {
          return {};
        }
        if (latest == 1 && state != "backing_off") {  // the list knows all of it
          if (state != "queued" && row.value("cached_from", "").empty()) {
            found.push_back({end_in(row), {name, 1}});
          }
          return {};
        }
        const auto whole = server_.ask(http::method::get, tasks + "/" + escaped(name));
        if (!whole) {
          return whole.error();
        }
        for (const auto& each : whole->value("attempts", ordered_json::array())) {
          const auto end = each.value("end", "");
          if (end != "queued" && end != "cached") {
            found.push_back({end_in(each), {name, each.value("id", 0U)}});
          }
        }
        return {};
      });
  if (!more) {
    return more.error();
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.end.empty() != b.end.empty() ? b.end.empty() : a.end < b.end;
  });
  std::vector<attempt_output> made;
  made.reserve(found.size());
  for (auto& each : found) {
    made.push_back(std::move(each.one));
  }
  return made;
}

result<void> remote_logs::read(const std::string& run, const attempt_output& whose,
                               output_stream stream, std::uint32_t tail, const sink& to) {
  auto target =
      fmt::format("/api/v1/runs/{}/tasks/{}/logs?stream={}", escaped(run), escaped(whose.task),
                  stream == output_stream::standard_error ? "stderr" : "stdout");
  target += tail > 0 ? fmt::format("&tail={}", tail) : "";
  target += whose.attempt > 0 ? fmt::format("&attempt={}", whose.attempt) : "";
  const auto answer = server_.client().stream(
      http::method::get, target, {}, {},
      [&to](std::string_view piece) { return to(piece) ? http::flow::more : http::flow::stop; });
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

result<std::vector<attempt_output>> directory_logs::attempts(const std::string& run,
                                                             const std::string& task) {
  std::vector<attempt_output> found;
  for (const auto& each : kept(run)) {
    const auto is_same = !found.empty() && found.back().task == each.task &&
                         found.back().attempt == each.attempt;  // the other stream
    if (!is_same && is_of(each.task, task)) {
      found.push_back({each.task, each.attempt});
    }
  }
  return found;
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
  return *is_one ? print_instance(from, *run, what) : print_several(from, *run, what);
}

std::string logs_command(const std::string& run, const std::string& task, std::uint32_t attempt,
                         const std::string& data) {
  return fmt::format("millrace logs {} {}{}{}", run, shell_word(task),
                     attempt > 1 ? fmt::format(" --attempt {}", attempt) : std::string{},
                     data.empty() ? "" : " --data " + shell_word(data));
}

}  // namespace millrace::gateway::cli
