# SPDX-License-Identifier: MIT
# The schedules of a pipeline: the actor that fires them, what it keeps and what the HTTP API shows.
#
# Append-only: never renumber. Times are nanoseconds since 1970-01-01T00:00:00Z, 0 for "none".
@0xb6d3f1087ac94e25;

using Cxx = import "/capnp/c++.capnp";
using Actor = import "/millrace/actor.capnp";
using Definition = import "/millrace/definition.capnp";
using Pipeline = import "/millrace/pipeline.capnp";
$Cxx.namespace("millrace::schemas");

enum FiringState {
  # What has become of a firing.
  waiting @0;    # Its run begins when others have ended.
  running @1;    # Its run has not ended.
  succeeded @2;  # Its run has, as the next three.
  failed @3;
  cancelled @4;
  timedOut @5;
  skipped @6;    # It was dropped, since others had not ended.
  missed @7;     # It was dropped, since nobody could see to it in time.
  refused @8;    # The pipeline could not begin its run.
}

struct Firing {
  # Record of the map "firings", by the schedule's name, `/` and the nominal time in 20 digits: the
  # latest of each schedule.
  scheduledAt @0 :Int64 $Actor.json("scheduled_at") $Actor.time;  # The nominal time.
  state @1 :FiringState;            # As its run last told.
  run @2 :Text;                     # Its id; empty: there is none.
  reason @3 :Text;                  # Why there is none, for a person; of `missed` also how many.
  at @4 :Int64 $Actor.time;         # When that was so.
}

struct ScheduleRecord {
  # Record of the map "schedules", by name.
  definition @0 :Definition.CompiledSchedule;  # Of the latest version.
  through @1 :Int64;        # Nominal times up to this have been seen to.
  paused @2 :Bool;          # Nothing fires.
  pauseReason @3 :Text;     # For a person; may be empty.
  fired @4 :UInt64;         # Runs that were begun.
  skipped @5 :UInt64;       # Firings that were dropped, since others had not ended.
  missed @6 :UInt64;        # Firings that nobody could see to; at most 10,000 of one outage count.
  refused @7 :UInt64;       # Runs that could not be begun.
  lastAt @8 :Int64;         # The nominal time of the latest run.
}

struct ScheduleRoot {
  # Root of the schedules of a pipeline.
  backfills @0 :UInt64;  # Made so far: the number of the latest.
}

struct PastRun {
  # Record of the map "past" (read by page), by the schedule's name, `/`, the nominal time in 20
  # digits, `/` and the run's id: every run of a firing that is kept.
  state @0 :Pipeline.RunState;  # As it last told.
}

enum Reprocess {
  # Which times of a backfill that have had a run get another one.
  none @0;    # None.
  failed @1;  # Those whose latest run has ended, and not well.
  all @2;     # All of them.
}

enum BackfillState {
  running @0;    # It starts runs, or waits for them.
  done @1;       # All have ended.
  cancelled @2;  # Somebody withdrew it, or its schedule has gone.
}

struct Backfill {
  # Record of the map "backfills", by the id in 20 digits: runs for times that have passed. The
  # latest are kept.
  id @0 :Text;                         # A number, of its own in the pipeline.
  schedule @1 :Text;                   # Whose times they are.
  state @2 :BackfillState;             # The last two are final.
  from @3 :Int64 $Actor.time;          # The first time that counts.
  to @4 :Int64 $Actor.time;            # The last one.
  maxParallel @5 :UInt32;              # Runs at a time.
  reprocess @6 :Reprocess;             # What becomes of times that have had a run.
  through @7 :Int64 $Actor.time;       # Nominal times up to this have been seen to.
  total @8 :UInt32;                    # Nominal times.
  running @9 :UInt32;                  # Runs that have not ended.
  succeeded @10 :UInt32;               # Runs that have, well.
  failed @11 :UInt32;                  # Runs that have, otherwise, or could not begin.
  passedOver @12 :UInt32;              # Times that have had a run.
  createdAt @13 :Int64 $Actor.time;    # When it was asked for.
  finishedAt @14 :Int64 $Actor.time;   # When it was over.
}

struct BackfillRequest {
  # Body of a request.
  from @0 :Int64 $Actor.time;  # The first time that counts.
  to @1 :Int64 $Actor.time;    # The last one; not in the future.
  maxParallel @2 :UInt32;      # Runs at a time, at most 100; 0: 1.
  reprocess @3 :Reprocess;     # What becomes of times that have had a run.
  dryRun @4 :Bool;             # Nothing is started.
}

