// SPDX-License-Identifier: MIT
#include "chaos/load.h"

#include <poll.h>

#include <algorithm>

namespace chaos {

namespace {

constexpr auto answer_limit = 5s;  // longer than a takeover after a silent loss
constexpr auto pause_after_failure = 30ms;
constexpr unsigned keys_at_a_time = 4;  // of a kind
constexpr const char* pipeline = "chaos";
constexpr const char* definition = R"(name: chaos
tasks:
  - name: first
    run: |
      echo "value=$MILLRACE_ATTEMPT" >> "$MILLRACE_OUTPUT"
    outputs: [value]
  - name: fan
    needs: [first]
    for_each: [1, 2, 3]
    run: sleep 0.3
  - name: last
    needs: [fan]
    env: {FIRST: "${{ tasks.first.outputs.value }}"}
    run: sleep 0.1; echo "first=$FIRST"
)";

std::string definition_for(bool has_full_disks) {
  std::string made = definition;
  const std::string retry = "    retry: {max_attempts: 50, delay: 1s}\n";
  for (std::size_t at = 0; has_full_disks && (at = made.find("    run:", at)) != std::string::npos;
       at += retry.size() + 1) {
    made.insert(at, retry);
  }
  return made;
}

std::string path_of(const std::string& key, const std::string& method) {
  return "/api/v1/actors/" + key + "/" + method;
}

// How many questions a key gets: so many that the search has no long way, and reads no long lists.
unsigned questions_max(const std::string& kind) {
  return kind == "list" ? 120 : kind == "set" ? 160 : 500;
}

}  // namespace

