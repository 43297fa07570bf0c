/* single.pml - a lane with a single writer that reserves and commits by plain stores (libclient/ring_single.h).
 *
 * The only model with a weak memory order: what the writer stores enters its processor's buffer and is seen by others
 * one store after the other, in order, each at any time later (x86; DEPTH stores at most are under way). Its own fence
 * and its locked instructions empty the buffer first, and so does whatever takes it from its processor: to be killed or
 * stopped, and the kernel's barrier, which is run by who closes the lane (Y1) or is about to sleep (Y2). Loads are done
 * where they stand; for a load that overtakes stores before it, that is the same thing seen from the other side. All
 * others are sequentially consistent. The writer reads nothing that it may have in its buffer but W, whose position it
 * knows.
 *
 *   Writer   writes records in the old generation, finds it closed or sealed, follows; killed, the slot's next owner goes
 *            on. Being stopped needs no word of its own: nobody waits for it
 *   Memory   takes a store out of the buffer
 *   Daemon   repairs after a death; with -DMOVES moves the ring once, at any time; killed between any two steps, its
 *            successor goes on
 *   Reader   lossless: polls, sleeps, follows by the list
 *   Killer   kills the writer (KILLS) and the daemon (RESTARTS)
 *
 * The old generation never wraps and has room for all; what happens in the new one is ring.pml's matter: a record there
 * is one step. With -DJOINS another model stands in place of this: a ring of SIZE units whose writer raises the limit
 * (Z7) while lossless readers join, at "now" (JOINS & 1) or as far back as they can (JOINS & 2).
 *
 * Sizes:   -DRECORDS -DUNITS=1|2 (at most, of a record) -DABORTS (any of them may be given up by its writer) -DKILLS
 *          -DMOVES=0|1 -DRESTARTS -DDEPTH -DFENCED (the kernel runs no barriers for this writer: it has its own)
 *          -DJOINS -DSIZE
 * Rules left out, one at a time: -DBUG_NO_Y1, BUG_Y1_FIRST, BUG_NO_Y2, BUG_Y2_FIRST, BUG_NO_Z4, BUG_NO_Z6,
 *          BUG_NO_FENCE_Z4, BUG_NO_FENCE_Z6, BUG_NO_C4, BUG_NO_CLAIM, BUG_NO_ENDS_BEFORE, BUG_WHOLE_WORD,
 *          BUG_POSITION_FIRST, BUG_BEGIN_LATE, BUG_LENGTH_LATE, BUG_STAMP_EARLY, BUG_STAMP_FIRST, BUG_OUT_EARLY, BUG_NO_PLACE_CASE,
 *          BUG_BEYOND_END, BUG_NO_COUNT, BUG_DONE_QUIETLY, BUG_NO_Z7
 */
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef UNITS
#define UNITS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef MOVES
#define MOVES 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef DEPTH
#define DEPTH 10
#endif
#ifndef SIZE
#define SIZE 2
#endif
#ifndef JOINS
#define JOINS 0
#endif

#define PLACES (RECORDS * UNITS)
#define NOWHERE 255            /* a `begin` that is not exact yet */

/* ---- the lane ---------------------------------------------------------------------------------------------------- */

byte position;                 /* W, in parts that are stored by themselves, and loaded and swapped together: P, */
bit writing;                    /* the writer's bit, */
bit sealed;                    /* and the seal */
bit closing;                   /* of limit */
bit announced, sleeping;       /* waits.data, and the reader inside the system call */

byte begin = NOWHERE, length, sequence;

typedef header {
    bit stamp;
    bit padding;
    bit written;               /* payload and header */
    unsigned units : 2;
    unsigned number : 3;
};
header data[PLACES + 1];       /* one more, where nothing ever is */

hidden byte ghost;
hidden byte opened_is_final, ground_is_free, floor_is_unread;

/* ---- the writer's buffer ----------------------------------------------------------------------------------------- */

