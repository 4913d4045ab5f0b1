// SPDX-License-Identifier: MIT
#include "millrace/actors/webhook.h"

#include <algorithm>
#include <array>

#include "definition/compiled.h"
#include "definition/fill_values.h"
#include "definition/value_json.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/name_rule.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// They say who asks, and are no business of who reads what is asked.
constexpr std::array credentials{std::string_view{"authorization"},
                                 std::string_view{"proxy-authorization"},
                                 std::string_view{"cookie"}};

bool is_credential(std::string_view name) {
  return std::find(credentials.begin(), credentials.end(), name) != credentials.end();
}

// Whether what is not there is null, or has no value.
enum class absence : bool { is_null, is_mistake };

class request_scope final : public expression_scope {
public:
  request_scope(const value& body, const webhook_request& request, absence absent)
      : body_(body), request_(request), absent_(absent) {}

  [[nodiscard]] std::optional<value> trigger(std::string_view name,
                                             const std::vector<std::string>& path) const override {
    if (name == "headers") {
      const auto found = request_.headers.find(path.front());
      return found != request_.headers.end() && !is_credential(path.front())
                 ? std::optional{make_value(found->second)}
                 : nothing();
    }
    const auto* found = part_of(body_, path);
    return found != nullptr ? std::optional{*found} : nothing();
  }

private:
  [[nodiscard]] std::optional<value> nothing() const {
    return absent_ == absence::is_null ? std::optional{make_value()} : std::nullopt;
  }

  const value& body_;
  const webhook_request& request_;
  const absence absent_;
};

error refused(const std::string& why) {
  return {errc::invalid_argument, why};
}

bool is_text(const webhook_request& request) {
  const auto type = request.headers.find("content-type");
  constexpr std::string_view text = "text/";
  return type != request.headers.end() && type->second.size() >= text.size() &&
         std::equal(text.begin(), text.end(), type->second.begin(),
                    [](char a, char b) { return a == b || a == b - 'A' + 'a'; });
}

result<value> body_of(const webhook_request& request) {
  if (request.body.empty()) {
    return make_value();
  }
  if (is_text(request)) {
    return make_value(request.body);
  }
  const auto read = parse_json(request.body);
  if (!read) {
    return refused("the body: " + read.error().text() +
                   "; have it sent as JSON (application/json), or as text/plain");
  }
  if (const auto found = rounded_integer_in(request.body); !found.empty()) {
    return refused("the body: " + found + " is an integer that does not fit into 64 bits; " +
                   "have it sent as a text");
  }
  return from_json_value(*read);
}

}  // namespace

std::string refusal_of_webhook_header(std::string_view name) {
  if (is_credential(name)) {
    return "says who asks, and cannot be read";
  }
  const auto is_upper = [](char each) { return each >= 'A' && each <= 'Z'; };
  return std::any_of(name.begin(), name.end(), is_upper) ? "is written in lower case here" : "";
}

result<webhook_start> read_webhook_request(schemas::CompiledWebhook::Reader webhook,
                                           const webhook_request& request) {
  const auto body = body_of(request);
  if (!body) {
    return error{body.error()};
  }
  const auto starts =
      decide(text_of(webhook.getWhen()), request_scope{*body, request, absence::is_null});
  if (!starts) {
    return refused("when: " + starts.error().text());
  }
  if (!*starts) {
    return webhook_start{};
  }
  const request_scope scope{*body, request, absence::is_mistake};
  const auto params = fill_values(values_of(webhook.getParams()), scope, "params");
  if (!params) {
    return refused(params.error().text());
  }
  auto once_for = fill(text_of(webhook.getOnceFor()), scope);
  if (!once_for) {
    return refused("once_for: " + once_for.error().text());
  }
  if (once_for->find('\0') != std::string::npos) {
    return refused("once_for: it has a NUL byte");
  }
  if (once_for->size() > once_for_bytes_max) {
    return refused("once_for: it has more than " + std::to_string(once_for_bytes_max) + " bytes");
  }
  return webhook_start{true, to_json(*params), *std::move(once_for)};
}

}  // namespace millrace::actors
