/* wait.pml - waiting for room in order of arrival, and sleeping without missing what one sleeps for.
 *
 * The queue of the writers that wait (a bit in `waiters`, a ticket, a need: ring_queue_enter, ring_needs_before,
 * ring_queue_leave) and the two eventcounts (libclient/wake.h), on a ring whose data are only a set of stamped places.
 * A raise is three steps: needs, one look at limit, W and the slots, one compare-and-swap with the cursor; that finer
 * steps do no harm to the data is the matter of ring.pml. The limit goes no further than the one who raises it needs
 * (a mark may be as near as that), so that nobody can live on the room that somebody else has made.
 *
 * An eventcount is kept as what it is for: who has announced and not been woken since (`space_armed`, `data_armed`). To
 * announce is to enter it, to wake is to empty it, to sleep is to wait until one is not in it any more. That the word
 * with its count, and the system call, do just this is shown by wake.pml.
 *
 *   Writer    ring_has_room, ring_reserve_slow, ring_wait_in_turn, ring_take, ring_finish
 *   Reader    ringd_next and ringd_release of a lossless reader; the ring is full of unread records when it begins
 *
 * Checked: nobody sleeps for good (a lost wake-up is an invalid end state); of those who wait, nobody takes the room of
 * one with an earlier ticket (`turn_is_kept`), but for writers whose look had begun before that one's ticket was drawn:
 * each of them may still go once, and is accounted for (`late`).
 *
 * Spinning and naps before a writer gets in line are more looks like the first; they are left out here.
 *
 * Between two stores of somebody else (the addition and the exact place, the bit and the ticket) a look finds less room
 * than there is, and nobody will wake for the second store. Who has met that (`soon`) only naps.
 *
 * Sizes:    -DWRITERS -DRECORDS -DMAX_GRANT=1|2 -DREACH (units); -DREADER=0: none, 1: one that sleeps, 2: a busy one;
 *           -DIMPATIENT: the last writer may reach its deadline. -DHOLDS: writer 0 keeps its first grant until nobody
 *           else can do anything; -DPAUSES: the reader stops reading until then. By then nobody may sleep who could
 *           have room (`nobody_sleeps_in_vain`).
 * Rules left out: -DBUG_ANNOUNCE_LATE, BUG_NEWCOMER, BUG_BEYOND, BUG_LEAVE_QUIETLY, BUG_TICKET_BEFORE_LEAVING, BUG_FINISH_QUIETLY,
 *           BUG_KEEP_CURSOR, BUG_TICKET_FIRST, BUG_LOOK_FIRST, BUG_NO_NAP, BUG_NO_SECOND_LOOK
 */
#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef RECORDS
#define RECORDS 1
#endif
#ifndef MAX_GRANT
#define MAX_GRANT 1
#endif
#ifndef REACH
#define REACH 1
#endif
#ifndef READER
#define READER 1
#endif
#if READER
#define FULL REACH /* units that are there, unread, when the writers begin */
#else
#define FULL 0
#endif

#define BIT(writer) (1 << (writer))

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

byte position = FULL, writing; /* W */
byte limit = REACH;
byte begin[WRITERS], exact; /* slot.begin; `exact`: bit per writer */
byte cursor;
int stamped = (1 << FULL) - 1; /* bit p: the record at p has its stamp */
byte units_at[FULL + WRITERS * RECORDS * MAX_GRANT + 1] = 1; /* its length */

byte waiters, next_ticket = 1;
byte ticket[WRITERS];   /* 0: in the queue, no ticket drawn yet; counts as earlier than every other */
byte need[WRITERS];

byte space_armed;       /* bit per writer */
bit data_armed;         /* the reader */
bit on_its_way;         /* the reader's plain store has not arrived yet */

/* ---- ghosts ------------------------------------------------------------------------------------------------------ */

byte finished;
byte looking;              /* bit per writer: from the first load of a look to its end, or to the addition */
byte overlooked[WRITERS];  /* [b]: those whose ticket was drawn while b was looking */
byte turn[WRITERS];        /* [a]: its ticket from the draw to the addition, or until it gives up; 0: none */
byte late[WRITERS];        /* [a]: units that such have taken since a's ticket was drawn */
hidden byte turn_is_kept, nobody_sleeps_in_vain, sum;
hidden byte i, j;

