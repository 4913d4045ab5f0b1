// SPDX-License-Identifier: MIT
#include "definition/keys.h"

namespace millrace::actors {
namespace {

using word = std::string_view;

constexpr std::array pipeline_words{
    word{"version"},     word{"name"},         word{"description"},  word{"labels"},
    word{"params"},      word{"env"},          word{"env_file"},     word{"timeout"},
    word{"workspace"},   word{"grace_period"}, word{"max_parallel"}, word{"defaults"},
    word{"tasks"},       word{"retention"},    word{"secrets"},      word{"schedule"},
    word{"concurrency"}, word{"revert"},       word{"outputs"},      word{"triggers"},
    word{"fail_fast"},   word{"on_success"},   word{"on_failure"},   word{"on_cancel"},
    word{"finally"},     word{"priority"},     word{"pool"}};

constexpr std::array pipeline_foreign{
    foreign_key{"steps", "write `tasks`"},
    foreign_key{"jobs", "write `tasks`, a list whose elements have a `name`"},
    foreign_key{"dag", "write `tasks`"},
    foreign_key{"stages", "write `tasks`; order comes from `needs`"},
    foreign_key{"id", "write `name`"},
    foreign_key{"apiVersion", "write `version: 1`"},
    foreign_key{"api_version", "write `version: 1`"},
    foreign_key{"inputs", "write `params`"},
    foreign_key{"parameters", "write `params`"},
    foreign_key{"arguments", "write `params`"},
    foreign_key{"variables", "write `env`, or `params` for what a run may change"},
    foreign_key{"environment", "write `env`"},
    foreign_key{"tags", "write `labels`, a map"},
    foreign_key{"retry", "write it under `defaults`, for every task"},
    foreign_key{"retries", "write `defaults: {retry: 3}`"},
    foreign_key{"parallelism", "write `max_parallel`"},
    foreign_key{"max_active_tasks", "write `max_parallel`"},
    foreign_key{"timeout_sec", "write `timeout: 90s`"},
    foreign_key{"timeout_seconds", "write `timeout: 90s`"},
    foreign_key{"timeout-minutes", "write `timeout: 5m`"},
    foreign_key{"activeDeadlineSeconds", "write `timeout: 90s`"},
    foreign_key{"cron", "write `schedule: {cron: \"0 3 * * *\"}`"},
    foreign_key{"schedules", "write `schedule`, which may be a list"},
    foreign_key{"schedule_interval", "write `schedule`"},
    foreign_key{"every", "write `schedule: {every: 1h}`"},
    foreign_key{"timezone", "write it under `schedule`"},
    foreign_key{"on", ""},
    foreign_key{"trigger", "write `triggers`"},
    foreign_key{"watch", "write `triggers: {watch: NAME, every: 1m, run: COMMAND}`"},
    foreign_key{"passed", "write `triggers: {pipeline: other}`"},
    foreign_key{"overlap", "write it under `schedule`"},
    foreign_key{"catchup", "write it under `schedule`"},
    foreign_key{"catchup_window", "write it under `schedule`"},
    foreign_key{"max_active_runs", "write `concurrency: 1`"},
    foreign_key{"max_concurrent_runs", "write `concurrency: 1`"},
    foreign_key{"serial", "write `concurrency: 1`"},
    foreign_key{"synchronization", "write `concurrency: 1`, or `synchronization` in the tasks"},
    foreign_key{"rollback", "write `revert: {after: 2}`"},
    foreign_key{"secret", "write `secrets`"},
    foreign_key{"ttl", "write `retention: {age: 30d}`"},
    foreign_key{"ttlStrategy", "write `retention: {age: 30d}`"},
    foreign_key{"ttlSecondsAfterFinished", "write `retention: {age: 30d}`"},
    foreign_key{"history_limit", "write `retention: {runs: 100}`"},
    foreign_key{"successfulJobsHistoryLimit", "write `retention: {runs: 100}`"},
    foreign_key{"failedJobsHistoryLimit", "write `retention: {runs: 100}`"},
    foreign_key{"onExit", "write `finally`"},
    foreign_key{"handler_on", "write `on_success`, `on_failure`, `on_cancel` or `finally`"},
    foreign_key{"hooks", "write `on_success`, `on_failure`, `on_cancel` or `finally`"},
    foreign_key{"on_exit", "write `finally`"},
    foreign_key{"on_error", "write `on_failure`"},
    foreign_key{"on_abort", "write `on_cancel`"},
    foreign_key{"ensure", "write `finally`"},
    foreign_key{"always", "write `finally`"},
    foreign_key{"owner", "write it in `labels`"},
    foreign_key{"docs_url", "write it in `description`"},
    foreign_key{"resident", ""},
    foreign_key{"project", ""},
    foreign_key{"priorityClassName", "write `priority: high`"},
    foreign_key{"resources", "write it in the tasks"},
    foreign_key{"partition", "write `pool: NAME`"},
    foreign_key{"queue", "write `pool: NAME`"},
    foreign_key{"runs-on", "write `pool: NAME`"},
    foreign_key{"agents", "write `pool: NAME`"},
    foreign_key{"agent", "write `pool: NAME`"},
    foreign_key{"limits", "write it in the tasks"}};

constexpr std::array task_words{word{"name"},
                                word{"description"},
                                word{"run"},
                                word{"command"},
                                word{"needs"},
                                word{"run_on"},
                                word{"when"},
                                word{"env"},
                                word{"env_file"},
                                word{"timeout"},
                                word{"grace_period"},
                                word{"retry"},
                                word{"for_each"},
                                word{"matrix"},
                                word{"ranks"},
                                word{"max_parallel"},
                                word{"fail_fast"},
                                word{"on_empty"},
                                word{"outputs"},
                                word{"priority"},
                                word{"preemptible"},
                                word{"detach"},
                                word{"allow_failures"},
                                word{"approval"},
                                word{"callback"},
                                word{"secrets"},
                                word{"shell"},
                                word{"workdir"},
                                word{"inputs"},
                                word{"pipeline"},
                                word{"params"},
                                word{"on_success"},
                                word{"on_failure"},
                                word{"on_cancel"},
                                word{"finally"},
                                word{"pool"},
                                word{"resources"},
                                word{"synchronization"},
                                word{"start_timeout"},
                                word{"heartbeat"},
                                word{"success_exit_codes"},
                                word{"stdout"},
                                word{"artifacts"},
                                word{"cache"},
                                word{"limits"},
                                word{"labels"},
                                word{"actor"},
                                word{"method"}};

constexpr std::array task_foreign{
    foreign_key{"id", "write `name`"},
    foreign_key{"task", "write `name`"},
    foreign_key{"depends_on", "write `needs`"},
    foreign_key{"dependsOn", "write `needs`"},
    foreign_key{"depends", "write `needs`"},
    foreign_key{"dependencies", "write `needs`"},
    foreign_key{"requires", "write `needs`"},
    foreign_key{"after", "write `needs`"},
    foreign_key{"cmd", "write `command: [program, argument]`, or `run` for shell text"},
    foreign_key{"exec", "write `command: [program, argument]`"},
    foreign_key{"args", "write program and arguments as one list: `command: [program, argument]`"},
    foreign_key{"argv", "write `command: [program, argument]`"},
    foreign_key{"script", "write `run`"},
    foreign_key{"bash", "write `run`"},
    foreign_key{"if", "write `when`"},
    foreign_key{"condition", "write `when`"},
    foreign_key{"preconditions", "write `when`"},
    foreign_key{"trigger_rule", "write `run_on`"},
    foreign_key{"continue_on", "write `allow_failures: true`, or `run_on` in what needs this one"},
    foreign_key{"continueOn", "write `allow_failures: true`, or `run_on` in what needs this one"},
    foreign_key{"continue-on-error", "write `allow_failures: true`"},
    foreign_key{"allow_failure", "write `allow_failures: true`"},
    foreign_key{"ignore_errors", "write `allow_failures: true`"},
    foreign_key{"retries", "write `retry`"},
    foreign_key{"attempts", "write `retry`"},
    foreign_key{"retry_policy", "write `retry`"},
    foreign_key{"retryStrategy", "write `retry`"},
    foreign_key{"max_attempts", "write `retry: {max_attempts: 3}`"},
    foreign_key{"timeout_sec", "write `timeout: 90s`"},
    foreign_key{"timeout_seconds", "write `timeout: 90s`"},
    foreign_key{"timeout-minutes", "write `timeout: 5m`"},
    foreign_key{"execution_timeout", "write `timeout: 90s`"},
    foreign_key{"activeDeadlineSeconds", "write `timeout: 90s`"},
    foreign_key{"environment", "write `env`"},
    foreign_key{"variables", "write `env`"},
    foreign_key{"strategy", "write `matrix`, `max_parallel` and `fail_fast` in the task"},
    foreign_key{"withItems", "write `for_each`"},
    foreign_key{"with_items", "write `for_each`"},
    foreign_key{"foreach", "write `for_each`"},
    foreign_key{"parallel", "write `for_each` or `matrix`"},
    foreign_key{"across", "write `matrix`"},
    foreign_key{"ntasks", "write `ranks: 4`"},
    foreign_key{"nodes", "write `ranks: 4`"},
    foreign_key{"replicas", "write `ranks: 4`, or `for_each` for what need not run together"},
    foreign_key{"minAvailable", "write `ranks: 4`: all of them start together"},
    foreign_key{"minMember", "write `ranks: 4`: all of them start together"},
    foreign_key{"world_size", "write `ranks: 4`"},
    foreign_key{"max-parallel", "write `max_parallel`"},
    foreign_key{"max_in_flight", "write `max_parallel`"},
    foreign_key{"fail-fast", "write `fail_fast`"},
    foreign_key{"priority_weight", "write `priority`"},
    foreign_key{"preemptionPolicy",
                "a project says so: `millrace project set NAME "
                "--preempts-from PRIORITY`"},
    foreign_key{"requeue", "write `preemptible: requeue`"},
    foreign_key{"priorityClassName", "write `priority: high`"},
    foreign_key{"locks", "write `synchronization: {mutexes: [NAME]}`"},
    foreign_key{"lock", "write `synchronization: {mutexes: [NAME]}`"},
    foreign_key{"mutex", "write `synchronization: {mutexes: [NAME]}`"},
    foreign_key{"mutexes", "write it under `synchronization`"},
    foreign_key{"semaphore", "write `synchronization: {semaphores: [{name: NAME, limit: 3}]}`"},
    foreign_key{"semaphores", "write it under `synchronization`"},
    foreign_key{"resource_group", "write `synchronization: {mutexes: [NAME]}`"},
    foreign_key{"cpus", "write `resources: {cpu: 2}`"},
    foreign_key{"cpu", "write `resources: {cpu: 2}`"},
    foreign_key{"memory", "write `resources: {memory: 512Mi}`"},
    foreign_key{"gpu", "write `resources: {gpu: 1}`"},
    foreign_key{"gres", "write `resources: {gpu: 1}`"},
    foreign_key{"container_limits", "write `limits: {memory: 512Mi}`"},
    foreign_key{"mem", "write `resources: {memory: 512Mi}`, and `limits` for what ends it"},
    foreign_key{"memory_limit", "write `limits: {memory: 512Mi}`"},
    foreign_key{"mem_limit", "write `limits: {memory: 512Mi}`"},
    foreign_key{"rlimit", "write `limits: {memory: 512Mi}`"},
    foreign_key{"ulimits", "write `limits: {memory: 512Mi}`"},
    foreign_key{"working_directory", "write `workdir`"},
    foreign_key{"working-directory", "write `workdir`"},
    foreign_key{"working_dir", "write `workdir`"},
    foreign_key{"cwd", "write `workdir`"},
    foreign_key{"dir", "write `workdir`"},
    foreign_key{"interpreter", "write `shell`"},
    foreign_key{"image", ""},
    foreign_key{"container", ""},
    foreign_key{"pull", ""},
    foreign_key{"with", "write `params`, beside `actor` and `method`"},
    foreign_key{"uses", "write `pipeline: name` for a run of another pipeline"},
    foreign_key{"call", "write `pipeline: name`"},
    foreign_key{"subflow", "write `pipeline: name`"},
    foreign_key{"workflow", "write `pipeline: name`"},
    foreign_key{"templateRef", "write `pipeline: name`"},
    foreign_key{"arguments", "write `params`"},
    foreign_key{"parameters", "write `params`"},
    foreign_key{"secret", "write `secrets`"},
    foreign_key{"secretKeyRef", "write `secrets: {NAME: {from: project, key: name}}`"},
    foreign_key{"artifact", "write `artifacts: {NAME: path}`"},
    foreign_key{"outputFiles", "write `artifacts: {NAME: path}`"},
    foreign_key{"output_files", "write `artifacts: {NAME: path}`"},
    foreign_key{"download", "write `needs: [{task: NAME, artifacts: true}]`"},
    foreign_key{"memoize", "write `cache: true`, or `cache: {key: ..., ttl: 7d}`"},
    foreign_key{"caches", "write `cache: true`"},
    foreign_key{"cache_policy", "write `cache: true`"},
    foreign_key{"tags", "write `labels`, a map"},
    foreign_key{"metadata", "write `labels`, a map"},
    foreign_key{"placement", "write `pool: NAME`"},
    foreign_key{"partition", "write `pool: NAME`"},
    foreign_key{"queue", "write `pool: NAME`"},
    foreign_key{"runs-on", "write `pool: NAME`"},
    foreign_key{"runs_on", "write `pool: NAME`"},
    foreign_key{"agents", "write `pool: NAME`"},
    foreign_key{"agent", "write `pool: NAME`"},
    foreign_key{"nodeSelector", "write `pool: NAME`"},
    foreign_key{"executor", ""},
    foreign_key{"approve", "write `approval: Release it?`"},
    foreign_key{"suspend", "write `approval: Release it?`, or `callback: {}`"},
    foreign_key{"pause", "write `approval: Release it?`, or `callback: {}`"},
    foreign_key{"poke_interval", "write `retry: {max_attempts: 100, delay: 1m, backoff: 1}`"},
    foreign_key{"wait", "write `callback: {}` for the word of another system"},
    foreign_key{"onExit", "write `finally`"},
    foreign_key{"handler_on", "write `on_success`, `on_failure`, `on_cancel` or `finally`"},
    foreign_key{"hooks", "write `on_success`, `on_failure`, `on_cancel` or `finally`"},
    foreign_key{"on_exit", "write `finally`"},
    foreign_key{"on_error", "write `on_failure`"},
    foreign_key{"on_abort", "write `on_cancel`"},
    foreign_key{"ensure", "write `finally`"},
    foreign_key{"always", "write `finally`"},
    foreign_key{"queue_timeout", "write `start_timeout: 10m`"},
    foreign_key{"schedule_to_start_timeout", "write `start_timeout: 10m`"},
    foreign_key{"heartbeat_timeout", "write `heartbeat: 30s`"},
    foreign_key{"HeartbeatSeconds", "write `heartbeat: 30s`"},
    foreign_key{"liveness", "write `heartbeat: 30s`"},
    foreign_key{"restart", "write `retry: {max_attempts: 3, run: ...}`"},
    foreign_key{"success_codes", "write `success_exit_codes: [0, 3]`"},
    foreign_key{"continueOnReturnCode", "write `success_exit_codes: [0, 3]`"},
    foreign_key{"output",
                "write `outputs`, or `stdout: NAME` for what it writes to standard output"},
    foreign_key{"workspace", "write it at the top of the pipeline"}};

constexpr std::array hook_words{word{"description"}, word{"run"},         word{"command"},
                                word{"shell"},       word{"workdir"},     word{"inputs"},
                                word{"env"},         word{"secrets"},     word{"timeout"},
                                word{"retry"},       word{"grace_period"}};
constexpr std::array hook_foreign{
    foreign_key{"name", "remove it: a hook is called by its task and its key"},
    foreign_key{"when", "decide in the command, by `$MILLRACE_HOOK_STATE`"},
    foreign_key{"needs", "remove it: a hook follows what it is written in"},
    foreign_key{"script", "write `run`"},
    foreign_key{"on_success", "hooks have no hooks"},
    foreign_key{"on_failure", "hooks have no hooks"},
    foreign_key{"on_cancel", "hooks have no hooks"},
    foreign_key{"finally", "hooks have no hooks"}};

constexpr std::array need_words{word{"task"}, word{"instances"}, word{"artifacts"}};
constexpr std::array need_foreign{foreign_key{"name", "write `task`"},
                                  foreign_key{"job", "write `task`"},
                                  foreign_key{"artifact", "write `artifacts`"},
                                  foreign_key{"element", "write `instances: same`"}};

constexpr std::array param_words{word{"type"}, word{"default"}, word{"enum"}, word{"description"},
                                 word{"required"}};
constexpr std::array param_foreign{foreign_key{"value", "write `default`"},
                                   foreign_key{"defaults", "write `default`"},
                                   foreign_key{"options", "write `enum`"},
                                   foreign_key{"choices", "write `enum`"},
                                   foreign_key{"help", "write `description`"},
                                   foreign_key{"pattern", ""},
                                   foreign_key{"minimum", ""},
                                   foreign_key{"maximum", ""},
                                   foreign_key{"name", "the key above is the name"}};

constexpr std::array retry_words{
    word{"max_attempts"}, word{"delay"},       word{"backoff"}, word{"max_delay"}, word{"jitter"},
    word{"on_exit"},      word{"not_on_exit"}, word{"run"},     word{"command"},   word{"shell"}};
constexpr std::array retry_foreign{
    foreign_key{"limit", "write `max_attempts`, which counts the first attempt too"},
    foreign_key{"attempts", "write `max_attempts`"},
    foreign_key{"count", "write `max_attempts`, which counts the first attempt too"},
    foreign_key{"maximumAttempts", "write `max_attempts`"},
    foreign_key{"interval", "write `delay: 5s`"},
    foreign_key{"interval_sec", "write `delay: 5s`"},
    foreign_key{"initial_interval", "write `delay: 5s`"},
    foreign_key{"factor", "write `backoff`"},
    foreign_key{"cap", "write `max_delay`"},
    foreign_key{"max_interval", "write `max_delay`"},
    foreign_key{"max_interval_sec", "write `max_delay: 5m`"},
    foreign_key{"exit_code", "write `on_exit`"},
    foreign_key{"exit_codes", "write `on_exit`"},
    foreign_key{"script", "write `run`"}};

constexpr std::array defaults_words{word{"retry"},   word{"timeout"}, word{"env"},
                                    word{"secrets"}, word{"shell"},   word{"pool"}};
constexpr std::array defaults_foreign{
    foreign_key{"retries", "write `retry`"},
    foreign_key{"grace_period", "write it at the top: it counts for every task"},
    foreign_key{"max_parallel", "write it at the top"}};

constexpr std::array retention_words{word{"runs"}, word{"age"}};
constexpr std::array retention_foreign{
    foreign_key{"count", "write `runs`"},    foreign_key{"max_runs", "write `runs`"},
    foreign_key{"days", "write `age: 30d`"}, foreign_key{"ttl", "write `age: 30d`"},
    foreign_key{"max_age", "write `age`"},   foreign_key{"logs", ""}};

constexpr std::array schedule_words{word{"name"},     word{"cron"},           word{"every"},
                                    word{"timezone"}, word{"start"},          word{"end"},
                                    word{"jitter"},   word{"overlap"},        word{"catchup"},
                                    word{"params"},   word{"catchup_window"}, word{"paused"}};
constexpr std::array schedule_foreign{
    foreign_key{"id", "write `name`"},
    foreign_key{"crons", "write a list of schedules, each with a `name`"},
    foreign_key{"expression", "write `cron`"},
    foreign_key{"interval", "write `every: 1h`"},
    foreign_key{"rrule", "write `cron` or `every`"},
    foreign_key{"time_zone", "write `timezone`"},
    foreign_key{"tz", "write `timezone`"},
    foreign_key{"catch_up", "write `catchup`"},
    foreign_key{"recoverMissedSchedules", "write `catchup`"},
    foreign_key{"startingDeadlineSeconds", "write `catchup_window: 5m`"},
    foreign_key{"concurrencyPolicy", "write `overlap`"},
    foreign_key{"overlap_policy", "write `overlap`"},
    foreign_key{"prohibit_overlap", "write `overlap: skip`"},
    foreign_key{"max_active_runs", "write `overlap: skip` or `overlap: queue`"},
    foreign_key{"suspend", "write `paused: true`"},
    foreign_key{"enabled", "write `paused: true` for one that begins paused"},
    foreign_key{"disabled", "write `paused: true`"},
    foreign_key{"inputs", "write `params`"},
    foreign_key{"start_date", "write `start`"},
    foreign_key{"startAt", "write `start`"},
    foreign_key{"end_date", "write `end`"},
    foreign_key{"endAt", "write `end`"}};

constexpr std::array concurrency_words{word{"group"}, word{"limit"}, word{"on_limit"}};
constexpr std::array concurrency_foreign{
    foreign_key{"max", "write `limit`"},
    foreign_key{"cancel-in-progress", "write `on_limit: cancel_oldest`"},
    foreign_key{"cancel_in_progress", "write `on_limit: cancel_oldest`"},
    foreign_key{"behavior", "write `on_limit`"}};

constexpr std::array trigger_words{
    word{"pipeline"},  word{"on"},     word{"params"},  word{"once_for"}, word{"webhook"},
    word{"signature"}, word{"when"},   word{"watch"},   word{"cron"},     word{"every"},
    word{"timezone"},  word{"jitter"}, word{"paused"},  word{"run"},      word{"command"},
    word{"shell"},     word{"env"},    word{"secrets"}, word{"timeout"},  word{"first"}};
constexpr std::array trigger_foreign{
    foreign_key{"name", "write `pipeline`, `webhook` or `watch`"},
    foreign_key{"job", "write `pipeline`"},
    foreign_key{"passed", "write `pipeline: NAME`: a run of it that succeeds starts one of this"},
    foreign_key{"get", "write `watch: NAME`, `every: 1m` and `run: COMMAND`"},
    foreign_key{"resource", "write `watch: NAME`, `every: 1m` and `run: COMMAND`"},
    foreign_key{"check", "write `watch: NAME`, `every: 1m` and `run: COMMAND`"},
    foreign_key{"check_every", "write `every: 1m`"},
    foreign_key{"check_timeout", "write `timeout: 30s`"},
    foreign_key{"interval", "write `every: 1m`"},
    foreign_key{"poke_interval", "write `every: 1m`"},
    foreign_key{"from", "write `first: all` for all that the first check finds"},
    foreign_key{"script", "write `run`"},
    foreign_key{"state", "write `on: success`, `failure` or `end`"},
    foreign_key{"secret", "write `signature: {secret: NAME}`"},
    foreign_key{"if", "write `when`"},
    foreign_key{"schedule", "write it at the top of the pipeline"}};

constexpr std::array callback_words{word{"prompt"}};
constexpr std::array callback_foreign{foreign_key{"timeout", "write `timeout` in the task"},
                                      foreign_key{"description", "write `prompt`"},
                                      foreign_key{"message", "write `prompt`"}};

constexpr std::array signature_words{word{"secret"}};
constexpr std::array signature_foreign{
    foreign_key{"key", "write `secret`, the name of one of the project"},
    foreign_key{"from", "it is always one of the project: write `secret: NAME`"}};

constexpr std::array revert_words{word{"after"}};
constexpr std::array revert_foreign{foreign_key{"failures", "write `after`"}};

constexpr std::array secret_words{word{"from"}, word{"key"}};
constexpr std::array secret_foreign{
    foreign_key{"source", "write `from`"},
    foreign_key{"provider", "write `from`"},
    foreign_key{"name", "write `key`"},
    foreign_key{"path", "write `key`"},
    foreign_key{"file", "write `from: file` and the file's name as `key`"},
    foreign_key{"env", "write `from: env` and the variable's name as `key`"},
    foreign_key{"value", "a definition is no place for it: store it by `millrace secret set`"}};

constexpr std::array synchronization_words{word{"mutexes"}, word{"semaphores"}};
constexpr std::array synchronization_foreign{foreign_key{"mutex", "write `mutexes: [NAME]`"},
                                             foreign_key{"semaphore",
                                                         "write `semaphores: [{name: NAME, "
                                                         "limit: 3}]`"},
                                             foreign_key{"locks", "write `mutexes: [NAME]`"}};

constexpr std::array semaphore_words{word{"name"}, word{"limit"}};
constexpr std::array semaphore_foreign{
    foreign_key{"of", "write `limit`"}, foreign_key{"size", "write `limit`"},
    foreign_key{"count", "write `limit`"}, foreign_key{"configMapKeyRef", "write `limit: 3`"}};

constexpr std::array output_words{word{"default"}, word{"description"}};
constexpr std::array output_foreign{foreign_key{"type", ""},
                                    foreign_key{"value", "write `key=value` to `$MILLRACE_OUTPUT`"},
                                    foreign_key{"path", "write `key=value` to `$MILLRACE_OUTPUT`"}};

constexpr std::array artifact_words{word{"path"}, word{"max_size"}, word{"optional"}};
constexpr std::array artifact_foreign{
    foreign_key{"paths", "write `path`, which may be a list"},
    foreign_key{"name", "the key above is the name"},
    foreign_key{"glob", "write `path`"},
    foreign_key{"if-no-files-found", "write `optional: true`"},
    foreign_key{"expire_in", "artifacts go with their run: write `retention` at the top"},
    foreign_key{"retention-days", "artifacts go with their run: write `retention` at the top"},
    foreign_key{"exclude", "write patterns that leave it out"}};

constexpr std::array limits_words{word{"memory"}};
constexpr std::array limits_foreign{
    foreign_key{"cpu", "write `resources: {cpu: 2}`, by which tasks wait for each other"},
    foreign_key{"time", "write `timeout` in the task"}, foreign_key{"mem", "write `memory`"},
    foreign_key{"ram", "write `memory`"}};

constexpr std::array cache_words{word{"key"}, word{"ttl"}};
constexpr std::array cache_foreign{
    foreign_key{"max_age", "write `ttl`"},
    foreign_key{"maxAge", "write `ttl`"},
    foreign_key{"path", "`cache` keeps results: leave files by `artifacts`"},
    foreign_key{"paths", "`cache` keeps results: leave files by `artifacts`"},
    foreign_key{"policy", "write `cache: true`, or `key`"},
    foreign_key{"version", "write `key`"}};

}  // namespace

const key_table& pipeline_keys() {
  static constexpr key_table table{"a pipeline", pipeline_words, pipeline_foreign, true};
  return table;
}
const key_table& defaults_keys() {
  static constexpr key_table table{"`defaults`", defaults_words, defaults_foreign};
  return table;
}
const key_table& param_keys() {
  static constexpr key_table table{"a parameter", param_words, param_foreign};
  return table;
}
const key_table& task_keys() {
  static constexpr key_table table{"a task", task_words, task_foreign};
  return table;
}
const key_table& hook_body_keys() {
  static constexpr key_table table{"a hook", hook_words, hook_foreign};
  return table;
}
const key_table& need_keys() {
  static constexpr key_table table{"a need", need_words, need_foreign};
  return table;
}
const key_table& artifact_keys() {
  static constexpr key_table table{"an artifact", artifact_words, artifact_foreign};
  return table;
}
const key_table& cache_keys() {
  static constexpr key_table table{"`cache`", cache_words, cache_foreign};
  return table;
}
const key_table& limits_keys() {
  static constexpr key_table table{"`limits`", limits_words, limits_foreign};
  return table;
}
const key_table& retry_keys() {
  static constexpr key_table table{"`retry`", retry_words, retry_foreign};
  return table;
}
const key_table& retention_keys() {
  static constexpr key_table table{"`retention`", retention_words, retention_foreign};
  return table;
}
const key_table& schedule_keys() {
  static constexpr key_table table{"a schedule", schedule_words, schedule_foreign};
  return table;
}
const key_table& concurrency_keys() {
  static constexpr key_table table{"`concurrency`", concurrency_words, concurrency_foreign};
  return table;
}
const key_table& trigger_keys() {
  static constexpr key_table table{"a trigger", trigger_words, trigger_foreign};
  return table;
}
const key_table& callback_keys() {
  static constexpr key_table table{"`callback`", callback_words, callback_foreign};
  return table;
}
const key_table& signature_keys() {
  static constexpr key_table table{"`signature`", signature_words, signature_foreign};
  return table;
}
const key_table& revert_keys() {
  static constexpr key_table table{"`revert`", revert_words, revert_foreign};
  return table;
}
const key_table& secret_keys() {
  static constexpr key_table table{"a secret", secret_words, secret_foreign};
  return table;
}
const key_table& synchronization_keys() {
  static constexpr key_table table{"`synchronization`", synchronization_words,
                                   synchronization_foreign};
  return table;
}
const key_table& semaphore_keys() {
  static constexpr key_table table{"a semaphore", semaphore_words, semaphore_foreign};
  return table;
}
const key_table& output_keys() {
  static constexpr key_table table{"an output", output_words, output_foreign};
  return table;
}

}  // namespace millrace::actors
