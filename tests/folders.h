// SPDX-License-Identifier: MIT
// Places for the files of a test.
#pragma once

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace millrace::testing {

/// A new empty folder, removed with its owner.
class temporary_folder {
public:
  temporary_folder() {
    std::string pattern = "/tmp/millrace-test-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

/// A file system of so many MiB; needs the right to mount one.
class small_disk {
public:
  explicit small_disk(std::filesystem::path path, unsigned mib = 32) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    const auto size = "size=" + std::to_string(mib) + "m";
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, size.c_str()) == 0;
    if (!mounted_) {
      MESSAGE("skipped: mounting a small file system is not permitted here");
    }
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  ~small_disk() {
    if (mounted_) {
      ::umount2(path_.c_str(), MNT_DETACH);
    }
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Takes all that is free, to the last page, but for `left` bytes.
  void fill(std::uintmax_t left = 0) const {
    std::ofstream ballast{path_ / "ballast", std::ios::binary};
    const std::string page(4096, 'x');
    while (ballast.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
    ballast.close();
    std::filesystem::resize_file(path_ / "ballast",
                                 std::filesystem::file_size(path_ / "ballast") - left);
  }
  /// Gives back what `fill` took.
  void make_room() const { std::filesystem::remove(path_ / "ballast"); }

private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

}  // namespace millrace::testing
