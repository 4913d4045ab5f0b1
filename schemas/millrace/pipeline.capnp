# SPDX-License-Identifier: MIT
# The pipeline layer: its actors, their states, and what the HTTP API shows of them (JSON is made from
# these structs: snake_case names, $time as RFC 3339, $rawJson embedded).
#
# Append-only: never renumber. Times are nanoseconds since 1970-01-01T00:00:00Z, 0 for "not yet".
@0xa7c4e91b35d2f086;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
$Cxx.namespace("millrace::schemas");

enum RunState {
  running @0;    # Tasks are being worked on.
  succeeded @1;  # Every task ended well or was skipped.
  failed @2;     # A task ended badly.
  cancelled @3;  # Someone withdrew it.
  timedOut @4;   # The run's own timeout passed.
}

enum TaskState {
  waiting @0;         # For the tasks it needs, or for its turn in a wide fan-out.
  queued @1;          # For a slot of an executor.
  running @2;         # An attempt runs.
  backingOff @3;      # For the next attempt.
  succeeded @4;
  failed @5;          # The command's fault.
  errored @6;         # The system's fault: it could not be started or watched.
  timedOut @7;
  cancelled @8;
  skipped @9;         # Its condition was false.
  upstreamFailed @10; # A task it needs did not end as it should.
  lost @11;           # Nobody knows how its attempt ended, and its policy is not to try again.
}

enum AttemptEnd {
  exited @0;       # By itself; see the exit code.
  signalled @1;    # Killed by a signal from elsewhere.
  timedOut @2;
  cancelled @3;
  logLimit @4;     # It wrote more than a log may hold.
  notStarted @5;   # The command could not be started at all.
  badOutputs @6;   # It exited with 0, but what it wrote to $MILLRACE_OUTPUT cannot be read.
  lost @7;         # Its executor went away.
  running @8;      # It has not ended.
  diskFull @9;     # It wrote output while its disk was nearly full.
}

struct Variable {
  name @0 :Text;
  value @1 :Text;
}

struct Label {
  name @0 :Text;
  value @1 :Text;
}

# --- project -------------------------------------------------------------------------------------

struct ProjectState {
  createdAt @0 :Int64 $Actor.time;
}

struct ProjectPipeline {
  # Record of the map "pipelines", by pipeline name.
  name @0 :Text;
  registeredAt @1 :Int64 $Actor.time;
}

interface Project $Actor.actor("project") {
  add @0 (pipeline :Text) -> () $Actor.internal;
  pipelines @1 (after :Text, limit :UInt32) -> (pipelines :List(ProjectPipeline), next :Text)
      $Actor.readOnly;
  # In order of name, those after `after`; `next` is empty at the end. limit 0: 100.
}

# --- pipeline ------------------------------------------------------------------------------------

struct PipelineState {
  latestVersion @0 :UInt32;  # 0: never applied.
}

struct PipelineVersion {
  # Record of the map "versions", by the version's number in 10 digits.
  version @0 :UInt32;
  appliedAt @1 :Int64 $Actor.time;
  definition @2 :Text $Actor.rawJson;  # The canonical form.
}

struct RunSummary {
  # Record of the map "runs", by run id with inverted digits: the newest first.
  id @0 :Text;
  version @1 :UInt32;
  state @2 :RunState;
  createdAt @3 :Int64 $Actor.time;
  finishedAt @4 :Int64 $Actor.time;
}

interface Pipeline $Actor.actor("pipeline") {
  # Key: `project/name`.
  apply @0 (definition :Text, ifVersion :UInt32) -> (version :UInt32, changed :Bool);
  # The canonical definition. An unchanged one makes no new version. ifVersion other than 0: `conflict`
  # unless it is the latest.
  describe @1 (version :UInt32)
      -> (project :Text, name :Text, version :UInt32, latestVersion :UInt32, appliedAt :Int64 $Actor.time,
          definition :Text $Actor.rawJson)
      $Actor.readOnly;
  # version 0: the latest.
  submit @2 (run :Text, params :Text $Actor.rawJson, labels :List(Label))
      -> (run :Text, version :UInt32);
  # `run`: a fresh id, or empty for one to be made; `params` a JSON object. Answers when the run is
  # stored.
  runs @3 (before :Text, limit :UInt32) -> (runs :List(RunSummary), next :Text) $Actor.readOnly;
  # Newest first, those before `before`; `next` is empty at the end. limit 0: 100.
  runEnded @4 (run :Text, state :RunState, finishedAt :Int64) -> () $Actor.internal;
  # From the run; also when a retry takes it up again: running, 0.
}

# --- run -----------------------------------------------------------------------------------------

