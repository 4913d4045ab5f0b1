// SPDX-License-Identifier: MIT
// Asking silos of the cluster about their actors, and the one that has an actor.
//
// Any process answers for all of them: it asks each silo, or the one on which an actor lives, by
// its `silo_control`; this process itself is asked directly. A silo that has lost the actor says
// who has it, and that one is asked: an old map costs a question, never a wrong answer.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/api.h"
#include "millrace/actors/silo_inspection.h"

namespace millrace::gateway {

/// How long a silo has for its answer: a look through stored rows takes a second or so.
inline constexpr runtime::duration silo_answers_within = std::chrono::seconds{3};

/// How often the silo that is asked says that another one has the actor, before that is an error.
inline constexpr unsigned silo_redirects_max = 3;

/// Those that may have actors, by name: this process, and whoever can be called.
[[nodiscard]] std::vector<std::string> silos_with_actors(const runtime::silo& here);

/// The same, or only that one, unless it is empty. Errors: `not_found`.
[[nodiscard]] runtime::result<std::vector<std::string>> silos_with_actors(const runtime::silo& here,
                                                                          const std::string& only);

/// With commas between them, for a person.
[[nodiscard]] std::string joined(const std::vector<std::string>& names);

/// Those of them that host a type, as the cluster's rows say.
[[nodiscard]] std::vector<std::string> silos_hosting(const runtime::silo& here,
                                                     std::string_view type);

/// How many of those that host a type are asked where an actor of it lives.
inline constexpr std::size_t silos_asked_for_hosts = 3;

/// Of a type that no silo hosts.
[[nodiscard]] runtime::error unhosted(std::string_view type);

/// Refuses a type that no silo of the cluster hosts. Errors: `not_found`.
[[nodiscard]] runtime::result<void> check_hosted(const runtime::silo& here, std::string_view type);

/// What a silo has answered.
template <class Results>
struct silo_answer {
  std::string silo;
  runtime::result<Results> outcome;
};

/// One question, to another silo and to this process.
template <class Results>
struct silo_question {
  std::function<runtime::call<Results>(const runtime::actor_ref<schemas::SiloControl>& silo)> call;
  std::function<runtime::result<Results>(runtime::silo& home)> here;
};

/// Silos, and what each is asked.
template <class Results>
using silo_questions = std::vector<std::pair<std::string, silo_question<Results>>>;

/// `{"silo", "reason"}`: one that has not answered, in the list of the others.
[[nodiscard]] nlohmann::ordered_json missing_row(const std::string& silo,
                                                 const runtime::error& why);
[[nodiscard]] json_shape missing_shape();

/// What to say of an error of a silo that was asked about an actor, and may not have answered.
[[nodiscard]] runtime::error told_by(const std::string& silo, const std::string& actor,
                                     const runtime::error& why);
/// And when it was asked often enough.
[[nodiscard]] runtime::error still_moves(const std::string& actor, const std::string& to);

/// The actor by which a silo is asked; its activation is not the one that drains.
[[nodiscard]] runtime::actor_ref<schemas::SiloControl> control_of(const std::string& silo);

namespace detail {

template <class Results>
class silo_inquiry : public std::enable_shared_from_this<silo_inquiry<Results>> {
public:
  using answers = std::vector<silo_answer<Results>>;

  silo_inquiry(const api_parts& parts, silo_questions<Results> asked,
               std::function<void(answers)> done)
      : parts_(parts),
        asked_(std::move(asked)),
        done_(std::move(done)),
        outcomes_(asked_.size()),
        open_(asked_.size() + 1) {}

