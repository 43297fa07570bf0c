/* point.h - the tracepoint of peer_lttng.c: a record as a sequence of bytes. In the form that LTTng wants. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER ringd_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "tests/bench/peers/lttng/point.h"

#if !defined(BENCH_LTTNG_POINT_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define BENCH_LTTNG_POINT_H

#include <lttng/tracepoint.h>

/* clang-format off */
LTTNG_UST_TRACEPOINT_EVENT(ringd_bench, record,
    LTTNG_UST_TP_ARGS(const uint8_t *, data, uint32_t, bytes),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_sequence(uint8_t, payload, data, uint32_t, bytes)))
/* clang-format on */

#endif

#include <lttng/tracepoint-event.h>
