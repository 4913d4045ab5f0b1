// SPDX-License-Identifier: MIT
// The contract of `executor` as a test: what any implementation must pass.
//
// An implementation has a lab: a default-constructible class over `executor_lab` that opens lives
// of it over one scratch state. Its test program says `MILLRACE_EXECUTOR_CONFORMS(its_lab);` once.
// Commands are shell text; they leave their traces in the lab's directory.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "folders.h"
#include "millrace/actors/executor.h"
#include "millrace/actors/run_id.h"

namespace millrace::actors::testing {

using runtime::errc;
using schemas::AttemptEnd;
using attempt = runtime::message<schemas::AttemptSpec>;
using end_report = runtime::message<schemas::AttemptReport>;

/// Long enough for a loaded machine; no test takes that long unless it fails.
inline constexpr auto patience = std::chrono::seconds{60};

/// Keeps what an executor tells, and waits for it.
class recorder final : public attempt_listener {
public:
  void started(std::string_view token, runtime::wall_time) override {
    const std::lock_guard lock{mutex_};
    starts_.emplace_back(token);
    changed_.notify_all();
  }
  void ended(std::string_view token, end_report how) override {
    const std::lock_guard lock{mutex_};
    CHECK_MESSAGE(!ends_.contains(token), "a second end of " << token);
    ends_.insert_or_assign(std::string{token}, std::move(how));
    changed_.notify_all();
  }

  void wait_for_start(const std::string& token) {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, patience, [&] { return count(token) > 0; }));
  }
  schemas::AttemptReport::Reader wait_for_end(const std::string& token) {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, patience, [&] { return ends_.contains(token); }));
    return ends_.at(token).read();
  }
  [[nodiscard]] std::vector<std::string> starts() const {
    const std::lock_guard lock{mutex_};
    return starts_;
  }
  [[nodiscard]] bool has_end(const std::string& token) const {
    const std::lock_guard lock{mutex_};
    return ends_.contains(token);
  }

private:
  [[nodiscard]] std::ptrdiff_t count(const std::string& token) const {
    return std::count(starts_.begin(), starts_.end(), token);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> starts_;
  std::map<std::string, end_report, std::less<>> ends_;
};

/// An executor of two slots over a scratch state, one life after the other.
class executor_lab {
public:
  executor_lab() = default;
  executor_lab(const executor_lab&) = delete;
  executor_lab& operator=(const executor_lab&) = delete;
  virtual ~executor_lab() = default;

  /// The present life, adopted.
  [[nodiscard]] executor& life() { return *life_; }
  [[nodiscard]] recorder& heard() { return *heard_; }
  [[nodiscard]] const std::vector<adopted_attempt>& adopted() const { return adopted_; }

  /// Ends the present life, if there is one, and begins the next.
  void begin_life() {
    end_life();
    heard_ = std::make_unique<recorder>();
    life_ = &open();
    adopted_ = life_->adopt(*heard_);
    grants_ = 0;
    go();
  }
  void end_life() {
    if (std::exchange(life_, nullptr) != nullptr) {
      close();
    }
  }

  /// The next ticket: for attempt `number` of a task of the lab's run.
  attempt_ticket ticket(const std::string& task, std::uint32_t number, std::uint32_t priority = 0) {
    return {token(task, number), life().incarnation(), ++grants_, priority};
  }
  /// What that attempt is to do.
  attempt spec(const std::string& task, std::uint32_t number, const std::string& text) {
    attempt made;
    auto spec = made.build();
    spec.setTask((run_ + "/" + task).c_str());
    spec.setNumber(number);
    spec.setToken(token(task, number).c_str());
    auto argv = spec.initArgv(3);
    argv.set(0, "/bin/sh");
    argv.set(1, "-c");
    argv.set(2, text.c_str());
    auto variables = spec.initEnvironment(2);
    variables[0].setName("PATH");
    variables[0].setValue("/usr/bin:/bin");
    variables[1].setName("LAB");
    variables[1].setValue(directory().c_str());
    spec.setWorkspace(run_.c_str());
    spec.setLogs(run_.c_str());
    spec.setGraceNs(std::chrono::nanoseconds{std::chrono::seconds{10}}.count());
    return made;
  }
  std::string start(const std::string& task, const std::string& text, std::uint32_t priority = 0) {
    REQUIRE(life().take(ticket(task, 1, priority)));
    REQUIRE(life().start(spec(task, 1, text)));
    return token(task, 1);
  }
  [[nodiscard]] std::string token(const std::string& task, std::uint32_t number) const {
    return run_ + "." + task + ".A" + std::to_string(number);
  }
  [[nodiscard]] const std::string& run() const { return run_; }

