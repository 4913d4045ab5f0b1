// SPDX-License-Identifier: MIT
// kill -9 at the two instants that matter: before a change is durable, and before its caller knows.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/ledger.h"
#include "folders.h"

namespace millrace::conformance {
namespace {

using testing::temporary_folder;

std::unique_ptr<storage> rows_in(const std::filesystem::path& data) {
  auto rows = open_storage({.directory = data, .map_bytes = 64U << 20U});
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().text()));
  return *std::move(rows);
}

// Says when a commit comes, and keeps what follows it from happening.
class halting_storage final : public storage {
public:
  enum class instant : std::uint8_t { before_commit, after_commit };

  halting_storage(std::unique_ptr<storage> inner, instant when, int says)
      : inner_(std::move(inner)), when_(when), says_(says) {}

  void commit(std::unique_ptr<commit_request> request) override {
    if (when_ == instant::before_commit) {
      halt();
    }
    auto halting = std::make_unique<halting_commit>(*this);
    halting->partition = request->partition;
    halting->ops = std::move(request->ops);
    inner_->commit(std::move(halting));
  }
  void read(std::unique_ptr<read_request> request) override { inner_->read(std::move(request)); }
  result<void> scan(partition_id partition, std::string_view prefix, std::string_view from,
                    std::size_t limit, const std::function<bool(const row&)>& visit) override {
    return inner_->scan(partition, prefix, from, limit, visit);
  }
  [[nodiscard]] bool saturated() const noexcept override { return inner_->saturated(); }
  [[nodiscard]] std::string allocation_id() const override { return inner_->allocation_id(); }
  [[nodiscard]] std::uint16_t partition_count() const noexcept override {
    return inner_->partition_count();
  }
  [[nodiscard]] storage_stats stats() const override { return inner_->stats(); }
  void stop() override { inner_->stop(); }

private:
  struct halting_commit final : commit_request {
    explicit halting_commit(halting_storage& of) : home(of) {}
    void done(result<void> /*outcome*/) override { home.halt(); }
    halting_storage& home;
  };
  [[noreturn]] void halt() const {
    static_cast<void>(::write(says_, "h", 1));
    for (;;) {
      ::pause();
    }
  }

  std::unique_ptr<storage> inner_;
  instant when_;
  int says_;
};

// A child makes one call; it is killed when its storage has halted. Gives what it has said.
std::string killed_at(const std::filesystem::path& data, halting_storage::instant when,
                      call<ledger_interface::add_results> one) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    auto rows = open_storage({.directory = data, .map_bytes = 64U << 20U});
    silo here{std::make_unique<halting_storage>(*std::move(rows), when, ends[1])};
    here.add<ledger>();
    if (!here.start()) {
      ::_exit(9);
    }
    static_cast<void>(here.call(std::move(one)));
    static_cast<void>(::write(ends[1], "a", 1));  // answered
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said(1, ' ');
  CHECK(::read(ends[0], said.data(), 1) == 1);
  ::kill(child, SIGKILL);
  char rest = 0;
  while (::read(ends[0], &rest, 1) == 1) {
    said += rest;
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  return said;
}

TEST_CASE("nobody has seen success of a change that was computed and not committed") {
  const temporary_folder data;
  {
    ledger_silo silo{rows_in(data.path)};
    REQUIRE(silo.call(ref<Ledger>("a").add(5)));
  }
  const auto said =
      killed_at(data.path, halting_storage::instant::before_commit, ref<Ledger>("a").add(1));
  CHECK(said == "h");
  ledger_silo silo{rows_in(data.path)};
  CHECK(silo.total("a") == 5);
}

// Goal: who was not told whether a keyed call took effect asks again, and it takes effect once.
// Method: the process dies when the change is on disk and its caller does not know yet.
TEST_CASE(
    "a keyed call that is retried after a crash takes effect once, and is held to its request") {
  const temporary_folder data;
  const auto said = killed_at(data.path, halting_storage::instant::after_commit,
                              ref<Ledger>("a").add(5).keyed("k"));
  CHECK(said == "h");
  ledger_silo silo{rows_in(data.path)};
  CHECK(silo.total("a") == 5);
  CHECK(silo.call(ref<Ledger>("a").add(5).keyed("k"))->total() == 5);
  CHECK(silo.call(ref<Ledger>("a").add(6).keyed("k")).error().code() == errc::conflict);
  CHECK(silo.total("a") == 5);

  const auto before = killed_at(data.path / "other", halting_storage::instant::before_commit,
                                ref<Ledger>("a").add(5).keyed("k"));
  CHECK(before == "h");
  ledger_silo other{rows_in(data.path / "other")};
  CHECK(other.call(ref<Ledger>("a").add(5).keyed("k"))->total() == 5);
}

}  // namespace
}  // namespace millrace::conformance