void sleep(std::chrono::milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

void recorder::add(event one) {
  const auto line = line_of(one);
  const std::lock_guard lock{mutex_};
  events_.push_back(std::move(one));
  file_ << line << '\n' << std::flush;
}

history recorder::events() const {
  const std::lock_guard lock{mutex_};
  return events_;
}

load::load(wishes what, const addresses& where, recorder& into)
    : wishes_(what), where_(where), into_(into) {
  http_caller caller;
  const auto target = "/api/v1/projects/default/pipelines/" + std::string{pipeline};
  for (bool is_there = false; wishes_.has_runs && !is_there;) {
    const auto put = caller.ask(where_.pick(0), "PUT", target,
                                definition_for(wishes_.has_full_disks), answer_limit);
    is_there = put.is == outcome::ok;
    if (!is_there && put.is == outcome::failed && put.text.starts_with("4")) {
      throw std::runtime_error{put.text};
    }
  }
  std::seed_seq seeds{wishes_.seed, std::uint64_t{17}};
  std::vector<std::uint32_t> drawn(wishes_.clients);
  seeds.generate(drawn.begin(), drawn.end());
  for (unsigned at = 0; at < wishes_.clients; ++at) {
    clients_.push_back(std::make_unique<client>());
    clients_.back()->process = at;
    clients_.back()->random.seed(drawn[at]);
  }
  for (auto& each : clients_) {
    threads_.emplace_back([this, one = each.get()] { run(*one); });
  }
}

void load::end(std::chrono::milliseconds limit) {
  asks_ = false;
  const auto end = steady::now() + limit;
  if (limit <= 0s) {
    repeats_ = false;
  }
  for (auto& each : threads_) {
    // A client that is not done by then gives up.
    while (repeats_ && steady::now() < end && open_ > 0) {
      sleep(10ms);
    }
    repeats_ = false;
    each.join();
  }
  threads_.clear();
}

void load::run(client& one) {
  while (asks_) {
    const auto told = ask(one, next(one));
    sleep(told.is == outcome::ok ? wishes_.pause : pause_after_failure);
  }
}

std::string load::key_of(client& one, const std::string& kind) {
  const std::lock_guard lock{mutex_};
  const auto generation = asked_of_kind_[kind]++ / (keys_at_a_time * questions_max(kind));
  auto key =
      kind + "/" + std::to_string(generation) + "-" + std::to_string(one.random() % keys_at_a_time);
  keys_.insert(key);
  return key;
}

load::question load::of_register(client& one) {
  const auto key = key_of(one, "register");
  const auto dice = one.random() % 10;
  if (dice < 5) {
    return {"read", key, {}, path_of(key, "read"), "{}", false, "value"};
  }
  const auto value = fresh();
  if (dice < 8) {
    return {"write", key, value, path_of(key, "write"), json{{"value", value}}.dump()};
  }
  std::int32_t from = 0;
  {
    const std::lock_guard lock{mutex_};
    from = last_seen_[key];
  }
  return {"cas", key, json::array({from, value}), path_of(key, "cas"),
          json{{"from", from}, {"to", value}}.dump()};
}

load::question load::of_purse(client& one) {
  const auto key = "purse/" + std::to_string(one.random() % purses);
  const auto to = std::to_string(one.random() % purses);
  const auto amount = static_cast<std::int32_t>(one.random() % 5 + 1);
  question made{
      "transfer", key, json{{"to", to}, {"amount", amount}}, path_of(key, "transfer"), {}};
  made.body = made.asked.dump();
  made.is_keyed = true;
  return made;
}

load::question load::next(client& one) {
  const auto dice = one.random() % 100;
  if (dice < 40) {
    return of_register(one);
  }
  if (dice < 55) {
    const auto key = key_of(one, "set");
    if (one.random() % 3 == 0) {
      return {"read", key, {}, path_of(key, "read"), "{}", false, "values"};
    }
    const auto value = fresh();
    return {"add", key, value, path_of(key, "add"), json{{"value", value}}.dump()};
  }
  if (dice < 75) {
    const auto key = key_of(one, "counter");
    if (one.random() % 3 == 0) {
      return {"read", key, {}, path_of(key, "read"), "{}", false, "total"};
    }
    return {"add", key, 1, path_of(key, "add"), R"({"amount":1})", true, "total"};
  }
  if (dice < 85) {
    const auto key = key_of(one, "list");
    if (one.random() % 3 == 0) {
      return {"read", key, {}, path_of(key, "read"), "{}", false, "values"};
    }
    const auto value = fresh();
    return {"append", key, value, path_of(key, "append"), json{{"value", value}}.dump()};
  }
  // A run is much more work than a call.
  if (dice >= 98 && wishes_.has_runs && one.random() % 4 == 0) {
    const auto target = "/api/v1/projects/default/pipelines/" + std::string{pipeline} + "/runs";
    return {"submit", "run/" + std::string{pipeline}, {}, target, "{}", true, "id"};
  }
  return of_purse(one);
}

answer load::ask(client& one, const question& what) {
  const auto key =
      what.is_keyed ? std::to_string(wishes_.seed) + "-" + std::to_string(fresh()) : "";
  ++open_;
  into_.add({now(), one.process, event_type::invoke, what.f, what.key, what.asked});
  answer told;
  bool may_have_been = false;
  do {
    told = one.caller.ask(where_.pick(one.random()), "POST", what.target, what.body, answer_limit,
                          key);
    may_have_been = may_have_been || told.is != outcome::failed;
    if (told.is != outcome::ok) {
      const std::lock_guard lock{mutex_};
      refusals_.push_back(what.key + " " + what.f + ": " + told.text);
    }
    if (told.is != outcome::ok && what.is_keyed) {
      sleep(pause_after_failure);
    }
  } while (what.is_keyed && told.is != outcome::ok && repeats_);
  json value = told.text;
  if (told.is == outcome::ok) {
    value = what.answer != nullptr ? told.body.value(what.answer, json{}) : told.body;
    if (what.key.starts_with("set/") && what.f == "read") {
      std::sort(value.begin(), value.end());
    }
    if (what.key.starts_with("register/")) {
      const std::lock_guard lock{mutex_};
      last_seen_[what.key] = what.f == "read"    ? value.get<std::int32_t>()
                             : what.f == "write" ? what.asked.get<std::int32_t>()
                                                 : last_seen_[what.key];
    }
    ++figures_.ok;
  } else if (told.is == outcome::failed && !may_have_been) {
    ++figures_.failed;
  } else {
    told.is = outcome::unknown;
    ++figures_.unknown;
  }
  const auto type = told.is == outcome::ok       ? event_type::ok
                    : told.is == outcome::failed ? event_type::fail
                                                 : event_type::info;
  into_.add({now(), one.process, type, what.f, what.key, std::move(value)});
  --open_;
  return told;
}

}  // namespace chaos
