// SPDX-License-Identifier: MIT
#include "cache/cache_key.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "millrace/actors/artifact.h"
#include "pipeline/names.h"

namespace millrace::actors {

namespace {

// Of the environment, what every run has another one of, and what tells instances apart.
constexpr std::string_view run_variable = "MILLRACE_RUN";
constexpr std::string_view item_variables = "MILLRACE_ITEM";
constexpr std::string_view cell_variables = "MILLRACE_MATRIX_";
constexpr std::size_t changes_told_max = 5;

// Texts one after the other, so that no two lists of them are alike.
class text_digest {
public:
  void add(std::string_view text) {
    sum_.add(std::to_string(text.size()) + ":");
    sum_.add(text);
  }
  // How many come next, so that two lists are not taken for others with their ends elsewhere.
  void begin_list(unsigned count) { sum_.add(std::to_string(count) + ";"); }
  [[nodiscard]] std::string hex() && { return std::move(sum_).hex(); }

private:
  digest_of_stream sum_;
};

class part_list {
public:
  void add(std::string name, text_digest sum) {
    const auto hex = std::move(sum).hex();
    whole_.add(name);
    whole_.add(hex);
    auto& made = parts_.emplace_back();
    made.name = std::move(name);
    constexpr std::size_t digits = 16;
    std::from_chars(hex.data(), hex.data() + digits, made.digest, 16);
  }
  [[nodiscard]] cache_key done() && { return {std::move(whole_).hex(), std::move(parts_)}; }

private:
  text_digest whole_;
  std::vector<cache_part> parts_;
};

void add_command(schemas::TaskSpec::Reader spec, part_list& to) {
  text_digest words;
  for (const auto list : {spec.getArgv(), spec.getArgvOnRetry()}) {
    words.begin_list(list.size());
    for (auto word : list) {
      words.add(text_of(word));
    }
  }
  to.add("command", std::move(words));
  text_digest place;
  place.add(text_of(spec.getWorkdir()));
  to.add("workdir", std::move(place));
  text_digest inputs;
  inputs.add(text_of(spec.hasLargeInputs() ? spec.getLargeInputs().getJson() : spec.getInputs()));
  for (auto each : spec.getLargeInputs().getTexts()) {
    inputs.add(std::to_string(each.getAt()));
    inputs.add(text_of(each.getText().getDigest()));
  }
  to.add("inputs", std::move(inputs));
}

void add_environment(schemas::TaskSpec::Reader spec, part_list& to) {
  const auto variables = spec.getEnvironment();
  if (variables.size() > cache_parts_max / 2) {
    text_digest all;
    for (auto each : variables) {
      if (each.getName() != run_variable.data()) {
        all.add(text_of(each.getName()));
        all.add(text_of(each.getValue()));
      }
    }
    return to.add("environment", std::move(all));
  }
  for (auto each : variables) {
    if (each.getName() != run_variable.data()) {
      text_digest text;
      text.add(text_of(each.getValue()));
      to.add("env " + text_of(each.getName()), std::move(text));
    }
  }
}

void add_instance(schemas::TaskSpec::Reader spec, part_list& to) {
  text_digest all;
  for (auto each : spec.getEnvironment()) {
    const auto name = text_of(each.getName());
    if (name.starts_with(item_variables) || name.starts_with(cell_variables)) {
      all.add(name);
      all.add(text_of(each.getValue()));
    }
  }
  to.add("item", std::move(all));
}

// Where their values come from: the values are nobody's to see.
void add_secrets(schemas::TaskSpec::Reader spec, part_list& to) {
  text_digest all;
  for (auto each : spec.getSecrets()) {
    if (each.getFrom() != schemas::SecretSource::GIVEN) {
      all.add(text_of(each.getVariable()));
      all.add(std::to_string(static_cast<unsigned>(each.getFrom())));
      all.add(text_of(each.getKey()));
    }
  }
  to.add("secrets", std::move(all));
}

void add_artifacts(schemas::TaskSpec::Reader spec, part_list& to) {
  const auto sources = spec.getNeedsArtifacts();
  const auto is_wide = sources.size() > cache_parts_max / 4;
  text_digest all;
  for (auto each : sources) {
    const auto artifact = each.getArtifact();
    text_digest one;
    for (auto text : {each.getFolder(), artifact.getName(), artifact.getDigest()}) {
      (is_wide ? all : one).add(text_of(text));
    }
    if (!is_wide) {
      to.add("artifact " + text_of(artifact.getName()) + " of " + text_of(artifact.getTask()),
             std::move(one));
    }
  }
  if (is_wide) {
    to.add("artifacts of others", std::move(all));
  }
}

// What a result has, and when it is one.
void add_results(schemas::TaskSpec::Reader spec, part_list& to) {
  text_digest all;
  all.begin_list(spec.getOutputs().size());
  for (auto name : spec.getOutputs()) {
    all.add(text_of(name));
  }
  all.add(text_of(spec.getStdoutOutput()));
  all.begin_list(spec.getSuccessExitCodes().size());
  for (auto code : spec.getSuccessExitCodes()) {
    all.add(std::to_string(code));
  }
  for (auto each : spec.getArtifacts()) {
    all.add(text_of(each.getName()));
    all.add(each.getOptional() ? "optional" : "");
    all.add(std::to_string(each.getMaxSize()));
    all.begin_list(each.getPaths().size());
    for (auto path : each.getPaths()) {
      all.add(text_of(path));
    }
  }
  if (const auto read = spec.getReadOutputs(); read.size() > 0) {  // a large one has its text then
    all.begin_list(read.size());
    for (auto name : read) {
      all.add(text_of(name));
    }
  }
  to.add("what it leaves", std::move(all));
}

}  // namespace

cache_key cache_key_of(schemas::TaskSpec::Reader spec) {
  part_list parts;
  if (const auto cache = spec.getCache(); cache.getKeyed()) {
    text_digest key;
    key.add(text_of(cache.getKey()));
    parts.add("key", std::move(key));
    add_instance(spec, parts);
  } else {
    add_command(spec, parts);
    add_environment(spec, parts);
    add_secrets(spec, parts);
    add_artifacts(spec, parts);
  }
  add_results(spec, parts);
  return std::move(parts).done();
}

std::string changed_parts(capnp::List<schemas::CachePart>::Reader before,
                          capnp::List<schemas::CachePart>::Reader now) {
  std::map<std::string, std::uint64_t> left;
  for (auto each : before) {
    left[text_of(each.getName())] = each.getDigest();
  }
  std::vector<std::string> changed;
  for (auto each : now) {
    const auto name = text_of(each.getName());
    const auto found = left.find(name);
    if (found == left.end() || found->second != each.getDigest()) {
      changed.push_back(name);
    }
    if (found != left.end()) {
      left.erase(found);
    }
  }
  for (const auto& gone : left) {
    changed.push_back(gone.first);
  }
  std::string text;
  for (std::size_t at = 0; at < std::min(changed.size(), changes_told_max); ++at) {
    text += (at == 0 ? "" : ", ");
    text += changed[at];
  }
  if (changed.size() > changes_told_max) {
    text += " and " + std::to_string(changed.size() - changes_told_max) + " more";
  }
  return text;
}

}  // namespace millrace::actors
