/* writer.c - the public calls of a writer: write, reserve and commit, batches, messages.
 *
 * All of them are the same three steps: writer_grant (room for a number of bytes), records put into it with the stamp
 * of the first one last, ring_finish. What a grant has and its records do not use is stamped as padding, so that the
 * stamps alone lead through the ring. A grant is in or out as a whole (R4): readers stop at the first stamp that is not
 * there, and the first is stored last.
 *
 * A message that is too long for one record is written as several, in as many grants: the first says so, the last ends
 * it, and a reader puts it together from the records of this writer, which are one by one in sequence.
 *
 * An ordinary write costs two locked instructions, see the head of ring.h; the slot's counters are plain stores to the
 * writer's own line.
 */
#define _GNU_SOURCE
#include "writer.h"

#include <sys/uio.h>

#include "copy.h"
#include "record_put.h"
#include "record_time.h"
#include "relax.h"
#include "ring_move.h"
#include "ring_single.h"
#include "wake.h"

#define WRITEV_MAX 1024

/* Turns, see take_turns(): how long they are, and how long others are let have theirs. */
#define WRITER_TURN_RECORDS 128
#define TURN_RECORDS_MAX    65536
#define TURN_PAUSES         256

/* ---- a grant --------------------------------------------------------------------------------------------------- */

int writer_find_room(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant)
{
    uint64_t position;

    /* An addition that was void finds the reason on a second look. */
    if (w->ring.ring.single
            ? ring_single_has_room(w->ring, want) && ring_single_take_cold(&w->ring, want, grant) == RINGD_OK
            : ring_has_room(w->ring, want, &position) && ring_take(w->ring, position, want, grant) == RINGD_OK)
        return RINGD_OK;
    return writer_grant_slow(w, min, want, records, grant);
}

static int writer_grant(struct ringd_writer *w, uint64_t min, uint64_t want, uint64_t records, struct ring_grant *grant)
{
    ring_count(&w->ring.slot->offered, records);
    STOP_POINT("reserve-offered");
    return writer_find_room(w, min, want, records, grant);
}

__attribute__((noinline)) uint64_t writer_clock(const struct ringd_writer *w)
{
    if (w->ring.ring.single)
        atomic_thread_fence(memory_order_seq_cst); /* Z8 */
    return record_time(w->time_source);
}

/* ---- records in a grant ---------------------------------------------------------------------------------------- */

/* Writers in full flow on different processors pass the line of W back and forth with every record, a hop or more each
 * time; writers that take turns do not. So: one that has had its turn and meets others in mid-record lets them have
 * theirs, for some microseconds in which it holds nothing. If nobody has made use of that (they stand still, or wait
 * for this very processor), its next turn is twice as long. The looks at W are hints: nothing is concluded from them.
 */
static void take_turns(struct ringd_writer *w)
{
    const _Atomic uint64_t *word = &w->ring.ring.lane->word;
    uint64_t records = w->turn_records * 2 < TURN_RECORDS_MAX ? w->turn_records * 2 : TURN_RECORDS_MAX, before;

    if ((int64_t)(w->sequence - w->turn_over) < 0 || w->wait != RINGD_WAIT_ADAPTIVE)
        return;
    before = atomic_load_explicit(word, memory_order_relaxed) >> RINGD_W_POSITION_SHIFT;
    for (int i = 0; i < TURN_PAUSES; i++)
        relax();
    if (atomic_load_explicit(word, memory_order_relaxed) >> RINGD_W_POSITION_SHIFT != before)
        records = WRITER_TURN_RECORDS;
    writer_begin_turn(w, records);
}

/* RING_SEALED, RING_IN_COMPANY or a failure. */
__attribute__((noinline)) static int writer_finish_slow(struct ringd_writer *w, int result)
{
    if (result == RING_SEALED)
        return writer_sealed(w);
    if (result != RING_IN_COMPANY)
        return result;
    take_turns(w);
    return RINGD_OK;
}

/* The accounts of `records` records. */
RING_HOT void writer_count(struct ringd_writer *w, struct ringd_writer_slot *slot, uint64_t records, uint64_t bytes)
{
    w->sequence += records;
    ring_count(&slot->bytes, bytes);
    STOP_POINT("commit-counted");
    atomic_store_explicit(&slot->sequence, w->sequence, memory_order_release); /* C2 */
    STOP_POINT("commit-sequence");
}

