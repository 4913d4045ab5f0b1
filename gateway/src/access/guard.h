// SPDX-License-Identifier: MIT
// Guard: the one place where it is decided whether a request may be made.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "access/principal.h"
#include "access/rate_limit.h"
#include "access/token_list.h"
#include "http/reply.h"
#include "millrace/runtime/silo.h"

namespace millrace::gateway {

/// Whether pipelines are made of actors of this type. What their methods do, other routes do for
/// one project, so that `access::place::actor` wants `admin` for them.
[[nodiscard]] bool is_of_pipelines(std::string_view type);

/// Whether actors of this type are for other actors only, as their schema has it: what they store
/// is for `admin`. Of a type that is not millrace's, as far as `here` knows its schema.
[[nodiscard]] bool is_internal(const runtime::silo& here, std::string_view type);

/// The field with the signature of what is sent to a webhook, as GitHub and Gitea call it.
inline constexpr std::string_view signature_field = "X-Hub-Signature-256";

/// The text after `Bearer`, a scheme whose case does not matter (RFC 9110, 11.1). Errors:
/// `unauthenticated`: there is none, or something else.
[[nodiscard]] runtime::result<std::string_view> token_in(const http::request& received);

/// How often may be asked.
struct request_rates {
  /// Of each token, or where none is asked for of each address; a second's worth may come at once,
  /// or `requests_burst_min`. What comes with tokens counts for its address as well, which may have
  /// `address_share` times as many. 0: as many as come.
  unsigned a_second = 0;
  /// Requests without a good token that may come from one address at once; and then one a second.
  /// Those for what anybody may ask for are among them.
  unsigned wrong_tokens = 50;

  static constexpr unsigned requests_burst_min = 10;
  /// Behind one address there may be several people, and a proxy.
  static constexpr unsigned address_share = 10;
};

/// Requests of strangers in hand at a time: what comes signed to a webhook, and to callbacks, from
/// when its body is read until it is known whether its sender may do that. Their bodies together
/// have a share of the memory for bodies: see `http::server_options::bodies_bytes_max`.
inline constexpr int strangers_max = 128;
/// Of these from one address, or its network of IPv6: a proxy in front is one.
inline constexpr int strangers_of_address_max = 8;

/// What counts the requests of strangers in hand.
///
/// Threading: any.
class stranger_count : public std::enable_shared_from_this<stranger_count> {
public:
  /// One more from there, until the last copy of this goes; null: there are as many as may be.
  [[nodiscard]] std::shared_ptr<void> enter(const std::string& from);

private:
  void leave(const std::string& from);

  std::mutex mutex_;
  int all_ = 0;
  std::map<std::string, int> from_;
};

/// Threading: any.
class guard {
public:
  /// `tokens`: null: nobody is asked for one, and whoever reaches this may do everything.
  /// Requires: `here` and `tokens` outlive it.
  guard(runtime::silo& here, const token_list* tokens, request_rates rates);

  /// Calls `then` with the request, whose `by` is set, if its token may do what `needed` says; else
  /// answers: 401 without a token that is anybody's, 403 where its role is not enough, whether or
  /// not there is what it asks for, and 404 for a run of a project where it has none, as for a run
  /// that there is not. What asks too often is answered 429, but for routes that are for anybody;
  /// so are wrong tokens from an address where many have come from. Cost: `token_list::find`; for a
  /// run, unless the token is for all projects, a call to it too, after which `then` has a copy of
  /// the request, on another thread.
  void admit(http::request& received, http::reply answer, access needed, const http::handler& then);

  /// What `admit` would answer for its token, and for its role where that is known without a call,
  /// to a request whose body has not been read, else `unrouted`; nothing: it is known who sends it,
  /// and the body may be wanted. `needed`: null where the route has none; of a run, a role
  /// somewhere is enough here. What is refused to who is known counts as a request. Whatever the
  /// route, of nobody no body is read, but for what comes signed to a webhook, or to a callback: of
  /// that `actors::webhook_body_bytes_max` or `actors::callback_body_bytes_max`, if it says how
  /// long it is (else 411, 413), while there are not too many (else 429). Such a request has
  /// `stranger` then, as after `admit`.
  [[nodiscard]] std::optional<http::response> refuse_body(http::request& received,
                                                          const access* needed,
                                                          std::optional<http::response> unrouted);

  /// Whether anybody is asked for a token.
  [[nodiscard]] bool asks() const noexcept { return tokens_ != nullptr; }

  /// What to answer to a request whose signature, or token in the path, is not good: `why`, or that
  /// many such have come from there. It counts as a wrong token.
  [[nodiscard]] runtime::error count_wrong_token(const http::request& received,
                                                 const runtime::error& why);

  /// Requests that were answered 429.
  [[nodiscard]] std::uint64_t limited() const noexcept {
    return limited_.load(std::memory_order_relaxed);
  }

private:
  std::optional<http::response> refuse_strange_body(http::request& received);
  std::optional<runtime::error> check_role(const http::request& received, access needed) const;
  std::optional<runtime::error> let_in(http::request& received);
  std::optional<runtime::error> know_sender(http::request& received);
  std::optional<runtime::error> count_anybody(http::request& received);
  std::optional<runtime::error> count_request(const http::request& received);
  std::optional<runtime::duration> take_wrong_token(const std::string& from);
  runtime::error slow_down(const std::string& why, runtime::duration wait);
  void admit_to_run(http::request& received, http::reply answer, access needed,
                    const http::handler& then) const;

  runtime::silo& here_;
  const token_list* const tokens_;
  const request_rates rates_;
  std::atomic<std::uint64_t> limited_{0};
  const std::shared_ptr<stranger_count> strangers_ = std::make_shared<stranger_count>();
  std::mutex mutex_;  // for all below
  rate_limit requests_;
  rate_limit of_addresses_;
  rate_limit wrong_tokens_;
};

}  // namespace millrace::gateway
