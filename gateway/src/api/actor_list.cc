// SPDX-License-Identifier: MIT
#include "api/actor_list.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "api/respond.h"
#include "millrace/actors/actor_list.h"

namespace millrace::gateway {

using actors::actor_list;
using actors::actor_list_params;
using nlohmann::ordered_json;
using runtime::errc;
using runtime::result;

namespace {

// Of the activation that answers, which is not the one that drains.
constexpr const char* key_suffix = "/list";

std::int64_t milliseconds(std::int64_t nanoseconds) {
  return runtime::duration{nanoseconds} / std::chrono::milliseconds{1};
}

ordered_json row_of(const actor_list_request& wanted, const std::string& silo,
                    schemas::ListedActor::Reader one) {
  const std::string key{one.getKey()};
  ordered_json row{{"id", wanted.type + "/" + key}, {"key", key}, {"silo", silo}};
  if (wanted.active) {
    row.update({{"phase", std::string{one.getPhase()}},
                {"queued", one.getQueued()},
                {"method", std::string{one.getMethod()}},
                {"busy_ms", milliseconds(one.getBusyNs())},
                {"idle_ms", milliseconds(one.getIdleNs())},
                {"bytes", one.getBytes()}});
  } else {
    row.update({{"active", one.getActive()},
                {"version", one.getVersion()},
                {"state_bytes", one.getStateBytes()}});
  }
  return row;
}

// Those that may have actors, by name: this process, and whoever can be called.
std::vector<std::string> silos_of(const runtime::silo& here) {
  const auto view = here.cluster_view();
  if (view.cluster_id.empty()) {
    return {here.name()};
  }
  std::vector<std::string> names;
  for (const auto& each : view.silos) {
    const auto is_called =
        (each.roles.state || each.roles.execute) && each.state != runtime::silo_state::joining;
    if (is_called || each.name == here.name()) {
      names.push_back(each.name);
    }
  }
  return names;
}

// Asks each silo for a page, and makes one of them.
class actor_search : public std::enable_shared_from_this<actor_search> {
public:
  // The cursor is that of the first silo.
  actor_search(const api_parts& parts, actor_list_request wanted, std::vector<std::string> silos,
               http::reply answer)
      : parts_(parts),
        wanted_(std::move(wanted)),
        silos_(std::move(silos)),
        answer_(std::move(answer)),
        lists_(silos_.size()),
        open_(silos_.size()) {}

  // On the thread for inspections.
  void begin() {
    for (std::size_t at = 0; at < silos_.size(); ++at) {
      if (silos_[at] != parts_.silo.name()) {
        parts_.silo.call_then<actor_list>(
            runtime::ref<schemas::SiloControl>(silos_[at] + key_suffix)
                .list(params_of(at))
                .timeout(list_within),
            [self = shared_from_this(), at](result<actor_list> got) {
              self->take(at, std::move(got));
            });
      }
    }
    const auto own = std::find(silos_.begin(), silos_.end(), parts_.silo.name());
    if (own != silos_.end()) {
      const auto at = static_cast<std::size_t>(own - silos_.begin());
      take(at, actors::list_actors(parts_.silo, params_of(at)));
    }
  }

private:
  [[nodiscard]] actor_list_params params_of(std::size_t at) const {
    return actor_list_params{wanted_.type, wanted_.active, wanted_.prefix,
                             at == 0 ? wanted_.cursor : std::string{},
                             static_cast<std::uint32_t>(wanted_.limit)};
  }

  void take(std::size_t at, result<actor_list> got) {
    const std::lock_guard lock{mutex_};
    lists_[at].emplace(std::move(got));
    if (--open_ == 0) {
      parts_.inspections.go_on([self = shared_from_this()] { self->finish(); });
    }
  }

  // A silo's part is taken whole, so a page may be short.
  void finish() {
    auto rows = ordered_json::array();
    auto missing = ordered_json::array();
    std::string next;
    for (std::size_t at = 0; at < silos_.size() && next.empty(); ++at) {
      const auto& list = *lists_[at];
      if (!list && list.error().code() == errc::invalid_argument) {
        answer_.fail(list.error());
        return;
      }
      if (!list) {
        missing.push_back({{"silo", silos_[at]}, {"reason", list.error().text()}});
        continue;
      }
      const auto page = list->read();
      if (rows.size() + page.getActors().size() > wanted_.limit) {
        next = silos_[at] + ":";
        break;
      }
      for (const auto one : page.getActors()) {
        rows.push_back(row_of(wanted_, silos_[at], one));
      }
      next = page.getNext().size() > 0 ? silos_[at] + ":" + page.getNext().cStr() : "";
    }
    answer_.send(answer_of(
        200, {{"actors", std::move(rows)}, {"next", next}, {"silos_missing", std::move(missing)}}));
  }

  const api_parts& parts_;
  const actor_list_request wanted_;
  const std::vector<std::string> silos_;
  http::reply answer_;
  std::mutex mutex_;
  std::vector<std::optional<result<actor_list>>> lists_;
  std::size_t open_;
};

// Takes away the silos that come before the cursor, `SILO:CURSOR`, and leaves that of the first.
bool start_at_cursor(std::vector<std::string>& silos, std::string& cursor) {
  if (cursor.empty()) {
    return true;
  }
  const auto colon = cursor.rfind(':');
  if (colon == std::string::npos) {
    return false;
  }
  const auto silo = cursor.substr(0, colon);
  cursor.erase(0, colon + 1);
  silos.erase(silos.begin(), std::lower_bound(silos.begin(), silos.end(), silo));
  if (silos.empty() || silos.front() != silo) {
    cursor.clear();  // it has left
  }
  return true;
}

}  // namespace

void answer_actor_list(const api_parts& parts, actor_list_request wanted, http::reply answer) {
  auto silos = silos_of(parts.silo);
  if (!wanted.silo.empty()) {
    std::string known;
    for (const auto& each : silos) {
      known += (known.empty() ? "" : ", ") + each;
    }
    std::erase_if(silos, [&](const auto& each) { return each != wanted.silo; });
    if (silos.empty()) {
      answer.fail({errc::not_found,
                   "there is no silo '" + wanted.silo + "' with actors; there are: " + known});
      return;
    }
  }
  if (!start_at_cursor(silos, wanted.cursor)) {
    answer.fail({errc::invalid_argument,
                 "the cursor is none that this list gave; leave it out to begin anew"});
    return;
  }
  if (silos.empty()) {  // all that were left have gone
    answer.send(answer_of(200, {{"actors", ordered_json::array()},
                                {"next", ""},
                                {"silos_missing", ordered_json::array()}}));
    return;
  }
  const auto shared = std::make_shared<http::reply>(std::move(answer));
  answer_on(parts.inspections, shared,
            [&parts, shared, wanted = std::move(wanted), silos = std::move(silos)] {
              std::make_shared<actor_search>(parts, wanted, silos, std::move(*shared))->begin();
            });
}

}  // namespace millrace::gateway
