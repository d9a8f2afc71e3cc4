// liblog.so: Android's log on standard error, from priority 5 (warning) on; BIONIC_LOG=3 shows more.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
static const char LETTERS[] = "??VDIWEFS";
static int shown(int priority) {
  const char *least = getenv("BIONIC_LOG");
  return priority >= (least ? atoi(least) : 5);
}
int __android_log_write(int priority, const char *tag, const char *text) {
  if (shown(priority)) fprintf(stderr, "%c/%s: %s\n", LETTERS[priority & 7], tag ? tag : "", text);
  return 1;
}
int __android_log_vprint(int priority, const char *tag, const char *format, va_list a) {
  char text[4096];
  vsnprintf(text, sizeof text, format, a);
  return __android_log_write(priority, tag, text);
}
int __android_log_print(int priority, const char *tag, const char *format, ...) {
  va_list a;
  va_start(a, format);
  int r = __android_log_vprint(priority, tag, format, a);
  va_end(a);
  return r;
}
int __android_log_buf_write(int buffer, int priority, const char *tag, const char *text) {
  return (void)buffer, __android_log_write(priority, tag, text);
}
void __android_log_assert(const char *condition, const char *tag, const char *format, ...) {
  fprintf(stderr, "assert %s %s ", tag ? tag : "", condition ? condition : "");
  if (format) {
    va_list a;
    va_start(a, format);
    vfprintf(stderr, format, a);
    va_end(a);
  }
  abort();
}
int __android_log_is_loggable(int priority, const char *tag, int least) { return (void)tag, (void)least, shown(priority); }
