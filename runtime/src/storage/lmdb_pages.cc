// SPDX-License-Identifier: MIT
#include "storage/lmdb_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "byte_order.h"
#include "storage/files.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

// Offsets and flags as in LMDB 0.9's mdb.c (MDB_page, MDB_node, MDB_meta, MDB_db) on a machine of
// 64 bits; LMDB writes them as they lie in memory.
constexpr std::size_t page_head_bytes = 16;
constexpr std::size_t node_head_bytes = 8;
constexpr std::size_t tree_bytes = 48;
constexpr std::size_t meta_bytes = 136;
constexpr std::uint32_t meta_magic = 0xBEEFC0DE;
constexpr std::uint32_t data_version = 1;
constexpr std::uint16_t branch_page = 0x01;
constexpr std::uint16_t leaf_page = 0x02;
constexpr std::uint16_t overflow_page = 0x04;
constexpr std::uint16_t meta_page = 0x08;
constexpr std::uint16_t big_data = 0x01;
constexpr std::uint16_t sub_tree = 0x02;
constexpr std::uint16_t integer_key = 0x08;
constexpr std::uint16_t persistent_flags = 0x7fff;
constexpr std::uint64_t no_page = UINT64_MAX;
constexpr std::uint64_t meta_pages = 2;
constexpr std::size_t page_bytes_min = 512;
constexpr std::size_t page_bytes_max = 0x8000;
constexpr std::size_t key_bytes_max = 511;
constexpr std::uint16_t depth_max = 32;  // LMDB's CURSOR_STACK

std::uint16_t u16_at(const char* at) {
  return load_little<std::uint16_t>(at);
}
std::uint64_t u64_at(const char* at) {
  return load_little<std::uint64_t>(at);
}

lmdb_tree tree_at(const char* at) {
  lmdb_tree tree;
  tree.flags = u16_at(at + 4) & persistent_flags;
  tree.depth = u16_at(at + 6);
  tree.entries = u64_at(at + 32);
  tree.root = u64_at(at + 40);
  return tree;
}

// One page in memory, its header proven.
struct page_view {
  const char* bytes = nullptr;
  std::size_t size = 0;

  [[nodiscard]] std::uint64_t number() const { return u64_at(bytes); }
  [[nodiscard]] std::uint16_t flags() const { return u16_at(bytes + 10); }
  [[nodiscard]] std::size_t lower() const { return u16_at(bytes + 12); }
  [[nodiscard]] std::size_t upper() const { return u16_at(bytes + 14); }
  [[nodiscard]] std::size_t count() const { return (lower() - page_head_bytes) / 2; }
};

// One node of a page.
struct node_view {
  std::string_view key;
  std::uint64_t child = 0;     // of a branch
  std::uint16_t flags = 0;     // of a leaf
  std::size_t data_bytes = 0;  // of a leaf
  const char* data = nullptr;  // of a leaf
  std::size_t used_bytes = 0;  // in the page
};

// Nothing when the node does not lie within its page.
std::optional<node_view> node_at(const page_view& page, std::size_t index, bool branch) {
  const std::size_t offset = u16_at(page.bytes + page_head_bytes + 2 * index);
  if (offset < page.upper() || offset + node_head_bytes > page.size || offset % 2 != 0) {
    return std::nullopt;
  }
  const char* at = page.bytes + offset;
  const std::size_t key_bytes = u16_at(at + 6);
  const std::size_t rest = page.size - offset - node_head_bytes;
  if (key_bytes > key_bytes_max || key_bytes > rest) {
    return std::nullopt;
  }
  node_view node;
  node.key = {at + node_head_bytes, key_bytes};
  std::size_t inside = 0;
  const std::uint64_t low = u16_at(at) | static_cast<std::uint64_t>(u16_at(at + 2)) << 16U;
  if (branch) {
    node.child = low | static_cast<std::uint64_t>(u16_at(at + 4)) << 32U;
  } else {
    node.flags = u16_at(at + 4);
    node.data_bytes = low;
    node.data = at + node_head_bytes + key_bytes;
    inside = (node.flags & big_data) != 0 ? sizeof(std::uint64_t) : node.data_bytes;
  }
  if (inside > rest - key_bytes) {
    return std::nullopt;
  }
  node.used_bytes = (node_head_bytes + key_bytes + inside + 1) & ~std::size_t{1};
  return node;
}

}  // namespace

struct lmdb_pages::meta {
  std::uint64_t transaction = 0;
  std::uint64_t last_page = 0;
  std::size_t page_bytes = 0;
  lmdb_tree free;
  lmdb_tree main;
};

