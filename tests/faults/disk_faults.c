/*
 * A disk that fails: loaded in front of the C library (LD_PRELOAD), it lets some calls on files below one folder fail.
 *
 * Owns: which calls fail, drawn from a seed, and what a failed sync does to the file. Refuses to know what the files are.
 * Built by `cargo xtask crash` with cc; never part of a product.
 *
 * A sync that fails throws away what was written to the file since its last good sync, and the next one succeeds, as on
 * Linux, where pages whose write failed are marked clean: who tries again instead of writing again has lost data and does
 * not know. (Linux may keep the pages in memory for a while. Here they are gone at once, so that it shows.)
 *
 * Environment:
 *   SNAPTRAK_FAULT_FOLDER  files below this path
 *   SNAPTRAK_FAULT_KINDS   words with a comma between: sync, write, full, short, read, name, lie
 *                          (lie: every sync says that it succeeded and does nothing, to see that a trial can fail)
 *   SNAPTRAK_FAULT_EVERY   one of so many calls fails, at random
 *   SNAPTRAK_FAULT_SEED    where chance begins
 *   SNAPTRAK_FAULT_LOG     a line is appended to this file for each fault
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { SYNC = 1, WRITE = 2, FULL = 4, SHORT = 8, READ = 16, NAME = 32, LIE = 64 };

/* More files than a store has open, and more unsynced writes than one has between two syncs; beyond it nothing is noted. */
#define FILES_MAX 1024
#define SPANS_MAX 512

struct span { off_t start, end; };
struct file { dev_t device; ino_t number; size_t count; struct span spans[SPANS_MAX]; };

static struct file *files[FILES_MAX];
static size_t files_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char folder[4096];
static size_t folder_length;
static unsigned kinds;
static uint64_t every, state;
static int log_file = -1;

#define REAL(name) ({ static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); real; })

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SNAPTRAK_FAULT_FOLDER"), *words = getenv("SNAPTRAK_FAULT_KINDS");
    const char *rate = getenv("SNAPTRAK_FAULT_EVERY"), *seed = getenv("SNAPTRAK_FAULT_SEED"), *log = getenv("SNAPTRAK_FAULT_LOG");
    static const struct { const char *word; unsigned kind; } names[] = {
        {"sync", SYNC}, {"write", WRITE}, {"full", FULL}, {"short", SHORT}, {"read", READ}, {"name", NAME}, {"lie", LIE}};
    if (!path || !words) return;
    if (log) log_file = REAL(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    snprintf(folder, sizeof folder, "%s/", path);
    folder_length = strlen(folder);
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (strstr(words, names[index].word)) kinds |= names[index].kind;
    every = rate ? strtoull(rate, NULL, 10) : 1;
    if (!every) every = 1;
    state = seed ? strtoull(seed, NULL, 10) : 1;
}

/* SplitMix64 (Steele et al. 2014). */
static int drawn(void) {
    pthread_mutex_lock(&mutex);
    uint64_t mixed = state += 0x9e3779b97f4a7c15u;
    pthread_mutex_unlock(&mutex);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % every == 0;
}

static int is_below(const char *path) { return folder_length && strncmp(path, folder, folder_length) == 0; }

static int path_of(int fd, char *path, size_t bytes) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, bytes - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void note(const char *word, const char *path) {
    if (log_file >= 0) dprintf(log_file, "%s %s\n", word, path + folder_length);
}

/* Whether this call on an open file fails in this way. */
static int fails(int fd, unsigned kind, const char *word) {
    char path[4096];
    if (!(kinds & kind) || !path_of(fd, path, sizeof path) || !drawn()) return 0;
    note(word, path);
    return 1;
}

static int fails_by_name(const char *path) {
    if (!(kinds & NAME) || !path || !is_below(path) || !drawn()) return 0;
    note("name", path);
    return 1;
}

static struct file *find(int fd, int make) {
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) return NULL;
    for (size_t index = 0; index < files_count; index++)
        if (files[index]->device == found.st_dev && files[index]->number == found.st_ino) return files[index];
    if (!make || files_count == FILES_MAX) return NULL;
    struct file *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->device = found.st_dev;
    file->number = found.st_ino;
    return files[files_count++] = file;
}

static void wrote(int fd, off_t start, ssize_t bytes) {
    char path[4096];
    if (bytes <= 0 || !(kinds & SYNC) || !path_of(fd, path, sizeof path)) return;
    pthread_mutex_lock(&mutex);
    struct file *file = find(fd, 1);
    if (file) {
        struct span *last = file->count ? &file->spans[file->count - 1] : NULL;
        if (last && last->end == start) last->end = start + bytes;
        else if (file->count < SPANS_MAX) file->spans[file->count++] = (struct span){start, start + bytes};
    }
    pthread_mutex_unlock(&mutex);
}

