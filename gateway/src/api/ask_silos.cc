// SPDX-License-Identifier: MIT
#include "api/ask_silos.h"

#include <algorithm>

namespace millrace::gateway {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

using hosts_results = actors::silo_control::hosts_results;

bool hosts(const runtime::cluster_silo& silo, std::string_view type) {
  return std::find(silo.types.begin(), silo.types.end(), type) != silo.types.end();
}

std::vector<std::string> names_in(const hosts_results& told) {
  std::vector<std::string> names;
  for (const auto each : told.read().getSilos()) {
    names.emplace_back(each.cStr());
  }
  return names;
}

}  // namespace

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& each : names) {
    text += (text.empty() ? "" : ", ") + each;
  }
  return text;
}

std::vector<std::string> silos_with_actors(const runtime::silo& here) {
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

result<std::vector<std::string>> silos_with_actors(const runtime::silo& here,
                                                   const std::string& only) {
  auto silos = silos_with_actors(here);
  if (only.empty()) {
    return silos;
  }
  if (std::find(silos.begin(), silos.end(), only) == silos.end()) {
    return error{errc::not_found,
                 "there is no silo '" + only + "' with actors; there are: " + joined(silos)};
  }
  return std::vector{only};
}

std::vector<std::string> silos_hosting(const runtime::silo& here, std::string_view type) {
  std::vector<std::string> names;
  for (const auto& each : here.cluster_view().silos) {
    if (hosts(each, type) && !each.address.empty() && each.state != runtime::silo_state::joining) {
      names.push_back(each.name);
    }
  }
  return names;
}

error unhosted(std::string_view type) {
  return {errc::not_found, "no silo hosts an actor type '" + std::string{type} +
                               "'; GET /api/v1/actors lists those that there are"};
}

result<void> check_hosted(const runtime::silo& here, std::string_view type) {
  if (here.find_type(type) != nullptr || !silos_hosting(here, type).empty()) {
    return {};
  }
  return unhosted(type);
}

nlohmann::ordered_json missing_row(const std::string& silo, const error& why) {
  return {{"silo", silo}, {"reason", why.text()}};
}

json_shape missing_shape() {
  return shape::named("MissingSilo",
                      shape::object({{"silo", shape::text()}, {"reason", shape::text()}}));
}

error told_by(const std::string& silo, const std::string& actor, const error& why) {
  switch (why.code()) {
    case errc::deadline_exceeded:
    case errc::outcome_unknown:
    case errc::unavailable:
    case errc::unimplemented:  // of an earlier build
      return {why.code(),
              "silo '" + silo + "' was asked for " + actor + ": " + why.text() +
                  "; if it is gone, or the actor moves, another silo has it in some seconds: try "
                  "again, or see `millrace cluster health`",
              why.retry_after()};
    default:
      return why;
  }
}

error still_moves(const std::string& actor, const std::string& to) {
  return {errc::unavailable,
          actor + " moves: it is said to live on silo '" + to +
              "', which others have said as well; try again",
          std::chrono::milliseconds{500}};
}

runtime::actor_ref<schemas::SiloControl> control_of(const std::string& silo) {
  return runtime::ref<schemas::SiloControl>(silo + "/asked");
}

void find_hosts(const api_parts& parts, const runtime::actor_id& actor,
                std::function<void(result<std::vector<std::string>>)> done) {
  if (parts.silo.find_type(actor.type) != nullptr) {
    done(parts.silo.hosts_of(actor));
    return;
  }
  // A few: the first may be gone, and still be in.
  auto who = silos_hosting(parts.silo, actor.type);
  if (who.empty()) {
    done(unhosted(actor.type));
    return;
  }
  who.resize(std::min<std::size_t>(who.size(), silos_asked_for_hosts));
  const auto params = [actor] { return actors::silo_control::hosts_params{actor.type, actor.key}; };
  silo_questions<hosts_results> asked;
  for (const auto& each : who) {
    asked.push_back(
        {each,
         {[params](const auto& silo) { return silo.hosts(params()); },
          [params](const runtime::silo& home) { return actors::hosts_of_actor(home, params()); }}});
  }
  ask_silos<hosts_results>(
      parts, std::move(asked),
      [actor, done = std::move(done)](const std::vector<silo_answer<hosts_results>>& told) {
        const auto answered = std::find_if(
            told.begin(), told.end(), [](const auto& each) { return each.outcome.has_value(); });
        const auto& [silo, outcome] = answered != told.end() ? *answered : told.front();
        done(outcome ? result{names_in(*outcome)}
                     : told_by(silo, actor.to_string(), outcome.error()));
      });
}

}  // namespace millrace::gateway
