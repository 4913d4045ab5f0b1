// SPDX-License-Identifier: MIT
// Hello: the first frame of each end, and whether two ends may talk at all.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "link/lane.h"
#include "millrace/runtime/link_name.h"
#include "millrace/runtime/result.h"
#include "versions.h"

namespace millrace::runtime {

/// Who an end is.
struct link_identity {
  std::string cluster_id;
  link_name name;
  std::uint64_t incarnation = 1;  ///< One life of the process, above those before it; not 0.
  std::uint16_t version_min = link_version_min;
  std::uint16_t version_max = link_version_max;
};

/// What a hello says; the fields are those of `LinkHello` (schemas/millrace/link.capnp).
struct link_hello {
  struct lane_state {
    std::uint64_t received = 0;
    std::uint64_t credit = 0;
  };
  link_identity from;
  std::uint64_t connection = 0;
  std::uint64_t session = 0;
  std::array<lane_state, link_lane_count> lanes{};
  std::uint64_t message_bytes_max = 0;
};

/// Appends it as a frame.
void append_hello(std::string& out, const link_hello& said);

/// Errors: `invalid_argument` when it is no hello that an honest end of any version could send.
[[nodiscard]] result<link_hello> read_hello(std::string_view body);

/// The version that both speak. Errors: `failed_precondition`, with a text for the operators of
/// both ends, when they are of different clusters or have no version in common.
[[nodiscard]] result<std::uint16_t> agree(const link_identity& here, const link_identity& there);

}  // namespace millrace::runtime
