# SPDX-License-Identifier: MIT
# The pipeline layer: its actors, their states, and what the HTTP API shows of them (JSON is made
# from these structs: snake_case names, $time as RFC 3339, $rawJson embedded).
#
# Append-only: never renumber. Times are nanoseconds since 1970-01-01T00:00:00Z, 0 for "not yet".
@0xa7c4e91b35d2f086;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
using Definition = import "/millrace/definition.capnp";
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
  succeeded @4;       # An attempt exited with 0, or what else counts as success.
  failed @5;          # The command's fault.
  errored @6;         # The system's fault: it could not be started or watched.
  timedOut @7;        # Its last attempt ran, waited or was silent for longer than allowed.
  cancelled @8;       # It was wanted no more: the run ends, or another instance failed.
  skipped @9;         # Its condition was false.
  upstreamFailed @10; # A task it needs did not end as it should.
  lost @11;           # Nobody knows how its attempt ended, and its policy is not to try again.
}

enum AttemptEnd {
  exited @0;       # By itself; see the exit code.
  signalled @1;    # Killed by a signal from elsewhere.
  timedOut @2;     # It ran, waited or was silent for longer than the task allows.
  cancelled @3;    # Somebody withdrew it, or its executor stopped.
  logLimit @4;     # It wrote more than a log may hold, and its disk cannot drop the middle.
  notStarted @5;   # The command could not be started at all.
  badOutputs @6;   # Its command succeeded, but its outputs cannot be read or lack one.
  lost @7;         # Its executor went away.
  running @8;      # It has not ended.
  diskFull @9;     # It wrote output while its disk was nearly full.
  dropped @10;     # Its executor went away before it started.
  queued @11;      # It has not started: it waits for a slot.
  preempted @12;   # It made way for one of higher priority.
  cached @13;      # It was none: a kept result of an earlier run was used.
  answered @14;    # It was a call of an actor, which has answered.
  refused @15;     # The actor has answered with an error, which it would answer again.
  unanswered @16;  # Nobody knows whether the call has had an effect.
}

struct KeptText {
  # A text that is too large for a row: a blob that executors keep for a run.
  digest @0 :Text;    # SHA-256, in hex.
  size @1 :UInt64;    # In bytes.
  executor @2 :Text;  # That keeps it.
}

struct Variable {
  # One of an environment, or one output of a task.
  name @0 :Text;   # As the command sees or writes it.
  value @1 :Text;  # Any text without NUL.
  kept @2 :KeptText;  # Of a large output: where its text is. `value` is it in the rows of a run
                      # that reads it itself, and empty elsewhere. Absent: `value` is all.
}

struct Label {
  # What a submission says of its run, or a definition of a task, for people and filters; it changes
  # nothing.
  name @0 :Text;   # Unique in a run or task.
  value @1 :Text;  # Free text.
}

struct TracePlace {
  # A place in a trace, as a `traceparent` (W3C Trace Context) names it.
  traceHigh @0 :UInt64;  # The first eight bytes of the trace's id. The id is zero: it is in none.
  traceLow @1 :UInt64;   # The last eight.
  span @2 :UInt64;       # The id of the span there; 0: the trace begins here.
  sampled @3 :Bool;      # Its spans are told.
}

struct Amount {
  # Of a resource: what an attempt takes of its executor, or what that offers.
  name @0 :Text;       # `cpu`, in thousandths of a processor; `memory`, in bytes; others whole.
  amount @1 :UInt64;   # Above 0.
}

struct Lock {
  # What an attempt holds from its grant to its end.
  name @0 :Text;    # In its project.
  limit @1 :UInt32; # So many may hold it; 0: a mutex, which one may.
}

struct Gang {
  # Attempts that are granted together or not at all.
  name @0 :Text;    # `run/task`.
  ranks @1 :UInt32; # How many they are.
  rank @2 :UInt32;  # Which one this is, from 0.
  round @3 :UInt32; # How often it has begun again, in all epochs: those of one belong together.
}

struct Wish {
  # What an attempt asks of its pool.
  priority @0 :UInt32;             # Higher is served first.
  project @1 :Text;                # That its time is charged to; empty: of an older version.
  resources @2 :List(Amount);      # Besides a slot.
  atMost @3 :List(Amount);         # Where its run's tasks share a workspace: the most of each that
                                   # one of them asks for, which its executor has to offer.
  locks @4 :List(Lock);            # That it holds.
  preemptible @5 :Definition.Preemptible;  # `byDefault`: never, since an older version asks.
  gang @6 :Gang;                   # That it is part of; absent: none.
  mostRanks @7 :UInt32;            # As `atMost`: those of the largest gang of its run, each of
                                   # which needs a slot there.
  pool @8 :Text;                   # Whose executors it goes to; empty: `default`.
  runPools @9 :List(Text);         # As `atMost`: the pools of its run's tasks, if they are several.
}

struct ArtifactWish {
  # Files that an executor is to keep of an attempt that succeeds.
  name @0 :Text;           # Unique in the task.
  paths @1 :List(Text);    # Patterns below the workspace, see path_pattern.h.
  maxSize @2 :UInt64;      # Of all files together, in bytes.
  optional @3 :Bool;       # There need not be any.
}

struct Artifact {
  # Files that an attempt has left and an executor keeps.
  name @0 :Text $Actor.json("id");  # Unique in the task.
  task @1 :Text;           # The instance that left them.
  digest @2 :Text;         # SHA-256 of its list, see artifact.h, in hex: names all of it.
  files @3 :UInt32;        # How many.
  bytes @4 :UInt64;        # All together.
  executor @5 :Text;       # That keeps them.
}

struct ArtifactFile {
  # One file of an artifact.
  path @0 :Text $Actor.json("id");  # Below the workspace: UTF-8 without control characters.
  size @1 :UInt64;         # In bytes.
  executable @2 :Bool;     # Its owner may run it.
  digest @3 :Text;         # SHA-256 of what is in it, in hex.
}

struct CacheWish {
  # How a task finds a result to use in place of an attempt, and keeps its own.
  cache @0 :Text;          # Key of the cache actor; empty: it keeps none.
  keyed @1 :Bool;          # `key` counts, and not what the command gets.
  key @2 :Text;            # What its definition says, filled in.
  ttlNs @3 :Int64;         # As of the definition.
  unused @4 :Bool;         # None is used; its own is kept all the same.
}

struct ArtifactSource {
  # An artifact that is put into the workspace of another task.
  artifact @0 :Artifact;   # Which one.
  folder @1 :Text;         # Of the workspace, that it goes to; empty: the workspace.
}

struct KeptInput {
  # An output of another task, whose text goes into the inputs of a command.
  at @0 :UInt64;       # After so many bytes of `json`, as a JSON string.
  text @1 :KeptText;   # What.
  task @2 :Text;       # The instance that has written it.
  name @3 :Text;       # What it is called there.
}

struct LargeInputs {
  # Inputs with texts that only the executor gets.
  json @0 :Text $Actor.secret;  # JSON but for these.
  texts @1 :List(KeptInput);    # In order of their places.
}

struct AttemptSecret {
  # A variable of a command, whose value only its executor looks up, when the command starts.
  variable @0 :Text;  # As the command sees it.
  from @1 :Definition.SecretSource;
  key @2 :Text;       # What it is called there.
  project @3 :Text;   # Whose it is, of one that a project has; else empty.
  sealed @4 :Data $Actor.secret;
  # What the project has stored; empty: nothing, or not asked yet. Of a `given` one the value.
}

# --- project -------------------------------------------------------------------------------------

struct ProjectState {
  # Root of a project. Its pipelines are a map.
  settings @0 :ProjectSettings;  # Absent: those of one that was never set.
  timesSet @1 :UInt32;           # How often they were since silos count it.
}

