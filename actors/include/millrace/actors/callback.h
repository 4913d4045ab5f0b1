// SPDX-License-Identifier: MIT
// Callback: how a foreign system shows that it may say how a task has ended.
//
// A token names the run and the task, and has 128 bits of an HMAC-SHA256 (RFC 2104) of both by a
// key that only the run knows:
//
//   01900000-0000-7000-8000-000000000000.deploy.0123456789abcdef0123456789abcdef
//
// Whoever has it may end that task, once each time that it starts, and nothing else. It is the same
// after a retry of the run, since tasks that have succeeded pass it on no more: the word of before,
// sent again, ends the new wait too.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::actors {

/// The largest body: 64 KiB of outputs and a reason of 4 KiB, each byte of which may take 6 in
/// JSON.
inline constexpr std::size_t callback_body_bytes_max = std::size_t{512} << 10U;

/// What stands before a token in the path of a request.
inline constexpr std::string_view callback_path = "/api/v1/callbacks/";

struct callback_place {
  std::string run;
  std::string task;
};

/// 256 random bits.
[[nodiscard]] std::string make_callback_key();

[[nodiscard]] std::string make_callback_token(const callback_place& place, std::string_view key);

/// What a token names, whether or not it is good; nothing: it is none.
[[nodiscard]] std::optional<callback_place> callback_place_of(std::string_view token);

/// Whether they are the same; it takes the same time wherever they differ.
[[nodiscard]] bool is_same_token(std::string_view given, std::string_view wanted);

}  // namespace millrace::actors
