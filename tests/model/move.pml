/* move.pml - a ring moves to a new generation past writers that are stopped, dead, or just slow.
 *
 * One lane, as libclient/ring_move.h describes its end and daemon/generation.c the move; every access to shared memory
 * that another process could come between is a step of its own. Being stopped needs no word of its own here: the daemon
 * waits for nobody, so whoever does no step for a while is stopped, and may wake and go on at any time, long after the
 * move too. The old generation is long enough never to wrap; the new one is a ring of NEW_SIZE units with the usual
 * flow control, and what happens in it is ring.pml's matter: a grant in it is one step. Positions go on counting.
 *
 *   Writer   writes grants in the old generation, finds it closed or sealed, follows; killed, its slot's next owner goes on
 *            in the new one
 *   Daemon   moves the ring once, at any time; killed between any two steps, its successor goes on. A second reader joins
 *            and leaves through it
 *   Reader   the first is there all the time, the second joins, reads and leaves; both lossless
 *   Killer   kills writers (KILLS) and the daemon (RESTARTS)
 *
 * Waiting blocks, so that whoever is stuck shows as an invalid end state.
 *
 * Sizes:   -DWRITERS=1|2|3 -DRECORDS (grants of the first writer) -DOTHERS (of each other) -DNEW_SIZE -DKILLS -DRESTARTS -DJOINS=0|1 (the second reader)
 * Grants:  -DKINDS, a bit each: 1 one record, 2 a batch of two, 4 one aborted
 * Rules left out, one at a time: -DBUG_VOID, BUG_FLAG, BUG_FLAG_LATE, BUG_SEALED_OPENS, BUG_GIVE_UP_BLINDLY,
 *          BUG_LIST_OPEN, BUG_RANGE_BEGIN, BUG_BEYOND, BUG_JOURNAL_LATE, BUG_CLEAR_BIT, BUG_NO_CLAIM, BUG_NO_WALK, BUG_COUNT_LATE,
 *          BUG_JOIN, BUG_LEAVE, BUG_ALL_THE_ROOM, BUG_BEHIND_STAYS, BUG_TOLD_TOO_MUCH
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef OTHERS
#define OTHERS RECORDS
#endif
#ifndef NEW_SIZE
#define NEW_SIZE 2
#endif
#ifndef KINDS
#define KINDS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef JOINS
#define JOINS 0
#endif

#if (KINDS) & 2
#define MAX_GRANT 2
#else
#define MAX_GRANT 1
#endif
#define MOST ((RECORDS + (WRITERS - 1) * OTHERS) * MAX_GRANT)  /* records */
#define PLACES (MOST + WRITERS * MAX_GRANT)                    /* void additions too */
#define READERS (1 + JOINS)
#define BIT(n) (1 << (n))
#define EVERYBODY (BIT(WRITERS) - 1)

/* ---- the old generation ------------------------------------------------------------------------------------------ */

byte position;                 /* W: P, */
byte writing;                  /* the active set, */
bit sealed;                    /* and the seal: one word, always taken together */
bit closing;                   /* of limit */
mtype = { NO, BEGUN, DONE };
mtype moving = NO;             /* control.moving */

byte begin[WRITERS], length[WRITERS], sequence[WRITERS];
byte exact;                    /* bit per writer, one word with its `begin` */
mtype = { NONE, COMMITTED, ABANDONED };
mtype verdict[WRITERS] = NONE;

typedef header {
    bit stamp;
    bit padding;
    unsigned writer : 2;
    unsigned number : 3;
};
header data[PLACES];

byte journal_end, journal_members; /* lane.move, the daemon's */
byte gone_to[PLACES];          /* the list: what begins here is not there, up to that place */

/* ---- the new generation ------------------------------------------------------------------------------------------ */

byte new_position, new_begin;
byte new_sequence[WRITERS];
byte new_lossless;             /* bit per reader */
byte new_cursor[READERS];
byte new_behind[READERS];      /* what each still has to read in the old one, as far as it has said so */
typedef new_header {
    byte place;                /* + 1; the stamp */
    unsigned writer : 2;
    unsigned number : 3;
};
new_header new_data[NEW_SIZE];

/* ---- the daemon's own knowledge, and ghosts ---------------------------------------------------------------------- */

