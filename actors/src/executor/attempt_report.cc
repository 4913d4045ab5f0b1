// SPDX-License-Identifier: MIT
#include "executor/attempt_report.h"

#include <algorithm>

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

void set_outputs(schemas::AttemptReport::Builder report, const runtime::result<std::string>& text) {
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
  const auto outputs = parse_outputs(*text);
  if (!outputs) {
    refuse("$MILLRACE_OUTPUT: " + outputs.error().text());
    return;
  }
  auto list = report.initOutputs(static_cast<unsigned>(outputs->size()));
  for (unsigned at = 0; at < outputs->size(); ++at) {
    list[at].setName((*outputs)[at].first.c_str());
    list[at].setValue((*outputs)[at].second.c_str());
  }
}

}  // namespace

attempt_report report_of(const process_exit& ended, schemas::AttemptSpec::Reader attempt,
                         const std::string& disk_full) {
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
  set_outputs(report, ended.output);
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
  set_outputs(report, left.output);
  return made;
}

void add_stdout(attempt_report& to, const runtime::result<log_file>& log) {
  auto report = to.build();
  if (report.getEnd() != AttemptEnd::EXITED) {
    return;
  }
  const auto refuse = [&](const std::string& why) { report.setStdoutRefusal(clean(why).c_str()); };
  const auto written = report.getStdoutBytes();
  if (!log && log.error().code() == runtime::errc::not_found) {
    if (written == 0) {
      report.setStdoutText("");
    } else {
      refuse("its " + std::to_string(written) + " bytes could not be kept");
    }
    return;
  }
  // One byte more for the line end, and one to see that there is more.
  constexpr auto enough = output_bytes_max + 2;
  const auto chunk = log ? log->read(0, enough) : log.error();
  if (!chunk) {
    refuse(chunk.error().text());
    return;
  }
  std::string_view text{chunk->bytes};
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  if (log->size() != written) {
    refuse(std::to_string(log->size()) + " of its " + std::to_string(written) +
           " bytes could be kept");
  } else if (chunk->dropped > 0 || (!chunk->at_end && chunk->bytes.size() < enough)) {
    refuse("a part of it was not kept");
  } else if (const auto fits = check_output_value(text); !fits) {
    refuse(fits.error().text());
  } else {
    report.setStdoutText(std::string{text}.c_str());
  }
}

void set_artifacts(attempt_report& to, const runtime::result<std::vector<kept_artifact>>& kept) {
  auto report = to.build();
  if (!kept) {
    switch (kept.error().code()) {
      case runtime::errc::failed_precondition:
        report.setEnd(AttemptEnd::BAD_OUTPUTS);
        break;
      case runtime::errc::cancelled:
        report.setEnd(AttemptEnd::CANCELLED);
        return;
      default:
        report.setEnd(AttemptEnd::DISK_FULL);
    }
    report.setText(clean(kept.error().text()).c_str());
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
