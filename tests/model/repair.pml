/* repair.pml - what is left by a writer that was killed, and how it is repaired.
 *
 * One lane of a ring, as in ring.pml, every access to shared memory a step of its own. A writer may be killed between
 * any two of its steps, and so may the repairer, who then begins anew knowing nothing but what stands in shared memory.
 * Positions and lengths are in units.
 *
 *   Writer    writes grants of every kind; killed, its slot goes to the next owner once it is repaired
 *   Raiser    a writer that raises the limit and goes away: its raise may have been computed before a death
 *   Repairer  the daemon's repair of one slot: never two at once, but one that has to wait lies while others are done
 *   Killer    kills writers (KILLS) and the repairer (RESTARTS)
 *   Lossless, Lossy  the readers, as in ring.pml
 *   Newcomer  a reader that begins at the position as it is at some moment
 *
 * Death is certain here when it is seen (`dead`). Waiting blocks, so that whoever is stuck shows as an invalid end state.
 *
 * The repair of one slot, x (libclient/ring_repair.h says it for the code):
 *   1. Its bit is clear: nothing is left.
 *   2. Its place is exact: with a stamp there the grant is kept, and `sequence` set to what the last record in it says;
 *      else the whole grant becomes padding.
 *   3. Its place is not known: ONE snapshot of W; then every member of it once. One that lives is seen exact (place and
 *      length are a fact, unless the stamp is there by now), or its bit seen clear, or its `begin` seen above the
 *      snapshot's position. Then the walk, from the later of x's lower bound and M to the snapshot's position: a stamp
 *      leads on by its record, a fact by its length, and if M has passed the place meanwhile, what was seen counts for
 *      nothing and M is where it goes on. What has neither is a gap up to the next that has; it becomes padding. If x is
 *      not the only one whose place is not known, that is done unit by unit: somebody may have seen the border between
 *      two grants in it as the position, and it is his lower bound now, or M. And a gap is never left lying while other
 *      repairs are done.
 *   Then the loss is counted, the bit cleared by an AND, the slot freed: that is the order in which a successor can begin
 *   anew, as bit and slot are what tell him that there is something to do.
 *
 * Sizes:    -DWRITERS=2|3 -DRECORDS (grants of the first writer) -DOTHERS (of each other) -DSIZE -DMAX_GRANT=1|2 -DHEAD
 *           -DKILLS -DVICTIMS (a bit per writer who may be killed) -DUNPLACED_ONLY (only while their place is not known)
 *           -DRESTARTS -DRAISES -DLOSSLESS=0|1 -DLOSSY=0|1 -DNEWCOMER=0|1
 * Grants:   -DKINDS, a bit each: 1 one unit, 2 two units, 4 two of which one is used, 8 a batch of two records, 16 one
 *           unit aborted, 32 two units aborted
 * Rules left out, one at a time: -DBUG_PASS_SNAPSHOT, BUG_UNRESOLVED, BUG_NEXT_LENGTH, BUG_SPAN, BUG_MISS,
 *           BUG_BELOW_FLOOR (a place that M has passed is taken for damage), BUG_SUBTRACT, BUG_PAD_UNSEEN,
 *           BUG_CLEAR_FIRST, BUG_NO_MEND, BUG_MEND_LATE, BUG_ONE_PIECE, BUG_LONG_PIECE, BUG_GAP_END, BUG_GAP_LIES
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
#ifndef MAX_GRANT
#define MAX_GRANT 1
#endif
#ifndef SIZE
#define SIZE 4
#endif
#ifndef HEAD
#define HEAD ((WRITERS - 1) * MAX_GRANT)
#endif
#ifndef KINDS
#define KINDS (MAX_GRANT == 2 -> 63 : 17)
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef VICTIMS
#define VICTIMS EVERYBODY
#endif
#ifndef RESTARTS
#define RESTARTS 0
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
#ifndef NEWCOMER
#define NEWCOMER 0
#endif

#define REACH (SIZE - HEAD)          /* limit - floor */
#define FLOOR(a_limit) ((a_limit) - REACH)
#define UNIT(place) ((place) % SIZE) /* which unit of the data */
#define BIT(writer) (1 << (writer))
#define EVERYBODY (BIT(WRITERS) - 1)
#define NO_LENGTH 7                  /* what payload leaves where a length was */

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

