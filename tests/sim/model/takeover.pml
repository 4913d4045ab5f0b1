// SPDX-License-Identifier: MIT
/* Takeover and in-sync changes of one partition, for spin to look at every order of events.
 *
 * Three copies with intact disks, which crash. A primary appends, ships, commits, shrinks and grows
 * its set; any member may stand; a compare-and-set is applied at any later time, or never; a record
 * is read at any time. A message is one step from disk to disk; its acknowledgement stays with the
 * primary, so that it may count when the copy has long cut the entry again. Leases, which need
 * time, are the simulator's.
 *
 * An entry is the epoch of its primary, at its place: an epoch has one primary, which appends in
 * order. With -DBUG=n one rule is left out, and an assertion has to fail. */

#ifndef BUG
#define BUG 0
#endif
#define W4_WITHOUT_ONE 1     /* a commit waits for itself and one other, whoever that is */
#define S1_DROPS_AT_ONCE 2   /* who is to be removed stops counting when that is asked for */
#define S2_FORGETS 3         /* a change that has not happened when the record is read has failed */
#define S3_NOT_REQUIRED 4    /* who is to join does not count until it is known to be in */
#define C2_CUTS 5            /* who follows a new primary first cuts to what it knows committed */

#define COPIES 3
#ifndef ENTRIES
#define ENTRIES 1
#endif
#define EPOCHS 3
#ifndef VERSIONS
#define VERSIONS 3  /* the record changes twice */
#endif
#ifndef SET
#define SET 7  /* the bits of those who are in at first */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define BIT(c) (1 << (c))
#define IN(set, c) (((set) >> (c)) & 1)
#define AT(c, i) log[(c) * ENTRIES + (i)]

/* The store's record, and changes on their way to it: one a copy. */
byte version = 1, epoch = 1, primary = 0, set = SET;
byte ask_version[COPIES], ask_epoch[COPIES], ask_primary[COPIES], ask_set[COPIES];

/* Disks. */
byte log[COPIES * ENTRIES], promise[COPIES];

/* Memory: the record as it is known; the epoch led, 0 if none; the epoch stood for; who is in any
 * change asked for; what the others have acknowledged; how much is committed. */
byte known_version[COPIES], known_epoch[COPIES], known_primary[COPIES], known_set[COPIES];
byte leads[COPIES], stands[COPIES], asked[COPIES], prepared[COPIES * COPIES], committed[COPIES];

byte truth[ENTRIES];  /* what was committed first */
byte crashes;

inline length(owner, out) {
  out = 0;
  do
  :: out < ENTRIES && AT(owner, out) != 0 -> out++
  :: else -> break
  od
}

/* Whoever the record lists has everything that was committed. */
inline check_sets() {
  for (k : 0 .. COPIES - 1) {
    for (i : 0 .. ENTRIES - 1) {
      assert(!IN(set, k) || truth[i] == 0 || AT(k, i) == truth[i])
    }
  }
}

inline forget(whose) {
  leads[whose] = 0;
  asked[whose] = 0;
  for (k : 0 .. COPIES - 1) { prepared[whose * COPIES + k] = 0 }
}

inline append(by) {
  length(by, n);
  if
  :: n < ENTRIES -> AT(by, n) = leads[by]
  :: else
  fi
}

/* From the primary p to c: the first entry that differs, on the disk of c, and acknowledged. */
inline ship(from, to) {
  if
  :: promise[to] < leads[from] ->
     promise[to] = leads[from];
     if
     :: BUG == C2_CUTS -> for (i : committed[to] .. ENTRIES - 1) { AT(to, i) = 0 }
     :: else
     fi;
     forget(to); stands[to] = 0
  :: else
  fi;
  n = 0;
  do
  :: n < ENTRIES && AT(from, n) != 0 && AT(to, n) == AT(from, n) -> n++
  :: else -> break
  od;
  if
  :: n < ENTRIES && AT(from, n) != 0 ->
     AT(to, n) = AT(from, n);
     for (i : n + 1 .. ENTRIES - 1) { AT(to, i) = 0 };
     n++
  :: else
  fi;
  prepared[from * COPIES + to] = n;
  if  /* and it may be told what is committed */
  :: committed[to] < committed[from] && committed[from] <= n -> committed[to] = committed[from]
  :: skip
  fi;
  check_sets()
}

