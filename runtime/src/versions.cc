// SPDX-License-Identifier: MIT
#include "versions.h"

namespace millrace::runtime {

const std::uint16_t link_version_min = 1;
const std::uint16_t link_version_max = 1;
const std::uint32_t replica_protocol = 1;
const std::uint32_t coordination_protocol = 1;

}  // namespace millrace::runtime