byte lossless = 1;             /* readers that are attached and hold writers up */
bit wants_to_join = JOINS, wants_to_leave;
byte start;                    /* where the second reader begins, */
bit start_in_new, start_now;   /* in which generation, and whether it looks for the position itself */

byte dead, killed;             /* bit per writer, as in repair.pml */
bit daemon_killed;
byte kills, restarts;
byte finished;                 /* bit per writer */
byte at_place[READERS];        /* how far each reader has come */
byte owed[WRITERS];            /* records that their writer knows to be committed */
byte told[PLACES];             /* what the first reader to come to a place was told there */
#define PASSED_OVER 255
#define TAG(writer, number) ((writer) * 16 + (number) + 1)
hidden byte same_for_all, record_is_next, counts_add_up, ground_is_free, old_is_whole, nothing_is_lost;
hidden byte ghost;

byte readers_done;
#define READERS_DONE (readers_done == BIT(READERS) - 1)
#define ALL_DONE (finished == EVERYBODY && !(killed | dead) && moving == DONE)

/* ---- a writer ---------------------------------------------------------------------------------------------------- */

#define HAS_ROOM(reader) \
    (!(new_lossless & BIT(reader)) || new_position + count + new_behind[reader] <= new_cursor[reader] + NEW_SIZE)
#if JOINS
#define NEW_HAS_ROOM (HAS_ROOM(0) && HAS_ROOM(1))
#else
#define NEW_HAS_ROOM HAS_ROOM(0)
#endif

/* One grant in the new generation. Nobody who is attached may lose what he has not read, and in both generations that is
 * never more than the new one holds when something is added to it. */
inline append()
{
    atomic {
        moving == DONE && NEW_HAS_ROOM ->
        d_step {
            count = (abort -> 0 : count);       /* what was to be aborted may as well not be there */
            ghost = 0;
            ground_is_free = true;
            do
            :: ghost < READERS ->
                ground_is_free = ground_is_free && (!(lossless & BIT(ghost)) || count == 0 ||
                    new_position + count <= at_place[ghost] + NEW_SIZE);
                ghost++
            :: else -> break
            od;
            assert(ground_is_free);
            do
            :: count > 0 ->
                new_data[new_position % NEW_SIZE].place = new_position + 1;
                new_data[new_position % NEW_SIZE].writer = me;
                new_data[new_position % NEW_SIZE].number = next;
                new_position++;
                next++;
                owed[me]++;
                count--
            :: else -> break
            od;
            new_sequence[me] = next;
            seen = 0;
            place = 0;
            forget_grant()
        }
    }
}

/* The check, the slot, the addition. An addition that finds the seal is void. */
inline ring_reserve()
{
    if
    :: atomic { closing || was_sealed -> goto follow }
    :: d_step { !(closing || was_sealed) -> length[me] = units; begin[me] = seen; exact = exact & ~BIT(me) } /* W1, W2 */
    fi;
    d_step {                                    /* W3 */
        seen = 0;
        place = position;
        position = position + units;
        writing = writing | BIT(me);
        was_sealed = sealed
    }
    if
#ifndef BUG_VOID
    :: atomic { was_sealed -> writing = writing & ~BIT(me); goto follow } /* ring_take_failed */
    :: d_step { !was_sealed -> begin[me] = place; exact = exact | BIT(me) } /* W5 */
#else
    :: d_step { begin[me] = place; exact = exact | BIT(me) }
#endif
    fi
}

inline store_stamp(offset)
{
    data[place + offset].writer = me;
    data[place + offset].number = (abort -> 0 : next + offset);
    data[place + offset].padding = abort;
    data[place + offset].stamp = 1
}

/* C1: the first stamp last. C2 follows it. */
inline store_records()
{
    if
    :: d_step { units == 2 -> store_stamp(1) }
       d_step { store_stamp(0) }
    :: d_step { units == 1 -> store_stamp(0) }
    fi;
    if
    :: d_step { !abort -> next = next + count; sequence[me] = next }
    :: abort
    fi
}

