// SPDX-License-Identifier: MIT
// The bank, killed over and over.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace millrace::testing {
namespace {

class folder {
public:
  folder() {
    std::string pattern = "/tmp/millrace-bank-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }
  std::string path;
};

struct ended_bank {
  int status = 0;  // as `waitpid` gives it
  std::string output;
};

enum class counted_from { start, first_line };

// Runs the bank for so many rounds, and kills it `killed_after_us` (never: 0) after it was started
// or has printed a line.
ended_bank run_bank(const std::string& directory, const std::string& rounds,
                    unsigned killed_after_us, counted_from from = counted_from::start) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(MILLRACE_BANK, "bank", directory.c_str(), rounds.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  ended_bank ended;
  char piece[4096];
  if (from == counted_from::first_line) {
    const auto got = ::read(ends[0], piece, sizeof piece);
    ended.output.append(piece, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  if (killed_after_us > 0) {
    const timespec limit{0, static_cast<long>(killed_after_us) * 1'000};
    ::ppoll(nullptr, 0, &limit, nullptr);
    ::kill(child, SIGKILL);
  }
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;) {
    ended.output.append(piece, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  REQUIRE(::waitpid(child, &ended.status, 0) == child);
  return ended;
}

// The number of transfers in the last line printed; -1 when nothing was.
long long transfers_in(const std::string& output) {
  if (output.empty()) {
    return -1;
  }
  const auto start = output.rfind('\n', output.size() - 2);
  return std::atoll(output.c_str() + (start == std::string::npos ? 0 : start + 1));
}

// Goal: whatever instant the bank dies at, no money is lost or made, and it goes on from there.
// Method: it is killed at random points, recovery among them; every life checks the sum by itself
// and never has fewer transfers than the one before, and the last is let end. Every other life has
// time for a check, however slow the machine is.
TEST_CASE("the money in the bank stays the same over kill -9") {
  const auto* wanted = std::getenv("MILLRACE_KILLS");
  const auto kills = wanted != nullptr ? std::atoi(wanted) : 60;
  folder data;
  std::mt19937 random{7};
  long long transfers = 0;
  int audits = 0;
  for (int kill = 0; kill < kills; ++kill) {
    const auto checks = kill % 2 == 1;
    const auto ended = run_bank(data.path, "1000000", 1 + static_cast<unsigned>(random() % 150'000),
                                checks ? counted_from::first_line : counted_from::start);
    REQUIRE_MESSAGE(WIFSIGNALED(ended.status), "it found a wrong sum: " << ended.output);
    if (const auto seen = transfers_in(ended.output); seen >= 0) {
      CHECK(seen >= transfers);
      transfers = seen;
      ++audits;
    }
  }
  const auto last = run_bank(data.path, "1", 0);
  REQUIRE_MESSAGE(WIFEXITED(last.status), last.output);
  CHECK(WEXITSTATUS(last.status) == 0);
  CHECK(last.output.find("100000 in 100 accounts") != std::string::npos);
  CHECK(transfers_in(last.output) > transfers);
  CHECK(audits >= kills / 2);
  MESSAGE(kills << " kills, " << transfers_in(last.output) << " transfers");
}

// A silo of the bank's cluster. It is killed with its owner.
class bank_silo {
public:
  bank_silo(const std::string& folder, const std::string& name, const std::string& rounds) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      const auto data = folder + "/" + name;
      const auto store = "local:" + folder + "/coordination";
      ::execl(MILLRACE_BANK, "bank", data.c_str(), rounds.c_str(), name.c_str(), store.c_str(),
              nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  bank_silo(const bank_silo&) = delete;
  bank_silo& operator=(const bank_silo&) = delete;
  ~bank_silo() {
    end(SIGKILL);
    ::close(output_);
  }

  // Its next line; empty when it has ended, or says nothing for a minute.
  std::string line() {
    for (;;) {
      if (const auto end = read_.find('\n'); end != std::string::npos) {
        auto one = read_.substr(0, end);
        read_.erase(0, end + 1);
        return one;
      }
      pollfd ready{output_, POLLIN, 0};
      char piece[4096];
      if (::poll(&ready, 1, 60'000) != 1) {
        return {};
      }
      const auto got = ::read(output_, piece, sizeof piece);
      if (got <= 0) {
        return {};
      }
      read_.append(piece, static_cast<std::size_t>(got));
    }
  }
  // Lines until one that was written after now, or a moment before.
  std::string fresh_line() {
    pollfd ready{output_, POLLIN, 0};
    char piece[65536];
    while (::poll(&ready, 1, 0) == 1 && ::read(output_, piece, sizeof piece) > 0) {
    }
    read_.clear();
    static_cast<void>(line());  // its beginning may be gone
    return line();
  }
  // Its status, as `waitpid` gives it.
  int end(int signal) {
    if (child_ > 0) {
      ::kill(child_, signal);
      REQUIRE(::waitpid(child_, &status_, 0) == child_);
      child_ = 0;
    }
    return status_;
  }
  int wait() { return end(0); }

private:
  pid_t child_ = 0;
  int output_ = -1;
  int status_ = 0;
  std::string read_;
};

// Goal: the bank goes on while its silos are killed by turns, the one that asks among them, and its
// sum is what it was.
// Method: every audit checks the sum by itself. After each kill and each start the bank has to come
// to another audit, with no fewer transfers than were seen before. The first kill waits until all
// is on three disks: a partition that has had one copy only is gone with it, rightly.
TEST_CASE("the bank goes on while each of its three silos is killed, and its sum stays") {
  folder data;
  const auto serve = [&](const std::string& name) {
    return std::make_unique<bank_silo>(data.path, name, "0");
  };
  auto asks = std::make_unique<bank_silo>(data.path, "a", "1000000");
  std::map<std::string, std::unique_ptr<bank_silo>> others;
  for (const auto* name : {"b", "c"}) {
    others[name] = serve(name);
    REQUIRE(others[name]->line() == "serves");
  }
  long long transfers = 0;
  const auto goes_on = [&] {
    const auto said = asks->fresh_line();
    REQUIRE(said.find(", 100000 in 100 accounts") != std::string::npos);
    CHECK(transfers_in(said + "\n") >= transfers);
    transfers = transfers_in(said + "\n");
  };
  for (auto said = asks->line(); said.find("on 3 disks") == std::string::npos;) {
    said = asks->line();
    REQUIRE_FALSE(said.empty());
  }
  goes_on();
  for (const auto* name : {"b", "c"}) {
    CHECK(WTERMSIG(others[name]->end(SIGKILL)) == SIGKILL);
    goes_on();
    others[name] = serve(name);
    REQUIRE(others[name]->line() == "serves");
    goes_on();
  }
  CHECK(WTERMSIG(asks->end(SIGKILL)) == SIGKILL);
  asks = std::make_unique<bank_silo>(data.path, "a", "5");
  const auto before = transfers;
  for (auto said = asks->line(); !said.empty(); said = asks->line()) {
    CHECK(said.find(", 100000 in 100 accounts") != std::string::npos);
    transfers = transfers_in(said + "\n");
  }
  CHECK(transfers > before);
  const auto ended = asks->wait();
  CHECK(WIFEXITED(ended));
  CHECK(WEXITSTATUS(ended) == 0);
  for (const auto* name : {"c", "b"}) {
    const auto status = others[name]->end(SIGTERM);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  MESSAGE(transfers << " transfers");
}

}  // namespace
}  // namespace millrace::testing
