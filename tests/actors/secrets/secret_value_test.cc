// SPDX-License-Identifier: MIT
// Where values come from, what is refused, and that no refusal tells one.
#include "millrace/actors/secret_value.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "executor/attempt_command.h"
#include "folders.h"
#include "millrace/runtime/message.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using schemas::SecretSource;

struct places {
  millrace::testing::temporary_folder top;
  fs::path directory = top.path / "secrets";

  places() { fs::create_directory(directory); }

  void write(const fs::path& file, const std::string& text) const {
    std::ofstream{file, std::ios::binary} << text;
  }

  [[nodiscard]] runtime::result<std::string> look_up(SecretSource from, const std::string& key,
                                                     const std::string& sealed = "",
                                                     secret_places where = {}) const {
    runtime::message<schemas::AttemptSecret> made;
    auto secret = made.build();
    secret.setVariable("TOKEN");
    secret.setFrom(from);
    secret.setKey(key.c_str());
    secret.setProject("default");
    secret.setSealed({reinterpret_cast<const kj::byte*>(sealed.data()), sealed.size()});
    if (where.directory.empty()) {
      where.directory = directory;
    }
    return value_of(made.read(), where);
  }

  [[nodiscard]] std::string of_file(const std::string& key) const {
    const auto value = look_up(SecretSource::FILE, key);
    return value ? *value : "refused: " + value.error().text();
  }
};

TEST_CASE("a secret of a file is what stands in it, without the last line end") {
  const places here;
  here.write(here.directory / "plain", "hunter2!");
  here.write(here.directory / "line", "hunter2!\n");
  here.write(here.directory / "windows", "hunter2!\r\n");
  here.write(here.directory / "lines", "first\nsecond\n\n");
  here.write(here.directory / "longest", std::string(secret_bytes_max, 'x') + "\r\n");
  fs::create_directory(here.directory / "database");
  here.write(here.directory / "database/password", "hunter2!\n");
  CHECK(here.of_file("plain") == "hunter2!");
  CHECK(here.of_file("line") == "hunter2!");
  CHECK(here.of_file("windows") == "hunter2!");
  CHECK(here.of_file("lines") == "first\nsecond\n");
  CHECK(here.of_file("longest").size() == secret_bytes_max);
  CHECK(here.of_file("database/password") == "hunter2!");
}

// Kubernetes gives each key as a link to `..data/KEY`, and `..data` as one to a dated directory.
TEST_CASE("a link in the directory of secrets is followed as long as it stays inside") {
  const places here;
  fs::create_directory(here.directory / "..2026");
  here.write(here.directory / "..2026/token", "hunter2!");
  fs::create_directory_symlink("..2026", here.directory / "..data");
  fs::create_symlink("..data/token", here.directory / "token");
  CHECK(here.of_file("token") == "hunter2!");

  here.write(here.top.path / "outside", "hunter2!");
  fs::create_symlink("../outside", here.directory / "relative");
  fs::create_symlink(here.top.path / "outside", here.directory / "absolute");
  fs::create_directory_symlink("..", here.directory / "up");
  const auto where = here.directory.string();
  for (const std::string key : {"relative", "absolute", "up/outside", "../outside"}) {
    CHECK(here.of_file(key) ==
          "refused: secret TOKEN: the file '" + key + "' in " + where + " leads out of it");
  }
  CHECK(here.of_file((here.top.path / "outside").string()).ends_with("leads out of it"));
}

TEST_CASE("what is no file, is missing, or can be no value is refused with the reason") {
  const places here;
  const auto where = here.directory.string();
  CHECK(here.of_file("none") ==
        "refused: secret TOKEN: the file 'none' in " + where + ": No such file or directory");
  fs::create_directory(here.directory / "folder");
  CHECK(here.of_file("folder").ends_with("is no file"));
  REQUIRE(::mkfifo((here.directory / "pipe").c_str(), 0600) == 0);
  CHECK(here.of_file("pipe").ends_with("is no file"));
  here.write(here.directory / "short", "abc\n");
  CHECK(here.of_file("short") ==
        "refused: secret TOKEN: its value is shorter than 4 bytes, which could not be masked in "
        "what a task writes");
  here.write(here.directory / "long", std::string(secret_bytes_max + 1, 'x'));
  CHECK(here.of_file("long").ends_with("is longer than 64 KiB"));
  here.write(here.directory / "nul", std::string("abcd\0efgh", 9));
  CHECK(here.of_file("nul").ends_with("has a NUL byte, which no variable can have"));
  runtime::message<schemas::AttemptSecret> made;
  made.build().setVariable("TOKEN");
  made.build().setFrom(SecretSource::FILE);
  made.build().setKey("plain");
  CHECK(value_of(made.read(), {}).error().text() ==
        "secret TOKEN: this silo has no directory of secrets; start it with --secrets-directory "
        "DIR");
}