/* Then out. */
RING_HOT int writer_finish(struct ringd_writer *w, struct ring_writer ring, uint64_t records, uint64_t bytes)
{
    int result;

    writer_count(w, ring.slot, records, bytes);
    result = ring_finish(ring);
    return __builtin_expect(result != RINGD_OK, 0) ? writer_finish_slow(w, result) : RINGD_OK;
}

/* The same in every kind of lane. */
__attribute__((noinline)) int writer_finish_grant(struct ringd_writer *w, uint64_t records, uint64_t bytes)
{
    int result;

    writer_count(w, w->ring.slot, records, bytes);
    result = w->ring.ring.single ? ring_single_finish_cold(&w->ring) : ring_finish(w->ring);
    return __builtin_expect(result != RINGD_OK, 0) ? writer_finish_slow(w, result) : RINGD_OK;
}

/* Publishes the one record of a grant. */
__attribute__((noinline)) static int writer_publish(struct ringd_writer *w, struct ring_grant grant, size_t len,
                                                    uint64_t time)
{
    struct ringd_record_header *h = ring_header(&w->ring.ring, grant.place);
    uint64_t used = ring_record_bytes(len);

    fill_header(h, len, w->sequence, w->origin, time);
    STOP_POINT("commit-header");
    if (used < grant.bytes)
        pad_rest(&w->ring.ring, grant.place + used, grant.bytes - used);
    store_stamp(&w->ring.ring, h, grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
    return writer_finish_grant(w, 1, len);
}

static inline unsigned char *writer_payload(struct ringd_writer *w, struct ring_grant grant)
{
    return (unsigned char *)(ring_header(&w->ring.ring, grant.place) + 1);
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

/* Why a writer that is not HANDLE_ALIVE cannot begin. */
static int writer_unready(const struct ringd_writer *w)
{
    return w->alive == HANDLE_GRANT ? -EBUSY : -ECHILD;
}

/* Offered and refused at once. */
static int writer_refuse(struct ringd_writer *w, uint64_t records)
{
    ring_count(&w->ring.slot->offered, records);
    ring_count(&w->ring.slot->refused, records);
    return -EMSGSIZE;
}

/* Every case of ringd_write. */
__attribute__((noinline)) static int write_any(struct ringd_writer *w, const void *data, size_t len)
{
    struct ring_grant grant;
    uint64_t time;
    int result;

    if (w->alive != HANDLE_ALIVE)
        return writer_unready(w);
    if (len > w->max_record)
        return writer_refuse(w, 1);
    result = writer_grant(w, ring_record_bytes(len), ring_record_bytes(len), 1, &grant);
    if (result != RINGD_OK)
        return result;
    time = writer_time(w);
    copy_payload(writer_payload(w, grant), data, len);
    STOP_POINT("commit-payload");
    return writer_publish(w, grant, len, time);
}

/* The addition was void. It has been counted as offered and is going to be once more. */
__attribute__((noinline)) static int write_again(struct ringd_writer *w, const void *data, size_t len)
{
    ring_count(&w->ring.slot->offered, (uint64_t)-1);
    return write_any(w, data, len);
}

/* A short record without time, whole and stamped. */
RING_HOT void put_short(const struct ring *ring, uint64_t place, const void *data, size_t len, uint64_t sequence,
                        uint64_t origin)
{
    struct ringd_record_header *h = ring_header(ring, place);

    copy_short((unsigned char *)(h + 1), data, len);
    STOP_POINT("commit-payload");
    fill_header(h, len, sequence, origin, 0);
    STOP_POINT("commit-header");
    store_stamp(ring, h, place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
}

/* As ringd_write, in a lane with a single writer: no locked instruction at all. */
__attribute__((noinline)) static int write_single(struct ringd_writer *w, const void *data, size_t len)
{
    const struct ring_writer ring = w->ring;
    uint64_t bytes = ring_record_bytes(len), sequence = w->sequence, origin = w->origin;
    struct ring_grant grant;
    int result;

    if (__builtin_expect(w->alive != HANDLE_ALIVE || !ring_single_has_room(ring, bytes), 0))
        return write_any(w, data, len);
    ring_count(&ring.slot->offered, 1);
    STOP_POINT("reserve-offered");
    result = ring_single_take(ring, bytes, &grant);
    w->ring.position = grant.place + bytes;
    if (__builtin_expect(result != RINGD_OK, 0))
        return write_again(w, data, len);
    put_short(&ring.ring, grant.place, data, len, sequence, origin);
    writer_count(w, ring.slot, 1, len);
    result = ring_single_finish(ring);
    return __builtin_expect(result != RINGD_OK, 0) ? writer_finish_slow(w, result) : RINGD_OK;
}

/* The usual case without a call: a short record, room for it, no time stamp. Two locked instructions; everything that
 * is needed after the first is loaded before it. */
int ringd_write(struct ringd_writer *writer, const void *data, size_t len)
{
    const struct ring_writer ring = writer->ring;
    uint64_t bytes = ring_record_bytes(len), sequence = writer->sequence, origin = writer->origin, position;
    struct ring_grant grant;

    if (__builtin_expect(writer->alive != HANDLE_ALIVE || len >= writer->short_end, 0))
        return len < writer->single_end ? write_single(writer, data, len) : write_any(writer, data, len);
    if (__builtin_expect(!ring_has_room(ring, bytes, &position), 0))
        return write_any(writer, data, len);
    ring_count(&ring.slot->offered, 1);
    STOP_POINT("reserve-offered");
    if (__builtin_expect(ring_take(ring, position, bytes, &grant) != RINGD_OK, 0))
        return write_again(writer, data, len);
    put_short(&ring.ring, grant.place, data, len, sequence, origin);
    return writer_finish(writer, ring, 1, len);
}

/* One part after the other, until one is not written. A part is an ordinary record but for its flags, and so are its
 * accounts. (What is appended anew after a move keeps them.) */
RING_COLD __attribute__((noinline)) static int write_parts(struct ringd_writer *w, const unsigned char *data,
                                                           size_t len)
{
    uint64_t origin = w->origin, flags = RINGD_FLAG_PART | RINGD_FLAG_FIRST;
    int result;

    for (;;) {
        bool last = len <= w->max_record;
        size_t part = last ? len : w->max_record;

        w->origin = origin | with_flags(last ? flags | RINGD_FLAG_LAST : flags);
        result = write_any(w, data, part);
        if (last || result != RINGD_OK)
            break;
        STOP_POINT("message-part");
        flags = RINGD_FLAG_PART;
        data += part;
        len -= part;
    }
    w->origin = origin;
    return result;
}

/* Nothing says how many parts there are going to be, and nothing has to be taken back if one of them finds no room:
 * readers let go of a message when its writer's next record does not go on with it. */
int ringd_write_message(struct ringd_writer *writer, const void *data, size_t len)
{
    if (len <= writer->max_record)
        return ringd_write(writer, data, len);
    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (len > RINGD_MESSAGE_MAX)
        return writer_refuse(writer, 1);
    return write_parts(writer, data, len);
}

/* The length of the record that the pieces make, or something above max_record. */
static uint64_t sum_pieces(const struct ringd_writer *w, const struct iovec *pieces, int count)
{
    uint64_t len = 0;

    for (int i = 0; i < count && len <= w->max_record; i++)
        len = pieces[i].iov_len > w->max_record ? UINT64_MAX : len + pieces[i].iov_len;
    return len;
}

RING_COLD int ringd_writev(struct ringd_writer *writer, const struct iovec *pieces, int count)
{
    struct ring_grant grant;
    unsigned char *payload;
    uint64_t len, time;
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (count < 0 || count > WRITEV_MAX)
        return -EINVAL;
    len = sum_pieces(writer, pieces, count);
    if (len > writer->max_record)
        return writer_refuse(writer, 1);
    result = writer_grant(writer, ring_record_bytes(len), ring_record_bytes(len), 1, &grant);
    if (result != RINGD_OK)
        return result;
    time = writer_time(writer);
    payload = writer_payload(writer, grant);
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0)
            memcpy(payload, pieces[i].iov_base, pieces[i].iov_len);
        payload += pieces[i].iov_len;
    }
    STOP_POINT("commit-payload");
    return writer_publish(writer, grant, len, time);
}

/* What `count` records take together; more than any grant if one of them alone is too long. */
static uint64_t batch_bytes(const struct ringd_writer *w, const struct iovec *records, int count)
{
    uint64_t bytes = 0;

    for (int i = 0; i < count; i++) {
        if (records[i].iov_len > w->max_record)
            return UINT64_MAX;
        bytes += ring_record_bytes(records[i].iov_len);
    }
    return bytes;
}

/* Fills the grant with the records, and stamps all but the first; returns their payload bytes. All but the last say
 * that there is more, so that readers who share records do not part them. */
static uint64_t put_batch(const struct ringd_writer *w, uint64_t position, const struct iovec *records, int count)
{
    const struct ring ring = w->ring.ring;
    uint64_t time = writer_time(w), sequence = w->sequence, origin = w->origin, payload_bytes = 0;
    uint64_t more = origin | with_flags(RINGD_FLAG_MORE);

    for (int i = 0; i < count; i++) {
        struct ringd_record_header *h = ring_header(&ring, position);
        size_t len = records[i].iov_len;

        if (len > COPY_SHORT_MAX) /* of a long batch ring_take has asked for the beginning only */
            ring_prefetch(&ring, position + RING_PREFETCH, ring_record_bytes(len));
        fill_header(h, len, sequence + (uint64_t)i, i < count - 1 ? more : origin, time);
        copy_payload(h + 1, records[i].iov_base, len);
        STOP_POINT("batch-filled");
        if (i > 0)
            store_stamp(&ring, h, position, RINGD_STATE_COMMITTED);
        STOP_POINT("batch-record");
        position += ring_record_bytes(len);
        payload_bytes += len;
    }
    return payload_bytes;
}

int ringd_write_batch(struct ringd_writer *writer, const struct iovec *records, int count)
{
    struct ring_grant grant;
    uint64_t bytes;
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (count <= 0)
        return count < 0 ? -EINVAL : RINGD_OK;
    bytes = batch_bytes(writer, records, count);
    if (bytes > writer->ring.ring.max_grant)
        return writer_refuse(writer, (uint64_t)count);
    result = writer_grant(writer, bytes, bytes, (uint64_t)count, &grant);
    if (result != RINGD_OK)
        return result;
    bytes = put_batch(writer, grant.place, records, count);
    store_stamp(&writer->ring.ring, ring_header(&writer->ring.ring, grant.place), grant.place, RINGD_STATE_COMMITTED);
    STOP_POINT("commit-stamped");
    return writer_finish_grant(writer, (uint64_t)count, bytes);
}

int ringd_reserve(struct ringd_writer *writer, size_t min, size_t want, void **data, size_t *granted)
{
    int result;

    if (writer->alive != HANDLE_ALIVE)
        return writer_unready(writer);
    if (data == NULL || granted == NULL || min > want)
        return -EINVAL;
    if (min > writer->max_record)
        return writer_refuse(writer, 1);
    if (want > writer->max_record)
        want = writer->max_record;
    result = writer_grant(writer, ring_record_bytes(min), ring_record_bytes(want), 1, &writer->grant);
    if (result != RINGD_OK)
        return result;
    writer->alive = HANDLE_GRANT;
    writer->granted = writer->grant.bytes - sizeof(struct ringd_record_header);
    if (writer->granted > want)
        writer->granted = want;
    writer->time = writer_time(writer);
    *data = writer_payload(writer, writer->grant);
    *granted = writer->granted;
    return RINGD_OK;
}

/* Whether a grant is open to commit or abort. */
static int writer_has_grant(const struct ringd_writer *w)
{
    if (__builtin_expect(w->alive == HANDLE_GRANT, 1))
        return RINGD_OK;
    return w->alive == HANDLE_ALIVE ? -EINVAL : -ECHILD;
}

int ringd_commit(struct ringd_writer *writer, size_t len)
{
    int result = writer_has_grant(writer);

    if (result != RINGD_OK)
        return result;
    if (len > writer->granted)
        return -EINVAL;
    writer->alive = HANDLE_ALIVE;
    return writer_publish(writer, writer->grant, len, writer->time);
}

RING_COLD int ringd_abort(struct ringd_writer *writer)
{
    int result = writer_has_grant(writer);

    if (result != RINGD_OK)
        return result;
    writer->alive = HANDLE_ALIVE;
    pad_rest(&writer->ring.ring, writer->grant.place, writer->grant.bytes);
    STOP_POINT("abort-padded");
    ring_count(&writer->ring.slot->aborted, 1);
    STOP_POINT("abort-counted");
    result = writer->ring.ring.single ? ring_single_finish_cold(&writer->ring) : ring_finish(writer->ring);
    if (result == RING_SEALED)
        writer_carry_account(writer); /* whatever the verdict is, there is nothing to see */
    return result < 0 ? result : RINGD_OK;
}
