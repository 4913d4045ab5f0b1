// SPDX-License-Identifier: MIT
#include "cli/machine_checks.h"

#include <doctest/doctest.h>

namespace millrace::gateway::cli {
namespace {

finding room_of(unsigned free_mib, unsigned all_mib, unsigned files = 100'000) {
  struct statvfs disk {};
  disk.f_frsize = 1U << 20U;
  disk.f_bavail = free_mib;
  disk.f_blocks = all_mib;
  disk.f_files = 1'000'000;
  disk.f_favail = files;
  return look_at_room(disk);
}

}  // namespace

TEST_CASE("a disk is well as long as tasks may write to it for a while") {
  CHECK(room_of(3'000, 100'000).state == verdict::ok);
  CHECK(room_of(2'000, 100'000).state == verdict::warn);
  CHECK(room_of(255, 100'000).state == verdict::fail);
  // A tenth of a small disk will do, which tasks leave free of it.
  CHECK(room_of(500, 4'000).state == verdict::ok);
  CHECK(room_of(101, 1'000).state == verdict::ok);
  CHECK(room_of(99, 1'000).state == verdict::fail);
  const auto few = room_of(3'000, 100'000, 9'999);
  CHECK(few.state == verdict::warn);
  CHECK(few.found == "2.9 GiB of 97.7 GiB are free, and 9999 more files fit");
  CHECK(few.remedy == "make room there, or name another disk with --data");
  CHECK(room_of(3'000, 100'000, 0).state == verdict::fail);
  struct statvfs uncounted {};
  uncounted.f_frsize = 1U << 20U;
  uncounted.f_bavail = uncounted.f_blocks = 3'000;
  CHECK(look_at_room(uncounted).state == verdict::ok);  // it counts no files
}

}  // namespace millrace::gateway::cli
