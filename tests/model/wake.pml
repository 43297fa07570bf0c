/* wake.pml - the eventcount of libclient/wake.h by itself: the word, its announcement bit and count, and the futex.
 *
 *   Waker    publishes (c), then wake_all (d): loads the word; if bit 0 is set, one compare-and-swap from the value
 *            loaded moves the count on and clears the bit; then the system call wakes everybody inside it
 *   Sleeper  wants a number of publications: looks, wake_announce (a), looks again (b), wake_sleep with the value that
 *            the announcement returned. It takes nothing back when it need not sleep after all. With -DDEADLINES
 *            the first sleeper may also wake because its time has come.
 *
 * Checked: nobody sleeps for good. That the kernel compares the word and puts the sleeper in its queue in one step is
 * taken as given.
 *
 * Sizes:  -DWAKERS -DSLEEPERS -DPUBLICATIONS (of each waker)
 * Rules left out: -DBUG_ANNOUNCE_LATE, BUG_LOOKS_FIRST, BUG_NO_COUNT, BUG_TAKE_BACK, BUG_WAKE_ONE
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
#define BIT(n) (1 << (n))

byte word;      /* count << 1 | somebody sleeps */
byte published; /* what sleepers look at */
byte asleep;    /* bit per sleeper: inside the system call */

inline wake_all()
{
    if
    :: value & SLEEPING ->
        atomic {
            if
            :: word == value ->
#ifdef BUG_NO_COUNT
                word = value - 1
#else
                word = value + 1
#endif
            :: else -> value = 0 /* another waker has moved the count on and wakes those who announced before that */
            fi
        }
        if
        :: value ->
#ifdef BUG_WAKE_ONE
            d_step { asleep = asleep & (asleep - 1) }
#else
            asleep = 0
#endif
        :: else
        fi
    :: else
    fi;
    value = 0
}

proctype Waker()
{
    byte made, value;

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
    :: else -> made = 0; break
    od
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
        d_step { word = word | SLEEPING; value = word } /* (a) */
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
        :: n < WAKERS -> run Waker(); n++
        :: else -> break
        od;
        n = 0;
        do /* the last sleeper wants everything, the one before it one less */
        :: n < SLEEPERS -> run Sleeper(n, WAKERS * PUBLICATIONS + 1 + n - SLEEPERS); n++
        :: else -> break
        od
    }
}
