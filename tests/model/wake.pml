/* wake.pml - the eventcount of libclient/wake.h by itself: the word, its announcement bit and count, and the futex.
 *
 *   Waker    publishes (c), then wake_all (d): loads the word; if bit 0 is set, compare-and-swaps move the count on and
 *            set bit 1; then the system call wakes everybody inside it; then one compare-and-swap clears both bits if
 *            nobody has announced and no other waker has come since. With -DSTOPS the first waker may be stopped for good after any step;
 *            the last waker then publishes when the others have.
 *   Sleeper  wants a number of publications: looks, wake_announce (a: bit 0 on, then bit 1 off if it was set, again if
 *            the waker was faster), looks again (b), wake_sleep with the value that the announcement returned. It takes nothing back when it
 *            need not sleep after all. With -DDEADLINES the first sleeper may also wake because its time has come.
 *
 * Checked: nobody sleeps for good. That the kernel compares the word and puts the sleeper in its queue in one step is
 * taken as given.
 *
 * Sizes:  -DWAKERS -DSLEEPERS -DPUBLICATIONS (of each waker)
 * Rules left out: -DBUG_ANNOUNCE_LATE, BUG_LOOKS_FIRST, BUG_NO_COUNT, BUG_TAKE_BACK, BUG_WAKE_ONE, BUG_CLEAR_FIRST,
 *         BUG_KEEP_WAKING, BUG_ONCE, BUG_LEAVE_TO_OTHER
 */
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef PUBLICATIONS
#define PUBLICATIONS 2
#endif

#define SLEEPING 1
#define WAKING   2
#define STEP     4
#define BIT(n) (1 << (n))

byte word;      /* count * STEP | somebody wakes | somebody sleeps */
byte published; /* what sleepers look at */
byte asleep;    /* bit per sleeper: inside the system call */

inline may_stop()
{
#ifdef STOPS
    if
    :: me == 0 -> goto over
    :: true
    fi
#else
    skip
#endif
}

inline wake_all()
{
    do
    :: value & SLEEPING ->
        atomic {
            if
            :: word == value ->
#if defined(BUG_NO_COUNT)
                moved = 1
#elif defined(BUG_CLEAR_FIRST)
                word = value + STEP - SLEEPING;
                value = word;
                moved = 1
#else
                word = (value + STEP) | WAKING;
                value = word;
                moved = 1
#endif
            :: else ->
#ifdef BUG_LEAVE_TO_OTHER
                value = 0; /* another waker has moved it on */
#else
                value = word;
#endif
                moved = 0
            fi
        }
        if
        :: moved ->
            may_stop();
#ifdef BUG_WAKE_ONE
            d_step { asleep = asleep & (asleep - 1) }
#else
            asleep = 0;
#endif
            may_stop();
            d_step {
                if
                :: word == value && (value & SLEEPING) -> word = value & ~(SLEEPING | WAKING)
                :: else
                fi
            }
            break
        :: else
        fi
    :: else -> break
    od;
    value = 0;
    moved = 0
}

proctype Waker(byte me)
{
    byte made, value;
    bit moved;

#ifdef STOPS
    if
    :: me == WAKERS - 1 -> (published >= (WAKERS - 1) * PUBLICATIONS)
    :: else
    fi;
#endif
    do
    :: made < PUBLICATIONS ->
#ifdef BUG_LOOKS_FIRST
        value = word;
        published++;
#else
        published++;  /* (c) */
        value = word; /* (d) */
#endif
        wake_all();
        made++
    :: else -> break
    od;
over:
    atomic { made = 0; value = 0; moved = 0 }
}

proctype Sleeper(byte me; byte wanted)
{
    byte value;

    do
    :: true ->
#ifdef BUG_ANNOUNCE_LATE
        if
        :: published >= wanted -> break
        :: else
        fi;
#endif
        do /* (a) */
        :: true ->
            d_step { word = word | SLEEPING; value = word }
#ifndef BUG_KEEP_WAKING
            if
            :: !(value & WAKING) -> break
            :: else
            fi;
            d_step { word = word & ~WAKING; value = word }
#endif
#if defined(BUG_KEEP_WAKING) || defined(BUG_ONCE)
            break
#else
            if
            :: value & SLEEPING -> break
            :: else
            fi
#endif
        od;
#ifndef BUG_ANNOUNCE_LATE
        if
        :: published >= wanted -> break                 /* (b) */
        :: else
        fi;
#endif
        if
        :: atomic { word == value -> asleep = asleep | BIT(me); value = 0 }
            if
            :: !(asleep & BIT(me))
#ifdef DEADLINES
            :: me == 0 && (asleep & BIT(me)) -> asleep = asleep & ~BIT(me)
#endif
            fi
        :: word != value -> value = 0
        fi
    od;
#ifdef BUG_TAKE_BACK
    word = word & ~SLEEPING;
#endif
    value = 0
}

init
{
    byte n = 0;

    atomic {
        do
        :: n < WAKERS -> run Waker(n); n++
        :: else -> break
        od;
        n = 0;
        do /* the last sleeper wants everything, the one before it one less */
        :: n < SLEEPERS -> run Sleeper(n, WAKERS * PUBLICATIONS + 1 + n - SLEEPERS); n++
        :: else -> break
        od
    }
}
