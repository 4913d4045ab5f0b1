// SPDX-License-Identifier: MIT
#include "api/respond.h"

#include <charconv>

#include "access/principal.h"
#include "millrace/actors/name_rule.h"

namespace millrace::gateway {

using runtime::errc;
using runtime::error;
using runtime::result;

http::response answer_of(int status, capnp::DynamicStruct::Reader shown) {
  std::string text;
  runtime::to_json(shown, text);
  return http::json(status, std::move(text));
}

http::response answer_of(int status, const nlohmann::ordered_json& tree) {
  // Names and texts of others may be no UTF-8; they are shown as far as they are.
  return http::json(status,
                    tree.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

std::shared_ptr<const runtime::request_context> trace_of(const http::request& request,
                                                         quiet_trace quiet) {
  auto place = request.trace.own;
  const auto given = request.headers.find(runtime::traceparent_name);
  if (place && !place.is_sampled && !given && quiet == quiet_trace::left_out) {
    return nullptr;
  }
  if (!place && given) {
    place = runtime::parse_traceparent(*given).value_or(runtime::trace_context{});
  }
  return place ? std::make_shared<const runtime::request_context>(runtime::request_context{
                     {std::string{runtime::traceparent_name}, to_traceparent(place)}})
               : nullptr;
}

result<std::uint64_t> number_in_query(const http::request& request, std::string_view name,
                                      std::uint64_t fallback, std::uint64_t most) {
  const auto text = request.query(name);
  if (!text) {
    return fallback;
  }
  std::uint64_t number = 0;
  const auto* end = text->data() + text->size();
  const auto [after, failure] = std::from_chars(text->data(), end, number);
  if (failure != std::errc{} || after != end || number > most) {
    return error{errc::invalid_argument, "query parameter '" + std::string{name} +
                                             "' must be a number from 0 to " +
                                             std::to_string(most)};
  }
  return number;
}

std::string name_of_sender(const http::request& received) {
  return received.by != nullptr ? received.by->name : std::string{};
}

std::string key_of(const http::request& request) {
  return std::string{request.headers.find("Idempotency-Key").value_or("")};
}

std::string text_in_query(const http::request& request, std::string_view name) {
  return std::string{request.query(name).value_or("")};
}

result<std::string> name_in(std::string_view text, std::string_view what) {
  if (auto good = actors::check_name(what, text, actors::name_rule::thing); !good) {
    return std::move(good).error();
  }
  return std::string{text};
}

result<std::string> pipeline_key(const http::request& request) {
  const auto project = name_in(request.param("project"), "project");
  const auto name = name_in(request.param("name"), "pipeline");
  if (!project || !name) {
    return project ? name.error() : project.error();
  }
  return *project + "/" + *name;
}

}  // namespace millrace::gateway
