# SPDX-License-Identifier: MIT
# The definition of a pipeline as it is compiled when it is applied: what a run works from. What
# people write and read is the JSON beside it.
#
# Append-only: never renumber. Texts may hold expressions where the reference of the language says
# so. Durations are nanoseconds. Values are JSON: they are as short as what was written, and a list
# of 100,000 of them is one text.
@0x8f2b6c0d417ea953;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("millrace::schemas");

struct CompiledPipeline {
  # A whole definition: names are unique, edges go to tasks that exist and in no circle.
  format @0 :UInt32;
  # 1, or 2 to 9 with what the one before would pass over. Grows when a reader that does not know
  # what is new would run something else.
  name @1 :Text;
  # In its project.
  description @2 :Text;
  # For people.
  labels @3 :List(CompiledEntry);
  # Words to find it by.
  params @4 :List(CompiledParam);
  # In written order.
  env @5 :List(CompiledEntry);
  # Of every task.
  timeout @6 :Int64;
  # Of a whole run; 0: none.
  grace @7 :Int64 = -1;
  # From the polite stop of a command to the forced one; -1: the server's.
  workspace @8 :Workspace;
  # Whether tasks share a directory.
  maxParallel @9 :UInt32;
  # Attempts of one run at a time; 0: no bound.
  tasks @10 :List(CompiledTask);
  # In written order.
  keepRuns @11 :UInt32;
  # Ended runs that are kept; 0: as many as the server says.
  keepAge @12 :Int64;
  # How long after its end a run is kept; 0: as long as the server says.
  secrets @13 :List(CompiledSecret);
  # Of every task. With these, or those of a task, the format is 2.
  schedules @14 :List(CompiledSchedule);
  # In written order.
  concurrency @15 :Concurrency;
  # How many runs go on at a time; absent: no bound.
  revertAfter @16 :UInt32;
  # Failed runs in a row after which the last good version comes back; 0: never.
  outputs @17 :List(CompiledEntry);
  # Of a run that has succeeded; may hold expressions over its tasks.
  triggers @18 :List(CompiledTrigger);
  # In written order.
  failFast @19 :Bool;
  # The first failed task ends the run.
  priority @20 :Int64 = -1;
  # Of tasks without one of their own; -1: the default.
  webhooks @21 :List(CompiledWebhook);
  # In written order.
  watches @22 :List(CompiledWatch);
  # In written order. With these the format is 8.
  pool @23 :Text;
  # Of tasks without one of their own; empty: the default. With one the format is 9.

  enum Workspace {
    run @0;   # One for all tasks of a run.
    task @1;  # One each.
  }
}

enum TriggerEvent {
  # What of another pipeline's run starts one of this.
  success @0;  # It has succeeded.
  failure @1;  # It has failed or timed out.
  end @2;      # Any end.
}

struct CompiledTrigger {
  # Another pipeline's runs that start this one.
  pipeline @0 :Text;
  # Its name, in the same project.
  on @1 :TriggerEvent;
  # Which of their ends.
  params @2 :Text;
  # JSON object; its texts may hold expressions over `trigger`; empty: none.
  onceFor @3 :Text;
  # May hold such expressions: an end with the value of the last start starts nothing; empty: each
  # does.
}

struct CompiledWebhook {
  # What comes from outside, by HTTP, and starts a run.
  name @0 :Text;
  # Unique in the pipeline.
  secret @1 :Text;
  # Of the project, that what comes is signed with; empty: a token is needed.
  when @2 :Text;
  # One expression over `trigger`, `true` or `false`; empty: true.
  params @3 :Text;
  # As of `CompiledTrigger`.
  onceFor @4 :Text;
  # As of `CompiledTrigger`.
}

struct CompiledWatch {
  # What the pipeline looks for by itself, and each new version of which starts a run.
  schedule @0 :CompiledSchedule;
  # When it looks. Its name is the watch's, and that of no other schedule of the pipeline.
  check @1 :CompiledPipeline;
  # What a run that looks is: a parameter `last_version`, and one task, whose output `versions` has
  # what it has found.
  all @2 :Bool;
  # The first check starts a run for each version that it finds, and not for the newest alone.
  params @3 :Text;
  # As of `CompiledTrigger`.
}

