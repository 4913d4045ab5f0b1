// SPDX-License-Identifier: MIT
#include "chaos/models.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace chaos {

namespace {

class register_model final : public model {
public:
  [[nodiscard]] std::string initial() const override { return "0"; }
  [[nodiscard]] std::optional<std::string> step(const std::string& state,
                                                const operation& one) const override {
    if (one.f == "write") {
      return one.asked.dump();
    }
    if (one.f == "read") {
      return one.answered.dump() == state ? std::optional{state} : std::nullopt;
    }
    if (one.f != "cas") {
      return std::nullopt;
    }
    const auto fits = one.asked.at(0).dump() == state;
    if (one.answered.is_null()) {  // of the settled ones, which have swapped
      return fits ? std::optional{one.asked.at(1).dump()} : std::nullopt;
    }
    if (one.answered.at("swapped").get<bool>() != fits ||
        one.answered.at("found").dump() != state) {
      return std::nullopt;
    }
    return fits ? one.asked.at(1).dump() : state;
  }
  [[nodiscard]] std::string leaves(const operation& one) const override {
    return one.f == "write" ? one.asked.dump() : one.f == "cas" ? one.asked.at(1).dump() : "";
  }
  [[nodiscard]] std::vector<std::string> sees(const operation& one) const override {
    if (one.f == "read") {
      return {one.answered.dump()};
    }
    if (one.f == "cas") {
      return {one.answered.is_null() ? one.asked.at(0).dump() : one.answered.at("found").dump()};
    }
    return {};
  }
  [[nodiscard]] bool only_reads(const operation& one) const override { return one.f == "read"; }
};

// Of sets and lists, whose state is what a read shows.
class collection_model final : public model {
public:
  explicit collection_model(bool is_set) : is_set_(is_set) {}
  [[nodiscard]] std::string initial() const override { return "[]"; }
  [[nodiscard]] std::optional<std::string> step(const std::string& state,
                                                const operation& one) const override {
    if (one.f == "read") {
      return one.answered.dump() == state ? std::optional{state} : std::nullopt;
    }
    if (one.f != (is_set_ ? "add" : "append")) {
      return std::nullopt;
    }
    auto values = json::parse(state);
    if (is_set_) {
      auto& all = values.get_ref<json::array_t&>();
      const auto at = std::lower_bound(all.begin(), all.end(), one.asked);
      if (at == all.end() || *at != one.asked) {
        all.insert(at, one.asked);
      }
    } else {
      values.push_back(one.asked);
    }
    return values.dump();
  }
  [[nodiscard]] std::string leaves(const operation& one) const override {
    return one.f == "read" ? "" : one.asked.dump();
  }
  [[nodiscard]] std::vector<std::string> sees(const operation& one) const override {
    std::vector<std::string> seen;
    if (one.f == "read" && one.answered.is_array()) {
      for (const auto& each : one.answered) {
        seen.push_back(each.dump());
      }
    }
    return seen;
  }
  [[nodiscard]] bool only_reads(const operation& one) const override { return one.f == "read"; }

private:
  const bool is_set_;
};

class counter_model final : public model {
public:
  [[nodiscard]] std::string initial() const override { return "0"; }
  [[nodiscard]] std::optional<std::string> step(const std::string& state,
                                                const operation& one) const override {
    const auto next =
        one.f == "add" ? std::to_string(std::stoll(state) + one.asked.get<long>()) : state;
    return !one.is_known() || one.answered.dump() == next ? std::optional{next} : std::nullopt;
  }
  [[nodiscard]] bool only_reads(const operation& one) const override { return one.f == "read"; }
};

std::unique_ptr<model> model_of(const std::string& kind) {
  if (kind == "register") {
    return std::make_unique<register_model>();
  }
  if (kind == "set" || kind == "list") {
    return std::make_unique<collection_model>(kind == "set");
  }
  return kind == "counter" ? std::make_unique<counter_model>() : nullptr;
}

// Money is neither made nor lost, and each transfer arrives once.
void check_purses(const std::vector<operation>& operations, std::vector<std::string>& wrong) {
  struct book {
    std::int64_t acknowledged = 0;
    std::int64_t unknown = 0;
  };
  std::map<std::string, book> books;
  std::int64_t balance = 0;
  std::int64_t sent = 0;
  std::int64_t received = 0;
  std::int64_t audited = 0;
  for (const auto& one : operations) {
    if (one.f == "transfer") {
      ++(one.is_known() ? books[one.key].acknowledged : books[one.key].unknown);
    } else if (one.f == "audit" && one.is_known()) {
      const auto of = one.answered.at("sent").get<std::int64_t>();
      const auto& known = books[one.key];
      if (of < known.acknowledged || of > known.acknowledged + known.unknown) {
        wrong.push_back(one.key + ": " + std::to_string(of) + " transfers were made, " +
                        std::to_string(known.acknowledged) + " were acknowledged and " +
                        std::to_string(known.unknown) + " may have been made");
      }
      if (one.answered.at("balance").get<std::int64_t>() < 0) {
        wrong.push_back(one.key + ": the balance is below zero");
      }
      for (const auto& each : one.answered.value("twice", json::array())) {
        wrong.push_back(one.key + ": a transfer has arrived twice: " + each.get<std::string>());
      }
      balance += one.answered.at("balance").get<std::int64_t>();
      sent += of;
      received += one.answered.at("received").get<std::int64_t>();
      ++audited;
    }
  }
  if (audited > 0 && balance != audited * opening_balance) {
    wrong.push_back("purse: " + std::to_string(audited * opening_balance) + " were put in, " +
                    std::to_string(balance) + " are there");
  }
  if (sent != received) {
    wrong.push_back("purse: " + std::to_string(sent) + " transfers were made, " +
                    std::to_string(received) + " have arrived");
  }
}

bool has_succeeded(const json& attempt) {
  return attempt.at("end") == "exited" && attempt.at("exit_code") == 0;
}

// One attempt's result is adopted, the last one's. What had succeeded starts again only where its
// files were lost with another executor.
void check_task(const std::string& run, const json& task, std::vector<std::string>& wrong) {
  const auto name = run + "/" + task.at("name").get<std::string>();
  const auto& attempts = task.at("attempts");
  if (task.at("state") != "succeeded" || attempts.empty() || !has_succeeded(attempts.back())) {
    wrong.push_back("run " + name + ": it ended as " + task.at("state").dump() + " (" +
                    task.value("reason", "") + ") after " + attempts.dump());
    return;
  }
  std::string executor;
  for (const auto& each : attempts) {
    if (!has_succeeded(each)) {
      continue;
    }
    const auto here = each.at("executor").get<std::string>();
    if (here.empty()) {
      wrong.push_back("run " + name + ": a result is nobody's: " + attempts.dump());
    } else if (here == executor) {
      wrong.push_back("run " + name + ": two results were adopted: " + attempts.dump());
    }
    executor = here;
  }
}

// The task `last` has written which attempt of `first` it got the output of.
void check_outputs(const std::string& run, const json& tasks, std::vector<std::string>& wrong) {
  std::set<std::string> good;
  std::string used;
  for (const auto& task : tasks) {
    for (const auto& each : task.at("attempts")) {
      if (task.at("name") == "first" && has_succeeded(each)) {
        good.insert("first=" + each.at("id").dump() + "\n");
      }
      if (task.at("name") == "last" && has_succeeded(each)) {
        used = each.at("stdout_tail");
      }
    }
  }
  if (!used.empty() && !good.contains(used)) {
    wrong.push_back("run " + run +
                    ": an output was adopted that is of no attempt that succeeded: " + used);
  }
}

void check_runs(const std::vector<operation>& operations, std::vector<std::string>& wrong) {
  std::map<std::string, std::size_t> submitted;  // by run
  std::multiset<std::string> listed;
  std::map<std::string, const operation*> outcomes;
  std::size_t unknown = 0;
  bool is_listed = false;
  for (const auto& one : operations) {
    if (one.f == "submit") {
      one.is_known() ? ++submitted[one.answered.get<std::string>()] : ++unknown;
    } else if (one.f == "list" && one.is_known()) {
      is_listed = true;
      for (const auto& each : one.answered) {
        listed.insert(each.get<std::string>());
      }
    } else if (one.f == "outcome" && one.is_known()) {
      outcomes[one.asked.get<std::string>()] = &one;
    }
  }
  if (!is_listed) {
    return;  // it was cut short
  }
  for (const auto& [run, times] : submitted) {
    if (times > 1) {
      wrong.push_back("run " + run + ": two submissions have become one");
    }
    if (listed.count(run) != 1) {
      wrong.push_back("run " + run + ": it was acknowledged, and is listed " +
                      std::to_string(listed.count(run)) + " times");
    }
  }
  if (listed.size() > submitted.size() + unknown) {
    wrong.push_back("run: " + std::to_string(listed.size()) + " are there, " +
                    std::to_string(submitted.size()) + " were acknowledged and " +
                    std::to_string(unknown) + " may have been made");
  }
  for (const auto& run : listed) {
    const auto at = outcomes.find(run);
    if (at == outcomes.end()) {
      wrong.push_back("run " + run + ": nobody knows how it ended");
      continue;
    }
    const auto& is = at->second->answered;
    if (is.at("state") != "succeeded") {
      wrong.push_back("run " + run + ": it ended as " + is.at("state").dump());
    }
    for (const auto& task : is.at("tasks")) {
      check_task(run, task, wrong);
    }
    check_outputs(run, is.at("tasks"), wrong);
  }
}

}  // namespace

