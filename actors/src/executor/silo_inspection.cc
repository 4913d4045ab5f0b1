// SPDX-License-Identifier: MIT
#include "millrace/actors/silo_inspection.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "millrace/runtime/dead_letter_list.h"

namespace millrace::actors {

using runtime::actor_id;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

void fill(schemas::ListedActor::Builder row, const runtime::activation_info& one) {
  const std::string phase{runtime::to_string(one.phase)};
  const std::string method{one.method};
  row.setKey(one.key.c_str());
  row.setPhase(phase.c_str());
  row.setQueued(one.queued);
  row.setMethod(method.c_str());
  row.setBusyNs(one.busy.count());
  row.setIdleNs(one.idle.count());
  row.setBytes(one.bytes);
}

void fill(schemas::ListedActor::Builder row, const runtime::stored_actor& one) {
  row.setKey(one.key.c_str());
  row.setActive(one.active);
  row.setVersion(one.version);
  row.setStateBytes(one.state_bytes);
}

template <class List>
result<silo_control::list_results> made_of(const result<List>& found) {
  if (!found) {
    return found.error();
  }
  silo_control::list_results list;
  auto made = list.build();
  made.setNextCursor(found->next.c_str());
  auto rows = made.initActors(static_cast<unsigned>(found->items.size()));
  unsigned at = 0;
  for (const auto& each : found->items) {
    fill(rows[at++], each);
  }
  return list;
}

kj::StringPtr text_of(const std::string& text) {
  return {text.c_str(), text.size()};
}

// What to tell who has asked the wrong silo.
template <class Results>
result<Results> elsewhere(const runtime::silo& home, const actor_id& actor, error why) {
  if (why.code() != errc::not_primary) {
    return why;
  }
  const auto hosts = home.hosts_of(actor);
  if (!hosts) {
    return hosts.error();
  }
  if (hosts->front() == home.name()) {
    return error{errc::unavailable,
                 "silo '" + home.name() + "' is about to take " + actor.to_string() +
                     " over, or has just lost it; try again",
                 std::chrono::milliseconds{500}};
  }
  Results told;
  told.build().setLivesOn(text_of(hosts->front()));
  return told;
}

void fill(schemas::StoredMap::Builder to, const runtime::map_state& map) {
  to.setName(text_of(map.name));
  to.setMore(map.more);
  auto records = to.initRecords(static_cast<unsigned>(map.records.size()));
  unsigned at = 0;
  for (const auto& each : map.records) {
    auto record = records[at++];
    record.setKey(kj::StringPtr{each.key.c_str(), each.key.size()}.asBytes());
    record.setJson(text_of(each.json));
  }
}

void fill(schemas::ListedDeadLetter::Builder row, const runtime::placed_dead_letter& placed) {
  const auto& one = placed.letter;
  row.setSenderType(text_of(one.sender.type));
  row.setSenderKey(text_of(one.sender.key));
  row.setNumber(one.number);
  row.setTargetType(text_of(one.target.type));
  row.setTargetKey(text_of(one.target.key));
  row.setMethod(text_of(one.method));
  row.setParams(text_of(one.params));
  row.setError(text_of(one.error_text));
  row.setPlace(text_of(placed.place));
}

// What one silo tells of its dead letters at once has to fit into a message.
constexpr std::size_t letters_bytes_max = 4U << 20U;

}  // namespace

result<silo_control::list_results> list_actors(runtime::silo& home,
                                               const silo_control::list_params& wanted) {
  const std::string type{wanted.type()};
  if (home.find_type(type) == nullptr) {
    return silo_control::list_results{};
  }
  const runtime::list_page page{std::string{wanted.prefix()}, std::string{wanted.cursor()},
                                wanted.limit()};
  return wanted.active() ? made_of(home.activations(type, page))
                         : made_of(home.stored_actors(type, page));
}

