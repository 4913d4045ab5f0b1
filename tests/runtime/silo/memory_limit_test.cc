// SPDX-License-Identifier: MIT
#include "millrace/runtime/memory_limit.h"

#include "folders.h"

namespace millrace::runtime {
namespace {

namespace fs = std::filesystem;

// A machine's `proc` and `sys`, as far as they are looked at.
class machine {
public:
  explicit machine(std::uint64_t memory_kib) {
    write("proc/meminfo",
          "MemTotal:       " + std::to_string(memory_kib) + " kB\nMemFree:         1000 kB\n");
  }
  machine& write(const fs::path& file, const std::string& text) {
    fs::create_directories((root_.path / file).parent_path());
    std::ofstream{root_.path / file} << text;
    return *this;
  }
  [[nodiscard]] std::optional<std::size_t> limit() const { return memory_limit(root_.path); }
  [[nodiscard]] std::optional<std::uint64_t> processors() const {
    return processor_limit(root_.path);
  }

private:
  testing::temporary_folder root_;
};

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

TEST_CASE("without cgroups the limit is the machine's memory") {
  CHECK(machine{4 << 20U}.limit() == 4 * gib);
}

TEST_CASE("the smallest limit of a version 2 cgroup and those above it counts") {
  machine here{4 << 20U};
  here.write("proc/self/cgroup", "0::/system.slice/millrace.service\n");
  CHECK(here.limit() == 4 * gib);
  here.write("sys/fs/cgroup/system.slice/millrace.service/memory.max", "max\n");
  CHECK(here.limit() == 4 * gib);
  here.write("sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
  CHECK(here.limit() == 2 * gib);
  here.write("sys/fs/cgroup/system.slice/millrace.service/memory.max", "1073741824\n");
  CHECK(here.limit() == gib);
}

TEST_CASE("a container that sees only its own version 2 cgroup finds its limit at the root") {
  machine here{4 << 20U};
  here.write("proc/self/cgroup", "0::/\n").write("sys/fs/cgroup/memory.max", "536870912\n");
  CHECK(here.limit() == gib / 2);
}

TEST_CASE("a version 1 cgroup counts beside others, and says so large a number for no limit") {
  machine here{4 << 20U};
  here.write("proc/self/cgroup",
             "12:cpu,cpuacct:/a\n7:hugetlb:/a\n4:memory:/docker/0123\n1:name=systemd:/a\n");
  here.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(here.limit() == 4 * gib);
  // Inside the container the path of the host is not there, its mount is the container's own.
  here.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
  CHECK(here.limit() == gib / 4);
}

TEST_CASE("a limit above the machine's memory is none, and nothing to read is nothing") {
  machine here{1 << 20U};
  here.write("proc/self/cgroup", "0::/x\n").write("sys/fs/cgroup/x/memory.max", "8589934592\n");
  CHECK(here.limit() == gib);
  CHECK_FALSE(memory_limit("/nowhere"));
}

TEST_CASE("a cgroup of either version bounds the processors, in thousandths") {
  machine second{1};
  second.write("proc/self/cgroup", "0::/a/b\n");
  CHECK_FALSE(second.processors());
  second.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK_FALSE(second.processors());
  second.write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  CHECK(second.processors() == 1'500);
  second.write("sys/fs/cgroup/a/b/cpu.max", "50000 200000\n");
  CHECK(second.processors() == 250);
  machine first{1};
  first.write("proc/self/cgroup", "12:cpu,cpuacct:/a\n4:memory:/a\n");
  first.write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  first.write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  CHECK_FALSE(first.processors());
  first.write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n");
  CHECK(first.processors() == 2'000);
  first.write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "0\n");
  CHECK_FALSE(first.processors());
}

TEST_CASE("this machine has one") {
  CHECK(memory_limit().value_or(0) > (1U << 20U));
}

}  // namespace
}  // namespace millrace::runtime
