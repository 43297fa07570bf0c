/* fault.c - see fault.h. The handler only makes system calls. */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t faults;
static void *volatile fault_address; /* of the last one */
static uintptr_t page_bytes;

static bool replace_page(void *address)
{
    uintptr_t page = (uintptr_t)address & ~(page_bytes - 1);

    return mmap((void *)page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
           MAP_FAILED;
}

static void note_fault(void *address)
{
    fault_address = address;
    faults = 1;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    (void)context;
    if (info->si_code == BUS_ADRERR && replace_page(info->si_addr))
        note_fault(info->si_addr);
    else
        signal(number, SIG_DFL); /* the access is repeated, and ends the process */
    errno = saved_errno;
}

int fault_install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
}

bool fault_seen(const void **address)
{
    bool seen = faults != 0;

    *address = fault_address;
    faults = 0;
    return seen;
}