result<silo_control::hosts_results> hosts_of_actor(const runtime::silo& home,
                                                   const silo_control::hosts_params& wanted) {
  const auto hosts = home.hosts_of({std::string{wanted.type()}, std::string{wanted.key()}});
  if (!hosts) {
    return hosts.error();
  }
  silo_control::hosts_results told;
  auto names = told.build().initSilos(static_cast<unsigned>(hosts->size()));
  for (unsigned at = 0; at < names.size(); ++at) {
    names.set(at, text_of((*hosts)[at]));
  }
  return told;
}

result<silo_control::state_of_results> state_of_actor(runtime::silo& home,
                                                      const silo_control::state_of_params& wanted) {
  const actor_id actor{std::string{wanted.type()}, std::string{wanted.key()}};
  auto state = home.state_of(
      actor, {std::string{wanted.map()}, std::string{wanted.after()}, wanted.limit()});
  if (!state) {
    return elsewhere<silo_control::state_of_results>(home, actor, std::move(state).error());
  }
  silo_control::state_of_results told;
  auto results = told.build();
  results.setRoot(text_of(state->root_json));
  auto maps = results.initMaps(static_cast<unsigned>(state->maps.size()));
  unsigned at = 0;
  for (const auto& each : state->maps) {
    fill(maps[at++], each);
  }
  return told;
}

result<silo_control::deactivate_actor_results> deactivate_actor(
    runtime::silo& home, const silo_control::deactivate_actor_params& wanted) {
  const actor_id actor{std::string{wanted.type()}, std::string{wanted.key()}};
  auto was_active = home.deactivate(actor);
  if (!was_active) {
    return elsewhere<silo_control::deactivate_actor_results>(home, actor,
                                                             std::move(was_active).error());
  }
  silo_control::deactivate_actor_results told;
  told.build().setWasActive(*was_active);
  return told;
}

result<silo_control::dead_letters_results> list_dead_letters(
    runtime::silo& home, const silo_control::dead_letters_params& wanted) {
  const auto found = dead_letters_behind(home, wanted.cursor(), std::size_t{wanted.limit()} + 1);
  if (!found) {
    return found.error();
  }
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (; count < std::min<std::size_t>(found->size(), wanted.limit()); ++count) {
    bytes += (*found)[count].letter.params.size() + (*found)[count].letter.error_text.size();
    if (count > 0 && bytes > letters_bytes_max) {
      break;
    }
  }
  silo_control::dead_letters_results told;
  auto results = told.build();
  results.setMore(count < found->size());
  auto letters = results.initLetters(static_cast<unsigned>(count));
  for (unsigned at = 0; at < letters.size(); ++at) {
    fill(letters[at], (*found)[at]);
  }
  return told;
}

result<silo_control::tend_dead_letter_results> tend_dead_letter(
    runtime::silo& home, const silo_control::tend_dead_letter_params& wanted) {
  const actor_id sender{std::string{wanted.type()}, std::string{wanted.key()}};
  auto done = wanted.drop() ? home.drop_dead_letter(sender, wanted.number())
                            : home.retry_dead_letter(sender, wanted.number());
  if (!done) {
    return elsewhere<silo_control::tend_dead_letter_results>(home, sender, std::move(done).error());
  }
  return silo_control::tend_dead_letter_results{};
}

silo_control::types_results open_types(const runtime::silo& home) {
  std::vector<std::pair<std::string, std::vector<std::string>>> open;
  for (const auto* type : home.types()) {
    std::vector<std::string> methods;
    for (const auto& each : type->methods) {
      if (!each.internal) {
        methods.emplace_back(each.name);
      }
    }
    if (!methods.empty()) {
      open.emplace_back(type->type, std::move(methods));
    }
  }
  silo_control::types_results told;
  auto types = told.build().initTypes(static_cast<unsigned>(open.size()));
  for (unsigned at = 0; at < types.size(); ++at) {
    types[at].setId(text_of(open[at].first));
    auto methods = types[at].initMethods(static_cast<unsigned>(open[at].second.size()));
    for (unsigned number = 0; number < methods.size(); ++number) {
      methods.set(number, text_of(open[at].second[number]));
    }
  }
  return told;
}

}  // namespace millrace::actors
