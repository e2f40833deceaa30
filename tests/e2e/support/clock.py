"""A wall clock that jumps: a library that is loaded before the others and adds an offset to the time of day."""

import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) abort();
    void *at = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) abort();
    offset = at;
    close(file);
}

static long seconds(void) { return offset ? *offset : 0; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, at);
    if (outcome == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += seconds();
    return outcome;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """`env` gives a program this clock; `jump` changes it while the program runs."""

    def __init__(self, folder: Path):
        source, library, self.file = folder / "clock.c", folder / "clock.so", folder / "clock.offset"
        source.write_text(SOURCE)
        self.file.write_bytes(bytes(mmap.PAGESIZE))
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self.file)}

    def jump(self, seconds: int):
        """From now on the clock is so many seconds ahead of the machine's."""
        with self.file.open("r+b", buffering=0) as file:
            file.write(struct.pack("l", seconds))