struct Concurrency {
  # Runs of one pipeline, in groups.
  group @0 :Text;
  # Which group a run is in; may hold expressions over parameters; empty: all are in one.
  limit @1 :UInt32;
  # Runs of a group that go on at a time; at least 1.
  onLimit @2 :OnLimit;
  # What becomes of one more.

  enum OnLimit {
    queue @0;         # It waits for its turn.
    cancelOldest @1;  # It takes the place of the one that began first, which is cancelled.
    reject @2;        # It is refused.
  }
}

struct CompiledSchedule {
  # When the pipeline runs by itself. Instants are nanoseconds since 1970-01-01T00:00:00Z.
  name @0 :Text;
  # Unique in the pipeline.
  cron @1 :Text;
  # Empty: `every` counts.
  every @2 :Int64;
  # 0: `cron` counts.
  timeZone @3 :Text;
  # Of `cron`; an IANA name.
  start @4 :Int64;
  # The first instant that may be due; only with `hasStart`.
  hasStart @5 :Bool;
  # There is one.
  end @6 :Int64;
  # The last instant that may be due; only with `hasEnd`.
  hasEnd @7 :Bool;
  # There is one.
  jitter @8 :Int64;
  # The most that chance may delay a firing.
  overlap @9 :Overlap;
  # What becomes of a firing while earlier runs go on.
  catchup @10 :Catchup;
  # What becomes of firings that nobody could see to.
  catchupWindow @11 :Int64;
  # What is later is not made up for; 0: everything is.
  params @12 :Text;
  # JSON object; empty: none.
  paused @13 :Bool;
  # It begins paused.
  watch @14 :Bool;
  # It is that of a watch: its firings are checks.

  enum Overlap {
    allow @0;    # It starts beside them.
    skip @1;     # It is dropped.
    queue @2;    # It waits for their end.
    replace @3;  # They are cancelled first.
  }

  enum Catchup {
    none @0;  # They are dropped.
    last @1;  # The latest is made up for.
    all @2;   # All are.
  }
}

enum SecretSource {
  file @0;         # In the directory that the operator of the executor's silo has named.
  environment @1;  # In that silo's environment.
  project @2;      # In the project of the pipeline, sealed.
  given @3;        # Nowhere: it comes along, of no definition.
}

struct CompiledSecret {
  # Of a map, in order of the variables.
  variable @0 :Text;
  # Unique in the map.
  from @1 :SecretSource;
  # Where the value is.
  key @2 :Text;
  # What it is called there.
}

struct CompiledEntry {
  # Of a map, in order of the keys.
  key @0 :Text;
  # Unique in the map.
  value @1 :Text;
  # Any text.
}

struct CompiledAmount {
  # Of a resource.
  name @0 :Text;
  # `cpu`, in thousandths of a processor; `memory`, in bytes; others in whole ones.
  amount @1 :UInt64;
  # Above 0.
}

struct CompiledLock {
  # What so many attempts of a project at most hold at a time.
  name @0 :Text;
  # In the project; may hold expressions.
  limit @1 :UInt32;
  # Of a semaphore; 0: a mutex, which one holds.
}

struct CompiledOutput {
  # What a command writes for others to read.
  name @0 :Text;
  # Unique in the task.
  description @1 :Text;
  # For people.
  default @2 :Text;
  # What it is when it is not written; null: it must be.
}

struct CompiledArtifact {
  # Files that a command leaves for others.
  name @0 :Text;
  # Unique in the task.
  paths @1 :List(Text);
  # Patterns below the workspace; may hold expressions.
  maxSize @2 :UInt64;
  # Of all its files together, in bytes.
  optional @3 :Bool;
  # There need not be any.
}

struct CompiledParam {
  # A parameter of the pipeline.
  name @0 :Text;
  # Unique.
  type @1 :Type;
  # Of its values.
  default @2 :Text;
  # JSON; empty: none.
  choices @3 :Text;
  # JSON array; empty: every value.
  description @4 :Text;
  # For people.
  required @5 :Bool;
  # A run must give it.

  enum Type {
    text @0;      # `string`
    integer @1;   # `int`
    floating @2;  # `float`
    boolean @3;   # `bool`
    list @4;      # Of scalars.
    map @5;       # To scalars.
  }
}