mtype = { LENGTH, BEGIN, ACTIVE, POSITION, PADDING, PAYLOAD, STAMP, SEQUENCE };
chan buffer = [DEPTH] of { mtype, byte };
hidden mtype what;
hidden byte value;

/* Everything below the position has its stamp when nobody is active: N2 tells readers so. */
inline check_opening()
{
    if
    :: !writing && !sealed ->
        ghost = 0;
        do
        :: ghost < position && data[ghost].stamp && data[ghost].units > 0 -> ghost = ghost + data[ghost].units
        :: else -> break
        od;
        opened_is_final = (ghost == position);
        assert(opened_is_final)
    :: else
    fi
}

/* A header goes by its place, number and units. */
#define HEADER(place, number, units) ((place) * 32 + (number) * 2 + (units) - 1)

#if JOINS == 0
inline arrive()
{
    buffer?what, value;
    if
    :: what == LENGTH -> length = value
    :: what == BEGIN -> begin = value
    :: what == ACTIVE ->
        writing = value;
#ifdef BUG_WHOLE_WORD
        sealed = 0;
#endif
        check_opening()
    :: what == POSITION ->
        position = value;
#ifdef BUG_WHOLE_WORD
        sealed = 0;
#endif
        check_opening()
    :: what == PAYLOAD ->
        data[value / 32].written = 1;
        data[value / 32].number = (value / 2) % 16;
        data[value / 32].units = value % 2 + 1
    :: what == PADDING -> data[value].padding = 1
    :: what == STAMP -> data[value].stamp = 1
    :: what == SEQUENCE -> sequence = value
    fi
}
#else
byte limit = SIZE, joins;      /* one word, swapped together */
bit lossless;                  /* the reader's bit of control.lossless */
byte cursor;
byte records[SIZE];            /* position + 1 of what lies there */
bit joined, writer_done;       /* ghosts: it knows where it starts, */
byte held;                     /* and what it has not given back begins here */
hidden byte record_is_there;

inline store_record(a_position)
{
    ground_is_free = (!joined || a_position < held + SIZE);
    assert(ground_is_free);
    records[a_position % SIZE] = a_position + 1
}

inline arrive()
{
    buffer?what, value;
    if
    :: what == POSITION -> position = value
    :: what == STAMP -> store_record(value)
    fi
}
#endif

active proctype Memory()
{
end:
    do
    :: d_step { nempty(buffer) -> arrive(); what = 0; value = 0 }
    od
}

/* Within a step of the caller. */
inline drain()
{
    do
    :: nempty(buffer) -> arrive()
    :: empty(buffer) -> break
    od;
    what = 0;
    value = 0
}

/* The writer's own. */
inline fence()
{
    d_step { drain() }
}

/* The kernel's, for somebody else. */
inline membarrier()
{
#ifndef FENCED
    d_step { drain() }
#else
    skip
#endif
}

/* What stands between a store and a look at what others do. */
inline ring_single_barrier()
{
#ifdef FENCED
    fence()
#else
    skip
#endif
}

#if JOINS == 0

/* ---- moves and what is known of them ----------------------------------------------------------------------------- */

mtype = { NO, BEGUN, DONE };
mtype moving = NO;             /* control.moving */
mtype = { NONE, COMMITTED, ABANDONED };
mtype verdict = NONE;
byte journal_end, journal_members; /* lane.move, the daemon's */
byte gone_from, gone_to;       /* the list: of one writer there is at most one */

byte new_begin, new_sequence;
byte new_count;                /* records in the new generation: */
byte new_numbers[RECORDS];

bit dead, killed, daemon_killed, finished;
byte kills, restarts;
byte owed;                     /* records that their writer knows to be committed */
byte at;                       /* how far the reader has come */
bit reader_done;
hidden byte record_is_next, record_is_whole, counts_add_up, nothing_is_lost, old_is_whole, slot_makes_sense, list_is_sane,
    no_damage_is_seen;

