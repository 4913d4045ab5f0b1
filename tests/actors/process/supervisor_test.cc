// SPDX-License-Identifier: MIT
// How attempts start, end and report, with real processes.
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "fixture.h"
#include "millrace/testing/hand_clock.h"
#include "process/proc_stat.h"

namespace millrace::actors::testing {

TEST_CASE("an attempt reports its exit code, times and both streams") {
  fixture f;
  const auto report = f.run(f.shell("a1", "echo out; echo err >&2; exit 7"));
  CHECK(report.token == "a1");
  CHECK(report.outcome == process_outcome::exited);
  CHECK(report.exit_code == 7);
  CHECK_FALSE(report.signal);
  CHECK(report.standard_output.tail == "out\n");
  CHECK(report.standard_output.bytes == 4);
  CHECK(report.standard_error.tail == "err\n");
  CHECK(report.elapsed > 0ns);
  CHECK(report.ended_at >= report.started_at);
}

TEST_CASE("a death by signal is told from an exit") {
  fixture f;
  const auto report = f.run(f.shell("a1", "kill -SEGV $$"));
  CHECK(report.outcome == process_outcome::signalled);
  CHECK(report.signal == SIGSEGV);
  CHECK_FALSE(report.exit_code);
}

TEST_CASE("a command that cannot start is refused by name and leaves nothing behind") {
  fixture f;
  const auto missing = f.refusal(f.spec("a1", {"/no/such/command"}));
  CHECK(missing.code() == errc::not_found);
  CHECK(missing.text() == "command /no/such/command does not exist");

  const auto unknown = f.refusal(f.spec("a1", {"no-such-command"}));
  CHECK(unknown.code() == errc::not_found);
  CHECK(unknown.text() == "command no-such-command does not exist in the task's PATH");

  const auto plain = f.directory.path() / "plain";
  std::ofstream{plain} << "#!/no/such/interpreter\n";
  const auto refused = f.refusal(f.spec("a1", {plain.string()}));
  CHECK(refused.code() == errc::invalid_argument);
  CHECK(refused.text() == "command " + plain.string() + " is not executable");

  REQUIRE(::chmod(plain.c_str(), 0755) == 0);
  const auto orphaned = f.refusal(f.spec("a1", {plain.string()}));
  CHECK(orphaned.code() == errc::not_found);
  CHECK(orphaned.text().find("interpreter") != std::string::npos);

  auto elsewhere = f.shell("a1", "true");
  elsewhere.working_directory = "/no/such/directory";
  const auto homeless = f.refusal(elsewhere);
  CHECK(homeless.code() == errc::not_found);
  CHECK(homeless.text() == "working directory /no/such/directory does not exist");

  elsewhere.working_directory = plain;
  CHECK(f.refusal(elsewhere).code() == errc::invalid_argument);

  CHECK(f.supervisor->stats().refused == 6);
  CHECK(f.supervisor->stats().running == 0);
  CHECK(f.supervisor->stats().unacknowledged == 0);
  CHECK(f.run(f.shell("a1", "exit 127")).exit_code == 127);
}

TEST_CASE("a malformed spec is refused before anything is touched") {
  fixture f;
  CHECK(f.refusal(f.shell("", "true")).code() == errc::invalid_argument);
  CHECK(f.refusal(f.shell("../a", "true")).code() == errc::invalid_argument);
  CHECK(f.refusal(f.shell(std::string(129, 'a'), "true")).code() == errc::invalid_argument);
  CHECK(f.refusal(f.spec("a1", {})).code() == errc::invalid_argument);
  CHECK(f.refusal(f.shell("a1", std::string{"a\0b", 3})).code() == errc::invalid_argument);
  auto odd = f.shell("a1", "true");
  odd.environment = {"NOVALUE"};
  CHECK(f.refusal(odd).code() == errc::invalid_argument);
  auto large = f.shell("a1", "true");
  large.argv.emplace_back(std::size_t{1} << 20U, 'x');
  CHECK(f.refusal(large).code() == errc::too_large);
  CHECK(f.refusal(large).text() ==
        "argument 3 of /bin/sh has 1048576 bytes, and the system takes 131071; pass it by a file");
  large = f.shell("a1", "true");
  large.environment.push_back("BIG=" + std::string(argument_bytes_max, 'x'));
  CHECK(
      f.refusal(large).text() ==
      "the variable BIG has 131076 bytes with its name, and the system takes 131071; pass it by a "
      "file");
  large = f.shell("a1", "true");
  large.argv.resize(100, std::string(100'000, 'x'));
  CHECK(f.refusal(large).text().starts_with(
      "the arguments and the environment have 97"));  // 9.7 MB in all
  CHECK(f.run(f.shell(std::string(128, 'a'), "true")).exit_code == 0);
}

TEST_CASE("the child has the given environment, directory and descriptors and nothing else") {
  fixture f;
  auto listing = f.spec("a1", {"env"});
  listing.environment = {"PATH=/usr/bin:/bin", "A=1", "B=x y=z"};
  const auto own = [&](const std::string& token) {
    const auto files = (f.directory.path() / "state/files" / token).string();
    return "MILLRACE_OUTPUT=" + files + "/output\nTMPDIR=" + files + "/tmp\n";
  };
  CHECK(f.run(listing).standard_output.tail == "PATH=/usr/bin:/bin\nA=1\nB=x y=z\n" + own("a1"));

  auto bare = f.spec("a2", {"env"});
  bare.environment.clear();
  CHECK(f.run(bare).standard_output.tail == own("a2"));

  auto chosen = f.spec("a5", {"/bin/sh", "-c", "echo $TMPDIR"});
  chosen.environment = {"TMPDIR=/elsewhere"};
  CHECK(f.run(chosen).standard_output.tail == "/elsewhere\n");

  const auto here = f.run(f.shell("a3", "pwd; cat; readlink /proc/self/fd/0"));
  CHECK(here.standard_output.tail == f.directory.path().string() + "\n/dev/null\n");

  // A descriptor of ours that is inheritable by mistake.
  const unique_fd leak{::dup(STDERR_FILENO)};
  const auto open = f.run(f.spec("a4", {"ls", "/proc/self/fd"}));
  CHECK(open.standard_output.tail == "0\n1\n2\n3\n");  // 3: the directory that ls reads
}

TEST_CASE("the child starts with default signals whatever this process ignores or blocks") {
  fixture f;
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &usr1, nullptr);
  const auto report = f.run(f.spec("a1", {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}));
  ::pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr);
  std::signal(SIGPIPE, before);
  CHECK(report.standard_output.tail == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

// Method: around the bound by a byte, and far over it.
TEST_CASE("shell text of any length is run") {
  fixture f;
  for (const auto bytes : {argument_bytes_max - 1, argument_bytes_max, std::size_t{1} << 20U}) {
    CAPTURE(bytes);
    const std::string last = "\necho \"$0 $#\"; exit 3";
    auto text = "echo begin #";
    const auto report = f.run(
        f.shell("a1", text + std::string(bytes - std::strlen(text) - last.size(), 'x') + last));
    CHECK(report.exit_code == 3);
    CHECK(report.standard_output.tail.starts_with("begin\n"));
    REQUIRE(f.supervisor->acknowledge("a1"));
  }
}

TEST_CASE("a relative program counts from the working directory") {
  fixture f;
  const auto script = f.directory.path() / "script";
  { std::ofstream{script} << "#!/bin/sh\necho ran $1\n"; }
  REQUIRE(::chmod(script.c_str(), 0755) == 0);
  CHECK(f.run(f.spec("a1", {"./script", "here"})).standard_output.tail == "ran here\n");
}

TEST_CASE("a timeout kills a group that ignores SIGTERM, grandchildren included") {
  fixture f;
  auto stubborn = f.shell("a1", "trap '' TERM; (trap '' TERM; sleep 1000) & printf '%8d' $!; wait");
  stubborn.timeout = 2s;  // it is deaf by then
  stubborn.grace = 200ms;
  auto ended = f.start(stubborn);
  const witness grandchild{f.printed_pid(stubborn)};
  CHECK(grandchild.found());
  const auto report = await(std::move(ended));
  CHECK(report.outcome == process_outcome::timed_out);
  CHECK(report.signal == SIGKILL);
  CHECK(report.forced);
  CHECK(report.elapsed >= 2'200ms);
  CHECK(grandchild.dies_within());
}

TEST_CASE("a command that is silent for too long is ended, one that is heard is not") {
  fixture f;
  auto heard = f.shell("a2",
                       "for beat in $(seq 24); do sleep 0.25; touch "
                       "\"$MILLRACE_HEARTBEAT\"; done");
  heard.heartbeat = 5s;
  auto heard_ends = f.start(heard);
  auto silent = f.shell("a1", "trap 'echo told; exit 7' TERM; while :; do sleep 0.01; done");
  silent.heartbeat = 2s;  // it hears by then
  const auto ended = f.run(silent);
  CHECK(ended.outcome == process_outcome::no_heartbeat);
  CHECK(ended.exit_code == 7);
  CHECK(ended.standard_output.tail == "told\n");
  CHECK(ended.elapsed >= 2s);

  const auto whole = await(std::move(heard_ends));
  CHECK(whole.outcome == process_outcome::exited);
  CHECK(whole.exit_code == 0);
  CHECK(whole.elapsed >= *heard.heartbeat);
}

// Goal: from the last touch on it may be silent for as long, and not for as long again.
TEST_CASE("silence counts from the last touch") {
  fixture f;
  const auto start = [&](const std::string& token, const std::string& first) {
    auto touching = f.shell(token, first + "touch \"$MILLRACE_HEARTBEAT\"; sleep 60");
    touching.heartbeat = 6s;
    touching.grace = 0s;
    return f.start(touching);
  };
  const auto elapsed = [](std::future<process_exit> ended) {
    const auto report = await(std::move(ended));
    CHECK(report.outcome == process_outcome::no_heartbeat);
    return report.elapsed;
  };
  auto first = start("a1", "");
  auto second = start("a2", "sleep 0.2; ");
  const auto at_once = elapsed(std::move(first));
  CHECK(at_once >= 6s);
  CHECK(at_once < 11s);  // looked at every 6 s alone, it would be 12 s
  const auto later = elapsed(std::move(second));
  CHECK(later >= 6'200ms);
  CHECK(later < 11s);
}

// Goal: a machine that has slept holds up its commands too. Method: the clock leaps over when a
// heartbeat was due; two commands that have ended since tell that the supervisor has looked.
TEST_CASE("a heartbeat that is looked for late is waited for anew") {
  scratch_directory directory;
  millrace::testing::hand_clock clock;
  auto opened = process_supervisor::open({.state_directory = directory.path() / "state"}, clock);
  REQUIRE(opened);
  const auto start = [&](const std::string& token, const std::string& text) {
    process_spec made;
    made.token = token;
    made.argv = shell_command(text, {"/bin/sh", "-c"});
    made.environment = {"PATH=/usr/bin:/bin"};
    made.working_directory = directory.path();
    made.grace = 0s;
    made.heartbeat = 8s;
    auto promise = std::make_shared<std::promise<process_exit>>();
    REQUIRE((*opened)->start(std::move(made), [promise](process_exit report) {
      promise->set_value(std::move(report));
    }));
    return promise->get_future();
  };
  const auto leap = [&](const std::string& token, runtime::duration by) {
    clock.move(by);
    for (const auto* each : {"-1", "-2"}) {
      CHECK(await(start(token + each, "exit 0")).exit_code == 0);
    }
  };
  auto slept = start("slept", "until test -e go; do sleep 0.01; done");
  leap("a", 10s);
  std::ofstream{directory.path() / "go"};
  CHECK(await(std::move(slept)).outcome == process_outcome::exited);

  auto silent = start("silent", "sleep 60");
  leap("b", 10s);      // looked at 2 s late
  leap("c", 8'500ms);  // and half a second late
  CHECK(await(std::move(silent)).outcome == process_outcome::no_heartbeat);
}

TEST_CASE("a timeout comes before a heartbeat that is not due") {
  fixture f;
  auto both = f.shell("a1", "sleep 60");
  both.grace = 0s;
  both.timeout = 100ms;
  both.heartbeat = 60s;
  CHECK(f.run(both).outcome == process_outcome::timed_out);
  both.token = "a2";
  both.timeout = 60s;
  both.heartbeat = 100ms;
  CHECK(f.run(both).outcome == process_outcome::no_heartbeat);
  both.token = "a3";
  both.heartbeat = 0s;
  CHECK(f.refusal(both).code() == errc::invalid_argument);
}

// Method: what else the name may stand for, each touched, and what makes it a file again.
TEST_CASE("only a file is a heartbeat, whatever a command makes of it") {
  fixture f;
  struct expected {
    std::string text;
    process_outcome outcome;
    std::future<process_exit> report = {};
  };
  // For longer than anybody may be silent; those who are stay until that is seen.
  const auto often = [](const std::string& what, const std::string& then = "") {
    return "for n in $(seq 24); do sleep 0.25; " + what + "; done" + then;
  };
  const auto stays = [&](const std::string& what) { return often(what, "; sleep 60"); };
  const std::string touch = "touch \"$h\"";
  constexpr auto silent = process_outcome::no_heartbeat;
  std::vector<expected> all;
  all.push_back({"touch x; ln -sf \"$PWD/x\" \"$h\"; " + stays(touch), silent});
  all.push_back({"rm \"$h\"; mkdir \"$h\"; " + stays(touch), silent});
  all.push_back({"rm \"$h\"; mkfifo \"$h\"; " + stays(":"), silent});
  all.push_back({"rm \"$h\"; " + stays(":"), silent});
  all.push_back({"rm \"$h\"; " + often(touch), process_outcome::exited});
  all.push_back({often("touch -d 2000-01-01 \"$h\""), process_outcome::exited});
  all.push_back({often("echo x > y; mv y \"$h\""), process_outcome::exited});
  std::size_t number = 0;
  for (auto& each : all) {
    auto odd =
        f.shell("a" + std::to_string(++number), "set -e; h=$MILLRACE_HEARTBEAT; " + each.text);
    odd.heartbeat = 5s;
    odd.grace = 0s;
    each.report = f.start(odd);
  }
  for (auto& each : all) {
    CAPTURE(each.text);
    const auto report = await(std::move(each.report));
    CHECK(report.outcome == each.outcome);
    CHECK(report.standard_error.tail == "");
  }
}

// The directory is used again, so the file must not stay in it.
TEST_CASE("a heartbeat is there for those that have one, and none is left for the next") {
  fixture f;
  const std::string which = "stat -c %i \"${MILLRACE_OUTPUT%/*}\"; ";
  auto beating = f.shell("a1", which + "stat -c %a \"$MILLRACE_HEARTBEAT\"; exit 3");
  beating.heartbeat = 10s;
  const auto own = f.run(beating).standard_output.tail;
  CHECK(own.ends_with("\n600\n"));
  const auto other =
      f.run(f.shell("a2", which + "ls \"${MILLRACE_OUTPUT%/*}\"; env | grep -c HEARTBEAT"));
  CHECK(other.standard_output.tail ==
        own.substr(0, own.find('\n')) + "\noutput\nstderr\nstdout\ntmp\n0\n");
}

TEST_CASE("cancelling sends SIGTERM first and reports what the command made of it") {
  fixture f;
  auto polite = f.shell("a1",
                        "trap 'echo cleaned; kill -KILL $holder; exit 3' TERM; "
                        "sleep 1000 & holder=$!; printf '%8d' $$; wait");
  auto ended = f.start(polite);
  static_cast<void>(f.printed_pid(polite));
  REQUIRE(f.supervisor->cancel("a1"));
  const auto report = await(std::move(ended));
  CHECK(report.outcome == process_outcome::cancelled);
  CHECK(report.exit_code == 3);
  CHECK(report.standard_output.tail.ends_with("cleaned\n"));

  CHECK(f.supervisor->cancel("a1").error().code() == errc::failed_precondition);
  CHECK(f.supervisor->cancel("a2").error().code() == errc::not_found);
}

// Goal: a shell that dies of SIGTERM does not cost its command the grace period.
// Method: the command writes only after its parent, the leader, has become a zombie.
TEST_CASE("members of the group keep the grace period when the leader dies first") {
  fixture f;
  {
    std::ofstream{f.directory.path() / "inner"} << R"(
tidy() {
  until grep -q '^State:.Z' /proc/$PPID/status; do :; done
  echo tidy
  kill -KILL $holder
  exit 0
}
trap tidy TERM
sleep 1000 & holder=$!
printf '%8d' $$
wait
)";
  }
  auto layered = f.shell("a1", "sh inner & wait");
  layered.grace = patience;
  auto ended = f.start(layered);
  static_cast<void>(f.printed_pid(layered));
  REQUIRE(f.supervisor->cancel("a1"));
  const auto report = await(std::move(ended));
  CHECK(report.outcome == process_outcome::cancelled);
  CHECK(report.signal == SIGTERM);
  CHECK(report.standard_output.tail.ends_with("tidy\n"));
}

TEST_CASE("no grace period means SIGKILL at once") {
  fixture f;
  auto stubborn = f.shell("a1", "trap '' TERM; printf '%8d' $$; while :; do sleep 1000; done");
  stubborn.grace = 0ns;
  auto ended = f.start(stubborn);
  static_cast<void>(f.printed_pid(stubborn));
  REQUIRE(f.supervisor->cancel("a1"));
  CHECK(await(std::move(ended)).signal == SIGKILL);
}

TEST_CASE("a stopped group still hears SIGTERM") {
  fixture f;
  auto stopped = f.shell("a1", "printf '%8d' $$; kill -STOP $$; sleep 1000");
  auto ended = f.start(stopped);
  static_cast<void>(f.printed_pid(stopped));
  REQUIRE(f.supervisor->cancel("a1"));
  CHECK(await(std::move(ended)).signal == SIGTERM);
}

TEST_CASE("background children of a finished command are killed with it") {
  fixture f;
  const auto report = f.run(f.shell("a1", "sleep 1000 & printf '%8d' $!"));
  CHECK(report.exit_code == 0);
  CHECK(witness{std::stoi(report.standard_output.tail)}.dies_within());
}

TEST_CASE("output that is not UTF-8 stays raw in the file and is readable in the tail") {
  fixture f;
  const auto what = f.shell("a1", R"(printf 'a\377b\303\251\342\202')");
  CHECK(f.run(what).standard_output.tail ==
        "a\xef\xbf\xbd"
        "b\xc3\xa9\xef\xbf\xbd");
  const auto raw = f.log("a1").read(0, 100);
  REQUIRE(raw);
  CHECK(raw->bytes ==
        "a\xff"
        "b\xc3\xa9\xe2\x82");
}

TEST_CASE("a hundred megabytes of output cost a bounded tail") {
  fixture f;
  auto loud = f.shell("a1", "head -c 100000000 /dev/zero | tr '\\0' x; echo end");
  const auto report = f.run(loud);
  CHECK(report.standard_output.bytes == 100'000'004);
  CHECK(report.standard_output.tail.size() == 65536);
  CHECK(report.standard_output.tail.ends_with("xxend\n"));
}

// Method: a reserve larger than any disk.
TEST_CASE("an attempt that writes to a disk nearly full is ended, one that does not write is not") {
  fixture f;
  f.open({.state_directory = {}, .disk_reserve_bytes = std::uint64_t{1} << 60U});
  auto quiet = f.start(f.shell("a1", "sleep 1000"));
  const auto report = f.run(f.spec("a2", {"yes"}));
  CHECK(report.outcome == process_outcome::disk_full);
  REQUIRE(f.supervisor->cancel("a1"));
  CHECK(await(std::move(quiet)).outcome == process_outcome::cancelled);
}

TEST_CASE("a token is taken until its attempt is acknowledged") {
  fixture f;
  auto ended = f.start(f.shell("a1", "sleep 1000"));
  CHECK(f.refusal(f.shell("a1", "true")).code() == errc::conflict);
  CHECK(f.supervisor->acknowledge("a1").error().code() == errc::failed_precondition);
  REQUIRE(f.supervisor->cancel("a1"));
  static_cast<void>(await(std::move(ended)));
  CHECK(f.refusal(f.shell("a1", "true")).code() == errc::conflict);
  REQUIRE(f.supervisor->acknowledge("a1"));
  CHECK(f.supervisor->acknowledge("a1").error().code() == errc::not_found);
  CHECK(f.run(f.shell("a1", "true")).exit_code == 0);
}

TEST_CASE("attempts beyond the bound are refused as overload") {
  fixture f;
  f.open({.state_directory = {}, .attempts_max = 1});
  CHECK(f.run(f.shell("a1", "true")).exit_code == 0);
  CHECK(f.refusal(f.shell("a2", "true")).code() == errc::overloaded);
  REQUIRE(f.supervisor->acknowledge("a1"));
  CHECK(f.run(f.shell("a2", "true")).exit_code == 0);
}

TEST_CASE("stopping cancels what runs, reports it and refuses the rest") {
  fixture f;
  auto first = f.start(f.shell("a1", "sleep 1000"));
  auto second = f.start(f.shell("a2", "sleep 1000"));
  f.supervisor->stop();
  REQUIRE(first.wait_for(0s) == std::future_status::ready);
  CHECK(first.get().outcome == process_outcome::cancelled);
  REQUIRE(second.wait_for(0s) == std::future_status::ready);
  CHECK(f.refusal(f.shell("a3", "true")).code() == errc::unavailable);
  CHECK(f.supervisor->watch_log("x", output_stream::standard_output, 0, [](log_event) {})
            .error()
            .code() == errc::unavailable);
  f.supervisor->stop();
}

TEST_CASE("a callback may start the next attempt") {
  fixture f;
  auto chain = std::make_shared<std::promise<process_exit>>();
  REQUIRE(f.supervisor->start(f.shell("a1", "true"), [&](process_exit) {
    REQUIRE(f.supervisor->acknowledge("a1"));
    REQUIRE(f.supervisor->start(f.shell("a1", "exit 5"),
                                [chain](process_exit next) { chain->set_value(next); }));
  }));
  CHECK(await(chain->get_future()).exit_code == 5);
}

// Goal: no child is lost, reaped twice or left as a zombie when starts and exits race.
// Method: four threads start 200 attempts; afterwards this process has one child, the guard.
TEST_CASE("two hundred attempts from four threads leave no zombie") {
  const auto before = children_of_ours();  // orphans of the silos that other tests have killed
  fixture f;
  std::mutex mutex;
  std::map<std::string, int> codes;
  std::promise<void> all;
  constexpr int count = 200;
  const auto start_some = [&](int worker) {
    for (int each = worker; each < count; each += 4) {
      auto what = f.shell("a" + std::to_string(each), "exit " + std::to_string(each));
      MILLRACE_ASSERT(f.supervisor->start(what, [&](process_exit report) {
        const std::lock_guard lock{mutex};
        codes[report.token] = report.exit_code.value_or(-1);
        if (codes.size() == count) {
          all.set_value();
        }
      }));
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int worker = 0; worker < 4; ++worker) {
      workers.emplace_back(start_some, worker);
    }
  }
  await(all.get_future());
  f.supervisor->stop();
  for (int each = 0; each < count; ++each) {
    CHECK(codes["a" + std::to_string(each)] == each);
  }
  auto expected = before;  // they may go meanwhile
  expected.insert(f.supervisor->stats().guard);
  for (const auto child : children_of_ours()) {
    CHECK(expected.contains(child));
  }
  CHECK(f.supervisor->stats().unacknowledged == count);
}

TEST_CASE("a follower hears of growth and of the end") {
  fixture f;
  const auto go = f.directory.path() / "go";
  REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
  const auto what = f.shell("a1", "printf one; read line < go; printf two");
  auto ended = f.start(what);
  CHECK(f.read_growing("a1", 3) == "one");
  { std::ofstream{go} << "\n"; }
  CHECK(f.read_growing("a1", 100) == "onetwo");
  CHECK(await(std::move(ended)).exit_code == 0);

  auto promise = std::make_shared<std::promise<log_event>>();
  REQUIRE(f.supervisor->watch_log("a1", output_stream::standard_output, 6,
                                  [promise](log_event event) { promise->set_value(event); }));
  CHECK(await(promise->get_future()) == log_event::ended);
}

}  // namespace millrace::actors::testing
