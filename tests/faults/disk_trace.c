/*
 * A record of everything that a program does to the files below one folder, in order: loaded in front of the C library
 * (LD_PRELOAD). A model of a file system replays it and drops what was not synced.
 *
 * One operation at a time is done and recorded, so that the order in the record is the order of the disk. Files that are
 * only mapped (SQLite's index of its log) are not recorded: nothing of them is meant to outlive a process.
 * Built by `cargo xtask crash` with cc; never part of a product.
 *
 * Environment:
 *   SNAPTRAK_TRACE_FOLDER  files below this path
 *   SNAPTRAK_TRACE_LOG     the record; appended to
 *
 * The record, each with a line of its own and paths below the folder:
 *   W OFFSET BYTES PATH, then the bytes   write          S PATH      sync of a file or folder
 *   T BYTES PATH                          truncate       C PATH      a new file
 *   R FROM <tab> TO                       rename         M PATH      a new folder
 *   A BYTES, then the bytes               standard output  U PATH    a file or folder is removed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char folder[4096];
static size_t folder_length;
static int record = -1;

#define REAL(name) ({ static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); real; })
#define LOCKED(type, call) ({ pthread_mutex_lock(&mutex); type ended = (call); pthread_mutex_unlock(&mutex); ended; })

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SNAPTRAK_TRACE_FOLDER"), *log = getenv("SNAPTRAK_TRACE_LOG");
    if (!path || !log) return;
    record = REAL(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
}

/* The part of a path below the folder; the folder itself is "". */
static const char *below(const char *path) {
    if (record < 0 || !path || strncmp(path, folder, folder_length) != 0) return NULL;
    if (path[folder_length] == 0) return path + folder_length;
    return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

static const char *path_of(int fd, char *path, size_t bytes) {
    char link[64];
    if (record < 0) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, bytes - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return below(path);
}

static void put(const void *bytes, size_t count) {
    while (count > 0) {
        ssize_t ended = REAL(write)(record, bytes, count);
        if (ended <= 0) abort();
        bytes = (const char *)bytes + ended;
        count -= ended;
    }
}

static void put_line(const char *form, ...) {
    char line[8300];
    va_list rest;
    va_start(rest, form);
    int length = vsnprintf(line, sizeof line, form, rest);
    va_end(rest);
    put(line, length);
}

static void put_write(int fd, off_t offset, const void *bytes, ssize_t count) {
    char path[4096];
    const char *name = path_of(fd, path, sizeof path);
    if (count <= 0) return;
    if (fd == STDOUT_FILENO && record >= 0) put_line("A %zd\n", count);
    else if (name) put_line("W %lld %zd %s\n", (long long)offset, count, name);
    else return;
    put(bytes, count);
}

static ssize_t do_write(int fd, const void *bytes, size_t count) {
    ssize_t ended = REAL(write)(fd, bytes, count);
    put_write(fd, lseek(fd, 0, SEEK_CUR) - ended, bytes, ended);
    return ended;
}

static ssize_t do_pwrite(int fd, const void *bytes, size_t count, __off64_t offset) {
    ssize_t ended = REAL(pwrite64)(fd, bytes, count, offset);
    put_write(fd, offset, bytes, ended);
    return ended;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return record < 0 ? REAL(write)(fd, bytes, count) : LOCKED(ssize_t, do_write(fd, bytes, count));
}

/* Part by part: a short write is allowed. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[4096];
    if (fd != STDOUT_FILENO && !path_of(fd, path, sizeof path)) return REAL(writev)(fd, parts, count);
    for (int index = 0; index < count; index++)
        if (parts[index].iov_len) return write(fd, parts[index].iov_base, parts[index].iov_len);
    return 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, __off64_t offset) {
    return LOCKED(ssize_t, do_pwrite(fd, bytes, count, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, __off64_t offset) {
    return LOCKED(ssize_t, do_pwrite(fd, bytes, count, offset));
}

static int do_sync(int fd, int (*real)(int)) {
    char path[4096];
    const char *name = path_of(fd, path, sizeof path);
    int ended = real(fd);
    if (ended == 0 && name) put_line("S %s\n", name);
    return ended;
}

int fsync(int fd) { return LOCKED(int, do_sync(fd, REAL(fsync))); }
int fdatasync(int fd) { return LOCKED(int, do_sync(fd, REAL(fdatasync))); }

static int do_truncate(int fd, __off64_t length) {
    char path[4096];
    const char *name = path_of(fd, path, sizeof path);
    int ended = REAL(ftruncate64)(fd, length);
    if (ended == 0 && name) put_line("T %lld %s\n", (long long)length, name);
    return ended;
}

int ftruncate(int fd, __off64_t length) { return LOCKED(int, do_truncate(fd, length)); }
int ftruncate64(int fd, __off64_t length) { return LOCKED(int, do_truncate(fd, length)); }

static int do_rename(const char *from, const char *to) {
    int ended = REAL(rename)(from, to);
    if (ended == 0 && below(from) && below(to)) put_line("R %s\t%s\n", below(from), below(to));
    return ended;
}

int rename(const char *from, const char *to) { return LOCKED(int, do_rename(from, to)); }

static int do_mkdir(const char *path, mode_t mode) {
    int ended = REAL(mkdir)(path, mode);
    if (ended == 0 && below(path)) put_line("M %s\n", below(path));
    return ended;
}

int mkdir(const char *path, mode_t mode) { return LOCKED(int, do_mkdir(path, mode)); }

static int do_unlinkat(int fd, const char *name, int flags) {
    char path[4096];
    const char *parent = name[0] == '/' ? NULL : path_of(fd, path, sizeof path);
    int ended = REAL(unlinkat)(fd, name, flags);
    if (ended == 0 && parent) put_line("U %s/%s\n", parent, name);
    else if (ended == 0 && below(name)) put_line("U %s\n", below(name));
    return ended;
}

int unlinkat(int fd, const char *name, int flags) { return LOCKED(int, do_unlinkat(fd, name, flags)); }
int unlink(const char *path) { return LOCKED(int, do_unlinkat(AT_FDCWD, path, 0)); }
int rmdir(const char *path) { return LOCKED(int, do_unlinkat(AT_FDCWD, path, AT_REMOVEDIR)); }

static int do_open(const char *path, int flags, mode_t mode) {
    const char *name = below(path);
    int was_there = name && access(path, F_OK) == 0;
    int ended = REAL(open64)(path, flags, mode);
    if (ended >= 0 && name && (flags & O_CREAT) && !was_there) put_line("C %s\n", name);
    if (ended >= 0 && name && (flags & O_TRUNC) && was_there) put_line("T 0 %s\n", name);
    return ended;
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        return LOCKED(int, do_open(path, flags, mode));                         \
    }
OPEN(open)
OPEN(open64)