struct ProjectSettings {
  # How much of the machines a project may have.
  weight @0 :UInt32 = 1;      # Its part of them beside the other projects that want some.
  maxRunning @1 :UInt32;      # Tasks at a time; 0: no bound.
  maxQueuedRuns @2 :UInt32;   # As of `PoolShare.queuedRuns`; 0: no bound.
  maxPriority @3 :Int64 = -1 $Actor.absent(-1);  # What is above counts as this; -1: no bound.
  preemptsFrom @4 :Int64 = -1 $Actor.absent(-1);  # Its tasks of this priority or a higher one may
                                                  # end what runs with a lower one; -1: none may.
  maxCpu @5 :Float64 $Actor.absent(0);    # Processors that its running tasks may have asked for
                                          # together, by the thousandth; 0: no bound.
  maxMemory @6 :UInt64 $Actor.absent(0);  # The same of memory, in bytes.
  maxStorage @7 :UInt64 $Actor.absent(0);  # Bytes that its runs may hold on the disks of executors
                                           # before no more of its tasks start; 0: no bound.
}

struct ProjectPipeline {
  # Record of the map "pipelines", by pipeline name.
  name @0 :Text $Actor.json("id");     # Without the project.
  registeredAt @1 :Int64 $Actor.time;  # When its first version was applied.
  schedules @2 :UInt32;                # Of its latest version.
}

interface Project $Actor.actor("project") {
  # Key: the project's name.
  add @0 (pipeline :Text, schedules :UInt32) -> () $Actor.internal;
  # From a pipeline, with its first version, and when it has more or fewer schedules. Idempotent.
  pipelines @1 (cursor :Text, limit :UInt32) -> (pipelines :List(ProjectPipeline), nextCursor :Text)
      $Actor.readOnly;
  # In order of name, those after `cursor`; `nextCursor` is empty at the end. limit 0: 100; at most
  # 1,000.
  remove @2 (pipeline :Text) -> () $Actor.internal;
  # From a pipeline that is being removed. Idempotent.
  configure @3 (settings :ProjectSettings, ifVersion :UInt32) -> () $Actor.internal;
  # From a gateway, which knows who asks: all of them. `invalid_argument` for a weight of 0.
  # `conflict`, and nothing is changed, unless ifVersion is that of the settings or 0.
  settings @4 () -> (settings :ProjectSettings, version :UInt32) $Actor.readOnly;
  # As they were set last. The version grows by one each time; 1: they were never set.
}

# --- pipeline ------------------------------------------------------------------------------------

struct PipelineState {
  # Root of a pipeline.
  latestVersion @0 :UInt32;  # Grows by one with each new definition; 0: never applied.
  endedRuns @1 :UInt64;      # Records of the map "ended".
  removing @2 :Bool;         # It is told of no more; its runs go step by step, then its rows.
  schedules @3 :UInt32;      # Of the latest version.
  paused @4 :Bool;           # Nothing begins: what is submitted waits.
  pausedBy @5 :Text;         # Who paused it; empty: nobody who has a name.
  goodVersion @6 :UInt32;    # The latest that a run has succeeded with; 0: none.
  failedInRow @7 :UInt32;    # Runs of the latest version that have failed since one succeeded.
  maxQueuedRuns @8 :UInt32;  # Of its project, as it last told.
}

struct PipelineVersion {
  # Record of the map "versions", by the version's number in 10 digits.
  version @0 :UInt32;                  # From 1.
  appliedAt @1 :Int64 $Actor.time;     # When the pipeline took it.
  definition @2 :Text $Actor.rawJson;  # The canonical form, for people.
  compiled @3 :Definition.CompiledPipeline;  # The same for runs; absent in what older ones applied.
  origin @4 :Text;                     # Why there is this version, unless it was applied.
}

struct RunSummary {
  # Record of the maps "active" (runs that have not ended) and "runs" (those that have; read by
  # page), by run id with inverted digits: the newest first. And of the paged map "ended", by the
  # time of the end in 20 digits and the run's id, where it has nothing but its id: the order in
  # which runs are removed.
  id @0 :Text;                       # The run's key, a UUIDv7.
  version @1 :UInt32;                # Of the pipeline, at the submission.
  state @2 :RunState;                # As the run last told.
  createdAt @3 :Int64 $Actor.time;   # Of the submission.
  finishedAt @4 :Int64 $Actor.time;  # As the run last told; 0 again while it is retried.
  pipeline @5 :Text;                 # Its name, without the project. Only in answers.
  queued @6 :Bool;                   # It has not begun: it waits for its turn.
  group @7 :Text $Actor.json("concurrency_group");  # Whose runs take turns; see `concurrency`.
  labels @8 :List(Label);            # Its pipeline's, and over them those of the submission.
}

struct Subscriber {
  # Record of the map "subscribers" of a pipeline, by the name of one that its runs start.
  on @0 :Definition.TriggerEvent;  # Which of their ends.
}

struct TriggerValue {
  # Record of the map "started_for" of a pipeline, by the pipeline of a trigger with `onceFor`, or
  # by `webhook/NAME/` and a number of 10 digits that grows: of a webhook the newest 100.
  value @0 :Text;  # Of the last run that it has started; of a webhook a digest of that.
}

struct WatchRecord {
  # Record of the map "watches" of a pipeline, by name: of one that has been checked or is.
  checking @0 :Text;       # The run that looks now; empty: none does.
  checks @1 :List(Text);   # Runs that have looked and are kept, the latest last.
  lastVersion @2 :Text;    # The last one of the latest check that has found some; empty: none has.
  known @3 :Bool;          # A check has succeeded since its command last changed.
  checkedAt @4 :Int64;     # When a check has last ended.
  reason @5 :Text;         # Why that failed, for a person; empty: it has succeeded.
  found @6 :UInt64;        # New versions so far.
  refusal @7 :Text;        # The latest version whose run could not begin, and why.
}

struct WatchSeen {
  # Record of the map "seen" of a pipeline, by the name of a watch.
  digests @0 :Text;  # Of the newest 1,000 versions, 32 hexadecimal digits each, the newest last.
}

struct WatchStatus {
  # What the API shows of a watch.
  id @0 :Text;                       # Its name.
  checking @1 :Text;                 # As of `WatchRecord`, as the rest.
  lastCheck @2 :Text;                # The run that has looked last; empty: none has yet.
  checkedAt @3 :Int64 $Actor.time;
  reason @4 :Text;
  lastVersion @5 :Text;
  found @6 :UInt64;
  refusal @7 :Text;
}

enum ApplyOnlyIf {
  # What of a pipeline must be so for a definition to be taken.
  any @0;      # Nothing.
  present @1;  # It has a version already.
  absent @2;   # It has none: this makes the pipeline.
}

