// SPDX-License-Identifier: MIT
// Call book: the calls under way between this silo and others, by the id that they go by.
//
// Open calls are this silo's, and wait for an answer of another one; served calls are of others,
// and are under way here. Threads of links, of turns and of callers meet here for each of them, so
// the book is in parts with a lock each. A call that leaves lies in the part that its envelope's
// address says, and the lowest bits of its number say which that is: whoever knows the number finds
// it, and whoever has the envelope knows which lock its id is under.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "activation/envelope.h"
#include "block_pool.h"
#include "routing/call_id.h"

namespace millrace::runtime::detail {

/// How often a call was sent already.
struct sent_before {
  unsigned redirects = 0;  ///< At once, to who has it by a newer map.
  unsigned repeats = 0;    ///< Although it may have begun.
};

struct open_call {
  envelope* call = nullptr;  ///< With a reference.
  std::string silo;
  sent_before before;
  std::unique_ptr<call_span> span;  ///< Of a sampled trace.
};

/// Threading: any thread, but for `begin` and `clear`. Cost: a lock that few others want at the
/// same time, and a look into a hash table, unless said otherwise. What it gives has a reference,
/// which goes to who called.
class call_book {
public:
  call_book() = default;
  call_book(const call_book&) = delete;
  call_book& operator=(const call_book&) = delete;
  ~call_book() { clear(); }

  /// The origin of the calls that are made here.
  void begin(std::uint64_t incarnation) noexcept { incarnation_ = incarnation; }
  /// Drops all of them.
  void clear();

  // --- open calls ------------------------------------------------------------------------------

  /// An id for a call that leaves.
  [[nodiscard]] call_id next_id(const envelope& one) noexcept;
  /// Keeps the call under its next id until it is closed; from now on another thread may answer it.
  /// False for what an activation has sent that has ended: its successor, which is made after that,
  /// knows of none that is not open by then.
  [[nodiscard]] bool open(envelope& one, const call_id& id, std::string silo, sent_before before,
                          std::unique_ptr<call_span> span = nullptr);
  /// Nothing if it is not open, or was sent to another silo than that.
  [[nodiscard]] std::optional<open_call> close(const call_id& id, std::string_view silo);
  /// All that are lost, by `is_lost(const open_call&)`, which is called under a lock. Cost:
  /// O(open).
  template <class Is>
  [[nodiscard]] std::vector<open_call> close_if(Is is_lost);
  [[nodiscard]] std::size_t open_count() const;

  /// A durable send of which an earlier activation of its sender has one under way, in the same
  /// epoch: from now on the answer to that is for this one. False when there is none.
  [[nodiscard]] bool stand_in(envelope& one);

  /// Where an open call went, and its id.
  [[nodiscard]] std::optional<std::pair<std::string, call_id>> whereabouts(const envelope& call);

  /// Of a call above one that leaves; it may just be given another.
  [[nodiscard]] call_id id_of(const envelope& call) const;
  /// The call stays here after all.
  void forget_id(envelope& call);

  /// By which wait probes know a turn or a call, given when it is asked for first. Requires: in a
  /// turn of the activation that serves it.
  [[nodiscard]] std::uint64_t wait_number_of(envelope& one);

  // --- served calls ----------------------------------------------------------------------------

  /// Gives it that id, and keeps it, unless that one is served already.
  void serve(envelope& one, const call_id& id);
  /// Null if it is not served.
  [[nodiscard]] envelope* end_serving(const call_id& id);
  [[nodiscard]] envelope* served(const call_id& id);

  /// Open or served; null for neither.
  [[nodiscard]] envelope* find(const call_id& id);

private:
  static constexpr unsigned part_bits = 4;  // several times the threads that meet here
  static constexpr std::size_t part_count = std::size_t{1} << part_bits;
  static constexpr std::size_t cache_line = 64;

  template <class Key, class Value>
  using table = std::unordered_map<Key, Value, std::hash<Key>, std::equal_to<Key>,
                                   block_allocator<std::pair<const Key, Value>>>;

  struct alignas(cache_line) part {
    mutable std::mutex mutex;
    table<std::uint64_t, open_call> open;  // by number
    table<call_id, envelope*> served;      // each with a reference
  };
  using send_key = std::pair<actor_hash, std::uint64_t>;

  [[nodiscard]] static std::size_t part_number(const envelope& one) noexcept;
  [[nodiscard]] part& part_of(const envelope& one) noexcept { return parts_[part_number(one)]; }
  [[nodiscard]] const part& part_of(const envelope& one) const noexcept {
    return parts_[part_number(one)];
  }
  [[nodiscard]] part& part_of(std::uint64_t number) noexcept { return parts_[number % part_count]; }
  void forget_send(const envelope& closed, std::uint64_t number);
  void set_id(envelope& call, const call_id& id);

  std::uint64_t incarnation_ = 0;
  std::atomic<std::uint64_t> calls_{0};         // that have left
  std::atomic<std::uint64_t> wait_numbers_{0};  // that were given
  std::array<part, part_count> parts_;
  std::mutex sends_mutex_;                   // taken before a part's
  std::map<send_key, std::uint64_t> sends_;  // durable ones that are open, or just were
};

template <class Is>
std::vector<open_call> call_book::close_if(Is is_lost) {
  std::vector<open_call> closed;
  for (auto& each : parts_) {
    std::vector<std::uint64_t> numbers;
    const auto before = closed.size();
    {
      const std::lock_guard lock{each.mutex};
      for (const auto& [number, call] : each.open) {
        if (is_lost(call)) {
          numbers.push_back(number);
        }
      }
      for (const auto number : numbers) {
        closed.push_back(std::move(each.open.extract(number).mapped()));
      }
    }
    for (std::size_t at = 0; at < numbers.size(); ++at) {
      forget_send(*closed[before + at].call, numbers[at]);
    }
  }
  return closed;
}

}  // namespace millrace::runtime::detail
