// Preloaded on AArch64, where bionic's code reads its stack guard from the thread pointer + 40: these bytes, the first of
// glibc's thread-local ones, lie there, and nobody writes to them.
__thread char guard[64] __attribute__((tls_model("initial-exec"), aligned(16)));
__attribute__((constructor)) static void touch(void) { *(volatile char *)guard; }
