// SPDX-License-Identifier: MIT
// Goal: every implementation of `storage` keeps the same promises.
// Method: each case runs on memory, on LMDB, and on LMDB with bounds so small that every few
// commits are frozen, checkpointed and trimmed, so that reads meet the overlay and the checkpoint
// in all mixtures.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include <map>
#include <thread>

#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

struct storage_under_test {
  scratch_directory scratch;
  std::unique_ptr<storage> store;
};

enum class kind { memory, lmdb, restless_lmdb };

std::unique_ptr<storage_under_test> make(kind which) {
  auto made = std::make_unique<storage_under_test>();
  if (which == kind::memory) {
    made->store = make_memory_storage(16);
    return made;
  }
  auto options = small_options(made->scratch.data());
  if (which == kind::restless_lmdb) {
    options.checkpoint_bytes = 1;
    options.checkpoint_interval_ms = 1;
    options.commit_bytes_max = 4096;
  }
  auto opened = open_storage(options);
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  made->store = std::move(*opened);
  return made;
}

constexpr std::array all_kinds{kind::memory, kind::lmdb, kind::restless_lmdb};

void for_each_storage(const std::function<void(storage&)>& check) {
  for (const auto which : all_kinds) {
    CAPTURE(static_cast<int>(which));
    check(*make(which)->store);
  }
}

TEST_CASE("a commit is readable once it is answered") {
  for_each_storage([](storage& store) {
    CHECK(rows_text(read_now(store, 1, "a")) == "");
    REQUIRE(commit_now(store, 1, put_row("a1", "x")));
    CHECK(rows_text(read_now(store, 1, "a")) == "a1=x");
    CHECK(rows_text(read_now(store, 2, "a")) == "");
    CHECK(scan_text(store, 1, "") == "a1=x");
    REQUIRE(commit_now(store, 1, put_row("a1", "y")));
    CHECK(rows_text(read_now(store, 1, "a1")) == "a1=y");
    REQUIRE(commit_now(store, 1, erase_row("a1")));
    CHECK(rows_text(read_now(store, 1, "")) == "");
    REQUIRE(commit_now(store, 1, erase_row("never there")));
    REQUIRE(commit_now(store, 1, row_ops{}));
  });
}

TEST_CASE("operations of one commit apply in order") {
  for_each_storage([](storage& store) {
    row_ops ops;
    ops.put("k", "1");
    ops.erase("k");
    ops.put("k", "2");
    ops.put("gone", "3");
    ops.erase("gone");
    REQUIRE(commit_now(store, 0, std::move(ops)));
    CHECK(rows_text(read_now(store, 0, "")) == "k=2");
  });
}

TEST_CASE("a read returns the rows below its prefix in key order") {
  for_each_storage([](storage& store) {
    for (const auto* key : {"b", "a/2", "a", "a/10", "a/1", "ab", "a\xff", "a0"}) {
      REQUIRE(commit_now(store, 3, put_row(key, "v")));
    }
    CHECK(rows_text(read_now(store, 3, "a/")) == "a/1=v a/10=v a/2=v");
    CHECK(rows_text(read_now(store, 3, "a\xff")) == "a\xff=v");
    CHECK(rows_text(read_now(store, 3, "c")) == "");
    CHECK(rows_text(read_now(store, 3, "")) == "a=v a/1=v a/10=v a/2=v a0=v ab=v a\xff=v b=v");
    CHECK(rows_text(read_now(store, 4, "")) == "");
  });
}

TEST_CASE("a scan starts at a key, ends at its limit and stops when told") {
  for_each_storage([](storage& store) {
    std::string all;
    for (int index = 100; index < 1000; ++index) {
      REQUIRE(commit_now(store, 2, put_row("k" + std::to_string(index), "")));
      all += (all.empty() ? "" : " ") + ("k" + std::to_string(index)) + "=";
    }
    REQUIRE(commit_now(store, 2, put_row("l", "")));
    CHECK(scan_text(store, 2, "k") == all);
    CHECK(scan_text(store, 2, "k", "k998") == "k998= k999=");
    CHECK(scan_text(store, 2, "k", "k9985", 1) == "k999=");
    CHECK(scan_text(store, 2, "k", "", 2) == "k100= k101=");
    CHECK(scan_text(store, 2, "k", "", 0) == "");
    int seen = 0;
    REQUIRE(store.scan(partition_id{2}, "k", "", SIZE_MAX, [&](const row&) { return ++seen < 7; }));
    CHECK(seen == 7);
  });
}

