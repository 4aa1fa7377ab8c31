/* Sees every file operation of a process below one folder, writes it down, and makes one of them fail.
 *
 * Preloaded with LD_PRELOAD, asleep until `faults_arm` is called or FAULTS_ROOT is in the environment. One record of
 * the log is a line `kind TAB created TAB offset TAB length TAB result TAB path TAB second path` and, for a write that
 * succeeded, the `length` bytes that it wrote. Operations are counted from 0, in the order in which they are done: a
 * mutex is held around each, so the log has the order of the disk. Writes to the file of acknowledgements are written
 * down as `note` and not counted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { WATCH, KILL, KILL_AFTER, FAIL, FAIL_FROM, SHORT, SHORT_FROM };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], notes[PATH_MAX];
static int log_file = -1;
static volatile int armed;
static long count, chosen;
static enum action action;
static int failure;

#define REAL(name) ((__typeof__(name) *)real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) _exit(99);
    return found;
}

int faults_arm(const char *folder, const char *acknowledgements, const char *log, long number, int what, int error) {
    int opened = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (opened < 0) return -1;
    log_file = fcntl(opened, F_DUPFD_CLOEXEC, 700);
    syscall(SYS_close, opened);
    snprintf(root, sizeof root, "%s", folder);
    snprintf(notes, sizeof notes, "%s", acknowledgements);
    count = 0, chosen = number, action = what, failure = error;
    armed = 1;
    return log_file;
}

__attribute__((constructor)) static void from_environment(void) {
    const char *folder = getenv("FAULTS_ROOT"), *log = getenv("FAULTS_LOG");
    const char *number = getenv("FAULTS_AT"), *what = getenv("FAULTS_ACTION"), *error = getenv("FAULTS_ERROR");
    if (folder && log)
        faults_arm(folder, "", log, number ? atol(number) : -1, what ? atoi(what) : WATCH, error ? atoi(error) : 0);
}

static int below(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static void absolute(int folder, const char *path, char *into) {
    char base[PATH_MAX] = "", link[64];
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) base[0] = 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            base[length > 0 ? length : 0] = 0;
        }
    }
    if (snprintf(into, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", path) >= PATH_MAX) into[0] = 0;
}

static void name_of(int file, char *into) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, into, PATH_MAX - 1);
    into[length > 0 ? length : 0] = 0;
}

static void write_down(const char *kind, int created, long offset, long length, long result, const char *path,
                       const char *second, const void *data) {
    char line[3 * PATH_MAX];
    int size = snprintf(line, sizeof line, "%s\t%d\t%ld\t%ld\t%ld\t%s\t%s\n", kind, created, offset,
                        data ? length : 0, result, path, second);
    struct iovec pieces[2] = {{line, size}, {(void *)data, data ? length : 0}};
    syscall(SYS_writev, log_file, pieces, 2);
}

/* What the operation whose turn it is must do; FAIL stands for FAIL_FROM too, and SHORT for SHORT_FROM. */
static enum action decide(const char *kind) {
    long number = count++;
    int reads = !strcmp(kind, "read") || !strcmp(kind, "look") || !strcmp(kind, "list");
    int frees = !strcmp(kind, "unlink") || !strcmp(kind, "close") || !strcmp(kind, "lock");
    int names = !strcmp(kind, "open") || !strcmp(kind, "mkdir") || !strcmp(kind, "rename") || !strcmp(kind, "unlink")
        || !strcmp(kind, "link");
    if (action == FAIL_FROM && number >= chosen) {
        if (failure == ENOSPC) return reads || frees ? WATCH : FAIL;
        if (failure == EROFS) return reads || !strcmp(kind, "close") || !strcmp(kind, "lock") ? WATCH : FAIL;
        if (failure == EACCES) return names ? FAIL : WATCH;
        return FAIL;
    }
    if (action == SHORT_FROM && number >= chosen) return SHORT;
    return number == chosen && action != FAIL_FROM && action != SHORT_FROM ? action : WATCH;
}

static void die(void) {
    syscall(SYS_kill, (long)getpid(), SIGKILL);
    for (;;) pause();
}