report check(const history& events, const search_limits& limits) {
  report made;
  std::string mistake;
  const auto operations = operations_of(events, mistake);
  if (!mistake.empty()) {
    made.violations.push_back(mistake);
    return made;
  }
  std::map<std::string, std::vector<operation>> by_key;
  std::map<std::string, std::vector<operation>> by_kind;  // of those that are looked at together
  for (const auto& one : operations) {
    made.unknown += one.is_known() ? 0 : 1;
    const auto kind = one.key.substr(0, one.key.find('/'));
    (kind == "purse" || kind == "run" ? by_kind[kind] : by_key[one.key]).push_back(one);
  }
  made.operations = operations.size();
  made.keys = by_key.size() + by_kind.size();
  check_purses(by_kind["purse"], made.violations);
  check_runs(by_kind["run"], made.violations);
  for (auto& [key, of_key] : by_key) {
    const auto of = model_of(key.substr(0, key.find('/')));
    if (of == nullptr) {
      made.violations.push_back(key + ": there is no such model");
      continue;
    }
    auto found = search(*of, std::move(of_key), limits);
    if (found.is == verdict::violated) {
      made.violations.push_back(key + ": not linearizable, " + found.why);
    } else if (found.is == verdict::undecided) {
      made.undecided.push_back(key + ": " + found.why);
    }
  }
  return made;
}

}  // namespace chaos
