// SPDX-License-Identifier: MIT
#include "activation/call_span.h"

#include <utility>

#include "activation/envelope.h"
#include "routing/call_frame.h"

namespace millrace::runtime::detail {

namespace {

struct span_envelope final : envelope {
  explicit span_envelope(span what) : envelope(envelope_kind::span), told(std::move(what)) {}
  span told;
};

std::unique_ptr<call_span> new_span(const envelope& one, span_kind kind, const trace_options& to,
                                    const clock& time) {
  const auto place = to.sink ? trace_of(*one.context) : std::nullopt;
  if (!place || !place->is_sampled) {
    return nullptr;
  }
  static thread_local rng random;
  auto made = std::make_unique<call_span>();
  made->own = {place->trace, new_span_id(random), true};
  made->parent = place->span;
  made->kind = kind;
  made->start = time.wall();
  made->context = one.context;
  return made;
}

span told_of(const call_span& ended, const envelope& one, const clock& time, const error* failure) {
  const auto name =
      std::string{one.interface->type} + "/" + std::string{one.interface->methods[one.method].name};
  span told{
      .own = ended.own,
      .parent = ended.parent,
      .name = name,
      .kind = ended.kind,
      .start = ended.start,
      .end = time.wall(),
      .attributes = {
          {"rpc.system.name", "millrace"}, {"rpc.method", name}, {"millrace.actor.key", one.key}}};
  if (failure != nullptr) {
    told.has_failed = true;
    told.failure = failure->text();
    told.attributes.push_back({"error.type", std::string{to_string(failure->code())}});
  }
  return told;
}

}  // namespace

envelope* span_message(span told) {
  return new span_envelope{std::move(told)};
}

span take_span(envelope& from) {
  return std::move(static_cast<span_envelope&>(from).told);
}

void begin_served_span(envelope& one, const trace_options& to, const clock& time) {
  const auto kind = one.routed() ? span_kind::server : span_kind::internal;
  auto made = new_span(one, kind, to, time);
  if (!made) {
    return;
  }
  auto below = *one.context;
  below[std::string{traceparent_name}] = to_traceparent(made->own);
  one.context = std::make_shared<const request_context>(std::move(below));
  one.extra().span = std::move(made);
}

void end_served_span(envelope& one, const trace_options& to, const clock& time,
                     const error* failure) {
  const auto ended = std::move(one.extra().span);
  one.context = ended->context;
  to.sink->ended(told_of(*ended, one, time, failure));
}

std::unique_ptr<call_span> sent_span_of(const envelope& one, call_frame& frame,
                                        const trace_options& to, const clock& time) {
  auto made = new_span(one, span_kind::client, to, time);
  if (made) {
    frame.context[std::string{traceparent_name}] = to_traceparent(made->own);
  }
  return made;
}

void end_sent_span(const call_span& ended, const envelope& one, std::string_view silo,
                   const trace_options& to, const clock& time, const error* failure) {
  auto told = told_of(ended, one, time, failure);
  told.attributes.push_back({"server.address", std::string{silo}});
  to.sink->ended(std::move(told));
}

}  // namespace millrace::runtime::detail
