/* group.pml - members of a reader group share a lane (libclient/ring_group.h), are stopped and killed anywhere.
 *
 * Records are of one unit and lie at positions 0, 1, 2 ... The writer goes round the ring as fast as the group's frontier
 * lets it: word in one snapshot (K3), then the cursors of those active in it one by one (K4), then what it may write up
 * to; and sleeps when that is not enough, on an eventcount as in wait.pml. Waiting for data is a condition.
 *
 *   Writer  ring_group_frontier within ring_raise, and what it writes
 *   Member  ring_group_look, choose, claim (K1, K2), reading, advance (K5), finish (K6); or takes over what a dead one
 *           has left: takers (O3), the second look, reading, K6, O4. It may be killed after every step; being stopped is
 *           not being scheduled.
 *   Daemon  ring_group_left_behind and ring_group_make_orphan for each that has died; may be killed after every step,
 *           and begins anew. When a dead member's seat is clear another may get it (-DLIVES).
 *
 * Checked: no claim is made of records that somebody else has (`claim_is_next`); what is read of a claim is still there
 * (`record_is_there`), and no record is written over one that is claimed and not given back, or not claimed at all
 * (`ground_is_free`); a record is given once, or again only as an orphan of the one who had it (`given_once`,
 * `orphan_is_his`) and not more often than there were deaths (`orphan_once`); at the end all were given to somebody
 * (`all_given`). Nobody is stuck.
 *
 * Sizes:  -DMEMBERS -DRECORDS -DSIZE -DKILLS -DRESTARTS -DLIVES (new owners of a dead one's seat); -DSINGLE: claims are of
 *         one record
 * Rules left out: -DBUG_SHORT_POSITION, BUG_FRONTIER, BUG_ACTIVE_FIRST, BUG_FINISH_EARLY, BUG_CURSOR_LATE,
 *         BUG_NO_TAKER, BUG_TAKE_BLINDLY, BUG_LEAVE_TAKERS_FIRST, BUG_KEEP_TAKEN, BUG_NO_ORPHAN, BUG_DIE_QUIETLY
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef SIZE
#define SIZE 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef LIVES
#define LIVES 0
#endif

#define BIT(n) (1 << (n))
#define NOBODY 9
#ifdef BUG_SHORT_POSITION
#define SAME(a, b) ((a) % SIZE == (b) % SIZE)
#else
#define SAME(a, b) ((a) == (b))
#endif

/* ---- shared memory ------------------------------------------------------------------------------------------------- */

byte position, claiming;      /* the group's word */
byte orphaned;              /* bit per seat */
byte takers[MEMBERS];       /* seat and one */
byte cursor[MEMBERS], claim_end[MEMBERS];
byte written;               /* the stamps of all below are there */
byte unit[SIZE];            /* position + 1 of the record there */
bit space_armed;

/* ---- ghosts -------------------------------------------------------------------------------------------------------- */

byte dead;                  /* bit per seat; for the daemon: the kernel says so */
byte kills = KILLS, restarts = RESTARTS, lives = LIVES, deaths;
byte owner[RECORDS];        /* who claimed it, and one */
byte given[RECORDS], again[RECORDS];
byte kept[MEMBERS];         /* of the claim of this seat: what is below is given back, or was given back */
hidden byte i, claim_is_next, record_is_there, ground_is_free, given_once, orphan_is_his, orphan_once, all_given;

#define ALL_DONE (written == RECORDS && position == RECORDS && claiming == 0)

/* ---- the writer ----------------------------------------------------------------------------------------------------- */

inline check_ground(at)
{
    d_step {
        ground_is_free = (at < position + SIZE);
        i = 0;
        do
        :: i < MEMBERS -> ground_is_free = ground_is_free && (!(claiming & BIT(i)) || at < kept[i] + SIZE); i++
        :: else -> break
        od;
        assert(ground_is_free);
        i = 0
    }
}

inline ring_group_frontier()
{
#ifdef BUG_ACTIVE_FIRST
    members = claiming;
    seen = position;
#else
    do
    :: true ->
        seen = position; /* K3 */
        members = claiming;
        if
        :: seen == position -> break
        :: else
        fi
    od;
#endif
    frontier = seen;
#ifdef BUG_FRONTIER
    if
    :: members -> frontier = 200
    :: else
    fi;
#endif
    do
    :: members ->
        d_step {
            seat = 0;
            do
            :: members & BIT(seat) -> break
            :: else -> seat++
            od;
            members = members & ~BIT(seat);
            frontier = (cursor[seat] < frontier -> cursor[seat] : frontier) /* K4 */
        }
    :: else -> break
    od;
    seat = 0
}

