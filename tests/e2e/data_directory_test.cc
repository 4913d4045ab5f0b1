// SPDX-License-Identifier: MIT
// The data directory as an operator meets it: backups, checks, a full disk.
#include <doctest/doctest.h>

#include <fstream>

#include "e2e/process.h"
#include "http/client.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

std::string submit_and_wait(const server_process& server, const fs::path& folder) {
  const auto file = folder / "pipeline.yaml";
  std::ofstream{file} << "name: one\ntasks:\n  - {name: say, run: echo said}\n";
  REQUIRE(millrace({"apply", file.string(), "--server", server.url()}).status == 0);
  // On a disk that is smaller than what is kept free for other things, a run in which the disk is
  // looked at is ended.
  constexpr int tried_max = 10;
  finished_command submitted;
  for (int tried = 0; tried < tried_max && submitted.status != 0; ++tried) {
    submitted = millrace({"submit", "one", "--wait", "--server", server.url()});
  }
  REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
  return submitted.output.substr(0, submitted.output.find('\n'));
}

// Of a server in the clear, by `GET`.
gateway::http::client_response asked(const server_process& server, const std::string& path) {
  const runtime::system_clock clock;
  gateway::http::client_options options;
  options.base = *gateway::http::parse_url(server.url());
  auto told = gateway::http::client{options, clock}.send(gateway::http::method::get, path);
  REQUIRE(told);
  return *std::move(told);
}

TEST_CASE("the state of a server that runs is backed up, restored and checked") {
  temporary_folder folder;
  const auto data = (folder.path / "data").string();
  const auto copy = (folder.path / "copy").string();
  const auto other = (folder.path / "other").string();
  const auto file = (folder.path / "millrace.backup").string();
  std::string run;
  std::string shown;
  {
    server_process server{data};
    run = submit_and_wait(server, folder.path);
    shown = millrace({"get", run, "-o", "json", "--server", server.url()}).output;
    const auto stream = millrace({"backup", "--server", server.url()});
    REQUIRE_MESSAGE(stream.status == 0, stream.errors);
    std::ofstream{file, std::ios::binary} << stream.output;
    const auto made = millrace({"backup", "--to", copy, "--server", server.url()});
    REQUIRE_MESSAGE(made.status == 0, made.errors);
    const auto in_use = millrace({"check", "--data", data});
    CHECK(in_use.status == 6);
    CHECK(in_use.errors.find("in use by process") != std::string::npos);
    CHECK(server.stop() == 0);
  }
  REQUIRE(millrace({"restore", file, "--data", other}).status == 0);
  CHECK(millrace({"restore", file, "--data", other}).status == 6);  // there is a state already
  CHECK(millrace({"restore", "-", "--data", (folder.path / "x").string()}, "no backup\n").status ==
        2);
  for (const auto& each : {data, copy, other}) {
    const auto checked = millrace({"check", "--data", each});
    CHECK_MESSAGE(checked.status == 0, checked.errors);
    CHECK(checked.output.ends_with("\nsound\n"));
  }
  for (const auto& each : {copy, other}) {
    server_process server{each};
    CHECK(millrace({"get", run, "-o", "json", "--server", server.url()}).output == shown);
    CHECK(server.stop() == 0);
  }
  const auto checkpoint = fs::path{data} / "state" / "checkpoint" / "data.mdb";
  fs::resize_file(checkpoint, fs::file_size(checkpoint) / 2);
  const auto damaged = millrace({"check", "--data", data});
  CHECK(damaged.status == 1);
  CHECK(damaged.output.ends_with("\ndamaged\n"));
  CHECK(damaged.errors.find(checkpoint.string() + " is damaged") != std::string::npos);
  CHECK(damaged.errors.find("millrace restore") != std::string::npos);
  CHECK(millrace({"check", "--data", (folder.path / "none").string()}).status == 5);
}

// Goal: room can be made where there is none. Method: a small file system, filled to the last page
// while the server is down.
TEST_CASE("a server starts on a full disk, says so, refuses new work, and deletes") {
  temporary_folder folder;
  const small_disk disk{folder.path / "disk"};
  if (!disk.mounted()) {
    return;
  }
  const auto data = disk.path() / "data";
  std::string run;
  {
    server_process server{data};
    run = submit_and_wait(server, folder.path);
    CHECK(server.stop() == 0);
  }
  disk.fill();
  server_process server{data};
  const auto refused = millrace({"submit", "one", "--server", server.url()});
  CHECK(refused.status != 0);
  CHECK(refused.errors.find("disk full: ") != std::string::npos);
  CHECK(refused.errors.find(data.string()) != std::string::npos);
  for (const auto* probe : {"/readyz", "/startupz"}) {
    const auto unready = asked(server, probe);
    CAPTURE(probe);
    CHECK(unready.status == 503);
    CHECK(unready.headers.find("Retry-After") == "1");
    CHECK(unready.body.find("\"code\":\"out_of_space\"") != std::string::npos);
    CHECK(unready.body.find("disk full: ") != std::string::npos);
  }
  CHECK(asked(server, "/livez").status == 200);
  const auto removed = millrace({"delete", "run", run, "--server", server.url()});
  CHECK_MESSAGE(removed.status == 0, removed.errors);
  // The removal goes through to the end: its last step takes the run out of the list.
  finished_command list;
  do {
    list = millrace({"list", "runs", "-o", "name", "--server", server.url()});
    REQUIRE(list.status == 0);
  } while (list.output.find(run) != std::string::npos);
  disk.make_room();
  CHECK(submit_and_wait(server, folder.path) != run);
  CHECK(server.stop() == 0);
}

}  // namespace
}  // namespace millrace::testing
