// SPDX-License-Identifier: MIT
#include "run/task_spec.h"

#include <algorithm>
#include <map>
#include <utility>

#include "definition/exit_codes.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/process.h"
#include "pipeline/names.h"
#include "pool/wish_rows.h"
#include "run/run_spans.h"

namespace millrace::actors {

using runtime::result;

namespace {

// What a command may rely on before the definition adds to it.
constexpr std::pair<const char*, const char*> base_environment[] = {
    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"LANG", "C.UTF-8"},
};

void put_words(capnp::List<capnp::Text>::Builder into, const std::vector<std::string>& words) {
  for (unsigned at = 0; at < into.size(); ++at) {
    into.set(at, words[at].c_str());
  }
}

// Before it is granted a slot, and with a remedy.
result<void> check_sizes(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, text] : environment) {
    if (const auto bytes = name.size() + 1 + text.size(); bytes >= argument_bytes_max) {
      return runtime::error{
          runtime::errc::too_large,
          "env " + name + ": with its name it has " + std::to_string(bytes) +
              " bytes, and a program can be given at most " +
              std::to_string(argument_bytes_max - 1) +
              " in one; write it under `inputs`, which the command gets as a file"};
    }
  }
  return {};
}

// Whole but for what the executor adds.
result<std::map<std::string, std::string>> environment_of(const run_graph& graph, instance_id id,
                                                          const task_spec_run& run) {
  auto made = graph.environment(id);
  if (!made) {
    return made;
  }
  const auto& task = graph.task(id.task);
  for (const auto& [variable, text] : base_environment) {
    made->emplace(variable, text);
  }
  (*made)["MILLRACE_PROJECT"] = run.project;
  (*made)["MILLRACE_PIPELINE"] = graph.definition().name;
  (*made)["MILLRACE_RUN"] = run.key;
  if (!graph.scheduled_at().empty()) {
    (*made)["MILLRACE_SCHEDULED_AT"] = graph.scheduled_at();
  }
  for (auto& [variable, text] : graph.hook_environment(id.task)) {
    (*made)[variable] = std::move(text);
  }
  (*made)["MILLRACE_TASK"] = task.name;
  (*made)["MILLRACE_INDEX"] = std::to_string(id.index);
  if (task.ranks > 0) {
    (*made)["MILLRACE_RANK"] = std::to_string(id.index);
    (*made)["MILLRACE_RANKS"] = std::to_string(task.ranks);
  }
  if (!run.source.empty()) {
    (*made)["MILLRACE_SOURCE"] = run.source;
  }
  if (auto fits = check_sizes(*made); !fits) {
    return std::move(fits).error();
  }
  return made;
}

// The task's own over those of the pipeline; and the tokens of the callbacks that its texts have,
// so that they are masked in what it writes.
void put_secrets(const run_graph& graph, std::uint32_t task, const std::string& project,
                 schemas::TaskSpec::Builder spec) {
  auto secrets = graph.task(task).secrets;
  const auto& all = graph.definition().secrets;
  secrets.insert(all.begin(), all.end());
  const auto callbacks = graph.callbacks_given_to(task);
  auto list = spec.initSecrets(static_cast<unsigned>(secrets.size() + callbacks.size()));
  unsigned at = 0;
  for (const auto& name : callbacks) {
    const auto token = graph.callback_token(*graph.find(name));
    list[at].setVariable(("MILLRACE_CALLBACK_" + std::to_string(at + 1)).c_str());
    list[at].setFrom(schemas::SecretSource::GIVEN);
    list[at].setKey(name.c_str());
    list[at].setSealed({reinterpret_cast<const kj::byte*>(token.data()), token.size()});
    ++at;
  }
  for (const auto& [variable, secret] : secrets) {
    list[at].setVariable(variable.c_str());
    list[at].setFrom(static_cast<schemas::SecretSource>(secret.from));
    list[at].setKey(secret.key.c_str());
    if (secret.from == secret_source::project) {
      list[at].setProject(project.c_str());
    }
    ++at;
  }
}

// What it asks of the pool.
void put_wish(const run_graph& graph, instance_id id, const task_spec_run& run,
              const std::vector<semaphore_definition>& locks, schemas::Wish::Builder wish) {
  const auto& definition = graph.definition();
  const auto& task = graph.task(id.task);
  wish.setPriority(task.priority.value_or(definition.priority.value_or(priority_default)));
  wish.setProject(run.project.c_str());
  wish.setPool(pool_of(definition, task).c_str());
  const auto must_not_end = task.retry.on_lost == lost_attempt::give_up || task.ranks > 0;
  const auto rule =
      task.preemptible.value_or(must_not_end ? preemption_rule::never : preemption_rule::requeue);
  wish.setPreemptible(static_cast<schemas::Preemptible>(static_cast<unsigned>(rule) + 1));
  put_amounts(task.resources, [&](unsigned size) { return wish.initResources(size); });
  if (definition.workspace == workspace_mode::run) {
    put_amounts(graph.most_resources(), [&](unsigned size) { return wish.initAtMost(size); });
    wish.setMostRanks(graph.most_ranks());
    if (graph.pools().size() > 1) {
      put_names(graph.pools(), [&](unsigned size) { return wish.initRunPools(size); });
    }
  }
  if (task.ranks > 0) {
    auto gang = wish.initGang();
    gang.setName((run.key + "/" + task.name).c_str());
    gang.setRanks(task.ranks);
    gang.setRank(id.index);
    gang.setRound(graph.gang(id.task).round);
  }
  auto held = wish.initLocks(static_cast<unsigned>(locks.size()));
  for (unsigned at = 0; at < held.size(); ++at) {
    held[at].setName(locks[at].name.c_str());
    held[at].setLimit(locks[at].limit);
  }
}

