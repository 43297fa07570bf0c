/* crew.c - forks, pins, starts and waits for the processes of one run; see crew.h.
 *
 * The start: each role counts itself into `ready` and yields its processor until `go` is set. Yielding, because up to
 * five roles share one processor. The parent looks every 50 microseconds whether all are ready and whether one has
 * ended before its time; once it has set `go` it sleeps in waitpid().
 *
 * Failures are text in shared memory and not exit codes, as the parent has to say what was wrong: only the role knows
 * which record it was.
 */
#define _GNU_SOURCE
#include "crew.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ringd.h"

struct crew *crew_new(void)
{
    const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    void *map = mmap(NULL, sizeof(struct crew), PROT_READ | PROT_WRITE, flags, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

void crew_free(struct crew *crew)
{
    if (crew)
        munmap(crew, sizeof(*crew));
}

/* ---- in the role ------------------------------------------------------------------------------------------------ */

static unsigned limit_s(const struct crew *crew)
{
    return crew->limit_s ? crew->limit_s : CREW_LIMIT_S;
}

static int self_pin(const struct crew_role *role)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)role->cpu, &set);
    if (role->roams)
        CPU_SET((unsigned)role->other_cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static _Noreturn void role_play(struct crew *crew, unsigned self, const struct crew_role *role)
{
    int result = self_pin(role);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(limit_s(crew));
    if (result)
        crew_fail(crew, self, "cannot pin the process to its processor", result);
    role->play(crew, self, role->task);
    _exit(0);
}

void crew_ready(struct crew *crew, unsigned self)
{
    atomic_fetch_add_explicit(&crew->ready, 1, memory_order_acq_rel);
    while (!atomic_load_explicit(&crew->go, memory_order_acquire))
        sched_yield();
    crew->results[self].processor_ns = -clock_processor_ns();
    crew->results[self].start_ns = clock_now_ns();
}

void crew_done(struct crew *crew, unsigned self)
{
    crew->results[self].end_ns = clock_now_ns();
    crew->results[self].processor_ns += clock_processor_ns();
}

void crew_fail(struct crew *crew, unsigned self, const char *what, int code)
{
    char *failure = crew->results[self].failure;

    if (!code)
        snprintf(failure, CREW_TEXT, "%s", what);
    else if (*ringd_error())
        snprintf(failure, CREW_TEXT, "%s: %s", what, ringd_error());
    else
        snprintf(failure, CREW_TEXT, "%s: %s", what, ringd_strerror(code));
    _exit(1);
}

void crew_fail_errno(struct crew *crew, unsigned self, const char *what, int result)
{
    char text[CREW_TEXT];

    snprintf(text, sizeof(text), "%.120s: %s", what, strerror(-result));
    crew_fail(crew, self, text, 0);
}

/* ---- in the parent ---------------------------------------------------------------------------------------------- */

struct company {
    pid_t pids[CREW_ROLES]; /* 0: has ended and was waited for */
    unsigned count;
};

static void company_end(struct company *company)
{
    for (unsigned i = 0; i < company->count; i++) {
        if (company->pids[i] > 0) {
            kill(company->pids[i], SIGKILL);
            waitpid(company->pids[i], NULL, 0);
        }
        company->pids[i] = 0;
    }
}

static void failure_tell(struct crew *crew, unsigned role, int status, char *failure)
{
    crew->timed_out = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    if (*crew->results[role].failure)
        snprintf(failure, CREW_TEXT, "%s", crew->results[role].failure);
    else if (crew->timed_out)
        snprintf(failure, CREW_TEXT, "process %u did not finish within %u s", role, limit_s(crew));
    else if (WIFSIGNALED(status))
        snprintf(failure, CREW_TEXT, "process %u was ended by signal %d", role, WTERMSIG(status));
    else
        snprintf(failure, CREW_TEXT, "process %u ended with %d", role, WEXITSTATUS(status));
}

/* Waits for one child, whichever ends first. 0: one has ended as it should, or (WNOHANG) none has ended. */
static int company_wait(struct company *company, struct crew *crew, int options, char *failure)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, options);

    if (pid == 0 || (pid < 0 && errno == EINTR))
        return 0;
    if (pid < 0)
        return -errno;
    for (unsigned i = 0; i < company->count; i++) {
        if (company->pids[i] != pid)
            continue;
        company->pids[i] = 0;
        if (status != 0) {
            failure_tell(crew, i, status, failure);
            return -ECANCELED;
        }
    }
    return 0;
}

static bool company_works(const struct company *company)
{
    for (unsigned i = 0; i < company->count; i++) {
        if (company->pids[i])
            return true;
    }
    return false;
}

static int company_begin(struct company *company, struct crew *crew, const struct crew_role *roles, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return -errno;
        if (pid == 0)
            role_play(crew, i, &roles[i]);
        company->pids[company->count++] = pid;
    }
    return 0;
}

static int company_start(struct company *company, struct crew *crew, char *failure)
{
    const struct timespec nap = {.tv_nsec = 50000};

    while (atomic_load_explicit(&crew->ready, memory_order_acquire) < company->count) {
        int result = company_wait(company, crew, WNOHANG, failure);

        if (result)
            return result;
        nanosleep(&nap, NULL);
    }
    atomic_store_explicit(&crew->go, 1, memory_order_release);
    return 0;
}

int crew_run(struct crew *crew, const struct crew_role *roles, unsigned count, char *failure)
{
    struct company company = {.count = 0};
    int result;

    memset(crew->results, 0, sizeof(crew->results));
    crew->sample_count = 0;
    crew->timed_out = false;
    atomic_store(&crew->ready, 0);
    atomic_store(&crew->go, 0);
    snprintf(failure, CREW_TEXT, "cannot start a process");
    result = company_begin(&company, crew, roles, count);
    if (!result)
        result = company_start(&company, crew, failure);
    while (!result && company_works(&company))
        result = company_wait(&company, crew, 0, failure);
    company_end(&company);
    return result;
}

double crew_elapsed_ns(const struct crew *crew, unsigned count)
{
    int64_t start_ns = INT64_MAX, end_ns = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct crew_result *result = &crew->results[i];

        start_ns = result->start_ns < start_ns ? result->start_ns : start_ns;
        end_ns = result->end_ns > end_ns ? result->end_ns : end_ns;
    }
    return (double)(end_ns - start_ns);
}

double crew_share(const struct crew *crew, unsigned role)
{
    const struct crew_result *result = &crew->results[role];

    return (double)result->processor_ns / (double)(result->end_ns - result->start_ns);
}

/* ---- processors ------------------------------------------------------------------------------------------------- */

/* A figure from the kernel's description of a processor; -1 when it does not tell. */
static int topology_read(int cpu, const char *name)
{
    char path[96];
    int value = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, name);
    file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%d", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

/* Two threads of one core share its caches: what passes between them is no hop. */
static bool core_shared(int cpu, int other)
{
    int core = topology_read(cpu, "core_id");

    return core >= 0 && core == topology_read(other, "core_id") &&
           topology_read(cpu, "physical_package_id") == topology_read(other, "physical_package_id");
}

int crew_processors(int cpus[2])
{
    cpu_set_t allowed;
    int second = -1;

    cpus[0] = -1;
    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return -errno;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((unsigned)cpu, &allowed))
            continue;
        if (cpus[0] < 0)
            cpus[0] = cpu;
        else if (second < 0 || core_shared(second, cpus[0]))
            second = cpu;
    }
    cpus[1] = second;
    return second < 0 ? -ENODEV : 0;
}
