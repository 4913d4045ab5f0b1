// SPDX-License-Identifier: MIT
// Pipeline benchmark: whole runs of commands that do nothing, beside bare posix_spawn.
//
//   bench_pipeline [--directory DIR] [--only NAME]
//
// Names: tasks, first, submit, expand, scale.
#include <malloc.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "millrace/actors/expansion.h"
#include "pipeline_node.h"

extern char** environ;

namespace {

using namespace millrace;
using namespace millrace::bench;
using runtime::ref;

std::string directory = "/tmp/millrace-bench-pipeline";

std::string fan_out(int width) {
  std::string text = "name: wide\ntasks:\n  - name: t\n    command: [/bin/true]\n    for_each: [";
  for (int at = 0; at < width; ++at) {
    text += at == 0 ? "1" : ",1";
  }
  return text + "]\n";
}

double timed_run(node& here) {
  const auto start = now();
  here.wait(here.submit());
  return now() - start;
}

double spawn_rate(int count) {
  char program[] = "/bin/true";
  char* words[] = {program, nullptr};
  const auto start = now();
  for (int at = 0; at < count; ++at) {
    pid_t child = -1;
    require(::posix_spawn(&child, program, nullptr, nullptr, words, environ) == 0, "posix_spawn");
    int status = 0;
    ::waitpid(child, &status, 0);
  }
  return count / (now() - start);
}

void bench_tasks() {
  constexpr int width = 2'000;
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int round = 0; round < 3; ++round) {
    theirs.push_back(spawn_rate(width));
    node here{directory};
    here.apply(fan_out(width));
    ours.push_back(width / timed_run(here));
  }
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  std::printf("%-12s ours %12.0f  yardstick %12.0f %-14s ratio %6.2f  target >= 0.5\n", "tasks",
              ours[1], theirs[1], "per second", ours[1] / theirs[1]);
}

// Of a run by itself, so that whatever is flushed until its command starts is in its way.
std::uint64_t flushes_before_start(node& here) {
  const auto started = here.host->processes().stats().started;
  const auto before = here.silo->rows().stats().group_commits;
  const auto run = std::async(std::launch::async, [&here] { here.wait(here.submit()); });
  while (here.host->processes().stats().started == started) {
    std::this_thread::yield();
  }
  const auto flushed = here.silo->rows().stats().group_commits - before;
  run.wait();
  // What tidies up behind the run must not count with the next.
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  return flushed;
}

void bench_first() {
  node here{directory};
  here.apply("name: one\ntasks: [{name: t, command: [/bin/true]}]\n");
  here.wait(here.submit());
  std::vector<double> ms;
  for (int at = 0; at < 300; ++at) {
    const auto before = here.silo->time().wall().time_since_epoch().count();
    const auto run = here.submit();
    here.wait(run);
    const auto task = here.silo->call(ref<schemas::Task>(run + "/t").describe());
    require(task.has_value(), "task");
    ms.push_back(static_cast<double>(task->attempts()[0].getStartedAt() - before) * 1e-6);
  }
  std::sort(ms.begin(), ms.end());
  std::printf(
      "%-12s submit to first command started: median %.2f ms, p99 %.2f ms  target p99 < 10\n",
      "first", ms[ms.size() / 2], ms[ms.size() * 99 / 100]);
  std::vector<std::uint64_t> flushes;
  for (int at = 0; at < 100; ++at) {
    flushes.push_back(flushes_before_start(here));
  }
  std::sort(flushes.begin(), flushes.end());
  std::printf("%-12s disk flushes from submit to first command started: median %llu, most %llu\n",
              "first", static_cast<unsigned long long>(flushes[flushes.size() / 2]),
              static_cast<unsigned long long>(flushes.back()));
}