// What it is to leave, and what it takes of others.
result<void> put_artifacts(const run_graph& graph, instance_id id,
                           schemas::TaskSpec::Builder spec) {
  const auto left = graph.artifacts(id);
  if (!left) {
    return left.error();
  }
  auto wishes = spec.initArtifacts(static_cast<unsigned>(left->size()));
  for (unsigned at = 0; at < wishes.size(); ++at) {
    const auto& each = (*left)[at];
    wishes[at].setName(each.name.c_str());
    put_words(wishes[at].initPaths(static_cast<unsigned>(each.paths.size())), each.paths);
    wishes[at].setMaxSize(each.max_size);
    wishes[at].setOptional(each.optional);
  }
  const auto taken = graph.taken_artifacts(id);
  if (!taken) {
    return taken.error();
  }
  auto sources = spec.initNeedsArtifacts(static_cast<unsigned>(taken->size()));
  for (unsigned at = 0; at < sources.size(); ++at) {
    const auto& each = (*taken)[at];
    sources[at].setFolder(each.folder.c_str());
    auto artifact = sources[at].initArtifact();
    artifact.setName(each.artifact.name.c_str());
    artifact.setTask(each.task.c_str());
    artifact.setDigest(each.artifact.digest.c_str());
    artifact.setFiles(each.artifact.files);
    artifact.setBytes(each.artifact.bytes);
    artifact.setExecutor(each.artifact.executor.c_str());
  }
  return {};
}

void put_inputs(const filled_inputs& from, schemas::TaskSpec::Builder spec) {
  if (from.texts.empty()) {
    spec.setInputs(from.json.c_str());
    return;
  }
  auto into = spec.initLargeInputs();
  into.setJson(from.json.c_str());
  auto texts = into.initTexts(static_cast<unsigned>(from.texts.size()));
  for (unsigned at = 0; at < texts.size(); ++at) {
    const auto& [place, output, task] = from.texts[at];
    texts[at].setAt(place);
    texts[at].setTask(task.c_str());
    texts[at].setName(output.name.c_str());
    auto kept = texts[at].initText();
    kept.setDigest(output.digest.c_str());
    kept.setSize(output.size);
    kept.setExecutor(output.executor.c_str());
  }
}

result<void> put_cache(const run_graph& graph, instance_id id, const task_spec_run& run,
                       schemas::TaskSpec::Builder spec) {
  const auto& wish = graph.task(id.task).cache;
  if (!wish) {
    return {};
  }
  const auto key = graph.cache_key_text(id);
  if (!key) {
    return key.error();
  }
  auto cache = spec.initCache();
  cache.setCache((run.project + "/" + graph.definition().name).c_str());
  cache.setKeyed(!wish->key.empty());
  cache.setKey(key->c_str());
  cache.setTtlNs(wish->ttl.value_or(runtime::duration{}).count());
  cache.setUnused(!run.uses_kept);
  return {};
}

void put_identity(const run_graph& graph, instance_id id, const task_spec_run& run,
                  schemas::TaskSpec::Builder spec) {
  spec.setRun(run.key.c_str());
  spec.setTask(graph.task(id.task).name.c_str());
  spec.setIndex(id.index);
  spec.setName(graph.name_of(id).c_str());
  spec.setEpoch(run.epoch);
  spec.setRound(graph.gang(id.task).round);
  spec.setLabel(graph.instance(id).label.c_str());
  if (run.place) {
    store_place(run.place, spec.initTrace());
  }
}

void put_retry(const task_definition& task, schemas::TaskSpec::Builder spec) {
  spec.setMaxAttempts(task.ranks > 0 ? 1 : task.retry.max_attempts);  // its run begins a gang again
  spec.setDelayNs(task.retry.delay.count());
  spec.setBackoff(task.retry.backoff);
  spec.setMaxDelayNs(task.retry.max_delay.count());
  spec.setJitter(task.retry.jitter);
  spec.setGiveUpWhenLost(task.retry.on_lost == lost_attempt::give_up);
  put_codes(spec.initOnExit(static_cast<unsigned>(task.retry.on_exit.size())), task.retry.on_exit);
  put_codes(spec.initNotOnExit(static_cast<unsigned>(task.retry.not_on_exit.size())),
            task.retry.not_on_exit);
}