  /// Where commands leave traces; they know it as `$LAB`.
  [[nodiscard]] std::filesystem::path directory() const { return scratch_.path; }
  /// How many lines a trace has.
  [[nodiscard]] std::size_t lines(const std::string& trace) const {
    std::ifstream file{directory() / trace};
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) {
      ++count;
    }
    return count;
  }
  /// Fills every slot, until `free_slots`.
  std::vector<std::string> take_slots() {
    std::vector<std::string> tokens;
    for (unsigned at = 0; at < life().slots(); ++at) {
      tokens.push_back(start("slot-" + std::to_string(at),
                             "trap 'exit 0' TERM; while ! test -e \"$LAB/free\"; do sleep 0.01; "
                             "done",
                             255));
      heard().wait_for_start(tokens.back());
    }
    return tokens;
  }
  void free_slots() { std::ofstream{directory() / "free"}; }

  void refuses(const attempt_ticket& ticket, errc code) {
    const auto refused = life().take(ticket);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == code);
  }
  [[nodiscard]] std::optional<attempt_stage> stage(const std::string& token) {
    for (const auto& each : life().list()) {
      if (each.token == token) {
        return each.stage;
      }
    }
    return std::nullopt;
  }

protected:
  /// Opens the next life over the same state, with two slots.
  virtual executor& open() = 0;
  /// Lets it work; it has been adopted.
  virtual void go() = 0;
  /// Ends it.
  virtual void close() = 0;

private:
  millrace::testing::temporary_folder scratch_;
  runtime::rng random_;
  const std::string run_ = make_run_id(runtime::system_clock{}.wall(), random_);
  std::unique_ptr<recorder> heard_;
  executor* life_ = nullptr;
  std::vector<adopted_attempt> adopted_;
  std::uint64_t grants_ = 0;
};

// --- start ---------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE_DEFINE("an attempt runs, and its start and its end are told", Lab,
                          executor_tells) {
  Lab lab;
  lab.begin_life();
  const auto good = lab.start("good", "echo n=1 >> \"$MILLRACE_OUTPUT\"; echo out; echo err >&2");
  const auto bad = lab.start("bad", "exit 3");
  const auto killed = lab.start("killed", "kill -KILL $$");
  const auto how = lab.heard().wait_for_end(good);
  CHECK(how.getNumber() == 1);
  CHECK(how.getEnd() == AttemptEnd::EXITED);
  CHECK(how.getExitCode() == 0);
  CHECK(how.getStdoutTail() == "out\n");
  CHECK(how.getStderrTail() == "err\n");
  CHECK(how.getStartedAt() > 0);
  CHECK(how.getFinishedAt() >= how.getStartedAt());
  REQUIRE(how.getOutputs().size() == 1);
  CHECK(how.getOutputs()[0].getValue() == "1");
  CHECK(lab.heard().wait_for_end(bad).getExitCode() == 3);
  CHECK(lab.heard().wait_for_end(killed).getEnd() == AttemptEnd::SIGNALLED);
  CHECK(lab.heard().starts() == std::vector{good, bad, killed});
}

