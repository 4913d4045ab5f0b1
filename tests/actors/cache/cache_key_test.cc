// SPDX-License-Identifier: MIT
// What a result depends on, and how a miss is explained.
#include "cache/cache_key.h"

#include <doctest/doctest.h>

#include <functional>

#include "millrace/runtime/message.h"

namespace millrace::actors {
namespace {

using spec_message = runtime::message<schemas::TaskSpec>;

spec_message spec() {
  spec_message made;
  auto spec = made.build();
  spec.setRun("run");
  spec.setTask("fetch");
  spec.setName("fetch");
  spec.initArgv(2).set(0, "sh");
  spec.getArgv().set(1, "x");
  auto variables = spec.initEnvironment(2);
  variables[0].setName("MILLRACE_RUN");
  variables[0].setValue("run");
  variables[1].setName("MODE");
  variables[1].setValue("fast");
  spec.initOutputs(1).set(0, "n");
  spec.initCache();
  return made;
}

// Which parts are other ones after a change; and the keys differ exactly if some are.
std::string changed_by(const std::function<void(schemas::TaskSpec::Builder)>& change) {
  auto before = spec();
  auto after = spec();
  change(after.build());
  const auto put = [](const cache_key& key) {
    runtime::message<schemas::KeptResult> made;
    auto list = made.build().initParts(static_cast<unsigned>(key.parts.size()));
    for (unsigned at = 0; at < list.size(); ++at) {
      list[at].setName(key.parts[at].name.c_str());
      list[at].setDigest(key.parts[at].digest);
    }
    return made;
  };
  const auto first = cache_key_of(before.read());
  const auto second = cache_key_of(after.read());
  const auto text = changed_parts(put(first).read().getParts(), put(second).read().getParts());
  CHECK((first.digest == second.digest) == text.empty());
  CHECK(first.digest.size() == 64);
  return text;
}

TEST_CASE("all that a command gets is part of its key, and is named when it changes") {
  CHECK(changed_by([](auto) {}).empty());
  CHECK(changed_by([](auto spec) { spec.getArgv().set(1, "y"); }) == "command");
  CHECK(changed_by([](auto spec) {
          auto words = spec.initArgv(2);
          words.set(0, "s");
          words.set(1, "hx");
        }) == "command");
  CHECK(changed_by([](auto spec) { spec.initArgvOnRetry(1).set(0, "x"); }) == "command");
  CHECK(changed_by([](auto spec) { spec.getEnvironment()[1].setValue("slow"); }) == "env MODE");
  CHECK(changed_by([](auto spec) { spec.getEnvironment()[1].setName("OTHER"); }) ==
        "env OTHER, env MODE");
  CHECK(changed_by([](auto spec) { spec.setInputs("{}"); }) == "inputs");
  CHECK(changed_by([](auto spec) { spec.setWorkdir("sub"); }) == "workdir");
  CHECK(changed_by([](auto spec) { spec.getOutputs().set(0, "m"); }) == "what it leaves");
  CHECK(changed_by([](auto spec) { spec.initSuccessExitCodes(1).set(0, 3); }) == "what it leaves");
  CHECK(changed_by([](auto spec) {
          auto artifact = spec.initNeedsArtifacts(1)[0].initArtifact();
          artifact.setName("set");
          artifact.setTask("make");
          artifact.setDigest("abc");
        }) == "artifact set of make");
  CHECK(changed_by([](auto spec) {
          auto secret = spec.initSecrets(1)[0];
          secret.setVariable("TOKEN");
          secret.setKey("token");
        }) == "secrets");
}

TEST_CASE("what every run has another one of is left out, and so is what changes no result") {
  CHECK(changed_by([](auto spec) {
          spec.setRun("other");
          spec.getEnvironment()[0].setValue("other");
          spec.setName("fetch[3]");
          spec.setLabel("three");
          spec.setTimeoutNs(5);
          spec.setMaxAttempts(3);
          spec.setWorkspace("other/fetch");
          auto token = spec.initSecrets(1)[0];
          token.setVariable("MILLRACE_CALLBACK_1");
          token.setFrom(schemas::SecretSource::GIVEN);
        }) == "");
}

TEST_CASE("what one list ends with is not taken for the beginning of the next") {
  const auto with = [](bool is_split) {
    auto made = spec();
    auto list = made.build().initArtifacts(is_split ? 2 : 1);
    list[0].setName("a");
    list[0].initPaths(is_split ? 1 : 5).set(0, "p");
    if (is_split) {
      list[1].setName("b");
      list[1].setOptional(true);
      list[1].initPaths(1).set(0, "q");
    } else {
      auto paths = list[0].getPaths();
      paths.set(1, "b");
      paths.set(2, "optional");
      paths.set(3, "0");
      paths.set(4, "q");
    }
    return made;
  };
  CHECK(cache_key_of(with(true).read()).digest != cache_key_of(with(false).read()).digest);
}

TEST_CASE("a key of its own counts in place of what the command gets") {
  const auto keyed = [](const char* key) {
    auto made = spec();
    auto cache = made.build().getCache();
    cache.setKeyed(true);
    cache.setKey(key);
    return made;
  };
  auto first = keyed("1");
  auto other = keyed("1");
  other.build().getArgv().set(1, "other");
  CHECK(cache_key_of(first.read()).digest == cache_key_of(other.read()).digest);
  CHECK(cache_key_of(first.read()).digest != cache_key_of(keyed("2").read()).digest);
  auto item = keyed("1");
  auto variables = item.build().initEnvironment(1);
  variables[0].setName("MILLRACE_ITEM");
  variables[0].setValue("a");
  CHECK(cache_key_of(first.read()).digest != cache_key_of(item.read()).digest);
  other.build().getOutputs().set(0, "m");  // another result altogether
  CHECK(cache_key_of(first.read()).digest != cache_key_of(other.read()).digest);
}

TEST_CASE("a long environment is one part, and a long explanation is cut") {
  const auto wide = [](auto spec, unsigned count, const char* value) {
    auto list = spec.initEnvironment(count);
    for (unsigned at = 0; at < count; ++at) {
      list[at].setName(("V" + std::to_string(at)).c_str());
      list[at].setValue(value);
    }
  };
  auto made = spec();
  wide(made.build(), 1'000, "x");
  CHECK(cache_key_of(made.read()).parts.size() < 10);
  CHECK(changed_by([&](auto spec) { wide(spec, 20, "x"); }) ==
        "env V0, env V1, env V2, env V3, env V4 and 16 more");
}

}  // namespace
}  // namespace millrace::actors
