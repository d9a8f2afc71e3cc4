// libc.so as bionic's 64-bit libraries want it, on top of glibc: what differs. Everything else is a jump in forward.S.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wchar.h>
#define OWN __attribute__((visibility("hidden")))

// stdio: bionic's __sF is an array of three FILEs of 152 bytes each; stdin, stdout and stderr may point into it.
enum { FILE_BYTES = 152 };
char bionic_sF[3 * FILE_BYTES] __attribute__((aligned(16)));
__asm__(".symver bionic_sF, __sF@LIBC");
FILE *bionic_stdin, *bionic_stdout, *bionic_stderr;
__asm__(".symver bionic_stdin, stdin@LIBC");
__asm__(".symver bionic_stdout, stdout@LIBC");
__asm__(".symver bionic_stderr, stderr@LIBC");
__attribute__((constructor)) static void init(void) {
  bionic_stdin = (FILE *)bionic_sF;
  bionic_stdout = (FILE *)(bionic_sF + FILE_BYTES);
  bionic_stderr = (FILE *)(bionic_sF + 2 * FILE_BYTES);
}
static FILE *real(FILE *f) {
  char *p = (char *)f;
  if (p < bionic_sF || p >= bionic_sF + sizeof bionic_sF) return f;
  long i = (p - bionic_sF) / FILE_BYTES;
  return i == 0 ? stdin : i == 1 ? stdout : stderr;
}
OWN int bio_fprintf(FILE *f, const char *format, ...) {
  va_list a;
  va_start(a, format);
  int r = vfprintf(real(f), format, a);
  va_end(a);
  return r;
}
OWN int bio_vfprintf(FILE *f, const char *format, va_list a) { return vfprintf(real(f), format, a); }
OWN int bio_fputc(int c, FILE *f) { return fputc(c, real(f)); }
OWN int bio_putc(int c, FILE *f) { return fputc(c, real(f)); }
OWN int bio_fputs(const char *s, FILE *f) { return fputs(s, real(f)); }
OWN wint_t bio_fputwc(wchar_t c, FILE *f) { return fputwc(c, real(f)); }
OWN size_t bio_fwrite(const void *p, size_t s, size_t n, FILE *f) { return fwrite(p, s, n, real(f)); }
OWN size_t bio_fread(void *p, size_t s, size_t n, FILE *f) { return fread(p, s, n, real(f)); }
OWN int bio_fflush(FILE *f) { return fflush(f ? real(f) : NULL); }
OWN int bio_fclose(FILE *f) { return real(f) != f ? fflush(real(f)) : fclose(f); }
OWN int bio_fileno(FILE *f) { return fileno(real(f)); }
OWN int bio_ferror(FILE *f) { return ferror(real(f)); }
OWN int bio_feof(FILE *f) { return feof(real(f)); }
OWN int bio_getc(FILE *f) { return getc(real(f)); }
OWN int bio_ungetc(int c, FILE *f) { return ungetc(c, real(f)); }
OWN wint_t bio_getwc(FILE *f) { return getwc(real(f)); }
OWN wint_t bio_ungetwc(wint_t c, FILE *f) { return ungetwc(c, real(f)); }

// errno and its words.
extern int __xpg_strerror_r(int, char *, size_t);
OWN int *bio___errno(void) { return __errno_location(); }
OWN int bio_strerror_r(int e, char *b, size_t n) { return __xpg_strerror_r(e, b, n); }
OWN char *bio___gnu_strerror_r(int e, char *b, size_t n) { return strerror_r(e, b, n); }

// FORTIFY helpers that glibc has not.
static void die(const char *what) {
  fprintf(stderr, "bionic shim: FORTIFY: %s\n", what);
  abort();
}
OWN size_t bio___strlen_chk(const char *s, size_t n) {
  size_t r = strlen(s);
  if (r >= n) die("strlen");
  return r;
}
OWN char *bio___strchr_chk(const char *s, int c, size_t n) { return (void)n, strchr(s, c); }
OWN char *bio___strrchr_chk(const char *s, int c, size_t n) { return (void)n, strrchr(s, c); }
OWN void *bio___memchr_chk(const void *s, int c, size_t n, size_t a) {
  if (n > a) die("memchr");
  return memchr(s, c, n);
}
OWN ssize_t bio___write_chk(int fd, const void *b, size_t n, size_t a) {
  if (n > a) die("write");
  return write(fd, b, n);
}
OWN void bio___FD_SET_chk(int fd, void *s, size_t a) { (void)a, ((unsigned long *)s)[fd / 64] |= 1ul << (fd % 64); }
OWN void bio___FD_CLR_chk(int fd, void *s, size_t a) { (void)a, ((unsigned long *)s)[fd / 64] &= ~(1ul << (fd % 64)); }
OWN int bio___FD_ISSET_chk(int fd, const void *s, size_t a) {
  return (void)a, (((unsigned long *)s)[fd / 64] >> (fd % 64)) & 1;
}