interface Pipeline $Actor.actor("pipeline") {
  # Key: `project/name`.
  apply @0 (definition :Text, ifVersion :UInt32, onlyIf :ApplyOnlyIf)
      -> (version :UInt32, changed :Bool);
  # `definition`: JSON, canonical or not. An unchanged one makes no new version. `conflict`, and
  # nothing is changed, unless ifVersion is the latest version or 0, and `onlyIf` holds.
  describe @1 (version :UInt32)
      -> (project :Text, name :Text $Actor.json("id"), version :UInt32, latestVersion :UInt32,
          appliedAt :Int64 $Actor.time, definition :Text $Actor.rawJson, origin :Text)
      $Actor.readOnly;
  # version 0: the latest. `origin`: why there is this version, unless it was applied.
  submit @2 (run :Text $Actor.json("id"), params :Text $Actor.rawJson, labels :List(Label),
             source :Text, version :UInt32, rerunOf :Text, scheduledAt :Int64,
             priority :Int64 = -1, only :List(Text), noCache :Bool)
      -> (run :Text $Actor.json("id"), version :UInt32) $Actor.reentrant;
  # `run`: a fresh id, or empty for one to be made; `params` a JSON object. Answers when the run is
  # stored and can be asked. With the id of a run of this pipeline: that run, and nothing is
  # changed; of another pipeline's: `conflict`. `too_large` for more labels or parameters than
  # submission.h allows. `source`: the folder of the definition's file on the machine of the silo,
  # which commands get; empty: there is none. `version`: of the definition; 0: the latest.
  # `rerunOf`: the run that this one repeats; empty: none. `conflict` where `concurrency` refuses
  # one more. `priority`: in place of the pipeline's; -1: that one. `only`: the tasks that are to
  # run, with what they need; empty: all. `noCache`: no kept result is used.
  # `overloaded` while as many runs of the project wait as may.
  runs @3 (cursor :Text, limit :UInt32, state :Text, label :Text)
      -> (runs :List(RunSummary), nextCursor :Text) $Actor.readOnly;
  # Newest first, those older than the id `cursor`; `nextCursor` is empty at the end. limit 0: 100;
  # at most 1,000. `state`: only those in it, such as `timed_out`; empty: all. `label`: only those
  # with it, `NAME=VALUE` or `NAME`; with all of several that commas part. With these two a page may
  # be short.
  runEnded @4 (run :Text, state :RunState, finishedAt :Int64, version :UInt32, createdAt :Int64,
               endedBefore :Int64, depth :UInt32, params :Text, outputs :List(Variable),
               check :Text, reason :Text)
      -> () $Actor.internal;
  # From the run, at its end; also when a retry takes it up again: running, 0, and in `endedBefore`
  # when it had ended. `depth`: runs that it comes from. `params`: JSON; empty: they are long, and
  # the run is to be asked for them and for its outputs. `check`: the watch that it has looked for;
  # empty: none. Only then there is `reason`.
  runRemoved @5 (run :Text, finishedAt :Int64) -> () $Actor.internal;
  # From the run: it is listed no more. `finishedAt`: when it ended; 0: it never was this
  # pipeline's, or a check.
  submitNew @6 (run :Text, params :Text, labels :List(Label), again :Bool, version :UInt32,
                rerunOf :Text, scheduledAt :Int64, priority :Int64 = -1, webhook :Text,
                onceFor :Text, only :List(Text), noCache :Bool)
      -> (run :Text $Actor.json("id"), version :UInt32) $Actor.reentrant $Actor.internal;
  # As `submit`, but it answers when the run is stored, before it can be asked, and `run` is an id
  # that whoever asks has made for this, or empty. `again`: it was asked before with that id, and
  # nobody knows what became of that. `scheduledAt`: the nominal time that the run has, though no
  # schedule starts it; 0: none. `webhook`: that starts it; empty: none. Then `version` is the one
  # that it was read of: `unavailable` where that is the latest no more. Where `onceFor` is that of
  # one of the last 100 runs that the webhook has started, and not empty, nothing starts and `run`
  # is empty.
  remove @7 (ifVersion :UInt32) -> ();
  # Deletes it with its versions and its ended runs: at once it is not there, and cannot be applied
  # until all of it has gone. `failed_precondition` while a run has not ended. `conflict`, and
  # nothing is changed, unless ifVersion is the latest version or 0.
  submitScheduled @8 (run :Text, schedule :Text, scheduledAt :Int64, backfill :Text)
      -> () $Actor.internal;
  # From the pipeline's schedules, with a fresh id: a firing. Its parameters are those of the
  # schedule in the latest version. One that cannot begin is told so by `Schedule.runTold`. Where it
  # is that of a watch the run is a check.
  pause @9 (by :Text) -> () $Actor.internal;
  # From a gateway, which knows who asks: nothing begins until `resume`; what is submitted, or due
  # by a schedule, waits. Runs that have begun go on. `by`: for people.
  resume @10 () -> ();
  # Undoes `pause`: what waited begins, the oldest first.
  rollback @11 (version :UInt32) -> (version :UInt32);
  # Makes a new version with the definition of an earlier one; 0: the latest that a run has
  # succeeded with. Answers its number. `not_found`; `failed_precondition` where none has succeeded,
  # or it says the same as the latest.
  revert @12 (version :UInt32) -> () $Actor.internal;
  # From itself: that version has failed as often as `revert` allows.
  submitChild @13 (run :Text, params :Text, labels :List(Label), rerunOf :Text, parent :Text,
                   parentTask :Text, depth :UInt32, trace :TracePlace, priority :Int64 = -1,
                   noCache :Bool)
      -> () $Actor.internal;
  # From the run `parent`, whose task `parentTask` is to be this run, with a fresh id. One that
  # cannot begin is told so by `Run.childTold`. `depth`: runs above it. `priority`, `noCache`: as of
  # `submit`.
  subscribe @14 (pipeline :Text, on :Definition.TriggerEvent, undo :Bool) -> () $Actor.internal;
  # From another pipeline of the project, which has a trigger: it is told by `triggered`; also one
  # that does not exist yet. Idempotent.
  triggered @15 (pipeline :Text, run :Text, state :RunState, depth :UInt32, version :UInt32,
                 params :Text, outputs :List(Variable)) -> () $Actor.internal;
  # From the pipeline of a trigger, whose run `run` has ended. The rest as of `runEnded`.
  withdrawChild @16 (run :Text, reason :Text, force :Bool) -> () $Actor.internal;
  # From who has sent it that `submitChild`: as `Run.withdraw`, and without effect on a run that
  # could not begin.
  activity @17 ()
      -> (paused :Bool, pausedBy :Text, activeRuns :UInt32, queuedRuns :UInt32,
          goodVersion :UInt32, failedInRow :UInt32, watches :List(WatchStatus))
      $Actor.readOnly;
  # What changes from run to run. `queuedRuns`, which wait for their turn, are among the
  # `activeRuns`. `goodVersion`: the latest that a run has succeeded with; 0: none. `failedInRow`:
  # how often a run of the latest version has failed since. `watches`: those of the latest version,
  # in its order.
  limitRuns @18 (maxQueuedRuns :UInt32) -> () $Actor.internal;
  # From its project: a setting that it goes by.
  webhook @19 (name :Text) -> (webhook :Definition.CompiledWebhook, version :UInt32)
      $Actor.readOnly $Actor.internal;
  # From a gateway: of the latest version. `not_found`: there is none of that name, or no pipeline.
  compiled @20 (version :UInt32) -> (version :UInt32, compiled :Definition.CompiledPipeline)
      $Actor.readOnly $Actor.internal;
  # From a run of it. version 0: the latest. `not_found`.
  versionFound @21 (watch :Text, version :Text) -> () $Actor.internal;
  # From itself: a check of that watch has found a new version, which starts a run.
}

# --- run -----------------------------------------------------------------------------------------

struct TaskCounts {
  # Task instances of a run by state.
  total @0 :UInt32;           # Those that are known: a fan-out's once its list is.
  waiting @1 :UInt32;         # Known and neither started nor settled.
  queued @2 :UInt32;          # Wait for a slot.
  running @3 :UInt32;         # Have an attempt that runs.
  backingOff @4 :UInt32;      # Wait for the next attempt.
  succeeded @5 :UInt32;       # Ended well.
  failed @6 :UInt32;          # failed, errored, timed out, lost.
  cancelled @7 :UInt32;       # Withdrawn.
  skipped @8 :UInt32;         # Their condition was false.
  upstreamFailed @9 :UInt32;  # A task they need did not end as it should.
  cached @10 :UInt32;         # Of those that have succeeded: with a kept result.
}

struct RunStatus {
  # What the API shows of a run.
  id @0 :Text;                       # The run's key, a UUIDv7.
  project @1 :Text;                  # Of the pipeline.
  pipeline @2 :Text;                 # Its name, without the project.
  version @3 :UInt32;                # Of the definition that it was begun with.
  state @4 :RunState;                # Terminal ones change only by a retry.
  reason @5 :Text;                   # Why it ended badly, for a person; else empty.
  params @6 :Text $Actor.rawJson;    # The bound values, defaults included.
  labels @7 :List(Label);            # As of `RunSummary`.
  createdAt @8 :Int64 $Actor.time;   # Of the submission.
  finishedAt @9 :Int64 $Actor.time;  # 0 while it runs.
  tasks @10 :TaskCounts;             # Instances that are known yet.
  traceId @11 :Text;                 # Of the trace that it is part of; empty: an older run's.
  schedule @12 :Text;                # That started it; empty: none did.
  scheduledAt @13 :Int64 $Actor.time;  # The nominal time of that firing.
  backfill @14 :Text;                  # That it is part of; empty: of none.
  queued @15 :Bool;                  # It has not begun: `reason` says what it waits for.
  paused @16 :Bool;                  # Nothing of it starts, as `reason` says.
  rerunOf @17 :Text;                 # The run that it repeats; empty: none.
  parent @18 :Text;                  # The run whose task `parentTask` it is; empty: none's.
  parentTask @19 :Text;              # An instance's name.
  outputs @20 :List(Variable);       # Of one that has succeeded.
  triggeredBy @21 :Text;             # The run of another pipeline that started it; empty: none.
  priority @22 :Int64 = -1 $Actor.absent(-1);  # That it was submitted with; -1: its pipeline's.
  webhook @23 :Text;                 # Of its pipeline, that started it; empty: none.
  only @24 :List(Text);              # The tasks that were asked for; empty: all.
  noCache @25 :Bool;                 # Its tasks use no kept results.
  watch @26 :Text;                   # Of its pipeline, that started it; empty: none.
  check @27 :Bool;                   # It is none of its pipeline's: it looks for that watch.
}

