// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "cli/node_options.h"
#include "command_line.h"
#include "millrace/runtime/memory_limit.h"

namespace millrace::gateway::cli {
namespace {

using http::has;

// No server answers here: what is refused is refused before anything is asked for.
outcome offline(std::vector<std::string> words) {
  words.insert(words.end(), {"--server", "http://127.0.0.1:1"});
  return command_line(words);
}

}  // namespace

TEST_CASE("a number that is none, or out of range, is refused with its option and value") {
  for (const auto* value : {"-1", "0", "x", "1x", " 1", "4294967297"}) {
    CAPTURE(value);
    const auto option = [&](const char* name) { return std::string{name} + "=" + value; };
    for (const auto& [name, left] :
         {std::pair{"--slots", command_line({"dev", option("--slots")})},
          {"--limit", offline({"list", option("--limit")})},
          {"--tail", offline({"logs", "r", "t", option("--tail")})},
          {"--if-version", offline({"apply", "x.yaml", option("--if-version")})},
          {"--attempt", offline({"logs", "r", "t", option("--attempt")})}}) {
      CHECK(left.code == exit_code::usage);
      CHECK(has(left.errors, std::string{name}));
      CHECK(has(left.errors, "'" + std::string{value} + "'"));
    }
  }
  const auto apart = offline({"list", "--limit", "-1"});
  CHECK(apart.code == exit_code::usage);
  CHECK(has(apart.errors, "--limit '-1': it must be a number from 1 to 1000000"));
}

TEST_CASE("a memory budget is a size of a megabyte or more, else it is refused") {
  // The data directory cannot be, so that nothing is served in any case.
  const auto dev = [](const std::string& value) {
    return command_line({"dev", "--data", "/dev/null/x", "--memory-budget=" + value});
  };
  for (const auto* value : {"0", "1", "-1M", "1023K", "512MB", "1.5G", "M", "1 G", "1Gi",
                            "99999999999T", "18446744073709551616"}) {
    CAPTURE(value);
    const auto left = dev(value);
    CHECK(left.code == exit_code::usage);
    CHECK(has(left.errors, "--memory-budget '" + std::string{value} +
                               "': it must be a size like 512M or 2GiB, at least 1M"));
  }
  for (const auto* value : {"1048576", "1024K", "1M", "2GiB", "1T", "none"}) {
    CAPTURE(value);
    CHECK(has(dev(value).errors, "data directory '/dev/null/x'"));
  }
}

TEST_CASE("the actors of a server hold half of the memory that there is, unless it is told") {
  const auto budget_of = [](const std::vector<std::string>& words) {
    boost::program_options::options_description known;
    add_node_options(known);
    add_secrets_key_option(known);
    add_identity_options(known);
    add_cluster_options(known);
    add_trace_options(known);
    add_log_options(known);
    option_values options;
    boost::program_options::store(
        boost::program_options::command_line_parser{words}.options(known).run(), options);
    const auto told = logs_of(options);
    REQUIRE(told);
    const auto node = node_options_of(options, **told);
    REQUIRE(node);
    return node->silo.memory_budget_bytes;
  };
  const auto there_is = runtime::memory_limit();
  REQUIRE(there_is);
  CHECK(budget_of({}) == *there_is / 2);
  CHECK(budget_of({"--memory-budget=8M"}) == std::size_t{8} << 20U);
  CHECK(budget_of({"--memory-budget=none"}) == 0);
}

TEST_CASE("how long runs are kept is a number and a duration, or all, else it is refused") {
  const auto dev = [](const std::string& option) {
    return command_line({"dev", "--data", "/dev/null/x", option});
  };
  for (const auto* value : {"0", "-1", "1.5", "none", "1000000001", ""}) {
    CAPTURE(value);
    const auto left = dev("--keep-runs=" + std::string{value});
    CHECK(left.code == exit_code::usage);
    CHECK(has(left.errors, "--keep-runs"));
  }
  for (const auto* value : {"0", "30", "30 d", "never", "1w"}) {
    CAPTURE(value);
    const auto left = dev("--keep-age=" + std::string{value});
    CHECK(left.code == exit_code::usage);
    CHECK(has(left.errors, "--keep-age '" + std::string{value} +
                               "': it must be a duration like 30d or 12h, or all"));
  }
  for (const auto* option :
       {"--keep-runs=1", "--keep-runs=all", "--keep-age=36h", "--keep-age=all"}) {
    CAPTURE(option);
    CHECK(has(dev(option).errors, "data directory '/dev/null/x'"));
  }
}

TEST_CASE("names and labels of a silo are plain words, else they are refused") {
  const auto dev = [](const std::string& option) {
    return command_line({"dev", "--data", "/dev/null/x", option});
  };
  for (const auto* option : {"--name=a/b", "--name=a b", "--label=a,b", "--label=a b"}) {
    CAPTURE(option);
    const auto left = dev(option);
    CHECK(left.code == exit_code::usage);
    CHECK(has(left.errors, "it must be 1 to 64 letters, digits and any of -_."));
  }
  CHECK(has(dev("--label=" + std::string(65, 'x')).errors, "it must be 1 to 64 letters"));
  for (const auto* option : {"--name=attic-2.a_b", "--label=gpu", "--label=zone=eu/attic"}) {
    CAPTURE(option);
    CHECK(has(dev(option).errors, "data directory '/dev/null/x'"));
  }
  CHECK(has(command_line({"run", "x.yaml", "--name", "a"}).errors, "--name"));
}

TEST_CASE("an option that is none is refused with the nearest one") {
  const auto near = offline({"list", "--limt", "3"});
  CHECK(near.code == exit_code::usage);
  CHECK(near.errors ==
        "millrace: `list` has no option '--limt'; did you mean '--limit'? see `millrace list "
        "--help`\n");
  CHECK(command_line({"version", "--frobnicate"}).errors ==
        "millrace: `version` has no option '--frobnicate'; see `millrace version --help`\n");
  CHECK(command_line({"list", "--limit"}).code == exit_code::usage);
}

TEST_CASE("the version is told in every form") {
  const auto text = command_line({"version"}).output;
  CHECK(text.starts_with("millrace "));
  CHECK(command_line({"--version"}).output == text);
  const auto number = text.substr(9, text.size() - 10);
  CHECK(command_line({"version", "-o", "name"}).output == number + "\n");
  CHECK(command_line({"version", "-o", "jsonl"}).output == "{\"version\":\"" + number + "\"}\n");
  CHECK(command_line({"version", "x"}).code == exit_code::usage);
}

TEST_CASE("an option that would do nothing is refused") {
  using words = std::vector<std::string>;
  for (const auto& each : {words{"logs", "r", "t", "-o", "json"},
                           {"logs", "r", "t", "--project", "p"},
                           {"watch", "r", "-o", "json"},
                           {"watch", "r", "--project", "p"},
                           {"delete", "run", "r", "--project", "p"},
                           {"get", "r", "--no-headers"},
                           {"actor", "list", "a", "--timeout", "3s"},
                           {"cancel", "r", "-o", "json"},
                           {"retry", "r", "--project", "p"},
                           {"get", "r", "--project", "p"},
                           {"list", "--state", "failed"},
                           {"list", "tasks", "r", "--pipeline", "p"},
                           {"list", "runs", "p", "--pipeline", "q"},
                           {"submit", "p", "--logs", "-o", "json"},
                           {"dead-letters", "--project", "p"},
                           {"dead-letters", "drop", "a/b/1", "--limit", "2"},
                           {"actor", "call", "a", "b", "c", "--prefix", "x"},
                           {"actor", "list", "a", "--map", "m"},
                           {"actor", "state", "a/b", "--active"},
                           {"actor", "deactivate", "a/b", "-o", "json"},
                           {"top", "--once", "--project", "p"}}) {
    CAPTURE(each);
    const auto left = offline(each);
    CHECK(left.code == exit_code::usage);
    CHECK_FALSE(left.errors.empty());
  }
}

TEST_CASE("a data directory that cannot be is refused with its name") {
  const auto none = command_line({"dev", "--listen", "127.0.0.1:0", "--data", ""});
  CHECK(none.code == exit_code::usage);
  CHECK(has(none.errors, "data directory ''"));
  const auto file = command_line({"dev", "--listen", "127.0.0.1:0", "--data", "/dev/null/x"});
  CHECK(file.code == exit_code::usage);
  CHECK(has(file.errors, "data directory '/dev/null/x'"));
}

}  // namespace millrace::gateway::cli
