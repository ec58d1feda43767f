// The fake libcuda.so: devices are the nodes that can be opened, memory is memory of the host. It needs no C library, so that it can
// be loaded beside any, glibc's or musl's.
#define API __attribute__((visibility("default"))) int

typedef unsigned long size_t;

// CUresult.
enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, BAD_DEVICE = 101, BAD_CONTEXT = 201, BROKEN = 999 };

#if defined(__x86_64__)
enum { OPENAT = 257, CLOSE = 3, MMAP = 9, MUNMAP = 11 };

static long call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long out;
	__asm__ volatile("syscall" : "=a"(out) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return out;
}
#elif defined(__aarch64__)
enum { OPENAT = 56, CLOSE = 57, MMAP = 222, MUNMAP = 215 };

static long call(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#endif

enum { MOST = 16, AT_FDCWD = -100, O_RDWR_CLOEXEC = 02000002, READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22 };

static int devices[MOST], count, ready, current = -1;
static int node = -1; // of the current context's device: a process that holds it uses the GPU

static int node_open(const char *path) { return (int)call(OPENAT, AT_FDCWD, (long)path, O_RDWR_CLOEXEC, 0, 0, 0); }

static int opens(const char *path)
{
	int fd = node_open(path);
	if (fd < 0)
		return 0;
	call(CLOSE, fd, 0, 0, 0, 0, 0);
	return 1;
}

static const char *path_of(int gpu)
{
	static char path[] = "/dev/nvidia00";
	char *end = path + sizeof "/dev/nvidia" - 1;
	if (gpu >= 10)
		*end++ = (char)('0' + gpu / 10);
	*end++ = (char)('0' + gpu % 10);
	*end = 0;
	return path;
}

// As the real one, it needs the control node and that of unified memory.
API cuInit(unsigned flags)
{
	if (flags != 0)
		return INVALID;
	if (!opens("/dev/nvidiactl"))
		return NO_DEVICE;
	if (!opens("/dev/nvidia-uvm"))
		return BROKEN;
	count = 0;
	for (int gpu = 0; gpu < MOST; gpu++)
		if (opens(path_of(gpu)))
			devices[count++] = gpu;
	ready = count > 0;
	return ready ? OK : NO_DEVICE;
}

#ifndef CUDA
#define CUDA 13000
#endif

API cuDriverGetVersion(int *version) { *version = CUDA; return OK; }

API cuDeviceGetCount(int *out)
{
	*out = count;
	return ready ? OK : NOT_INITIALIZED;
}

API cuDeviceGet(int *out, int ordinal)
{
	if (!ready)
		return NOT_INITIALIZED;
	if (ordinal < 0 || ordinal >= count)
		return BAD_DEVICE;
	*out = devices[ordinal];
	return OK;
}

API cuDeviceGetName(char *out, int size, int device)
{
	const char *name = "NVIDIA Fake H100 80GB";
	(void)device;
	int i = 0;
	for (; i < size - 1 && name[i]; i++)
		out[i] = name[i];
	out[i] = 0;
	return OK;
}

API cuCtxCreate_v2(void **out, unsigned flags, int device)
{
	(void)flags;
	current = device;
	node = node_open(path_of(device));
	*out = &current;
	return node >= 0 ? OK : BAD_DEVICE;
}

API cuCtxDestroy_v2(void *context)
{
	if (context != &current || node < 0)
		return BAD_CONTEXT;
	call(CLOSE, node, 0, 0, 0, 0, 0);
	node = -1;
	return OK;
}

API cuCtxSynchronize(void) { return node < 0 ? BAD_CONTEXT : OK; }

API cuMemAlloc_v2(unsigned long long *out, size_t size)
{
	if (node < 0)
		return BAD_CONTEXT;
	long at = call(MMAP, 0, (long)size, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		return OUT_OF_MEMORY;
	*out = (unsigned long long)at;
	return OK;
}

// The size is not kept: what a process has is given back at its end.
API cuMemFree_v2(unsigned long long at) { (void)at; return node < 0 ? BAD_CONTEXT : OK; }

static int copy(unsigned char *to, const unsigned char *from, size_t size)
{
	if (node < 0)
		return BAD_CONTEXT;
	for (volatile size_t i = 0; i < size; i++)
		to[i] = from[i];
	return OK;
}

API cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t size) { return copy((void *)to, from, size); }
API cuMemcpyDtoD_v2(unsigned long long to, unsigned long long from, size_t size) { return copy((void *)to, (void *)from, size); }
API cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t size) { return copy(to, (void *)from, size); }

API cuGetErrorString(int code, const char **out)
{
	switch (code) {
	case OK: *out = "no error"; return OK;
	case NO_DEVICE: *out = "no CUDA-capable device is detected"; return OK;
	case OUT_OF_MEMORY: *out = "out of memory"; return OK;
	}
	*out = "unknown error";
	return OK;
}
