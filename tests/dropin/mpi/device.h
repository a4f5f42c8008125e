/* Memory of device 0, from the driver that is there at run time. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void* driver;

static void* driver_function(const char* function) {
  void* found = dlsym(driver, function);
  if (found == NULL) fprintf(stderr, "the driver has no %s\n", function), exit(1);
  return found;
}
static void driver_did(int result, const char* what) {
  if (result != 0) fprintf(stderr, "%s: error %d of the driver\n", what, result), exit(1);
}

static void find_device(void) {
  void* context = NULL;
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == NULL) fprintf(stderr, "%s\n", dlerror()), exit(1);
  driver_did(((int (*)(unsigned))driver_function("cuInit"))(0), "cuInit");
  driver_did(((int (*)(void**, int))driver_function("cuDevicePrimaryCtxRetain"))(&context, 0), "cuDevicePrimaryCtxRetain");
  driver_did(((int (*)(void*))driver_function("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
}
static void* device_memory(size_t bytes) {
  unsigned long long address = 0;
  driver_did(((int (*)(unsigned long long*, size_t))driver_function("cuMemAlloc_v2"))(&address, bytes), "cuMemAlloc");
  return (void*)(uintptr_t)address;
}
static void free_device(void* memory) {
  driver_did(((int (*)(unsigned long long))driver_function("cuMemFree_v2"))((uintptr_t)memory), "cuMemFree");
}
static void to_device(void* to, const void* from, size_t bytes) {
  driver_did(((int (*)(unsigned long long, const void*, size_t))driver_function("cuMemcpyHtoD_v2"))((uintptr_t)to, from, bytes),
             "cuMemcpyHtoD");
}
static void from_device(void* to, const void* from, size_t bytes) {
  driver_did(((int (*)(void*, unsigned long long, size_t))driver_function("cuMemcpyDtoH_v2"))(to, (uintptr_t)from, bytes),
             "cuMemcpyDtoH");
}