TEST_CASE_TEMPLATE_DEFINE("what finds no slot waits, by priority and then in its order", Lab,
                          executor_orders) {
  Lab lab;
  lab.begin_life();
  const auto slots = lab.take_slots();
  std::vector<std::string> wanted = slots;
  const auto late = lab.start("late", "exit 0", 1);
  const auto later = lab.start("later", "exit 0", 1);
  const auto urgent = lab.start("urgent", "exit 0", 9);
  CHECK(lab.stage(urgent) == attempt_stage::waiting);
  lab.free_slots();
  for (const auto& each : {urgent, late, later}) {
    lab.heard().wait_for_end(each);
    wanted.push_back(each);
  }
  CHECK(lab.heard().starts() == wanted);
}

TEST_CASE_TEMPLATE_DEFINE("what cannot start has ended, says why and keeps no slot", Lab,
                          executor_cannot_start) {
  Lab lab;
  lab.begin_life();
  for (unsigned at = 0; at <= lab.life().slots(); ++at) {
    auto wrong = lab.spec("wrong-" + std::to_string(at), 1, "");
    wrong.build().initArgv(1).set(0, "/nowhere/program");
    REQUIRE(lab.life().take(lab.ticket("wrong-" + std::to_string(at), 1)));
    REQUIRE(lab.life().start(std::move(wrong)));
    const auto how = lab.heard().wait_for_end(lab.token("wrong-" + std::to_string(at), 1));
    CHECK(how.getEnd() == AttemptEnd::NOT_STARTED);
    CHECK(how.getExitCode() == -1);
    CHECK(std::string_view{how.getText().cStr()}.find("/nowhere/program") !=
          std::string_view::npos);
  }
  CHECK(lab.heard().starts().empty());
  CHECK(lab.heard().wait_for_end(lab.start("right", "exit 0")).getEnd() == AttemptEnd::EXITED);
}

TEST_CASE_TEMPLATE_DEFINE("a ticket that names no attempt is refused", Lab, executor_bad_tokens) {
  Lab lab;
  lab.begin_life();
  for (const auto* token : {"", "a", "../../etc.x.A1", "a/b.c.A1", ".a.A1", "r.t.A"}) {
    CAPTURE(token);
    auto wrong = lab.ticket("wrong", 1);
    wrong.token = token;
    lab.refuses(wrong, errc::invalid_argument);
  }
  auto unnumbered = lab.ticket("wrong", 1);
  unnumbered.grant = 0;
  lab.refuses(unnumbered, errc::invalid_argument);
  CHECK(lab.life().list().empty());
}

// --- fencing -------------------------------------------------------------------------------------

// Goal: however late a start is repeated, there is one process.
// Method: repeat ticket and command in each stage of the attempt, and when it is known no more.
TEST_CASE_TEMPLATE_DEFINE("a repeated start gives no second process", Lab, executor_repeats) {
  Lab lab;
  lab.begin_life();
  const auto slots = lab.take_slots();
  const auto first = lab.ticket("once", 1);
  const auto text = "echo ran >> \"$LAB/once\"";
  const auto starts_as = [&](errc code) {
    const auto refused = lab.life().start(lab.spec("once", 1, text));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == code);
  };
  starts_as(errc::not_found);
  REQUIRE(lab.life().take(first));
  lab.refuses(first, errc::conflict);
  CHECK(lab.stage(first.token) == attempt_stage::taken);
  REQUIRE(lab.life().start(lab.spec("once", 1, text)));
  const auto again = [&] {
    lab.refuses(first, errc::conflict);
    starts_as(errc::conflict);
  };
  again();
  lab.free_slots();
  lab.heard().wait_for_start(first.token);
  again();
  lab.heard().wait_for_end(first.token);
  again();
  lab.life().acknowledge(first.token);
  CHECK_FALSE(lab.stage(first.token));
  lab.refuses(first, errc::conflict);
  starts_as(errc::not_found);
  lab.heard().wait_for_end(lab.start("after", "exit 0"));
  CHECK(lab.lines("once") == 1);
}

