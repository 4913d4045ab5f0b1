// SPDX-License-Identifier: MIT
// Journals in which a bit has turned.
#include <doctest/doctest.h>
#include <lmdb.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>

#include "e2e/dev_cluster.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream stream{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

// Flips a bit of the newest entry of a journal that no process uses: its position, or 0 where
// everything is in the checkpoint.
std::uint64_t damage(const fs::path& journal) {
  std::uint64_t position = 0;
  std::string entry;
  MDB_env* env = nullptr;
  REQUIRE(mdb_env_create(&env) == MDB_SUCCESS);
  REQUIRE(mdb_env_open(env, journal.parent_path().c_str(), MDB_RDONLY | MDB_NOLOCK, 0) ==
          MDB_SUCCESS);
  MDB_txn* txn = nullptr;
  REQUIRE(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == MDB_SUCCESS);
  MDB_dbi entries = 0;
  REQUIRE(mdb_dbi_open(txn, nullptr, 0, &entries) == MDB_SUCCESS);
  MDB_cursor* cursor = nullptr;
  REQUIRE(mdb_cursor_open(txn, entries, &cursor) == MDB_SUCCESS);
  MDB_val key;
  MDB_val value;
  if (mdb_cursor_get(cursor, &key, &value, MDB_LAST) == MDB_SUCCESS && key.mv_size == 8) {
    for (std::size_t at = 0; at < key.mv_size; ++at) {
      position = position << 8U | static_cast<const unsigned char*>(key.mv_data)[at];
    }
    entry.assign(static_cast<const char*>(value.mv_data), value.mv_size);
  }
  mdb_cursor_close(cursor);
  mdb_txn_abort(txn);
  mdb_env_close(env);
  if (position > 0) {
    const auto at = text_of(journal).find(entry);
    REQUIRE(at != std::string::npos);
    const auto middle = entry.size() / 2;
    std::fstream out{journal, std::ios::in | std::ios::out | std::ios::binary};
    out.seekp(static_cast<std::streamoff>(at + middle));
    out.put(static_cast<char>(entry[middle] ^ 1));
  }
  return position;
}

// `small`, and `busy`: a run of it writes for a while, so that a process that is killed meanwhile
// leaves something in its journal.
void apply_pipelines(const fs::path& folder, const std::string& url) {
  for (const auto* text : {"name: small\ntasks:\n  - {name: one, run: echo hello}\n",
                           "name: busy\ntasks:\n  - {name: one, run: 'true', matrix: {a: "
                           "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "
                           "c: [1, 2, 3]}}\n"}) {
    const auto file = folder / "p.yaml";
    std::ofstream{file} << text;
    const auto applied = millrace({"apply", file.string(), "--server", url});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }
}

// It says the file, the entry and what to do.
void check_says(const std::string& errors, const fs::path& journal, std::uint64_t position) {
  CAPTURE(errors);
  CHECK(errors.find(journal.string() + ": a journal entry does not match its digest (position " +
                    std::to_string(position) + "); `millrace check` ") != std::string::npos);
  CHECK(errors.find("`millrace restore`") != std::string::npos);
}

TEST_CASE("a server whose journal is damaged says the file, the entry and what to do") {
  const temporary_folder folder;
  const auto data = folder.path / "d";
  const auto journal = data / "state" / "journal" / "data.mdb";
  const auto backup = (folder.path / "backup").string();
  std::uint64_t position = 0;
  while (position == 0) {
    server_process server{data};
    apply_pipelines(folder.path, server.url());
    const auto kept = millrace({"backup", "--server", server.url()});
    REQUIRE(kept.status == 0);
    std::ofstream{backup, std::ios::binary} << kept.output;
    REQUIRE(millrace({"submit", "busy", "--server", server.url()}).status == 0);
    server.kill();
    position = damage(journal);
  }
  const auto refused = millrace({"dev", "--listen", "127.0.0.1:0", "--data", data.string()});
  CHECK(refused.status == 1);
  check_says(refused.errors, journal, position);
  CHECK(refused.errors.find("rm -r") == std::string::npos);
  const auto checked = millrace({"check", "--data", data.string()});
  CHECK(checked.status == 1);
  check_says(checked.errors, journal, position);

  fs::remove_all(data / "state");
  REQUIRE(millrace({"restore", backup, "--data", data.string()}).status == 0);
  server_process server{data};
  CHECK(millrace({"submit", "small", "--wait", "--server", server.url()}).status == 0);
  CHECK(server.stop() == 0);
}

// Method: what the refusal says is done as it stands there; then the silo is the one that leads, so
// that what is shown comes from its new copies.
TEST_CASE("a silo whose journal is damaged says how it comes back with new copies, and does so") {
  const temporary_folder folder;
  const auto data = folder.path / "d";
  const auto state = data / "b" / "state";
  const auto journal = state / "journal" / "data.mdb";
  background_command cluster{
      {"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data", data.string()}};
  cluster.read_until("silo c pid ");
  const auto lines = parse(cluster.printed());
  const auto asked = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", lines.url});
    return millrace(words);
  };
  REQUIRE(asked({"cluster", "health", "--wait", "5m"}).status == 0);
  apply_pipelines(folder.path, lines.url);
  REQUIRE(asked({"submit", "busy"}).status == 0);
  ::kill(lines.pids.at("b"), SIGKILL);
  cluster.read_until("it starts again with: millrace silo --name b");
  cluster.read_until("--log-level warn\n");
  const auto& said = cluster.said();
  const auto from = said.find("silo --name b");
  std::istringstream words{said.substr(from, said.find('\n', from) - from)};
  const std::vector<std::string> start{std::istream_iterator<std::string>{words}, {}};
  auto position = damage(journal);
  while (position == 0) {
    background_command b{start};
    REQUIRE(becomes({"silos", "-o", "name", "--server", lines.url}, "a\nb\nc\ngateway\n"));
    REQUIRE(asked({"submit", "busy"}).status == 0);
    b.signal(SIGKILL);
    static_cast<void>(b.wait());
    position = damage(journal);
  }
  const auto format = text_of(state / "FORMAT");
  const auto refused = millrace(start);
  CHECK(refused.status == 1);
  check_says(refused.errors, journal, position);
  CHECK(refused.errors.find("here: `rm -r " + state.string() + "`") != std::string::npos);
  CHECK(std::count(refused.errors.begin(), refused.errors.end(), '\n') == 1);

  fs::remove_all(state);
  background_command again{start};
  REQUIRE(becomes({"silos", "-o", "name", "--server", lines.url}, "a\nb\nc\ngateway\n"));
  REQUIRE(asked({"cluster", "health", "--wait", "5m"}).status == 0);
  CHECK(text_of(state / "FORMAT") != format);  // another allocation id
  for (const auto* each : {"a", "c"}) {
    REQUIRE(asked({"drain", each}).status == 0);
  }
  CHECK(asked({"list", "pipelines", "-o", "name"}).output == "busy\nsmall\n");
  CHECK(asked({"drain", "a", "--undo"}).status == 0);  // it runs tasks again
  CHECK(asked({"submit", "small", "--wait"}).status == 0);
  again.interrupt();
  CHECK(again.wait().status == 0);
  cluster.interrupt();
  CHECK(cluster.wait().status == 0);
}

}  // namespace
}  // namespace millrace::testing