#define LAST_SETTLED (finished && !killed && !dead)
#if MOVES
#define ALL_DONE (LAST_SETTLED && moving == DONE)
#define ALL_READ false         /* nobody sleeps for good: the move wakes him */
#else
#define ALL_DONE (LAST_SETTLED && len(buffer) == 0)
#define ALL_READ (ALL_DONE && at == position)
#endif

/* ---- the writer -------------------------------------------------------------------------------------------------- */

inline wake_all()
{
    d_step { announced = 0; sleeping = 0 }
}

/* W1, Z1, Z2, Z3, Z4. */
inline ring_single_take()
{
#ifndef BUG_LENGTH_LATE
    buffer!LENGTH, units;                       /* W1 */
#endif
#ifndef BUG_BEGIN_LATE
    buffer!BEGIN, place;                        /* Z1 */
#endif
#ifndef BUG_POSITION_FIRST
    buffer!ACTIVE, 1;                           /* Z2 */
#endif
#ifdef BUG_STAMP_EARLY
    store_record();
#endif
    buffer!POSITION, place + units;             /* Z3 */
#ifdef BUG_POSITION_FIRST
    buffer!ACTIVE, 1;
#endif
#ifdef BUG_LENGTH_LATE
    buffer!LENGTH, units;
#endif
#ifdef BUG_BEGIN_LATE
    buffer!BEGIN, place;
#endif
    ring_single_barrier();
#ifndef BUG_NO_Z4
    if
    :: !closing                                 /* Z4 */
    :: closing ->                               /* ring_single_closing */
#ifndef BUG_NO_FENCE_Z4
        fence();
#endif
        if
        :: !sealed
        :: sealed -> buffer!ACTIVE, 0; goto follow
        fi
    fi
#endif
}

inline store_record()
{
#ifdef BUG_STAMP_FIRST
    buffer!STAMP, place;
#endif
    buffer!PAYLOAD, HEADER(place, next, units);
    if
    :: abort -> buffer!PADDING, place
    :: !abort
    fi;
#ifndef BUG_STAMP_FIRST
    buffer!STAMP, place                         /* C1 */
#endif
}

#ifndef BUG_NO_ENDS_BEFORE
#define ENDS_BEFORE (journal_end <= place)
#else
#define ENDS_BEFORE false
#endif

/* C2, Z5, C4, Z6, and what the seal makes of it. */
inline ring_single_finish()
{
    if
    :: !abort -> next++; buffer!SEQUENCE, next  /* C2 */
    :: abort
    fi;
#ifndef BUG_OUT_EARLY
    buffer!ACTIVE, 0;                           /* Z5 */
#endif
    ring_single_barrier();
#ifndef BUG_NO_C4
    look = announced;                           /* C4 */
#endif
#ifndef BUG_NO_Z6
    look = look || closing;                     /* Z6 */
#endif
    if
    :: look ->                                  /* ring_single_finish_slow */
#ifndef BUG_NO_FENCE_Z6
        fence();
#endif
        was_sealed = sealed;
        wake_all()
    :: !look
    fi;
    if
    :: d_step { !was_sealed || abort -> owed = owed + !abort; place = place + units; forget_grant() }
#ifndef BUG_NO_CLAIM
    :: was_sealed && !abort ->
        if
        :: d_step {                             /* ring_claim with ends_before, X5 */
                !ENDS_BEFORE && verdict != ABANDONED ->
                drain();
                verdict = COMMITTED;
                owed++;
                place = place + units;
                forget_grant()
            }
        :: atomic { ENDS_BEFORE || verdict == ABANDONED -> next--; goto follow } /* append_anew */
        fi
#else
    :: d_step { was_sealed && !abort -> owed++; place = place + units; forget_grant() }
#endif
    fi
}

inline forget_grant()
{
    units = 0;
    abort = 0;
    look = 0;
    was_sealed = 0
}

