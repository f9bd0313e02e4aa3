/* Between a program and its disk, by LD_PRELOAD: counts what it does to files below one directory, and makes chosen
 * calls fail. tests/src/shim.rs builds it and says what each variable means to a test.
 *
 *   USHER_SHIM_BELOW   the directory; without it nothing is changed
 *   USHER_SHIM_LOG     each counted call is appended here: "number kind path"; one that fails: "! number kind path"
 *   USHER_SHIM_READS   set: calls that read are counted as well
 *   USHER_SHIM_AT      number of the call that fails, from 1
 *   USHER_SHIM_ERRNO   with this error
 *   USHER_SHIM_HOW     "once" (that call alone), "on" (it and every later one), "short" (it writes half, the next fails)
 *   USHER_SHIM_UNTIL   "on" ends when this file appears
 *   USHER_SHIM_VOID    calls that do nothing and say they did, as "fsync,fdatasync,sync_file_range"
 *
 * Numbers count within one process. It sees what goes through the C library: not raw system calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static size_t below_length;
static const char *log_path, *until_path, *void_calls;
static int counts_reads, fails_on, fails_short, error_number;
static long fails_at;
static atomic_long counted;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *value = getenv("USHER_SHIM_BELOW");
    if (!value || strlen(value) >= sizeof below) return;
    strcpy(below, value);
    below_length = strlen(below);
    log_path = getenv("USHER_SHIM_LOG");
    until_path = getenv("USHER_SHIM_UNTIL");
    void_calls = getenv("USHER_SHIM_VOID");
    counts_reads = getenv("USHER_SHIM_READS") != NULL;
    value = getenv("USHER_SHIM_AT");
    fails_at = value ? atol(value) : 0;
    value = getenv("USHER_SHIM_ERRNO");
    error_number = value ? atoi(value) : EIO;
    value = getenv("USHER_SHIM_HOW");
    fails_on = value && !strcmp(value, "on");
    fails_short = value && !strcmp(value, "short");
}

static int is_below(const char *path) {
    return below_length && !strncmp(path, below, below_length) &&
           (path[below_length] == '/' || path[below_length] == 0);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

/* The path a call at a directory means; relative ones are joined to it. */
static int path_at(int directory, const char *name, char *path) {
    if (!name) return 0;
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    char base[PATH_MAX];
    if (directory == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(directory, base)) return 0;
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX;
}

static void note(const char *mark, long number, const char *kind, const char *path) {
    if (!log_path) return;
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s%ld %s %s\n", mark, number, kind, path);
    int file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    syscall(SYS_write, file, line, (size_t)length);
    syscall(SYS_close, file);
}

enum verdict { PASS, FAIL, HALF };

static enum verdict judge(const char *kind, const char *path) {
    if (!is_below(path)) return PASS;
    long number = atomic_fetch_add(&counted, 1) + 1;
    enum verdict verdict = PASS;
    if (fails_at) {
        int is_write = strstr(kind, "write") != NULL;
        if (number == fails_at) verdict = fails_short && is_write ? HALF : FAIL;
        if (fails_short && number == fails_at + 1) verdict = FAIL;
        if (fails_on && number > fails_at) verdict = FAIL;
        if (fails_on && verdict != PASS && until_path && !syscall(SYS_faccessat, AT_FDCWD, until_path, F_OK)) verdict = PASS;
    }
    note(verdict == PASS ? "" : "! ", number, kind, path);
    if (verdict == FAIL) errno = error_number;
    return verdict;
}

static enum verdict judge_fd(const char *kind, int fd) {
    char path[PATH_MAX];
    int before = errno;
    enum verdict verdict = below_length && path_of(fd, path) ? judge(kind, path) : PASS;
    if (verdict != FAIL) errno = before;
    return verdict;
}

static enum verdict judge_at(const char *kind, int directory, const char *name) {
    char path[PATH_MAX];
    int before = errno;
    enum verdict verdict = below_length && path_at(directory, name, path) ? judge(kind, path) : PASS;
    if (verdict != FAIL) errno = before;
    return verdict;
}