/* After a sync: what was unsynced is durable, or gone. */
static void settle(int fd, int is_lost) {
    pthread_mutex_lock(&mutex);
    struct file *file = find(fd, 0);
    struct stat found;
    if (file && is_lost && fstat(fd, &found) == 0) {
        static const char nothing[65536];
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int own = REAL(open64)(link, O_WRONLY | O_CLOEXEC);
        for (size_t index = 0; own >= 0 && index < file->count; index++) {
            off_t at = file->spans[index].start, end = file->spans[index].end;
            if (end > found.st_size) end = found.st_size;
            while (at < end) {
                size_t bytes = end - at > (off_t)sizeof nothing ? sizeof nothing : (size_t)(end - at);
                if (REAL(pwrite64)(own, nothing, bytes, at) <= 0) break;
                at += bytes;
            }
        }
        if (own >= 0) close(own);
    }
    if (file) file->count = 0;
    pthread_mutex_unlock(&mutex);
}

static int sync_with(int fd, int (*real)(int)) {
    char path[4096];
    if ((kinds & LIE) && path_of(fd, path, sizeof path)) return 0;
    if (fails(fd, SYNC, "sync")) {
        settle(fd, 1);
        errno = EIO;
        return -1;
    }
    int ended = real(fd);
    if (ended == 0 && (kinds & SYNC)) settle(fd, 0);
    return ended;
}

int fsync(int fd) { return sync_with(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_with(fd, REAL(fdatasync)); }

/* How many bytes of a write or read go through; -1 with errno for none. */
static ssize_t allowed(int fd, size_t bytes, unsigned hard, const char *word, int error) {
    if (fails(fd, hard, word)) {
        errno = error;
        return -1;
    }
    if (bytes > 1 && fails(fd, SHORT, "short")) return (ssize_t)(bytes / 2);
    return (ssize_t)bytes;
}

static ssize_t may_write(int fd, size_t bytes) {
    ssize_t left = allowed(fd, bytes, WRITE, "write", EIO);
    if (left > 0 && fails(fd, FULL, "full")) {
        errno = ENOSPC;
        return -1;
    }
    return left;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t left = may_write(fd, count);
    if (left < 0) return -1;
    ssize_t ended = REAL(write)(fd, bytes, left);
    if (ended > 0 && (kinds & SYNC)) wrote(fd, lseek(fd, 0, SEEK_CUR) - ended, ended);
    return ended;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t left = may_write(fd, 1);
    if (left < 0) return -1;
    ssize_t ended = REAL(writev)(fd, parts, count);
    if (ended > 0 && (kinds & SYNC)) wrote(fd, lseek(fd, 0, SEEK_CUR) - ended, ended);
    return ended;
}

#define POSITIONED_WRITE(name)                                                  \
    ssize_t name(int fd, const void *bytes, size_t count, __off64_t offset) {   \
        ssize_t left = may_write(fd, count);                                    \
        if (left < 0) return -1;                                                \
        ssize_t ended = REAL(pwrite64)(fd, bytes, left, offset);                \
        wrote(fd, offset, ended);                                               \
        return ended;                                                           \
    }
POSITIONED_WRITE(pwrite)
POSITIONED_WRITE(pwrite64)

ssize_t read(int fd, void *bytes, size_t count) {
    ssize_t left = allowed(fd, count, READ, "read", EIO);
    return left < 0 ? -1 : REAL(read)(fd, bytes, left);
}

#define POSITIONED_READ(name)                                                   \
    ssize_t name(int fd, void *bytes, size_t count, __off64_t offset) {         \
        ssize_t left = allowed(fd, count, READ, "read", EIO);                   \
        return left < 0 ? -1 : REAL(pread64)(fd, bytes, left, offset);          \
    }
POSITIONED_READ(pread)
POSITIONED_READ(pread64)

#define TRUNCATE(name)                                                          \
    int name(int fd, __off64_t length) {                                        \
        if (fails(fd, WRITE, "truncate")) { errno = EIO; return -1; }           \
        return REAL(ftruncate64)(fd, length);                                   \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define FAIL_BY_NAME(path) if (fails_by_name(path)) { errno = EIO; return -1; }

int rename(const char *from, const char *to) {
    FAIL_BY_NAME(from)
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    FAIL_BY_NAME(path)
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    FAIL_BY_NAME(path)
    return REAL(mkdir)(path, mode);
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        if (flags & (O_CREAT | O_WRONLY | O_RDWR)) { FAIL_BY_NAME(path) }       \
        return REAL(open64)(path, flags, mode);                                 \
    }
OPEN(open)
OPEN(open64)
