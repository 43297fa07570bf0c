/* stop_point.h - names for places in the code, where tests stop, kill or hold whoever comes along.
 *
 *     atomic_fetch_add_explicit(&lane->word, ...);
 *     STOP_POINT("reserve-added");
 *
 * A point stands right after a step that another process could observe, and before the next one; what is named is the
 * step that has been done. It is no instruction: the assembler only notes the address and the name in the section
 * .ringd_stop_points, which is not loaded. So the build that is shipped has the points, and build/at-stop-point can put
 * a breakpoint at one of them in any program that links the library. tests/check_stop_points.c compares the code with
 * that of a build without points (RINGD_NO_STOP_POINTS), instruction by instruction.
 *
 *   - A name is lower-case words with '-': first what is going on, then what has been done. One name may stand at
 * several places and be inlined into many.
 *   - The compiler moves no atomic access and no call past a point. It may move plain ones, and need not forget what it
 *     knows about memory.
 *   - Whatever jumps to the instruction after a point passes the point too. So one that ends a conditional block, or
 *     stands behind one, may be passed by those who went around the block: put it inside, before another step, or do
 *     without. And after a call that is the last thing a function does a point costs an instruction: put it into the
 *     function that is called.
 *
 * `make stop-points` lists them. An entry of the section is an address of 8 bytes, as linked, and the name with its
 * zero.
 */
#ifndef LIBCLIENT_STOP_POINT_H
#define LIBCLIENT_STOP_POINT_H

/* Volatile keeps it in its place among the atomics and calls; no clobber, as it touches nothing; inline: for what the
 * compiler inlines it counts as little as it can. */
#if defined(RINGD_NO_STOP_POINTS)
#define STOP_POINT(name) ((void)0)
#else
#define STOP_POINT(name)                                                                                               \
    __asm__ __inline__ volatile("771:\n\t"                                                                             \
                                ".pushsection .ringd_stop_points, \"\", @progbits\n\t"                                 \
                                ".8byte 771b\n\t"                                                                      \
                                ".asciz \"" name "\"\n\t"                                                              \
                                ".popsection"                                                                          \
                                :                                                                                      \
                                :)
#endif

#endif