// One walk through one tree, with a buffer for each level.
class lmdb_pages::walker {
public:
  walker(const lmdb_pages& pages, const lmdb_tree& tree, const lmdb_key_range& range,
         const visitor& visit)
      : pages_(pages), tree_(tree), range_(range), visit_(visit), levels_(tree.depth) {
    for (auto& each : levels_) {
      each.resize(pages.page_bytes_);
    }
  }

  result<std::uint64_t> run() {
    if (tree_.root == no_page) {
      if (tree_.entries != 0 || tree_.depth != 0) {
        return error{pages_.damaged(0, "a tree without pages has entries")};
      }
      return std::uint64_t{0};
    }
    if (tree_.depth == 0 || tree_.depth > depth_max) {
      return error{pages_.damaged(tree_.root, "its tree has an impossible depth")};
    }
    if (auto walked = descend(tree_.root, 0, {}); !walked) {
      return walked.error();
    }
    return count_;
  }

private:
  // What the branches above promise for the keys of a page; an empty end is none.
  struct bounds {
    std::string_view from;
    std::string_view to;
    bool has_to = false;
  };

  [[nodiscard]] bool less(std::string_view a, std::string_view b) const {
    if ((tree_.flags & integer_key) != 0 && a.size() == 8 && b.size() == 8) {
      return u64_at(a.data()) < u64_at(b.data());
    }
    return a < b;
  }

  result<void> descend(std::uint64_t number, std::size_t level, const bounds& within) {
    const bool branch = level + 1 < tree_.depth;
    auto& buffer = levels_[level];
    if (auto usable = pages_.check_used(number); !usable) {
      return usable;
    }
    if (auto read = pages_.read(number, buffer.data(), buffer.size()); !read) {
      return read;
    }
    const page_view page{buffer.data(), buffer.size()};
    if (auto sound = check(page, number, branch); !sound) {
      return sound;
    }
    return branch ? walk_branch(page, level, within) : walk_leaf(page, within);
  }

  result<void> check(const page_view& page, std::uint64_t number, bool branch) const {
    if (page.number() != number) {
      return pages_.damaged(number, "it carries the number of another page");
    }
    if (page.flags() != (branch ? branch_page : leaf_page)) {
      return pages_.damaged(number, branch ? "it is no branch" : "it is no leaf");
    }
    // Only the list of free pages may keep a branch with one child (LMDB's ITS#8336).
    const auto count_min = branch && (tree_.flags & integer_key) == 0 ? 2U : 1U;
    if (page.lower() < page_head_bytes || page.lower() > page.upper() || page.upper() > page.size ||
        page.lower() % 2 != 0 || page.count() < count_min) {
      return pages_.damaged(number, "its bounds are impossible");
    }
    std::size_t used = 0;
    for (std::size_t index = 0; index < page.count(); ++index) {
      const auto node = node_at(page, index, branch);
      if (!node) {
        return pages_.damaged(number, "a node lies outside of it");
      }
      used += node->used_bytes;
    }
    // LMDB keeps a page's nodes packed.
    if (used != page.size - page.upper()) {
      return pages_.damaged(number, "its nodes overlap");
    }
    return {};
  }

  result<void> walk_branch(const page_view& page, std::size_t level, const bounds& within) {
    const auto count = page.count();
    std::vector<node_view> nodes(count);
    for (std::size_t index = 0; index < count; ++index) {
      nodes[index] = *node_at(page, index, true);
    }
    for (std::size_t index = 1; index < count; ++index) {
      const auto key = nodes[index].key;
      if ((index > 1 && !less(nodes[index - 1].key, key)) || less(key, within.from) ||
          (within.has_to && !less(key, within.to))) {
        return pages_.damaged(page.number(), "its keys are out of order");
      }
    }
    for (std::size_t index = 0; index < count; ++index) {
      const bounds child{index == 0 ? within.from : nodes[index].key,
                         index + 1 < count ? nodes[index + 1].key : within.to,
                         index + 1 < count || within.has_to};
      const bool before = child.has_to && !less(range_.from, child.to);
      const bool behind = !range_.to.empty() && !less(child.from, range_.to);
      if (before || behind) {
        continue;
      }
      if (auto walked = descend(nodes[index].child, level + 1, child); !walked) {
        return walked;
      }
    }
    return {};
  }

  result<void> walk_leaf(const page_view& page, const bounds& within) {
    std::string_view previous;
    for (std::size_t index = 0; index < page.count(); ++index) {
      const auto node = *node_at(page, index, false);
      if ((index > 0 && !less(previous, node.key)) || less(node.key, within.from) ||
          (within.has_to && !less(node.key, within.to)) || node.key.empty()) {
        return pages_.damaged(page.number(), "its keys are out of order");
      }
      previous = node.key;
      if (less(node.key, range_.from) || (!range_.to.empty() && !less(node.key, range_.to))) {
        continue;
      }
      if (auto visited = visit(page, node); !visited) {
        return visited;
      }
      ++count_;
    }
    return {};
  }

