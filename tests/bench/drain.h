/* drain.h - what reading costs: readers alone with a ring that is full.
 *
 * The ring is filled half, then its readers read all of it, and so on, many times. Nobody writes meanwhile and nobody
 * waits, so what is measured is the library's part of a reader: the processor time that all readers together took
 * for a record, from their first call to the one that said that there is nothing more. (Two readers on two processors
 * that were as good as one would take half the time for it, but the same processor time.)
 *
 * The first reader's process is also the writer: of one record in each lane in turn, so that a reader that merges has
 * to change its lane with every record. Members of a group check that what they get is right and in order, and that all
 * of them together have got as many records as there were.
 *
 * Called by cases.c.
 */
#ifndef BENCH_DRAIN_H
#define BENCH_DRAIN_H

#include "cases.h"

/* Near `wanted`. */
uint64_t drain_records(const struct bench_case *bench_case, double wanted);

int drain_run(struct crew *crew, const int cpus[2], const struct bench_case *bench_case, const char *ring,
              struct case_figures *figures, char *failure);

#endif