struct TaskStatus {
  # Record of the map "instances" of a run, by `task` or `task[index in 6 digits]`: everything that
  # has been started or settled. The task tells its run of each change.
  name @0 :Text $Actor.json("id");    # `count`, or `count[3]`: what a person types.
  task @1 :Text $Actor.json("name");  # Its name in the definition.
  index @2 :UInt32;    # In the fan-out, from 0; 0 without one.
  label @3 :Text;      # The item or matrix cells of a fan-out; else empty.
  state @4 :TaskState; # Terminal ones change only by a retry of the run.
  attempt @5 :UInt32;  # The latest; 0: none yet.
  exitCode @6 :Int32 = -1 $Actor.absent(-1);  # Of the latest; -1: none.
  reason @7 :Text;                    # Why it is where it is, for a person; may be empty.
  startedAt @8 :Int64 $Actor.time;    # When its first attempt started.
  finishedAt @9 :Int64 $Actor.time;   # When it ended.
  outputs @10 :List(Variable);        # Of the attempt that succeeded.
  signal @11 :Int32 $Actor.signal;    # That killed the command of the latest attempt; 0: none.
  child @12 :Text $Actor.json("child_run");  # The run that it is, of a task with `pipeline`.
  artifacts @13 :List(Artifact);      # Of the attempt that succeeded.
  cachedFrom @14 :Text;               # The run whose result it has; empty: its own.
  labels @15 :List(Label);            # Of its task. Only in answers.
}

struct RunEvent {
  # Record of the map "events", by sequence in 12 digits; the latest ones are kept.
  sequence @0 :UInt64 $Actor.json("id");  # From 1, without gaps.
  at @1 :Int64 $Actor.time;    # When the run heard of it.
  runState @2 :RunState;       # Of the run, after the event.
  name @3 :Text $Actor.json("task");      # The task instance; empty: the run itself changed.
  state @4 :TaskState;         # Of the instance, as the next four.
  attempt @5 :UInt32;          # Its latest; 0: none yet.
  exitCode @6 :Int32 $Actor.absent(-1);   # Of its latest attempt; -1: none.
  label @7 :Text;              # The item or matrix cells of a fan-out.
  reason @8 :Text;             # Of the instance, or of the run when `name` is empty.
}

struct RunStored {
  # Root of a run: what changes with every event, so it is small.
  project @0 :Text;        # Of the pipeline.
  pipeline @1 :Text;       # Its name, without the project.
  version @2 :UInt32;      # Of the definition that is pinned.
  state @3 :RunState;      # Whether it is over, and how.
  reason @4 :Text;         # Why it ended or is being ended, for a person.
  createdAt @5 :Int64 $Actor.time;   # Of the submission.
  finishedAt @6 :Int64 $Actor.time;  # 0 while it runs.
  tasks @7 :TaskCounts;    # Kept with each change of an instance.
  eventCount @8 :UInt64;   # The sequence of the latest event.
  ending @9 :Bool;         # Only hooks and what runs always still start; then it is `endState`.
  endState @10 :RunState;  # Only if `ending`.
  epoch @11 :UInt32;       # Counts retries of the run; results of older ones are ignored.
  forced @12 :Bool;        # Only if `ending`: those are ended too.
  removing @13 :Bool;      # It is told of no more; its rows go step by step.
  lostWith @14 :Text;      # The executor that the workspace was lost with, while what runs ends.
  filesLost @15 :Bool;     # Since it has ended: a retry also starts what had succeeded, if needed.
  retriedAt @16 :Int64 $Actor.time;  # The last time; 0: never.
  schedule @17 :Text;      # That started it; empty: none did.
  scheduledAt @18 :Int64 $Actor.time;  # The nominal time of that firing.
  backfill @19 :Text;      # That it is part of; empty: of none.
  queued @20 :Text;        # What it waits for before it begins, for a person; empty: it has begun.
  paused @21 :Bool;        # Nothing of it starts.
  pausedBy @22 :Text;      # Who paused it; empty: nobody who has a name.
  rerunOf @23 :Text;       # The run that it repeats; empty: none.
  parent @24 :Text;        # The run whose task it is; empty: none's.
  parentTask @25 :Text;    # The instance's name.
  depth @26 :UInt32;       # Runs that it comes from: above it, or by triggers.
  outputs @27 :List(Variable);  # Of one that has succeeded.
  triggeredBy @28 :Text;   # The run of another pipeline that started it; empty: none.
  neverBegan @29 :Bool;    # It was ended while it waited for its turn.
  heldInPool @30 :Bool;    # The pool has been told to grant nothing of it.
  webhook @31 :Text;       # Of its pipeline, that started it; empty: none.
  watch @32 :Text;         # Of its pipeline, that started it; empty: none.
  check @33 :Bool;         # It looks for that watch.
}

struct ForgottenTask {
  # Record of the map "forgotten", by the name of a task instance that had attempts before a retry
  # of the run and has not been started since: its actor still has rows, which go with the run.
  name @0 :Text;  # As the key.
}

struct RunPinned {
  # The one record of the map "pinned": what never changes, but by a retry with another version.
  definition @0 :Text;     # Canonical JSON, of a run that an older version began; else empty.
  params @1 :Text;         # JSON object of the bound values.
  labels @2 :List(Label);  # From the submission.
  compiled @3 :Definition.CompiledPipeline;  # What it runs.
  source @4 :Text;         # As of the submission.
  trace @5 :TracePlace;    # Of who submitted it; absent in what older ones began.
  priority @6 :Int64 = -1; # As of the submission.
  callbackKey @7 :Data $Actor.secret;  # 256 random bits, see callback.h; empty: it has none.
  only @8 :List(Text);     # As of the submission.
  noCache @9 :Bool;        # As of the submission.
}

struct RetryInput {
  # What comes with the wish to start what did not succeed again.
  from @0 :Text;      # As of `Run.retryFrom`.
  dryRun @1 :Bool;    # As of `Run.retryFrom`.
  version @2 :UInt32; # Of the definition, from now on; 0: the run's own.
  latest @3 :Bool;    # The latest one; not with `version`.
}

struct RerunInput {
  # What comes with the wish to repeat a run.
  latest @0 :Bool;  # With the latest definition instead of the run's own.
  noCache @1 :Bool; # No kept result is used.
}

struct CallbackAnswer {
  # Record of the map "callbacks" of a run, by the name of a task with `callback`: what it was told,
  # perhaps before it started.
  state @0 :TaskState;          # `succeeded` or `failed`.
  reason @1 :Text;              # For a person; may be empty.
  outputs @2 :List(Variable);
}

struct RunGang {
  # Record of the map "gangs" of a run, by the name of a task with ranks: of one that has failed.
  round @0 :UInt32;     # As of `Gang`.
  failures @1 :UInt32;  # Rounds of this epoch that count against `max_attempts`.
  failed @2 :UInt32;    # The rank that has failed first in this round, from 1; 0: none.
  beginsAt @3 :Int64 $Actor.time;  # When the round begins; 0: it has.
}

struct ApprovalAnswer {
  # What comes with the answer to an approval.
  comment @0 :Text;  # For people; may be empty.
}