static int is_void(const char *kind, int fd) {
    char path[PATH_MAX];
    if (!void_calls || !below_length || !path_of(fd, path) || !is_below(path)) return 0;
    size_t length = strlen(kind);
    for (const char *at = void_calls; (at = strstr(at, kind)); at += length) {
        if ((at == void_calls || at[-1] == ',') && (at[length] == ',' || !at[length])) return 1;
    }
    return 0;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

static int opens_to_change(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE_OF(flags); \
        if ((counts_reads || opens_to_change(flags)) && judge_at("open", AT_FDCWD, path) == FAIL) return -1; \
        return real(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int directory, const char *path, int flags, ...) { \
        REAL(name); \
        MODE_OF(flags); \
        if ((counts_reads || opens_to_change(flags)) && judge_at("open", directory, path) == FAIL) return -1; \
        return real(directory, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    switch (judge_fd("write", fd)) {
    case FAIL: return -1;
    case HALF: return real(fd, bytes, (length + 1) / 2);
    default: return real(fd, bytes, length);
    }
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    switch (judge_fd("write", fd)) {
    case FAIL: return -1;
    case HALF: return write(fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2);
    default: return real(fd, parts, count);
    }
}

#define PWRITE(name) \
    ssize_t name(int fd, const void *bytes, size_t length, off_t at) { \
        REAL(name); \
        switch (judge_fd("pwrite", fd)) { \
        case FAIL: return -1; \
        case HALF: return real(fd, bytes, (length + 1) / 2, at); \
        default: return real(fd, bytes, length, at); \
        } \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t read(int fd, void *bytes, size_t length) {
    REAL(read);
    return counts_reads && judge_fd("read", fd) == FAIL ? -1 : real(fd, bytes, length);
}

#define PREAD(name) \
    ssize_t name(int fd, void *bytes, size_t length, off_t at) { \
        REAL(name); \
        return counts_reads && judge_fd("pread", fd) == FAIL ? -1 : real(fd, bytes, length, at); \
    }
PREAD(pread)
PREAD(pread64)

#define SYNC(name) \
    int name(int fd) { \
        REAL(name); \
        if (is_void(#name, fd)) return 0; \
        return judge_fd(#name, fd) == FAIL ? -1 : real(fd); \
    }
SYNC(fsync)
SYNC(fdatasync)

int sync_file_range(int fd, off64_t at, off64_t length, unsigned flags) {
    REAL(sync_file_range);
    if (is_void("sync_file_range", fd)) return 0;
    return judge_fd("sync_file_range", fd) == FAIL ? -1 : real(fd, at, length, flags);
}

#define TRUNCATE(name) \
    int name(int fd, off_t length) { \
        REAL(name); \
        return judge_fd("ftruncate", fd) == FAIL ? -1 : real(fd, length); \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    REAL(copy_file_range);
    return judge_fd("copy_file_range", to) == FAIL ? -1 : real(from, from_at, to, to_at, length, flags);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return judge_at("rename", AT_FDCWD, to) == FAIL ? -1 : real(from, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL(renameat);
    return judge_at("rename", to_at, to) == FAIL ? -1 : real(from_at, from, to_at, to);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    REAL(renameat2);
    return judge_at("rename", to_at, to) == FAIL ? -1 : real(from_at, from, to_at, to, flags);
}

int unlink(const char *path) {
    REAL(unlink);
    return judge_at("unlink", AT_FDCWD, path) == FAIL ? -1 : real(path);
}

int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    return judge_at("unlink", directory, path) == FAIL ? -1 : real(directory, path, flags);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    REAL(linkat);
    return judge_at("link", to_at, to) == FAIL ? -1 : real(from_at, from, to_at, to, flags);
}

int link(const char *from, const char *to) {
    REAL(link);
    return judge_at("link", AT_FDCWD, to) == FAIL ? -1 : real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return judge_at("mkdir", AT_FDCWD, path) == FAIL ? -1 : real(path, mode);
}