proctype Writer()
{
    byte seen, members, seat, frontier, limit;

    do
    :: written < RECORDS && written < limit ->
        check_ground(written);
        d_step {
            unit[written % SIZE] = written + 1;
            written++
        }
    :: written < RECORDS && written >= limit ->
        space_armed = 1; /* S1 */
        ring_group_frontier();
        limit = frontier + SIZE;
        if
        :: written < limit
        :: else -> !space_armed
        fi;
        d_step { seen = 0; frontier = 0 }
    :: else -> break
    od
}

/* ---- members -------------------------------------------------------------------------------------------------------- */

inline may_die()
{
    if
    :: atomic { kills > 0 -> kills--; deaths++; goto over }
    :: true
    fi
}

/* P2: looked at after K5 or K6. */
inline offer_space()
{
    space_armed = 0
}

inline give(at, seat, marked)
{
    d_step {
        record_is_there = (unit[(at) % SIZE] == (at) + 1);
        assert(record_is_there);
        orphan_is_his = (owner[at] == seat + 1);
        assert(orphan_is_his);
        given_once = (marked || !given[at]);
        assert(given_once);
        given[at] = 1;
        again[at] = again[at] + marked;
        orphan_once = (again[at] <= deaths);
        assert(orphan_once)
    }
}

/* From `at` to `end`, which the claim of `seat` is. Gives back each record or all at once. */
inline read_claim(seat, marked)
{
    do
    :: at < end ->
        give(at, seat, marked);
        may_die();
        at++;
        if
        :: at < end ->
            d_step { cursor[seat] = at; kept[seat] = at } /* K5 */
            may_die();
            offer_space()
        :: true
        fi
    :: else -> break
    od
}

inline ring_group_choose()
{
    do
    :: true ->
        seen = position; /* K3 */
        set = claiming;
        if
        :: seen == position -> break
        :: else
        fi
    od;
    if
    :: seen < written && unit[seen % SIZE] == seen + 1 ->
#ifdef SINGLE
        end = seen + 1
#else
        if
        :: seen + 1 < written && unit[(seen + 1) % SIZE] == seen + 2 -> end = seen + 2
        :: end = seen + 1
        fi
#endif
    :: else -> end = seen /* nothing, or an old look */
    fi
}

inline ring_group_claim()
{
#ifndef BUG_CURSOR_LATE
    claim_end[me] = end; /* K1 */
    may_die();
    cursor[me] = seen;   /* K1 */
    may_die();
#endif
    atomic { /* K2 */
        if
        :: SAME(position, seen) && claiming == set ->
            claim_is_next = (position == seen);
            assert(claim_is_next);
            position = end;
            claiming = claiming | BIT(me);
            at = seen;
            do
            :: at < end -> owner[at] = me + 1; at++
            :: else -> break
            od;
            at = seen;
            kept[me] = seen;
            mine = 1
        :: else -> mine = 0
        fi
    }
#ifdef BUG_CURSOR_LATE
    may_die();
    if
    :: mine -> claim_end[me] = end; may_die(); cursor[me] = seen
    :: else
    fi;
#endif
    may_die()
}

inline take_over()
{
    seat = 0;
    do
    :: seat < MEMBERS && !((orphaned & claiming & BIT(seat)) && seat != me && takers[seat] == 0) -> seat++
    :: else -> break
    od;
    if
    :: seat < MEMBERS ->
#ifdef BUG_NO_TAKER
        mine = 1;
#else
        atomic { /* O3 */
            if
            :: takers[seat] == 0 -> takers[seat] = me + 1; mine = 1
            :: else -> mine = 0
            fi
        }
#endif
        if
        :: mine ->
            may_die();
#ifndef BUG_TAKE_BLINDLY
            mine = (claiming & BIT(seat)) != 0;
            mine = mine && (orphaned & BIT(seat)) != 0;
            if
            :: !mine -> takers[seat] = 0
            :: else
            fi
#endif
        :: else
        fi;
        if
        :: mine ->
            d_step { at = cursor[seat]; end = claim_end[seat] }
            read_claim(seat, 1);
#ifdef BUG_LEAVE_TAKERS_FIRST
            takers[seat] = 0;
            may_die();
#endif
            claiming = claiming & ~BIT(seat); /* K6 */
            may_die();
            orphaned = orphaned & ~BIT(seat); /* O4 */
            may_die();
            takers[seat] = 0; /* O4 */
            may_die();
            offer_space()
        :: else
        fi
    :: else
    fi;
    d_step { seat = 0; mine = 0; at = 0; end = 0 }
}

