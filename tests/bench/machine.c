/* machine.c - the limits of this machine, once a round; see machine.h. */
#include "machine.h"

#include "clock.h"
#include "limits.h"

struct limit_row {
    const char *name, *tsv_name, *unit;
    const struct series *series;
    uint32_t bytes;
};

#define LIMIT_ROWS 5u

static void limit_rows(const struct machine *machine, struct limit_row rows[LIMIT_ROWS])
{
    rows[0] = (struct limit_row){"hop of a cache line, one way", "limit_hop", "ns", &machine->hop, 8};
    rows[1] = (struct limit_row){"uncontended lock xadd", "limit_xadd", "ns", &machine->xadd, 8};
    rows[2] = (struct limit_row){"stream, a flag per 4 KiB", "limit_stream", "GB/s", &machine->stream, 4096};
    rows[3] = (struct limit_row){"memcpy, 128 KiB", "limit_memcpy_cached", "GB/s", &machine->cached_copy, 1 << 17};
    rows[4] = (struct limit_row){"memcpy, 64 MiB", "limit_memcpy_large", "GB/s", &machine->large_copy, 1 << 26};
}

int machine_measure(struct machine *machine, struct crew *crew, const int cpus[2], char *failure)
{
    struct limits limits;
    struct limits_copy copy;
    int result = limits_measure(crew, cpus, &limits, failure);

    if (!result)
        result = limits_copy_measure(crew, cpus, &copy, failure);
    if (result)
        return result;
    series_add(&machine->hop, limits.hop_ns);
    series_add(&machine->xadd, limits.xadd_ns);
    series_add(&machine->stream, limits.stream_gbs);
    series_add(&machine->cached_copy, copy.cached_gbs);
    series_add(&machine->large_copy, copy.large_gbs);
    return 0;
}

void machine_print(const struct machine *machine, FILE *out)
{
    struct limit_row rows[LIMIT_ROWS];

    limit_rows(machine, rows);
    fprintf(out, "\nThis machine's limits: median (p10, p90)\n");
    for (unsigned i = 0; i < LIMIT_ROWS; i++) {
        fprintf(out, "  %-30s %8.2f  (%.2f, %.2f) %s\n", rows[i].name, series_median(rows[i].series),
                series_quantile(rows[i].series, 0.1), series_quantile(rows[i].series, 0.9), rows[i].unit);
    }
    fprintf(out, "  %-30s %8.2f  ns, taken off each round trip of the latency cases\n", "reading the clock",
            clock_read_ns());
}

void machine_tsv(const struct machine *machine, FILE *out)
{
    struct limit_row rows[LIMIT_ROWS];

    limit_rows(machine, rows);
    fprintf(out, "case\tsystem\tbytes\twriters\treaders\tmedian\tp10\tp90\tunit\thop_ns\n");
    for (unsigned i = 0; i < LIMIT_ROWS; i++) {
        fprintf(out, "%s\tmachine\t%u\t0\t0\t%.3f\t%.3f\t%.3f\t%s\t%.2f\n", rows[i].tsv_name, rows[i].bytes,
                series_median(rows[i].series), series_quantile(rows[i].series, 0.1),
                series_quantile(rows[i].series, 0.9), rows[i].unit, series_median(&machine->hop));
    }
}