struct CompiledTask {
  # One unit of a run, defaults applied.
  name @0 :Text;
  # Unique in the pipeline.
  description @1 :Text;
  # For people.
  step @2 :Step;
  # What it does.
  needs @3 :List(Edge);
  # What comes before it.
  runOn @4 :RunOn;
  # Which ends of these let it start.
  when @5 :Text;
  # An expression, `true`, `false`, or empty for no condition.
  env @6 :List(CompiledEntry);
  # Over the pipeline's.
  timeout @7 :Int64;
  # Of one attempt; 0: none.
  grace @8 :Int64 = -1;
  # As the pipeline's; -1: that one.
  retry @9 :Retry;
  # How often it is tried.
  fanOut @10 :FanOut;
  # Its instances; absent: one.
  outputs @11 :List(CompiledOutput);
  # What it promises to write.
  priority @12 :UInt8 = 50;
  # Of what an older version applied, and what an older one goes by: at most 255.
  detach @13 :Bool;
  # Whether what leaves the group of its command may outlive it.
  allowFailures @14 :UInt32;
  # Failed instances that leave it as good as succeeded.
  allowPercentage @15 :Bool;
  # The number is a percentage of all instances.
  secrets @16 :List(CompiledSecret);
  # Over the pipeline's.
  hook @17 :Hook;
  # The ends that it follows, of `hookOf`. Its needs come from these two.
  hookOf @18 :Int32 = -1;
  # Position of the task that it is a hook of; -1: the run's.
  level @19 :Int64 = -1;
  # Its priority, 0 to 1,000,000,000; higher is served first. -1: that of `priority`, or if this is
  # 50 none of its own.
  resources @20 :List(CompiledAmount);
  # What an attempt takes of its executor besides a slot; by name.
  locks @21 :List(CompiledLock);
  # What an attempt holds. With these or `resources` the format is 4.
  startTimeout @22 :TimeLimit;
  # How long an attempt may wait for its slot; absent: for ever.
  heartbeat @23 :TimeLimit;
  # How long its command may give no sign of life; absent: for ever.
  timeoutText @24 :Text;
  # As `text` of a `TimeLimit`, in place of `timeout`; empty: that counts.
  successExitCodes @25 :List(UInt8);
  # Of a command that has succeeded; empty: 0 alone.
  stdoutOutput @26 :Text;
  # The one of `outputs` that is what the command writes to standard output; empty: none is. With
  # one of these five, or another command in `retry`, the format is 5.
  preemptible @27 :Preemptible;
  # What becomes of it where it makes way for one of higher priority. If it says so the format is 6.
  artifacts @28 :List(CompiledArtifact);
  # Files that it leaves for others. With these the format is 6.
  cache @29 :Cache;
  # Its result is kept, and used where it would come out again; absent: it is not. With this the
  # format is 7.
  ranks @30 :UInt32;
  # It is a gang: so many instances, which start together; 0: it is none. With this the format is 7.
  memoryLimit @31 :UInt64;
  # Bytes that an attempt may have of memory; 0: as it likes. With this the format is 8.
  pool @32 :Text;
  # Whose executors it may run on; empty: that of the pipeline. With one the format is 9.
  labels @33 :List(CompiledEntry);
  # Words to find it by. With these, or with a call of an actor, the format is 10.

  enum RunOn {
    success @0;    # All succeeded.
    failure @1;    # One failed.
    always @2;     # Whatever their ends.
    any @3;        # One succeeded.
    noFailure @4;  # Each succeeded or was skipped.
  }

  enum Hook {
    none @0;       # It is no hook.
    onSuccess @1;  # What it follows has succeeded.
    onFailure @2;  # It has failed.
    onCancel @3;   # It was cancelled.
    finally @4;    # Whatever its end.
  }
}

enum Preemptible {
  # What becomes of an attempt that is to make way for one of higher priority.
  byDefault @0;  # Nothing is said.
  requeue @1;    # It ends, and its task waits again in its old place.
  cancel @2;     # It ends, and so does its task, as cancelled.
  never @3;      # It does not make way.
}

struct Cache {
  # When a result is used again.
  key @0 :Text;
  # It is the same where this is; may hold expressions; empty: where all that its command gets is.
  ttl @1 :Int64;
  # How long it is used after it was made; 0: as long as it is kept.
}

struct TimeLimit {
  # How long something may take.
  length @0 :Int64;
  # 0: `text` says.
  text @1 :Text;
  # Holds expressions; filled in, it is a duration as people write them.
}

