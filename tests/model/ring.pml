/* ring.pml - the word, the limit, the frontier read slot by slot, and the readers.
 *
 * One lane of a ring. Every access to shared memory is a step of its own; what a process does in private is part of the
 * step before it. The labels in the comments (W0 to W5, F1, F2, G2, G3, C1, C3, N1, N2, V1, P1) are those of the table
 * at the head of libclient/ring.h, the names of the inlines those of its functions. Positions and lengths are in units.
 *
 *   Writer    ring_has_room, ring_try, ring_raise, ring_take, the stores of a record, ring_finish
 *   Raiser    a writer that is short and whose deadline has passed: raises the limit and goes away without a grant
 *   Lossless  ringd_next and ringd_release of a lossless reader
 *   Lossy     ringd_next of a lossy reader or observer: copies, validates, counts what it lost
 *
 * Waiting blocks until what is waited for is there (how that comes about is the matter of wait.pml), so that whoever is
 * stuck shows as an invalid end state. No lossless reader: the ring overwrites, or runs free.
 *
 * Sizes:    -DWRITERS=2|3 -DRECORDS (grants of the first writer) -DOTHERS (of each other) -DSIZE -DMAX_GRANT=1|2 -DHEAD
 *           (head room) -DRAISES (of a raiser) -DLOSSLESS=0|1 -DLOSSY=0|1 -DSECTIONS (marks; 0: the limit always goes
 *           all the way)
 * Grants:   with MAX_GRANT 2 a grant is one record of 1 or 2 units, or aborted, or shrunk to one record and padding, or
 *           a batch of two records.
 * Rules left out, one at a time: -DBUG_HEAD=units, BUG_FRONTIER, BUG_BEGIN_TWICE, BUG_STAMP_FIRST,
 *           BUG_OUT_FIRST, BUG_STAMP_ORDER, BUG_VALIDATE, BUG_MARK, BUG_KEEP_PADDING
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef OTHERS
#define OTHERS RECORDS
#endif
#ifndef MAX_GRANT
#define MAX_GRANT 1
#endif
#ifndef SIZE
#define SIZE 4
#endif
#ifndef HEAD
#define HEAD ((WRITERS - 1) * MAX_GRANT)
#endif
#ifndef RAISES
#define RAISES 0
#endif
#ifndef LOSSLESS
#define LOSSLESS 1
#endif
#ifndef LOSSY
#define LOSSY 0
#endif
#ifndef SECTIONS
#define SECTIONS 0
#endif
#ifdef BUG_HEAD
#undef HEAD
#define HEAD (BUG_HEAD)
#endif

#define REACH (SIZE - HEAD)          /* limit - floor */
#define FLOOR(a_limit) ((a_limit) - REACH)
#define UNIT(place) ((place) % SIZE) /* which unit of the data */
#define BIT(writer) (1 << (writer))
#define SECTION(place) ((place) / (SIZE / SECTIONS))

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

byte position, writing; /* the word W: one load or one locked instruction touches both */
byte limit = REACH;
byte begin[WRITERS];   /* slot: a lower bound, then the exact place */
byte length[WRITERS];  /* slot */
byte cursor;           /* of the lossless reader */
#if SECTIONS
byte mark[SECTIONS];
#endif

/* A unit of data holds a header, or payload that has covered what was there. A stamp names its position; stamp 0 is no
 * stamp. `body` stands for the payload in this unit and names the record it belongs to. */
typedef header {
    byte stamp;          /* position + 1 */
    unsigned units : 2;  /* to the next header */
    bit padding;
    bit batch;           /* ghost: the second record of its batch follows */
    unsigned writer : 2;
    unsigned sequence : 4;
};
header data[SIZE];
byte body[SIZE];
#define TAG(writer, sequence) ((writer) * 16 + (sequence) + 1)

/* ---- ghosts: what the model knows and nobody in it looks at ------------------------------------------------------ */

byte place[WRITERS];         /* the grant under way: exact from the addition on */
byte committed[WRITERS];     /* records */
int boundaries = 1;          /* bit p: a record begins at p */
byte finished;
hidden byte ground_is_free, floor_is_final, floor_is_unread, floor_is_boundary, opened_is_final, record_is_whole,
    record_is_next, batch_is_whole, counts_add_up, bit_is_mine;
hidden byte ghost;

#define ALL_DONE (finished == WRITERS)

