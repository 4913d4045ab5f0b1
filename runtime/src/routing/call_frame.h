// SPDX-License-Identifier: MIT
// Call frames: what silos tell each other about calls, as bytes (schemas/millrace/routing.capnp).
//
// Decoding takes nothing on trust but its sender's good will: a peer is a silo of the same cluster,
// perhaps of another version, perhaps with a fault. What cannot be is refused, by frame.
#pragma once

#include <capnp/message.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "activation/wait_probe.h"
#include "millrace/runtime/call.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "routing/call_id.h"

namespace millrace::runtime {

/// One call further up a chain.
struct chain_link {
  call_id id;
  std::string type;
  std::string key;
};

/// The kinds of a message on a link.
enum class frame_kind : std::uint16_t {
  call = 1,
  answer = 2,
  cancel = 3,   ///< And probes, see `probe_frame`.
  replica = 4,  ///< Not of calls: for storage, see replica_frame.h.
};

/// A call, a one-way message or a delivery on its way.
struct call_frame {
  enum class what : std::uint8_t { call, one_way, forget };
  struct delivery_mark {
    actor_hash sender;
    std::uint64_t number = 0;
    partition_id partition{};  ///< The sender's.
    std::uint64_t epoch = 0;   ///< Of that; 0: not said.
    bool again = false;
  };

  what kind = what::call;
  call_id id;
  std::string type;
  std::string key;
  std::uint16_t method = 0;
  any_message params;                 ///< Of a frame that was decoded.
  std::optional<duration> time_left;  ///< Absent: no deadline.
  std::string idempotency_key;
  request_context context;
  std::optional<delivery_mark> delivery;
  std::vector<chain_link> chain;  ///< The nearest first.
  bool may_return = false;
  std::uint8_t forwards = 0;
};

/// The outcome of a call that wanted one.
struct answer_frame {
  call_id id;  ///< Its origin may be an earlier life of who gets this.
  result<any_message> outcome = any_message{};
  bool settled = false;
  std::string lives_on = {};
};

/// The caller of a call no longer waits.
struct cancel_frame {
  call_id id;
};

/// Follows a call to who serves it. It travels as a cancellation of no call with one field more,
/// which is just that for silos that do not know the field: they do nothing about it.
struct probe_frame {
  call_id call;  ///< Which its sender has made.
  wait_probe probe;
};

using routed_frame = std::variant<call_frame, answer_frame, cancel_frame, probe_frame>;

/// Calls further up than this are not told: a cycle through so many ends by its deadline.
inline constexpr std::size_t chain_links_max = 256;

/// The bytes of a frame. Ownership: it has them. Cost: of a small frame, one copy of its parts; it
/// asks the heap for nothing.
class encoded_frame {
public:
  /// `params`: in place of what the frame has.
  encoded_frame(const call_frame& frame, const any_message& params);
  explicit encoded_frame(const answer_frame& frame);
  explicit encoded_frame(const cancel_frame& frame);
  explicit encoded_frame(const probe_frame& frame);
  encoded_frame(const encoded_frame&) = delete;
  encoded_frame& operator=(const encoded_frame&) = delete;
  ~encoded_frame() = default;

  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }

private:
  void finish();

  // The table of segments of a message that has one, and that segment. The builder clears what it
  // has used.
  std::array<capnp::word, 97> words_{};
  capnp::MallocMessageBuilder message_{kj::ArrayPtr<capnp::word>{&words_[1], words_.size() - 1}};
  std::string whole_;  // of a message that has more
  std::string_view bytes_;
};

/// Errors: `invalid_argument` for what is no frame of that kind.
[[nodiscard]] result<routed_frame> decode_frame(std::uint16_t kind, std::string_view body);

}  // namespace millrace::runtime