proctype Writer()
{
    byte made, next, units, place;
    bit abort, look, was_sealed;

attach:
    {
        atomic {                                /* of the owner before nothing is under way any more */
            next = (moving == DONE -> new_sequence : sequence);
            place = (moving == DONE -> 0 : position)
        }
        do
        :: atomic {                             /* W0 */
                made < RECORDS && moving != DONE ->
                made++;
                if
                :: closing -> goto follow
                :: !closing -> units = 1
#if UNITS == 2
                :: !closing -> units = 2
#endif
                fi;
#ifdef ABORTS
                if
                :: abort = 1
                :: true
                fi
#endif
            }
            ring_single_take();
#ifndef BUG_STAMP_EARLY
#ifdef BUG_OUT_EARLY
            buffer!ACTIVE, 0;
#endif
            store_record();
#endif
            ring_single_finish()
        :: d_step { made < RECORDS && moving == DONE -> made++ }
follow:
            atomic {                            /* writer_follow, and the record there: append_anew, or the void one */
                moving == DONE ->
                d_step {
                    drain();
                    if
                    :: !abort ->
                        new_numbers[new_count] = next;
                        new_count++;
                        next++;
                        owed++
                    :: else
                    fi;
                    new_sequence = next;
                    place = 0;
                    forget_grant()
                }
            }
        :: d_step { made == RECORDS -> drain(); finished = 1; next = 0; place = 0 } goto over
        od
    } unless {
        d_step { killed -> killed = 0; dead = 1; drain(); next = 0; place = 0; forget_grant() }
    };
    !dead;
    goto attach;
over:
    skip
}

proctype Killer()
{
    do
    :: d_step { kills < KILLS && !finished && !killed && !dead -> killed = 1; kills++ }
    :: d_step { restarts < RESTARTS && !daemon_killed && !reader_done -> daemon_killed = 1; restarts++ }
    :: ALL_DONE -> break
    od
}

/* ---- the daemon: repair ------------------------------------------------------------------------------------------ */

/* Of a dead writer nothing is under way: what it left can be looked at in one step. */
inline ring_repair()
{
    d_step {
        was_writing = writing;
        place = begin;
        units = length;
        keep = 0;
        if
#ifndef BUG_NO_PLACE_CASE
        :: was_writing && place == position -> units = 0 /* died between Z2 and Z3: nothing is reserved */
#endif
        :: else ->
            slot_makes_sense = (!was_writing || (place != NOWHERE && units > 0 && place + units <= position));
            assert(slot_makes_sense);
            keep = (was_writing && data[place].stamp && !data[place].padding)
        fi
    }
    if
    :: was_writing && units > 0 && keep ->
        d_step {
            slot_makes_sense = (data[place].units == units &&
                                (sequence == data[place].number || sequence == data[place].number + 1));
            assert(slot_makes_sense);
#ifndef BUG_NO_COUNT
            sequence = data[place].number + 1   /* E5 */
#endif
        }
    :: was_writing && units > 0 && !keep ->
        d_step { data[place].units = units; data[place].padding = 1 }
        data[place].stamp = 1                   /* E4 */
    :: else
    fi;
    d_step { writing = 0; check_opening() }      /* E6 */
    wake_all();
    d_step { forget_repair() }
}

inline forget_repair()
{
    was_writing = 0;
    place = 0;
    units = 0;
    keep = 0
}

/* ---- the daemon: move -------------------------------------------------------------------------------------------- */

inline ring_seal()
{
#ifdef BUG_Y1_FIRST
    membarrier();
#endif
    closing = 1;                                /* ring_close */
#if !defined(BUG_NO_Y1) && !defined(BUG_Y1_FIRST)
    membarrier();                               /* Y1 */
#endif
    do
    :: d_step { !was_sealed -> end = position; members = writing; was_sealed = sealed }
        if
        :: d_step { was_sealed -> end = journal_end; members = journal_members }
        :: d_step { !was_sealed -> journal_end = end; journal_members = members }
            d_step {                            /* X3 */
                if
                :: position == end && writing == members && !sealed -> sealed = 1; was_sealed = 1
                :: else
                fi
            }
        fi
    :: was_sealed -> break
    od
}

