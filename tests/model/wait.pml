/* wait.pml - waiting for room in order of arrival, and sleeping without missing what one sleeps for.
 *
 * The queue of the writers that wait (a bit in `waiters`, a ticket, a need: ring_queue_enter, ring_needs_before,
 * ring_queue_leave) and the two eventcounts (libclient/wake.h), on a ring whose data are only a set of stamped places.
 * A raise is three steps: needs, one look at limit, W and the slots, one compare-and-swap with the cursor; that finer
 * steps do no harm to the data is the matter of ring.pml. The limit goes no further than the one who raises it needs
 * (a mark may be as near as that), so that nobody can live on the room that somebody else has made.
 *
 * An eventcount's word is compared by its sleeper with the value it got when it announced; it differs as soon as
 * somebody has woken since. So the model keeps, in place of the count, who has announced since the last wake (`armed`),
 * bit 0 (`called`: it stays set when the announcer goes away), and who is inside the system call (`asleep`). Checking
 * the word and falling asleep is one step of the kernel; moving the count on and waking are two steps of the waker.
 *
 *   Writer    ring_reserve_fast, ring_reserve_slow, ring_wait_in_turn, ring_take, ring_finish
 *   Reader    ring_next and ringd_release of a lossless reader, with batches of -DSTEP units between publications
 *
 * Checked: nobody sleeps for good (a lost wake-up is an invalid end state); of those who wait, nobody takes the room of
 * one with an earlier ticket (`turn_is_kept`), but for writers whose look had begun before that one's ticket was drawn:
 * each of them may still go once, and is accounted for (`late`).
 *
 * Sizes:    -DWRITERS -DRECORDS -DMAX_GRANT=1|2 -DREACH (units) -DSTEP; -DIMPATIENT: the last writer may reach its
 *           deadline; -DHOLDS: writer 0 keeps its first grant until nobody else can do anything, and by then nobody may
 *           sleep who could have room.
 * Rules left out: -DBUG_ANNOUNCE_LATE, BUG_NEWCOMER, BUG_LEAVE_QUIETLY, BUG_FINISH_QUIETLY, BUG_FINISH_LOOKS_FIRST,
 *           BUG_KEEP_CURSOR, BUG_TICKET_FIRST, BUG_LOOK_FIRST, BUG_NO_NAP
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
#ifndef STEP
#define STEP 2
#endif

#define BIT(writer) (1 << (writer))

/* ---- shared memory ------------------------------------------------------------------------------------------------ */

byte position, writing; /* W */
byte limit = REACH;
byte begin[WRITERS], exact; /* slot.begin; `exact`: bit per writer */
byte cursor;
int stamped;            /* bit p: the record at p has its stamp, and so does what belongs to it */

byte waiters, next_ticket = 1;
byte ticket[WRITERS];   /* 0: in the queue, no ticket drawn yet; counts as earlier than every other */
byte need[WRITERS];

bit space_called, data_called;
byte space_armed, space_asleep; /* bit per writer */
bit data_armed, data_asleep;    /* the reader */

/* ---- ghosts ------------------------------------------------------------------------------------------------------- */

byte finished;
byte looking;              /* bit per writer: between the first load of a look and the addition or the end of it */
byte overlooked[WRITERS];  /* [b]: those whose ticket was drawn while b was looking */
byte late[WRITERS];        /* [a]: units that such have taken since a's ticket was drawn */
hidden byte turn_is_kept, nobody_sleeps_in_vain, sum;
hidden byte i, j;

/* ---- eventcounts: wake.c ------------------------------------------------------------------------------------------ */

inline wake_announce_space()
{
    d_step { space_called = 1; space_armed = space_armed | BIT(me) }
}

/* Falls asleep if nobody has woken since the announcement; goes on when woken, or at once if it is only to nap. */
inline wake_sleep_space(nap)
{
    if
    :: atomic { space_armed & BIT(me) ->
            space_armed = space_armed & ~BIT(me);
            space_asleep = space_asleep | BIT(me)
        }
        if
        :: !(space_asleep & BIT(me))
        :: nap -> space_asleep = space_asleep & ~BIT(me)
        fi
    :: !(space_armed & BIT(me))
    fi
}

inline wake_all_space()
{
    if
    :: atomic { space_called -> space_called = 0; space_armed = 0 }
        space_asleep = 0
    :: !space_called
    fi
}

inline wake_all_data()
{
    if
    :: atomic { data_called -> data_called = 0; data_armed = 0 }
        data_asleep = 0
    :: !data_called
    fi
}

