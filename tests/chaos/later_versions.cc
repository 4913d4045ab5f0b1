// SPDX-License-Identifier: MIT
// What runtime/src/versions.cc is in a build that comes after this one; nothing else of it differs.
#include "versions.h"

namespace millrace::runtime {

const std::uint16_t link_version_min = MILLRACE_OLDEST_VERSION;
const std::uint16_t link_version_max = MILLRACE_OLDEST_VERSION + 1;
const std::uint32_t replica_protocol = MILLRACE_OLDEST_VERSION;
const std::uint32_t coordination_protocol = 2;

}  // namespace millrace::runtime