TEST_CASE_TEMPLATE_DEFINE("a ticket of an older attempt of its task is refused", Lab,
                          executor_overtaken) {
  Lab lab;
  lab.begin_life();
  const auto older = lab.ticket("task", 1);
  const auto newer = lab.token("task", 2);
  REQUIRE(lab.life().take(lab.ticket("task", 2)));
  lab.refuses(older, errc::conflict);
  REQUIRE(lab.life().start(lab.spec("task", 2, "exit 0")));
  lab.heard().wait_for_end(newer);
  lab.life().acknowledge(newer);
  lab.refuses(older, errc::conflict);
  CHECK(lab.life().list().empty());
}

TEST_CASE_TEMPLATE_DEFINE("a ticket that was for another life is refused", Lab,
                          executor_other_lives) {
  Lab lab;
  lab.begin_life();
  const auto old = lab.ticket("old", 1);
  lab.begin_life();
  CHECK(lab.life().incarnation() > old.incarnation);
  lab.refuses(old, errc::failed_precondition);
  CHECK(lab.life().list().empty());
}

// Goal: who is cut off leaves nothing running when others may start the same anew.
// Method: fence an executor with attempts at every stage, whose commands would not end by
// themselves, and then use what an earlier life was told.
TEST_CASE_TEMPLATE_DEFINE("a fenced life ends all it has at once, and the next one works", Lab,
                          executor_fences) {
  Lab lab;
  lab.begin_life();
  const auto slots = lab.take_slots();
  const auto waiting = lab.start("waiting", "echo ran >> \"$LAB/waiting\"");
  const auto taken = lab.ticket("taken", 1);
  REQUIRE(lab.life().take(taken));
  const auto old = lab.ticket("old", 1);
  lab.life().fence();
  CHECK(lab.life().incarnation() > old.incarnation);
  CHECK_FALSE(lab.life().start(lab.spec("taken", 1, "echo ran >> \"$LAB/taken\"")));
  lab.refuses(old, errc::failed_precondition);
  for (const auto& each : slots) {
    CHECK(lab.heard().wait_for_end(each).getEnd() == AttemptEnd::LOST);
  }
  CHECK(lab.heard().wait_for_end(waiting).getEnd() == AttemptEnd::DROPPED);
  CHECK(lab.heard().wait_for_end(taken.token).getEnd() == AttemptEnd::DROPPED);
  for (const auto& each : lab.life().list()) {
    lab.life().acknowledge(each.token);
  }
  CHECK(lab.life().list().empty());
  CHECK(lab.heard().wait_for_end(lab.start("next", "exit 0")).getEnd() == AttemptEnd::EXITED);
  CHECK(lab.lines("waiting") + lab.lines("taken") == 0);
}

// --- cancel --------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE_DEFINE("a cancelled attempt ends, whatever it waits for, and when it runs", Lab,
                          executor_cancels) {
  Lab lab;
  lab.begin_life();
  const auto slots = lab.take_slots();
  const auto waiting = lab.start("waiting", "echo ran >> \"$LAB/waiting\"");
  const auto taken = lab.ticket("taken", 1);
  REQUIRE(lab.life().take(taken));
  lab.life().cancel(taken.token);
  const auto late = lab.life().start(lab.spec("taken", 1, "echo ran >> \"$LAB/taken\""));
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == errc::conflict);
  CHECK(lab.heard().wait_for_end(taken.token).getEnd() == AttemptEnd::CANCELLED);
  lab.life().cancel(waiting);
  CHECK(lab.heard().wait_for_end(waiting).getEnd() == AttemptEnd::CANCELLED);
  lab.life().cancel(slots[0]);
  CHECK(lab.heard().wait_for_end(slots[0]).getEnd() == AttemptEnd::CANCELLED);
  lab.free_slots();
  CHECK(lab.heard().wait_for_end(slots[1]).getEnd() == AttemptEnd::EXITED);
  CHECK(lab.lines("waiting") + lab.lines("taken") == 0);
}

