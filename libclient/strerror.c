/* strerror.c - one sentence for every result: what it means, and what to do. Constants only, so that a signal handler
 * may ask too. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "ringd.h"

#ifndef RINGD_VERSION
#error "the build says which version this is"
#endif

const char *ringd_version(void)
{
    return RINGD_VERSION;
}

static const char *outcome(int result)
{
    switch (result) {
    case RINGD_OK:
        return "done";
    case RINGD_WOULD_BLOCK:
        return "nothing to read by the deadline";
    case RINGD_END:
        return "the ring was removed and everything in it has been read, or this slow reader was evicted";
    case RINGD_GAP:
        return "records were overwritten before they were read";
    case RINGD_FULL:
        return "no room by the deadline; nothing was written";
    case RINGD_DROPPED:
        return "no room; the record was dropped and counted";
    case RINGD_EVICTED:
        return "this lossless reader was too slow and holds writers up no more; what it looked at may have been "
               "overwritten";
    default:
        return "an outcome that this version of the library does not know";
    }
}

const char *ringd_strerror(int result)
{
    const char *text;

    if (result >= 0)
        return outcome(result);
    switch (result) {
    case -ENOENT:
        return "there is no ring of this name; `ringctl list` shows those there are, `ringctl create` makes one";
    case -EEXIST:
        return "a ring of this name exists already";
    case -EACCES:
        return "the ring's mode does not allow this; its owner or root can make it with another --mode";
    case -EPERM:
        return "only root, the daemon's user or those the configuration names may do this";
    case -ECONNREFUSED:
        return "no ringd listens there; start it or set RINGD_SOCKET";
    case -ECONNRESET:
    case -EPIPE:
        return "ringd closed the connection";
    case -ETIMEDOUT:
        return "ringd did not answer in time";
    case -EPROTONOSUPPORT:
        return "the daemon or the ring is of another version than this library";
    case -EMSGSIZE:
        return "longer than the ring's max_record; make the ring with a larger --max-record or split the record";
    case -EMFILE:
        return "this process or ringd has no file descriptors left; close some, or raise the limit (ulimit -n, "
               "LimitNOFILE=)";
    case -EUSERS:
        return "all places for such contexts on this ring are taken";
    case -ESHUTDOWN:
        return "the ring was removed; nothing was written";
    case -EBUSY:
        return "a grant is open; commit or abort it first";
    case -ECHILD:
        return "this handle belongs to the parent process; open the ring anew after fork";
    case -EBADMSG:
        return "the ring's shared memory is damaged; remove the ring and make it anew";
    case -ERANGE:
        return "this position was overwritten already or is not written yet";
    case -EOPNOTSUPP:
        return "this ring is not of that kind: lossless readers need one that does not overwrite, a start at a "
               "position one with a single lane, a start at a time one with times";
    case -EINTR:
        return "a signal ended the wait";
    case -ENOSPC:
        return "the machine's shared memory is short; ask for less or free some";
    case -EINVAL:
        return "an argument is out of its range";
    default:
        text = result == INT_MIN ? NULL : strerrordesc_np(-result);
        return text != NULL ? text : "an error that this machine does not know";
    }
}