/* C3, and what the seal that it finds makes of it. */
inline ring_finish()
{
    d_step {
        writing = writing & ~BIT(me);
        place = 0;
        was_sealed = sealed;
        if
        :: !was_sealed || abort ->
            owed[me] = owed[me] + count;
            forget_grant()
        :: else
        fi
    }
    if
    :: units == 0
#ifndef BUG_NO_CLAIM
    :: d_step {                                 /* ring_claim */
            units > 0 && verdict[me] != ABANDONED ->
            verdict[me] = COMMITTED;
            owed[me] = owed[me] + count;
            forget_grant()
        }
    :: atomic { units > 0 && verdict[me] == ABANDONED -> next = next - count; goto follow } /* append_anew */
#else
    :: d_step { units > 0 -> owed[me] = owed[me] + count; forget_grant() }
#endif
    fi
}

inline forget_grant()
{
    units = 0;
    count = 0;
    abort = 0;
    was_sealed = 0
}

#define KIND(bits) ((KINDS) & (bits))
#define QUOTA (me == 0 -> RECORDS : OTHERS)

/* Once the move is done it need not look at `closing` to find out. */
proctype Writer(byte me)
{
    byte made, next, units, count, seen, place;
    bit was_sealed, abort;

attach:
    {
        next = (moving == DONE -> new_sequence[me] : sequence[me]);
        do
        :: atomic {
                made < QUOTA && moving != DONE ->
                if
                :: KIND(1) -> units = 1; count = 1
                :: KIND(2) -> units = 2; count = 2
                :: KIND(4) -> units = 1; abort = 1
                fi;
                d_step { made++; seen = position; was_sealed = sealed } /* ring_has_room */
            }
            ring_reserve();
            store_records();
            ring_finish()
        :: d_step { made < QUOTA && moving == DONE -> count = 1; made++ }
follow:
            append()                            /* append_anew, or after writer_follow */
        :: made == QUOTA -> break
        od;
        atomic {                                /* its counters, if nothing else, follow */
            moving == DONE ->
            d_step { new_sequence[me] = next; made = 0; next = 0; finished = finished | BIT(me) }
            goto over
        }
    } unless {
        d_step {
            killed & BIT(me) ->
            killed = killed & ~BIT(me);
            dead = dead | BIT(me);
            next = 0;
            seen = 0;
            place = 0;
            forget_grant()
        }
    };
    !(dead & BIT(me));
    goto attach;
over:
    skip
}

#define KILL(writer) \
    atomic { \
        kills < KILLS && !((finished | killed | dead) & BIT(writer)) -> killed = killed | BIT(writer); kills++ \
    }

proctype Killer()
{
    do
    :: KILL(0)
#if WRITERS > 1
    :: KILL(1)
#endif
#if WRITERS > 2
    :: KILL(2)
#endif
    :: atomic { restarts < RESTARTS && moving != DONE -> daemon_killed = 1; restarts++ }
    :: atomic { ALL_DONE -> break }
    od
}

/* ---- the daemon -------------------------------------------------------------------------------------------------- */

/* Requests are answered between moves only. */
inline let_join()
{
    atomic {
        wants_to_join ->
        wants_to_join = 0;
        lossless = lossless | 2;
        if
        :: moving != DONE -> start = 0          /* oldest */
        :: moving != DONE -> start_now = 1
        :: moving == DONE ->
            start_in_new = 1;
            start = new_position;
            new_cursor[READERS - 1] = start;
            new_behind[READERS - 1] = 0;
            new_lossless = new_lossless | 2
        fi;
        at_place[READERS - 1] = start
    }
}

inline let_leave()
{
    atomic {
        wants_to_leave ->
        wants_to_leave = 0;
        lossless = lossless & ~2;
#ifndef BUG_LEAVE
        new_lossless = new_lossless & ~2
#endif
    }
}

/* The journal says what the seal will find: whoever comes later knows it from there, as void additions go on. */
inline ring_seal()
{
    closing = 1;                                /* ring_close */
    do
    :: d_step { !was_sealed -> end = position; members = writing; was_sealed = sealed }
        if
        :: d_step { was_sealed -> end = journal_end; members = journal_members }
        :: !was_sealed ->
#ifndef BUG_JOURNAL_LATE
            d_step { journal_end = end; journal_members = members }
#endif
            d_step {                            /* X3 */
                if
                :: position == end && writing == members && !sealed -> sealed = 1; was_sealed = 1
                :: else
                fi
            }
#ifdef BUG_JOURNAL_LATE
            if
            :: d_step { was_sealed -> journal_end = end; journal_members = members }
            :: !was_sealed
            fi
#endif
        fi
    :: was_sealed -> break
    od
}