struct WaitingFiring {
  # Record of the map "waiting", by the schedule's name, `/` and the nominal time in 20 digits.
  scheduledAt @0 :Int64;  # The nominal time.
  dueAt @1 :Int64;        # With its jitter.
  triggered @2 :Bool;     # Somebody asked for it: it begins also while the schedule is paused.
}

struct ScheduledRun {
  # Record of the map "active", by the schedule's name, `/` and the run's id: runs that have not
  # ended, also of schedules that have gone, for they may come back. And of the map "backfill_runs",
  # by the number of the backfill in 20 digits, `/` and the run's id.
  run @0 :Text;           # Its id.
  scheduledAt @1 :Int64;  # The nominal time.
}

struct ScheduleStatus {
  # What the API shows of a schedule.
  id @0 :Text;                          # Its name.
  pipeline @1 :Text;                    # Without the project.
  project @2 :Text;                     # Of the pipeline.
  definition @3 :Text $Actor.rawJson;   # As in a definition, in its canonical form.
  paused @4 :Bool;                      # Nothing fires.
  pauseReason @5 :Text;                 # Why; may be empty.
  nextAt @6 :Int64 $Actor.time;         # The next nominal time, also of one that is paused.
  lastAt @7 :Int64 $Actor.time;         # The nominal time of the latest run.
  running @8 :UInt32;                   # Of its runs, those that have not ended.
  waiting @9 :UInt32;                   # Firings that wait for these.
  fired @10 :UInt64;                    # Runs that were begun.
  skipped @11 :UInt64;                  # Dropped, since others had not ended.
  missed @12 :UInt64;                   # Dropped, since nobody could see to them in time.
  refused @13 :UInt64;                  # Runs that the pipeline could not begin.
  watch @14 :Bool;                      # It is that of a watch: its runs are checks.
}

struct SchedulePause {
  # Body of a request.
  reason @0 :Text;  # For people; may be empty.
}


struct ProjectSchedules {
  # Answer of the API: a page of the schedules of a project.
  schedules @0 :List(ScheduleStatus);  # By pipeline, then by name.
  nextCursor @1 :Text;                 # `cursor` of the next page; empty at the end.
}

struct NextFiring {
  # A nominal time to come.
  scheduledAt @0 :Int64 $Actor.time;  # In UTC.
  local @1 :Text;                     # In the schedule's zone, such as 2026-01-31T09:00:00+01:00.
  dueAt @2 :Int64 $Actor.time;        # With its jitter.
}

interface Schedule $Actor.actor("schedule") $Actor.internal {
  # Key: `project/pipeline`.
  apply @0 (schedules :List(Definition.CompiledSchedule)) -> ();
  # From the pipeline, with a new version: these are its schedules from now on.
  list @1 () -> (schedules :List(ScheduleStatus)) $Actor.readOnly;
  # All of them, by name.
  describe @2 (name :Text, next :UInt32, firings :UInt32)
      -> (schedule :ScheduleStatus, next :List(NextFiring), running :List(Text),
          firings :List(Firing))
      $Actor.readOnly;
  # One, with so many of the next nominal times (at most 1,000) and of the latest firings (at most
  # 100, the latest first). Errors of this and the next three: `not_found`.
  pause @3 (name :Text, reason :Text) -> (schedules :List(Text));
  # Nothing fires any more; what waits goes on waiting, unless somebody triggered it. An empty name:
  # all of them. Answers which.
  resume @4 (name :Text) -> (schedules :List(Text));
  # Firings begin again from now on, also where the clock was ahead when it last fired.
  trigger @5 (name :Text) -> (firing :Firing);
  # Fires now, whether it is paused or not; `overlap` counts.
  runTold @6 (run :Text, schedule :Text, scheduledAt :Int64, state :Pipeline.RunState,
              refusal :Text, backfill :Text) -> ();
  # From the run, at its end and when a retry takes it up again; from the pipeline, with the reason
  # why it could not begin it.
  runRemoved @7 (run :Text, schedule :Text, scheduledAt :Int64) -> ();
  # From the run: it is kept no more.
  backfill @8 (name :Text, request :BackfillRequest)
      -> (backfill :Backfill, times :List(NextFiring));
  # Starts one, and answers with the first 1,000 of the times that get a run. `not_found`;
  # `invalid_argument` for a range that is none, or has more than 10,000 times;
  # `failed_precondition` while 10 others go on, and for that of a watch. A dry run has no id.
  backfills @9 () -> (backfills :List(Backfill)) $Actor.readOnly;
  # Those that go on and the latest others, the latest first.
  cancelBackfill @10 (id :Text) -> (backfill :Backfill);
  # Starts nothing more, and cancels what runs of it. `not_found`; without effect on one that is
  # over.
  goOn @11 (backfill :Text) -> ();
  # From itself: the next of its times.
}
