// SPDX-License-Identifier: MIT
// What is the local store's own: processes that die or stop with its lock, and whom it refuses.
#include "coordination/local_store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>

#include "cas_history.h"
#include "child.h"
#include "coordination/local_environment.h"
#include "coordination/local_watcher.h"
#include "coordination/shared_page.h"
#include "millrace/runtime/backup.h"
#include "millrace/runtime/storage.h"
#include "providers.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

using namespace testing;
using namespace std::chrono_literals;

constexpr auto p3 = partition_id{3};

stored_partition record(std::uint64_t version, std::uint64_t epoch) {
  stored_partition made;
  made.partition = p3;
  made.version = version;
  made.epoch = epoch;
  made.nonce = mint_nonce();
  return made;
}

void say_nothing(std::string_view) {}

// A process that begins to write, says so, and does not go on.
std::function<void(const child::says&)> stuck_writer(const std::string& directory) {
  return [directory](const child::says& say) {
    auto environment =
        local_environment::open(directory, *this_process(), the_clock(), say_nothing);
    const auto writer = (*environment)->begin_write(soon());
    auto half = record(0, 666);
    half.version = (*writer)->rows(coordination_protocol).revision();
    static_cast<void>((*writer)->rows(coordination_protocol).put(half));
    say("holds the lock");
    ::pause();
  };
}

// Goal: silos of one process are as different as those of two.
TEST_CASE("stores of one process share a directory, each with its own session") {
  local_provider provider;
  coordination_options options;
  options.session_ttl = 2s;
  hint_counter hints;
  options.changed = hints.hook();
  auto first = provider.open();
  auto second = provider.open(options);
  silo_row row;
  row.name = "a";
  const auto a = first->join(row, std::nullopt, soon());
  row.name = "b";
  auto other = provider.open(options);
  const auto b = other->join(row, std::nullopt, soon());
  REQUIRE(a);
  REQUIRE(b);
  CHECK(*a != *b);
  CHECK(second->read(0, soon())->silos.size() == 2);
  CHECK(first->leave(soon()));
  first.reset();
  CHECK(second->read(0, soon())->silos.size() == 1);
  other.reset();  // and nobody keeps its session alive
  CHECK(hints.wait_until([&] { return second->read(0, soon())->silos.empty(); }));
}

