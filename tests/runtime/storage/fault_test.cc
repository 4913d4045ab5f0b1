// SPDX-License-Identifier: MIT
// What storage does when the disk is full, over its quota, or broken.
//
// Most cases put a shim between the engine and its journal or checkpoint that fails when told to;
// two use the kernel: a small file system that fills up, and a limit on the size of files.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "folders.h"
#include "journal_shim.h"
#include "storage/engine.h"
#include "storage/lmdb_env.h"
#include "storage/replay.h"
#include "storage/storage_lost.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;
using millrace::testing::small_disk;

/// What the shims do instead of working; `errc{}` for nothing.
struct faults {
  std::atomic<errc> journal{};
  std::atomic<errc> checkpoint{};
  std::atomic<int> checkpoint_attempts{0};
};

std::unique_ptr<journal> failing_journal(std::unique_ptr<journal> inner,
                                         const std::shared_ptr<faults>& planned) {
  return std::make_unique<journal_shim>(
      std::move(inner), [planned](const journal_write&) -> result<void> {
        const errc code = planned->journal;
        return code == errc{} ? result<void>{} : error{code, "planned"};
      });
}

class failing_checkpoint final : public checkpoint {
public:
  failing_checkpoint(std::unique_ptr<checkpoint> inner, std::shared_ptr<faults> planned)
      : inner_(std::move(inner)), faults_(std::move(planned)) {}
  [[nodiscard]] result<checkpoint_progress> progress() const override { return inner_->progress(); }
  [[nodiscard]] result<proven_rows> prove(partition_id partition) const override {
    return inner_->prove(partition);
  }
  [[nodiscard]] std::uint64_t row_count() const noexcept override { return inner_->row_count(); }
  result<void> adopt() override { return inner_->adopt(); }
  [[nodiscard]] row_digest digest_of(partition_id partition) const override {
    return inner_->digest_of(partition);
  }
  result<void> write(std::span<const checkpoint_change> changes,
                     const checkpoint_progress* progress) override {
    ++faults_->checkpoint_attempts;
    if (const errc code = faults_->checkpoint; code != errc{}) {
      return error{code, "planned"};
    }
    return inner_->write(changes, progress);
  }
  [[nodiscard]] result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() override {
    return inner_->open_snapshot();
  }
  void tidy() override { inner_->tidy(); }
  [[nodiscard]] result<std::uint64_t> bytes_used() const override { return inner_->bytes_used(); }
  [[nodiscard]] std::uint64_t bytes_used_at_most() const noexcept override {
    return inner_->bytes_used_at_most();
  }

private:
  std::unique_ptr<checkpoint> inner_;
  std::shared_ptr<faults> faults_;
};

std::unique_ptr<storage> open_with(const std::shared_ptr<faults>& planned,
                                   const storage_options& options) {
  auto directory = data_directory::open(options.directory, options.partition_count);
  REQUIRE(directory);
  auto entries = open_lmdb_journal({directory->journal_path(), options.map_bytes});
  REQUIRE(entries);
  auto rows = open_lmdb_checkpoint({directory->checkpoint_path(), options.map_bytes});
  REQUIRE(rows);
  REQUIRE(make_copies(**entries, **rows, options.partition_count));
  REQUIRE(directory->finish());
  auto format = directory->format();
  engine_parts parts{std::move(*directory), std::move(format),
                     failing_journal(std::move(*entries), planned),
                     std::make_unique<failing_checkpoint>(std::move(*rows), planned)};
  auto made = make_engine(std::move(parts), options);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().to_string()));
  return std::move(*made);
}

errc code_of(const result<void>& outcome) {
  return outcome ? errc{} : outcome.error().code();
}

