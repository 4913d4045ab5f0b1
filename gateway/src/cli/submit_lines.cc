// SPDX-License-Identifier: MIT
#include "cli/submit_lines.h"

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <map>
#include <optional>
#include <system_error>
#include <thread>

#include "http/problem.h"
#include "millrace/actors/run_id.h"

namespace millrace::gateway::cli {

using runtime::errc;
using runtime::error;

namespace {

constexpr std::size_t batch_bytes_max = std::size_t{4} << 20;
constexpr unsigned tries_max = 4;
// And to the first answer.
constexpr std::chrono::minutes upload_within{2};
// The number of a chunk's first line is added to it, and by the server that of a line.
constexpr std::size_t key_bytes_max = 160;

// Lines that go in one request.
struct chunk {
  std::size_t first;  // the number of its first line in the file, from 1
  std::string text;
  std::size_t lines = 0;
};

chunk next_chunk(std::istream& from, std::size_t first) {
  chunk read{.first = first, .text = {}};
  std::string line;
  while (read.lines < batch_lines_max && read.text.size() < batch_bytes_max &&
         std::getline(from, line)) {
    read.text += line + '\n';
    ++read.lines;
  }
  return read;
}

// Whether to send the same again may help, and when.
std::optional<runtime::duration> wait_after(const error& why, unsigned tries) {
  const auto again = runtime::retry_of(why.code()) == runtime::retry_class::safe ||
                     why.code() == errc::outcome_unknown || why.code() == errc::deadline_exceeded;
  if (!again || tries == tries_max) {
    return std::nullopt;
  }
  return std::max<runtime::duration>(why.retry_after(), std::chrono::seconds{1U << (tries - 1)});
}

// One file on its way.
class submitter {
public:
  submitter(remote& server, const std::string& pipeline, std::string key)
      : server_(server),
        target_(server.pipelines() + "/" + escaped(pipeline) + "/runs:batch"),
        key_(std::move(key)) {
    server_.set_timeout(upload_within);
  }

  // False when there is no use in sending more.
  bool send(const chunk& one) {
    if (one.text.find_first_not_of(" \t\r\n") == std::string::npos) {
      return true;
    }
    const http::header_list headers{
        {"Content-Type", "application/x-ndjson"},
        {"Idempotency-Key", key_ + (one.first == 1 ? "" : "." + std::to_string(one.first))}};
    for (unsigned tries = 1;; ++tries) {
      const auto answer = server_.client().lines(
          http::method::post, target_, one.text, headers, [&](std::string_view line) {
            return tell(line, one.first - 1) && std::cout ? http::flow::more : http::flow::stop;
          });
      if (answer && answer->status < 400) {
        return !is_lost_ && std::cout;
      }
      const auto why = answer ? server_.problem_of(*answer) : answer.error();
      const auto wait = wait_after(why, tries);
      if (!wait) {
        outcome_ = report(error{why.code(), why.text() + "\n  --idempotency-key " + key_ +
                                                " submits what is missing, and nothing twice"});
        return false;
      }
      std::this_thread::sleep_for(*wait);
    }
  }
  [[nodiscard]] exit_code outcome() const {
    return outcome_ != exit_code::ok ? outcome_
           : refused_.empty()        ? exit_code::ok
                                     : refused_.begin()->second;
  }

private:
  // False: that is no answer of ours. A chunk that is sent again is answered again, and what was
  // refused may have been submitted by then.
  bool tell(std::string_view line, std::size_t lines_before) {
    auto told = ordered_json::parse(line, nullptr, false);
    const auto is_ours =
        told.is_object() && told.contains("line") && told["line"].is_number_unsigned() &&
        (told.contains("id") || (told.contains("error") && told["error"].is_object()));
    if (!is_ours) {
      outcome_ = report(server_.not_ours());
      is_lost_ = true;
      return false;
    }
    const auto number = told["line"].get<std::size_t>() + lines_before;
    const auto is_refused = told.contains("error");
    if (number <= told_ && (is_refused || refused_.erase(number) == 0)) {
      return true;
    }
    told_ = std::max(told_, number);
    told["line"] = number;
    if (is_refused) {
      const auto& problem = told["error"];
      const auto why = http::error_of_response(500, {}, problem.dump());
      refused_[number] =
          report(error{why.code(), "line " + std::to_string(number) + ": " + why.text()});
    }
    if (server_.form() == output_form::json || server_.form() == output_form::jsonl) {
      std::cout << told.dump() << '\n';
    } else if (!is_refused) {
      print_one(is_table(server_.form()) ? output_form::name : server_.form(), told);
    }
    return true;
  }

  remote& server_;
  const std::string target_;
  const std::string key_;
  std::size_t told_ = 0;                      // the last line that was answered
  std::map<std::size_t, exit_code> refused_;  // by line
  exit_code outcome_ = exit_code::ok;         // of the whole
  bool is_lost_ = false;
};

}  // namespace

exit_code submit_lines(remote& server, const std::string& pipeline, std::istream& lines,
                       std::string key) {
  if (key.empty()) {
    runtime::rng random;
    key = actors::make_run_id(runtime::system_clock{}.wall(), random);
  }
  if (key.size() > key_bytes_max) {
    return report(exit_code::usage, "the idempotency key of a batch is at most " +
                                        std::to_string(key_bytes_max) + " bytes");
  }
  submitter one{server, pipeline, std::move(key)};
  for (std::size_t first = 1;;) {
    const auto chunk = next_chunk(lines, first);
    if (chunk.lines == 0 || !one.send(chunk)) {
      break;
    }
    first += chunk.lines;
  }
  std::cout.flush();
  if (lines.bad()) {
    return report(exit_code::usage,
                  "the lines cannot be read: " + std::generic_category().message(errno));
  }
  return one.outcome();
}

}  // namespace millrace::gateway::cli