  result<void> visit(const page_view& page, const node_view& node) {
    if ((node.flags & ~(big_data | sub_tree)) != 0 ||
        (node.flags & (big_data | sub_tree)) == (big_data | sub_tree)) {
      return pages_.damaged(page.number(), "a node is of an unknown kind");
    }
    if ((node.flags & big_data) == 0) {
      return visit_(node.key, {node.data, node.data_bytes});
    }
    const auto first = u64_at(node.data);
    const auto pages = (page_head_bytes - 1 + node.data_bytes) / pages_.page_bytes_ + 1;
    for (std::uint64_t index = 0; index < pages; ++index) {
      if (auto usable = pages_.check_used(first + index); !usable) {
        return usable;
      }
    }
    large_.resize(pages * pages_.page_bytes_);
    if (auto read = pages_.read(first, large_.data(), large_.size()); !read) {
      return read;
    }
    const page_view head{large_.data(), large_.size()};
    if (head.number() != first || head.flags() != overflow_page ||
        load_little<std::uint32_t>(head.bytes + 12) != pages) {
      return pages_.damaged(first, "it is not the large value that it should be");
    }
    return visit_(node.key, {head.bytes + page_head_bytes, node.data_bytes});
  }

  const lmdb_pages& pages_;
  const lmdb_tree tree_;
  const lmdb_key_range range_;
  const visitor& visit_;
  std::vector<std::string> levels_;
  std::string large_;
  std::uint64_t count_ = 0;
};

error lmdb_pages::damaged(std::uint64_t page, std::string_view what) const {
  return error{errc::storage_failed, path_ + " is damaged: page " + std::to_string(page) + ": " +
                                         std::string{what} + "; " + remedy_};
}

result<std::unique_ptr<lmdb_pages>> lmdb_pages::open(const std::string& directory,
                                                     const char* remedy) {
  auto path = directory + "/data.mdb";
  auto file = open_plain(path, O_RDONLY);
  if (!file) {
    return file.error().code() == errc::not_found
               ? error{errc::not_found, path + " is missing; " + remedy}
               : file.error();
  }
  std::unique_ptr<lmdb_pages> pages{new lmdb_pages{std::move(path), *std::move(file), remedy}};
  struct stat info {};
  if (::fstat(pages->file_.get(), &info) != 0) {
    return file_error(errno, "cannot read", pages->path_);
  }
  pages->file_bytes_ = static_cast<std::uint64_t>(info.st_size);
  if (auto read = pages->read_metas(); !read) {
    return read.error();
  }
  return pages;
}

result<void> lmdb_pages::read(std::uint64_t page, char* to, std::size_t bytes) const {
  auto at = static_cast<off_t>(page * page_bytes_);
  while (bytes > 0) {
    const auto count = ::pread(file_.get(), to, bytes, at);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return file_error(errno, "cannot read", path_);
    }
    if (count == 0) {
      return damaged(page, "it lies behind the end of the file, which was cut short");
    }
    to += count;
    at += count;
    bytes -= static_cast<std::size_t>(count);
  }
  return {};
}

bool lmdb_pages::is_free(std::uint64_t page) const noexcept {
  return page < free_.size() && free_[page];
}

result<void> lmdb_pages::check_used(std::uint64_t page) const {
  if (page < meta_pages || page > last_page_) {
    return damaged(page, "it is referred to and cannot exist");
  }
  if (is_free(page)) {
    return damaged(page, "it is in use and on the list of free pages");
  }
  return {};
}

result<lmdb_pages::meta> lmdb_pages::read_meta(std::uint64_t index) const {
  std::array<char, page_head_bytes + meta_bytes> bytes{};
  if (auto got = read(index, bytes.data(), bytes.size()); !got) {
    return got.error();
  }
  const char* at = bytes.data() + page_head_bytes;
  const page_view head{bytes.data(), bytes.size()};
  if (head.number() != index || (head.flags() & meta_page) == 0 ||
      load_little<std::uint32_t>(at) != meta_magic ||
      load_little<std::uint32_t>(at + 4) != data_version) {
    return damaged(index, "it is no meta page of LMDB");
  }
  meta read;
  read.page_bytes = load_little<std::uint32_t>(at + 24);
  read.free = tree_at(at + 24);
  read.main = tree_at(at + 24 + tree_bytes);
  read.last_page = u64_at(at + 24 + 2 * tree_bytes);
  read.transaction = u64_at(at + 24 + 2 * tree_bytes + 8);
  if (!std::has_single_bit(read.page_bytes) || read.page_bytes < page_bytes_min ||
      read.page_bytes > page_bytes_max) {
    return damaged(index, "it gives an impossible page size");
  }
  return read;
}