// Runs `body` in a child; returns its exit status, -1 when it ended otherwise. The child's error
// output is of no interest.
int exit_status_of(const std::function<void()>& body) {
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    (void)!std::freopen("/dev/null", "w", stderr);
    body();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("storage is not opened while a standard descriptor is closed") {
  millrace::testing::temporary_folder folder;
  const int kept = ::dup(STDIN_FILENO);
  REQUIRE(kept > 2);
  ::close(STDIN_FILENO);
  const auto refused = open_storage({.directory = (folder.path / "data").string()});
  CHECK(::dup2(kept, STDIN_FILENO) == STDIN_FILENO);
  ::close(kept);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  CHECK(refused.error().text() ==
        "descriptor 0 (standard input) is closed, so that a data file could get its number; open "
        "it on /dev/null");
  CHECK(open_storage({.directory = (folder.path / "data").string()}));
}

TEST_CASE("commits that meet a full journal leave nothing behind and later ones succeed") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  const auto planned = std::make_shared<faults>();
  {
    auto store = open_with(planned, options);
    REQUIRE(commit_now(*store, 1, put_row("a", "1")));
    planned->journal = errc::out_of_space;
    CHECK(code_of(commit_now(*store, 1, put_row("a", "2"))) == errc::out_of_space);
    CHECK(code_of(commit_now(*store, 2, put_row("b", "2"))) == errc::out_of_space);
    CHECK(rows_text(read_now(*store, 1, "")) == "a=1");
    CHECK(rows_text(read_now(*store, 2, "")) == "");
    planned->journal = errc{};
    REQUIRE(commit_now(*store, 1, put_row("c", "3")));
  }
  // The chains are whole: opening checks them.
  auto store = open_with(planned, options);
  CHECK(rows_text(read_now(*store, 1, "")) == "a=1 c=3");
  CHECK(rows_text(read_now(*store, 2, "")) == "");
}

TEST_CASE("a full checkpoint holds nobody up until the overlay is full, and heals") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  options.overlay_bytes_max = 100'000;
  const auto planned = std::make_shared<faults>();
  planned->checkpoint = errc::out_of_space;
  {
    auto store = open_with(planned, options);
    int accepted = 0;
    errc refusal{};
    for (; accepted < 10'000 && refusal == errc{}; accepted += refusal == errc{} ? 1 : 0) {
      refusal = code_of(commit_now(*store, 1, put_row("k" + std::to_string(accepted), "value")));
    }
    CHECK(refusal == errc::out_of_space);
    CHECK(accepted > 100);
    CHECK(store->saturated());
    const auto rows = read_now(*store, 1, "k");
    REQUIRE(rows);
    CHECK(static_cast<int>(rows->size()) == accepted);
    planned->checkpoint = errc{};
    errc outcome = errc::out_of_space;
    while (outcome == errc::out_of_space) {  // until the checkpoint tries again
      outcome = code_of(commit_now(*store, 1, put_row("healed", "yes")));
    }
    CHECK(outcome == errc{});
    CHECK_FALSE(store->saturated());
    CHECK(rows_text(read_now(*store, 1, "healed")) == "healed=yes");
  }
  auto store = open_with(planned, options);
  CHECK(rows_text(read_now(*store, 1, "healed")) == "healed=yes");
}

TEST_CASE("storage stops in time while the checkpoint waits for room") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  const auto planned = std::make_shared<faults>();
  planned->checkpoint = errc::out_of_space;
  {
    auto store = open_with(planned, options);
    commit_until(*store, [&] { return planned->checkpoint_attempts > 0; });
    REQUIRE(commit_now(*store, 3, put_row("k", "v")));
  }
  planned->checkpoint = errc{};
  auto store = open_with(planned, options);
  CHECK(rows_text(read_now(*store, 3, "")) == "k=v");
}

TEST_CASE("a journal that fails ends the process at once and answers nothing") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  for (const bool answered_is_wrong : {true, false}) {
    const auto planned = std::make_shared<faults>();
    CHECK(exit_status_of([&] {
            auto store = open_with(planned, options);
            if (!commit_now(*store, 1, put_row("kept", "yes"))) {
              ::_exit(2);
            }
            planned->journal = errc::storage_failed;
            commit_async(*store, 1, put_row("lost", "yes"), [&](const result<void>&) {
              if (answered_is_wrong) {
                ::_exit(3);
              }
            });
            ::pause();
          }) == storage_lost_status);
  }
  auto store = open_with(std::make_shared<faults>(), options);
  CHECK(rows_text(read_now(*store, 1, "")) == "kept=yes");
}