TEST_CASE_TEMPLATE_DEFINE("cancelling what has ended or is unknown changes nothing", Lab,
                          executor_cancels_nothing) {
  Lab lab;
  lab.begin_life();
  const auto done = lab.start("done", "exit 0");
  lab.heard().wait_for_end(done);
  lab.life().cancel(done);
  lab.life().cancel(lab.token("unknown", 1));
  lab.life().cancel("");
  CHECK(lab.heard().wait_for_end(lab.start("after", "exit 0")).getEnd() == AttemptEnd::EXITED);
  CHECK(lab.stage(done) == attempt_stage::ended);
}

// --- list ----------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE_DEFINE("an attempt is listed from its ticket until it is acknowledged", Lab,
                          executor_lists) {
  Lab lab;
  lab.begin_life();
  CHECK(lab.life().list().empty());
  const auto slots = lab.take_slots();
  const auto token = lab.start("listed", "exit 0");
  CHECK(lab.stage(slots[0]) == attempt_stage::running);
  CHECK(lab.stage(token) == attempt_stage::waiting);
  lab.life().acknowledge(token);     // which is for what has ended
  lab.life().acknowledge(slots[0]);  // likewise
  CHECK(lab.life().list().size() == slots.size() + 1);
  lab.free_slots();
  lab.heard().wait_for_end(token);
  CHECK(lab.stage(token) == attempt_stage::ended);
  lab.life().acknowledge(token);
  CHECK_FALSE(lab.stage(token));
}

// --- adopt ---------------------------------------------------------------------------------------

// Goal: no attempt of an earlier life is forgotten before somebody has stored how it ended.
TEST_CASE_TEMPLATE_DEFINE("the next life adopts what was not acknowledged, again and again", Lab,
                          executor_adopts) {
  Lab lab;
  lab.begin_life();
  CHECK(lab.adopted().empty());
  const auto lineage = lab.life().lineage();
  const auto stored = lab.start("stored", "exit 0");
  const auto ended = lab.start("ended", "echo last words; exit 4");
  lab.heard().wait_for_end(stored);
  lab.life().acknowledge(stored);
  lab.heard().wait_for_end(ended);
  const auto slots = lab.take_slots();
  const auto waiting = lab.start("waiting", "echo ran >> \"$LAB/waiting\"");
  for (int lives = 0; lives < 2; ++lives) {
    lab.begin_life();
    CHECK(lab.life().lineage() == lineage);
    std::map<std::string, const adopted_attempt*> left;
    for (const auto& each : lab.adopted()) {
      left[each.token] = &each;
    }
    CHECK(left.size() == 1 + slots.size());
    CHECK_FALSE(left.contains(stored));
    CHECK_FALSE(left.contains(waiting));
    REQUIRE(left.contains(ended));
    REQUIRE(left[ended]->report);
    const auto how = left[ended]->report->read();
    CHECK(how.getEnd() == AttemptEnd::EXITED);
    CHECK(how.getExitCode() == 4);
    CHECK(how.getStdoutTail() == "last words\n");
    for (const auto& each : slots) {
      REQUIRE(left.contains(each));
      const auto& report = left[each]->report;
      CHECK(lab.stage(each) == (report ? attempt_stage::ended : attempt_stage::running));
      CHECK((!report || report->read().getEnd() == AttemptEnd::LOST));
    }
  }
  for (const auto& each : lab.adopted()) {
    if (!each.report) {
      lab.life().cancel(each.token);
      lab.heard().wait_for_end(each.token);
    }
    lab.life().acknowledge(each.token);
  }
  lab.begin_life();
  CHECK(lab.adopted().empty());
  CHECK(lab.lines("waiting") == 0);
}