/* Exactly what a scan would find now: whether the limit can go to `end`. */
#define PASSES(writer, end) (!(writing & BIT(writer)) || begin[writer] + REACH >= (end))
#if WRITERS == 2
#define FRONTIER_PASSES(end) (PASSES(0, end) && PASSES(1, end))
#elif WRITERS == 3
#define FRONTIER_PASSES(end) (PASSES(0, end) && PASSES(1, end) && PASSES(2, end))
#endif
#if LOSSLESS
#define CURSOR_PASSES(end) (cursor + REACH >= (end))
#else
#define CURSOR_PASSES(end) true
#endif
#define ROOM_IN_REACH(units) \
    (position + units <= limit || (FRONTIER_PASSES(position + units) && CURSOR_PASSES(position + units)))

/* ---- raising the limit ------------------------------------------------------------------------------------------- */

#define LOWEST(set) ((set) & 1 -> 0 : ((set) & 2 -> 1 : 2))

/* F2. The snapshot (F1) is in `seen` and `members`. */
inline ring_frontier()
{
    bound = seen;
#ifdef BUG_FRONTIER
    bound = (members -> 200 : seen);
#endif
    do
    :: members ->
#ifndef BUG_BEGIN_TWICE
        d_step {
            ghost = LOWEST(members);
            bound = (begin[ghost] < bound -> begin[ghost] : bound);
            members = members & ~BIT(ghost)
        }
#else
        if
        :: atomic { begin[LOWEST(members)] < bound -> skip }; bound = begin[LOWEST(members)]
        :: else
        fi;
        members = members & ~BIT(LOWEST(members))
#endif
    :: else -> break
    od
}

/* The lowest mark from `needed` to below the bound, if there is one. */
inline ring_choose_floor(needed_end)
{
#if SECTIONS
    i = 0;
    do
    :: i < SECTIONS ->
        d_step {
            if
#ifndef BUG_MARK
            :: mark[i] + REACH >= needed_end && mark[i] < bound -> bound = mark[i]
#else
            :: mark[i] > FLOOR(seen_limit) -> bound = mark[i]
#endif
            :: else
            fi;
            i++
        }
    :: else -> i = 0; break
    od
#else
    skip
#endif
}

inline check_floor(floor)
{
    ghost = 0;
    floor_is_final = (floor <= position);
    do
    :: ghost < WRITERS ->
        floor_is_final = floor_is_final && (!(writing & BIT(ghost)) || floor <= place[ghost]);
        ghost++
    :: else -> break
    od;
    assert(floor_is_final);
    floor_is_unread = (!LOSSLESS || floor <= cursor);
    assert(floor_is_unread);
    floor_is_boundary = (boundaries >> floor) & 1;
    assert(floor_is_boundary)
}

/* From `seen_limit` and the snapshot: the frontier, the cursors after it, the mark, one compare-and-swap (G2). */
inline ring_raise(needed_end)
{
    ring_frontier();
#if LOSSLESS
    bound = (cursor < bound -> cursor : bound); /* G3 */
#endif
    ring_choose_floor(needed_end);
    atomic {
        if
        :: limit == seen_limit && bound + REACH > limit ->
            check_floor(bound);
            limit = bound + REACH;
            boundaries = boundaries & ~((1 << bound) - 1)
        :: else
        fi;
        bound = 0
    }
}

/* ---- a writer ---------------------------------------------------------------------------------------------------- */

inline check_ground(start, units)
{
    ghost = 0;
    ground_is_free = (!LOSSLESS || start + units <= cursor + SIZE);
    do
    :: ghost < WRITERS ->
        ground_is_free = ground_is_free && (!(writing & BIT(ghost)) || start + units <= place[ghost] + SIZE);
        ghost++
    :: else -> break
    od;
    assert(ground_is_free)
}

/* The check, then the look that a raise can start from. `seen` is the position seen. */
inline ring_reserve(units)
{
    seen = position;                           /* ring_has_room */
    if
    :: seen + units <= limit -> goto take      /* W0 */
    :: else
    fi;
look:
    seen_limit = limit;                        /* ring_look, G1 */
    d_step { seen = position; members = writing } /* F1: one snapshot */
    if
    :: seen + units > seen_limit ->
        ring_raise(seen + units);
        d_step { seen = 0; seen_limit = 0 }
        ROOM_IN_REACH(units);                  /* ring_wait_in_turn */
        goto look
    :: else -> members = 0
    fi;
take:
    atomic {
        seen_limit = 0;
        length[me] = units;                    /* W1 */
        begin[me] = seen;                      /* W2 */
        seen = 0
    }
    d_step {                                   /* W3: the addition */
        bit_is_mine = !(writing & BIT(me));
        assert(bit_is_mine);
        check_ground(position, units);
        place[me] = position;
        position = position + units;
        writing = writing | BIT(me);
        boundaries = boundaries | (1 << position)
    }
    begin[me] = place[me]                      /* W5, after W4; the exact place */
#if SECTIONS
    ;
    if
    :: SECTION(place[me]) != SECTION(place[me] + units) ->
        mark[SECTION(place[me] + units) % SECTIONS] = place[me] + units /* ring_mark */
    :: else
    fi
#endif
}

