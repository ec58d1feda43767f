// The fake libnvidia-ml.so: what GPUs do at this moment. Instances of a GPU answer what real ones do: their memory and processes.
#include "nvml.h"

static long long total(const struct device *device) { return device->number < 0 ? GPU_MEMORY : INSTANCE_MEMORY; }

static long long used(const struct device *device) { return state_word("memory", device->gpu, 1 << 30); }

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };

API nvmlDeviceGetMemoryInfo(const struct device *device, struct memory *out)
{
	ENTER_DEVICE(device);
	*out = (struct memory){ total(device), total(device) - used(device), used(device) };
	return OK;
}

API nvmlDeviceGetMemoryInfo_v2(const struct device *device, struct memory_v2 *out)
{
	const unsigned reserved = 512 << 20;
	ENTER_DEVICE(device);
	*out = (struct memory_v2){ out->version, total(device), reserved, total(device) - used(device) - reserved, used(device) };
	return OK;
}

struct utilization { unsigned gpu, memory; };

API nvmlDeviceGetUtilizationRates(const struct device *device, struct utilization *out)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	if (nvml_mig(device->gpu))
		return UNSUPPORTED;
	out->gpu = (unsigned)state_word("utilization", device->gpu, 37);
	out->memory = (unsigned)state_word("bandwidth", device->gpu, 12);
	return OK;
}

API nvmlDeviceGetPowerUsage(const struct device *device, unsigned *milliwatts)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	*milliwatts = (unsigned)state_word("power", device->gpu, 250000);
	return OK;
}

// The energy is that of a constant power since the machine was booted.
API nvmlDeviceGetTotalEnergyConsumption(const struct device *device, unsigned long long *millijoules)
{
	struct timespec now;
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	clock_gettime(CLOCK_BOOTTIME, &now);
	*millijoules = (now.tv_sec * 1000ULL + now.tv_nsec / 1000000ULL) * state_word("power", device->gpu, 250000) / 1000;
	return OK;
}

API nvmlDeviceGetTemperature(const struct device *device, int sensor, unsigned *celsius)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	if (sensor != 0)
		return INVALID;
	*celsius = (unsigned)state_word("temperature", device->gpu, 61);
	return OK;
}

struct temperature { unsigned version; int sensor; int celsius; };

API nvmlDeviceGetTemperatureV(const struct device *device, struct temperature *out)
{
	unsigned celsius;
	int code = nvmlDeviceGetTemperature(device, out->sensor, &celsius);
	if (code == OK)
		out->celsius = (int)celsius;
	return code;
}

API nvmlDeviceGetCurrentClocksEventReasons(const struct device *device, unsigned long long *mask)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	*mask = (unsigned long long)state_word("throttle", device->gpu, 0);
	return OK;
}

API nvmlDeviceGetCurrentClocksThrottleReasons(const struct device *device, unsigned long long *mask)
{
	return nvmlDeviceGetCurrentClocksEventReasons(device, mask);
}

// holds reports whether a process has the node of a GPU open: that is how it uses one.
static int holds(const char *pid, int gpu)
{
	char dir[300], path[600], target[300], node[32];
	int found = 0;

	snprintf(dir, sizeof dir, "/proc/%s/fd", pid);
	snprintf(node, sizeof node, "/nvidia%d", gpu);
	DIR *fds = opendir(dir);
	if (fds == NULL)
		return 0;
	for (struct dirent *entry; !found && (entry = readdir(fds)) != NULL;) {
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		ssize_t n = readlink(path, target, sizeof target - 1);
		if (n < (ssize_t)strlen(node))
			continue;
		target[n] = 0;
		found = strcmp(target + n - strlen(node), node) == 0;
	}
	closedir(fds);
	return found;
}

struct process { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };

API nvmlDeviceGetComputeRunningProcesses_v3(const struct device *device, unsigned *count, struct process *out)
{
	unsigned room = *count, found = 0;
	ENTER_DEVICE(device);
	DIR *proc = opendir("/proc");
	if (proc == NULL)
		return DENIED;
	for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid() || !holds(entry->d_name, device->gpu))
			continue;
		if (found < room)
			out[found] = (struct process){ (unsigned)atoi(entry->d_name), state_word("process", device->gpu, 256 << 20), ~0U, ~0U };
		found++;
	}
	closedir(proc);
	*count = found;
	return found > room ? TOO_SMALL : OK;
}

API nvmlDeviceGetComputeRunningProcesses_v2(const struct device *device, unsigned *count, struct process *out)
{
	return nvmlDeviceGetComputeRunningProcesses_v3(device, count, out);
}

// Nobody draws on these GPUs, nor shares them by MPS.
static int nobody(const struct device *device, unsigned *count)
{
	int code = nvml_usable(device);
	if (code == OK)
		*count = 0;
	return code;
}

#define NOBODY(name) API name(const struct device *device, unsigned *count, struct process *out) { (void)out; ENTER(); return nobody(device, count); }
NOBODY(nvmlDeviceGetGraphicsRunningProcesses_v2)
NOBODY(nvmlDeviceGetGraphicsRunningProcesses_v3)
NOBODY(nvmlDeviceGetMPSComputeRunningProcesses_v2)
NOBODY(nvmlDeviceGetMPSComputeRunningProcesses_v3)
