/* join.pml - lossless readers join and leave while writers run on a full ring.
 *
 * A raise reads `joins` and `limit`, then W and the slots, then which readers are lossless, then their cursors one by
 * one, and swaps limit and joins from the values it read first (ring_look, ring_frontier, ring_lowest_cursor,
 * ring_swap_limit). The daemon does for a reader what ring_join does, one reader at a time: cursor (J1), bit (J2), then
 * `joins` and the floor (J3, J4), or P (J4), then the cursor again, and wakes. Records are of one unit. The frontier is
 * read in one step: that it can be read slot by slot is the matter of ring.pml. Eventcounts as in wait.pml.
 *
 *   Writer  ring_try with its raise, the wait, ring_take, ring_finish
 *   Reader  again and again, in its slot: joins at the oldest record, at a later one or at now, reads some, gives each
 *           back at once or with a later one (ringd_release in batches), leaves
 *
 * Checked: from the moment on that its start is settled, no addition reaches what a reader has not given back
 * (`ground_is_free`) and no raise takes the floor above it (`floor_is_unread`). A good reader is never taken for a bad
 * one but in the middle of its join, when the daemon cannot act on it (`nobody_is_accused`). Nobody sleeps for good,
 * and so every record from its start on is there for the reader.
 *
 * Sizes:  -DWRITERS -DRECORDS (each) -DSIZE -DREADERS (slots) -DROUNDS (joins in each slot) -DREADS (at most, in each
 *         round); -DHOLD: without a lossless reader the ring keeps what it has, and readers stay; -DSTART_OLDEST or
 *         -DSTART_NOW: only that
 * Rules left out: -DBUG_NO_COUNT, BUG_SWAP_LATE, BUG_CURSORS_FIRST, BUG_START_EARLY, BUG_NOW_EARLY, BUG_JOIN_QUIETLY,
 *         BUG_LEAVE_QUIETLY, BUG_ACCUSE
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef SIZE
#define SIZE 3
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef READS
#define READS 2
#endif

#define HEAD (WRITERS - 1)
#define REACH (SIZE - HEAD)
#define FLOOR(a_limit) ((a_limit) - REACH)
#define UNIT(at) ((at) % SIZE)
#define BIT(n) (1 << (n))

/* ---- shared memory: a ring whose room has been used up ----------------------------------------------------------- */

byte position = REACH, writing; /* W */
byte limit = REACH, joins;      /* one word for the compare-and-swap */
byte begin[WRITERS];
byte stamp[SIZE];               /* position + 1 */
byte lossless;                  /* bit per reader slot */
byte cursor[READERS];
byte space_armed;               /* writers that have announced and not been woken since */

bit daemon;                     /* private to the daemon: it is busy with a join or a leave */

/* ---- ghosts ------------------------------------------------------------------------------------------------------ */

byte place[WRITERS];
byte attached;                  /* bit per slot: its start is settled */
byte kept[READERS];             /* what its reader has not given back begins here */
byte joining;                   /* bit per slot: the daemon is busy joining it */
byte finished;
hidden byte i, ground_is_free, floor_is_unread, floor_is_final, nobody_is_accused, start_is_there;

/* ---- a writer ---------------------------------------------------------------------------------------------------- */

inline check_floor(floor)
{
    i = 0;
    floor_is_unread = true;
    do
    :: i < READERS -> floor_is_unread = floor_is_unread && (!(attached & BIT(i)) || floor <= kept[i]); i++
    :: else -> break
    od;
    assert(floor_is_unread);
    i = 0;
    floor_is_final = (floor <= position);
    do
    :: i < WRITERS -> floor_is_final = floor_is_final && (!(writing & BIT(i)) || floor <= place[i]); i++
    :: else -> break
    od;
    assert(floor_is_final);
    i = 0
}

