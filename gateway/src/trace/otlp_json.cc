// SPDX-License-Identifier: MIT
#include "trace/otlp_json.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace millrace::gateway {

namespace {

using nlohmann::ordered_json;

// 64-bit numbers are texts, as in any JSON form of Protobuf.
std::string nanoseconds(runtime::wall_time at) {
  return std::to_string(at.time_since_epoch().count());
}

ordered_json attribute(const std::string& name, const std::string& text) {
  return {{"key", name}, {"value", {{"stringValue", text}}}};
}

ordered_json attributes_of(const runtime::span& one) {
  auto list = ordered_json::array();
  for (const auto& [name, value] : one.attributes) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      list.push_back(attribute(name, *text));
    } else {
      const auto number = std::to_string(std::get<std::int64_t>(value));
      list.push_back({{"key", name}, {"value", {{"intValue", number}}}});
    }
  }
  return list;
}

ordered_json span_of(const runtime::span& one) {
  constexpr int error_code = 2;  // STATUS_CODE_ERROR
  ordered_json made;
  made["traceId"] = to_string(one.own.trace);
  made["spanId"] = to_string(one.own.span);
  if (one.parent != runtime::span_id::none) {
    made["parentSpanId"] = to_string(one.parent);
  }
  made["name"] = one.name;
  made["kind"] = static_cast<int>(one.kind);
  made["startTimeUnixNano"] = nanoseconds(one.start);
  made["endTimeUnixNano"] = nanoseconds(one.end);
  made["attributes"] = attributes_of(one);
  if (!one.events.empty()) {
    auto& list = made["events"] = ordered_json::array();
    for (const auto& [name, at] : one.events) {
      list.push_back({{"timeUnixNano", nanoseconds(at)}, {"name", name}});
    }
  }
  if (one.has_failed) {
    made["status"] = {{"code", error_code}, {"message", one.failure}};
  }
  return made;
}

}  // namespace

std::string otlp_json(const trace_resource& whose, std::span<const runtime::span> spans) {
  auto list = ordered_json::array();
  for (const auto& each : spans) {
    list.push_back(span_of(each));
  }
  const ordered_json scope{{"name", "millrace"}, {"version", whose.version}};
  const ordered_json resource{
      {"attributes", ordered_json::array({attribute("service.name", "millrace"),
                                          attribute("service.instance.id", whose.instance),
                                          attribute("service.version", whose.version)})}};
  auto scoped = ordered_json::array();
  scoped.push_back({{"scope", scope}, {"spans", std::move(list)}});
  auto all = ordered_json::array();
  all.push_back({{"resource", resource}, {"scopeSpans", std::move(scoped)}});
  const ordered_json whole{{"resourceSpans", std::move(all)}};
  return whole.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::size_t rejected_spans(std::string_view answer) {
  const auto read = nlohmann::json::parse(answer, nullptr, false);
  const auto partial = read.is_object() ? read.find("partialSuccess") : read.end();
  if (partial == read.end() || !partial->is_object()) {
    return 0;
  }
  const auto found = partial->find("rejectedSpans");
  if (found == partial->end()) {
    return 0;
  }
  if (found->is_number_unsigned()) {
    return found->get<std::size_t>();
  }
  std::size_t number = 0;
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

}  // namespace millrace::gateway