/* Do an operation under the rule of the moment. `does` is the real call; `wrong` is what it returns when it fails. */
#define DO(kind, created, offset, path, second, result, does, wrong)                       \
    do {                                                                                   \
        pthread_mutex_lock(&turn);                                                         \
        enum action now = decide(kind);                                                    \
        int error = errno;                                                                 \
        if (now == KILL) die();                                                            \
        if (now == FAIL) {                                                                 \
            error = failure;                                                               \
            result = wrong;                                                                \
        } else {                                                                           \
            result = does;                                                                 \
            error = errno;                                                                 \
        }                                                                                  \
        write_down(kind, created, offset, 0, (long)result, path, second, NULL);            \
        if (now == KILL_AFTER) die();                                                      \
        pthread_mutex_unlock(&turn);                                                       \
        errno = error;                                                                     \
    } while (0)

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int result, writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (armed) absolute(folder, path, full);
    if (!armed || !below(full, root)) return syscall(SYS_openat, folder, path, flags, mode);
    int created = flags & O_CREAT && access(full, F_OK) ? 1 : flags & O_TRUNC ? 2 : 0;
    DO(writes ? "open" : "look", created, 0L, full, "", result, (int)syscall(SYS_openat, folder, path, flags, mode), -1);
    return result;
}

#define MODE                                                          \
    mode_t mode = 0;                                                  \
    if (flags & (O_CREAT | __O_TMPFILE)) {                            \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode = va_arg(rest, mode_t);                                  \
        va_end(rest);                                                 \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

DIR *opendir(const char *path) {
    char full[PATH_MAX];
    DIR *result;
    if (armed) absolute(AT_FDCWD, path, full);
    if (!armed || !below(full, root)) return REAL(opendir)(path);
    DO("list", 0, 0L, full, "", result, REAL(opendir)(path), NULL);
    return result;
}

static ssize_t written(int file, const void *data, size_t length, off_t offset, int positioned) {
    char path[PATH_MAX];
    ssize_t result;
    int saved = errno;
    if (armed) name_of(file, path);
    if (armed && notes[0] && !strcmp(path, notes)) {
        pthread_mutex_lock(&turn);
        result = syscall(SYS_write, file, data, length);
        write_down("note", 0, 0, result, result, path, "", data);
        pthread_mutex_unlock(&turn);
        return result;
    }
    if (!armed || !below(path, root)) {
        errno = saved;
        return positioned ? syscall(SYS_pwrite64, file, data, length, offset) : syscall(SYS_write, file, data, length);
    }
    if (!positioned) offset = lseek(file, 0, SEEK_CUR);
    pthread_mutex_lock(&turn);
    enum action now = decide("write");
    if (now == KILL) die();
    int error = failure;
    if (now == FAIL) {
        result = -1;
    } else {
        size_t most = now == KILL_AFTER || (now == SHORT && action == SHORT) ? (length + 1) / 2 : length;
        if (now == SHORT && action == SHORT_FROM && most > 7) most = 7;
        result = positioned ? syscall(SYS_pwrite64, file, data, most, offset) : syscall(SYS_write, file, data, most);
        error = errno;
    }
    write_down("write", 0, offset, result > 0 ? result : 0, result, path, "", result > 0 ? data : NULL);
    if (now == KILL_AFTER) die();
    pthread_mutex_unlock(&turn);
    errno = error;
    return result;
}

ssize_t write(int file, const void *data, size_t length) { return written(file, data, length, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return written(file, data, length, at, 1); }
ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) { return written(file, data, length, at, 1); }

ssize_t writev(int file, const struct iovec *pieces, int number) {
    ssize_t total = 0;
    for (int i = 0; i < number; i++) {
        ssize_t done = written(file, pieces[i].iov_base, pieces[i].iov_len, 0, 0);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < pieces[i].iov_len) break;
    }
    return total;
}

/* An operation on an open file: the real call where it is none of ours. */
#define ON_FILE(kind, offset, does, wrong)                       \
    do {                                                         \
        char path[PATH_MAX];                                     \
        if (armed) name_of(file, path);                          \
        if (!armed || !below(path, root)) return does;           \
        DO(kind, 0, (long)(offset), path, "", result, does, wrong); \
        return result;                                           \
    } while (0)

