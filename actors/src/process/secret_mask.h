// SPDX-License-Identifier: MIT
// Secret mask: a stream of bytes with `***` where a secret stood.
//
// A pure core. It looks for all values at once (Aho and Corasick, "Efficient string matching",
// 1975) and holds back what may be the begin of one, so it finds them wherever the pieces of the
// stream are cut. What overlaps is masked as one.
//
// Looked for are each line of a value, and the base64 of the whole of it, however it stands in what
// was encoded. Not found is what a command has changed in another way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::actors::process_detail {

/// A shorter line of a value is not looked for: it would mask what is no secret.
inline constexpr std::size_t masked_bytes_min = 4;

/// What is looked for.
///
/// Threading: any; it does not change. Cost: some 24 bytes of memory a byte of the values, and
/// eight times that for the base64 of those up to 4 KiB.
class secret_words {
public:
  explicit secret_words(const std::vector<std::string>& values);

  /// How far a word has been read: 0 for not at all.
  using state = std::uint32_t;
  [[nodiscard]] state next(state from, unsigned char byte) const;
  /// Whether a word begins with it.
  [[nodiscard]] bool begins(unsigned char byte) const { return from_root_[byte] != 0; }
  /// How many of the last bytes may be the begin of a word.
  [[nodiscard]] std::size_t begun(state at) const { return nodes_[at].depth; }
  /// How long the longest word is that ends here; 0: none does.
  [[nodiscard]] std::size_t found(state at) const { return nodes_[at].found; }

private:
  struct node {
    state child = 0;          // the first; 0: none
    state sibling = 0;        // the next child of its parent
    state fall_back = 0;      // the longest proper end of it that begins a word
    std::uint32_t depth = 0;  // its length
    std::uint32_t found = 0;  // see above
    unsigned char byte = 0;   // from its parent
  };

  void add(std::string_view word);
  void link();
  [[nodiscard]] state child_of(state parent, unsigned char byte) const;

  std::vector<node> nodes_{1};  // the first is the root
  std::array<state, 256> from_root_{};
};

/// One stream.
///
/// Threading: one thread at a time. Cost: linear in the bytes.
class secret_mask {
public:
  explicit secret_mask(std::shared_ptr<const secret_words> words) : words_(std::move(words)) {}

  /// What is certain of the stream after `bytes`, masked.
  [[nodiscard]] std::string add(std::string_view bytes);

  /// The rest: the stream ends here. A begin of a value that stands at the end is masked, too.
  [[nodiscard]] std::string finish();

private:
  void hide(std::size_t count);
  void emit(std::size_t count, std::string& into);

  // Places in the stream: from the first byte of a secret to behind its last.
  struct range {
    std::uint64_t from;
    std::uint64_t to;
  };

  std::shared_ptr<const secret_words> words_;
  secret_words::state at_ = 0;
  std::string held_;          // what is not certain yet
  std::uint64_t passed_ = 0;  // the place of its first byte
  std::deque<range> hidden_;  // in it, in order, apart from each other
  bool masking_ = false;      // the last byte that was let go was one of a secret
};

}  // namespace millrace::actors::process_detail