interface Run $Actor.actor("run") $Actor.group("run") $Actor.affinity("/") {
  # Key: the run's id, a UUIDv7.
  begin @0 (project :Text, pipeline :Text, version :UInt32, definition :Text, params :Text,
            labels :List(Label), createdAt :Int64, compiled :Definition.CompiledPipeline,
            source :Text, trace :TracePlace, schedule :Text, scheduledAt :Int64, backfill :Text,
            queued :Text, rerunOf :Text, parent :Text, parentTask :Text, depth :UInt32,
            triggeredBy :Text, priority :Int64 = -1, webhook :Text, only :List(Text),
            noCache :Bool, watch :Text, check :Bool)
      -> () $Actor.internal;
  # From the pipeline: what to pin. Idempotent. `definition` only from an older version. `trace`: of
  # who submitted it; absent: it begins one of its own. The next three of a firing. `queued`: what
  # it waits for until `proceed`, for a person; empty: nothing. `rerunOf`: as of `Pipeline.submit`.
  # `parent` and the like: as of `Pipeline.submitChild`. `priority`: as of `Pipeline.submit`.
  # `webhook`: as of `Pipeline.submitNew`. `only`, `noCache`: as of `Pipeline.submit`. `watch`,
  # `check`: as of `RunStatus`.
  status @1 () -> (run :RunStatus) $Actor.readOnly;
  # The run as a whole.
  tasks @2 (cursor :Text, limit :UInt32, label :Text)
      -> (tasks :List(TaskStatus), nextCursor :Text) $Actor.readOnly;
  # In the order of the definition, those after the instance named `cursor`; `nextCursor` is empty
  # at the end. Those that have not started are `waiting`; a fan-out is one until its list is known.
  # limit 0: 1,000; at most 10,000. `label`: only those with these labels, as of `Pipeline.runs`;
  # empty: all.
  task @3 (name :Text) -> (task :TaskStatus) $Actor.readOnly;
  # One instance, by the name that a person types.
  events @4 (after :UInt64, waitMs :UInt32, limit :UInt32) -> (events :List(RunEvent), ended :Bool)
      $Actor.reentrant;
  # Those with a higher sequence; waits up to waitMs for one, and up to a second for the run itself
  # if it was just submitted. `ended`: there will be no more. limit 0: 1,000, which is the most.
  # `invalid_argument` for an `after` that no event has had.
  cancel @5 (reason :Text, force :Bool) -> ();
  # Ends it: what runs is cancelled, and only hooks and tasks with `run_on: always` start or go on;
  # `force`, also later, ends these too. `reason` is for people; empty: a default.
  retry @6 () -> (tasks :UInt32);
  # Starts what did not succeed again, and all that needs it. Answers how many instances had been
  # judged and are judged anew.
  taskChanged @7 (epoch :UInt32, status :TaskStatus, round :UInt32) -> () $Actor.internal;
  # From a task: its state, and the epoch and round that its specification had.
  remove @8 () -> ();
  # Deletes an ended run: its tasks, logs, workspace, and its place in the list of runs. Answers
  # when that is certain to happen; at once there is no such run. `failed_precondition` while it has
  # not ended.
  removeMore @9 () -> () $Actor.internal;
  # From itself: the next step.
  expire @10 () -> () $Actor.internal;
  # From the pipeline, which keeps it no longer: as `remove`, and without effect unless it has
  # ended.
  workspaceLost @11 (executor :Text) -> () $Actor.internal;
  # From the pool, which holds back its tasks from then on: nothing that it ran there runs any more.
  decide @12 (task :Text, approved :Bool, comment :Text, by :Text) -> () $Actor.internal;
  # From a gateway, which knows who asks: the answer to the approval `task`, by its instance's name.
  # `not_found` for an unknown one, `failed_precondition` for one that waits for no answer.
  retryFrom @13 (from :Text, dryRun :Bool) -> (tasks :UInt32, names :List(Text));
  # As `retry`, also the task `from` if it is not empty; and the names of the first 1,000. `dryRun`
  # only answers. `not_found` for an unknown task.
  withdraw @14 (reason :Text, force :Bool) -> () $Actor.internal;
  # From who has submitted it: as `cancel`, and without effect on one that is over.
  # `unavailable` before its `begin`, which is on its way.
  proceed @15 () -> () $Actor.internal;
  # From the pipeline: it is the turn of one that was queued.
  pause @16 (by :Text) -> () $Actor.internal;
  # From a gateway, which knows who asks: nothing of it starts until `resume`; what runs goes on,
  # and so does the run's timeout. `by`: for people. `failed_precondition` once it has ended.
  resume @17 () -> ();
  # Undoes `pause`.
  childTold @18 (task :Text, run :Text, state :RunState, reason :Text, outputs :List(Variable))
      -> () $Actor.internal;
  # From the run `run`, which is the task's and has ended, or could not begin. Without effect where
  # the task has another one, or has ended.
  callback @19 (token :Text, answer :CallbackAnswer) -> (again :Bool) $Actor.internal;
  # From a gateway: the word of a foreign system. `again`: it was told the same before, and this has
  # no effect. `not_found` where the token is that of no task; `failed_precondition` where the task
  # has ended, or was told something else.
  artifacts @20 (cursor :Text, limit :UInt32) -> (artifacts :List(Artifact), nextCursor :Text)
      $Actor.readOnly;
  # That its tasks have left, by task, those after the page that ended with this cursor;
  # `nextCursor` is empty at the end. limit 0: 1,000, which is the most; those of one task stay
  # together.
  retryWith @21 (version :UInt32, from :Text, dryRun :Bool)
      -> (tasks :UInt32, names :List(Text), version :UInt32 $Actor.absent(0));
  # As `retryFrom`, with another version of the definition from now on; 0: the latest. Tasks that
  # are new in it, or do something else, start again too, and all that needs them. `not_found` for
  # an unknown version; `failed_precondition` where the run's parameters, or the tasks that it was
  # asked for, do not fit.
}

# --- task ----------------------------------------------------------------------------------------

struct TaskSpec {
  # What a run tells one of its task instances.
  run @0 :Text;              # Its key.
  task @1 :Text;             # The task's name in the definition.
  index @2 :UInt32;          # In the fan-out, from 0.
  name @3 :Text;             # `count` or `count[3]`.
  epoch @4 :UInt32;          # Of the run; one with a lower epoch than before is ignored.
  label @5 :Text;            # The item or matrix cells of a fan-out.
  argv @6 :List(Text);       # Program and arguments, expressions filled in.
  environment @7 :List(Variable) $Actor.secret;  # The whole of it but for what the executor adds.
  workspace @8 :Text;        # Relative to the executor's `workspaces` directory.
  timeoutNs @9 :Int64;       # Of one attempt; 0: none.
  graceNs @10 :Int64;        # Between SIGTERM and SIGKILL.
  maxAttempts @11 :UInt32;   # How often it may fail; at least 1.
  delayNs @12 :Int64;        # Before the second attempt.
  backoff @13 :Float64;      # Factor from one delay to the next.
  maxDelayNs @14 :Int64;     # The most that a delay grows to.
  jitter @15 :Float64;       # The part of a delay that is left to chance, 0 to 1.
  giveUpWhenLost @16 :Bool;  # Ends as `lost` instead of starting again.
  priority @17 :UInt8;       # What older versions go by: that of `wish`, or 255.
  pool @18 :Text;            # The key of the actor `pool`; which pool it goes to, `wish` says.
  outputs @19 :List(Text);   # What the command must write to $MILLRACE_OUTPUT, by name.
  detach @20 :Bool;          # What leaves the group of its command may outlive it.
  onExit @21 :List(UInt8);     # Tried again only after one of these exit codes; empty: after any.
  notOnExit @22 :List(UInt8);  # Never after one of these.
  secrets @23 :List(AttemptSecret);  # More of the environment: names of values, not the values.
  workdir @24 :Text;         # As of `AttemptSpec`.
  inputs @25 :Text $Actor.secret;  # As of `AttemptSpec`.
  trace @26 :TracePlace;     # Of its run.
  wish @27 :Wish;            # Absent in what older ones began.
  startTimeoutNs @28 :Int64;  # How long an attempt may wait for its slot; 0: for ever.
  heartbeatNs @29 :Int64;    # As of `AttemptSpec`.
  argvOnRetry @30 :List(Text);  # Of attempts after one that has started; empty: `argv`.
  successExitCodes @31 :List(UInt8);  # As of `AttemptSpec`.
  stdoutOutput @32 :Text;    # The output that its standard output is; empty: none.
  artifacts @33 :List(ArtifactWish);  # That it is to leave.
  needsArtifacts @34 :List(ArtifactSource);  # As of `AttemptSpec`.
  cache @35 :CacheWish;      # Absent: no result of it is kept or used.
  round @36 :UInt32;         # As of `Gang`; of one epoch, one with no higher round is ignored.
  memoryLimit @37 :UInt64;   # As of `AttemptSpec`.
  call @38 :ActorCall;       # What it is, in place of a command; absent: it is a command.
  largeInputs @39 :LargeInputs;   # As of `AttemptSpec`.
  keepsOutputs @40 :Bool;         # As of `AttemptSpec`.
  readOutputs @41 :List(Text);    # As of `AttemptSpec`.
}