/* The user fills the grant: payload covers what lay there, but for the place of the first header. */
inline fill_unit(offset)
{
    d_step {
        body[UNIT(place[me] + offset)] = TAG(me, committed[me] + (batch && offset == 1));
        if
        :: offset > 0 ->
            data[UNIT(place[me] + offset)].stamp = 0;
            data[UNIT(place[me] + offset)].units = 0;
            data[UNIT(place[me] + offset)].padding = 0;
            data[UNIT(place[me] + offset)].batch = 0;
            data[UNIT(place[me] + offset)].writer = 0;
            data[UNIT(place[me] + offset)].sequence = 0
        :: else
        fi
    }
}

inline fill()
{
    fill_unit(0);
    if
    :: granted == 2 -> fill_unit(1)
    :: else
    fi
}

/* All of a header but its stamp. */
inline store_header(offset, its_units, is_padding, is_batch, its_sequence)
{
    d_step {
        data[UNIT(place[me] + offset)].units = its_units;
        data[UNIT(place[me] + offset)].padding = is_padding;
        data[UNIT(place[me] + offset)].batch = is_batch;
        data[UNIT(place[me] + offset)].writer = me;
        data[UNIT(place[me] + offset)].sequence = its_sequence
    }
}

inline store_headers()
{
    store_header(0, used, abort, batch, committed[me]);
    if
    :: batch -> store_header(1, 1, 0, 0, committed[me] + 1)
    :: used < granted && !batch -> store_header(1, 1, 1, 0, 0) /* padding, a record of its own */
    :: else
    fi
}

/* C1. The stamp of what follows the first record is stored before the first's: a batch is in or out as a whole (R4),
 * and the padding is there when the reader comes to it. */
inline store_second_stamp()
{
    if
    :: used < granted ->
        d_step {
            data[UNIT(place[me] + 1)].stamp = place[me] + 2;
            boundaries = boundaries | (1 << (place[me] + 1))
        }
    :: else
    fi
}

inline store_first_stamp()
{
    d_step {
        data[UNIT(place[me])].stamp = place[me] + 1;
        committed[me] = committed[me] + 1 + batch - abort
    }
}

inline store_stamps()
{
#ifdef BUG_STAMP_ORDER
    store_first_stamp();
    store_second_stamp()
#else
    store_second_stamp();
    store_first_stamp()
#endif
}

/* Nobody but a lossy reader can look at a grant before its stamp is there: without one it is filled in one step. */
inline store_contents()
{
#if LOSSY
    fill();
    store_headers()
#else
    atomic { fill(); store_headers() }
#endif
}

/* C3. If the active set was only mine, this opens everything below P: all of it must be there. */
inline ring_finish()
{
    d_step {
        bit_is_mine = (writing & BIT(me)) != 0;
        assert(bit_is_mine);
        writing = writing & ~BIT(me);
        place[me] = 0;
        length[me] = 0;
        if
        :: writing == 0 ->
            ghost = FLOOR(limit);
            opened_is_final = true;
            do
            :: ghost < position && opened_is_final ->
                opened_is_final = (data[UNIT(ghost)].stamp == ghost + 1 && data[UNIT(ghost)].units > 0);
                ghost = ghost + data[UNIT(ghost)].units
            :: else -> break
            od;
            opened_is_final = opened_is_final && ghost == position;
            assert(opened_is_final)
        :: else
        fi
    }
}

proctype Writer(byte me)
{
    byte made, seen, seen_limit, members, bound, i, granted, used;
    bit batch, abort;

    do
    :: made < (me == 0 -> RECORDS : OTHERS) ->
        if
        :: granted = 1; used = 1
#if MAX_GRANT == 2
        :: granted = 2; used = 2
        :: granted = 2; used = 1
        :: granted = 2; used = 1; batch = 1
        :: granted = 2; used = 2; abort = 1
#endif
        fi;
        ring_reserve(granted);
#ifdef BUG_STAMP_FIRST
        store_headers();
        store_stamps();
        d_step { committed[me]--; fill(); committed[me]++ }
        ring_finish();
#else
        store_contents();
#ifndef BUG_OUT_FIRST
        store_stamps();
#endif
        ring_finish();
#endif
        d_step { granted = 0; used = 0; batch = 0; abort = 0; made++ }
    :: else -> break
    od;
    atomic { made = 0; finished++ }
}

