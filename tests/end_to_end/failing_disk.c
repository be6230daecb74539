/* Preloaded into a process, this counts the calls that change files under $DISK_ROOT, and lets some of them fail.

   The counter and what is to fail are in the file $DISK_CONTROL, which all processes map: those that a command starts count along. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
  int fail_at; /* the number of the call that fails, from 1; 0: none */
  int error;   /* its errno */
  int lasting; /* whether all later calls fail too, as on a full disk */
  int count;   /* the calls until now */
  int halved;  /* whether the write that fails has written a half */
  char what[8192]; /* the call that failed first, and its file */
} *control;
static const char *root;

__attribute__((constructor)) static void map_control(void) {
  const char *name = getenv("DISK_CONTROL");
  int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  root = getenv("DISK_ROOT");
  if (file < 0 || !root) return;
  void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) control = mapped;
  close(file);
}

static int fails(const char *call, const char *path) {
  char whole[2 * PATH_MAX] = "";
  int before = errno;
  if (!control) return 0;
  if (path[0] != '/' && getcwd(whole, PATH_MAX)) strcat(whole, "/");
  strncat(whole, path, PATH_MAX);
  if (strncmp(whole, root, strlen(root))) return errno = before, 0;
  int count = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST), at = control->fail_at;
  if (!at || count < at || (count > at && !control->lasting)) return errno = before, 0;
  if (count == at) snprintf(control->what, sizeof control->what, "%s %.4000s", call, whole);
  errno = control->error;
  return 1;
}

static int file_fails(const char *call, int file) {
  char link[64], path[PATH_MAX];
  int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  errno = before;
  if (size < 0) return 0;
  path[size] = 0;
  return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name, given, passed)                                                       \
  int name given {                                                                      \
    va_list rest;                                                                       \
    va_start(rest, flags);                                                              \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;           \
    va_end(rest);                                                                       \
    if ((flags & O_ACCMODE) != O_RDONLY && fails(#name, path)) return -1;               \
    return REAL(name) passed;                                                           \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

/* As on a real disk, half of the bytes are written, and the call for the rest fails. */
static int halved(const char *call, int file, size_t parts) {
  if (!file_fails(call, file)) return 0;
  if (parts < 2 || control->halved) return 2;
  control->halved = 1;
  control->fail_at++;
  return 1;
}

#define WRITE(name, given, parts, half, passed)                                         \
  ssize_t name given {                                                                  \
    int how = halved(#name, file, parts);                                               \
    return how == 2 ? -1 : how ? REAL(name) half : REAL(name) passed;                   \
  }
WRITE(write, (int file, const void *bytes, size_t size), size, (file, bytes, size / 2), (file, bytes, size))
WRITE(pwrite, (int file, const void *bytes, size_t size, off_t at), size, (file, bytes, size / 2, at), (file, bytes, size, at))
WRITE(pwrite64, (int file, const void *bytes, size_t size, off64_t at), size, (file, bytes, size / 2, at), (file, bytes, size, at))
WRITE(writev, (int file, const struct iovec *parts, int n), (size_t)n, (file, parts, n / 2), (file, parts, n))

#define ON_FILE(type, name, given, passed) \
  type name given { return file_fails(#name, file) ? -1 : REAL(name) passed; }
ON_FILE(int, ftruncate, (int file, off_t size), (file, size))
ON_FILE(int, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(ssize_t, sendfile, (int file, int from, off_t *at, size_t size), (file, from, at, size))
ON_FILE(ssize_t, sendfile64, (int file, int from, off64_t *at, size_t size), (file, from, at, size))

/* Nothing is synced, because no test cuts the power. */
int fsync(int file) { return file_fails("fsync", file) ? -1 : 0; }
int fdatasync(int file) { return file_fails("fdatasync", file) ? -1 : 0; }

#define ON_PATH(name, given, named, passed) \
  int name given { return fails(#name, named) ? -1 : REAL(name) passed; }
ON_PATH(rename, (const char *from, const char *to), to, (from, to))
ON_PATH(renameat, (int a, const char *from, int b, const char *to), to, (a, from, b, to))
ON_PATH(link, (const char *from, const char *to), to, (from, to))
ON_PATH(linkat, (int a, const char *from, int b, const char *to, int flags), to, (a, from, b, to, flags))
ON_PATH(symlink, (const char *from, const char *to), to, (from, to))
int mkdir(const char *path, mode_t mode) { return access(path, F_OK) && fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
ON_PATH(truncate, (const char *path, off_t size), path, (path, size))
ON_PATH(truncate64, (const char *path, off64_t size), path, (path, size))

int posix_fallocate64(int file, off64_t at, off64_t size) {
  return file_fails("posix_fallocate", file) ? errno : REAL(posix_fallocate64)(file, at, size);
}
int posix_fallocate(int file, off_t at, off_t size) { return posix_fallocate64(file, at, size); }