  // Others first: this process takes its time.
  void begin() {
    for (std::size_t at = 0; at < asked_.size(); ++at) {
      const auto& [silo, question] = asked_[at];
      if (silo != parts_.silo.name()) {
        parts_.silo.call_then<Results>(
            question.call(control_of(silo)).timeout(silo_answers_within),
            [self = this->shared_from_this(), at](runtime::result<Results> got) {
              self->take(at, std::move(got));
            });
      }
    }
    for (std::size_t at = 0; at < asked_.size(); ++at) {
      if (asked_[at].first == parts_.silo.name()) {
        take(at, asked_[at].second.here(parts_.silo));
      }
    }
    close();
  }

private:
  void take(std::size_t at, runtime::result<Results> got) {
    {
      const std::lock_guard lock{mutex_};
      outcomes_[at].emplace(std::move(got));
    }
    close();
  }
  void close() {
    const std::lock_guard lock{mutex_};
    if (--open_ == 0) {
      parts_.inspections.go_on([self = this->shared_from_this()] { self->finish(); });
    }
  }
  void finish() {
    answers all;
    for (std::size_t at = 0; at < asked_.size(); ++at) {
      all.push_back({asked_[at].first, *std::move(outcomes_[at])});
    }
    done_(std::move(all));
  }

  const api_parts& parts_;
  const silo_questions<Results> asked_;
  const std::function<void(answers)> done_;
  std::mutex mutex_;
  std::vector<std::optional<runtime::result<Results>>> outcomes_;
  std::size_t open_;  // and one for `begin`
};

}  // namespace detail

/// Asks silos at the same time; `done` gets the answers in the order of the questions.
/// Threading: on the thread for inspections, as `done`.
template <class Results>
void ask_silos(const api_parts& parts, silo_questions<Results> asked,
               std::function<void(std::vector<silo_answer<Results>>)> done) {
  std::make_shared<detail::silo_inquiry<Results>>(parts, std::move(asked), std::move(done))
      ->begin();
}

/// On which silos an actor lives: as this process knows, or, for a type that it does not host, as
/// one says that does. Errors: `not_found` for a type that nobody hosts, `unavailable`, those of
/// `silo::hosts_of`. Threading: as `ask_silos`.
void find_hosts(const api_parts& parts, const runtime::actor_id& actor,
                std::function<void(runtime::result<std::vector<std::string>>)> done);

namespace detail {

// Of each silo, or of the one that it names.
template <class Results>
void ask_there(const api_parts& parts, const silo_question<Results>& question,
               const std::string& actor, const std::vector<std::string>& silos, unsigned redirects,
               std::function<void(std::vector<silo_answer<Results>>)> done) {
  silo_questions<Results> asked;
  for (const auto& each : silos) {
    asked.emplace_back(each, question);
  }
  ask_silos<Results>(
      parts, std::move(asked),
      [&parts, question, actor, redirects,
       done = std::move(done)](std::vector<silo_answer<Results>> answers) {
        for (auto& [silo, outcome] : answers) {
          const std::string elsewhere{outcome ? outcome->read().getLivesOn().cStr() : ""};
          if (!elsewhere.empty() && redirects < silo_redirects_max) {
            ask_there(parts, question, actor, {elsewhere}, redirects + 1, done);
            return;
          }
          if (!outcome || !elsewhere.empty()) {
            outcome = elsewhere.empty() ? told_by(silo, actor, outcome.error())
                                        : still_moves(actor, elsewhere);
          }
        }
        done(std::move(answers));
      });
}

}  // namespace detail

/// Asks the silo that has an actor, or all that may have it, whose answers come by name. An error
/// of one that does not answer names it. `Results` has `lives_on`, see silo_inspection.h.
/// Threading: as `ask_silos`.
template <class Results>
void ask_about(const api_parts& parts, const runtime::actor_id& actor,
               silo_question<Results> question,
               std::function<void(runtime::result<std::vector<silo_answer<Results>>>)> done) {
  find_hosts(parts, actor,
             [&parts, question = std::move(question), named = actor.to_string(),
              done = std::move(done)](const runtime::result<std::vector<std::string>>& hosts) {
               if (hosts) {
                 detail::ask_there<Results>(parts, question, named, *hosts, 0, done);
               } else {
                 done(hosts.error());
               }
             });
}

}  // namespace millrace::gateway