TEST_CASE("who stops with the lock is killed by who waits, and nothing of its write is left") {
  local_provider provider;
  std::string warning;
  coordination_options options;
  options.warn = [&](std::string_view text) { warning = text; };
  const auto store = provider.open(options);
  child holder{stuck_writer(provider.folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  holder.signal(SIGSTOP);
  holder.wait_stopped();

  // Reads need no lock.
  const auto none = store->read_partition(p3, soon());
  REQUIRE(none);
  CHECK_FALSE(none->has_value());
  // Patience of many short calls is as good as that of a long one.
  auto outcome = store->compare_and_set(record(0, 1), the_clock().steady() + 100ms);
  CHECK(std::holds_alternative<cas_unknown>(outcome));
  const auto give_up = the_clock().steady() + 30s;
  while (std::holds_alternative<cas_unknown>(outcome) && the_clock().steady() < give_up) {
    outcome = store->compare_and_set(record(0, 1), the_clock().steady() + 100ms);
  }
  CHECK(std::holds_alternative<cas_done>(outcome));
  const auto status = holder.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK(warning.find("killed process") != std::string::npos);
}

// Goal: whatever another process is stopped in, reads end.
// Method: a process that has LMDB's mutex of readers, which lies behind two words of its lock file,
// and no lock of ours. In life it would have that, too, and be killed.
TEST_CASE("reads wait for nobody who takes a place among LMDB's readers") {
  local_provider provider;
  const auto store = provider.open();
  child holder{[&](const child::says& say) {
    const auto path = std::filesystem::path{provider.folder.path} / "lock.mdb";
    const unique_fd file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    auto* const at = static_cast<char*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
    const auto locked = ::pthread_mutex_lock(reinterpret_cast<pthread_mutex_t*>(at + 8));
    say(locked == 0 ? "holds LMDB's mutex" : "has no mutex");
    ::pause();
  }};
  REQUIRE(holder.read() == "holds LMDB's mutex");
  const auto before = the_clock().steady();
  for (int at = 0; at < 3; ++at) {
    CHECK(store->read(0, soon()));
    CHECK(store->read_partition(p3, soon()));
  }
  CHECK(the_clock().steady() - before < 20s);
}

// Goal: a read that needs a place of its own keeps its deadline, and ends who keeps it from that.
TEST_CASE("many reads at once end by their deadline while a process is stopped with the lock") {
  local_provider provider;
  auto environment =
      local_environment::open(provider.folder.path, *this_process(), the_clock(), say_nothing);
  REQUIRE(environment);
  child holder{stuck_writer(provider.folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  holder.signal(SIGSTOP);
  holder.wait_stopped();
  std::vector<std::unique_ptr<local_environment::reader>> open;
  auto next = (*environment)->begin_read(the_clock().steady() + 10ms);
  while (next) {
    open.push_back(std::move(*next));
    REQUIRE(open.size() < 10);
    next = (*environment)->begin_read(the_clock().steady() + 10ms);
  }
  CHECK(next.error().code() == errc::deadline_exceeded);
  CHECK_FALSE(open.empty());
  open.pop_back();
  CHECK((*environment)->begin_read(the_clock().steady()));  // the place of the one that has ended
}

// Goal: nobody is told of a change before it can be read, and then never again.
// Method: the writer is looked at after each of its system calls, while a transaction is flushed.
TEST_CASE("a transaction is the last one from when a read sees it") {
  local_provider provider;
  auto environment =
      local_environment::open(provider.folder.path, *this_process(), the_clock(), say_nothing);
  REQUIRE(environment);
  const auto seen_by_reads = [&] { return (*(*environment)->begin_read(soon()))->revision(); };
  const auto before = seen_by_reads();
  child writer{[&](const child::says&) {
    auto theirs =
        local_environment::open(provider.folder.path, *this_process(), the_clock(), say_nothing);
    const auto write = (*theirs)->begin_write(soon());
    static_cast<void>((*write)->rows(coordination_protocol).put(record(0, 1)));
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    static_cast<void>((*write)->commit());
    ::raise(SIGUSR1);  // it is done
  }};
  int looks = 0;
  for (int status = 0; WSTOPSIG(status) != SIGUSR1; ++looks) {
    REQUIRE(::waitpid(writer.pid(), &status, 0) == writer.pid());
    REQUIRE(WIFSTOPPED(status));
    CHECK((*environment)->last_revision() == seen_by_reads());
    REQUIRE(::ptrace(PTRACE_SYSCALL, writer.pid(), nullptr, nullptr) == 0);
  }
  CHECK(looks > 4);
  CHECK(seen_by_reads() == before + 1);
}

TEST_CASE("who dies with the lock loses it at once") {
  local_provider provider;
  const auto store = provider.open();
  child holder{stuck_writer(provider.folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  holder.signal(SIGKILL);
  holder.wait();
  const auto outcome = store->compare_and_set(record(0, 1), soon());
  REQUIRE(std::holds_alternative<cas_done>(outcome));
  const auto found = store->read_partition(p3, soon());
  REQUIRE(found);
  REQUIRE(found->has_value());
  CHECK((*found)->epoch == 1);
}

TEST_CASE("a leave that has failed is not done when it is asked for again") {
  local_provider provider;
  const auto store = provider.open();
  silo_row row;
  row.name = "a";
  REQUIRE(store->join(row, {}, soon()));
  child holder{stuck_writer(provider.folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  CHECK_FALSE(store->leave(the_clock().steady() + 10ms));
  CHECK_FALSE(store->leave(the_clock().steady() + 10ms));
  CHECK(store->read(0, soon())->silos.size() == 1);
  holder.signal(SIGKILL);
  holder.wait();
  CHECK(store->leave(soon()));
  CHECK(store->read(0, soon())->silos.empty());
  CHECK(store->leave(the_clock().steady()));  // there is nothing to do
}

TEST_CASE("two processes have the lock in turns, and neither comes to harm") {
  temporary_folder folder;
  const auto self = *this_process();
  auto page = shared_page::open(folder.path, self);
  REQUIRE(page);
  REQUIRE((*page)->let_others_in());
  child other{[&](const child::says& say) {
    auto theirs = shared_page::open(folder.path, *this_process());
    for (int turn = 0; turn < 200; ++turn) {
      if (!(*theirs)->lock(the_clock(), soon(), say_nothing)) {
        return;
      }
      (*theirs)->unlock();
    }
    say("done");
  }};
  for (int turn = 0; turn < 200; ++turn) {
    REQUIRE((*page)->lock(the_clock(), soon(), say_nothing));
    (*page)->unlock();
  }
  CHECK(other.read() == "done");
}

TEST_CASE("the lock is not had past the deadline") {
  temporary_folder folder;
  auto page = shared_page::open(folder.path, *this_process());
  REQUIRE(page);
  REQUIRE((*page)->let_others_in());
  child holder{stuck_writer(folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  const auto refused = (*page)->lock(the_clock(), the_clock().steady(), say_nothing);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::deadline_exceeded);
  CHECK(refused.error().text() ==
        "process " + std::to_string(holder.pid()) + " holds the lock of the coordination store");
}

// Goal: no compare-and-set is told what did not become of it, whoever is killed when.
// Method: processes that change three records as fast as they can, one after the other killed.
TEST_CASE("processes that are killed in the middle of writing leave the records right") {
  constexpr std::size_t processes = 3;
  constexpr int kills = 12;
  constexpr int steps_max = 200;
  local_provider provider;
  const auto store = provider.open();
  cas_history history;
  std::vector<std::unique_ptr<child>> children(processes);
  const auto begin = [&](std::size_t at) {
    children[at] = std::make_unique<child>([&, at](const child::says& say) {
      const auto theirs = provider.open();
      std::vector<appender> appenders;
      for (std::uint16_t number = 0; number < processes; ++number) {
        appenders.emplace_back(*theirs, partition_id{number});
      }
      for (int step = 0; step < steps_max; ++step) {
        appenders[(at + static_cast<std::size_t>(step)) % processes].step(say, 10s, the_clock());
      }
    });
  };
  for (std::size_t at = 0; at < processes; ++at) {
    begin(at);
  }
  std::mt19937 random{7};
  for (int kill = 0; kill < kills; ++kill) {
    const auto at = static_cast<std::size_t>(kill) % processes;
    const auto lines = 1 + random() % 60;
    for (unsigned line = 0; line < lines; ++line) {
      if (const auto text = children[at]->read(); !text.empty()) {
        history.add(text);
      }
    }
    children[at]->signal(SIGKILL);
    for (auto text = children[at]->read(); !text.empty(); text = children[at]->read()) {
      history.add(text);
    }
    begin(at);
  }
  for (auto& each : children) {
    for (auto text = each->read(); !text.empty(); text = each->read()) {
      history.add(text);
    }
    CHECK(each->wait() == 0);
  }
  history.check(store->read(0, soon())->partitions);
  CHECK(history.count(told::done) > 100);
  CHECK(history.count(told::conflict) > 0);
  CHECK(history.count(told::unknown) == 0);
}

TEST_CASE("what living silos had is void once nobody has the store open, records stay") {
  local_provider provider;
  auto store = provider.open();
  silo_row row;
  row.name = "a";
  const auto first = store->join(row, std::nullopt, soon());
  REQUIRE(first);
  REQUIRE(std::holds_alternative<cas_done>(store->compare_and_set(record(0, 1), soon())));
  store.reset();
  store = provider.open();
  const auto view = store->read(0, soon());
  REQUIRE(view);
  CHECK(view->silos.empty());
  CHECK(view->partitions.size() == 1);
  const auto second = store->join(row, std::nullopt, soon());
  REQUIRE(second);
  CHECK(*second > *first);
}

TEST_CASE("a silo whose process has ended is out long before its session is") {
  local_provider provider;
  hint_counter hints;
  coordination_options options;
  options.session_ttl = 1h;
  child dead{[&](const child::says& say) {
    const auto theirs = provider.open(options);
    silo_row row;
    row.name = "a";
    say(std::to_string(*theirs->join(row, std::nullopt, soon())));
    ::pause();
  }};
  REQUIRE(std::stoull(dead.read()) > 0);
  options.changed = hints.hook();
  const auto store = provider.open(options);
  REQUIRE(store->read(0, soon())->silos.size() == 1);
  dead.signal(SIGKILL);
  CHECK(hints.wait_until([&] { return store->read(0, soon())->silos.empty(); }));
}

// Goal: a silo that joined while the store could not be read is watched once it can be.
// Method: a process that is stopped with the lock keeps reads from having a place of their own, and
// this one has all that are left. Nothing is written afterwards.
TEST_CASE("a silo is watched that could not be read of when it was new") {
  local_provider provider;
  hint_counter hints;
  coordination_options options;
  options.session_ttl = 1h;
  child silo{[&](const child::says& say) {
    const auto theirs = provider.open(options);
    silo_row row;
    row.name = "a";
    say(std::to_string(*theirs->join(row, std::nullopt, soon())));
    ::pause();
  }};
  REQUIRE(std::stoull(silo.read()) > 0);
  auto opened =
      local_environment::open(provider.folder.path, *this_process(), the_clock(), say_nothing);
  REQUIRE(opened);
  auto& environment = **opened;
  child holder{stuck_writer(provider.folder.path)};
  REQUIRE(holder.read() == "holds the lock");
  std::vector<std::unique_ptr<local_environment::reader>> places;
  for (auto next = environment.begin_read(the_clock().steady() + 10ms); next;
       next = environment.begin_read(the_clock().steady() + 10ms)) {
    places.push_back(std::move(*next));
    REQUIRE(places.size() < 10);
  }
  std::atomic<bool> has_failed{false};
  options.changed = hints.hook();
  options.warn = [&](std::string_view) {
    has_failed = true;
    hints.hook()();
  };
  local_watcher watcher{environment, the_clock(), options};
  REQUIRE(watcher.start());
  REQUIRE(hints.wait_until([&] { return has_failed.load(); }));
  holder.signal(SIGKILL);
  holder.wait();
  places.clear();
  silo.signal(SIGKILL);
  const auto is_out = [&] {
    const auto reader = environment.begin_read(soon());
    return reader && (*reader)->rows(coordination_protocol).silos()->empty();
  };
  CHECK(hints.wait_until(is_out));
}

TEST_CASE("a silo of a dead process may be replaced at once") {
  local_provider provider;
  const auto store = provider.open();
  silo_row row;
  row.name = "a";
  coordination_options options;
  options.session_ttl = 1h;
  child dead{[&](const child::says& say) {
    const auto theirs = provider.open(options);
    say(std::to_string(*theirs->join(row, std::nullopt, soon())));
    ::raise(SIGKILL);
  }};
  REQUIRE(std::stoull(dead.read()) > 0);
  dead.wait();
  CHECK(store->join(row, std::nullopt, soon()));
}

TEST_CASE("processes of another boot or PID namespace are refused while the store is in use") {
  temporary_folder folder;
  const auto self = *this_process();
  auto page = shared_page::open(folder.path, self);
  REQUIRE(page);
  REQUIRE((*page)->let_others_in());
  auto other = self;
  ++other.pid_namespace;
  auto refused = shared_page::open(folder.path, other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text().find("another machine or PID namespace") != std::string::npos);
  other = self;
  other.boot_id = "another";
  CHECK_FALSE(shared_page::open(folder.path, other));
  CHECK(shared_page::open(folder.path, self));

  // Nobody uses it any more: after a boot, or in a new container, it is whoever's comes first.
  page = error{errc::not_found, ""};
  const auto next = shared_page::open(folder.path, other);
  REQUIRE(next);
  CHECK((*next)->is_first());
  REQUIRE((*next)->let_others_in());
  CHECK_FALSE(shared_page::open(folder.path, self));
}

TEST_CASE("file systems that other machines see are refused by their types") {
  CHECK(shared_file_system(0x6969) == "NFS");
  CHECK(shared_file_system(0xff534d42) == "CIFS");
  CHECK(shared_file_system(0x65735546) == "FUSE");
  CHECK(shared_file_system(0xef53).empty());      // ext4
  CHECK(shared_file_system(0x01021994).empty());  // tmpfs
  CHECK(shared_file_system(0x794c7630).empty());  // overlayfs
}

TEST_CASE("a session that has ended is not renewed, not even by who renews late") {
  temporary_folder folder;
  auto opened = shared_page::open(folder.path, *this_process());
  REQUIRE(opened);
  auto& page = **opened;
  const steady_time start{1h};
  page.begin_session(5, 17, start + 2s);
  CHECK(page.renew_session(5, 17, start + 1s, 2s));
  CHECK_FALSE(page.end_session_if_expired(5, 17, start + 3s - 1ns));
  CHECK_FALSE(page.renew_session(5, 18, start + 2s, 2s));
  CHECK_FALSE(page.renew_session(5, 17, start + 3s, 2s));
  CHECK(page.end_session_if_expired(5, 17, start + 3s));
  CHECK_FALSE(page.renew_session(5, 17, start + 2s, 2s));
  CHECK(page.end_session_if_expired(5, 17, start));
  page.begin_session(5, 18, start + 9s);
  CHECK(page.end_session_if_expired(5, 17, start));
  page.end_session(5, 17);
  CHECK(page.renew_session(5, 18, start, 2s));
  page.end_session(5, 18);
  CHECK_FALSE(page.renew_session(5, 18, start, 2s));
}

// A store with a few records, that nobody uses.
void make_store(const std::string& directory) {
  const auto environment =
      local_environment::open(directory, *this_process(), the_clock(), say_nothing);
  REQUIRE(environment);
  for (unsigned each = 0; each < 200; ++each) {
    const auto writer = (*environment)->begin_write(soon());
    REQUIRE(writer);
    auto made = record(0, 1);
    made.partition = partition_id{static_cast<std::uint16_t>(each)};
    made.version = (*writer)->rows(coordination_protocol).revision();
    REQUIRE((*writer)->rows(coordination_protocol).put(made));
    REQUIRE((*writer)->commit());
  }
}

// Method: the file cut at a few places, and a few hundred single bits of it changed; all that is
// there is read then, and compared. A process that ends fails the test.
TEST_CASE("a damaged store is refused with its file and what operators do, or holds what it did") {
  const local_provider provider;
  const std::string directory{provider.folder.path};
  make_store(directory);
  const auto file = directory + "/data.mdb";
  std::string sound;
  {
    std::ifstream in{file, std::ios::binary};
    sound.assign(std::istreambuf_iterator<char>{in}, {});
  }
  std::vector<stored_partition> written;
  const auto refusal_of = [&](const std::string& bytes) -> std::optional<error> {
    std::ofstream{file, std::ios::binary | std::ios::trunc} << bytes;
    const auto opened =
        local_environment::open(directory, *this_process(), the_clock(), say_nothing);
    if (!opened) {
      return opened.error();
    }
    const auto reader = (*opened)->begin_read(soon());
    REQUIRE(reader);
    const auto read = (*reader)->rows(coordination_protocol).partitions(0);
    if (!read) {
      return read.error();
    }
    if (written.empty()) {
      written = *read;
    }
    CHECK((bytes.empty() ? read->empty() : *read == written));
    return std::nullopt;
  };
  const auto check_text = [&](const error& why) {
    CHECK(why.code() == errc::storage_failed);
    CHECK(why.text().find(file) != std::string::npos);
    CHECK(why.text().find("millrace silo --found-anew") != std::string::npos);
    CHECK(why.text().find("millrace restore") == std::string::npos);
  };
  REQUIRE_FALSE(refusal_of(sound));
  REQUIRE(written.size() == 200);
  for (const auto kept : {std::size_t{4096}, sound.size() / 2, sound.size() / 4 * 3}) {
    CAPTURE(kept);
    const auto refused = refusal_of(sound.substr(0, kept));
    REQUIRE(refused);
    check_text(*refused);
  }
  std::mt19937 random{9};
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    CAPTURE(round);
    auto bytes = sound;
    auto& one = bytes[random() % bytes.size()];
    one = static_cast<char>(one ^ static_cast<char>(1U << random() % 8));
    if (const auto why = refusal_of(bytes)) {
      check_text(*why);
      ++refused;
    }
  }
  CHECK(refused > 0);
  CHECK_FALSE(refusal_of(sound));
  CHECK_FALSE(refusal_of(""));  // as when its making was cut short
}

TEST_CASE("a store that is checked tells what it holds, and every fault with its remedy") {
  const local_provider provider;
  const std::string directory{provider.folder.path};
  CHECK(check_local_store(directory).error().code() == errc::not_found);
  make_store(directory);
  const auto sound = check_local_store(directory);
  REQUIRE(sound);
  CHECK(sound->partitions == 200);
  CHECK(sound->silos == 0);
  CHECK(sound->faults.empty());
  const auto file = directory + "/data.mdb";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const auto cut = check_local_store(directory);
  REQUIRE(cut);
  REQUIRE(cut->faults.size() == 1);
  CHECK(cut->faults.front().find(file + " is damaged: ") != std::string::npos);
  CHECK(cut->faults.front().find("millrace silo --found-anew") != std::string::npos);
}

TEST_CASE("a shared page that is taken away ends the process with a line") {
  const local_provider provider;
  const std::string directory{provider.folder.path};
  int said[2];
  REQUIRE(::pipe(said) == 0);
  const auto pid = ::fork();
  if (pid == 0) {
    ::dup2(said[1], STDERR_FILENO);
    watch_storage_signals();
    const auto environment =
        local_environment::open(directory, *this_process(), the_clock(), say_nothing);
    if (!environment || ::truncate((directory + "/LOCK").c_str(), 0) != 0) {
      ::_exit(1);
    }
    static_cast<void>((*environment)->page().renew_session(0, 1, the_clock().steady(), 1s));
    ::_exit(2);
  }
  ::close(said[1]);
  std::string line;
  char piece[256];
  for (auto count = ::read(said[0], piece, sizeof piece); count > 0;
       count = ::read(said[0], piece, sizeof piece)) {
    line.append(piece, static_cast<std::size_t>(count));
  }
  ::close(said[0]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == storage_lost_status);
  CHECK(line == "millrace: storage lost, stopping at once: " + directory +
                    "/LOCK: a page is damaged, or the disk does not give it (SIGBUS); stop the "
                    "silos of this machine: the first one that starts makes it anew\n");
  CHECK(local_environment::open(directory, *this_process(), the_clock(), say_nothing));
}

}  // namespace
}  // namespace millrace::runtime