inline commit(by) {
  n = committed[by];
  m = known_set[by] | asked[by];
  if
  :: BUG == S1_DROPS_AT_ONCE && ask_version[by] == known_version[by] && ask_epoch[by] == leads[by] ->
     m = ask_set[by]
  :: else
  fi;
  if
  :: n < ENTRIES && AT(by, n) != 0 ->
     j = 0;  /* who lacks it */
     for (k : 0 .. COPIES - 1) {
       if
       :: k != by && IN(m, k) && prepared[by * COPIES + k] <= n -> j++
       :: else
       fi
     };
     if
     :: j == 0 || (BUG == W4_WITHOUT_ONE && j == 1) ->
        /* what an older epoch left is committed with the first entry of this one */
        assert(truth[n] == 0 || truth[n] == AT(by, n));
        truth[n] = AT(by, n);
        committed[by] = n + 1;
        check_sets()
     :: else
     fi
  :: else
  fi
}

inline ask(by, an_epoch, a_primary, a_set) {
  ask_version[by] = known_version[by];
  ask_epoch[by] = an_epoch;
  ask_primary[by] = a_primary;
  ask_set[by] = a_set
}

inline apply(by) {
  if
  :: ask_version[by] == version && version < VERSIONS ->
     version++;
     epoch = ask_epoch[by];
     primary = ask_primary[by];
     set = ask_set[by];
     check_sets()
  :: else
  fi;
  ask_version[by] = 0; ask_epoch[by] = 0; ask_primary[by] = 0; ask_set[by] = 0
}

inline learn(who) {
  if
  :: known_version[who] < version ->
     known_version[who] = version;
     known_epoch[who] = epoch;
     known_primary[who] = primary;
     known_set[who] = set;
     asked[who] = 0;
     if
     :: leads[who] != 0 && leads[who] == epoch && primary == who
     :: else ->
        forget(who);
        if
        :: primary == who && epoch >= promise[who] && stands[who] == epoch ->
           leads[who] = epoch;
           for (i : 0 .. ENTRIES - 1) { assert(truth[i] == 0 || AT(who, i) == truth[i]) }
        :: else
        fi;
        if
        :: promise[who] < epoch -> promise[who] = epoch
        :: else
        fi
     fi;
     stands[who] = 0
  :: else ->
     if
     :: BUG == S2_FORGETS -> asked[who] = 0
     :: else
     fi
  fi
}

inline crash(who) {
  if
  :: crashes < CRASHES ->
     crashes++;
     forget(who);
     stands[who] = 0;
     committed[who] = 0;
     known_version[who] = version;  /* it reads the record before anything else, and adopts it */
     known_epoch[who] = epoch;
     known_primary[who] = primary;
     known_set[who] = set;
     if
     :: promise[who] < epoch -> promise[who] = epoch
     :: else
     fi
  :: else
  fi
}

init {
  byte c, d, n, m, i, j, k;
  d_step {
    for (k : 0 .. COPIES - 1) {
      known_version[k] = version; known_epoch[k] = epoch;
      known_primary[k] = primary; known_set[k] = set; promise[k] = epoch
    }
    leads[0] = epoch
  };
end:
  do
  :: atomic {
       select(c : 0 .. COPIES - 1);
       if
       :: leads[c] != 0 ->
          if
          :: AT(c, ENTRIES - 1) == 0 -> d_step { append(c) }
          :: committed[c] < ENTRIES && AT(c, committed[c]) != 0 -> commit(c)
          :: select(d : 0 .. COPIES - 1);
             if
             :: d != c && promise[d] <= leads[c] -> ship(c, d)
             :: d != c && IN(known_set[c], d) ->  /* it is removed */
                ask(c, leads[c], c, known_set[c] & (7 - BIT(d)))
             :: d != c && !IN(known_set[c], d) ->  /* it joins, when it has everything */
                length(c, n);
                if
                :: prepared[c * COPIES + d] == n && n > 0 ->
                   ask(c, leads[c], c, known_set[c] | BIT(d));
                   if
                   :: BUG == S3_NOT_REQUIRED
                   :: else -> asked[c] = asked[c] | BIT(d)
                   fi
                :: else
                fi
             :: else
             fi
          fi
       :: leads[c] == 0 && IN(known_set[c], c) && known_epoch[c] < EPOCHS &&
          known_version[c] < VERSIONS && promise[c] <= known_epoch[c] ->
          m = known_set[c];
          if
          :: known_primary[c] != c ->
             m = m & (7 - BIT(known_primary[c]))
          :: else
          fi;
          stands[c] = known_epoch[c] + 1;
          ask(c, stands[c], c, m)
       :: ask_version[c] != 0 -> d_step { apply(c) }
       :: known_version[c] < version || (BUG == S2_FORGETS && asked[c] != 0) -> d_step { learn(c) }
       :: crashes < CRASHES -> d_step { crash(c) }
       :: else
       fi;
       c = 0; d = 0; n = 0; m = 0; i = 0; j = 0; k = 0
     }
  od
}