TEST_CASE("a checkpoint that fails ends the process at once") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  CHECK(exit_status_of([&] {
          const auto planned = std::make_shared<faults>();
          planned->checkpoint = errc::storage_failed;
          auto store = open_with(planned, options);
          (void)commit_now(*store, 1, put_row("kept", "yes"));
          ::pause();
        }) == storage_lost_status);
  auto store = open_with(std::make_shared<faults>(), options);
  CHECK(rows_text(read_now(*store, 1, "")) == "kept=yes");
}

TEST_CASE("a write that the kernel refuses ends the process at once") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  CHECK(exit_status_of([&] {
          auto store = open_storage(options);
          if (!store || !commit_now(**store, 1, put_row("kept", "yes"))) {
            ::_exit(2);
          }
          std::signal(SIGXFSZ, SIG_IGN);
          const rlimit limit{1U << 20U, 1U << 20U};
          ::setrlimit(RLIMIT_FSIZE, &limit);
          (void)commit_now(**store, 1, put_row("lost", std::string(4U << 20U, 'x')));
          ::_exit(3);
        }) == storage_lost_status);
  auto store = open_storage(options);
  REQUIRE(store);
  CHECK(rows_text(read_now(**store, 1, "")) == "kept=yes");
}

// Fills `store` with 4 KiB values under k0, k1, ... until a put is refused; returns how many it
// took.
int fill(storage& store, int puts_max) {
  for (int count = 0; count < puts_max; ++count) {
    const auto key = "k" + std::to_string(count);
    if (code_of(commit_now(store, 1, put_row(key, std::string(4096, 'x')))) != errc{}) {
      return count;
    }
  }
  return puts_max;
}

// Deletes what `fill` took, one batch of a hundred at a time. A delete may be refused for as long
// as the checkpoint has not caught up with the puts before it.
void empty(storage& store, int count) {
  int attempts = 0;
  for (int begin = 0; begin < count; begin += 100) {
    row_ops ops;
    for (int index = begin; index < std::min(count, begin + 100); ++index) {
      ops.erase("k" + std::to_string(index));
    }
    while (code_of(commit_now(store, 1, row_ops{ops})) != errc{}) {
      REQUIRE(++attempts < 2'000'000);
    }
  }
}

// Space comes back as the checkpoint and the trimming proceed, which refused puts drive too.
void put_until_accepted(storage& store) {
  int attempts = 0;
  while (code_of(commit_now(store, 1, put_row("again", std::string(4096, 'y')))) != errc{}) {
    REQUIRE(++attempts < 2'000'000);
  }
}

