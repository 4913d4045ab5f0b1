// SPDX-License-Identifier: MIT
#include "definition/compiled.h"

#include <algorithm>
#include <unordered_map>

#include "definition/compiled_format.h"
#include "definition/exit_codes.h"
#include "definition/value_json.h"

namespace millrace::actors {
namespace {

using runtime::errc;
using runtime::error;
using runtime::result;
using text_map = std::map<std::string, std::string>;

// Enumerators stand in one order here and there, so one is the other's number.
static_assert(static_cast<unsigned>(param_type::map) ==
              static_cast<unsigned>(schemas::CompiledParam::Type::MAP));
static_assert(static_cast<unsigned>(trigger_rule::no_failure) ==
              static_cast<unsigned>(schemas::CompiledTask::RunOn::NO_FAILURE));
static_assert(static_cast<unsigned>(empty_fan_out::fail) ==
              static_cast<unsigned>(schemas::FanOut::OnEmpty::FAIL));
static_assert(static_cast<unsigned>(secret_source::project) ==
              static_cast<unsigned>(schemas::SecretSource::PROJECT));
static_assert(static_cast<unsigned>(workspace_mode::task) ==
              static_cast<unsigned>(schemas::CompiledPipeline::Workspace::TASK));

static_assert(static_cast<unsigned>(trigger_event::end) ==
              static_cast<unsigned>(schemas::TriggerEvent::END));
static_assert(static_cast<unsigned>(at_limit::reject) ==
              static_cast<unsigned>(schemas::Concurrency::OnLimit::REJECT));
static_assert(static_cast<unsigned>(overlap_policy::replace) ==
              static_cast<unsigned>(schemas::CompiledSchedule::Overlap::REPLACE));
static_assert(static_cast<unsigned>(catchup_policy::all) ==
              static_cast<unsigned>(schemas::CompiledSchedule::Catchup::ALL));

static_assert(static_cast<unsigned>(preemption_rule::never) + 1 ==
              static_cast<unsigned>(schemas::Preemptible::NEVER));
static_assert(static_cast<unsigned>(hook_event::any) + 1 ==
              static_cast<unsigned>(schemas::CompiledTask::Hook::FINALLY));

constexpr std::int64_t no_grace = -1;  // 0 is one: kill at once
constexpr std::int64_t no_priority = -1;

std::string string_of(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

unsigned size_of(std::size_t count) {
  return static_cast<unsigned>(count);  // definition_tasks_max and the like keep it small
}

// --- writing -------------------------------------------------------------------------------------

void put(capnp::List<schemas::CompiledEntry>::Builder into, const text_map& map) {
  unsigned at = 0;
  for (const auto& [key, text] : map) {
    into[at].setKey(key.c_str());
    into[at++].setValue(text.c_str());
  }
}

void put(capnp::List<schemas::CompiledSecret>::Builder into, const secret_map& secrets) {
  unsigned at = 0;
  for (const auto& [variable, secret] : secrets) {
    into[at].setVariable(variable.c_str());
    into[at].setFrom(static_cast<schemas::SecretSource>(secret.from));
    into[at++].setKey(secret.key.c_str());
  }
}

std::string json_of(const std::map<std::string, value>& values) {
  return to_json(make_value(value::map{values.begin(), values.end()}));
}

std::string json_of(const auto& list) {
  return to_json_text(to_json_list(list));
}

void put(schemas::FanValues::Builder into, const fan_values& values) {
  if (const auto* text = std::get_if<std::string>(&values)) {
    into.setExpression(text->c_str());
  } else {
    into.setListed(json_of(std::get<std::vector<value>>(values)).c_str());
  }
}

void put(schemas::Matrix::Builder into, const matrix_definition& matrix) {
  auto axes = into.initAxes(size_of(matrix.axes.size()));
  for (unsigned at = 0; at < axes.size(); ++at) {
    axes[at].setName(matrix.axes[at].name.c_str());
    put(axes[at].initValues(), matrix.axes[at].values);
  }
  if (!matrix.include.empty()) {
    into.setInclude(json_of(matrix.include).c_str());
  }
  if (!matrix.exclude.empty()) {
    into.setExclude(json_of(matrix.exclude).c_str());
  }
}

void put(schemas::CompiledParam::Builder into, const param_definition& param) {
  into.setName(param.name.c_str());
  into.setType(static_cast<schemas::CompiledParam::Type>(param.type));
  if (param.fallback) {
    into.setDefault(to_json(*param.fallback).c_str());
  }
  if (!param.choices.empty()) {
    into.setChoices(json_of(param.choices).c_str());
  }
  into.setDescription(param.description.c_str());
  into.setRequired(param.required);
}

void put(schemas::CompiledSchedule::Builder into, const schedule_definition& schedule) {
  into.setName(schedule.name.c_str());
  into.setCron(schedule.cron.c_str());
  into.setEvery(schedule.every.count());
  into.setTimeZone(schedule.time_zone.c_str());
  into.setHasStart(schedule.start.has_value());
  into.setStart(schedule.start.value_or(runtime::wall_time{}).time_since_epoch().count());
  into.setHasEnd(schedule.end.has_value());
  into.setEnd(schedule.end.value_or(runtime::wall_time{}).time_since_epoch().count());
  into.setJitter(schedule.jitter.count());
  into.setOverlap(static_cast<schemas::CompiledSchedule::Overlap>(schedule.overlap));
  into.setCatchup(static_cast<schemas::CompiledSchedule::Catchup>(schedule.catchup));
  into.setCatchupWindow(schedule.catchup_window.value_or(runtime::duration{}).count());
  if (!schedule.params.empty()) {
    into.setParams(
        to_json(make_value(value::map{schedule.params.begin(), schedule.params.end()})).c_str());
  }
  into.setPaused(schedule.paused);
}

void put(capnp::List<capnp::Text>::Builder into, const std::vector<std::string>& words) {
  for (unsigned at = 0; at < into.size(); ++at) {
    into.set(at, words[at].c_str());
  }
}

void put(schemas::ProcessStep::Builder into, const std::string& shell,
         const std::vector<std::string>& command, const std::vector<std::string>& interpreter) {
  into.setShell(shell.c_str());
  put(into.initCommand(size_of(command.size())), command);
  put(into.initInterpreter(size_of(interpreter.size())), interpreter);
}

void put(schemas::TimeLimit::Builder into, const time_limit& limit) {
  if (const auto* text = std::get_if<std::string>(&limit)) {
    into.setText(text->c_str());
  } else {
    into.setLength(std::get<runtime::duration>(limit).count());
  }
}

void put_limits(schemas::CompiledTask::Builder into, const task_definition& task) {
  if (const auto* text = task.timeout ? std::get_if<std::string>(&*task.timeout) : nullptr) {
    into.setTimeoutText(text->c_str());
  } else if (task.timeout) {
    into.setTimeout(std::get<runtime::duration>(*task.timeout).count());
  }
  if (task.start_timeout) {
    put(into.initStartTimeout(), *task.start_timeout);
  }
  if (task.heartbeat) {
    put(into.initHeartbeat(), *task.heartbeat);
  }
  into.setGrace(task.grace_period ? task.grace_period->count() : no_grace);
}

void put(schemas::Retry::Builder into, const retry_policy& retry) {
  into.setMaxAttempts(retry.max_attempts);
  into.setDelay(retry.delay.count());
  into.setBackoff(retry.backoff);
  into.setMaxDelay(retry.max_delay.count());
  into.setJitter(retry.jitter);
  into.setGiveUpWhenLost(retry.on_lost == lost_attempt::give_up);
  put_codes(into.initOnExit(size_of(retry.on_exit.size())), retry.on_exit);
  put_codes(into.initNotOnExit(size_of(retry.not_on_exit.size())), retry.not_on_exit);
}

void put_fan_out(schemas::CompiledTask::Builder into, const task_definition& task) {
  if (!task.for_each && !task.matrix) {
    return;
  }
  auto made = into.initFanOut();
  if (task.for_each) {
    put(made.initForEach(), *task.for_each);
  } else {
    put(made.initMatrix(), *task.matrix);
  }
  made.setMaxParallel(task.max_parallel.value_or(0));
  made.setFailFast(task.fail_fast);
  made.setOnEmpty(static_cast<schemas::FanOut::OnEmpty>(task.on_empty));
}

void put_step(schemas::Step::Builder into, const task_definition& task) {
  if (!task.approval.empty()) {
    into.initApproval().setPrompt(task.approval.c_str());
    return;
  }
  if (task.callback) {
    into.initCallback().setPrompt(task.callback->c_str());
    return;
  }
  if (!task.pipeline.empty()) {
    auto child = into.initChild();
    child.setPipeline(task.pipeline.c_str());
    child.setParams(json_of(task.params).c_str());
    return;
  }
  if (task.actor) {
    auto call = into.initActor();
    call.setType(task.actor->type.c_str());
    call.setKey(task.actor->key.c_str());
    call.setMethod(task.actor->method.c_str());
    call.setParams(json_of(task.params).c_str());
    return;
  }
  auto process = into.initProcess();
  put(process, task.run, task.command, task.shell);
  process.setWorkdir(task.workdir.c_str());
  if (!task.inputs.empty()) {
    process.setInputs(
        to_json(make_value(value::map{task.inputs.begin(), task.inputs.end()})).c_str());
  }
}

// Of a hook the edges say which task it belongs to, the first of them.
void put_hook(schemas::CompiledTask::Builder into, const hook_definition& hook,
              const std::vector<std::uint32_t>& needs) {
  into.setHook(static_cast<schemas::CompiledTask::Hook>(static_cast<unsigned>(hook.on) + 1));
  if (!hook.of.empty()) {
    into.setHookOf(static_cast<std::int32_t>(needs.front()));
  }
}

void put_claims(schemas::CompiledTask::Builder into, const task_definition& task) {
  auto resources = into.initResources(size_of(task.resources.size()));
  unsigned at = 0;
  for (const auto& [name, amount] : task.resources) {
    resources[at].setName(name.c_str());
    resources[at++].setAmount(amount);
  }
  auto locks = into.initLocks(size_of(task.mutexes.size() + task.semaphores.size()));
  at = 0;
  for (const auto& name : task.mutexes) {
    locks[at++].setName(name.c_str());
  }
  for (const auto& each : task.semaphores) {
    locks[at].setName(each.name.c_str());
    locks[at++].setLimit(each.limit);
  }
}

void put_artifacts(schemas::CompiledTask::Builder into, const task_definition& task) {
  auto artifacts = into.initArtifacts(size_of(task.artifacts.size()));
  for (unsigned at = 0; at < artifacts.size(); ++at) {
    const auto& each = task.artifacts[at];
    artifacts[at].setName(each.name.c_str());
    put(artifacts[at].initPaths(size_of(each.paths.size())), each.paths);
    artifacts[at].setMaxSize(each.max_size);
    artifacts[at].setOptional(each.optional);
  }
}

// `priority`: of a task without one.
void put(schemas::CompiledTask::Builder into, const task_definition& task,
         const std::vector<std::uint32_t>& needs, std::uint32_t priority) {
  if (task.hook) {
    put_hook(into, *task.hook, needs);
  }
  into.setName(task.name.c_str());
  into.setDescription(task.description.c_str());
  put(into.initLabels(size_of(task.labels.size())), task.labels);
  put_step(into.initStep(), task);
  auto edges = into.initNeeds(size_of(task.hook ? 0 : needs.size()));
  for (unsigned at = 0; at < edges.size(); ++at) {
    const auto& by_element = task.element_needs;
    edges[at].setTask(needs[at]);
    if (std::find(by_element.begin(), by_element.end(), task.needs[at]) != by_element.end()) {
      edges[at].setInstances(schemas::Edge::Instances::SAME);
    }
    if (const auto taken = task.artifact_needs.find(task.needs[at]);
        taken != task.artifact_needs.end()) {
      edges[at].setTakesArtifacts(true);
      edges[at].setArtifact(taken->second.c_str());
    }
  }
  into.setRunOn(static_cast<schemas::CompiledTask::RunOn>(task.run_on));
  into.setWhen(task.when.c_str());
  put(into.initEnv(size_of(task.env.size())), task.env);
  put(into.initSecrets(size_of(task.secrets.size())), task.secrets);
  put_limits(into, task);
  auto retry = into.initRetry();
  put(retry, task.retry);
  if (const auto& again = task.retry_command) {
    put(retry.initCommand(), again->run, again->command, again->shell);
  }
  put_codes(into.initSuccessExitCodes(size_of(task.success_exit_codes.size())),
            task.success_exit_codes);
  into.setStdoutOutput(task.stdout_output.c_str());
  put_fan_out(into, task);
  into.setRanks(task.ranks);
  into.setMemoryLimit(task.memory_limit);
  auto outputs = into.initOutputs(size_of(task.outputs.size()));
  for (unsigned at = 0; at < outputs.size(); ++at) {
    outputs[at].setName(task.outputs[at].name.c_str());
    outputs[at].setDescription(task.outputs[at].description.c_str());
    if (task.outputs[at].fallback) {
      outputs[at].setDefault(task.outputs[at].fallback->c_str());
    }
  }
  constexpr std::uint32_t level_of_old_max = 255;
  into.setLevel(task.priority ? std::int64_t{*task.priority} : no_priority);
  into.setPriority(
      static_cast<std::uint8_t>(std::min(task.priority.value_or(priority), level_of_old_max)));
  if (task.preemptible) {
    into.setPreemptible(
        static_cast<schemas::Preemptible>(static_cast<unsigned>(*task.preemptible) + 1));
  }
  into.setPool(task.pool.c_str());
  put_claims(into, task);
  put_artifacts(into, task);
  if (task.cache) {
    auto cache = into.initCache();
    cache.setKey(task.cache->key.c_str());
    cache.setTtl(task.cache->ttl.value_or(runtime::duration{}).count());
  }
  into.setDetach(task.detach);
  into.setAllowFailures(task.allow_failures.count);
  into.setAllowPercentage(task.allow_failures.is_percentage);
}

// --- reading -------------------------------------------------------------------------------------

text_map map_of(capnp::List<schemas::CompiledEntry>::Reader entries) {
  text_map made;
  for (const auto each : entries) {
    made.emplace_hint(made.end(), string_of(each.getKey()), string_of(each.getValue()));
  }
  return made;
}

secret_map secrets_of(capnp::List<schemas::CompiledSecret>::Reader secrets) {
  secret_map made;
  for (const auto each : secrets) {
    made[string_of(each.getVariable())] = {static_cast<secret_source>(each.getFrom()),
                                           string_of(each.getKey())};
  }
  return made;
}

// Values that we wrote ourselves: what cannot be read is a mistake of the storage.
value value_of(capnp::Text::Reader text) {
  const auto parsed = parse_json({text.begin(), text.size()});
  return parsed ? from_json_value(*parsed) : value{};
}

value::list list_of(capnp::Text::Reader text) {
  auto made = text.size() == 0 ? value{} : value_of(text);
  auto* items = std::get_if<value::list>(&made.content);
  return items != nullptr ? std::move(*items) : value::list{};
}

std::vector<matrix_cells> rows_of(capnp::Text::Reader text) {
  std::vector<matrix_cells> rows;
  for (auto& row : list_of(text)) {
    const auto* cells = row.entries();
    rows.push_back(cells != nullptr ? matrix_cells{cells->begin(), cells->end()} : matrix_cells{});
  }
  return rows;
}

fan_values fan_values_of(schemas::FanValues::Reader values) {
  if (values.isExpression()) {
    return string_of(values.getExpression());
  }
  return list_of(values.getListed());
}

std::optional<runtime::duration> limit_of(std::int64_t nanoseconds) {
  return nanoseconds > 0 ? std::optional{runtime::duration{nanoseconds}} : std::nullopt;
}

std::optional<runtime::duration> grace_of(std::int64_t nanoseconds) {
  return nanoseconds >= 0 ? std::optional{runtime::duration{nanoseconds}} : std::nullopt;
}

time_limit limit_of(schemas::TimeLimit::Reader limit) {
  return limit.getText().size() > 0 ? time_limit{string_of(limit.getText())}
                                    : time_limit{runtime::duration{limit.getLength()}};
}

void read_limits(schemas::CompiledTask::Reader task, task_definition& made) {
  if (task.getTimeoutText().size() > 0) {
    made.timeout = string_of(task.getTimeoutText());
  } else if (task.getTimeout() > 0) {
    made.timeout = runtime::duration{task.getTimeout()};
  }
  if (task.hasStartTimeout()) {
    made.start_timeout = limit_of(task.getStartTimeout());
  }
  if (task.hasHeartbeat()) {
    made.heartbeat = limit_of(task.getHeartbeat());
  }
  made.grace_period = grace_of(task.getGrace());
}

std::optional<std::uint32_t> bound_of(std::uint32_t number) {
  return number > 0 ? std::optional{number} : std::nullopt;
}

param_definition param_of(schemas::CompiledParam::Reader param) {
  param_definition made;
  made.name = string_of(param.getName());
  made.type = static_cast<param_type>(param.getType());
  if (param.getDefault().size() > 0) {
    made.fallback = value_of(param.getDefault());
  }
  made.choices = list_of(param.getChoices());
  made.description = string_of(param.getDescription());
  made.required = param.getRequired();
  return made;
}

std::vector<std::string> words_of(capnp::List<capnp::Text>::Reader words) {
  std::vector<std::string> made;
  for (const auto word : words) {
    made.push_back(string_of(word));
  }
  return made;
}

void read_fan_out(schemas::FanOut::Reader fan_out, task_definition& made) {
  if (fan_out.isForEach()) {
    made.for_each = fan_values_of(fan_out.getForEach());
  } else {
    auto& matrix = made.matrix.emplace();
    for (const auto axis : fan_out.getMatrix().getAxes()) {
      matrix.axes.push_back({string_of(axis.getName()), fan_values_of(axis.getValues())});
    }
    matrix.include = rows_of(fan_out.getMatrix().getInclude());
    matrix.exclude = rows_of(fan_out.getMatrix().getExclude());
  }
  made.max_parallel = bound_of(fan_out.getMaxParallel());
  made.fail_fast = fan_out.getFailFast();
  made.on_empty = static_cast<empty_fan_out>(fan_out.getOnEmpty());
}

retry_policy retry_of(schemas::Retry::Reader retry) {
  retry_policy made;
  made.max_attempts = retry.getMaxAttempts();
  made.delay = runtime::duration{retry.getDelay()};
  made.backoff = retry.getBackoff();
  made.max_delay = runtime::duration{retry.getMaxDelay()};
  made.jitter = retry.getJitter();
  made.on_lost = retry.getGiveUpWhenLost() ? lost_attempt::give_up : lost_attempt::start_again;
  made.on_exit = codes_of(retry.getOnExit());
  made.not_on_exit = codes_of(retry.getNotOnExit());
  return made;
}

result<void> read_step(schemas::Step::Reader step, task_definition& made) {
  if (step.isApproval()) {
    made.approval = string_of(step.getApproval().getPrompt());
    return {};
  }
  if (step.isCallback()) {
    made.callback = string_of(step.getCallback().getPrompt());
    return {};
  }
  if (step.isChild()) {
    made.pipeline = string_of(step.getChild().getPipeline());
    made.params = values_of(step.getChild().getParams());
    return {};
  }
  if (step.isActor()) {
    const auto call = step.getActor();
    made.actor = {string_of(call.getType()), string_of(call.getKey()), string_of(call.getMethod())};
    made.params = values_of(call.getParams());
    return {};
  }
  if (!step.isProcess()) {
    return error{errc::invalid_argument, "the task `" + made.name +
                                             "` is of a kind that this version cannot run; a newer "
                                             "one applied it"};
  }
  const auto process = step.getProcess();
  made.run = string_of(process.getShell());
  made.command = words_of(process.getCommand());
  made.shell = words_of(process.getInterpreter());
  made.workdir = string_of(process.getWorkdir());
  if (process.getInputs().size() > 0) {
    const auto inputs = value_of(process.getInputs());
    if (const auto* entries = inputs.entries()) {
      made.inputs.insert(entries->begin(), entries->end());
    }
  }
  return {};
}

// Requires: the names of all tasks are in `into`.
result<void> read_task(schemas::CompiledTask::Reader task, pipeline_definition& into,
                       std::size_t at) {
  auto& made = into.tasks[at];
  made.description = string_of(task.getDescription());
  made.labels = map_of(task.getLabels());
  if (auto step = read_step(task.getStep(), made); !step) {
    return step;
  }
  for (const auto edge : task.getNeeds()) {
    if (edge.getTask() >= into.tasks.size() ||
        edge.getInstances() > schemas::Edge::Instances::SAME) {
      return error{errc::invalid_argument,
                   "the task `" + made.name + "` has an edge that this version cannot follow"};
    }
    made.needs.push_back(into.tasks[edge.getTask()].name);
    if (edge.getInstances() == schemas::Edge::Instances::SAME) {
      made.element_needs.push_back(made.needs.back());
    }
    if (edge.getTakesArtifacts()) {
      made.artifact_needs[made.needs.back()] = string_of(edge.getArtifact());
    }
  }
  made.run_on = static_cast<trigger_rule>(task.getRunOn());
  made.when = string_of(task.getWhen());
  made.env = map_of(task.getEnv());
  made.secrets = secrets_of(task.getSecrets());
  read_limits(task, made);
  made.retry = retry_of(task.getRetry());
  if (task.getRetry().hasCommand()) {
    const auto again = task.getRetry().getCommand();
    made.retry_command = {string_of(again.getShell()), words_of(again.getCommand()),
                          words_of(again.getInterpreter())};
  }
  made.success_exit_codes = codes_of(task.getSuccessExitCodes());
  made.stdout_output = string_of(task.getStdoutOutput());
  if (task.hasFanOut()) {
    read_fan_out(task.getFanOut(), made);
  }
  made.ranks = task.getRanks();
  made.memory_limit = task.getMemoryLimit();
  for (const auto output : task.getOutputs()) {
    auto& one = made.outputs.emplace_back();
    one.name = string_of(output.getName());
    one.description = string_of(output.getDescription());
    if (output.hasDefault()) {
      one.fallback = string_of(output.getDefault());
    }
  }
  if (task.getLevel() != no_priority) {
    made.priority = static_cast<std::uint32_t>(task.getLevel());
  } else if (!into.priority && task.getPriority() != priority_default) {  // of an older version
    made.priority = task.getPriority();
  }
  made.pool = string_of(task.getPool());
  if (const auto rule = task.getPreemptible(); rule != schemas::Preemptible::BY_DEFAULT) {
    made.preemptible = static_cast<preemption_rule>(static_cast<unsigned>(rule) - 1);
  }
  for (const auto each : task.getArtifacts()) {
    made.artifacts.push_back({string_of(each.getName()), words_of(each.getPaths()),
                              each.getMaxSize(), each.getOptional()});
  }
  if (task.hasCache()) {
    const auto cache = task.getCache();
    auto& kept = made.cache.emplace();
    kept.key = string_of(cache.getKey());
    if (cache.getTtl() > 0) {
      kept.ttl = runtime::duration{cache.getTtl()};
    }
  }
  for (const auto each : task.getResources()) {
    made.resources.emplace(string_of(each.getName()), each.getAmount());
  }
  for (const auto each : task.getLocks()) {
    if (each.getLimit() == 0) {
      made.mutexes.push_back(string_of(each.getName()));
    } else {
      made.semaphores.push_back({string_of(each.getName()), each.getLimit()});
    }
  }
  made.detach = task.getDetach();
  made.allow_failures = {task.getAllowFailures(), task.getAllowPercentage()};
  if (task.getHook() != schemas::CompiledTask::Hook::NONE) {
    const auto of = task.getHookOf();
    if (of >= static_cast<std::int64_t>(at)) {
      return error{errc::invalid_argument,
                   "the task `" + made.name + "` is a hook of what comes after it"};
    }
    made.hook = {static_cast<hook_event>(static_cast<unsigned>(task.getHook()) - 1),
                 of >= 0 ? into.tasks[static_cast<std::size_t>(of)].name : std::string{}};
  }
  return {};
}

// A check of a watch has what only readers of this format know: it is told what it has found.
constexpr std::uint32_t watch_format = 8;

// What a run that looks is.
pipeline_definition check_definition(const pipeline_definition& of, const watch_definition& watch) {
  pipeline_definition made;
  made.name = of.name;
  made.pool = of.pool;
  made.params.emplace_back().name = check_param;
  auto& task = made.tasks.emplace_back(watch.check);
  task.env[std::string{last_version_variable}] = "${{ params." + std::string{check_param} + " }}";
  task.stdout_output = check_output;
  task.outputs.push_back({task.stdout_output, {}, {}});
  made.outputs[task.stdout_output] =
      "${{ tasks." + task.name + ".outputs." + task.stdout_output + " }}";
  return made;
}

void put(schemas::CompiledWatch::Builder into, const pipeline_definition& of,
         const watch_definition& watch) {
  put(into.initSchedule(), watch.schedule);
  into.getSchedule().setWatch(true);
  compile(check_definition(of, watch), into.initCheck());
  // A run of an earlier version would tell what it is not.
  into.getCheck().setFormat(std::max(into.getCheck().getFormat(), watch_format));
  into.setAll(watch.first == first_versions::all);
  into.setParams(json_of(watch.params).c_str());
}

}  // namespace

void compile(const pipeline_definition& definition, schemas::CompiledPipeline::Builder into) {
  into.setFormat(format_of(definition));
  into.setName(definition.name.c_str());
  into.setDescription(definition.description.c_str());
  put(into.initLabels(size_of(definition.labels.size())), definition.labels);
  auto params = into.initParams(size_of(definition.params.size()));
  for (unsigned at = 0; at < params.size(); ++at) {
    put(params[at], definition.params[at]);
  }
  put(into.initEnv(size_of(definition.env.size())), definition.env);
  put(into.initSecrets(size_of(definition.secrets.size())), definition.secrets);
  into.setTimeout(definition.timeout.value_or(runtime::duration{}).count());
  into.setGrace(definition.grace_period ? definition.grace_period->count() : no_grace);
  into.setWorkspace(static_cast<schemas::CompiledPipeline::Workspace>(definition.workspace));
  into.setMaxParallel(definition.max_parallel.value_or(0));
  into.setFailFast(definition.fail_fast);
  into.setPriority(definition.priority ? std::int64_t{*definition.priority} : no_priority);
  into.setPool(definition.pool.c_str());
  into.setKeepRuns(definition.retention.runs.value_or(0));
  into.setKeepAge(definition.retention.age.value_or(runtime::duration{}).count());
  auto schedules = into.initSchedules(size_of(definition.schedules.size()));
  for (unsigned at = 0; at < schedules.size(); ++at) {
    put(schedules[at], definition.schedules[at]);
  }
  if (const auto& concurrency = definition.concurrency) {
    auto made = into.initConcurrency();
    made.setGroup(concurrency->group.c_str());
    made.setLimit(concurrency->limit);
    made.setOnLimit(static_cast<schemas::Concurrency::OnLimit>(concurrency->on_limit));
  }
  auto triggers = into.initTriggers(size_of(definition.triggers.size()));
  for (unsigned at = 0; at < triggers.size(); ++at) {
    const auto& trigger = definition.triggers[at];
    triggers[at].setPipeline(trigger.pipeline.c_str());
    triggers[at].setOn(static_cast<schemas::TriggerEvent>(trigger.on));
    triggers[at].setParams(json_of(trigger.params).c_str());
    triggers[at].setOnceFor(trigger.once_for.c_str());
  }
  auto webhooks = into.initWebhooks(size_of(definition.webhooks.size()));
  for (unsigned at = 0; at < webhooks.size(); ++at) {
    const auto& webhook = definition.webhooks[at];
    webhooks[at].setName(webhook.name.c_str());
    webhooks[at].setSecret(webhook.secret.c_str());
    webhooks[at].setWhen(webhook.when.c_str());
    webhooks[at].setParams(json_of(webhook.params).c_str());
    webhooks[at].setOnceFor(webhook.once_for.c_str());
  }
  auto watches = into.initWatches(size_of(definition.watches.size()));
  for (unsigned at = 0; at < watches.size(); ++at) {
    put(watches[at], definition, definition.watches[at]);
  }
  put(into.initOutputs(size_of(definition.outputs.size())), definition.outputs);
  into.setRevertAfter(definition.revert_after.value_or(0));
  const auto graph = graph_of(definition);
  auto tasks = into.initTasks(size_of(definition.tasks.size()));
  for (unsigned at = 0; at < tasks.size(); ++at) {
    put(tasks[at], definition.tasks[at], graph.needs[at],
        definition.priority.value_or(priority_default));
  }
}

run_retention retention_of(schemas::CompiledPipeline::Reader compiled) {
  return {bound_of(compiled.getKeepRuns()), limit_of(compiled.getKeepAge())};
}

std::map<std::string, value> values_of(capnp::Text::Reader text) {
  const auto whole = text.size() == 0 ? value{} : value_of(text);
  const auto* entries = whole.entries();
  return entries == nullptr ? std::map<std::string, value>{}
                            : std::map<std::string, value>{entries->begin(), entries->end()};
}

std::optional<concurrency_definition> concurrency_of(schemas::CompiledPipeline::Reader compiled) {
  if (!compiled.hasConcurrency()) {
    return std::nullopt;
  }
  const auto made = compiled.getConcurrency();
  return concurrency_definition{string_of(made.getGroup()), made.getLimit(),
                                static_cast<at_limit>(made.getOnLimit())};
}

schedule_definition schedule_of(schemas::CompiledSchedule::Reader compiled) {
  schedule_definition made;
  made.name = string_of(compiled.getName());
  made.cron = string_of(compiled.getCron());
  made.every = runtime::duration{compiled.getEvery()};
  made.time_zone = string_of(compiled.getTimeZone());
  if (compiled.getHasStart()) {
    made.start = runtime::wall_time{runtime::duration{compiled.getStart()}};
  }
  if (compiled.getHasEnd()) {
    made.end = runtime::wall_time{runtime::duration{compiled.getEnd()}};
  }
  made.jitter = runtime::duration{compiled.getJitter()};
  made.overlap = static_cast<overlap_policy>(compiled.getOverlap());
  made.catchup = static_cast<catchup_policy>(compiled.getCatchup());
  made.catchup_window = limit_of(compiled.getCatchupWindow());
  if (compiled.getParams().size() > 0) {
    const auto params = value_of(compiled.getParams());
    if (const auto* entries = params.entries()) {
      made.params = {entries->begin(), entries->end()};
    }
  }
  made.paused = compiled.getPaused();
  return made;
}

result<watch_definition> watch_of(schemas::CompiledWatch::Reader compiled) {
  auto check = definition_of(compiled.getCheck());
  if (!check) {
    return std::move(check).error();
  }
  watch_definition made;
  made.schedule = schedule_of(compiled.getSchedule());
  made.check = std::move(check->tasks.front());
  made.check.env.erase(std::string{last_version_variable});
  made.check.stdout_output.clear();
  made.check.outputs.clear();
  made.first = compiled.getAll() ? first_versions::all : first_versions::newest;
  made.params = values_of(compiled.getParams());
  return made;
}

result<pipeline_definition> signature_of(schemas::CompiledPipeline::Reader compiled) {
  if (compiled.getFormat() > compiled_format) {
    return error{errc::invalid_argument, "the definition was compiled by a newer version (format " +
                                             std::to_string(compiled.getFormat()) + ")"};
  }
  pipeline_definition made;
  made.name = string_of(compiled.getName());
  for (const auto param : compiled.getParams()) {
    made.params.push_back(param_of(param));
  }
  return made;
}

result<pipeline_definition> definition_of(schemas::CompiledPipeline::Reader compiled) {
  auto made = signature_of(compiled);
  if (!made) {
    return made;
  }
  made->description = string_of(compiled.getDescription());
  made->labels = map_of(compiled.getLabels());
  made->env = map_of(compiled.getEnv());
  made->secrets = secrets_of(compiled.getSecrets());
  made->timeout = limit_of(compiled.getTimeout());
  made->grace_period = grace_of(compiled.getGrace());
  made->workspace = static_cast<workspace_mode>(compiled.getWorkspace());
  made->max_parallel = bound_of(compiled.getMaxParallel());
  made->fail_fast = compiled.getFailFast();
  if (compiled.getPriority() != no_priority) {
    made->priority = static_cast<std::uint32_t>(compiled.getPriority());
  }
  made->pool = string_of(compiled.getPool());
  made->retention = retention_of(compiled);
  made->concurrency = concurrency_of(compiled);
  made->revert_after = bound_of(compiled.getRevertAfter());
  made->outputs = map_of(compiled.getOutputs());
  for (const auto trigger : compiled.getTriggers()) {
    made->triggers.push_back({string_of(trigger.getPipeline()),
                              static_cast<trigger_event>(trigger.getOn()),
                              values_of(trigger.getParams()), string_of(trigger.getOnceFor())});
  }
  for (const auto webhook : compiled.getWebhooks()) {
    made->webhooks.push_back({string_of(webhook.getName()), string_of(webhook.getSecret()),
                              string_of(webhook.getWhen()), values_of(webhook.getParams()),
                              string_of(webhook.getOnceFor())});
  }
  for (const auto watch : compiled.getWatches()) {
    auto read = watch_of(watch);
    if (!read) {
      return std::move(read).error();
    }
    made->watches.push_back(*std::move(read));
  }
  for (const auto schedule : compiled.getSchedules()) {
    made->schedules.push_back(schedule_of(schedule));
  }
  const auto tasks = compiled.getTasks();
  made->tasks.resize(tasks.size());
  for (unsigned at = 0; at < tasks.size(); ++at) {
    made->tasks[at].name = string_of(tasks[at].getName());
  }
  for (unsigned at = 0; at < tasks.size(); ++at) {
    if (auto read = read_task(tasks[at], *made, at); !read) {
      return std::move(read).error();
    }
  }
  return made;
}

}  // namespace millrace::actors