// Those that must be written.
void put_outputs(const task_definition& task, schemas::TaskSpec::Builder spec) {
  const auto must_be_written = [](const output_definition& each) { return !each.fallback; };
  auto outputs = spec.initOutputs(static_cast<unsigned>(
      std::count_if(task.outputs.begin(), task.outputs.end(), must_be_written)));
  unsigned at = 0;
  for (const auto& each : task.outputs) {
    if (must_be_written(each)) {
      outputs.set(at++, each.name.c_str());
    }
  }
}

// A task that calls an actor: no executor has anything to do with it.
result<schemas::task_interface::begin_params> call_spec_of(const run_graph& graph, instance_id id,
                                                           const task_spec_run& run) {
  const auto key = graph.actor_key(id);
  if (!key) {
    return key.error();
  }
  const auto given = graph.child_params(id);
  if (!given) {
    return given.error();
  }
  const auto limits = graph.limits(id);
  if (!limits) {
    return limits.error();
  }
  const auto timeout = limits->timeout.value_or(runtime::duration{});
  if (timeout > actor_call_timeout_max) {
    return runtime::error{runtime::errc::invalid_argument,
                          "timeout: a call of an actor takes at most " +
                              format_duration(actor_call_timeout_max) + ", since its answer is " +
                              "known for so long"};
  }
  const auto& task = graph.task(id.task);
  schemas::task_interface::begin_params params;
  auto spec = params.build().initSpec();
  put_identity(graph, id, run, spec);
  auto call = spec.initCall();
  call.setType(task.actor->type.c_str());
  call.setKey(key->c_str());
  call.setMethod(task.actor->method.c_str());
  call.setParams(given->c_str());
  spec.setTimeoutNs(timeout.count());
  put_retry(task, spec);
  put_outputs(task, spec);
  return params;
}

}  // namespace

bool looks_up(const schemas::TaskSpec::Reader& spec) {
  return spec.hasCache() && !spec.getCache().getUnused();
}

result<schemas::task_interface::begin_params> task_spec_of(const run_graph& graph, instance_id id,
                                                           const task_spec_run& run) {
  if (graph.task(id.task).actor) {
    return call_spec_of(graph, id, run);
  }
  const auto environment = environment_of(graph, id, run);
  if (!environment) {
    return environment.error();
  }
  const auto argv = graph.arguments(id);
  if (!argv) {
    return argv.error();
  }
  const auto& definition = graph.definition();
  const auto& task = graph.task(id.task);
  const auto name = graph.name_of(id);
  const auto again = graph.retry_arguments(id);
  if (!again) {
    return again.error();
  }
  const auto limits = graph.limits(id);
  if (!limits) {
    return limits.error();
  }
  const auto workdir = graph.workdir(id);
  if (!workdir) {
    return workdir.error();
  }
  const auto inputs = graph.inputs(id);
  if (!inputs) {
    return inputs.error();
  }
  const auto locks = graph.locks(id);
  if (!locks) {
    return locks.error();
  }

  schemas::task_interface::begin_params params;
  auto spec = params.build().initSpec();
  put_identity(graph, id, run, spec);
  put_words(spec.initArgv(static_cast<unsigned>(argv->size())), *argv);
  put_words(spec.initArgvOnRetry(static_cast<unsigned>(again->size())), *again);
  auto variables = spec.initEnvironment(static_cast<unsigned>(environment->size()));
  unsigned at = 0;
  for (const auto& [variable, text] : *environment) {
    variables[at].setName(variable.c_str());
    variables[at++].setValue(text.c_str());
  }
  put_secrets(graph, id.task, run.project, spec);
  if (auto put = put_artifacts(graph, id, spec); !put) {
    return std::move(put).error();
  }
  if (auto put = put_cache(graph, id, run, spec); !put) {
    return std::move(put).error();
  }
  const auto shared = definition.workspace == workspace_mode::run;
  spec.setWorkspace((shared ? run.key : run.key + "/" + name).c_str());
  spec.setTimeoutNs(limits->timeout.value_or(runtime::duration{}).count());
  spec.setStartTimeoutNs(limits->start_timeout.value_or(runtime::duration{}).count());
  spec.setHeartbeatNs(limits->heartbeat.value_or(runtime::duration{}).count());
  constexpr runtime::duration grace_default = std::chrono::seconds{10};
  spec.setGraceNs(
      task.grace_period.value_or(definition.grace_period.value_or(grace_default)).count());
  spec.setDetach(task.detach);
  spec.setMemoryLimit(task.memory_limit);
  spec.setWorkdir(workdir->c_str());
  put_inputs(*inputs, spec);
  spec.setKeepsOutputs(true);
  const auto& read = graph.read_outputs(id.task);
  put_words(spec.initReadOutputs(static_cast<unsigned>(read.size())), read);
  put_retry(task, spec);
  put_codes(spec.initSuccessExitCodes(static_cast<unsigned>(task.success_exit_codes.size())),
            task.success_exit_codes);
  spec.setStdoutOutput(task.stdout_output.c_str());
  auto wish = spec.initWish();
  put_wish(graph, id, run, *locks, wish);
  spec.setPriority(old_priority(wish.getPriority()));
  spec.setPool(std::string{pool_key}.c_str());
  put_outputs(task, spec);
  return params;
}

}  // namespace millrace::actors