/* grant_of. */
#ifndef BUG_BEYOND_END
#define FITS (begin != NOWHERE && begin + length <= end)
#else
#define FITS (begin != NOWHERE)
#endif

inline settle_member(last)
{
    stamped = (FITS && data[begin].stamp);      /* X4 */
    d_step {
        if
        :: verdict == NONE && stamped -> verdict = COMMITTED /* X5 */
        :: verdict == NONE && !stamped && last -> verdict = ABANDONED
        :: else
        fi;
        stamped = 0
    }
}

/* count_member, make_list. Who had not said where it is is a writer between Z2 and Z3: its grant begins at the end. */
inline settle_accounts()
{
    d_step {
        if
        :: members && FITS && data[begin].stamp && !data[begin].padding &&
           (counted == data[begin].number || counted == data[begin].number + 1) ->
            counted = data[begin].number + (verdict == COMMITTED)
        :: else
        fi;
        if
        :: members && verdict != COMMITTED && FITS -> gone_from = begin; gone_to = begin + length
        :: else -> gone_from = 0; gone_to = 0
        fi;
        list_is_sane = (gone_to <= end);        /* readers take nothing else */
        assert(list_is_sane)
    }
}

inline forget_move()
{
    end = 0;
    members = 0;
    counted = 0;
    was_sealed = 0;
    stamped = 0
}

proctype Daemon()
{
    byte place, units, end, counted;
    bit was_writing, keep, members, was_sealed, stamped;

begin_anew:
    {
        if
        :: moving == DONE ->                    /* finish_older: a predecessor may not have come to that */
#ifndef BUG_DONE_QUIETLY
            wake_all()
#else
            skip
#endif
        :: moving != DONE
        fi;
        do
        :: atomic { dead && moving == NO -> skip }
            ring_repair();
            dead = 0
#if MOVES
        :: atomic { moving != DONE -> moving = BEGUN } /* X1 */
            ring_seal();
            if
            :: members -> settle_member(false)
            :: !members
            fi;
            counted = sequence;                 /* X7 */
            if
            :: members -> settle_member(true)
            :: !members
            fi;
            settle_accounts();
            d_step { new_begin = end; new_sequence = counted }
            moving = DONE;                      /* X6 */
            wake_all();
            d_step { forget_move() }
        :: atomic { moving == DONE && dead -> dead = 0 }
#endif
        :: atomic { ALL_DONE && reader_done -> goto over }
        od
    } unless {
        d_step { daemon_killed -> daemon_killed = 0; forget_repair(); forget_move() }
    };
    goto begin_anew;
over:
    skip
}

/* ---- the reader -------------------------------------------------------------------------------------------------- */

/* One step of it: what lies in the old generation at `at`. */
inline tell_old()
{
    opened_is_final = data[at].stamp;
    assert(opened_is_final);
    if
    :: !data[at].padding ->
        record_is_whole = data[at].written;
        assert(record_is_whole);
        record_is_next = (data[at].number == expected);
        assert(record_is_next);
        expected++
    :: else
    fi;
    at = at + data[at].units
}

