// SPDX-License-Identifier: MIT
// LMDB pages: reads an environment's file by itself and trusts nothing in it.
//
// LMDB checks no page: a flipped bit in a branch hides rows, one in the list of free pages lets it
// write over living ones, and many end the process within it. This reader knows the file's format
// (LMDB 0.9, data version 1) and proves the structure that LMDB relies on before LMDB meets it:
//
//   - both meta pages are whole and belong to adjacent transactions, so none was rolled back;
//   - what lies behind the end of the file was never used (a file that was cut short is found);
//   - a page carries its own number and kind, its nodes lie inside it, its keys are in order and
//     within what the branches above it promise, all leaves are equally deep;
//   - no page in use is on the list of free pages;
//   - a tree has as many entries as its root says.
//
// It reads with pread: a disk that fails is an error, no signal.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {

/// What stands above the root page of one tree (LMDB's `MDB_db`).
struct lmdb_tree {
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = UINT64_MAX;  ///< Of an empty tree: no page.
};

/// The keys from `from` up to and without `to`; an empty `to` stands for the end.
struct lmdb_key_range {
  std::string_view from;
  std::string_view to;
};

/// The newest state in one environment's file.
///
/// Threading: `find` and `walk` from any thread, at the same time.
/// Requires: nobody writes to the environment while this is used.
class lmdb_pages {
public:
  /// `value` is valid until the visitor returns.
  using visitor = std::function<result<void>(std::string_view key, std::string_view value)>;

  /// Reads the meta pages of `directory`/data.mdb and walks its list of free pages and its main
  /// tree's root. Errors: `not_found` (no file), `storage_failed` naming file, page and `remedy`, a
  /// literal.
  [[nodiscard]] static result<std::unique_ptr<lmdb_pages>> open(
      const std::string& directory, const char* remedy = damage_remedy.data());

  lmdb_pages(const lmdb_pages&) = delete;
  lmdb_pages& operator=(const lmdb_pages&) = delete;
  ~lmdb_pages() = default;

  [[nodiscard]] const lmdb_tree& main() const noexcept { return main_; }

  /// The tree that the main one holds under `name`; none when there is none.
  [[nodiscard]] result<std::optional<lmdb_tree>> find(std::string_view name) const;

  /// Proves the part of `tree` that holds `range` and calls `visit` for its entries in order;
  /// returns their number. For the whole tree the number is compared with what its root says.
  /// Errors: those of `visit`; `storage_failed`.
  [[nodiscard]] result<std::uint64_t> walk(const lmdb_tree& tree, const lmdb_key_range& range,
                                           const visitor& visit) const;

  [[nodiscard]] const std::string& file() const noexcept { return path_; }
  /// What is wrong with page `page`, as an error that names the remedy.
  [[nodiscard]] error damaged(std::uint64_t page, std::string_view what) const;

private:
  lmdb_pages(std::string path, unique_fd file, const char* remedy)
      : path_(std::move(path)), file_(std::move(file)), remedy_(remedy) {}

  class walker;
  struct meta;

  result<void> read_metas();
  result<meta> read_meta(std::uint64_t index) const;
  result<void> read_free_list(const lmdb_tree& tree);
  result<void> check_size(const std::vector<std::uint64_t>& free) const;
  result<void> check_used(std::uint64_t page) const;
  result<void> read(std::uint64_t page, char* to, std::size_t bytes) const;
  [[nodiscard]] bool is_free(std::uint64_t page) const noexcept;

  std::string path_;
  unique_fd file_;
  const char* remedy_;
  std::size_t page_bytes_ = 4096;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t last_page_ = 0;
  lmdb_tree main_;
  std::vector<bool> free_;  // by page number
};

}  // namespace millrace::runtime