// What a submit costs the processor, to the end of a run in which no task starts: what is left is
// reading the definition and storing the run.
void bench_submit() {
  for (const auto tasks : {1, 10, 100, 1'000}) {
    std::string text = "name: idle\nparams: {go: false}\ntasks:\n";
    for (int at = 0; at < tasks; ++at) {
      text +=
          "  - {name: t" + std::to_string(at) + ", command: [/bin/true], " +
          (at == 0 ? "when: \"${{ params.go }}\"" : "needs: [t" + std::to_string(at - 1) + "]") +
          "}\n";
    }
    node here{directory};
    here.apply(text);
    here.wait(here.submit());
    const auto runs = std::max(10, 1'000 / tasks);
    const auto start = std::clock();
    for (int at = 0; at < runs; ++at) {
      here.wait(here.submit());
    }
    const auto spent = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / runs;
    std::printf("%-12s a run of %d tasks that all are skipped: %.2f ms of processor time\n",
                "submit", tasks, spent * 1e3);
    std::fflush(stdout);
  }
}

// A pipeline of so many tasks, each with needs from among those before it.
template <class NeedsOf>
std::string graph_text(int count, NeedsOf&& needs_of) {
  std::string text = "name: large\ntasks:\n";
  for (int at = 0; at < count; ++at) {
    text += "  - {name: t" + std::to_string(at) + ", command: [/bin/true], needs: [" +
            needs_of(at) + "]}\n";
  }
  return text;
}

std::string chain(int count) {
  return graph_text(count, [](int at) { return at == 0 ? "" : "t" + std::to_string(at - 1); });
}

// Three of the hundred before each: wide enough that something always may start.
std::string random_graph(int count) {
  std::mt19937 numbers{7};
  return graph_text(count, [&numbers](int at) {
    std::set<int> needs;
    for (int left = at < 100 ? 0 : 3; left > 0; --left) {
      needs.insert(at - 1 - static_cast<int>(numbers() % 100));
    }
    std::string text;
    for (const auto need : needs) {
      text += (text.empty() ? "t" : ", t") + std::to_string(need);
    }
    return text;
  });
}

// From here on VmHWM is the most that is resident.
void forget_peak() {
  ::malloc_trim(0);
  std::ofstream{"/proc/self/clear_refs"} << "5";
}

// The cost of a task in a large run beside that in a small one of the same shape.
void bench_shape(const char* name, std::string (*text)(int), int few, int many) {
  std::vector<double> each_ms;
  for (const auto tasks : {few, many}) {
    node here{directory};
    here.apply(text(tasks));
    forget_peak();
    const auto before = memory_mb("VmRSS");
    const auto length = timed_run(here);
    each_ms.push_back(length * 1e3 / tasks);
    std::printf("%-12s %s of %d: %.1f s, %.2f ms a task, memory at most %+.0f MB\n", "scale", name,
                tasks, length, each_ms.back(), memory_mb("VmHWM") - before);
    std::fflush(stdout);
  }
  std::printf("%-12s %s: a task of %d costs %.2f of one of %d  target <= 1.3\n", "scale", name,
              many, each_ms[1] / each_ms[0], few);
  std::fflush(stdout);
}

void bench_scale() {
  bench_shape("a fan-out", fan_out, 2'000, 20'000);
  bench_shape("a chain", chain, 1'000, 10'000);
  bench_shape("a random graph", random_graph, 1'000, 10'000);
}

// What it takes to check a definition and to make the instances of all of its tasks, beside only
// reading its YAML.
void bench_expand() {
  for (const auto tasks : {1'000, 10'000}) {
    const auto text = random_graph(tasks);
    std::vector<double> ours;
    std::vector<double> yaml;
    for (int round = 0; round < 5; ++round) {
      auto start = now();
      require(YAML::Load(text).IsMap(), "yaml");
      yaml.push_back(now() - start);
      start = now();
      const auto made = actors::load_definition(text, "");
      require(made.definition.has_value(), "definition");
      std::size_t instances = 0;
      for (const auto& each : made.definition->tasks) {
        instances += actors::expand(each, actors::map_scope{})->size();
      }
      ours.push_back(now() - start);
      require(instances == static_cast<std::size_t>(tasks), "instances");
    }
    std::sort(ours.begin(), ours.end());
    std::sort(yaml.begin(), yaml.end());
    std::printf("%-12s ours %12.1f  yardstick %12.1f %-14s ratio %6.2f  %d tasks, yaml-cpp\n",
                "expand", ours[2] * 1e3, yaml[2] * 1e3, "ms", ours[2] / yaml[2], tasks);
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::string only;
  for (int at = 1; at + 1 < count; at += 2) {
    if (std::strcmp(arguments[at], "--only") == 0) {
      only = arguments[at + 1];
    } else if (std::strcmp(arguments[at], "--directory") == 0) {
      directory = arguments[at + 1];
    }
  }
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  if (only.empty() || only == "tasks") {
    bench_tasks();
  }
  if (only.empty() || only == "first") {
    bench_first();
  }
  if (only.empty() || only == "submit") {
    bench_submit();
  }
  if (only.empty() || only == "expand") {
    bench_expand();
  }
  if (only.empty() || only == "scale") {
    bench_scale();
  }
  std::filesystem::remove_all(directory);
}