/* ---- finding room ------------------------------------------------------------------------------------------------- */

#define MY_TICKET (ticket[me] -> ticket[me] : 255)
#define EARLIER(x) (ticket[x] < mine)

/* What those who wait with an earlier ticket need. `soon`: one of them has yet to draw its ticket. */
inline ring_needs_before()
{
    d_step {
        before = 0;
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

inline look_begins()
{
    d_step { looking = looking | BIT(me); overlooked[me] = 0; soon = 0 }
}

inline look_ends()
{
    d_step { looking = looking & ~BIT(me); overlooked[me] = 0; seen = 0; seen_limit = 0; bound = 0; before = 0 }
}

/* ring_try: finds room once. `found` says whether there is. */
inline ring_try(its_ticket)
{
    mine = its_ticket;
    do
    :: true ->
#ifndef BUG_LOOK_FIRST
        atomic { look_begins(); ring_needs_before() }
        ring_look();
#else
        atomic { look_begins(); ring_look() }
        ring_needs_before();
#endif
#ifdef BUG_NEWCOMER
        before = (mine == 255 -> 0 : before);
#endif
        if
        :: seen + before + units <= seen_limit -> found = 1; break
        :: else
        fi;
        /* ring_raise: to what is needed, or as far as it goes */
        atomic {
            bound = (cursor < bound -> cursor : bound); /* G3 */
            bound = (seen + before + units < bound + REACH -> seen + before + units : bound + REACH);
            if
            :: bound <= seen_limit -> found = 0; look_ends(); break /* it stands */
            :: bound > seen_limit && limit == seen_limit -> limit = bound /* G2 */
            :: else /* somebody else has raised it */
            fi;
            bound = 0
        }
    od;
    mine = 0
}

/* ---- the queue ---------------------------------------------------------------------------------------------------- */

inline draw_ticket(drawn)
{
    d_step { /* T1 */
        drawn = next_ticket;
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
    need[me] = units;
    waiters = waiters | BIT(me);  /* Q1 */
    draw_ticket(mine);
    ticket[me] = mine;
#else
    draw_ticket(mine);
    atomic { need[me] = units; ticket[me] = mine }
    waiters = waiters | BIT(me);
#endif
    mine = 0
}

/* With a need gone there may be room enough for those behind. */
inline ring_queue_leave()
{
    d_step {
        waiters = waiters & ~BIT(me);
        need[me] = 0;
        ticket[me] = 0
    }
#ifndef BUG_LEAVE_QUIETLY
    wake_all_space()
#endif
}

/* ---- a writer ----------------------------------------------------------------------------------------------------- */

/* Who waits with an earlier ticket must still have its room after this addition of mine. */
inline check_turns()
{
    j = 0;
    do
    :: j < WRITERS ->
        if
        :: j != me && (waiters & BIT(j)) && ticket[j] && !(writing & BIT(j)) &&
           (!(waiters & BIT(me)) || ticket[me] == 0 || ticket[j] < ticket[me]) ->
            if
            :: overlooked[me] & BIT(j) -> late[j] = late[j] + units
            :: else ->
                sum = 0;
                i = 0;
                do
                :: i < WRITERS ->
                    if
                    :: (waiters & BIT(i)) && ticket[i] && ticket[i] <= ticket[j] && !(writing & BIT(i)) ->
                        sum = sum + need[i]
                    :: else
                    fi;
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
    od;
    i = 0;
    j = 0
}

inline ring_take()
{
    d_step { begin[me] = seen; exact = exact & ~BIT(me) } /* W2 */
    d_step {                                              /* W3 */
        check_turns();
        place = position;
        position = position + units;
        writing = writing | BIT(me);
        late[me] = 0;
        j = 0;
        do
        :: j < WRITERS -> overlooked[j] = overlooked[j] & ~BIT(me); j++
        :: else -> break
        od;
        j = 0;
        looking = looking & ~BIT(me);
        overlooked[me] = 0;
        seen = 0; seen_limit = 0; bound = 0; before = 0; soon = 0
    }
    d_step { begin[me] = place; exact = exact | BIT(me) } /* W5 */
}

/* ring_wait_in_turn: announce, look again, sleep. */
inline ring_wait_in_turn()
{
    do
    :: true ->
#ifdef BUG_ANNOUNCE_LATE
        ring_try(ticket[me]);
        if
        :: found -> break
        :: else
        fi;
        wake_announce_space();
#else
        wake_announce_space();
        ring_try(ticket[me]);
        if
        :: found -> space_armed = space_armed & ~BIT(me); break /* its value is forgotten, bit 0 stays */
        :: else
        fi;
#endif
#ifdef IMPATIENT
        if
        :: me == WRITERS - 1 -> space_armed = space_armed & ~BIT(me); break /* -ETIMEDOUT */
        :: true
        fi;
#endif
#ifdef BUG_NO_NAP
        soon = 0;
#endif
        wake_sleep_space(soon);
        soon = 0
    od
}

/* ring_reserve_fast, then ring_reserve_slow. */
inline ring_reserve()
{
    atomic { look_begins(); seen = position }
    if
#ifdef BUG_NEWCOMER
    :: seen + units <= limit -> found = 1
#else
    :: waiters == 0 && seen + units <= limit -> found = 1 /* W0 */
#endif
    :: else -> look_ends(); ring_try(255)
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
    d_step { stamped = stamped | (1 << place); units_at[place] = units } /* C1 */
#ifdef BUG_FINISH_LOOKS_FIRST
    d_step { soon = data_called; found = space_called };
    writing = writing & ~BIT(me);
    if
    :: soon -> wake_all_data()
    :: else
    fi;
    if
    :: found -> wake_all_space()
    :: else
    fi;
    soon = 0;
#else
    writing = writing & ~BIT(me);                                        /* C3 */
    wake_all_data();                                                     /* C4, ring_wake */
#ifndef BUG_FINISH_QUIETLY
    wake_all_space();
#endif
#endif
    d_step { place = 0; units = 0; found = 0 }
}

byte units_at[WRITERS * RECORDS * MAX_GRANT + 1]; /* header.length */

#define LOWER(a, b) ((a) < (b) -> (a) : (b))
#define FRONTIER_OF(x, otherwise) (writing & BIT(x) -> LOWER(begin[x], otherwise) : (otherwise))
#if WRITERS == 2
#define FRONTIER FRONTIER_OF(0, FRONTIER_OF(1, position))
#else
#define FRONTIER FRONTIER_OF(0, FRONTIER_OF(1, FRONTIER_OF(2, position)))
#endif

/* A user that keeps its grant for as long as it likes. */
inline keep_grant()
{
    timeout;
    d_step {
        j = 0;
        do
        :: j < WRITERS ->
            sum = 0;
            i = 0;
            do
            :: i < WRITERS ->
                if
                :: (waiters & BIT(i)) && ticket[i] <= ticket[j] -> sum = sum + need[i]
                :: else
                fi;
                i++
            :: else -> break
            od;
            nobody_sleeps_in_vain = !(space_asleep & BIT(j)) ||
                                    position + sum > limit && position + sum > place + REACH ||
                                    position + sum > limit && position + sum > cursor + REACH;
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
    bit found, soon;

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
            :: me == 0 && made == 0 -> keep_grant()
            :: else
            fi;
#endif
            ring_finish()
        :: else -> units = 0 /* RINGD_FULL */
        fi;
        made++
    :: else -> break
    od;
    made = 0;
    finished++;
    wake_all_data() /* when all are gone the daemon removes the ring and wakes who sleeps */
}

/* ---- the reader --------------------------------------------------------------------------------------------------- */

inline publish()
{
    cursor = at;     /* P1 */
    wake_all_space() /* P2 */
}

proctype Reader()
{
    byte at;

    do
    :: atomic { stamped & (1 << at) -> at = at + units_at[at] } /* N1 */
        if
        :: at - cursor >= STEP || space_called -> publish()     /* ringd_release */
        :: else
        fi
    :: else -> /* nothing to read */
#ifndef BUG_KEEP_CURSOR
        if
        :: cursor != at -> publish()
        :: else
        fi;
#endif
#ifndef BUG_ANNOUNCE_LATE
        d_step { data_called = 1; data_armed = 1 } /* S1 */
#endif
        if
        :: stamped & (1 << at) -> data_armed = 0   /* S2 */
        :: !(stamped & (1 << at)) && finished == WRITERS && at == position -> break
        :: else ->
#ifdef BUG_ANNOUNCE_LATE
            d_step { data_called = 1; data_armed = 1 }
#endif
            if
            :: atomic { data_armed -> data_armed = 0; data_asleep = 1 }
                !data_asleep
            :: !data_armed
            fi
        fi
    od
}

init
{
    byte n = 0;

    atomic {
        do
        :: n < WRITERS -> run Writer(n); n++
        :: else -> break
        od;
        run Reader()
    }
}