struct Edge {
  # From a task to one that it needs.
  task @0 :UInt32;
  # Position of the needed one.
  instances @1 :Instances;
  # What of it is waited for.
  takesArtifacts @2 :Bool;
  # Its artifacts are put into the workspace.
  artifact @3 :Text;
  # This one alone; empty: all.

  enum Instances {
    all @0;   # Every instance: a join.
    same @1;  # The instance of the same index, where both fan out alike.
  }
}

struct Step {
  # What a task does. A reader that does not know the kind refuses the definition.
  union {
    process @0 :ProcessStep;
    # A command of the executor's machine.
    container @1 :ContainerStep;
    # A command in an image. Not made by this version.
    actor @2 :ActorStep;
    # A call of an actor.
    child @3 :ChildStep;
    # A run of another pipeline.
    approval @4 :ApprovalStep;
    # A person's word.
    callback @5 :CallbackStep;
    # A foreign system's word.
  }
}

struct ProcessStep {
  # Either text for a shell, or a program and its arguments.
  shell @0 :Text;
  # Empty when `command` is not; holds no expressions.
  command @1 :List(Text);
  # Its texts may hold expressions.
  interpreter @2 :List(Text);
  # Of the shell text, which comes after these; empty: the default.
  workdir @3 :Text;
  # Where the command starts; may hold expressions; empty: the workspace.
  inputs @4 :Text;
  # JSON object of what the command gets in a file; its texts may hold expressions; empty: none.
}

struct ContainerStep {
  # A command in an image.
  image @0 :Text;
  # As a registry names it.
  process @1 :ProcessStep;
  # What to run in it; empty: what the image says.
}

struct ActorStep {
  # A call of a method.
  type @0 :Text;
  # Of the actor.
  key @1 :Text;
  # Of the actor; may hold expressions.
  method @2 :Text;
  # By its name.
  params @3 :Text;
  # JSON object; its texts may hold expressions.
}

struct ChildStep {
  # A run of a pipeline of the same project.
  pipeline @0 :Text;
  # Its name, which may be that of this one.
  params @1 :Text;
  # JSON object; its texts may hold expressions.
}

struct ApprovalStep {
  # Waits until a person agrees.
  prompt @0 :Text;
  # What the person is asked; may hold expressions.
}

struct CallbackStep {
  # Waits until a foreign system says that something has ended.
  prompt @0 :Text;
  # What that is, for a person; may hold expressions; may be empty.
}

struct Retry {
  # What becomes of a failed attempt.
  maxAttempts @0 :UInt32 = 1;
  # The first included.
  delay @1 :Int64;
  # Before the second attempt.
  backoff @2 :Float64;
  # From one delay to the next.
  maxDelay @3 :Int64;
  # The most that a delay grows to.
  jitter @4 :Float64;
  # The part of a delay that is left to chance.
  giveUpWhenLost @5 :Bool;
  # Ends as `lost` instead of starting again.
  onExit @6 :List(UInt8);
  # Only after one of these exit codes; empty: after any.
  notOnExit @7 :List(UInt8);
  # Never after one of these.
  command @8 :ProcessStep;
  # What attempts after the first run, without directory and inputs; absent: the same as that.
}

struct FanOut {
  # The instances of a task.
  union {
    forEach @0 :FanValues;
    # One for each value.
    matrix @1 :Matrix;
    # One for each combination.
  }
  maxParallel @2 :UInt32;
  # Instances at a time; 0: no bound.
  failFast @3 :Bool = true;
  # A failed one cancels the others.
  onEmpty @4 :OnEmpty;
  # What one over an empty list is.

  enum OnEmpty {
    succeed @0;  # Done.
    skip @1;     # As by a condition that is false.
    fail @2;     # There should have been something.
  }
}

struct FanValues {
  # Values to fan out over.
  union {
    listed @0 :Text;
    # JSON array.
    expression @1 :Text;
    # Its value is the list, known at run time.
  }
}

struct Matrix {
  # The product of the axes, without `exclude`, with `include`.
  axes @0 :List(Axis);
  # In written order; the last one varies fastest.
  include @1 :Text;
  # JSON array of objects, cells by axis; empty: none.
  exclude @2 :Text;
  # The same.

  struct Axis {
    name @0 :Text;
    # Unique.
    values @1 :FanValues;
    # Of its cells.
  }
}