TEST_CASE("a key that is written again and again keeps its last value") {
  for_each_storage([](storage& store) {
    tally answers;
    for (int index = 0; index < 5000; ++index) {
      commit_async(store, 5, put_row("counter", std::to_string(index)), answers.expect());
    }
    answers.wait();
    CHECK(answers.succeeded() == 5000);
    CHECK(rows_text(read_now(store, 5, "counter")) == "counter=4999");
  });
}

TEST_CASE("commits of one partition are answered in the order of the calls") {
  for_each_storage([](storage& store) {
    std::array<std::vector<int>, 16> orders;
    tally answers;
    for (int index = 0; index < 2000; ++index) {
      auto counted = answers.expect();
      auto& order = orders[static_cast<std::size_t>(index) % orders.size()];
      commit_async(store, static_cast<unsigned>(index % 16), put_row("k", "v"),
                   [&order, index, counted](result<void> outcome) {
                     order.push_back(index);
                     counted(std::move(outcome));
                   });
    }
    answers.wait();
    for (const auto& order : orders) {
      CHECK(order.size() == 2000 / orders.size());
      CHECK(std::is_sorted(order.begin(), order.end()));
    }
  });
}

TEST_CASE("values of every size come back whole") {
  for_each_storage([](storage& store) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2000},
                                   std::size_t{4096}, std::size_t{1} << 20U, row_value_bytes_max}) {
      std::string value(size, '\0');
      for (std::size_t at = 0; at < size; ++at) {
        value[at] = static_cast<char>(at * 31 + size);
      }
      REQUIRE(commit_now(store, 7, put_row("large", value)));
      const auto rows = read_now(store, 7, "large");
      REQUIRE(rows);
      REQUIRE(rows->size() == 1);
      CHECK((*rows)[0].value == value);
    }
    const std::string longest(row_key_bytes_max, 'k');
    REQUIRE(commit_now(store, 7, put_row(longest, "v")));
    CHECK(rows_text(read_now(store, 7, longest)) == longest + "=v");
    CHECK(scan_text(store, 7, "k", longest + '\0') == "");
  });
}

TEST_CASE("a request for a partition that does not exist is refused") {
  for_each_storage([](storage& store) {
    CHECK(store.partition_count() == 16);
    CHECK(store.allocation_id().size() == 32);
    const auto refused = commit_now(store, 16, put_row("k", "v"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::invalid_argument);
    CHECK_FALSE(read_now(store, 16, ""));
    CHECK_FALSE(store.scan(partition_id{16}, "", "", 1, [](const row&) { return true; }));
  });
}

TEST_CASE("a commit over the limit is refused and the next one succeeds") {
  for_each_storage([](storage& store) {
    row_ops ops;
    for (int index = 0; index < 5; ++index) {
      ops.put("k" + std::to_string(index), std::string(row_value_bytes_max, 'v'));
    }
    const auto refused = commit_now(store, 0, std::move(ops));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::too_large);
    REQUIRE(commit_now(store, 0, put_row("k", "v")));
    CHECK(rows_text(read_now(store, 0, "")) == "k=v");
  });
}

// Goal: a reader sees each batch wholly or not at all, whatever the checkpoint does meanwhile.
// Method: writers set all rows of a group to one number; readers want one number only.
TEST_CASE("concurrent readers never see half a commit") {
  for_each_storage([](storage& store) {
    std::atomic<bool> finished{false};
    std::jthread writer{[&store, &finished] {
      for (int round = 0; round < 400; ++round) {
        tally answers;
        for (unsigned partition = 0; partition < 16; ++partition) {
          row_ops ops;
          for (int index = 0; index < 8; ++index) {
            ops.put("group/" + std::to_string(index), std::to_string(round));
          }
          commit_async(store, partition, std::move(ops), answers.expect());
        }
        answers.wait();
      }
      finished = true;
    }};
    std::size_t reads = 0;
    std::map<unsigned, int> newest;
    while (!finished) {
      const auto partition = static_cast<unsigned>(reads++ % 16);
      const auto rows = read_now(store, partition, "group/");
      REQUIRE(rows);
      if (rows->empty()) {
        continue;
      }
      REQUIRE(rows->size() == 8);
      for (const auto& each : *rows) {
        REQUIRE(each.value == rows->front().value);
      }
      const auto value = std::stoi(rows->front().value);
      REQUIRE(value >= newest[partition]);
      newest[partition] = value;
    }
  });
}

