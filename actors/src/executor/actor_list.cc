// SPDX-License-Identifier: MIT
#include "millrace/actors/actor_list.h"

namespace millrace::actors {

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
result<actor_list> made_of(const result<List>& found) {
  if (!found) {
    return found.error();
  }
  actor_list list;
  auto made = list.build();
  made.setNext(found->next.c_str());
  auto rows = made.initActors(static_cast<unsigned>(found->items.size()));
  unsigned at = 0;
  for (const auto& each : found->items) {
    fill(rows[at++], each);
  }
  return list;
}

}  // namespace

result<actor_list> list_actors(runtime::silo& home, const actor_list_params& wanted) {
  const std::string type{wanted.type()};
  if (home.find_type(type) == nullptr) {
    return actor_list{};
  }
  const runtime::list_page page{std::string{wanted.prefix()}, std::string{wanted.cursor()},
                                wanted.limit()};
  return wanted.active() ? made_of(home.activations(type, page))
                         : made_of(home.stored_actors(type, page));
}

}  // namespace millrace::actors
