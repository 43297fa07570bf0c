/* point.c - a shared object with the tracepoint in it. It is loaded by the process that writes and by no other: LTTng
 * starts threads in each process that has it. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "point.h"

__attribute__((visibility("default"))) void bench_lttng_record(const void *data, uint32_t bytes);

void bench_lttng_record(const void *data, uint32_t bytes)
{
    lttng_ust_tracepoint(ringd_bench, record, data, bytes);
}