// Goal: overlay and checkpoint merge to what a simple map holds.
// Method: random puts and erases on few keys; every read and scan is compared with the map.
TEST_CASE("reads agree with a model under random changes") {
  for_each_storage([](storage& store) {
    std::map<std::string, std::string> model;
    std::uint32_t seed = 12345;
    const auto random = [&seed](std::uint32_t bound) {
      seed = seed * 1664525U + 1013904223U;
      return (seed >> 8U) % bound;
    };
    for (int round = 0; round < 600; ++round) {
      row_ops ops;
      for (std::uint32_t count = random(4) + 1; count > 0; --count) {
        const auto key = "k" + std::to_string(random(40));
        if (random(3) == 0) {
          ops.erase(key);
          model.erase(key);
        } else {
          ops.put(key, std::to_string(round));
          model[key] = std::to_string(round);
        }
      }
      REQUIRE(commit_now(store, 9, std::move(ops)));
      const auto prefix = "k" + std::to_string(random(5));
      std::string expected;
      for (const auto& [key, value] : model) {
        if (key.starts_with(prefix)) {
          expected += (expected.empty() ? "" : " ") + key + "=" + value;
        }
      }
      REQUIRE(rows_text(read_now(store, 9, prefix)) == expected);
      REQUIRE(rows_text(read_now(store, 9, {row_range::one(prefix)})) ==
              (model.contains(prefix) ? prefix + "=" + model[prefix] : ""));
      row_range middle;
      middle.prefix = "k";
      middle.from = prefix;
      middle.until = "k" + std::to_string(random(40));
      middle.limit = random(8);
      middle.value_bytes_max = 2;
      std::vector<row> cut;
      for (const auto& [key, value] : model) {
        if (key >= middle.from && key < middle.until && cut.size() < middle.limit) {
          cut.push_back({key, value.substr(0, 2)});
        }
      }
      auto twice = cut;
      twice.insert(twice.end(), cut.begin(), cut.end());
      REQUIRE(rows_text(read_now(store, 9, {middle, middle})) == rows_text(twice));
      std::vector<row_range> parts(random(4) + 1);
      std::vector<row> parted;
      for (auto& part : parts) {
        part.from = std::to_string(random(40));
        part.until = random(3) == 0 ? "" : std::to_string(random(40));
        part.prefix = random(3) == 0 ? std::to_string(random(4)) : "";
        part.limit = random(3) == 0 ? random(3) : SIZE_MAX;
        std::size_t taken = 0;
        for (const auto& [key, value] : model) {
          const auto rest = key.substr(1);
          if (key.starts_with("k") && rest.starts_with(part.prefix) && rest >= part.from &&
              (part.until.empty() || rest < part.until) && taken++ < part.limit) {
            parted.push_back({key, value});
          }
        }
      }
      REQUIRE(rows_text(read_now(store, 9, parts, "k")) == rows_text(parted));
      const auto limit = random(10) + 1;
      std::vector<row> first;
      for (const auto& [key, value] : model) {
        if (key >= prefix && first.size() < limit) {
          first.push_back({key, value});
        }
      }
      REQUIRE(scan_text(store, 9, "", prefix, limit) == rows_text(first));
    }
  });
}

TEST_CASE("stopping flushes what is queued and refuses what follows") {
  for_each_storage([](storage& store) {
    tally answers;
    for (int index = 0; index < 1000; ++index) {
      commit_async(store, 1, put_row("k" + std::to_string(index), "v"), answers.expect());
    }
    store.stop();
    CHECK(answers.succeeded() == 1000);
    const auto refused = commit_now(store, 1, put_row("late", "v"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::unavailable);
    CHECK(rows_text(read_now(store, 1, "k")).starts_with("unavailable"));
    store.stop();
  });
}

TEST_CASE("commits from many threads are all there") {
  for_each_storage([](storage& store) {
    tally answers;
    {
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&store, &answers, thread] {
          for (int index = 0; index < 2000; ++index) {
            commit_async(store, static_cast<unsigned>(thread), put_row(std::to_string(index), "v"),
                         answers.expect());
          }
        });
      }
    }
    answers.wait();
    CHECK(answers.succeeded() == 8000);
    for (unsigned partition = 0; partition < 4; ++partition) {
      const auto rows = read_now(store, partition, "");
      REQUIRE(rows);
      CHECK(rows->size() == 2000);
    }
    CHECK(store.stats().commits == 8000);
    CHECK(store.stats().group_commits <= 8000);
    CHECK(store.stats().journal_backlog_bytes == 0);
    CHECK_FALSE(store.saturated());
  });
}

}  // namespace
}  // namespace millrace::runtime
