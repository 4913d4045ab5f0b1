// SPDX-License-Identifier: MIT
// Identity: the certificate that a server shows, from files that may be replaced while it runs.
//
// The files are looked at from time to time, not watched: a look is a system call a file, and does
// not care how they were replaced (by a copy, a rename, a link that points elsewhere).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/byte_stream.h"
#include "millrace/runtime/clock.h"

namespace millrace::gateway::http {

/// Where an identity tells what becomes of it; each may be unset.
struct identity_log {
  std::function<void(std::string_view)> info;   ///< Other files are in use.
  std::function<void(std::string_view)> warn;   ///< They could not be taken into use.
  std::function<void(std::string_view)> debug;  ///< A client was not let in.
};

/// Threading: `accept`, `refused` and `ends` from any thread, the rest from the owner's.
class identity {
public:
  /// `files.authorities`, unless it is empty, are those that clients must show a certificate of.
  /// Errors: as `runtime::load_server_tls`.
  [[nodiscard]] static runtime::result<std::shared_ptr<identity>> open(runtime::tls_files files,
                                                                       identity_log log);

  /// The server's end of a connection, with the certificate in use now.
  [[nodiscard]] std::unique_ptr<runtime::byte_stream> accept(int socket);

  /// A handshake failed.
  void refused(const runtime::stream_step& last) const;

  /// Takes the files into use if they have been replaced, and were left alone since the last look:
  /// a certificate and its key are two files, replaced one after the other. Files that cannot be
  /// used are told once, and what is in use stays.
  void look();

  /// Takes the files into use, replaced or not.
  void reload();

  /// When what is in use ends.
  struct end_times {
    runtime::wall_time certificate;                 ///< Or one between it and its authority.
    std::optional<runtime::wall_time> authorities;  ///< The first of those of clients; unset: none.
  };
  /// Threading: any.
  [[nodiscard]] end_times ends() const;

private:
  // Of each file: which it is, how long, and when it was changed.
  using stamps = std::array<std::array<std::int64_t, 5>, 3>;

  identity(runtime::tls_files files, identity_log log);
  [[nodiscard]] stamps stamps_now() const;
  [[nodiscard]] runtime::result<void> load();

  const runtime::tls_files files_;
  const identity_log log_;
  stamps tried_{};            // what was taken into use last, or could not be
  stamps seen_{};             // at the last look
  mutable std::mutex mutex_;  // for all below
  std::shared_ptr<runtime::tls_context> context_;
  end_times ends_{};
};

}  // namespace millrace::gateway::http
