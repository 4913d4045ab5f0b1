// SPDX-License-Identifier: MIT
// Errors: the one table of codes, and what a caller may do about each.
//
// A code exists only when some caller reacts to it by itself. Numbers are part of the wire and
// disk contract: append, never renumber or reuse. What an operation *did* when it failed is as
// important as why: `retry_class` tells whether the operation had no effect, whether it may have
// had one, or whether asking again cannot help.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::runtime {

/// The outcome codes callers branch on.
enum class errc : std::uint16_t {
  not_found = 1,             ///< The thing named does not exist.
  invalid_argument = 2,      ///< The request itself is malformed; it names the place.
  conflict = 3,              ///< It contradicts the present state (version, idempotency key).
  failed_precondition = 4,   ///< Correct, but not possible in the thing's present state.
  call_cycle = 5,            ///< The call chain returned to a busy actor; the path is in the text.
  deadline_exceeded = 6,     ///< No answer by the deadline; the effect is unknown once sent.
  overloaded = 7,            ///< A bounded queue is full; nothing was done; see `retry_after`.
  unavailable = 8,           ///< Not now: stopping, or a part is not ready; nothing was done.
  not_primary = 9,           ///< This silo does not hold the actor's partition.
  outcome_unknown = 10,      ///< It may or may not have taken effect.
  fenced = 11,               ///< A newer epoch exists; this holder's rights have ended.
  not_enough_replicas = 12,  ///< Too few copies to acknowledge a write.
  storage_failed = 13,       ///< The disk or its contents failed; nothing was acknowledged.
  permission_denied = 14,    ///< Known caller, not allowed.
  unauthenticated = 15,      ///< Unknown caller.
  internal = 16,             ///< A bug in an actor or in us; the text says where.
  cancelled = 17,            ///< The caller or an operator withdrew the work.
  unimplemented = 18,        ///< No such actor type or method on this silo.
  out_of_space = 19,         ///< Disk or map quota reached; writes are refused, reads go on.
  too_large = 20,            ///< A value, record or request is over its named limit.
};

/// A bound that every code's number stays below, for tables of them.
inline constexpr std::size_t error_codes_max = 32;

/// Whether the same request may be sent again.
enum class retry_class : std::uint8_t {
  never,    ///< The same request fails the same way.
  safe,     ///< It had no effect; send it again after `retry_after`.
  unknown,  ///< It may have had its effect; only idempotent or keyed requests may be sent again.
};

/// The snake_case name of a code, as it appears in JSON, logs and texts.
[[nodiscard]] std::string_view to_string(errc code) noexcept;

/// The inverse of `to_string`; `errc::internal` for a name this build does not know.
[[nodiscard]] errc errc_from_string(std::string_view name) noexcept;

/// The retry class of a code.
[[nodiscard]] retry_class retry_of(errc code) noexcept;

/// A failed outcome: a code for the program, a text for the person, a hint for the retry.
class error {
public:
  /// `text` names what failed, where, and the remedy.
  error(errc code, std::string text, std::chrono::milliseconds retry_after = {})
      : text_(std::move(text)), retry_after_(retry_after), code_(code) {}

  /// What the program branches on.
  [[nodiscard]] errc code() const noexcept { return code_; }

  /// One sentence for a person: what failed, where, and the remedy if there is one.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

  /// How long to wait before a retry; zero when there is no hint.
  [[nodiscard]] std::chrono::milliseconds retry_after() const noexcept { return retry_after_; }

  /// `code: text`.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const error&, const error&) = default;

private:
  std::string text_;
  std::chrono::milliseconds retry_after_{};
  errc code_;
};

}  // namespace millrace::runtime