TEST_CASE("puts are refused at 85 % of the quota, deletes go on and make room again") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.disk_quota_bytes = 8U << 20U;
  options.checkpoint_interval_ms = 5;
  auto opened = open_storage(options);
  REQUIRE(opened);
  auto& store = **opened;
  const auto count = fill(store, 10'000);
  CHECK(count > 500);
  CHECK(count < 1'800);
  const auto refused = commit_now(store, 1, put_row("k", std::string(4096, 'x')));
  if (!refused) {
    CHECK(refused.error().retry_after().count() > 0);
  }
  CHECK(store.stats().map_used_permille >= 700);
  empty(store, count);
  put_until_accepted(store);
  CHECK(read_now(store, 1, "again")->size() == 1);
  CHECK(read_now(store, 1, "k")->size() <= 1);
}

TEST_CASE("a batch of puts and deletes counts as puts") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.disk_quota_bytes = 4U << 20U;
  options.checkpoint_interval_ms = 3'600'000;
  auto opened = open_storage(options);
  REQUIRE(opened);
  const auto count = fill(**opened, 10'000);
  CHECK(count > 100);
  row_ops mixed;
  mixed.erase("k0");
  mixed.put("k1", std::string(400'000, 'x'));
  CHECK(code_of(commit_now(**opened, 1, std::move(mixed))) == errc::out_of_space);
  CHECK(rows_text(read_now(**opened, 1, "k0")).size() > 4096);
}

TEST_CASE("the journal stays bounded under sustained load") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_bytes = 256U << 10U;
  options.checkpoint_interval_ms = 5;
  options.overlay_bytes_max = 4U << 20U;
  auto opened = open_storage(options);
  REQUIRE(opened);
  constexpr int rounds = 300;
  for (int round = 0; round < rounds; ++round) {
    tally answers;
    for (int index = 0; index < 200; ++index) {
      commit_async(**opened, static_cast<unsigned>(index % 16),
                   put_row("k" + std::to_string(index), std::string(1000, 'x')), answers.expect());
    }
    answers.wait();
    REQUIRE(answers.failed() == 0);
  }
  // 60 MB were committed.
  CHECK((*opened)->stats().journal_bytes < (24U << 20U));
  CHECK((*opened)->stats().checkpoint_rows > 0);
}

TEST_CASE("a small disk that fills up refuses puts, keeps its rows, and heals by deletes") {
  const scratch_directory scratch;
  const small_disk disk{scratch.root() + "/disk"};
  if (!disk.mounted()) {
    return;
  }
  auto options = small_options(disk.path().string() + "/data");
  options.map_bytes = std::size_t{8} << 30U;
  options.checkpoint_interval_ms = 5;
  int count = 0;
  {
    auto opened = open_storage(options);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
    count = fill(**opened, 20'000);
    CHECK(count > 1'000);
    CHECK(count < 8'000);
    CHECK(read_now(**opened, 1, "k")->size() == static_cast<std::size_t>(count));
  }
  auto opened = open_storage(options);
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  CHECK(read_now(**opened, 1, "k")->size() == static_cast<std::size_t>(count));
  empty(**opened, count);
  put_until_accepted(**opened);
}

// Goal: a full disk is never taken for a broken one. LMDB reports a write that a full disk cuts
// short as EIO; depending on where it is cut, both forms turn up here.
TEST_CASE(
    "journal and checkpoint tell a full disk from a broken one, and go on when there is room") {
  const scratch_directory scratch;
  const small_disk disk{scratch.root() + "/disk"};
  if (!disk.mounted()) {
    return;
  }
  auto entries = open_lmdb_journal({disk.path().string() + "/journal", std::size_t{1} << 30U});
  auto rows = open_lmdb_checkpoint({disk.path().string() + "/checkpoint", std::size_t{1} << 30U});
  REQUIRE(entries);
  REQUIRE(rows);
  const std::string bytes(70'000, 'x');
  const auto ballast = disk.path().string() + "/ballast";
  std::ofstream{ballast} << std::string(1U << 20U, 'b');
  const checkpoint_change change{partition_id{0}, "kept", bytes, false};
  REQUIRE((*rows)->write({&change, 1}, nullptr));
  for (const std::size_t size : {70'000U, 3'000U}) {
    const std::vector<std::string_view> group(10, std::string_view{bytes}.substr(0, size));
    result<void> appended;
    while ((appended = (*entries)->write({{}, group, {}}))) {
    }
    CHECK(appended.error().code() == errc::out_of_space);
  }
  const std::string large(16U << 20U, 'y');
  const checkpoint_change too_much{partition_id{0}, "large", large, false};
  CHECK(code_of((*rows)->write({&too_much, 1}, nullptr)) == errc::out_of_space);
  std::filesystem::remove(ballast);
  std::vector<std::uint64_t> positions;
  for (std::uint64_t position = 1; position <= (*entries)->last(); ++position) {
    positions.push_back(position);
    if (positions.size() == 64 || position == (*entries)->last()) {
      REQUIRE((*entries)->write({std::exchange(positions, {}), {}, {}}));
    }
  }
  const std::array<std::string_view, 1> one{bytes};
  REQUIRE((*entries)->write({{}, one, {}}));
  auto snapshot = (*rows)->open_snapshot();
  REQUIRE(snapshot);
  REQUIRE((*snapshot)->renew());
  std::size_t seen = 0;
  const std::array<key_range, 1> all{};
  REQUIRE((*snapshot)->scan(partition_id{0}, all, [&](const auto&, auto, auto value) {
    seen += value.size();
    return true;
  }));
  CHECK(seen == bytes.size());
  (*snapshot)->release();
}

// Somebody else's file takes the room, all at once, so that no watermark helps.
TEST_CASE("a disk that others fill refuses commits, and heals when they go") {
  const scratch_directory scratch;
  const small_disk disk{scratch.root() + "/disk"};
  if (!disk.mounted()) {
    return;
  }
  auto options = small_options(disk.path().string() + "/data");
  options.checkpoint_interval_ms = 5;
  auto opened = open_storage(options);
  REQUIRE(opened);
  const auto count = fill(**opened, 500);
  REQUIRE(count == 500);
  const auto ballast = disk.path().string() + "/ballast";
  {
    std::ofstream file{ballast, std::ios::binary};
    const std::string block(1U << 16U, 'b');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size()))) {
    }
  }
  int refused = 0;
  for (int index = 0; index < 2000; ++index) {
    const auto code = code_of(
        commit_now(**opened, 1, put_row("b" + std::to_string(index), std::string(4096, 'x'))));
    CHECK((code == errc{} || code == errc::out_of_space));
    refused += code == errc{} ? 0 : 1;
  }
  CHECK(refused > 0);
  CHECK(read_now(**opened, 1, "k")->size() == 500);
  std::filesystem::remove(ballast);
  put_until_accepted(**opened);
  CHECK(read_now(**opened, 1, "b")->size() == static_cast<std::size_t>(2000 - refused));
}

// As a sender does: a refusal is tried again, which lets the checkpoint and the trimming catch up.
void commit_in_the_end(storage& store, unsigned partition, const row_ops& ops) {
  int attempts = 0;
  while (code_of(commit_now(store, partition, ops)) != errc{}) {
    REQUIRE(++attempts < 100'000);
  }
}

// Goal: what makes room always goes through, with what it writes itself.
TEST_CASE("on a disk that others have filled storage opens, says so, and deletes") {
  const scratch_directory scratch;
  const small_disk disk{scratch.root() + "/disk"};
  if (!disk.mounted()) {
    return;
  }
  auto options = small_options(disk.path().string() + "/data");
  options.checkpoint_interval_ms = 5;
  {
    auto opened = open_storage(options);
    REQUIRE(opened);
    REQUIRE(fill(**opened, 300) == 300);
    CHECK_FALSE((*opened)->refusal());
  }
  disk.fill();
  auto opened = open_storage(options);
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  auto& store = **opened;
  const auto refusal = store.refusal();
  REQUIRE(refusal);
  CHECK(refusal->code() == errc::out_of_space);
  CHECK(refusal->text().starts_with("disk full: "));
  CHECK(refusal->text().find(options.directory) != std::string::npos);
  // Each delete tells two others of it, and its root remains.
  for (int index = 0; index < 300; ++index) {
    auto ops = erase_row("k" + std::to_string(index));
    ops.put("root", std::string(2'000, 'r'));
    ops.put("outbox" + std::to_string(index), std::string(150, 'o'));
    commit_in_the_end(store, 1, ops);
    commit_in_the_end(store, 2, put_row("inbox", std::to_string(index)));
  }
  CHECK(read_now(store, 1, "k")->empty());
  const auto too_much = commit_now(store, 1, put_row("large", std::string(4U << 20U, 'x')));
  REQUIRE_FALSE(too_much);
  CHECK(too_much.error().text().starts_with("disk full: "));
  disk.make_room();
  CHECK_FALSE(store.refusal());
  put_until_accepted(store);
}

#ifndef __SANITIZE_ADDRESS__  // whose own map is larger than these limits

// Two maps of the default size are 128 GiB.
TEST_CASE("storage opens under a limit of the address space") {
  const scratch_directory scratch;
  CHECK(exit_status_of([&] {
          const struct rlimit limit { std::size_t{8} << 30U, std::size_t{8} << 30U };
          if (::setrlimit(RLIMIT_AS, &limit) != 0) {
            ::_exit(2);
          }
          auto store = open_storage({.directory = scratch.data()});
          ::_exit(store && commit_now(**store, 1, put_row("k", "v")) ? 0 : 1);
        }) == 0);
}

TEST_CASE("the map follows the disk quota") {
  const scratch_directory scratch;
  CHECK(exit_status_of([&] {
          const struct rlimit limit { std::size_t{1} << 30U, std::size_t{1} << 30U };
          auto store = open_storage({.directory = scratch.data(), .disk_quota_bytes = 64U << 20U});
          // What is mapped already stays; nothing large may be added.
          ::_exit(store && ::setrlimit(RLIMIT_AS, &limit) == 0 &&
                          commit_now(**store, 1, put_row("k", "v"))
                      ? 0
                      : 1);
        }) == 0);
}

#endif

}  // namespace
}  // namespace millrace::runtime
