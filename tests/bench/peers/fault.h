/* fault.h - somebody dies or stops in the middle of a record while two others go on.
 *
 *   fault_writer_killed   A writer is killed in mid-record: from SIGKILL to the next record of another writer that the
 *                         reader has, and the records lost of those that the victim's calls had taken.
 *   fault_writer_stopped  The same with SIGSTOP, and it stays stopped.
 *   fault_reader_killed   One of two readers is killed in mid-record: until the other one has its next record.
 *
 * In mid-record: where the process itself copies into shared memory (PEER_COPIES, PEER_COPIES_OUT) the second half of
 * its buffer cannot be touched, so it comes to stand in the middle of the copy, inside the call, whatever is held
 * there; a reader in place has a record and does not give it back. Where the kernel or another process does the copying
 * there is no such moment: the victim is killed while it sends or receives at full speed.
 *
 * What does not go on within FAULT_LIMIT_MS stalls: NAN.
 *
 * Called by peers_plan.c.
 */
#ifndef BENCH_FAULT_H
#define BENCH_FAULT_H

#include "../crew.h"
#include "peer.h"

#define FAULT_BYTES    1024u
#define FAULT_LIMIT_MS 1000u
#define FAULT_TRIES    5u

enum fault_kind { FAULT_WRITER_KILLED, FAULT_WRITER_STOPPED, FAULT_READER_KILLED };

struct fault_figures {
    double next_us; /* median; NAN: it stalls */
    double lost;    /* records, of the try that lost most */
};

bool fault_can(const struct peer *peer, enum fault_kind kind);

/* As crew_run. */
int fault_run(const struct peer *peer, enum fault_kind kind, const char *folder, struct crew *crew, const int cpus[2],
              struct fault_figures *figures, char *failure);

#endif
