// SPDX-License-Identifier: MIT
// Results of earlier runs in place of an attempt, and those of this one for later runs.
#include "cache/cache_key.h"
#include "millrace/cache.capnp.actor.h"
#include "pipeline/names.h"
#include "task/task_actor.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;

namespace {

// Results that are just being kept come first.
constexpr auto found_within = std::chrono::seconds{60};
constexpr auto artifacts_kept_within = std::chrono::seconds{10};

void put_parts(const cache_key& key, capnp::List<schemas::CachePart>::Builder into) {
  for (unsigned at = 0; at < into.size(); ++at) {
    into[at].setName(key.parts[at].name.c_str());
    into[at].setDigest(key.parts[at].digest);
  }
}

unsigned size_of(const cache_key& key) {
  return static_cast<unsigned>(key.parts.size());
}

}  // namespace

// What it has of artifacts and large outputs is this run's then. Empty: all of it; else what is
// missing and why, for a person.
async<std::string> task_actor::take_over(schemas::KeptResult::Reader found) {
  struct thing {
    std::string name;
    std::string digest;
    std::string executor;
    bool is_single = false;
  };
  std::vector<thing> things;
  for (auto each : found.getArtifacts()) {
    things.push_back({"artifact \"" + text_of(each.getName()) + "\"", text_of(each.getDigest()),
                      text_of(each.getExecutor())});
  }
  for (auto each : found.getOutputs()) {
    if (each.hasKept()) {
      const auto kept = each.getKept();
      things.push_back({"output \"" + text_of(each.getName()) + "\"", text_of(kept.getDigest()),
                        text_of(kept.getExecutor()), true});
    }
  }
  const auto run = text_of(found.getRun());
  for (const auto& each : things) {
    const auto kept =
        co_await as_result(ref<schemas::Executor>(each.executor)
                               .keep_for(text_of(spec().getRun()), each.digest,
                                         text_of(spec().getWish().getProject()), each.is_single)
                               .timeout(artifacts_kept_within));
    if (!kept) {
      auto why = each.name + " of run " + run;
      if (kept.error().code() == errc::not_found) {
        why += " is not kept any more";
      } else {
        why += " cannot be had from executor " + each.executor + ": " + kept.error().text();
      }
      co_return why;
    }
  }
  co_return std::string{};
}

// The error says why there is none, for a person.
async<result<task_actor::kept_result>> task_actor::find_kept() {
  const auto missed = [](errc code, std::string why) {
    return result<kept_result>{error{code, std::move(why)}};  // an error alone would end the turn
  };
  const auto key = cache_key_of(spec());
  schemas::result_cache_interface::find_params params;
  auto wanted = params.build();
  wanted.setTask(spec().getTask());
  wanted.setName(spec().getName());
  wanted.setKey(key.digest.c_str());
  wanted.setTtlNs(spec().getCache().getTtlNs());
  put_parts(key, wanted.initParts(size_of(key)));
  const auto told =
      co_await as_result(ref<schemas::ResultCache>(text_of(spec().getCache().getCache()))
                             .find(std::move(params))
                             .timeout(found_within));
  if (!told && runtime::retry_of(told.error().code()) == runtime::retry_class::safe) {
    throw told.error();  // not now: it is asked again
  }
  if (!told) {
    co_return missed(told.error().code(), "kept results cannot be read: " + told.error().text());
  }
  if (!told->found()) {
    co_return missed(errc::not_found, std::string{told->missed()});
  }
  kept_result found{told->result()};
  if (auto why = co_await take_over(found.read()); !why.empty()) {
    co_return missed(errc::not_found, std::move(why));
  }
  co_return result<kept_result>{std::move(found)};
}

// At least once, beside whatever else comes: while it waits, the attempt may end.
async<> task_actor::look_up(look_up_params params) {
  const auto is_wanted = [this, attempt = params.attempt()] {
    return spec_.contains(spec_row) && state().getLookingUp() && state().getAttempt() == attempt;
  };
  if (!is_wanted()) {
    co_return;
  }
  const auto found = co_await find_kept();
  if (!is_wanted()) {
    co_return;
  }
  auto task = attempts();
  if (found) {
    const auto reason = "result of run " + text_of(found->read().getRun());
    take(found->read(), reason);
    const auto effects = task.took_kept(reason);
    apply(task, effects, params.attempt());
  } else {
    edit().setCacheMiss(found.error().text().c_str());
    const auto effects = task.missed();
    apply(task, effects, params.attempt());
  }
}

void task_actor::take(schemas::KeptResult::Reader result, const std::string& reason) {
  auto root = edit();
  root.setCachedFrom(result.getRun());
  root.setExitCode(result.getExitCode());
  root.setOutputs(result.getOutputs());
  root.setArtifacts(result.getArtifacts());
  for (auto each : root.getArtifacts()) {
    each.setTask(spec().getName());
  }
  record_unstarted(schemas::AttemptEnd::CACHED, reason);
}

void task_actor::keep_result() {
  if (!spec().hasCache()) {
    return;
  }
  const auto key = cache_key_of(spec());
  schemas::result_cache_interface::keep_params params;
  auto made = params.build().initResult();
  made.setKey(key.digest.c_str());
  made.setTask(spec().getTask());
  made.setName(spec().getName());
  made.setLabel(spec().getLabel());
  made.setRun(spec().getRun());
  made.setKeptAt(nanoseconds(now()));
  made.setExitCode(state().getExitCode());
  made.setOutputs(state().getOutputs());
  made.setArtifacts(state().getArtifacts());
  put_parts(key, made.initParts(size_of(key)));
  send(ref<schemas::ResultCache>(text_of(spec().getCache().getCache())).keep(std::move(params)));
}

}  // namespace millrace::actors