proctype Raiser()
{
    byte raises, seen, seen_limit, members, bound, i;

    do
    :: raises < RAISES ->
        seen_limit = limit;
        d_step { seen = position; members = writing }
        ring_raise(seen_limit + 1);
        d_step { seen = 0; seen_limit = 0; raises++ }
    :: else -> break
    od
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* Reads in place and gives back at once (N1, P1). That stands for batches too: a record that is read now and given back
 * later is, for everybody else, one that is read later. Padding is given back as it is passed over: nobody will be
 * given it to release. Reading by the opening needs no step of its own: ring_finish checks that all of what it opens is
 * there, and what is there this process reads. */
proctype Lossless()
{
    byte at;
    byte expected[WRITERS];

    do
    :: atomic {
            data[UNIT(at)].stamp == at + 1 ->
            d_step {
                if
                :: !data[UNIT(at)].padding ->
                    record_is_next = (data[UNIT(at)].sequence == expected[data[UNIT(at)].writer]);
                    assert(record_is_next);
                    ghost = TAG(data[UNIT(at)].writer, data[UNIT(at)].sequence);
                    record_is_whole = (body[UNIT(at)] == ghost);
                    if
                    :: data[UNIT(at)].units == 2 -> record_is_whole = record_is_whole && body[UNIT(at + 1)] == ghost
                    :: else
                    fi;
                    assert(record_is_whole);
                    batch_is_whole = (!data[UNIT(at)].batch || data[UNIT(at + 1)].stamp == at + 2);
                    assert(batch_is_whole);
                    expected[data[UNIT(at)].writer]++;
                    at = at + data[UNIT(at)].units;
                    cursor = at
                :: else ->
                    at = at + data[UNIT(at)].units;
#ifndef BUG_KEEP_PADDING
                    cursor = at
#endif
                fi
            }
        }
    :: atomic { ALL_DONE && at == position -> break }
    od;
    atomic {
        ghost = 0;
        do
        :: ghost < WRITERS ->
            counts_add_up = (expected[ghost] == committed[ghost]);
            assert(counts_add_up);
            ghost++
        :: else -> break
        od
    }
}

inline forget_copy()
{
    copy.units = 0;
    copy.padding = 0;
    copy.writer = 0;
    copy.sequence = 0
}

/* Copies first, header and then payload unit by unit, and validates afterwards (V1): the copy is good if its place is
 * still at or above the floor, or P is not more than one ring ahead. Lapped, it resumes at the floor. */
proctype Lossy()
{
    byte at, i;
    header copy;
    bit torn;
    byte expected[WRITERS], delivered[WRITERS], lost[WRITERS];

look:
    if
    :: atomic { data[UNIT(at)].stamp == at + 1 -> skip }; goto keep_copy             /* N1 */
    :: atomic { at < FLOOR(limit) && data[UNIT(at)].stamp != at + 1 -> skip }; goto lapped
    :: atomic { ALL_DONE && at == position -> skip }; goto count
    fi;
keep_copy:
    atomic {
        copy.units = data[UNIT(at)].units;
        copy.padding = data[UNIT(at)].padding;
        copy.writer = data[UNIT(at)].writer;
        copy.sequence = data[UNIT(at)].sequence
    }
    do
    :: i < copy.units ->
        d_step {
            torn = torn || (!copy.padding && body[UNIT(at + i)] != TAG(copy.writer, copy.sequence));
            i++
        }
    :: else -> i = 0; break
    od;
#ifndef BUG_VALIDATE
    if /* reader_intact */
    :: at >= FLOOR(limit)
    :: else ->
        if
        :: position <= at + SIZE
        :: else -> goto lapped
        fi
    fi;
#endif
    atomic {
        record_is_whole = !torn && copy.units > 0;
        assert(record_is_whole);
        if
        :: !copy.padding ->
            record_is_next = (copy.sequence >= expected[copy.writer]);
            assert(record_is_next);
            lost[copy.writer] = lost[copy.writer] + copy.sequence - expected[copy.writer];
            expected[copy.writer] = copy.sequence + 1;
            delivered[copy.writer]++
        :: else
        fi;
        at = at + copy.units;
        forget_copy()
    }
    goto look;
lapped:
    atomic { at = FLOOR(limit); torn = 0; forget_copy() } /* reader_resume */
    goto look;
count:
    /* what was lost after the last record seen, the slots' own counts tell (silent_writers) */
    atomic {
        i = 0;
        do
        :: i < WRITERS ->
            lost[i] = lost[i] + committed[i] - expected[i];
            counts_add_up = (delivered[i] + lost[i] == committed[i]);
            assert(counts_add_up);
            i++
        :: else -> break
        od
    }
}

init
{
    byte i = 0;

    atomic {
        do
        :: i < WRITERS -> run Writer(i); i++
        :: else -> break
        od;
#if RAISES
        run Raiser();
#endif
#if LOSSLESS
        run Lossless();
#endif
#if LOSSY
        run Lossy()
#endif
    }
}
