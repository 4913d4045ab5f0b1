// SPDX-License-Identifier: MIT
// Versions: what this build says to other silos, and what it knows of others.
//
// They stand in a source of their own (versions.cc), so that a test can be linked as the program of
// a later build. What a silo keeps on its own disk has a version of its own: data_directory.h.
#pragma once

#include <cstdint>

namespace millrace::runtime {

/// The link protocol that this build speaks, from the oldest to the newest version.
extern const std::uint16_t link_version_min;
extern const std::uint16_t link_version_max;

/// The newest version of frames of copies that this build reads, and the one that it writes. It
/// grows only along with `link_version_min`: by then the hello has kept apart who differs.
extern const std::uint32_t replica_protocol;

/// The newest version of records of the coordination store that this build reads and writes. All
/// records of a cluster are in the version of its settings, which is that of the build that made
/// it: so a newer build in an older cluster writes what the others read, and an older one is not
/// let into a newer cluster. A field may be added without a new version if a silo that does not
/// know it may lose it: who changes a record writes all of it.
extern const std::uint32_t coordination_protocol;

}  // namespace millrace::runtime