#define IS_ORPHAN(n) ((orphaned & claiming & BIT(n)) && me != n && takers[n] == 0)

proctype Member(byte me)
{
    byte seen, set, end, at, seat;
    bit mine;

    do
    :: position < written ->
        ring_group_choose();
        if
        :: end > seen ->
            ring_group_claim();
            if
            :: mine ->
#ifdef BUG_FINISH_EARLY
                claiming = claiming & ~BIT(me);
#endif
                read_claim(me, 0);
                claiming = claiming & ~BIT(me); /* K6 */
                may_die();
                offer_space()
            :: else
            fi
        :: else
        fi;
        d_step { seen = 0; set = 0; end = 0; at = 0; mine = 0 }
    :: IS_ORPHAN(0) -> take_over()
#if MEMBERS > 1
    :: IS_ORPHAN(1) -> take_over()
#endif
#if MEMBERS > 2
    :: IS_ORPHAN(2) -> take_over()
#endif
    :: ALL_DONE -> goto left
    od;
over:
    dead = dead | BIT(me);
left:
    skip
}

/* ---- the daemon ----------------------------------------------------------------------------------------------------- */

inline may_restart()
{
    if
    :: atomic { restarts > 0 -> restarts--; goto begin }
    :: true
    fi
}

/* What `who` is in `takers` for. */
inline drop_taken(seat)
{
    if
    :: takers[seat] == who + 1 ->
        if
        :: (claiming & BIT(seat)) && (orphaned & BIT(seat)) ->
#ifndef BUG_KEEP_TAKEN
            takers[seat] = 0
#else
            skip
#endif
        :: else ->
            orphaned = orphaned & ~BIT(seat);
            may_restart();
            takers[seat] = 0
        fi;
        may_restart()
    :: else
    fi
}

proctype Daemon()
{
    byte who, s, done; /* dead ones that are dealt with: private, and forgotten when it is killed */
    bit had;

begin:
    done = 0;
    do
    :: dead & ~done ->
        who = 0;
        do
        :: (dead & ~done) & BIT(who) -> break
        :: else -> who++
        od;
        s = 0;
        do
        :: s < MEMBERS -> drop_taken(s); s++
        :: else -> break
        od;
        had = (orphaned & BIT(who)) != 0; /* first */
        if
        :: !had && (claiming & BIT(who)) ->
#ifndef BUG_NO_ORPHAN
            orphaned = orphaned | BIT(who); /* O1 */
#endif
            may_restart()
        :: else
        fi;
#ifndef BUG_DIE_QUIETLY
        space_armed = 0; /* it may have died before it woke anybody */
#endif
        may_restart();
        done = done | BIT(who)
#if LIVES
    :: lives && (dead & done) ->
        who = 0;
        do
        :: (dead & done) & BIT(who) -> break
        :: else -> who++
        od;
        if
        :: ((claiming | orphaned) & BIT(who)) == 0 && takers[who] == 0 ->
            atomic {
                lives--;
                dead = dead & ~BIT(who);
                done = done & ~BIT(who);
                run Member(who)
            }
        :: else -> (((claiming | orphaned) & BIT(who)) == 0 && takers[who] == 0) || (dead & ~done) || ALL_DONE
        fi
#endif
    :: ALL_DONE && !(dead & ~done) -> break
    od
}

proctype Check()
{
    ALL_DONE;
    d_step {
        i = 0;
        all_given = 1;
        do
        :: i < RECORDS -> all_given = all_given && (given[i] + again[i] > 0); i++
        :: else -> break
        od;
        assert(all_given);
        i = 0
    }
}

init {
    atomic {
        run Writer();
        run Check();
        run Member(0);
#if MEMBERS > 1
        run Member(1);
#endif
#if MEMBERS > 2
        run Member(2);
#endif
        run Daemon()
    }
}
