// SPDX-License-Identifier: MIT
#include "executor/attempt_report.h"

#include <algorithm>
#include <utility>

#include "definition/exit_codes.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/process_outputs.h"
#include "millrace/actors/resources.h"
#include "pipeline/names.h"

namespace millrace::actors {

using schemas::AttemptEnd;

namespace {

AttemptEnd end_of(process_outcome outcome) {
  switch (outcome) {
    case process_outcome::exited:
      return AttemptEnd::EXITED;
    case process_outcome::signalled:
      return AttemptEnd::SIGNALLED;
    case process_outcome::timed_out:
      return AttemptEnd::TIMED_OUT;
    case process_outcome::cancelled:
      return AttemptEnd::CANCELLED;
    case process_outcome::log_limit:
      return AttemptEnd::LOG_LIMIT;
    case process_outcome::disk_full:
      return AttemptEnd::DISK_FULL;
    case process_outcome::no_heartbeat:
      return AttemptEnd::TIMED_OUT;
    case process_outcome::memory_limit:
      return AttemptEnd::SIGNALLED;
  }
  return AttemptEnd::LOST;
}

// A text of a message holds no NUL.
std::string clean(std::string_view text) {
  std::string made{text};
  std::replace(made.begin(), made.end(), '\0', ' ');
  return made;
}

void set_streams(schemas::AttemptReport::Builder report, const process_stream& output,
                 const process_stream& errors) {
  report.setStdoutTail(clean(output.tail).c_str());
  report.setStderrTail(clean(errors.tail).c_str());
  report.setStdoutBytes(output.bytes);
  report.setStderrBytes(errors.bytes);
  report.setStdoutDropped(output.dropped);
  report.setStderrDropped(errors.dropped);
}

// For a person; the limit of an attempt of an earlier life is not known any more.
std::string over_memory(std::uint64_t had, std::uint64_t limit) {
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;
  const auto text = [](std::uint64_t bytes) { return format_amount("memory", bytes); };
  return had > limit && limit > 0 ? "out of memory: its processes had " +
                                        text((had + mebibyte - 1) / mebibyte * mebibyte) +
                                        ", and its limit is " + text(limit)
                                  : "out of memory: its processes had more than its limit";
}

void set_usage(schemas::AttemptReport::Builder report, const process_exit& ended) {
  const auto spent = ended.user_time + ended.system_time;
  report.setCpuMs(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
  report.setMaxMemory(static_cast<std::int64_t>(ended.max_memory.value_or(0)));
}

bool is_read_by_its_run(schemas::AttemptSpec::Reader attempt, const std::string& output) {
  for (const auto each : attempt.getReadOutputs()) {
    if (each == output.c_str()) {
      return true;
    }
  }
  return false;
}

bool has_succeeded(schemas::AttemptReport::Builder report, schemas::AttemptSpec::Reader attempt) {
  return report.getEnd() == AttemptEnd::EXITED &&
         is_success(report.getExitCode(), codes_of(attempt.getSuccessExitCodes()));
}

using named_texts = std::vector<std::pair<std::string, std::string>>;

// Those that are large only where they are kept.
void list_outputs(schemas::AttemptReport::Builder report, named_texts outputs,
                  schemas::AttemptSpec::Reader attempt, std::vector<large_output>& large) {
  std::vector<bool> is_large(outputs.size());
  for (const auto at : large_among(outputs)) {
    is_large[at] = true;
  }
  const auto is_kept = has_succeeded(report, attempt);
  const auto left_out =
      static_cast<std::size_t>(is_kept ? 0 : std::count(is_large.begin(), is_large.end(), true));
  auto list = report.initOutputs(static_cast<unsigned>(outputs.size() - left_out));
  auto may_be_read = read_output_bytes_max;
  unsigned at = 0;
  for (std::size_t index = 0; index < outputs.size(); ++index) {
    auto& [name, text] = outputs[index];
    if (is_large[index] && !is_kept) {
      continue;
    }
    list[at].setName(name.c_str());
    const auto is_read =
        is_large[index] && text.size() <= may_be_read && is_read_by_its_run(attempt, name);
    may_be_read -= is_read ? text.size() : 0;
    if (is_read || !is_large[index]) {
      list[at].setValue(text.c_str());
    }
    if (is_large[index]) {
      large.push_back({at, std::move(text)});
    }
    ++at;
  }
}

// `attempt`: nothing is known of one of an earlier life.
void set_outputs(schemas::AttemptReport::Builder report, const runtime::result<std::string>& text,
                 std::optional<schemas::AttemptSpec::Reader> attempt,
                 std::vector<large_output>& large) {
  if (report.getEnd() != AttemptEnd::EXITED) {
    return;
  }
  const auto refuse = [&](const std::string& why) {
    if (report.getExitCode() == 0) {
      report.setEnd(AttemptEnd::BAD_OUTPUTS);
    }
    report.setText(clean(why).c_str());
  };
  if (!text) {
    refuse(text.error().text());
    return;
  }
  const auto keeps = attempt && attempt->getKeepsOutputs();
  auto outputs = parse_outputs(*text, keeps ? large_output_bytes_max : output_bytes_max);
  if (!outputs) {
    refuse("$MILLRACE_OUTPUT: " + outputs.error().text());
    report.setOutputsUnkept(!attempt && outputs.error().code() == runtime::errc::too_large);
    return;
  }
  list_outputs(report, *std::move(outputs), attempt.value_or(schemas::AttemptSpec::Reader{}),
               large);
}

// What was kept of a standard output as a whole, less its last line end. Errors: why it cannot be
// an output; `too_large` past `bytes_max`.
runtime::result<std::string> whole_stdout(const runtime::result<log_file>& log,
                                          std::uint64_t written, std::size_t bytes_max) {
  const auto refuse = [](const std::string& why) {
    return runtime::error{runtime::errc::failed_precondition, why};
  };
  if (!log && log.error().code() == runtime::errc::not_found) {
    return written == 0 ? runtime::result<std::string>{std::string{}}
                        : refuse("its " + std::to_string(written) + " bytes could not be kept");
  }
  if (!log) {
    return log.error();
  }
  if (log->size() != written) {
    return refuse(std::to_string(log->size()) + " of its " + std::to_string(written) +
                  " bytes could be kept");
  }
  // One byte more for the line end, and one to see that there is more.
  const auto enough = bytes_max + 2;
  std::string text;
  while (text.size() < enough) {
    auto chunk = log->read(text.size(), enough - text.size());
    if (!chunk) {
      return std::move(chunk).error();
    }
    if (chunk->dropped > 0 || (chunk->bytes.empty() && text.size() < std::min(enough, written))) {
      return refuse("a part of it was not kept");
    }
    if (chunk->bytes.empty()) {
      break;
    }
    text += chunk->bytes;
  }
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  if (auto fits = check_output_value(text, bytes_max); !fits) {
    return std::move(fits).error();
  }
  return text;
}

}  // namespace

attempt_report report_of(const process_exit& ended, schemas::AttemptSpec::Reader attempt,
                         const std::string& disk_full, std::vector<large_output>& large) {
  attempt_report made;
  auto report = made.build();
  report.setNumber(attempt.getNumber());
  report.setEnd(end_of(ended.outcome));
  report.setNoHeartbeat(ended.outcome == process_outcome::no_heartbeat);
  report.setExitCode(ended.exit_code.value_or(-1));
  report.setSignal(ended.signal.value_or(0));
  report.setStartedAt(nanoseconds(ended.started_at));
  report.setFinishedAt(nanoseconds(ended.ended_at));
  if (report.getEnd() == AttemptEnd::DISK_FULL) {
    report.setText(disk_full.c_str());
  }
  if (ended.outcome == process_outcome::memory_limit) {
    report.setText(over_memory(ended.max_memory.value_or(0), attempt.getMemoryLimit()).c_str());
  }
  set_usage(report, ended);
  if (ended.forced) {
    report.setText(("and needed a KILL " +
                    format_duration(runtime::duration{attempt.getGraceNs()}) +
                    " later (grace_period)")
                       .c_str());
  }
  set_streams(report, ended.standard_output, ended.standard_error);
  set_outputs(report, ended.output, attempt, large);
  return made;
}

attempt_report report_of(const recovered_attempt& left, std::uint32_t number,
                         runtime::wall_time now, const std::string& disk_full) {
  attempt_report made;
  auto report = made.build();
  report.setNumber(number);
  const auto known =
      left.found == recovered_attempt::state::ended && left.outcome != process_outcome::cancelled;
  report.setEnd(known ? end_of(left.outcome) : AttemptEnd::LOST);
  report.setNoHeartbeat(known && left.outcome == process_outcome::no_heartbeat);
  report.setExitCode(left.exit_code.value_or(-1));
  report.setSignal(left.signal.value_or(0));
  report.setFinishedAt(nanoseconds(now));
  if (report.getEnd() == AttemptEnd::DISK_FULL) {
    report.setText(disk_full.c_str());
  }
  if (known && left.outcome == process_outcome::memory_limit) {
    report.setText(over_memory(0, 0).c_str());
  }
  report.setArtifactsUnkept(true);
  set_streams(report, left.standard_output, left.standard_error);
  std::vector<large_output> none;
  set_outputs(report, left.output, std::nullopt, none);
  return made;
}

void add_stdout(attempt_report& to, const runtime::result<log_file>& log) {
  auto report = to.build();
  if (report.getEnd() != AttemptEnd::EXITED) {
    return;
  }
  const auto text = whole_stdout(log, report.getStdoutBytes(), output_bytes_max);
  if (text) {
    report.setStdoutText(text->c_str());
  } else {
    report.setStdoutRefusal(clean(text.error().text()).c_str());
    if (text.error().code() == runtime::errc::too_large) {
      report.setOutputsUnkept(true);
    }
  }
}

void add_stdout(attempt_report& to, const runtime::result<log_file>& log,
                schemas::AttemptSpec::Reader attempt, std::vector<large_output>& large) {
  auto report = to.build();
  if (report.getEnd() != AttemptEnd::EXITED) {
    return;
  }
  const auto bytes_max = attempt.getKeepsOutputs() ? large_output_bytes_max : output_bytes_max;
  auto text = whole_stdout(log, report.getStdoutBytes(), bytes_max);
  if (!text) {
    report.setStdoutRefusal(clean(text.error().text()).c_str());
    return;
  }
  const auto is_large = text->size() > output_bytes_max;
  if (!is_large ||
      (text->size() <= read_output_bytes_max && is_read_by_its_run(attempt, std::string{}))) {
    report.setStdoutText(text->c_str());
  }
  if (is_large && has_succeeded(report, attempt)) {
    large.push_back({std::nullopt, *std::move(text)});
  }
}

namespace {

// What stands against keeping something that an attempt has left.
void end_unkept(schemas::AttemptReport::Builder report, const runtime::error& why) {
  switch (why.code()) {
    case runtime::errc::failed_precondition:
      report.setEnd(AttemptEnd::BAD_OUTPUTS);
      break;
    case runtime::errc::cancelled:
      report.setEnd(AttemptEnd::CANCELLED);
      return;
    default:
      report.setEnd(AttemptEnd::DISK_FULL);
  }
  report.setText(clean(why.text()).c_str());
}

}  // namespace

void set_kept(attempt_report& to, const std::vector<large_output>& large,
              const runtime::result<std::vector<std::string>>& digests) {
  auto report = to.build();
  if (!digests) {
    end_unkept(report, digests.error());
    return;
  }
  for (std::size_t index = 0; index < large.size(); ++index) {
    const auto& each = large[index];
    auto kept = each.at ? report.getOutputs()[*each.at].initKept() : report.initStdoutKept();
    kept.setDigest((*digests)[index].c_str());
    kept.setSize(each.text.size());
  }
}

void set_artifacts(attempt_report& to, const runtime::result<std::vector<kept_artifact>>& kept) {
  auto report = to.build();
  if (!kept) {
    end_unkept(report, kept.error());
    return;
  }
  auto list = report.initArtifacts(static_cast<unsigned>(kept->size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    const auto& each = (*kept)[at];
    list[at].setName(each.name.c_str());
    list[at].setDigest(each.digest.c_str());
    list[at].setFiles(each.files);
    list[at].setBytes(each.bytes);
  }
}

attempt_report unstarted_report(std::uint32_t number, AttemptEnd end, std::string_view why,
                                runtime::wall_time now) {
  attempt_report made;
  auto report = made.build();
  report.setNumber(number);
  report.setEnd(end);
  if (end == AttemptEnd::NOT_STARTED) {
    report.setStartedAt(nanoseconds(now));  // that was tried
  }
  report.setFinishedAt(nanoseconds(now));
  report.setText(clean(why).c_str());
  return made;
}

}  // namespace millrace::actors
