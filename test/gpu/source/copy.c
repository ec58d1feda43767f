// copy MEBIBYTES [SECONDS]: copies memory from the device to the device, with nothing but the driver's own library, and holds what
// comes back against what was sent. It prints one line of "WORD VALUE" for each thing it learns, and "ok" at its end.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long address;

static void *driver;

static void fail(const char *what, int code)
{
	const char *text = "?";
	int (*describe)(int, const char **) = (int (*)(int, const char **))dlsym(driver, "cuGetErrorString");
	if (describe != NULL)
		describe(code, &text);
	printf("failed %s: error %d: %s\n", what, code, text);
	exit(1);
}

static void *find(const char *name)
{
	void *found = dlsym(driver, name);
	if (found == NULL) {
		printf("failed %s\n", dlerror());
		exit(1);
	}
	return found;
}

// Each function of the driver is looked up where it is used, and returns a CUresult: 0 is success.
#define CU(name, types, ...) do { \
	int (*function) types = (int (*) types)find(#name); \
	int code = function(__VA_ARGS__); \
	if (code != 0) fail(#name, code); \
} while (0)

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void copy(size_t size)
{
	address from, to;
	unsigned char *sent = malloc(size), *back = calloc(1, size);
	if (sent == NULL || back == NULL) {
		printf("failed: no memory on the host\n");
		exit(1);
	}
	for (size_t i = 0; i < size; i++)
		sent[i] = (unsigned char)(i * 2654435761U >> 24);
	CU(cuMemAlloc_v2, (address *, size_t), &from, size);
	CU(cuMemAlloc_v2, (address *, size_t), &to, size);
	CU(cuMemcpyHtoD_v2, (address, const void *, size_t), from, sent, size);
	double start = now();
	CU(cuMemcpyDtoD_v2, (address, address, size_t), to, from, size);
	CU(cuCtxSynchronize, (void));
	double took = now() - start;
	CU(cuMemcpyDtoH_v2, (void *, address, size_t), back, to, size);
	printf("copied %zu\nseconds %.6f\nsame %s\n", size, took, memcmp(sent, back, size) == 0 ? "yes" : "no");
	if (memcmp(sent, back, size) != 0)
		exit(1);
	CU(cuMemFree_v2, (address), from);
	CU(cuMemFree_v2, (address), to);
	free(sent);
	free(back);
}

int main(int argc, char **argv)
{
	int version, count, device;
	char name[128];
	void *context;

	setvbuf(stdout, NULL, _IOLBF, 0);
	driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	if (driver == NULL) {
		printf("failed %s\n", dlerror());
		return 1;
	}
	CU(cuInit, (unsigned), 0);
	CU(cuDriverGetVersion, (int *), &version);
	CU(cuDeviceGetCount, (int *), &count);
	printf("driver %d.%d\ndevices %d\n", version / 1000, version % 1000 / 10, count);
	CU(cuDeviceGet, (int *, int), &device, 0);
	CU(cuDeviceGetName, (char *, int, int), name, (int)sizeof name, device);
	printf("device %s\n", name);
	CU(cuCtxCreate_v2, (void **, unsigned, int), &context, 0, device);
	copy((size_t)(argc > 1 ? atoi(argv[1]) : 16) << 20);
	if (argc > 2)
		sleep((unsigned)atoi(argv[2]));
	CU(cuCtxDestroy_v2, (void *), context);
	puts("ok");
	return 0;
}