struct ActorCall {
  # Of an actor of the silos, by a task.
  type @0 :Text;             # Of the actor.
  key @1 :Text;              # Of the actor.
  method @2 :Text;           # In snake_case.
  params @3 :Text $Actor.secret;  # JSON object, expressions filled in.
}

struct Attempt {
  # Record of the map "attempts", by number in 6 digits.
  number @0 :UInt32 $Actor.json("id");  # From 1, never used again, nor by a retry of the run.
  executor @1 :Text;        # That has or had it; empty before its start.
  end @2 :AttemptEnd;       # `queued`, then `running` until it has one.
  exitCode @3 :Int32 $Actor.absent(-1);  # -1: none.
  signal @4 :Int32 $Actor.signal;        # That killed the command; 0: none.
  startedAt @5 :Int64 $Actor.time;   # As its executor says.
  finishedAt @6 :Int64 $Actor.time;  # As its executor says, or when its loss became known.
  stdoutTail @7 :Text;      # The last 4 KiB, as UTF-8; the whole is in the executor's file.
  stderrTail @8 :Text;      # As above.
  stdoutBytes @9 :UInt64;   # Written in all.
  stderrBytes @10 :UInt64;  # As above.
  text @11 :Text;           # What a person should know of its end.
  stdoutDropped @12 :UInt64;  # Bytes of stdoutBytes dropped from its middle.
  stderrDropped @13 :UInt64;  # As above.
  queuedAt @14 :Int64 $Actor.time;  # When it came to wait for a slot; 0: an older one.
  cpuMs @15 :Int64 = -1 $Actor.absent(-1);  # As of `AttemptReport`.
  maxMemory @16 :Int64 $Actor.absent(0);    # As of `AttemptReport`.
}

struct TaskStored {
  # Root of a task.
  state @0 :TaskState;      # See task_attempts.h.
  attempt @1 :UInt32;       # The latest; 0: none yet.
  failures @2 :UInt32;      # Attempts that count against maxAttempts.
  cancelling @3 :Bool;      # The pool has been told to have the attempt ended.
  executor @4 :Text;        # That runs the attempt; empty: none.
  exitCode @5 :Int32 = -1 $Actor.absent(-1);  # Of the latest attempt; -1: none.
  reason @6 :Text;          # Why it is where it is, for a person.
  startedAt @7 :Int64 $Actor.time;   # When its first attempt started.
  finishedAt @8 :Int64 $Actor.time;  # When it ended.
  incarnation @9 :UInt64;   # Unused: only older versions set it.
  outputs @10 :List(Variable);  # Of the attempt that succeeded.
  signal @11 :Int32 $Actor.signal;  # That killed the command of the latest attempt; 0: none.
  overdue @12 :Bool;        # Only if `cancelling`: the attempt has not started in time.
  onRetry @13 :Bool;        # The latest attempt runs `argvOnRetry`.
  preempted @14 :Definition.Preemptible;  # Only if `cancelling`: the attempt makes way, and this
                                          # becomes of the task; `byDefault`: it does not.
  preemptions @15 :UInt32;  # Attempts that had started and made way.
  artifacts @16 :List(Artifact);  # Of the attempt that succeeded.
  lookingUp @17 :Bool;      # The attempt waits for word of a kept result.
  cachedFrom @18 :Text;     # The run whose result it has; empty: none.
  cacheMiss @19 :Text;      # Why no kept result was used, for a person; empty: nobody looked.
}

struct AttemptReport {
  # How an attempt ended, from its executor; from the pool when that went away.
  number @0 :UInt32;        # Of the attempt.
  end @1 :AttemptEnd;       # Never `queued` or `running`.
  exitCode @2 :Int32 = -1;  # -1: none.
  signal @3 :Int32;         # That killed the command; 0: none.
  startedAt @4 :Int64;      # 0: not known.
  finishedAt @5 :Int64;     # 0: now.
  stdoutTail @6 :Text;      # The last 4 KiB, as UTF-8.
  stderrTail @7 :Text;      # As above.
  stdoutBytes @8 :UInt64;   # Size of the file.
  stderrBytes @9 :UInt64;   # As above.
  text @10 :Text;           # For a person, where `end` does not say all. Of one that exited, not
                            # with 0: what is wrong with its outputs, if its task wants them.
  outputs @11 :List(Variable);  # That the command wrote; only if it exited.
  stdoutDropped @12 :UInt64;  # Bytes of stdoutBytes that were dropped from its middle.
  stderrDropped @13 :UInt64;  # As above.
  executor @14 :Text;       # That had it; empty: the pool says so.
  noHeartbeat @15 :Bool;    # Only if `timedOut`: its command gave no sign of life.
  stdoutText @16 :Text;     # Standard output without its last line end, of one that exited, where
                            # the task asks for it or nobody knows whether it does.
  stdoutRefusal @17 :Text;  # Why there is no such text, for a person; empty: nothing is wrong.
  artifacts @18 :List(Artifact);  # That were kept, of one that has succeeded.
  artifactsUnkept @19 :Bool;  # Its executor ended before it kept any.
  cpuMs @20 :Int64 = -1;    # Of processors that it took, in milliseconds; -1: not known.
  maxMemory @21 :Int64;     # Bytes that its largest process had at a time, or, where there is a
                            # limit, all of them together; 0: not known, or not more than its
                            # executor itself.
  stdoutKept @22 :KeptText;  # In place of `stdoutText`, where that is large.
  outputsUnkept @23 :Bool;  # There were large outputs, and its executor ended before it kept them.
}

interface Task $Actor.actor("task") $Actor.group("run") $Actor.affinity("/") {
  # Key: `run/name`.
  begin @0 (spec :TaskSpec, enqueued :Bool) -> () $Actor.internal;
  # From the run, once an epoch. `failed_precondition` while it has not ended. `enqueued`: the run
  # has asked the pool for attempt 1.
  granted @1 (attempt :UInt32, executor :Text, incarnation :UInt64) -> () $Actor.internal;
  # Without effect: only pools of older versions send it.
  attemptStarted @2 (number :UInt32, startedAt :Int64, executor :Text) -> () $Actor.internal;
  # From the executor; it may be missing.
  attemptFinished @3 (report :AttemptReport) -> () $Actor.internal;
  # From the executor or the pool, at least once; only the first for the latest attempt counts.
  cancel @4 (reason :Text) -> () $Actor.internal;
  # From the run: it is wanted no more.
  describe @5 () -> (name :Text $Actor.json("id"), run :Text, state :TaskState, reason :Text,
                     command :List(Text), attempts :List(Attempt),
                     artifacts :List(Artifact), cachedFrom :Text, cacheMiss :Text, pool :Text,
                     labels :List(Label))
      $Actor.readOnly;
  # Itself and its attempts, the oldest first. `not_found` before its first `begin`. `cachedFrom`,
  # `cacheMiss`: as of `TaskStored`. `pool`: whose executors it goes to. `labels`: as of
  # `TaskStatus`, which its run knows.
  forget @6 () -> () $Actor.internal;
  # From the run, which is being removed.
  attemptSpec @7 (number :UInt32) -> (attempt :AttemptSpec) $Actor.readOnly $Actor.internal;
  # From the executor that the attempt was granted to: what to run. `failed_precondition` when it is
  # wanted no more; `not_found` before the first `begin`, which may be on its way.
  preempt @8 (attempt :UInt32, reason :Text) -> () $Actor.internal;
  # From the pool: the attempt is to make way. `reason`: for whom, for a person.
  attemptWaits @9 (number :UInt32, reason :Text) -> () $Actor.internal;
  # From the executor: why an attempt that was granted to it has not started yet, for a person; it
  # may be missing.
  lookUp @10 (attempt :UInt32) -> () $Actor.reentrant $Actor.internal;
  # From itself: the attempt takes a kept result, or begins.
  callActor @11 (attempt :UInt32) -> () $Actor.reentrant $Actor.internal;
  # From itself: the attempt is a call, which is to be made. 0: that of the latest is made now.
}