#define LOWEST(set) ((set) & 1 -> 0 : ((set) & 2 -> 1 : 2))
#define IS_EXACT(i) (exact & BIT(i))
#ifndef BUG_GIVE_UP_BLINDLY
#define IS_STAMPED(i) (IS_EXACT(i) && data[begin[i]].stamp)
#else
#define IS_STAMPED(i) false
#endif

/* Each member that has no verdict gets one, by its stamp. (The code looks some more times before it gives up; each of
 * these looks may be this one.) */
inline settle_members()
{
    do
    :: d_step {
            members & ~settled ->
            i = LOWEST(members & ~settled);
            settled = settled | BIT(i);
            needs = (verdict[i] == NONE);
#ifdef BUG_CLEAR_BIT
            needs = needs && (writing & BIT(i));
#endif
            stamped = IS_STAMPED(i)             /* X4 */
        }
        d_step {
            if
            :: needs && verdict[i] == NONE -> verdict[i] = (stamped -> COMMITTED : ABANDONED) /* X5 */
            :: else
            fi;
            i = 0;
            needs = 0;
            stamped = 0
        }
    :: (members & ~settled) == 0 -> break
    od
}

/* X7. Each count goes with its own member's stamp only, so that they may be loaded at once. */
inline load_counts()
{
    d_step {
        do
        :: i < WRITERS -> counted[i] = sequence[i]; i++
        :: else -> break
        od;
        i = 0
    }
}

#ifndef BUG_COUNT_LATE
#define SEEN_STAMPED(i) (IS_EXACT(i) && data[begin[i]].stamp)
#else
#define SEEN_STAMPED(i) (until & BIT(i)) /* before the count was loaded */
#endif

/* Who was given up; and what a member's count was before its grant stands in the first header. Without a stamp it has not
 * been raised. */