byte position;             /* W: P and */
byte writing;              /* the active set: one word, always taken together */
byte limit = REACH;
byte cursor;               /* of the lossless reader */

/* A writer's slot. `begin` and `exact` are one word. */
byte length[WRITERS], begin[WRITERS], sequence[WRITERS];
byte offered[WRITERS];     /* less what was aborted and what was lost: how much that was changes nothing else */
byte exact;                /* bit per writer */
byte dead;                 /* bit per writer: certainly dead, its slot not freed yet */

/* What stands in each unit of the data, as far as a header was stored there: payload that covers it leaves no stamp and
 * no length. A stamp names its position; stamp 0 is no stamp. `body` stands for the payload. */
typedef header {
    byte stamp;            /* position + 1 */
    unsigned units : 3;    /* to the next header */
    bit padding;
    bit batch;             /* ghost: the second record of its batch follows */
    unsigned writer : 2;
    unsigned number : 4;   /* its sequence number */
};
header data[SIZE];
byte body[SIZE];
#define TAG(writer, number) ((writer) * 16 + (number) + 1)

/* ---- ghosts ------------------------------------------------------------------------------------------------------ */

byte place[WRITERS], units[WRITERS]; /* the grant under way: exact from the addition on */
byte committed[WRITERS];   /* records */
byte stamped;              /* bit per writer: its grant has its first stamp */
int boundaries = 1;        /* bit p: a record begins at p */
int passed_over;           /* bit p: unit p became padding in a repair */
byte finished;             /* bit per writer */
byte killed;               /* bit per writer: does no further step; `dead` is the next thing that happens to it */
bit busy;                  /* the daemon: it does one repair at a time, but lets it lie between two looks */
byte repairers_killed;     /* bit per slot under repair */
byte kills, restarts;
hidden byte ground_is_free, floor_is_final, floor_is_boundary, opened_is_final, record_is_whole, record_is_next,
    record_is_sane, batch_is_whole, counts_add_up, bit_is_mine, padding_is_dead, accounts_are_true, loss_is_one_grant,
    start_is_boundary;
hidden byte ghost, other, all_of_it;

#define ALL_DONE (finished == EVERYBODY && !(killed | dead))

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
#define ROOM_IN_REACH(bytes) \
    (position + bytes <= limit || (FRONTIER_PASSES(position + bytes) && CURSOR_PASSES(position + bytes)))

#define LOWEST(set) ((set) & 1 -> 0 : ((set) & 2 -> 1 : 2))

inline check_ground(start, bytes)
{
    ghost = 0;
    ground_is_free = (!LOSSLESS || start + bytes <= cursor + SIZE);
    do
    :: ghost < WRITERS ->
        ground_is_free = ground_is_free && (!(writing & BIT(ghost)) || start + bytes <= place[ghost] + SIZE);
        ghost++
    :: else -> break
    od;
    assert(ground_is_free)
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
    floor_is_boundary = (boundaries >> floor) & 1;
    assert(floor_is_boundary)
}

/* Nobody is active: everything from M to P has its stamp. */
inline check_opened()
{
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
}

/* Every unit belongs to a grant of a dead writer that has not been finished, or was padded by another repair already, and
 * nobody has been granted the next lap's. */
inline check_padding(start, end)
{
    ghost = start;
    padding_is_dead = true;
    do
    :: ghost < end ->
        other = 0;
        all_of_it = (passed_over >> ghost) & 1;
        do
        :: other < WRITERS ->
            all_of_it = all_of_it || ((dead & writing & ~stamped & BIT(other)) && place[other] <= ghost &&
                                      ghost < place[other] + units[other]);
            other++
        :: else -> break
        od;
        padding_is_dead = padding_is_dead && all_of_it && position <= ghost + SIZE;
        ghost++
    :: else -> break
    od;
    assert(padding_is_dead)
}

/* ---- raising the limit ------------------------------------------------------------------------------------------- */

