// SPDX-License-Identifier: MIT
#include "cache/cache_actor.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cache/cache_key.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;
using runtime::message;
using runtime::ref;

namespace {

constexpr std::uint32_t page_default = 100;
constexpr std::uint32_t page_max = 1'000;
constexpr std::size_t forgotten_at_once = 200;
constexpr unsigned time_digits = 20;

std::string place_of(std::string_view task, std::string_view key) {
  return std::string{task} + "/" + std::string{key};
}

std::string age_of(std::int64_t kept_at, const std::string& place) {
  return padded(static_cast<std::uint64_t>(kept_at), time_digits) + "/" + place;
}

message<schemas::ResultPlace> row_of(const std::string& place, schemas::KeptResult::Reader result) {
  message<schemas::ResultPlace> made;
  auto row = made.build();
  row.setPlace(place.c_str());
  row.setKeptAt(result.getKeptAt());
  row.setBytes(result.totalSize().wordCount * sizeof(capnp::word));
  return made;
}

}  // namespace

async<cache_actor::find_results> cache_actor::find(find_params params) {
  find_results results;
  auto found = co_await results_.get(place_of(params.task(), params.key()));
  if (!found) {
    const auto why = co_await why_missed(params);
    results.build().setMissed(why.c_str());
    co_return results;
  }
  const auto result = found->read();
  if (params.ttl_ns() > 0 && nanoseconds(now()) - result.getKeptAt() >= params.ttl_ns()) {
    results.build().setMissed(
        ("the result of run " + text_of(result.getRun()) + " has expired").c_str());
    co_return results;
  }
  results.build().setFound(true);
  results.build().setResult(result);
  co_return results;
}

// By the last result of the same instance.
async<std::string> cache_actor::why_missed(const find_params& params) {
  constexpr const char* none = "no result of it is kept";
  const auto latest = co_await latest_.get(std::string{params.name()});
  if (!latest) {
    co_return none;
  }
  const auto before = co_await results_.get(text_of(latest->read().getPlace()));
  if (!before) {
    co_return none;
  }
  const auto changed = changed_parts(before->read().getParts(), params.read().getParts());
  co_return "changed since run " + text_of(before->read().getRun()) + ": " + changed;
}

// What there was in its place goes with the age that it leaves behind.
async<> cache_actor::keep(keep_params params) {
  const auto result = params.read().getResult();
  const auto place = place_of(text_of(result.getTask()), text_of(result.getKey()));
  const auto row = row_of(place, result);
  results_.put(place, message<schemas::KeptResult>{result});
  latest_.put(text_of(result.getName()), row);
  ages_.put(age_of(result.getKeptAt(), place), row);
  auto root = edit();
  root.setAges(root.getAges() + 1);
  root.setBytes(root.getBytes() + row.read().getBytes());
  if (!root.getMakingRoom() &&
      (root.getAges() > kept_results_max || root.getBytes() > kept_results_bytes_max)) {
    root.setMakingRoom(true);
    send(ref<schemas::ResultCache>(key()).make_room());
  }
  return {};
}

// Some more than what is too much. All is read before anything changes, since what is read after a
// change waits for the disk.
async<> cache_actor::make_room() {
  const auto oldest = co_await ages_.page("", forgotten_at_once);
  std::vector<std::string> results;
  std::vector<std::string> latest;
  for (const auto& each : oldest.entries) {
    const auto age = each.content.read();
    const auto place = text_of(age.getPlace());
    const auto result = co_await results_.get(place);
    if (!result || result->read().getKeptAt() != age.getKeptAt()) {
      continue;  // another has replaced it
    }
    results.push_back(place);
    const auto name = text_of(result->read().getName());
    const auto of_name = co_await latest_.get(name);
    if (of_name && of_name->read().getPlace() == place.c_str()) {
      latest.push_back(name);
    }
  }
  for (const auto& place : results) {
    results_.erase(place);
  }
  for (const auto& name : latest) {
    latest_.erase(name);
  }
  auto root = edit();
  for (const auto& each : oldest.entries) {
    ages_.erase(each.key);
    root.setAges(root.getAges() - std::min<std::uint64_t>(root.getAges(), 1));
    root.setBytes(root.getBytes() - std::min(root.getBytes(), each.content.read().getBytes()));
  }
  root.setMakingRoom(oldest.more && (root.getAges() > kept_results_max ||
                                     root.getBytes() > kept_results_bytes_max));
  if (root.getMakingRoom()) {
    send(ref<schemas::ResultCache>(key()).make_room());
  }
}

async<cache_actor::list_results> cache_actor::list(list_params params) {
  const auto limit = params.limit() == 0 ? page_default : std::min(params.limit(), page_max);
  // What is behind the last one of the page before; no key has such an end.
  const auto from = params.cursor().empty() ? "" : std::string{params.cursor()} + " ";
  const auto page = co_await results_.page(from, limit);
  list_results results;
  auto list = results.build().initResults(static_cast<unsigned>(page.entries.size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list.setWithCaveats(at, page.entries[at].content.read());
    list[at].disownOutputs();
    list[at].disownArtifacts();
    list[at].disownParts();
  }
  results.build().setNextCursor(page.more ? page.entries.back().key.c_str() : "");
  co_return results;
}

async<> cache_actor::clear(clear_params params) {
  send(ref<schemas::ResultCache>(key()).clear_more(std::string{params.task()}, nanoseconds(now()),
                                                   std::string{}));
  return {};
}

async<> cache_actor::clear_more(clear_more_params params) {
  const auto prefix = params.task().empty() ? std::string{} : std::string{params.task()} + "/";
  const auto page =
      co_await results_.page(std::max(prefix, std::string{params.from()}), forgotten_at_once);
  for (const auto& each : page.entries) {
    if (!each.key.starts_with(prefix)) {
      co_return;
    }
    const auto result = each.content.read();
    if (result.getKeptAt() <= params.until()) {
      latest_.erase(text_of(result.getName()));
      results_.erase(each.key);
    }
  }
  if (page.more) {
    send(ref<schemas::ResultCache>(key()).clear_more(std::string{params.task()}, params.until(),
                                                     page.entries.back().key));
  }
}

}  // namespace millrace::actors
