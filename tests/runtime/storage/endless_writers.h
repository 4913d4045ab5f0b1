// SPDX-License-Identifier: MIT
// Endless writers: a workload that something ends, and what has to be there afterwards.
//
// One thread a writer; batch n of writer w puts `n` into every row of a set of rows, and leaves a
// trail row. Acknowledged numbers go through a pipe, eight bytes each.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "storage_fixture.h"

namespace millrace::runtime::testing {

inline constexpr unsigned endless_writers = 4;
inline constexpr std::uint64_t commits_in_flight = 8;  // of each
inline constexpr std::uint64_t rows_per_batch = 3;

/// The newest number of each writer.
using writer_numbers = std::array<std::uint64_t, endless_writers>;

inline row_ops endless_batch(std::uint64_t number) {
  row_ops ops;
  for (std::uint64_t index = 0; index < rows_per_batch; ++index) {
    ops.put("row" + std::to_string(index), std::to_string(number));
  }
  ops.put("trail/" + std::to_string(number % 64), std::string(number % 700, 'x'));
  return ops;
}

struct endless_writer {
  endless_writer(storage& to, int answers, unsigned number, std::uint64_t from)
      : store(to), pipe(answers), partition(number), next(from) {}
  storage& store;
  int pipe;
  unsigned partition;
  std::uint64_t next;
  std::mutex mutex;  // the first commits are answered while others are still made
};

inline void submit(const std::shared_ptr<endless_writer>& writer) {
  const std::lock_guard lock{writer->mutex};
  const auto number = writer->next++;
  commit_async(writer->store, writer->partition, endless_batch(number),
               [writer, number](const result<void>& outcome) {
                 if (outcome) {
                   const auto word =
                       (static_cast<std::uint64_t>(writer->partition) << 48U) | number;
                   (void)!::write(writer->pipe, &word, sizeof word);
                 }
                 submit(writer);
               });
}

/// For a child, which something else ends.
[[noreturn]] inline void write_for_ever(const storage_options& options, int pipe,
                                        const writer_numbers& from) {
  auto opened = open_storage(options);
  if (!opened) {
    const auto text = opened.error().to_string() + "\n";
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(1);
  }
  for (unsigned writer = 0; writer < endless_writers; ++writer) {
    auto state = std::make_shared<endless_writer>(**opened, pipe, writer, from[writer] + 1);
    for (std::uint64_t each = 0; each < commits_in_flight; ++each) {
      submit(state);
    }
  }
  for (;;) {
    ::pause();
  }
}

/// Reads what was acknowledged meanwhile, which has to be in order; how many, 0 at the end.
inline std::uint64_t read_acknowledged(int pipe, writer_numbers& acknowledged) {
  std::array<std::uint64_t, 512> words{};
  const auto bytes = ::read(pipe, words.data(), sizeof words);
  REQUIRE(bytes >= 0);
  REQUIRE(bytes % 8 == 0);
  const auto count = static_cast<std::size_t>(bytes) / 8;
  for (std::size_t index = 0; index < count; ++index) {
    auto& newest = acknowledged[words[index] >> 48U];
    const auto number = words[index] & 0xffffffffffffU;
    REQUIRE(number == newest + 1);
    newest = number;
  }
  return count;
}

inline std::uint64_t number_in(storage& store, unsigned partition) {
  const auto rows = read_now(store, partition, "row");
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().to_string()));
  if (rows->empty()) {
    return 0;
  }
  REQUIRE(rows->size() == rows_per_batch);
  for (const auto& each : *rows) {
    REQUIRE(each.value == rows->front().value);  // wholly or not at all
  }
  return std::stoull(rows->front().value);
}

/// Everything acknowledged is there, and at most what was in flight beside it; what is there counts
/// from now on.
inline void check_survivors(storage& store, writer_numbers& acknowledged) {
  for (unsigned writer = 0; writer < endless_writers; ++writer) {
    const auto found = number_in(store, writer);
    REQUIRE(found >= acknowledged[writer]);
    REQUIRE(found <= acknowledged[writer] + commits_in_flight);
    acknowledged[writer] = found;
    const auto trail = read_now(store, writer, "trail/" + std::to_string(found % 64));
    REQUIRE(trail);
    if (found > 0) {
      REQUIRE(trail->front().value.size() == found % 700);
    }
  }
}

}  // namespace millrace::runtime::testing