/* From `seen_limit` and the snapshot in `seen` and `members`: the frontier slot by slot (F2), the cursor after it (G3),
 * one compare-and-swap (G2). */
inline ring_raise()
{
    bound = seen;
    do
    :: members ->
        d_step {
            ghost = LOWEST(members);
            bound = (begin[ghost] < bound -> begin[ghost] : bound);
            members = members & ~BIT(ghost)
        }
    :: else -> break
    od;
#if LOSSLESS
    bound = (cursor < bound -> cursor : bound);
#endif
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

inline ring_reserve()
{
    seen = position;                            /* ring_has_room */
    if
    :: seen + granted <= limit -> goto take     /* W0 */
    :: else
    fi;
look:
    seen_limit = limit;                         /* G1 */
    d_step { seen = position; members = writing } /* F1 */
    if
    :: seen + granted > seen_limit ->
        ring_raise();
        d_step { seen = 0; seen_limit = 0 }
        ROOM_IN_REACH(granted);                 /* ring_wait_in_turn */
        goto look
    :: else -> members = 0
    fi;
take:
    atomic { seen_limit = 0; length[me] = granted } /* W1 */
    d_step { begin[me] = seen; exact = exact & ~BIT(me); seen = 0 } /* W2 */
    d_step {                                    /* W3: the addition */
        bit_is_mine = !(writing & BIT(me));
        assert(bit_is_mine);
        check_ground(position, granted);
        place[me] = position;
        units[me] = granted;
        position = position + granted;
        writing = writing | BIT(me);
        boundaries = boundaries | (1 << position)
    }
    d_step { begin[me] = place[me]; exact = exact | BIT(me) } /* W5, after W4 */
}

/* Payload covers what lay there, but for the first header's place; then the headers without their stamps. */
inline store_header(offset, its_units, is_padding, is_batch, its_number)
{
    data[UNIT(place[me] + offset)].units = its_units;
    data[UNIT(place[me] + offset)].padding = is_padding;
    data[UNIT(place[me] + offset)].batch = is_batch;
    data[UNIT(place[me] + offset)].writer = me;
    data[UNIT(place[me] + offset)].number = its_number
}

inline fill()
{
    body[UNIT(place[me])] = TAG(me, next);
    if
    :: granted == 2 ->
        body[UNIT(place[me] + 1)] = TAG(me, next + (used == 1 && batch));
        data[UNIT(place[me] + 1)].stamp = 0;
        data[UNIT(place[me] + 1)].units = NO_LENGTH;
        data[UNIT(place[me] + 1)].padding = 0;
        data[UNIT(place[me] + 1)].batch = 0;
        data[UNIT(place[me] + 1)].writer = 0;
        data[UNIT(place[me] + 1)].number = 0
    :: else
    fi
}

/* What no stamp shows yet nobody but a lossy reader, or a walk that M has passed, looks at. */
inline store_contents()
{
    d_step { fill() }
    d_step {
        store_header(0, used, abort, batch, next);
        if
        :: batch -> store_header(1, 1, 0, 0, next + 1)
        :: used < granted && !batch -> store_header(1, 1, 1, 0, 0) /* padding, a record of its own */
        :: else
        fi
    }
}

/* C1. The stamp of what follows the first record is stored before the first's. Then the accounts: C2, or of an abort. */
inline store_stamps()
{
    if
    :: used < granted ->
        d_step {
            data[UNIT(place[me] + 1)].stamp = place[me] + 2;
            boundaries = boundaries | (1 << (place[me] + 1))
        }
    :: else
    fi;
    d_step {
        data[UNIT(place[me])].stamp = place[me] + 1;
        stamped = stamped | BIT(me);
        committed[me] = committed[me] + 1 + batch - abort
    }
    if
    :: abort -> offered[me]--
    :: else -> d_step { next = next + 1 + batch; sequence[me] = next } /* C2 */
    fi
}

inline forget_grant(writer)
{
    place[writer] = 0;
    units[writer] = 0;
    stamped = stamped & ~BIT(writer)
}

/* C3. If the active set was only mine, this opens everything below P. */
inline ring_finish()
{
    d_step {
        bit_is_mine = (writing & BIT(me)) != 0;
        assert(bit_is_mine);
        writing = writing & ~BIT(me);
        forget_grant(me);
        if
        :: writing == 0 -> check_opened()
        :: else
        fi
    }
}

#define KIND(bits) ((KINDS) & (bits))

/* Counted as offered before the addition. */
inline choose_grant()
{
    atomic {
        if
        :: KIND(1) -> granted = 1; used = 1
        :: KIND(2) -> granted = 2; used = 2
        :: KIND(4) -> granted = 2; used = 1
        :: KIND(8) -> granted = 2; used = 1; batch = 1
        :: KIND(16) -> granted = 1; used = 1; abort = 1
        :: KIND(32) -> granted = 2; used = 2; abort = 1
        fi;
        offered[me] = offered[me] + 1 + batch;
        made++
    }
}

inline forget_choice()
{
    granted = 0;
    used = 0;
    batch = 0;
    abort = 0
}

/* Killed, the slot's next owner takes what is left to do. */
proctype Writer(byte me)
{
    byte made, next, seen, seen_limit, members, bound, granted, used;
    bit batch, abort;

attach:
    {
        next = sequence[me];
        do
        :: made < (me == 0 -> RECORDS : OTHERS) ->
            choose_grant();
            ring_reserve();
            store_contents();
            store_stamps();
            ring_finish();
            d_step { forget_choice() }
        :: else -> break
        od;
        atomic { made = 0; next = 0; finished = finished | BIT(me); goto over }
    } unless {
        d_step {
            killed & BIT(me) ->
            killed = killed & ~BIT(me);
            dead = dead | BIT(me);
            next = 0;
            seen = 0;
            seen_limit = 0;
            members = 0;
            bound = 0;
            forget_choice()
        }
    };
    !(dead & BIT(me));
    goto attach;
over:
    skip
}

proctype Raiser()
{
    byte raises, seen, seen_limit, members, bound;

    do
    :: raises < RAISES ->
        seen_limit = limit;
        d_step { seen = position; members = writing }
        ring_raise();
        d_step { seen = 0; seen_limit = 0; raises++ }
    :: else -> break
    od
}

#ifdef UNPLACED_ONLY
#define MAY_DIE(writer) (VICTIMS & writing & ~exact & BIT(writer))
#else
#define MAY_DIE(writer) (VICTIMS & BIT(writer))
#endif
#define KILL(writer) \
    atomic { \
        kills < KILLS && !((finished | killed | dead) & BIT(writer)) && MAY_DIE(writer) -> \
        killed = killed | BIT(writer); \
        kills++ \
    }

proctype Killer()
{
    do
    :: KILL(0)
    :: KILL(1)
#if WRITERS == 3
    :: KILL(2)
#endif
#if RESTARTS
    :: atomic { restarts < RESTARTS && dead -> repairers_killed = dead; busy = 0; restarts++ }
#endif
    :: atomic { ALL_DONE -> break }
    od
}

/* ---- the repair -------------------------------------------------------------------------------------------------- */

#define STAMP_AT(at) (data[UNIT(at)].stamp == (at) + 1)

/* A piece of padding: its header, then its stamp. */
inline pad_piece(at, end)
{
    d_step {
        check_padding(at, end);
        data[UNIT(at)].units = end - at;
        data[UNIT(at)].padding = 1;
        data[UNIT(at)].batch = 0;
        data[UNIT(at)].writer = 0;
        data[UNIT(at)].number = 0
    }
    d_step {
        data[UNIT(at)].stamp = at + 1;
        /* a border within, that somebody may have seen as the position, is none any more */
        boundaries = (boundaries & ~((1 << end) - (1 << at))) | (1 << at);
        passed_over = passed_over | ((1 << end) - (1 << at))
    }
}

/* Of a slot that is exact below the snapshot's position: place and length of a grant, unless the stamp is there by now,
 * for then the length may be that of the next one. (With M above the place nobody will ask for it.) */
inline note_place()
{
    step = length[i];
#ifndef BUG_NEXT_LENGTH
    if
    :: STAMP_AT(q) -> goto noted
    :: else
    fi;
#endif
#ifdef BUG_BELOW_FLOOR
    if
    :: q < FLOOR(limit) -> goto give_up
    :: else
    fi;
#endif
    d_step { fact_place[i] = q; fact_length[i] = step }
noted:
    atomic { q = 0; step = 0 }
}

#define RESOLVED(i) \
    ((exact & BIT(i)) || !(writing & BIT(i)) || begin[i] >= snapshot || (dead & BIT(i)))

/* Each member once: its place is known, or it has finished, or it speaks of a reservation above the snapshot already.
 * The dead whose place is not known make the gaps. */
inline resolve_members()
{
    i = 0;
    do
    :: i < WRITERS ->
        if
        :: i != x && (members & BIT(i)) ->
            if
#ifndef BUG_UNRESOLVED
            :: atomic { !RESOLVED(i) -> busy = 0 }
               atomic { !busy && RESOLVED(i) -> busy = 1 }
            :: atomic { RESOLVED(i) -> skip }
#else
            :: true
#endif
            fi;
            atomic {
                if
                :: begin[i] >= snapshot
                :: begin[i] < snapshot && (exact & BIT(i)) -> q = begin[i]; goto its_place
                :: begin[i] < snapshot && !(exact & BIT(i)) -> several = several || (dead & writing & BIT(i))
                fi
            }
        :: else
        fi;
        goto next_member;
its_place:
        note_place();
next_member:
        i++
    :: else -> i = 0; break
    od
}

/* What has been looked at from here on up to q has neither stamp nor fact. */
inline close_gap()
{
    do
    :: in_gap && gap < q ->
#if defined(BUG_LONG_PIECE)
        e = q;
#elif defined(BUG_ONE_PIECE)
        e = (q - gap > MAX_GRANT -> gap + MAX_GRANT : q);
#else
        e = (several -> gap + 1 : q);
#endif
        pad_piece(gap, e);
        d_step { gap = e; e = 0 }
    :: else -> break
    od;
    atomic { in_gap = 0; gap = 0 }
}

inline find_fact()
{
    d_step {
        i = 0;
        do
        :: i < WRITERS ->
            step = (fact_length[i] && fact_place[i] == q -> fact_length[i] : step);
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* One place: a stamp, a fact or nothing; then M: with M above it that counts for nothing. */
inline walk_once()
{
#ifdef BUG_NEXT_LENGTH
    find_fact();
#endif
    if
    :: step == 0 && STAMP_AT(q) ->
        step = data[UNIT(q)].units;
#ifdef BUG_SPAN
        goto lead_on
#endif
    :: else ->
#ifdef BUG_GAP_END
        if
        :: in_gap
        :: else -> find_fact()
        fi
#else
        find_fact()
#endif
#ifdef BUG_MISS
        ;
        goto lead_on
#endif
    fi;
    if
    :: FLOOR(limit) > q -> d_step { q = FLOOR(limit); step = 0 } goto walk_on
    :: else
    fi;
lead_on:
    if
    :: step == 0 && !in_gap -> d_step { in_gap = 1; gap = q; q++ }
    :: step == 0 && in_gap -> q++
    :: step > 0 -> close_gap(); d_step { q = q + step; step = 0 }
    fi
}

#ifndef BUG_PASS_SNAPSHOT
#define WALK_END snapshot
#else
#define WALK_END position
#endif

/* Not in a gap: who comes meanwhile may pad it in other pieces, and readers may be in it. */
#ifndef BUG_GAP_LIES
#define MAY_LIE (!in_gap)
#else
#define MAY_LIE true
#endif

inline walk()
{
    q = begin[x];
    atomic {
        if
        :: q < FLOOR(limit) -> q = FLOOR(limit)
        :: else
        fi
    }
walk_on:
    do
    :: q < WALK_END -> walk_once()
    :: atomic { q < WALK_END && (dead & ~BIT(x)) && MAY_LIE -> busy = 0 }
       atomic { !busy -> busy = 1 }
    :: q >= WALK_END -> close_gap(); break
    od
}

/* The last record of a grant that is in says how many there are. Nobody writes there: the reads may be one step. */
inline mend_sequence()
{
    d_step {
        step = data[UNIT(begin[x])].number + 1;
        if
        :: length[x] > data[UNIT(begin[x])].units && !data[UNIT(begin[x] + 1)].padding ->
            step = data[UNIT(begin[x] + 1)].number + 1
        :: else
        fi
    }
    atomic { sequence[x] = step; step = 0 }
}

/* In every case: it is repeatable, a subtraction would borrow from the position. */
inline clear_bit()
{
    d_step {
#ifdef BUG_SUBTRACT
        bit_is_mine = (writing & BIT(x)) != 0;
        assert(bit_is_mine);
#endif
        writing = writing & ~BIT(x);
        forget_grant(x);
        if
        :: writing == 0 -> check_opened()
        :: else
        fi
    }
}

inline free_slot()
{
    d_step {
        accounts_are_true = (sequence[x] == committed[x] && offered[x] == sequence[x]);
        assert(accounts_are_true);
        dead = dead & ~BIT(x)
    }
}

inline repair_slot()
{
    d_step { snapshot = position; members = writing }
    if
    :: !(members & BIT(x))                      /* the first case */
    :: (members & exact & BIT(x)) ->            /* the second */
#ifdef BUG_CLEAR_FIRST
        clear_bit();
#endif
        if
#ifndef BUG_PAD_UNSEEN
        :: STAMP_AT(begin[x]) -> kept = !data[UNIT(begin[x])].padding
#endif
        :: else -> pad_piece(begin[x], begin[x] + length[x])
        fi
    :: (members & ~exact & BIT(x)) ->           /* the third */
        resolve_members();
        walk()
    fi;
#ifdef BUG_BELOW_FLOOR
give_up:
#endif
#ifdef BUG_MEND_LATE
    clear_bit();
#endif
#ifndef BUG_NO_MEND
    if
    :: kept -> mend_sequence()
    :: else
    fi;
#endif
    atomic {
        loss_is_one_grant = (offered[x] - sequence[x] <= MAX_GRANT);
        assert(loss_is_one_grant);
        offered[x] = sequence[x]                /* the rest is lost */
    }
    clear_bit();
    free_slot()
}

inline forget_repair()
{
    i = 0;
    q = 0;
    e = 0;
    step = 0;
    snapshot = 0;
    members = 0;
    several = 0;
    gap = 0;
    in_gap = 0;
    kept = 0;
    do
    :: i < WRITERS -> fact_place[i] = 0; fact_length[i] = 0; i++
    :: else -> break
    od;
    i = 0
}

inline check_end()
{
    bit_is_mine = (writing == 0);
    assert(bit_is_mine);
    check_opened();
    i = 0;
    do
    :: i < WRITERS ->
        accounts_are_true = (sequence[i] == committed[i] && offered[i] == sequence[i]);
        assert(accounts_are_true);
        i++
    :: else -> break
    od;
    i = 0
}

/* One for each slot: the daemon has one thread, but a repair that has to wait, or goes a long way, lies while it sees to
 * others. */
proctype Repairer(byte x)
{
    byte i, q, e, step, gap, snapshot, members;
    byte fact_place[WRITERS], fact_length[WRITERS];
    bit several, in_gap, kept;

begin_anew:
    {
        do
        :: atomic { !busy && (dead & BIT(x)) -> busy = 1 }
           repair_slot();
           d_step { forget_repair(); busy = 0 }
        :: atomic { ALL_DONE -> goto over }
        od
    } unless {
        d_step { repairers_killed & BIT(x) -> repairers_killed = repairers_killed & ~BIT(x); forget_repair() }
    };
    goto begin_anew;
over:
    atomic {
        if
        :: x == 0 -> check_end()
        :: else
        fi
    }
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* Reads in place and gives back at once (N1, P1), padding too. */
proctype Lossless()
{
    byte at;
    byte expected[WRITERS];

    do
    :: atomic {
            STAMP_AT(at) ->
            d_step {
                record_is_sane = (data[UNIT(at)].units >= 1 && data[UNIT(at)].units <= MAX_GRANT);
                assert(record_is_sane);
                if
                :: !data[UNIT(at)].padding ->
                    record_is_next = (data[UNIT(at)].number == expected[data[UNIT(at)].writer]);
                    assert(record_is_next);
                    ghost = TAG(data[UNIT(at)].writer, data[UNIT(at)].number);
                    record_is_whole = (body[UNIT(at)] == ghost);
                    if
                    :: data[UNIT(at)].units == 2 -> record_is_whole = record_is_whole && body[UNIT(at + 1)] == ghost
                    :: else
                    fi;
                    assert(record_is_whole);
                    batch_is_whole = (!data[UNIT(at)].batch || data[UNIT(at + 1)].stamp == at + 2);
                    assert(batch_is_whole);
                    expected[data[UNIT(at)].writer]++
                :: else
                fi;
                at = at + data[UNIT(at)].units;
                cursor = at
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
    copy.number = 0
}

/* Copies, header and then payload unit by unit, and validates afterwards (V1). Lapped, it resumes at M: if no record
 * begins there it finds nothing for good. */
proctype Lossy()
{
    byte at, i;
    header copy;
    bit torn;
    byte expected[WRITERS], delivered[WRITERS], missed[WRITERS];

look:
    if
    :: atomic { STAMP_AT(at) -> skip }; goto keep_copy
    :: atomic { at < FLOOR(limit) && !STAMP_AT(at) -> skip }; goto lapped
    :: atomic { ALL_DONE && at == position -> skip }; goto count
    fi;
keep_copy:
    atomic {
        copy.units = data[UNIT(at)].units;
        copy.padding = data[UNIT(at)].padding;
        copy.writer = data[UNIT(at)].writer;
        copy.number = data[UNIT(at)].number
    }
    do
    :: i < copy.units && i < MAX_GRANT ->
        d_step {
            torn = torn || (!copy.padding && body[UNIT(at + i)] != TAG(copy.writer, copy.number));
            i++
        }
    :: else -> i = 0; break
    od;
    if /* reader_intact */
    :: at >= FLOOR(limit)
    :: else ->
        if
        :: position <= at + SIZE
        :: else -> goto lapped
        fi
    fi;
    atomic {
        record_is_sane = (copy.units >= 1 && copy.units <= MAX_GRANT);
        assert(record_is_sane);
        record_is_whole = !torn;
        assert(record_is_whole);
        if
        :: !copy.padding ->
            record_is_next = (copy.number >= expected[copy.writer]);
            assert(record_is_next);
            missed[copy.writer] = missed[copy.writer] + copy.number - expected[copy.writer];
            expected[copy.writer] = copy.number + 1;
            delivered[copy.writer]++
        :: else
        fi;
        at = at + copy.units;
        forget_copy()
    }
    goto look;
lapped:
    atomic { at = FLOOR(limit); torn = 0; forget_copy() }
    goto look;
count:
    atomic {
        i = 0;
        do
        :: i < WRITERS ->
            missed[i] = missed[i] + sequence[i] - expected[i];
            counts_add_up = (delivered[i] + missed[i] == committed[i]);
            assert(counts_add_up);
            i++
        :: else -> break
        od
    }
}

/* Where it begins a record must begin, unless it has been lapped. */
proctype Newcomer()
{
    byte at;

    at = position;
    atomic {
        ALL_DONE ->
        d_step {
            start_is_boundary = true;
            do
            :: start_is_boundary && FLOOR(limit) <= at && at < position ->
                start_is_boundary = STAMP_AT(at);
                at = at + data[UNIT(at)].units
            :: else -> break
            od;
            assert(start_is_boundary);
            at = 0
        }
    }
}

init
{
    byte i = 0;

    atomic {
        do
        :: i < WRITERS -> run Writer(i); run Repairer(i); i++
        :: else -> break
        od;
        run Killer();
#if RAISES
        run Raiser();
#endif
#if LOSSLESS
        run Lossless();
#endif
#if LOSSY
        run Lossy();
#endif
#if NEWCOMER
        run Newcomer()
#endif
    }
}
