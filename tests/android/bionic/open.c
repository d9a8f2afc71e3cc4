// Opens a library with RTLD_DEEPBIND: Android's own libc++ inside it then wins over the JVM's libstdc++.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <jni.h>
JNIEXPORT jstring JNICALL Java_io_github_regnet_1edge_NativeMain_open(JNIEnv *e, jclass c, jstring path, jboolean deep) {
  const char *p = (*e)->GetStringUTFChars(e, path, 0);
  void *h = dlopen(p, RTLD_NOW | (deep ? RTLD_DEEPBIND : 0));
  const char *wrong = h ? 0 : dlerror();
  (*e)->ReleaseStringUTFChars(e, path, p);
  return wrong ? (*e)->NewStringUTF(e, wrong) : 0;
}
