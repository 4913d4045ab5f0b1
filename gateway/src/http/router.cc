// SPDX-License-Identifier: MIT
#include "http/router.h"

#include "http/problem.h"
#include "millrace/runtime/assert.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace millrace::gateway::http {
namespace {

constexpr std::array all_methods{method::get, method::head,  method::post,   method::put,
                                 method::del, method::patch, method::options};

}  // namespace

struct router::node {
  std::map<std::string, std::unique_ptr<node>, std::less<>> literals;
  std::unique_ptr<node> parameter;
  std::unique_ptr<node> rest;
  std::array<handler, all_methods.size()> handlers;
  // Names of the pattern's parameters by segment. They belong to the end node, so two patterns
  // may call the same segment differently.
  std::vector<std::pair<std::string, std::size_t>> names;
  std::string pattern;

  [[nodiscard]] handler& of(method which) { return handlers[static_cast<std::size_t>(which)]; }
  [[nodiscard]] const handler& of(method which) const {
    return handlers[static_cast<std::size_t>(which)];
  }
  [[nodiscard]] bool ends_here() const {
    return std::any_of(handlers.begin(), handlers.end(), [](const handler& h) { return !!h; });
  }
  [[nodiscard]] std::string allow() const {
    std::string list;
    for (const auto each : all_methods) {
      const bool implied =
          each == method::options || (each == method::head && of(method::get) != nullptr);
      if (of(each) || implied) {
        list += list.empty() ? "" : ", ";
        list += to_string(each);
      }
    }
    return list;
  }
};

router::router() : root_(std::make_unique<node>()) {}
router::~router() = default;
router::router(router&&) noexcept = default;
router& router::operator=(router&&) noexcept = default;

void router::add(method method, std::string_view pattern, handler target) {
  MILLRACE_ASSERT(pattern.starts_with('/'));
  MILLRACE_ASSERT(target != nullptr);
  std::vector<std::pair<std::string, std::size_t>> names;
  auto* at = root_.get();
  std::size_t index = 0;
  for (std::size_t begin = 1; begin < pattern.size(); ++index) {
    const auto end = std::min(pattern.find('/', begin), pattern.size());
    auto segment = pattern.substr(begin, end - begin);
    begin = end + 1;
    MILLRACE_ASSERT(!segment.empty());
    std::unique_ptr<node>* next = nullptr;
    if (segment.starts_with('{') && segment.ends_with("...}")) {
      MILLRACE_ASSERT(begin > pattern.size());
      names.emplace_back(segment.substr(1, segment.size() - 5), index);
      next = &at->rest;
    } else if (segment.starts_with('{') && segment.ends_with('}')) {
      names.emplace_back(segment.substr(1, segment.size() - 2), index);
      next = &at->parameter;
    } else {
      next = &at->literals[std::string{segment}];
    }
    if (*next == nullptr) {
      *next = std::make_unique<node>();
    }
    at = next->get();
  }
  MILLRACE_ASSERT(!at->of(method));
  MILLRACE_ASSERT(!at->ends_here() || at->names == names);
  at->names = std::move(names);
  at->pattern = pattern;
  at->of(method) = std::move(target);
}

const router::node* router::match(const node& at, const request& request, std::size_t index) const {
  if (index == request.segment_count()) {
    return at.ends_here() ? &at : nullptr;
  }
  const auto segment = request.segment(index);
  if (const auto literal = at.literals.find(segment); literal != at.literals.end()) {
    if (const auto* found = match(*literal->second, request, index + 1)) {
      return found;
    }
  }
  if (at.parameter && !segment.empty()) {
    if (const auto* found = match(*at.parameter, request, index + 1)) {
      return found;
    }
  }
  return at.rest.get();
}

const router::node* router::find_node(request& request) const {
  const auto* found = match(*root_, request, 0);
  if (found != nullptr) {
    request.route_ = found->pattern;
    request.params_.clear();
    for (const auto& [name, segment] : found->names) {
      request.params_.push_back({name, segment});
    }
  }
  return found;
}

const handler* router::target_of(const node& found, method asked) {
  const auto* target = &found.of(asked);
  if (!*target && asked == method::head) {
    target = &found.of(method::get);
  }
  return *target ? target : nullptr;
}

response router::refusal_of(const request& request, const node* found) {
  if (request.method == method::options && request.target() == "*") {
    auto made = empty();
    made.headers.add("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
    return made;
  }
  if (found == nullptr) {
    return problem_response(
        {runtime::errc::not_found, "no resource at " + std::string{request.path()}},
        request.target());
  }
  auto refusal = empty();
  if (request.method != method::options) {
    refusal = problem_response({.status = 405,
                                .cause = {runtime::errc::unimplemented,
                                          std::string{to_string(request.method)} +
                                              " is not a method of " + std::string{request.path()}},
                                .instance = request.target(),
                                .errors = {}});
  }
  refusal.headers.add("Allow", found->allow());
  return refusal;
}

std::optional<response> router::refusal(request& request) const {
  const auto* found = find_node(request);
  return found != nullptr && target_of(*found, request.method) != nullptr
             ? std::nullopt
             : std::optional{refusal_of(request, found)};
}

void router::handle(request& request, reply answer) const {
  const auto* found = find_node(request);
  const auto* target = found != nullptr ? target_of(*found, request.method) : nullptr;
  if (target != nullptr) {
    (*target)(request, std::move(answer));
  } else {
    answer.send(refusal_of(request, found));
  }
}

}  // namespace millrace::gateway::http