struct TaskCounts {
  total @0 :UInt32;
  waiting @1 :UInt32;
  queued @2 :UInt32;
  running @3 :UInt32;
  backingOff @4 :UInt32;
  succeeded @5 :UInt32;
  failed @6 :UInt32;      # failed, errored, timed out, lost.
  cancelled @7 :UInt32;
  skipped @8 :UInt32;
  upstreamFailed @9 :UInt32;
}

struct RunStatus {
  id @0 :Text;
  project @1 :Text;
  pipeline @2 :Text;
  version @3 :UInt32;
  state @4 :RunState;
  reason @5 :Text;  # Why it ended badly, for a person; else empty.
  params @6 :Text $Actor.rawJson;
  labels @7 :List(Label);
  createdAt @8 :Int64 $Actor.time;
  finishedAt @9 :Int64 $Actor.time;
  tasks @10 :TaskCounts;  # Instances that are known yet.
}

struct TaskStatus {
  # Record of the map "instances" of a run, by `task` or `task[index in 6 digits]`: everything that has
  # been started or settled.
  name @0 :Text;       # `count`, or `count[3]`: what a person types.
  task @1 :Text;
  index @2 :UInt32;
  label @3 :Text;      # The item or matrix cells of a fan-out.
  state @4 :TaskState;
  attempt @5 :UInt32;  # The latest; 0: none yet.
  exitCode @6 :Int32 = -1;  # Of the latest; -1: none.
  reason @7 :Text;
  startedAt @8 :Int64 $Actor.time;
  finishedAt @9 :Int64 $Actor.time;
  outputs @10 :List(Variable);
}

struct RunEvent {
  # Record of the map "events", by sequence in 12 digits; the latest ones are kept.
  sequence @0 :UInt64;
  at @1 :Int64 $Actor.time;
  runState @2 :RunState;
  name @3 :Text;       # Of the task instance; empty: the run itself changed.
  state @4 :TaskState;
  attempt @5 :UInt32;
  exitCode @6 :Int32;
  label @7 :Text;
  reason @8 :Text;
}

struct RunStored {
  # Root of a run: what changes with every event, so it is small.
  project @0 :Text;
  pipeline @1 :Text;
  version @2 :UInt32;
  state @3 :RunState;
  reason @4 :Text;
  createdAt @5 :Int64;
  finishedAt @6 :Int64;
  tasks @7 :TaskCounts;
  eventCount @8 :UInt64;
  ending @9 :Bool;         # Nothing new starts: `state` and `reason` will be the ones below.
  endState @10 :RunState;
  epoch @11 :UInt32;       # Counts retries of the run; results of older ones are ignored.
}

struct RunPinned {
  # The one record of the map "pinned": what never changes.
  definition @0 :Text;  # Canonical.
  params @1 :Text;      # JSON object of the bound values.
  labels @2 :List(Label);
}

interface Run $Actor.actor("run") $Actor.group("run") $Actor.affinity("/") {
  # Key: the run's id, a UUIDv7.
  begin @0 (project :Text, pipeline :Text, version :UInt32, definition :Text, params :Text,
            labels :List(Label), createdAt :Int64) -> () $Actor.internal;
  status @1 () -> (run :RunStatus) $Actor.readOnly;
  tasks @2 (after :Text, limit :UInt32) -> (tasks :List(TaskStatus), next :Text) $Actor.readOnly;
  # In the order of the definition, those after the instance named `after`; `next` is empty at the end.
  # Those that have not started are `waiting`; a fan-out is one until its list is known. limit 0: 1,000.
  task @3 (name :Text) -> (task :TaskStatus) $Actor.readOnly;
  events @4 (after :UInt64, waitMs :UInt32, limit :UInt32) -> (events :List(RunEvent), ended :Bool)
      $Actor.reentrant;
  # Those with a higher sequence; waits up to waitMs for one, and up to a second for the run itself if it
  # was just submitted. `ended`: there will be no more.
  cancel @5 (reason :Text) -> ();
  retry @6 () -> (tasks :UInt32);
  # Starts what did not succeed again. Answers how many instances.
  taskChanged @7 (epoch :UInt32, status :TaskStatus) -> () $Actor.internal;
}

# --- task ----------------------------------------------------------------------------------------

struct TaskSpec {
  # What a run tells one of its task instances.
  run @0 :Text;
  task @1 :Text;
  index @2 :UInt32;
  name @3 :Text;
  epoch @4 :UInt32;
  label @5 :Text;
  argv @6 :List(Text);
  environment @7 :List(Variable);
  workspace @8 :Text;       # Relative to the executor's data directory.
  timeoutNs @9 :Int64;      # Of one attempt; 0: none.
  graceNs @10 :Int64;
  maxAttempts @11 :UInt32;
  delayNs @12 :Int64;
  backoff @13 :Float64;
  maxDelayNs @14 :Int64;
  jitter @15 :Float64;
  giveUpWhenLost @16 :Bool;
  priority @17 :UInt8;
  pool @18 :Text;
}