TEST_CASE_TEMPLATE_DEFINE("an executor that has stopped takes nothing more", Lab, executor_stops) {
  Lab lab;
  lab.begin_life();
  const auto token = lab.start("long", "sleep 600");
  lab.heard().wait_for_start(token);
  auto& life = lab.life();
  const auto taken = lab.ticket("taken", 1);
  REQUIRE(life.take(taken));
  auto command = lab.spec("taken", 1, "exit 0");
  const auto late = lab.ticket("late", 1);
  lab.end_life();
  CHECK(life.take(late).error().code() == errc::unavailable);
  CHECK(life.start(std::move(command)).error().code() == errc::unavailable);
  CHECK_FALSE(lab.heard().has_end(token));
}

// --- logs ----------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE_DEFINE("an attempt whose heartbeat stops has timed out, and says why", Lab,
                          executor_heartbeats) {
  Lab lab;
  lab.begin_life();
  const auto start = [&](const std::string& task, const std::string& text) {
    REQUIRE(lab.life().take(lab.ticket(task, 1)));
    auto silent = lab.spec(task, 1, text);
    silent.build().setHeartbeatNs(std::chrono::nanoseconds{std::chrono::seconds{2}}.count());
    silent.build().setGraceNs(0);
    REQUIRE(lab.life().start(std::move(silent)));
    return lab.token(task, 1);
  };
  const auto hangs = start("hangs", "sleep 60");
  const auto works = start("works",
                           "for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.25; touch "
                           "\"$MILLRACE_HEARTBEAT\"; done");
  const auto ended = lab.heard().wait_for_end(hangs);
  CHECK(ended.getEnd() == AttemptEnd::TIMED_OUT);
  CHECK(ended.getNoHeartbeat());
  const auto well = lab.heard().wait_for_end(works);
  CHECK(well.getEnd() == AttemptEnd::EXITED);
  CHECK_FALSE(well.getNoHeartbeat());
}

