/*
 * A wall clock that jumps: loaded in front of the C library (LD_PRELOAD), it adds an offset to what CLOCK_REALTIME says, and
 * goes on to the next offset after so many looks. Monotonic time stays as it is.
 *
 * Built by `cargo xtask crash` with cc; never part of a product.
 *
 * Environment:
 *   SNAPTRAK_CLOCK_OFFSETS_S  seconds with a comma between, used in turn
 *   SNAPTRAK_CLOCK_EVERY      looks at the clock until the next offset
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OFFSETS_MAX 16

static long long offsets[OFFSETS_MAX];
static unsigned long count, every = 1;
static atomic_ulong looks;

__attribute__((constructor)) static void begin(void) {
    const char *rate = getenv("SNAPTRAK_CLOCK_EVERY"), *text = getenv("SNAPTRAK_CLOCK_OFFSETS_S");
    if (rate) every = strtoul(rate, NULL, 10);
    if (!every) every = 1;
    while (text && *text && count < OFFSETS_MAX) {
        offsets[count++] = strtoll(text, NULL, 10);
        text = strchr(text, ',');
        if (text) text++;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int ended = real(clock, time);
    if (ended == 0 && clock == CLOCK_REALTIME && count)
        time->tv_sec += offsets[(atomic_fetch_add(&looks, 1) / every) % count];
    return ended;
}