struct Attempt {
  # Record of the map "attempts", by number in 6 digits.
  number @0 :UInt32;
  executor @1 :Text;
  end @2 :AttemptEnd;
  exitCode @3 :Int32;       # -1: none.
  signal @4 :Int32;         # 0: none.
  startedAt @5 :Int64 $Actor.time;
  finishedAt @6 :Int64 $Actor.time;
  stdoutTail @7 :Text;
  stderrTail @8 :Text;
  stdoutBytes @9 :UInt64;
  stderrBytes @10 :UInt64;
  text @11 :Text;           # What a person should know of its end.
}

struct TaskStored {
  # Root of a task.
  spec @0 :TaskSpec;
  state @1 :TaskState;
  attempt @2 :UInt32;
  failures @3 :UInt32;      # Attempts that count against maxAttempts.
  cancelling @4 :Bool;
  executor @5 :Text;
  exitCode @6 :Int32 = -1;
  reason @7 :Text;
  startedAt @8 :Int64;
  finishedAt @9 :Int64;
  incarnation @10 :UInt64;  # Of the executor that has the attempt.
  outputs @11 :List(Variable);
}

struct AttemptReport {
  number @0 :UInt32;
  end @1 :AttemptEnd;
  exitCode @2 :Int32 = -1;
  signal @3 :Int32;
  startedAt @4 :Int64;
  finishedAt @5 :Int64;
  stdoutTail @6 :Text;
  stderrTail @7 :Text;
  stdoutBytes @8 :UInt64;
  stderrBytes @9 :UInt64;
  text @10 :Text;
  outputs @11 :List(Variable);
}

interface Task $Actor.actor("task") $Actor.group("run") $Actor.affinity("/") {
  # Key: `run/name`.
  begin @0 (spec :TaskSpec) -> () $Actor.internal;
  granted @1 (attempt :UInt32, executor :Text, incarnation :UInt64) -> () $Actor.internal;
  attemptStarted @2 (number :UInt32, startedAt :Int64) -> () $Actor.internal;
  attemptFinished @3 (report :AttemptReport) -> () $Actor.internal;
  cancel @4 (reason :Text) -> () $Actor.internal;
  describe @5 () -> (name :Text, run :Text, state :TaskState, reason :Text, command :List(Text),
                     attempts :List(Attempt))
      $Actor.readOnly;
}

# --- pool ----------------------------------------------------------------------------------------

struct PoolState {
  tickets @0 :UInt64;  # Given out so far.
}

struct PoolExecutor {
  # Record of the map "executors", by executor id.
  incarnation @0 :UInt64;
  slots @1 :UInt32;
}

struct PoolTicket {
  # Record of the map "tickets", by the ticket's number in 20 digits.
  task @0 :Text;       # Key of the task actor.
  attempt @1 :UInt32;
  priority @2 :UInt8;
  executor @3 :Text;   # Empty: it waits.
  queuedAt @4 :Int64 $Actor.time;
}

interface Pool $Actor.actor("pool") {
  # Key: the labels its executors share; "default" so far.
  join @0 (executor :Text, incarnation :UInt64, slots :UInt32) -> () $Actor.internal;
  # A newer incarnation ends everything that was granted to an older one.
  enqueue @1 (task :Text, attempt :UInt32, priority :UInt8) -> () $Actor.internal;
  release @2 (task :Text, attempt :UInt32) -> () $Actor.internal;
  # The attempt has ended, or is wanted no more.
  status @3 () -> (slots :UInt32, running :UInt32, waiting :UInt32, executors :List(Text),
                   waitingReason :Text)
      $Actor.readOnly;
  # waitingReason: why those that wait do, for a person; empty when none does.
}

# --- executor ------------------------------------------------------------------------------------

struct AttemptSpec {
  task @0 :Text;       # Key of the task actor.
  number @1 :UInt32;
  token @2 :Text;
  argv @3 :List(Text);
  environment @4 :List(Variable);
  workspace @5 :Text;
  logs @6 :Text;       # Directory, relative to the data directory.
  timeoutNs @7 :Int64;
  graceNs @8 :Int64;
  incarnation @9 :UInt64;  # It was granted by this life of the executor; another reports it as lost.
}

interface Executor $Actor.actor("executor") $Actor.internal {
  # Key: the executor's id. Runs where its processes run.
  start @0 (attempt :AttemptSpec) -> ();
  cancel @1 (token :Text) -> ();
}
