// SPDX-License-Identifier: MIT
// Replica frames: what the storages of two silos tell each other, as bytes
// (schemas/millrace/replica.capnp).
//
// A frame carries many messages of many partitions, in order. It does not name its sender: who that
// is the link has proven, and the decoder is told. What cannot be is refused, by frame.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"
#include "partition/replica_message.h"
#include "versions.h"

namespace millrace::runtime {

/// One message on its way from a copy to another of the same partition.
struct replica_item {
  partition_id partition{};
  copy_id to;
  replica_message message;
};

/// Entries in a row for the same copy, of the same epoch, become one item of the frame; all of them
/// carry the last one's `committed`. The silo of `from` stays out. Cost: two copies of the entries.
[[nodiscard]] std::string encode(std::span<const replica_item> items);

/// The messages that the frame carries, each from a copy on the silo `sender`.
///
/// Errors: `failed_precondition` for a frame of a later protocol, with a text for an operator;
/// `invalid_argument` for what is no frame.
/// Cost: a copy of the entries; what it allocates is bounded by the size of `body`.
[[nodiscard]] result<std::vector<replica_item>> decode_replica_frame(std::string_view body,
                                                                     const std::string& sender);

}  // namespace millrace::runtime