TEST_CASE("a secret of the environment is a variable with the prefix, and no other") {
  const places here;
  REQUIRE(::setenv("MILLRACE_SECRET_DB", "hunter2!", 1) == 0);
  CHECK(here.look_up(SecretSource::ENVIRONMENT, "DB").value() == "hunter2!");
  CHECK(here.look_up(SecretSource::ENVIRONMENT, "PATH").error().text() ==
        "secret TOKEN: there is no variable MILLRACE_SECRET_PATH in the environment of this silo");
  REQUIRE(::unsetenv("MILLRACE_SECRET_DB") == 0);
  CHECK_FALSE(here.look_up(SecretSource::ENVIRONMENT, "DB"));
}

TEST_CASE("a secret of a project opens with a key that has sealed it") {
  const places here;
  const secret_keyring::key one{1};
  const auto keys = std::make_shared<const secret_keyring>(std::vector{one});
  const auto sealed = keys->seal("hunter2!", {"default", "token"});
  const auto look_up = [&](const std::string& key, const std::string& stored,
                           std::shared_ptr<const secret_keyring> opening) {
    const auto value =
        here.look_up(SecretSource::PROJECT, key, stored, {.directory = {}, .keys = opening});
    return value ? *value : value.error().text();
  };
  CHECK(look_up("token", sealed, keys) == "hunter2!");
  CHECK(look_up("token", "", keys) ==
        "secret TOKEN: there is no secret 'token' in project 'default'; store it by `millrace "
        "secret set token`");
  CHECK(look_up("token", sealed, nullptr) ==
        "secret TOKEN: this silo has no key to open the secret 'token' of project 'default'; start "
        "it with the --secrets-key FILE of the cluster");
  const auto others = std::make_shared<const secret_keyring>(std::vector{secret_keyring::key{2}});
  CHECK(look_up("token", sealed, others) ==
        "secret TOKEN: the secret 'token' of project 'default' cannot be opened: no key of the key "
        "file has sealed it; give this silo the right --secrets-key FILE, or store it again");
  CHECK(look_up("other", sealed, keys).find("was sealed for another name") != std::string::npos);
}

TEST_CASE("a path of a secret is relative and goes down only") {
  for (const auto* good : {"a", "a/b", "..a", "a..b/c.", ".hidden"}) {
    CAPTURE(good);
    CHECK(is_secret_path(good));
  }
  for (const auto* bad : {"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "./a"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_secret_path(bad));
  }
  CHECK(is_secret_path(std::string(255, 'a')));
  CHECK_FALSE(is_secret_path(std::string(256, 'a')));
  CHECK_FALSE(is_secret_path(std::string_view{"a\0b", 3}));
}

TEST_CASE(
    "a value without a line that could be masked is refused, and so is one that is too long") {
  for (const auto* value : {"abc", "abc\n", "\r\n\r\n", "ab\ncd\nef", "abc\r\nabc\r\n"}) {
    CAPTURE(value);
    CHECK(check_secret_value(value).error().code() == runtime::errc::invalid_argument);
  }
  CHECK(check_secret_value("ab\ncd\nef").error().text() ==
        "its value has no line of 4 bytes; shorter ones could not be masked in what a task writes");
  for (const auto* value : {"abcd", "a\nabcd", "abcd\r\n", "\nabc \n"}) {
    CAPTURE(value);
    CHECK(check_secret_value(value));
  }
  CHECK(check_secret_value(std::string(secret_bytes_max, 'x')));
  CHECK_FALSE(check_secret_value(std::string(secret_bytes_max + 1, 'x')));
}

TEST_CASE("the secrets of a task have a bound, all together") {
  const places here;
  here.write(here.directory / "large", std::string(secret_bytes_max, 'x'));
  constexpr unsigned most = task_secrets_bytes_max / secret_bytes_max;
  for (const unsigned count : {most, most + 1}) {
    runtime::message<schemas::AttemptSpec> attempt;
    auto secrets = attempt.build().initSecrets(count);
    for (unsigned at = 0; at < count; ++at) {
      secrets[at].setVariable(("S" + std::to_string(at)).c_str());
      secrets[at].setFrom(SecretSource::FILE);
      secrets[at].setKey("large");
    }
    process_spec command;
    secret_places where;
    where.directory = here.directory;
    const auto added = add_secrets(attempt.read(), where, command);
    CHECK(static_cast<bool>(added) == (count == most));
    CHECK(command.environment.size() == most);
  }
}

}  // namespace
}  // namespace millrace::actors
