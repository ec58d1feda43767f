// list [UUID]: what the driver's NVML says of each GPU, one line of "WORD VALUE..." each: to test the fake one, inside a container too.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *nvml;

static void *find(const char *name)
{
	void *found = dlsym(nvml, name);
	if (found == NULL) {
		printf("failed %s\n", dlerror());
		exit(1);
	}
	return found;
}

#define NVML(name, types, ...) ((int (*) types)find(#name))(__VA_ARGS__)

// number prints one value, or the error in its place.
static void number(const char *word, int gpu, int code, unsigned long long value)
{
	if (code == 0)
		printf("%s %d %llu\n", word, gpu, value);
	else
		printf("%s %d error %d\n", word, gpu, code);
}

static void describe(int gpu, void *device)
{
	char text[96];
	unsigned value;
	unsigned long long large;
	unsigned long long memory[3];
	struct { unsigned gpu, memory; } use;
	struct { unsigned pid; unsigned long long memory; unsigned instances[2]; } processes[64];
	unsigned count = 64;
	int code;

	if (NVML(nvmlDeviceGetUUID, (void *, char *, unsigned), device, text, sizeof text) == 0)
		printf("uuid %d %s\n", gpu, text);
	if (NVML(nvmlDeviceGetName, (void *, char *, unsigned), device, text, sizeof text) == 0)
		printf("name %d %s\n", gpu, text);
	code = NVML(nvmlDeviceGetMemoryInfo, (void *, void *), device, memory);
	number("memory", gpu, code, memory[2]);
	code = NVML(nvmlDeviceGetUtilizationRates, (void *, void *), device, &use);
	number("utilization", gpu, code, use.gpu);
	code = NVML(nvmlDeviceGetPowerUsage, (void *, unsigned *), device, &value);
	number("power", gpu, code, value);
	code = NVML(nvmlDeviceGetTemperature, (void *, int, unsigned *), device, 0, &value);
	number("temperature", gpu, code, value);
	code = NVML(nvmlDeviceGetCurrentClocksEventReasons, (void *, unsigned long long *), device, &large);
	number("throttle", gpu, code, large);
	code = NVML(nvmlDeviceGetMigMode, (void *, unsigned *, unsigned *), device, &value, &value);
	number("mig", gpu, code, value);
	if (NVML(nvmlDeviceGetComputeRunningProcesses_v3, (void *, unsigned *, void *), device, &count, processes) != 0)
		count = 0;
	for (unsigned i = 0; i < count; i++)
		printf("process %d %u %llu\n", gpu, processes[i].pid, processes[i].memory);
}

int main(void)
{
	char text[96];
	unsigned count;
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
	if (nvml == NULL) {
		printf("failed %s\n", dlerror());
		return 1;
	}
	code = NVML(nvmlInit_v2, (void));
	if (code != 0) {
		printf("init error %d\n", code);
		return 1;
	}
	NVML(nvmlSystemGetDriverVersion, (char *, unsigned), text, sizeof text);
	NVML(nvmlDeviceGetCount_v2, (unsigned *), &count);
	printf("driver %s\ncount %u\n", text, count);
	for (unsigned gpu = 0; gpu < count; gpu++) {
		void *device;
		code = NVML(nvmlDeviceGetHandleByIndex_v2, (unsigned, void **), gpu, &device);
		if (code == 0)
			describe((int)gpu, device);
		else
			printf("gpu %u error %d\n", gpu, code);
	}
	return 0;
}