proctype Reader()
{
    byte expected, opened, i;
    bit quiet;

    do
    :: d_step { !writing && !sealed && at < position -> tell_old() } /* N2 */
    :: data[at].stamp ->                        /* N1 */
        if
        :: d_step { moving == NO -> tell_old() } /* X2 */
        :: moving != NO -> break
        fi
    :: moving != NO && !data[at].stamp -> break
    :: d_step { moving == NO && !data[at].stamp && !ALL_READ -> skip }
#ifdef BUG_Y2_FIRST
        membarrier();
#endif
        announced = 1;                          /* S1 */
#if !defined(BUG_NO_Y2) && !defined(BUG_Y2_FIRST)
        membarrier();                           /* Y2 */
#endif
        if
        :: moving != NO                         /* S2: lane_explain */
        :: d_step { moving == NO -> opened = position; quiet = !writing && !sealed }
            if
            :: data[at].stamp
            :: !data[at].stamp ->
                d_step {
                    no_damage_is_seen = (opened >= at && (!quiet || opened == at));
                    assert(no_damage_is_seen);
                    sleeping = announced
                }
                (!sleeping || ALL_READ)
            fi
        fi;
        d_step { opened = 0; quiet = 0; sleeping = 0 }
#if !MOVES
    :: atomic { ALL_READ -> goto read }
#endif
    od;
    /* The list decides now, and what it leaves is final: so the rest can be read in one step. */
    atomic {
        moving == DONE ->
        d_step {
            opened = journal_end;
            do
            :: at < opened && gone_from <= at && at < gone_to -> at = gone_to
            :: at < opened && !(gone_from <= at && at < gone_to) && data[at].stamp -> tell_old()
            :: else -> break
            od;
            old_is_whole = (at == opened && at == new_begin);
            assert(old_is_whole);
            opened = 0
        }
    }
    do                                          /* follow */
    :: d_step {
            i < new_count ->
            record_is_next = (new_numbers[i] == expected);
            assert(record_is_next);
            expected++;
            i++
        }
    :: atomic { ALL_DONE && i == new_count -> break }
    od;
read:
    atomic {
        if
        :: moving == NO -> new_sequence = sequence
        :: else
        fi;
        counts_add_up = (expected == new_sequence);
        assert(counts_add_up);
        nothing_is_lost = (expected >= owed && expected <= owed + kills);
        assert(nothing_is_lost);
        i = 0;
        expected = 0;
        reader_done = 1
    }
}

init
{
    atomic {
        run Writer();
        run Daemon();
#if KILLS || RESTARTS
        run Killer();
#endif
        run Reader()
    }
}

#else

/* ---- the limit, and readers that join ---------------------------------------------------------------------------- */

/* The floor of this raise, by the bit and the cursor that its scan finds (G3). */
inline ring_raise()
{
    d_step { seen_limit = limit; seen_joins = joins } /* G1; W is in the buffer, and known */
#ifndef BUG_NO_Z7
    fence();                                    /* Z7 */
#endif
    bound = place;
    if
    :: lossless -> bound = (cursor < bound -> cursor : bound)
    :: !lossless
    fi;
    d_step {                                    /* G2 */
        drain();
        if
        :: limit == seen_limit && joins == seen_joins && bound + SIZE > limit ->
            limit = bound + SIZE;
            floor_is_unread = (!joined || bound <= held);
            assert(floor_is_unread)
        :: else
        fi;
        seen_limit = 0;
        seen_joins = 0;
        bound = 0
    }
}

proctype Writer()
{
    byte place, bound, seen_limit, seen_joins;

    do
    :: place < RECORDS && place < limit ->
        buffer!POSITION, place + 1;             /* Z3 */
        buffer!STAMP, place;                    /* C1 */
        place++
    :: place < RECORDS && place >= limit && (!lossless || cursor + SIZE > limit) -> ring_raise()
    :: place == RECORDS -> break
    od;
    atomic { writer_done = 1; place = 0 }
}

proctype Reader()
{
    byte start;
    bit now;

    if
#if JOINS & 1
    :: now = 1
#endif
#if JOINS & 2
    :: now = 0
#endif
    fi;
    start = limit - SIZE;
    cursor = start;                             /* J1 */
    lossless = 1;                               /* J2 */
    if
    :: now -> start = position                  /* J4 */
    :: !now ->
        joins++;                                /* J3 */
        start = (start < limit - SIZE -> limit - SIZE : start) /* J4 */
    fi;
    d_step {
        joined = 1;
        held = start;
        floor_is_unread = (limit - SIZE <= start);
        assert(floor_is_unread)
    }
    cursor = start;
    do
    :: d_step {
            records[start % SIZE] == start + 1 ->
            start++;
            held = start
        }
        cursor = start                          /* P1 */
    :: atomic { writer_done && len(buffer) == 0 && start == position -> break }
    od;
    atomic { start = 0; now = 0 }
}

init
{
    atomic { run Writer(); run Reader() }
}

#endif