# --- pool ----------------------------------------------------------------------------------------

struct PoolState {
  # Root of a pool.
  tickets @0 :UInt64;  # Given out so far: the number of the latest.
  grants @1 :UInt64;   # Made so far: the number of the latest.
}

struct PoolEntry {
  # A task that wants a slot.
  task @0 :Text;       # Key of the task actor.
  attempt @1 :UInt32;  # Of that task.
  priority @2 :UInt8;  # What older versions go by: that of `wish`, or 255.
  shared @3 :Bool;     # Its run's tasks share a workspace: all go to one executor.
  wish @4 :Wish;       # Absent in what older ones ask.
}

struct PoolRun {
  # Record of the map "runs", by run: those whose tasks share a workspace.
  executor @0 :Text;  # That has the workspace; empty: it was lost, and the run's tasks wait for it.
}

struct PoolExecutor {
  # Record of the map "executors", by executor id.
  incarnation @0 :UInt64;  # Tells its lives apart: nanoseconds of the wall clock at its start.
  slots @1 :UInt32;        # Attempts that it runs at a time.
  lineage @2 :UInt64;      # Of its attempt table; 0: unknown.
  lost @3 :Bool;           # Its lease is over: what it had has ended.
  draining @4 :Bool;       # It takes nothing new.
  refusal @5 :Text;        # Why, for a person; empty: an operator drains it.
  resources @6 :List(Amount);  # That it offers.
  host @7 :Text;           # Where other machines reach it; empty: an older one.
  pools @8 :List(Text);    # That it belongs to, `*` for every one; empty: `default`.
}

struct PoolTicket {
  # Record of the map "tickets", by the ticket's number in 20 digits.
  task @0 :Text;       # Key of the task actor.
  attempt @1 :UInt32;  # Of that task.
  priority @2 :UInt8;  # As of `PoolEntry`.
  executor @3 :Text;   # Empty: it waits.
  queuedAt @4 :Int64 $Actor.time;  # When the pool got it.
  shared @5 :Bool;     # As of `PoolEntry`.
  wish @6 :Wish;       # As of `PoolEntry`.
  grantedAt @7 :Int64 $Actor.time;  # 0: it waits, or an older version granted it.
  promised @8 :Bool;       # The executor is not told of it before others have made way there.
  preemptedFor @9 :UInt64;  # The number of the ticket that it makes way for; 0: none.
}

struct PausedRun {
  # Record of the map "paused" of a pool, by run.
  since @0 :Int64 $Actor.time;
}

struct PoolProject {
  # Record of the map "projects", by project: those that were set, or have been granted something.
  settings @0 :ProjectSettings;    # As the project last told; absent: the defaults.
  usage @1 :Float64;               # See fair_share.h.
  usageAt @2 :Int64 $Actor.time;   # When it was that.
}

struct PoolShare {
  # What a project has of a pool.
  project @0 :Text $Actor.json("id");
  weight @1 :UInt32;        # As it was set.
  share @2 :Float64;        # Its part by weight of the projects that are listed.
  used @3 :Float64;         # Its part of what they have used lately.
  usage @4 :Float64;        # That, in seconds of a slot or processor, older ones counting less.
  running @5 :UInt32;       # Attempts that have a slot, or are next for one.
  waiting @6 :UInt32;       # Attempts without.
  queuedRuns @7 :UInt32;    # Runs of which some attempts wait and none has a slot.
  maxRunning @8 :UInt32;    # As it was set, as the next two.
  maxQueuedRuns @9 :UInt32;
  maxPriority @10 :Int64 = -1 $Actor.absent(-1);
  preemptsFrom @11 :Int64 = -1 $Actor.absent(-1);
  cpu @12 :Float64;         # Processors that those which are `running` have asked for.
  memory @13 :UInt64;       # Bytes, likewise.
  storage @14 :UInt64;      # Bytes that its runs hold on the disks of executors.
  maxCpu @15 :Float64 $Actor.absent(0);  # As of `ProjectSettings`, as the next two.
  maxMemory @16 :UInt64 $Actor.absent(0);
  maxStorage @17 :UInt64 $Actor.absent(0);
}

struct CpuUse {
  # Processors.
  used @0 :Float64;
  limit @1 :Float64 $Actor.absent(0);  # 0: none.
}

struct QuotaUse {
  # Bytes, or a number.
  used @0 :UInt64;
  limit @1 :UInt64 $Actor.absent(0);  # 0: none.
}

struct ProjectStorage {
  # What runs of a project hold on the disk of an executor.
  project @0 :Text;
  bytes @1 :UInt64;
}

struct PoolStorage {
  # Record of the map "storage" of a pool, by `EXECUTOR/PROJECT`.
  bytes @0 :UInt64;
}

struct PoolRefusal {
  # Record of the map "refused" of a pool, by the attempt's token: it asks for more than its project
  # may ever have. Its task is told so until it has taken it back.
  task @0 :Text;       # Key of the task actor.
  attempt @1 :UInt32;  # Of that task.
  text @2 :Text;       # Why, for a person.
}

struct PoolOffer {
  # What an executor offers to a pool.
  executor @0 :Text $Actor.json("id");
  slots @1 :UInt32;          # 0: it is away.
  granted @2 :UInt32;        # Attempts that have one, or are next for one.
  takesNothing @3 :Text;     # Why, for a person; empty: it does.
  resources @4 :List(Amount);
  free @5 :List(Amount);     # Of these, and of 0 too.
  pools @6 :List(Text);      # That it belongs to, `*` for every one.
}

struct PoolUse {
  # A pool: one that an executor belongs to, or that attempts wait for.
  name @0 :Text $Actor.json("id");
  executors @1 :UInt32;      # That belong to it and are there.
  slots @2 :UInt32;          # Of these; those of one that belongs to several count in each.
  taken @3 :UInt32;          # Of the slots, by attempts of any pool.
  waiting @4 :UInt32;        # Attempts that go to it and have none.
}

