// SPDX-License-Identifier: MIT
// Certificates: the authority of a cluster, and the proofs of who its silos and gateways are.
//
// A cluster has an authority of its own, which signs nothing else: whoever has a certificate of it
// belongs to the cluster, in the role and under the name that the certificate says. Keys are on the
// curve P-256; files are PEM. The authority's key is needed to issue certificates only, and should
// lie where no silo runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/link_name.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Ten years: to replace an authority is to replace every certificate.
inline constexpr std::chrono::days authority_valid_for{3650};
/// A year. There is no revocation: what a certificate opens ends with it.
inline constexpr std::chrono::days certificate_valid_for{365};
/// The longest that may be asked for: a century.
inline constexpr std::chrono::days valid_for_max{36500};

/// A certificate and its key, as files.
struct certificate_files {
  std::string certificate;  ///< Path of `NAME.pem`.
  std::string key;          ///< Path of `NAME.key`.
};

/// What is to be proven.
struct certificate_request {
  link_name name;  ///< Who it is; the name is in `is_link_name`.
  std::vector<std::string> addresses =
      {};  ///< IP addresses and host names that it may be reached by.
  std::chrono::days valid_for = certificate_valid_for;  ///< From `now` on; at least a day.
};

/// Makes a new authority in `directory`, which is made (mode 0700) if there is none: `ca.pem` and
/// `ca.key`, mode 0600.
///
/// Errors: `conflict` when there is one already, which is left as it is; `invalid_argument` for a
/// length of time; as of files else. `now` is when it begins to be valid.
[[nodiscard]] result<certificate_files> make_authority(const std::string& directory,
                                                       std::chrono::days valid_for, wall_time now);

/// Issues a certificate of the authority in `directory`. It lies there with its key, in files that
/// are called as its owner is (silo.NAME.pem, silo.NAME.key), mode 0600, and does not outlast its
/// authority.
///
/// Errors: `not_found` without an authority; `conflict` when the files are there already, which are
/// left as they are; `failed_precondition` when the authority has expired; `invalid_argument` for a
/// name, address or length of time that is none; as of files else.
[[nodiscard]] result<certificate_files> issue_certificate(const std::string& directory,
                                                          const certificate_request& request,
                                                          wall_time now);

/// When the first of the certificates in a PEM file ends. Errors: `invalid_argument`, with the file
/// in the text, for what cannot be read or holds none.
[[nodiscard]] result<wall_time> end_of_certificates(const std::string& file);

}  // namespace millrace::runtime