inline check_ground(end)
{
    i = 0;
    ground_is_free = true;
    do
    :: i < READERS -> ground_is_free = ground_is_free && (!(attached & BIT(i)) || end <= kept[i] + SIZE); i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < WRITERS -> ground_is_free = ground_is_free && (!(writing & BIT(i)) || end <= place[i] + SIZE); i++
    :: else -> break
    od;
    assert(ground_is_free);
    i = 0
}

inline ring_frontier() /* F1, F2 */
{
    d_step {
        seen = position;
        frontier = position;
        i = 0;
        do
        :: i < WRITERS -> frontier = (((writing & BIT(i)) && begin[i] < frontier) -> begin[i] : frontier); i++
        :: else -> break
        od;
        i = 0
    }
}

/* G3: the set, then each cursor, then the stamp at it. `bad`: below the floor, or no stamp there. */
inline ring_lowest_cursor()
{
    d_step { members = lossless; bound = 200; any = (lossless != 0) }
    do
    :: members && !bad ->
        d_step {
            reader = (members & 1 -> 0 : 1);
            members = members & ~BIT(reader);
            at = cursor[reader]
        }
        if
        :: at >= frontier                      /* no constraint, and not tested */
        :: at < frontier && at < FLOOR(seen_limit) -> bad = 1
        :: at < frontier && at >= FLOOR(seen_limit) ->
            d_step {
                bad = (stamp[UNIT(at)] != at + 1);
                bound = (at < bound -> at : bound)
            }
        fi
    :: else -> break
    od
}

/* Bad only if limit and cursor read the same again; then the limit stays, and the daemon is asked to look. */
inline ring_look_again()
{
    d_step {
        again = (limit != seen_limit || joins != seen_joins);
#ifndef BUG_ACCUSE
        again = again || cursor[reader] != at;
#endif
        if
        :: !again ->
            nobody_is_accused = (cursor[reader] < FLOOR(limit) && (joining & BIT(reader)));
            assert(nobody_is_accused);
            bound = FLOOR(seen_limit)
        :: else
        fi
    }
}

/* ring_try, its raise as far as it goes. `found`: there is room; else the limit stands. */
inline ring_try()
{
    do
    :: true ->
        d_step { seen_limit = limit; seen_joins = joins } /* G1 */
#ifdef BUG_CURSORS_FIRST
        d_step { frontier = 200 }
        ring_lowest_cursor();
        ring_frontier();
        if
        :: bound >= frontier || bound >= FLOOR(seen_limit) -> bad = 0
        :: else
        fi;
#else
        ring_frontier();
#endif
        if
        :: seen + 1 <= seen_limit -> found = 1; break
        :: else
        fi;
#ifndef BUG_CURSORS_FIRST
        ring_lowest_cursor();
#endif
        if
        :: bad -> ring_look_again()
        :: else
        fi;
#ifdef HOLD
        if
        :: !any -> bound = FLOOR(seen_limit)
        :: else
        fi;
#endif
#ifdef BUG_SWAP_LATE
        d_step { seen_limit = limit; seen_joins = joins }
#endif
        atomic {
            bound = (frontier < bound -> frontier : bound);
            if
            :: again -> again = 0
            :: !again && bound <= FLOOR(seen_limit) -> found = 0; forget_look(); break /* it stands */
            :: !again && bound > FLOOR(seen_limit) && limit == seen_limit && joins == seen_joins -> /* G2 */
                check_floor(bound);
                limit = bound + REACH
            :: else
            fi;
            forget_look()
        }
    od
}

inline forget_look()
{
    seen = 0; seen_limit = 0; seen_joins = 0; frontier = 0; bound = 0; members = 0; reader = 0; at = 0; bad = 0; any = 0
}

inline ring_reserve()
{
    do
    :: true ->
        space_armed = space_armed | BIT(me); /* S1 */
        ring_try();
        if
        :: found -> break
        :: else -> !(space_armed & BIT(me))  /* wake_sleep */
        fi
    od;
    atomic { /* W3 */
        check_ground(position + 1);
        begin[me] = seen; /* W2 */
        place[me] = position;
        position++;
        writing = writing | BIT(me);
        space_armed = space_armed & ~BIT(me);
        found = 0;
        forget_look()
    }
    begin[me] = place[me] /* W5 */
}