// Android.
OWN int bio___system_property_get(const char *name, char *value) {
  strcpy(value, strcmp(name, "ro.build.version.sdk") ? "" : "34");
  return strlen(value);
}
OWN void bio_android_set_abort_message(const char *m) { fprintf(stderr, "bionic shim: %s\n", m ? m : ""); }
OWN int bio_android_get_device_api_level(void) { return 34; }
OWN void bio___assert2(const char *file, int line, const char *function, const char *what) {
  fprintf(stderr, "assert %s:%d %s %s\n", file, line, function, what);
  abort();
}

// sysconf: bionic's numbers are others.
OWN long bio_sysconf(int n) {
  switch (n) {
    case 0x00: return sysconf(_SC_ARG_MAX);
    case 0x06: return sysconf(_SC_CLK_TCK);
    case 0x0b: return sysconf(_SC_OPEN_MAX);
    case 0x27: case 0x28: return sysconf(_SC_PAGESIZE);
    case 0x46: return sysconf(_SC_GETGR_R_SIZE_MAX);
    case 0x47: return sysconf(_SC_GETPW_R_SIZE_MAX);
    case 0x60: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62: return sysconf(_SC_PHYS_PAGES);
    case 0x63: return sysconf(_SC_AVPHYS_PAGES);
    case 0x64: return sysconf(_SC_MONOTONIC_CLOCK);
  }
  fprintf(stderr, "bionic shim: sysconf %d has no counterpart\n", n);
  errno = EINVAL;
  return -1;
}

// sigset_t has 8 bytes in bionic, 128 in glibc, whose own signals 32 and 33 must not be blocked.
OWN int bio_sigfillset(unsigned long *s) { return *s = ~0ul, 0; }
OWN int bio_sigemptyset(unsigned long *s) { return *s = 0, 0; }
OWN int bio_sigaddset(unsigned long *s, int n) { return *s |= 1ul << (n - 1), 0; }
OWN int bio_sigdelset(unsigned long *s, int n) { return *s &= ~(1ul << (n - 1)), 0; }
OWN int bio_sigprocmask(int how, const unsigned long *s, unsigned long *old) {
  unsigned long mask = s ? *s & ~((1ul << 31) | (1ul << 32)) : 0;
  return syscall(SYS_rt_sigprocmask, how, s ? &mask : NULL, old, 8);
}
OWN int bio_pthread_sigmask(int how, const unsigned long *s, unsigned long *old) {
  int kept = errno, r = bio_sigprocmask(how, s, old) ? errno : 0;
  errno = kept;
  return r;
}

// Mutexes have 40 bytes in bionic, 48 in glibc on AArch64, whose last 8 are unused by what is locked and unlocked here;
// bionic's static initialisers of recursive and error-checking ones do not mean the same.
enum { MUTEX_BYTES = 40 };
OWN int bio_pthread_mutex_init(void *mutex, const pthread_mutexattr_t *how) {
  pthread_mutex_t whole;
  int r = pthread_mutex_init(&whole, how);
  if (!r) memcpy(mutex, &whole, MUTEX_BYTES);
  return r;
}
static void settle(void *mutex) {
  unsigned *w = mutex;
  if ((w[0] == 0x4000 || w[0] == 0x8000) && !w[1] && !w[2] && !w[3] && !w[4]) {
    w[4] = w[0] == 0x4000 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_ERRORCHECK;
    w[0] = 0;
  }
}
OWN int bio_pthread_mutex_lock(pthread_mutex_t *m) { return settle(m), pthread_mutex_lock(m); }
OWN int bio_pthread_mutex_trylock(pthread_mutex_t *m) { return settle(m), pthread_mutex_trylock(m); }

// The x86_64 build of XNNPACK reads parameters with aligned AVX-512 loads from memory that it asks for with less alignment.
enum { AVX512 = 64 };
OWN void *bio_malloc(size_t n) { return aligned_alloc(AVX512, (n + AVX512 - 1) / AVX512 * AVX512); }
OWN void *bio_calloc(size_t n, size_t each) {
  size_t size;
  void *p = __builtin_mul_overflow(n, each, &size) ? NULL : bio_malloc(size);
  return p ? memset(p, 0, size) : NULL;
}
OWN void *bio_memalign(size_t a, size_t n) { return aligned_alloc(a < AVX512 ? AVX512 : a, n); }
OWN int bio_posix_memalign(void **p, size_t a, size_t n) { return posix_memalign(p, a < AVX512 ? AVX512 : a, n); }

OWN void bio___gcov_dump(void) {}
OWN void bio___gcov_flush(void) {}