interface Pool $Actor.actor("pool") {
  # Key: "default"; one keeps what waits for all pools, since what projects may have, locks and
  # pauses hold over all of them.
  join @0 (executor :Text, incarnation :UInt64, slots :UInt32, lineage :UInt64, formerly :Text,
           draining :Bool, refusal :Text, resources :List(Amount), host :Text,
           pools :List(Text))
      -> (sameLineage :Bool) $Actor.internal;
  # From an executor, at its start. A newer incarnation ends everything granted to an older one as
  # lost; but if the attempt table has come down from the older one, the executor has reported
  # whatever had started, and the rest waits again, as the same attempts. `formerly`: the name of
  # that older life, which is another one's no more; empty: the same. `draining`, `refusal`,
  # `resources`, `host`, `pools`: as of `PoolExecutor`.
  enqueue @1 (task :Text, attempt :UInt32, priority :UInt8, shared :Bool, wish :Wish,
              inPlaceOf :UInt32)
      -> () $Actor.internal;
  # From a task: it wants a slot; see `PoolEntry`. Idempotent. `inPlaceOf`: the attempt that it
  # takes the place of in the queue, and that has ended; 0: none.
  release @2 (task :Text, attempt :UInt32) -> () $Actor.internal;
  # From a task: the attempt has ended. From an executor: the task wants it no more.
  status @3 () -> (slots :UInt32, running :UInt32, waiting :UInt32, executors :List(Text),
                   waitingReason :Text, projects :List(PoolShare), offers :List(PoolOffer),
                   preempting :UInt32, pools :List(PoolUse))
      $Actor.readOnly;
  # Slots of all executors, tickets with and without one. waitingReason: why those that wait do, for
  # a person; empty when none does. `projects`: those that want or have used something lately.
  # `preempting`: attempts that are being ended for others.
  leave @4 (executor :Text) -> () $Actor.internal;
  # From an executor, before it reports what its earlier life left: nothing is granted until it
  # joins.
  removeRun @5 (run :Text) -> () $Actor.internal;
  # From the run, which has ended: takes back what it may still have asked for, and has every
  # executor remove its files.
  cancel @6 (task :Text, attempt :UInt32) -> () $Actor.internal;
  # From a task: the attempt is to end. One that was granted is cancelled by its executor; of any
  # other the task is told here that it has ended.
  enqueueAll @7 (entries :List(PoolEntry)) -> () $Actor.internal;
  # From a run: its tasks want slots. Idempotent.
  renew @8 (executor :Text, incarnation :UInt64) -> (held :Bool) $Actor.readOnly $Actor.internal;
  # From an executor: its lease goes on. Not `held`: the pool does not count on this life of it.
  resumeRun @9 (run :Text) -> () $Actor.internal;
  # From a run that was told of the loss of its workspace: its tasks may go anywhere.
  loseMore @10 (executor :Text) -> () $Actor.internal;
  # From itself: the next of the runs that a lost executor had.
  drain @11 (executor :Text, undo :Bool, refusal :Text) -> () $Actor.internal;
  # From an executor that has joined: it takes nothing new, until that is undone. `refusal`: as of
  # `PoolExecutor`.
  reasons @12 (tasks :List(Text)) -> (reasons :List(Text)) $Actor.readOnly $Actor.internal;
  # Why each of these tasks waits for a slot, for a person, by their keys; empty: it does not. At
  # most 1,000 of them, the first.
  setProject @13 (project :Text, settings :ProjectSettings) -> () $Actor.internal;
  # From a project: what it was set to.
  queuedRuns @14 (project :Text) -> (runs :UInt32) $Actor.readOnly $Actor.internal;
  # As of `PoolShare`.
  pauseRun @15 (run :Text, paused :Bool) -> () $Actor.internal;
  # From a run: nothing is granted of it, until that is undone. Idempotent.
  storage @16 (executor :Text, whole :Bool, projects :List(ProjectStorage)) -> () $Actor.internal;
  # From an executor that has joined: what runs hold on its disk. `whole`: of all projects, and
  # those that are not listed hold nothing; else of those that are listed.
  usage @17 (project :Text)
      -> (name :Text $Actor.json("id"), cpu :CpuUse, memory :QuotaUse, storage :QuotaUse,
          running :QuotaUse, queuedRuns :QuotaUse)
      $Actor.readOnly $Actor.internal;
  # What a project, of that name, has of what it may have, as of `PoolShare`.
}

# --- executor ------------------------------------------------------------------------------------

struct AttemptSpec {
  # What a task tells its executor to run.
  task @0 :Text;            # Key of the task actor.
  number @1 :UInt32;        # Of the attempt.
  token @2 :Text;           # Names its process and files; the command gets it to fence its effects.
  argv @3 :List(Text);      # Program and arguments.
  environment @4 :List(Variable) $Actor.secret;  # Less what the attempt and executor decide.
  workspace @5 :Text;       # Relative to the `workspaces` directory.
  logs @6 :Text;            # Relative to the `logs` directory.
  timeoutNs @7 :Int64;      # 0: none.
  graceNs @8 :Int64;        # Between SIGTERM and SIGKILL.
  incarnation @9 :UInt64;   # Unused: only older versions set it.
  priority @10 :UInt8;      # Higher is started first.
  detach @11 :Bool;         # What leaves the group of the command may outlive it.
  secrets @12 :List(AttemptSecret);  # As of `TaskSpec`; the executor's member adds what is sealed.
  workdir @13 :Text;        # Where it starts: in the workspace, or absolute; empty: the workspace.
  inputs @14 :Text $Actor.secret;  # JSON that $MILLRACE_INPUTS names a file of; empty: none.
  trace @15 :TracePlace;    # Of the attempt; the command gets it as TRACEPARENT.
  heartbeatNs @16 :Int64;   # How long $MILLRACE_HEARTBEAT may go untouched; 0: there is none.
  successExitCodes @17 :List(UInt8);  # Of a command that has succeeded; empty: 0 alone.
  wantsStdout @18 :Bool;    # The report is to have its standard output.
  artifacts @19 :List(ArtifactWish);  # What is to be kept once it has succeeded.
  needsArtifacts @20 :List(ArtifactSource);  # What is put into its workspace before it starts.
  hosts @21 :Text;          # Of one of a gang: as of `Executor.grant`, and added by who gets that.
  memoryLimit @22 :UInt64;  # Bytes that its processes may have together; 0: as they like.
  project @23 :Text;        # That its files are counted for; empty: an older task has told it.
  largeInputs @24 :LargeInputs;  # In place of `inputs`, where some are large; absent: none is.
  keepsOutputs @25 :Bool;   # Large outputs are kept by the executor, and told by their digests.
  readOutputs @26 :List(Text);  # Of these, those whose text its run needs as well.
}

struct Grant {
  # What a pool tells an executor of an attempt that may start there.
  task @0 :Text;      # Key of the task actor, which knows what to run.
  attempt @1 :UInt32; # Of that task.
  priority @2 :UInt8; # What older versions go by: `level`, or 255.
  number @3 :UInt64;  # In the order of the pool's grants; higher than every one before.
  level @4 :UInt32;   # Higher is started first; 0: that of `priority`.
  gang @5 :UInt32;    # Of one of a gang: which of the call's `gangs`, from 1; 0: of none.
}

struct LogTime {
  # When a part of an output was written: it ends before byte `end`, where the next begins.
  end @0 :UInt64;
  at @1 :Int64 $Actor.time;
}

interface Executor $Actor.actor("executor") $Actor.internal $Actor.siloBound {
  # Key: the name of its silo. What runs is in its own records, what was granted is in the pool.
  start @0 (attempt :AttemptSpec) -> ();
  # Without effect: only older versions send it, to lives that are over.
  cancel @1 (token :Text) -> ();
  # From the pool: ends the attempt, which is reported as usual.
  removeRun @2 (run :Text) -> () $Actor.reentrant;
  # From the pool: deletes the logs and the workspace of a run that has ended.
  grant @3 (incarnation :UInt64, grants :List(Grant), gangs :List(Text)) -> ();
  # From the pool, in the order of its grants and at least once; what came before counts no more.
  # What is to run is asked of the task. `incarnation`: the life that they are for. `gangs`: of each
  # gang, where its ranks are: hosts as of `PoolExecutor`, with commas, by rank.
  log @4 (token :Text, errors :Bool, offset :UInt64, tail :Bool, tailLines :UInt32,
          waitMs :UInt32, limit :UInt32, wantsTimes :Bool)
      -> (bytes :Data, offset :UInt64, nextOffset :UInt64, dropped :UInt64, ended :Bool,
          times :List(LogTime)) $Actor.reentrant;
  # From a gateway: at most 64 KiB of the output, or of the errors, of an attempt, from `offset` or
  # from where its last `tailLines` lines begin (`tail`). Where there is nothing yet, waits up to
  # waitMs for more. `offset` is that of `bytes`, before which `dropped` bytes are gone. `ended`:
  # there is nothing after `nextOffset`, and nobody writes it any more. At most `limit` bytes, if
  # that is not 0. `times`: when they were written, if that is wanted; older versions do not say it.
  logChanged @5 (waiter :UInt64) -> () $Actor.reentrant;
  # From itself: what one of its waiters waits for.
  blob @6 (run :Text, digest :Text, offset :UInt64) -> (bytes :Data, size :UInt64)
      $Actor.reentrant;
  # From gateways and other executors: at most 1 MiB from `offset` of what it keeps for the run by
  # that SHA-256, in hex, and the size of the whole. `not_found`: it does not.
  keepFor @7 (run :Text, digest :Text, project :Text, single :Bool) -> () $Actor.reentrant;
  # From a task of the run, which takes over the result of another: the artifact with this digest is
  # kept for it too, and counted for its project. Idempotent. `not_found`: not all of it is there.
  # `single`: the digest is that of a large output.
}