inline count_members()
{
    d_step {
        do
        :: i < WRITERS ->
            abandoned = ((members & BIT(i)) && verdict[i] != COMMITTED -> abandoned | BIT(i) : abandoned);
            if
            :: (members & BIT(i)) && SEEN_STAMPED(i) && !data[begin[i]].padding &&
               (counted[i] == data[begin[i]].number || counted[i] == data[begin[i]].number + length[i]) ->
                counted[i] = data[begin[i]].number + (abandoned & BIT(i) -> 0 : length[i])
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* The end of the abandoned grant that a place lies in, or 0, in `until`. Looked for after a stamp there: whoever stored
 * one had said where he is before. */
inline find_abandoned(a_place)
{
    until = 0;
    do
    :: i < WRITERS ->
        until = ((abandoned & BIT(i)) && IS_EXACT(i) && begin[i] <= a_place && a_place < begin[i] + length[i] ->
            begin[i] + length[i] : until);
        i++
    :: else -> break
    od;
    i = 0
}

inline add_range(from, to)
{
    ghost = from;
#ifndef BUG_RANGE_BEGIN
    do
    :: ghost < to -> gone_to[ghost] = to; ghost++
    :: else -> break
    od
#else
    gone_to[ghost] = to
#endif
}

/* What was given up, as ranges: what is known, and by a walk from the lowest bound of those who had not said where they
 * are what lies between the others. They may say it at any moment, and stamp it too. A reader passes over a range from
 * wherever in it it is: it may have begun at the border of two grants. */
inline make_list()
{
    d_step {
        do
        :: i < PLACES -> gone_to[i] = 0; i++    /* a predecessor's */
        :: else -> break
        od;
        i = 0;
        at = end
    }
#ifndef BUG_NO_WALK
    do
    :: d_step {
            i < WRITERS ->
            at = ((abandoned & BIT(i)) && !IS_EXACT(i) && begin[i] < at -> begin[i] : at);
            i++
        }
    :: i == WRITERS -> break
    od;
    i = 0;
#endif
    do
    :: d_step {
            i < WRITERS ->
            if
            :: (abandoned & BIT(i)) && IS_EXACT(i) && begin[i] < at -> add_range(begin[i], begin[i] + length[i])
            :: else
            fi;
            i++
        }
    :: i == WRITERS -> break
    od;
    i = 0;
    do
    :: d_step { at < end && next == 0 -> stamped = data[at].stamp; next = at }
        d_step {
            find_abandoned(at);
            if
            :: until > 0 -> add_range(at, until); at = until; next = 0
            :: until == 0 && stamped -> at++; next = 0
            :: until == 0 && !stamped -> next++
            fi;
            stamped = 0;
            until = 0
        }
    :: d_step { next > 0 && next < end -> stamped = data[next].stamp } /* in a gap: where does it end? */
        d_step {
            find_abandoned(next);
            if
            :: stamped || until > 0 -> add_range(at, next); at = next; next = 0
            :: else -> next++
            fi;
            stamped = 0;
            until = 0
        }
    :: d_step { next > 0 && next == end -> add_range(at, next); at = next; next = 0 }
    :: at == end -> break
    od
}

/* Nobody knows of the new generation yet. */
inline carry()
{
    atomic {
        at = 0;
        d_step {
            new_position = end;
            new_begin = end;
            new_lossless = lossless;
            i = 0;
            do
            :: i < READERS ->                   /* left_to_read */
                new_cursor[i] = end;
#ifndef BUG_ALL_THE_ROOM
                new_behind[i] = (!(lossless & BIT(i)) || at_place[i] >= end -> 0 :
                    (end - at_place[i] < NEW_SIZE -> end - at_place[i] : NEW_SIZE));
#endif
                i++
            :: else -> break
            od;
            i = 0;
            do
            :: i < WRITERS -> new_sequence[i] = counted[i]; i++
            :: else -> break
            od;
            i = 0
        }
    }
}

inline forget_move()
{
    i = 0;
    at = 0;
    end = 0;
    members = 0;
    settled = 0;
    abandoned = 0;
    until = 0;
    next = 0;
    was_sealed = 0;
    needs = 0;
    stamped = 0;
    do
    :: i < WRITERS -> counted[i] = 0; i++
    :: else -> break
    od;
    i = 0
}

proctype Daemon()
{
    byte i, at, end, members, settled, abandoned, until, next;
    byte counted[WRITERS];
    bit was_sealed, needs, stamped;

begin_anew:
    {
        do
#ifndef BUG_JOIN
        :: moving == NO && wants_to_join -> let_join()
#endif
        :: moving == NO && wants_to_leave -> let_leave()
        :: moving != DONE -> break
        :: moving == DONE -> goto moved
        od;
#ifndef BUG_FLAG_LATE
        moving = BEGUN;                         /* X1 */
#endif
        ring_seal();
        load_counts();
        settle_members();
#ifdef BUG_COUNT_LATE
        until = ((members & 1) && IS_EXACT(0) && data[begin[0]].stamp) +
                2 * ((members & 2) && IS_EXACT(1) && data[begin[1]].stamp);
        load_counts();
#endif
        count_members();
        make_list();
#ifdef BUG_FLAG_LATE
        moving = BEGUN;
#endif
        carry();
#ifdef BUG_JOIN
        if
        :: let_join()
        :: true
        fi;
#endif
        moving = DONE;                          /* X6 */
        d_step { forget_move() }
moved:
        do
        :: atomic { dead -> dead = 0 }
        :: moving == DONE && wants_to_join -> let_join()
        :: moving == DONE && wants_to_leave -> let_leave()
        :: atomic { ALL_DONE && !wants_to_join && !wants_to_leave && READERS_DONE -> goto over }
        od
    } unless {
        d_step { daemon_killed -> daemon_killed = 0; forget_move() }
    };
    goto begin_anew;
over:
    skip
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

#define UNKNOWN 99 /* what a writer's next number is */

/* What the reader is told of a place: for everybody the same, and each writer's records in order, none twice. */
inline tell(tag, its_writer, its_number)
{
    same_for_all = (told[at] == 0 || told[at] == (tag));
    assert(same_for_all);
    told[at] = (tag);
    if
    :: (tag) != PASSED_OVER ->
        record_is_next = (expected[its_writer] == its_number || expected[its_writer] == UNKNOWN);
        assert(record_is_next);
        expected[its_writer] = its_number + 1
    :: else
    fi
}

inline tell_old()
{
    if
    :: data[at].padding -> tell(PASSED_OVER, 0, 0)
    :: else -> tell(TAG(data[at].writer, data[at].number), data[at].writer, data[at].number)
    fi;
    at++;
    at_place[me] = at
}

#ifndef BUG_SEALED_OPENS
#define OPEN (writing == 0 && !sealed)
#else
#define OPEN (writing == 0 && data[at].stamp)
#endif

#ifndef BUG_TOLD_TOO_MUCH
#define TOLD (end - at)
#else
#define TOLD (end - at - 1)
#endif

proctype Reader(byte me)
{
    byte at, end, i;
    byte expected[WRITERS];

#if JOINS
    if
    :: me == 1 ->
        atomic {
            lossless & 2 ->
            at = start;
            i = 0;
            do
            :: i < WRITERS -> expected[i] = UNKNOWN; i++
            :: else -> i = 0; break
            od
        }
        if
        :: start_in_new -> goto in_new
        :: start_now -> at = position           /* of W, which void additions go on moving */
        :: else
        fi
    :: else
    fi;
#endif
    do
#if JOINS
    :: me == 1 -> goto leave
#endif
    :: d_step { OPEN && at < position -> tell_old() } /* N2: final, whatever moves */
    :: data[at].stamp ->                        /* N1 */
#ifndef BUG_FLAG
        if
        :: d_step { moving == NO -> tell_old() } /* X2, after it */
        :: moving != NO -> break
        fi
#else
        d_step { tell_old() }
#endif
    :: moving != NO && !data[at].stamp -> break
    od;
    /* The list decides now, and what it leaves is final. */
    atomic {
#ifndef BUG_LIST_OPEN
        moving == DONE ->
#endif
        d_step {
            end = journal_end;
#ifndef BUG_BEYOND
            at = (at > end -> end : at);
#endif
            at_place[me] = at
        }
    }
    do
    :: d_step {
            at < end ->
            old_is_whole = (gone_to[at] || data[at].stamp);
            assert(old_is_whole);
            if
            :: gone_to[at] -> tell(PASSED_OVER, 0, 0); at++; at_place[me] = at
            :: else -> tell_old()
            fi
        }
    :: d_step {                                 /* lane_tell_ahead, P4 */
            moving == DONE && TOLD < new_behind[me] -> new_behind[me] = TOLD
        }
    :: d_step { at >= end -> end = 0 }
        break
    od;
    moving == DONE;                             /* follow */
    old_is_whole = (at == new_begin);
    assert(old_is_whole);
#ifndef BUG_BEHIND_STAYS
    new_behind[me] = 0;                         /* lane_begin_generation, P4 */
#endif
in_new:
    do
#if JOINS
    :: me == 1 -> goto leave
#endif
    :: atomic {
            new_data[at % NEW_SIZE].place == at + 1 ->
            d_step {
                tell(TAG(new_data[at % NEW_SIZE].writer, new_data[at % NEW_SIZE].number),
                     new_data[at % NEW_SIZE].writer, new_data[at % NEW_SIZE].number);
                at++;
                at_place[me] = at;
                new_cursor[me] = at
            }
        }
    :: atomic { ALL_DONE && at == new_position -> break }
    od;
    atomic {
        i = 0;
        do
        :: i < WRITERS ->
            counts_add_up = (expected[i] == new_sequence[i] || expected[i] == UNKNOWN);
            assert(counts_add_up);
            nothing_is_lost = (new_sequence[i] >= owed[i] && new_sequence[i] <= owed[i] + kills * MAX_GRANT);
            assert(nothing_is_lost);
            i++
        :: else -> break
        od;
        i = 0
    }
    goto over;
leave:
    wants_to_leave = 1;
over:
    atomic { at = 0; end = 0; readers_done = readers_done | BIT(me) }
}

init
{
    byte i = 0;

    atomic {
        do
        :: i < WRITERS -> run Writer(i); i++
        :: else -> break
        od;
        run Daemon();
#if KILLS || RESTARTS
        run Killer();
#endif
        run Reader(0);
#if JOINS
        run Reader(1)
#endif
    }
}
