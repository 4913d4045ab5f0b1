// SPDX-License-Identifier: MIT
// Sealing: what opens, what does not, and which key files are taken.
#include "millrace/actors/secret_keyring.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "folders.h"

namespace millrace::actors {
namespace {

using runtime::errc;

// Of the key 00 01 ... 1f.
const std::string key_line = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::string bytes_of(std::string_view hex) {
  std::string made;
  for (std::size_t at = 0; at < hex.size(); at += 2) {
    made += static_cast<char>(std::stoi(std::string{hex.substr(at, 2)}, nullptr, 16));
  }
  return made;
}

struct key_files {
  millrace::testing::temporary_folder directory;

  std::filesystem::path write(const std::string& text, mode_t mode = 0600) const {
    const auto file = directory.path / "keys";
    std::ofstream{file} << text;
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    return file;
  }
  std::shared_ptr<const secret_keyring> open(const std::string& text) const {
    auto opened = secret_keyring::open(write(text));
    if (!opened) {
      FAIL(opened.error().to_string());
    }
    return *opened;
  }
};

// Goal: what is stored can be opened by other implementations. Method: a value that Python's
// `cryptography` has sealed, with the form of the header.
TEST_CASE("a value that was sealed elsewhere opens") {
  const key_files files;
  const auto keys = files.open(key_line);
  const auto sealed = bytes_of(
      "012af360198ef4d0186465666768696a6b6c6d6e6f206eb0121c9b64bfdf612e"
      "cab61fe24cd2640a5d22f9bad1");
  const auto opened = keys->unseal(sealed, {"default", "token"});
  if (!opened) {
    FAIL(opened.error().to_string());
  }
  CHECK(*opened == "hunter2!");
}

TEST_CASE("a sealed value opens, and two are never alike") {
  const key_files files;
  const auto keys = files.open(key_line);
  for (const auto& value : {std::string{}, std::string{"hunter2!"}, std::string{"two\nlines"},
                            std::string(65'536, 'x')}) {
    const auto sealed = keys->seal(value, {"default", "token"});
    CHECK(sealed.size() == value.size() + 37);
    CHECK(sealed.find("hunter2") == std::string::npos);
    CHECK(sealed != keys->seal(value, {"default", "token"}));
    CHECK(keys->unseal(sealed, {"default", "token"}).value() == value);
  }
}

TEST_CASE("a value that was tampered with, moved or cut does not open") {
  const key_files files;
  const auto keys = files.open(key_line);
  const auto sealed = keys->seal("hunter2!", {"default", "token"});
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    CAPTURE(at);
    auto changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK_FALSE(keys->unseal(changed, {"default", "token"}));
    CHECK_FALSE(keys->unseal(sealed.substr(0, at), {"default", "token"}));
  }
  CHECK(keys->unseal(sealed, {"default", "other"}).error().code() == errc::invalid_argument);
  CHECK(keys->unseal(sealed, {"other", "token"}).error().code() == errc::invalid_argument);
  CHECK_FALSE(keys->unseal(sealed, {"defaultt", "oken"}));
}

TEST_CASE("keys are rotated: the first seals, all open") {
  const key_files files;
  const auto other_line = secret_keyring::make_line();
  CHECK(other_line.size() == 64);
  CHECK(other_line != secret_keyring::make_line());
  const auto before = files.open("# of 2025\n\n" + key_line + "\n");
  const auto sealed = before->seal("hunter2!", {"default", "token"});

  const auto both = files.open(other_line + "\r\n" + key_line);
  CHECK(both->unseal(sealed, {"default", "token"}).value() == "hunter2!");
  const auto sealed_anew = both->seal("hunter2!", {"default", "token"});

  const auto after = files.open(other_line);
  CHECK(after->unseal(sealed_anew, {"default", "token"}).value() == "hunter2!");
  CHECK(after->unseal(sealed, {"default", "token"}).error().code() == errc::not_found);
  CHECK_FALSE(before->unseal(sealed_anew, {"default", "token"}));
}

TEST_CASE("a key file that others may read, or that is none, is refused by name") {
  const key_files files;
  const auto refusal = [](const std::filesystem::path& file) {
    auto opened = secret_keyring::open(file);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text().find(file.string()) != std::string::npos);
    CHECK(opened.error().text().find(key_line) == std::string::npos);
    return opened.error();
  };
  CHECK(refusal(files.directory.path / "none").code() == errc::not_found);
  CHECK(refusal(files.directory.path).text().ends_with(": is no file"));
  for (const mode_t mode : {0640U, 0604U, 0660U, 0606U, 0610U}) {
    CAPTURE(mode);
    CHECK(refusal(files.write(key_line, mode)).text().find("chmod 600") != std::string::npos);
  }
  CHECK(secret_keyring::open(files.write(key_line, 0400)));
  REQUIRE(std::filesystem::remove(files.directory.path / "keys"));
  CHECK(refusal(files.write("")).text().find("has no key") != std::string::npos);
  CHECK(refusal(files.write("# nothing\n")).text().find("has no key") != std::string::npos);
  CHECK(refusal(files.write(key_line + "\n" + key_line.substr(1) + "\n"))
            .text()
            .find("line 2 is no key") != std::string::npos);
  CHECK(refusal(files.write("g" + key_line.substr(1))).text().find("line 1 is no key") !=
        std::string::npos);
  CHECK(refusal(files.write(std::string(70'000, '#'))).text().find("64 KiB") != std::string::npos);
}

}  // namespace
}  // namespace millrace::actors
