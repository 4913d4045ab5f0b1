// SPDX-License-Identifier: MIT
// If-Match: a change only of what the client has seen (RFC 9110, 13.1.1).
//
// The actor decides: between a look at it and the change it may be another. So the tag goes along
// with the call as a number, and `conflict` is how the actor refuses it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "api/respond.h"
#include "http/entity_tags.h"

namespace millrace::gateway {

/// What If-Match says of the one thing that a request changes.
struct if_match {
  std::int64_t number =
      0;               ///< That the tag stands for, as `version_in` reads it; 0: none is named.
  bool any = false;    ///< `*`: whatever it is, if it is there.
  bool never = false;  ///< The tag is one that nothing here has.
};

/// The number that a strong tag has as its text; 0: it is none.
[[nodiscard]] std::int64_t version_in(std::string_view tag);

/// `number_in` reads a tag, 0 for one that it does not know.
/// Errors: `invalid_argument` for what is no list of ETags, or has more than one.
[[nodiscard]] runtime::result<if_match> if_match_in(
    const http::request& received, std::int64_t (*number_in)(std::string_view) = version_in);

/// 412; with the ETag of what there is, unless that is empty.
[[nodiscard]] http::response precondition_failed(const runtime::error& why,
                                                 std::string_view etag = {});

/// Why a tag that nothing has never matches.
[[nodiscard]] runtime::error unknown_tag();

/// Answers 412, with the tag (in its quotes, or empty) that `etag_of` finds in what `look` tells.
template <class Told, class Tag>
void fail_condition(runtime::silo& silo, const std::shared_ptr<http::reply>& answer,
                    const runtime::error& why, runtime::call<Told> look, Tag etag_of) {
  silo.call_then<Told>(std::move(look),
                       [answer, why, etag_of = std::move(etag_of)](runtime::result<Told> told) {
                         std::string etag;
                         if (told) {
                           etag = etag_of(*told);
                         }
                         answer->send(precondition_failed(why, etag));
                       });
}

/// Makes the call and answers with `render(results)`; 412 where it is refused by `conflict`, with
/// the ETag as above. `look()` makes the call that tells what there is.
template <class T, class Render, class Look, class Tag>
void call_if_match(runtime::silo& silo, const if_match& wanted, runtime::call<T> one,
                   http::reply answer, Render render, Look look, Tag etag_of) {
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  if (wanted.never) {
    fail_condition(silo, shared, unknown_tag(), look(), etag_of);
    return;
  }
  silo.call_then<T>(std::move(one),
                    [&silo, shared, render = std::move(render), look = std::move(look),
                     etag_of = std::move(etag_of)](runtime::result<T> results) {
                      if (!results && results.error().code() == runtime::errc::conflict) {
                        fail_condition(silo, shared, results.error(), look(), etag_of);
                      } else if (!results) {
                        shared->fail(results.error());
                      } else if constexpr (std::is_void_v<T>) {
                        shared->send(render());
                      } else {
                        shared->send(render(*results));
                      }
                    });
}

}  // namespace millrace::gateway
