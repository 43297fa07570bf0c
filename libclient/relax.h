/* relax.h - one pause inside a loop that looks at memory another processor is about to write.
 *
 * It lets the processor save power and a sibling thread run; it is neither a barrier nor a system call. Used by the
 * bounded loops of ring.c and reader.c before they sleep.
 */
#ifndef LIBCLIENT_RELAX_H
#define LIBCLIENT_RELAX_H

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