ssize_t read(int file, void *into, size_t length) {
    ssize_t result;
    ON_FILE("read", 0, syscall(SYS_read, file, into, length), -1);
}
ssize_t pread(int file, void *into, size_t length, off_t at) {
    ssize_t result;
    ON_FILE("read", at, syscall(SYS_pread64, file, into, length, at), -1);
}
ssize_t pread64(int file, void *into, size_t length, off64_t at) {
    ssize_t result;
    ON_FILE("read", at, syscall(SYS_pread64, file, into, length, at), -1);
}
int fsync(int file) {
    int result;
    ON_FILE("fsync", 0, (int)syscall(SYS_fsync, file), -1);
}
int fdatasync(int file) {
    int result;
    ON_FILE("fsync", 0, (int)syscall(SYS_fdatasync, file), -1);
}
int ftruncate(int file, off_t size) {
    int result;
    ON_FILE("truncate", size, (int)syscall(SYS_ftruncate, file, size), -1);
}
int ftruncate64(int file, off64_t size) {
    int result;
    ON_FILE("truncate", size, (int)syscall(SYS_ftruncate, file, size), -1);
}
int posix_fallocate(int file, off_t offset, off_t length) {
    int result;
    ON_FILE("allocate", offset + length, REAL(posix_fallocate)(file, offset, length), failure);
}
int posix_fallocate64(int file, off64_t offset, off64_t length) {
    int result;
    ON_FILE("allocate", offset + length, REAL(posix_fallocate64)(file, offset, length), failure);
}
int fallocate(int file, int mode, off_t offset, off_t length) {
    int result;
    ON_FILE("allocate", offset + length, REAL(fallocate)(file, mode, offset, length), -1);
}
int flock(int file, int operation) {
    int result;
    ON_FILE("lock", 0, (int)syscall(SYS_flock, file, operation), -1);
}

int close(int file) {
    char path[PATH_MAX];
    int result;
    if (armed) name_of(file, path);
    if (!armed || !below(path, root)) return syscall(SYS_close, file);
    DO("close", 0, 0L, path, "", result, (int)syscall(SYS_close, file), (syscall(SYS_close, file), -1));
    return result;
}

/* An operation on a name. */
#define ON_NAME(kind, folder, name, does)                    \
    do {                                                     \
        char full[PATH_MAX];                                 \
        int result;                                          \
        if (armed) absolute(folder, name, full);             \
        if (!armed || !below(full, root)) return does;       \
        DO(kind, 0, 0L, full, "", result, does, -1);         \
        return result;                                       \
    } while (0)

int unlink(const char *path) { ON_NAME("unlink", AT_FDCWD, path, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0)); }
int unlinkat(int folder, const char *path, int flags) {
    ON_NAME("unlink", folder, path, (int)syscall(SYS_unlinkat, folder, path, flags));
}
int rmdir(const char *path) { ON_NAME("unlink", AT_FDCWD, path, (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR)); }
int mkdir(const char *path, mode_t mode) { ON_NAME("mkdir", AT_FDCWD, path, (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode)); }
int mkdirat(int folder, const char *path, mode_t mode) {
    ON_NAME("mkdir", folder, path, (int)syscall(SYS_mkdirat, folder, path, mode));
}

static int renamed(int from, const char *old, int to, const char *new, unsigned flags) {
    char first[PATH_MAX], second[PATH_MAX];
    int result;
    if (armed) absolute(from, old, first), absolute(to, new, second);
    if (!armed || (!below(first, root) && !below(second, root)))
        return syscall(SYS_renameat2, from, old, to, new, flags);
    DO("rename", 0, 0L, first, second, result, (int)syscall(SYS_renameat2, from, old, to, new, flags), -1);
    return result;
}

int rename(const char *old, const char *new) { return renamed(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return renamed(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return renamed(from, old, to, new, flags);
}

static int linked(int from, const char *old, int to, const char *new, int flags) {
    char first[PATH_MAX], second[PATH_MAX];
    int result;
    if (armed) absolute(from, old, first), absolute(to, new, second);
    if (!armed || !below(second, root)) return syscall(SYS_linkat, from, old, to, new, flags);
    DO("link", 0, 0L, first, second, result, (int)syscall(SYS_linkat, from, old, to, new, flags), -1);
    return result;
}

int link(const char *old, const char *new) { return linked(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) { return linked(from, old, to, new, flags); }