/* ---- finding room ------------------------------------------------------------------------------------------------ */

#define NO_TICKET 255

/* What who has no turn leaves free besides the needs of those who wait: a grant of each that looks as it does. */
#ifdef BUG_BEYOND
#define BEYOND 0
#else
#define BEYOND (WRITERS * MAX_GRANT)
#endif

/* What those who wait with an earlier ticket need. `soon`: one of them has yet to draw its ticket. */
inline ring_needs_before()
{
    i = 0;
    do
    :: i < WRITERS ->
        if
        :: i != me && (waiters & BIT(i)) && ticket[i] < mine ->
            before = before + need[i];
            soon = soon || ticket[i] == 0
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* ring_look and ring_frontier. `soon`: somebody active has yet to say where exactly it is. */
inline ring_look()
{
    d_step {
        seen_limit = limit;
        seen = position;
        bound = position;
        i = 0;
        do
        :: i < WRITERS ->
            if
            :: (writing & BIT(i)) ->
                bound = (begin[i] < bound -> begin[i] : bound);
                soon = soon || !(exact & BIT(i))
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* A look of ring_try begins with the needs, so that whoever has gone from the queue by then is in the position. */
inline look_begins()
{
    looking = looking | BIT(me);
    overlooked[me] = 0;
    soon = 0;
    before = 0;
#ifndef BUG_LOOK_FIRST
    ring_needs_before()
#endif
}

inline look_ends()
{
    looking = looking & ~BIT(me);
    overlooked[me] = 0;
    seen = 0;
    seen_limit = 0;
    bound = 0;
    before = 0;
    mine = 0
}

/* ring_try, its first look begun: finds room once. `found` says whether there is. */
inline ring_try()
{
    do
    :: true ->
        ring_look();
#ifdef BUG_LOOK_FIRST
        d_step { ring_needs_before() }
#endif
        before = (mine == NO_TICKET && before > 0 -> before + BEYOND : before);
#ifdef BUG_NEWCOMER
        before = (mine == NO_TICKET -> 0 : before);
#endif
        if
        :: seen + before + units <= seen_limit -> found = 1; break
        :: else
        fi;
        /* ring_raise: to what is needed, or as far as it goes */
        atomic {
#if READER
            bound = (cursor < bound -> cursor : bound); /* G3 */
#endif
            bound = (seen + before + units < bound + REACH -> seen + before + units : bound + REACH);
            if
            :: bound <= seen_limit -> found = 0; look_ends(); break /* it stands */
            :: bound > seen_limit && limit == seen_limit -> limit = bound /* G2 */
            :: else /* somebody else has raised it */
            fi;
            bound = 0;
            seen = 0;
            seen_limit = 0;
            look_begins()
        }
    od
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

inline draw_ticket(drawn)
{
    d_step { /* T1 */
        drawn = next_ticket;
        turn[me] = next_ticket;
        next_ticket++;
        i = 0;
        do
        :: i < WRITERS ->
            overlooked[i] = (looking & BIT(i) -> overlooked[i] | BIT(me) : 0);
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* The bit first: whoever draws a later ticket sees it then, and with it the need. */
inline ring_queue_enter()
{
#ifndef BUG_TICKET_FIRST
    d_step { soon = 0; need[me] = units; waiters = waiters | BIT(me) } /* Q1 */
    draw_ticket(mine);
    ticket[me] = mine;
#else
    draw_ticket(mine);
    atomic { need[me] = units; ticket[me] = mine }
    waiters = waiters | BIT(me);
#endif
    mine = 0
}

/* With a need gone there may be room enough for those behind, if there are any: T2. */
inline ring_queue_leave()
{
#ifdef BUG_TICKET_BEFORE_LEAVING
    d_step { mine = ticket[me]; mine = (next_ticket == mine + 1 -> 0 : NO_TICKET) }
#endif
    d_step {
#ifndef BUG_TICKET_BEFORE_LEAVING
        mine = ticket[me];
#endif
        waiters = waiters & ~BIT(me);
        need[me] = 0;
        ticket[me] = 0;
        space_armed = space_armed & ~BIT(me);
        forget_turn()
    }
#ifndef BUG_LEAVE_QUIETLY
    d_step {
#ifdef BUG_TICKET_BEFORE_LEAVING
        space_armed = (mine == 0 -> space_armed : 0);
#else
        space_armed = (next_ticket == mine + 1 -> space_armed : 0);
#endif
        mine = 0
    }
#else
    mine = 0
#endif
}

/* ---- a writer ---------------------------------------------------------------------------------------------------- */

/* Who waits with an earlier ticket must still have its room after this addition of mine. */
inline check_turns()
{
    j = 0;
    do
    :: j < WRITERS ->
        if
        :: j != me && turn[j] && (!turn[me] || turn[j] < turn[me]) ->
            if
            :: overlooked[me] & BIT(j) -> late[j] = late[j] + units
            :: else ->
                sum = 0;
                i = 0;
                do
                :: i < WRITERS ->
                    sum = sum + (turn[i] && turn[i] <= turn[j] -> need[i] : 0);
                    i++
                :: else -> break
                od;
                turn_is_kept = (position + units + sum <= limit + late[j]);
                assert(turn_is_kept)
            fi
        :: else
        fi;
        j++
    :: else -> break
    od
}

/* It waits no more. */
inline forget_turn()
{
    turn[me] = 0;
    late[me] = 0;
    j = 0;
    do
    :: j < WRITERS -> overlooked[j] = overlooked[j] & ~BIT(me); j++
    :: else -> break
    od;
    i = 0;
    j = 0
}

inline ring_take()
{
    d_step { /* W2, which nobody looks at before W3, the addition */
        check_turns();
        forget_turn();
        begin[me] = seen;
        exact = exact & ~BIT(me);
        place = position;
        position = position + units;
        writing = writing | BIT(me);
        look_ends();
        soon = 0;
        space_armed = space_armed & ~BIT(me)
    }
    d_step { begin[me] = place; exact = exact | BIT(me) } /* W5 */
}

/* ring_wait_in_turn: announce, look again, sleep. The first sleep after an announcement is only a nap: a reader's
 * release may have been on its way when its look missed the announcement and ours missed the release. That it has
 * arrived when a nap is over is taken as given. */
inline ring_wait_in_turn()
{
    do
    :: true ->
        atomic {
            fresh = !(space_armed & BIT(me));
#ifndef BUG_ANNOUNCE_LATE
            space_armed = space_armed | BIT(me); /* S1 */
#endif
            mine = ticket[me];
            look_begins()
        }
        ring_try();
#ifdef BUG_ANNOUNCE_LATE
        space_armed = space_armed | BIT(me);
#endif
        if
        :: found -> break
        :: else
        fi;
#ifdef IMPATIENT
        if
        :: me == WRITERS - 1 -> break /* -ETIMEDOUT */
        :: true
        fi;
#endif
#ifdef BUG_NO_NAP
        soon = 0;
#endif
#if defined(BUG_NO_SECOND_LOOK) || READER != 1
        fresh = 0; /* the other readers' stores arrive at once */
#endif
        if /* wake_sleep */
        :: !(space_armed & BIT(me))
        :: (soon || fresh) && !on_its_way /* only a nap */
        fi;
        soon = 0
    od;
    fresh = 0
}

/* ring_has_room, then ring_reserve_slow: who finds somebody waiting and not room for all goes to the end of the queue. */
inline ring_reserve()
{
    d_step { mine = NO_TICKET; look_begins(); before = 0; seen = position }
    if
#ifdef BUG_NEWCOMER
    :: seen + units <= limit -> found = 1
#else
    :: waiters == 0 && seen + units <= limit -> found = 1 /* W0 */
#endif
    :: else -> d_step { look_ends(); mine = NO_TICKET; look_begins() }
        ring_try()
    fi;
    if
    :: found -> ring_take()
    :: else ->
        ring_queue_enter();
        ring_wait_in_turn();
        if
        :: found -> ring_take()
        :: else
        fi;
        ring_queue_leave()
    fi
}

inline ring_finish()
{
    d_step { /* C1, C3, C4, ring_wake */
        stamped = stamped | (1 << place);
        units_at[place] = units;
        writing = writing & ~BIT(me);
        data_armed = 0;
#ifndef BUG_FINISH_QUIETLY
        space_armed = 0;
#endif
        begin[me] = 0;
        exact = exact & ~BIT(me);
        place = 0;
        units = 0;
        found = 0
    }
}

/* Nobody else can do anything: does anybody sleep who could have room? `place` is that of a grant that is kept. */
inline check_sleepers(place)
{
    d_step {
        j = 0;
        do
        :: j < WRITERS ->
            sum = 0;
            i = 0;
            do
            :: i < WRITERS ->
                sum = sum + ((waiters & BIT(i)) && ticket[i] <= ticket[j] -> need[i] : 0);
                i++
            :: else -> break
            od;
            sum = position + sum;
            nobody_sleeps_in_vain = !(space_armed & BIT(j)) ||
                                    (sum > limit && (sum > place + REACH || (READER && sum > cursor + REACH)));
            assert(nobody_sleeps_in_vain);
            j++
        :: else -> break
        od;
        i = 0;
        j = 0
    }
}

proctype Writer(byte me)
{
    byte made, units, place, seen, seen_limit, bound, before, mine;
    bit found, soon, fresh;

    do
    :: made < RECORDS ->
        if
        :: units = 1
#if MAX_GRANT == 2
        :: units = 2
#endif
        fi;
        ring_reserve();
        if
        :: found ->
#ifdef HOLDS
            if
            :: me == 0 && made == 0 -> timeout; check_sleepers(place)
            :: else
            fi;
#endif
            ring_finish()
        :: else -> units = 0 /* RINGD_FULL */
        fi;
        made++
    :: else -> break
    od;
    atomic { made = 0; finished++ }
}

/* ---- the reader -------------------------------------------------------------------------------------------------- */

/* ringd_release: a plain store (P1), then a look at who waits for space (P2), which the store may arrive after. */
inline ringd_release()
{
    atomic { called = (space_armed != 0); on_its_way = 1 }
    atomic {
        on_its_way = 0;
        cursor = at;
        space_armed = (called -> 0 : space_armed);
        called = 0
    }
}

#if READER == 2
/* Looks all the time, sleeps never, gives back every record at once. */
proctype Reader()
{
    do
    :: atomic {
            stamped & (1 << cursor) -> /* N1 */
            cursor = cursor + units_at[cursor];
            space_armed = 0            /* P1, P2 */
        }
    :: finished == WRITERS && cursor == position -> break
    od
}
#else
proctype Reader()
{
    byte at, published;
    bit called;

    do
    :: atomic { stamped & (1 << at) -> at = at + units_at[at] } /* N1 */
        if
        :: ringd_release();
#ifdef PAUSES
            timeout; /* its user is busy with something else, for ever as far as others can tell */
            check_sleepers(position)
#endif
        :: true /* with a later one */
        fi
    :: else -> /* nothing to read: wait_for_data, when its user has released everything */
#ifndef BUG_KEEP_CURSOR
        if
        :: cursor != at -> ringd_release()
        :: else
        fi;
        if
        :: published != at -> d_step { published = at; space_armed = 0 } /* publish: P1 and P2 in one */
        :: else
        fi;
#endif
#ifndef BUG_ANNOUNCE_LATE
        data_armed = 1;                            /* S1 */
#endif
        if
        :: stamped & (1 << at) -> data_armed = 0   /* S2 */
        :: else ->
#ifdef BUG_ANNOUNCE_LATE
            data_armed = 1;
#endif
            if
            :: !data_armed                         /* wake_sleep */
            :: finished == WRITERS && at == position && cursor == at -> break /* ghost: it may sleep for good */
            fi
        fi
    od
}
#endif

init
{
    byte n = 0;

    atomic {
        do
        :: n < WRITERS -> run Writer(n); n++
        :: else -> break
        od;
#if READER
        run Reader()
#endif
    }
}