inline ring_finish()
{
    stamp[UNIT(place[me])] = place[me] + 1;                                           /* C1 */
    d_step { writing = writing & ~BIT(me); begin[me] = 0; place[me] = 0; space_armed = 0 } /* C3, C4 */
}

proctype Writer(byte me)
{
    byte made, seen, seen_limit, seen_joins, frontier, bound, members, reader, at;
    bit found, bad, again, any;

    do
    :: made < RECORDS -> ring_reserve(); ring_finish(); made++
    :: else -> break
    od;
    atomic { made = 0; finished++ }
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

inline settle_start()
{
    attached = attached | BIT(me);
    kept[me] = at;
    start_is_there = (position <= at + SIZE && at <= position);
    assert(start_is_there)
}

inline ring_join()
{
    if
#ifndef START_NOW
    :: now = 0
#endif
#ifndef START_OLDEST
    :: now = 1
#endif
    fi;
    atomic { !daemon -> daemon = 1; joining = joining | BIT(me); at = FLOOR(limit) }
#ifndef START_OLDEST
    if
    :: !now && stamp[UNIT(at + 1)] == at + 2 -> at++ /* RINGD_START_POSITION */
    :: true
    fi;
#endif
    cursor[me] = at;                      /* J1 */
#ifdef BUG_NOW_EARLY
    if
    :: now -> at = position
    :: else
    fi;
#endif
    lossless = lossless | BIT(me);        /* J2 */
    if
    :: now ->
#ifndef BUG_NOW_EARLY
        at = position;                    /* J4 */
#endif
        atomic { settle_start() }
    :: else ->
#ifndef BUG_NO_COUNT
        joins++;                          /* J3 */
#endif
        atomic {
#ifndef BUG_START_EARLY
            at = (at < FLOOR(limit) -> FLOOR(limit) : at); /* J4 */
#endif
            settle_start()
        }
    fi;
    d_step {
        cursor[me] = at;                  /* J5 */
#ifndef BUG_JOIN_QUIETLY
        space_armed = 0;
#endif
        joining = joining & ~BIT(me);
        daemon = 0;
        now = 0
    }
}

inline ring_leave()
{
    atomic {
        !daemon ->
        d_step {
            attached = attached & ~BIT(me);
            kept[me] = 0;
            lossless = lossless & ~BIT(me);
#ifndef BUG_LEAVE_QUIETLY
            space_armed = 0;
#endif
            at = 0
        }
    }
}

inline publish() /* P1, P2 */
{
    d_step { cursor[me] = at; kept[me] = at; space_armed = 0 }
}

proctype Reader(byte me)
{
    byte rounds, at, reads;
    bit now;

    do
    :: rounds < ROUNDS ->
        ring_join();
#ifdef HOLD
        reads = 255; /* it stays: without it writers would wait for good */
#else
        reads = READS;
        do
        :: reads > 0 -> reads-- /* how many it will read */
        :: true -> break
        od;
#endif
        do
        :: atomic { reads > 0 && stamp[UNIT(at)] == at + 1 -> at++; reads-- } /* N1 */
            if
            :: publish()
            :: true
            fi
        :: cursor[me] != at && stamp[UNIT(at)] != at + 1 -> publish()
        :: reads == 0 -> break
        :: atomic { finished == WRITERS && at == position && cursor[me] == at -> reads = 0; break }
        od;
        ring_leave();
        rounds++
    :: else -> break
    od
}

init
{
    byte n = 0;

    d_step {
        do
        :: n < REACH -> stamp[UNIT(n)] = n + 1; n++
        :: else -> break
        od;
        n = 0
    }
    atomic {
        do
        :: n < WRITERS -> run Writer(n); n++
        :: else -> break
        od;
        n = 0;
        do
        :: n < READERS -> run Reader(n); n++
        :: else -> break
        od
    }
}
