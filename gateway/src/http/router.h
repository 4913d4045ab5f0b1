// SPDX-License-Identifier: MIT
// Router: which handler answers a method and a path.
//
// Patterns are made of whole segments: a literal (`runs`), a parameter (`{id}`, any one
// non-empty segment, percent-decoded), and as the last one a rest (`{path...}`, one or more
// segments). Where several fit, a literal beats a parameter and a parameter beats a rest, segment
// by segment from the left.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "http/message.h"
#include "http/reply.h"

namespace millrace::gateway::http {

/// The table of routes; itself a handler.
///
/// Threading: fill it first; then `handle` may be called from any thread.
/// Cost: O(segments) map lookups, except where patterns overlap.
class router {
public:
  router();
  ~router();
  router(router&&) noexcept;
  router& operator=(router&&) noexcept;
  router(const router&) = delete;
  router& operator=(const router&) = delete;

  /// Requires: `pattern` begins with '/', is well-formed, and has no handler for `method` yet.
  void add(method method, std::string_view pattern, handler target);

  /// Calls the handler of the route with `request.param()` set. Otherwise answers itself: 404 for
  /// a path that has no route, 405 with Allow for one that has, 204 with Allow for OPTIONS. HEAD
  /// goes to the GET handler when it has none of its own; the server leaves the body out.
  void handle(request& request, reply answer) const;

  /// What `handle` answers itself; nothing: a handler sees the request, whose `route` and `param`
  /// are set.
  [[nodiscard]] std::optional<response> refusal(request& request) const;

  /// This table as a server's handler. Requires: the table outlives it.
  [[nodiscard]] handler as_handler() const {
    return [this](request& received, reply answer) { handle(received, std::move(answer)); };
  }

private:
  struct node;

  const node* find_node(request& request) const;
  static const handler* target_of(const node& found, method asked);
  static response refusal_of(const request& request, const node* found);
  const node* match(const node& at, const request& request, std::size_t index) const;

  std::unique_ptr<node> root_;
};

}  // namespace millrace::gateway::http