// Which exit codes are a success, and what standard output is, only the task knows of what an
// earlier life left.
TEST_CASE_TEMPLATE_DEFINE("what an attempt wrote is told whatever it exited with", Lab,
                          executor_outputs) {
  Lab lab;
  lab.begin_life();
  const auto run = [&](const std::string& task, const std::string& text) {
    REQUIRE(lab.life().take(lab.ticket(task, 1)));
    auto asking = lab.spec(task, 1, text);
    asking.build().setWantsStdout(true);
    REQUIRE(lab.life().start(std::move(asking)));
    return lab.heard().wait_for_end(lab.token(task, 1));
  };
  const auto check = [](schemas::AttemptReport::Reader report) {
    CHECK(report.getEnd() == AttemptEnd::EXITED);
    CHECK(report.getExitCode() == 3);
    REQUIRE(report.getOutputs().size() == 1);
    CHECK(report.getOutputs()[0].getValue() == "v");
    CHECK(report.getStdoutText() == "one\n\ntwo\n");
    CHECK(report.getStdoutRefusal() == "");
    CHECK(report.getText() == "");
  };
  check(run("well", "echo k=v >> \"$MILLRACE_OUTPUT\"; printf 'one\\n\\ntwo\\n\\n'; exit 3"));
  CHECK(run("nothing", "exit 0").getStdoutText() == "");
  CHECK(run("whole", "head -c 65536 /dev/zero | tr '\\0' x; echo").getStdoutText().size() ==
        65'536);
  const auto large = run("large", "head -c 65537 /dev/zero | tr '\\0' x; echo");
  CHECK(large.getEnd() == AttemptEnd::EXITED);
  CHECK(std::string_view{large.getStdoutRefusal().cStr()}.starts_with("more than 65536 bytes"));
  CHECK(run("raw", "printf '\\377'").getStdoutRefusal() ==
        "it is not UTF-8 text; encode it, for example with base64");
  const auto odd = run("odd", "echo odd >> \"$MILLRACE_OUTPUT\"; exit 3");
  CHECK(odd.getEnd() == AttemptEnd::EXITED);
  CHECK(odd.getText().size() > 0);
  CHECK(run("bad", "echo odd >> \"$MILLRACE_OUTPUT\"").getEnd() == AttemptEnd::BAD_OUTPUTS);

  lab.begin_life();
  for (const auto& each : lab.adopted()) {
    if (each.token == lab.token("well", 1)) {
      REQUIRE(each.report);
      check(each.report->read());
    }
  }
  CHECK(lab.adopted().size() == 7);
}

TEST_CASE_TEMPLATE_DEFINE("output is read while it grows and as it was kept", Lab, executor_logs) {
  Lab lab;
  lab.begin_life();
  const auto token =
      lab.start("talks", "echo one; while ! test -e \"$LAB/free\"; do sleep 0.01; done; echo two");
  lab.heard().wait_for_start(token);
  const auto next_event = [&](std::uint64_t offset) {
    auto told = std::make_shared<std::promise<log_event>>();
    REQUIRE(lab.life().watch_log(token, output_stream::standard_output, offset,
                                 [told](log_event event) { told->set_value(event); }));
    auto event = told->get_future();
    REQUIRE(event.wait_for(patience) == std::future_status::ready);
    return event.get();
  };
  const auto text = [&] {
    const auto log = lab.life().open_log(token, output_stream::standard_output);
    REQUIRE(log);
    return log->read(0, 100)->bytes;
  };
  CHECK(next_event(0) == log_event::grown);
  CHECK(text() == "one\n");
  lab.free_slots();
  lab.heard().wait_for_end(token);
  CHECK(text() == "one\ntwo\n");
  CHECK(next_event(100) == log_event::ended);
  const auto silent = lab.life().open_log(token, output_stream::standard_error);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().code() == errc::not_found);
  lab.life().acknowledge(token);
  CHECK(text() == "one\ntwo\n");
  lab.begin_life();
  CHECK(text() == "one\ntwo\n");
  REQUIRE(lab.life().remove_run(lab.run()));
  CHECK_FALSE(lab.life().open_log(token, output_stream::standard_output));
}

#define MILLRACE_EXECUTOR_CONFORMS(Lab)                     \
  TEST_CASE_TEMPLATE_INVOKE(executor_tells, Lab);           \
  TEST_CASE_TEMPLATE_INVOKE(executor_orders, Lab);          \
  TEST_CASE_TEMPLATE_INVOKE(executor_cannot_start, Lab);    \
  TEST_CASE_TEMPLATE_INVOKE(executor_bad_tokens, Lab);      \
  TEST_CASE_TEMPLATE_INVOKE(executor_repeats, Lab);         \
  TEST_CASE_TEMPLATE_INVOKE(executor_overtaken, Lab);       \
  TEST_CASE_TEMPLATE_INVOKE(executor_other_lives, Lab);     \
  TEST_CASE_TEMPLATE_INVOKE(executor_fences, Lab);          \
  TEST_CASE_TEMPLATE_INVOKE(executor_cancels, Lab);         \
  TEST_CASE_TEMPLATE_INVOKE(executor_cancels_nothing, Lab); \
  TEST_CASE_TEMPLATE_INVOKE(executor_lists, Lab);           \
  TEST_CASE_TEMPLATE_INVOKE(executor_adopts, Lab);          \
  TEST_CASE_TEMPLATE_INVOKE(executor_stops, Lab);           \
  TEST_CASE_TEMPLATE_INVOKE(executor_heartbeats, Lab);      \
  TEST_CASE_TEMPLATE_INVOKE(executor_outputs, Lab);         \
  TEST_CASE_TEMPLATE_INVOKE(executor_logs, Lab)

}  // namespace millrace::actors::testing