// LMDB writes transaction n to meta page n % 2 and takes the page with the greater one; so a page
// that does not fit its neighbour hides the newest transaction or makes up one.
result<void> lmdb_pages::read_metas() {
  const auto first = read_meta(0);
  if (!first) {
    return first.error();
  }
  page_bytes_ = first->page_bytes;
  const auto second = read_meta(1);
  if (!second) {
    return second.error();
  }
  const auto even = first->transaction;
  const auto odd = second->transaction;
  const bool fresh = even == 0 && odd == 0;
  if (second->page_bytes != page_bytes_ ||
      (!fresh && (even % 2 != 0 || odd % 2 != 1 || (even > odd ? even - odd : odd - even) != 1))) {
    return damaged(even > odd ? 1 : 0, "the two meta pages do not belong together");
  }
  const auto& newest = even >= odd ? *first : *second;
  last_page_ = newest.last_page;
  main_ = newest.main;
  if (newest.free.flags != integer_key || main_.flags != 0) {
    return damaged(even >= odd ? 0 : 1, "it describes other trees than ours");
  }
  return read_free_list(newest.free);
}

result<void> lmdb_pages::read_free_list(const lmdb_tree& tree) {
  std::vector<std::uint64_t> pages;
  auto walked = walk(tree, {}, [&](std::string_view, std::string_view value) -> result<void> {
    const auto count = value.size() < 8 ? UINT64_MAX : u64_at(value.data());
    if (count >= value.size() / 8) {
      return damaged(tree.root, "a list of free pages is longer than its value");
    }
    for (std::uint64_t index = 1; index <= count; ++index) {
      pages.push_back(u64_at(value.data() + 8 * index));
    }
    return {};
  });
  if (!walked) {
    return walked.error();
  }
  std::sort(pages.begin(), pages.end());
  if (std::adjacent_find(pages.begin(), pages.end()) != pages.end() ||
      (!pages.empty() && (pages.front() < meta_pages || pages.back() > last_page_))) {
    return damaged(tree.root, "the list of free pages names one twice, or one that cannot exist");
  }
  if (auto fits = check_size(pages); !fits) {
    return fits;
  }
  free_.assign(pages.empty() ? 0 : pages.back() + 1, false);
  for (const auto page : pages) {
    free_[page] = true;
  }
  // The list's own pages were walked before it was known.
  walked = walk(tree, {}, [](std::string_view, std::string_view) { return result<void>{}; });
  return walked ? result<void>{} : walked.error();
}

// A page that a transaction took and gave up again is never written, so the file may end before the
// last page; everything behind its end is free then.
result<void> lmdb_pages::check_size(const std::vector<std::uint64_t>& free) const {
  const auto whole_pages = file_bytes_ / page_bytes_;
  if (whole_pages > last_page_) {
    return {};
  }
  const auto missing = last_page_ - whole_pages + 1;
  const auto behind = std::lower_bound(free.begin(), free.end(), whole_pages);
  if (static_cast<std::uint64_t>(free.end() - behind) == missing) {
    return {};
  }
  return error{errc::storage_failed, path_ + " is damaged: it has " + std::to_string(file_bytes_) +
                                         " bytes and its meta page says " +
                                         std::to_string((last_page_ + 1) * page_bytes_) +
                                         ", so it was cut short; " + remedy_};
}

result<std::optional<lmdb_tree>> lmdb_pages::find(std::string_view name) const {
  std::optional<lmdb_tree> found;
  auto walked = walk(main_, {}, [&](std::string_view key, std::string_view value) -> result<void> {
    if (key == name) {
      if (value.size() != tree_bytes) {
        return damaged(main_.root, "it describes no tree");
      }
      found = tree_at(value.data());
    }
    return {};
  });
  if (!walked) {
    return walked.error();
  }
  return found;
}

result<std::uint64_t> lmdb_pages::walk(const lmdb_tree& tree, const lmdb_key_range& range,
                                       const visitor& visit) const {
  auto count = walker{*this, tree, range, visit}.run();
  if (count && range.from.empty() && range.to.empty() && *count != tree.entries) {
    return damaged(tree.root, "its tree has " + std::to_string(*count) + " entries and " +
                                  std::to_string(tree.entries) + " were stored");
  }
  return count;
}

}  // namespace millrace::runtime
